import { useEffect, useState } from 'preact/hooks'

/** How it stands with the server. `paused`: nobody looks. */
export type Link = 'connecting' | 'live' | 'lost' | 'paused' | 'signed-out'

interface State {
  readonly link: Link
  /** Why nobody is signed in. */
  readonly why?: string | undefined
}

let state: State = { link: 'connecting' }
const listeners = new Set<(state: State) => void>()

export function setLink(link: Link, why?: string): void {
  if (state.link === link && state.why === why) return
  state = { link, why }
  for (const listener of listeners) listener(state)
}

export function useLink(): State {
  const [shown, show] = useState(state)
  useEffect(() => {
    listeners.add(show)
    show(state)
    return () => void listeners.delete(show)
  }, [])
  return shown
}
