import { useEffect, useState } from 'preact/hooks'
import { open, path, Refused } from '../api.ts'
import type { Head, Views } from '../shapes.ts'
import { eventsOf } from './events.ts'
import { setLink } from './link.ts'

const RETRY_MS_MIN = 1_000
const RETRY_MS_MAX = 15_000

export interface Live<T> {
  readonly data: (T & Head) | undefined
  /** What the server says no to: there is no such thing, or it may not be seen. */
  readonly refused: { readonly code: string; readonly detail: string } | undefined
}

type Query = Readonly<Record<string, string | number | undefined>>

/**
 * One part of the server, as it changes. Only the page that is shown has a stream, and none while it is hidden.
 *
 * @param query what of it: `queue`, `barrier`, `page`, `text`, `only`
 */
export function useLive<V extends keyof Views>(view: V, query: Query = {}): Live<Views[V]> {
  const target = path(['overview', 'events'], { view, ...query })
  const [live, setLive] = useState<Live<Views[V]> & { readonly of: string }>()
  useEffect(() => follow(target, (data, refused) => setLive({ of: target, data: data as never, refused })), [target])
  // Of the page before nothing is shown under the name of this one.
  return live?.of === target ? live : { data: undefined, refused: undefined }
}

function follow(
  target: string,
  tell: (data: object | undefined, refused: Live<object>['refused']) => void,
): () => void {
  let controller: AbortController | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let failures = 0

  const stop = (): void => {
    clearTimeout(timer)
    controller?.abort()
    controller = undefined
  }
  const start = (): void => {
    stop()
    if (document.hidden) {
      setLink('paused')
      return
    }
    const mine = new AbortController()
    controller = mine
    read(mine.signal).then(
      () => again(mine),
      error => {
        if (mine.signal.aborted) return
        if (error instanceof Refused && error.status === 401) {
          setLink('signed-out', error.message)
          return
        }
        if (error instanceof Refused && error.status < 500) {
          setLink('live')
          tell(undefined, { code: error.code, detail: error.message })
          failures += 2
        }
        again(mine)
      },
    )
  }
  const again = (mine: AbortController): void => {
    if (mine.signal.aborted) return
    setLink('lost')
    failures += 1
    timer = setTimeout(start, Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 1.6 ** (failures - 1)))
  }
  const read = async (signal: AbortSignal): Promise<void> => {
    const response = await open(target, { signal })
    for await (const { event, data } of eventsOf(response.body as ReadableStream<Uint8Array>)) {
      const said = JSON.parse(data) as { problem?: { code: string; detail: string }; code?: string; detail?: string }
      if (event === 'end' && said.code === 'unauthenticated') throw new Refused(401, said)
      if (event !== 'message') continue
      failures = 0
      setLink('live')
      if (said.problem === undefined) tell(said, undefined)
      else tell(undefined, said.problem)
    }
  }

  document.addEventListener('visibilitychange', start)
  start()
  return () => {
    document.removeEventListener('visibilitychange', start)
    stop()
  }
}
