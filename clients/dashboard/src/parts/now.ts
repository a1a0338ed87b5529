import { useEffect, useRef, useState } from 'preact/hooks'

/**
 * The time of the server, carried on between two words of it.
 *
 * @param told as the server said it last
 * @returns ms, a new one each second
 */
export function useNow(told: string): number {
  const heard = useRef({ told: '', at: 0 })
  if (heard.current.told !== told) heard.current = { told, at: performance.now() }
  const [, tick] = useState(0)
  useEffect(() => {
    const timer = setInterval(() => tick(count => count + 1), 1_000)
    return () => clearInterval(timer)
  }, [])
  return Date.parse(told) + (performance.now() - heard.current.at)
}
