import { decodeFrames } from '@sluice/protocol'
import type { FaultPoints } from './fault-points.ts'
import type { Asked } from './http.ts'

type Names = readonly string[]

/** What goes over a connection, by the names that points have for it. */
export interface ConnectionWatch {
  sent(bytes: Uint8Array): Names
  received(bytes: Uint8Array): Names
}

const NONE: Names = []

/** Looks only at what some point of the run asks for. */
export function connectionWatch(points: FaultPoints, door: 'native' | 'http'): ConnectionWatch {
  const looksAtSent = points.wants('send') || points.wants('sent')
  const looksAtReceived = points.wants('received')
  const watch = door === 'http' ? HTTP : NATIVE
  return {
    sent: bytes => (looksAtSent ? watch.sent(bytes) : NONE),
    received: bytes => (looksAtReceived ? watch.received(bytes) : NONE),
  }
}

const NATIVE: ConnectionWatch = {
  sent: bytes => [...new Set([...decodeFrames(bytes, 'server')].map(({ name }) => name))],
  received: bytes => [...new Set([...decodeFrames(bytes, 'client')].map(({ name }) => name))],
}

/** Every request pulls, or settles by lease tokens. */
const HTTP: ConnectionWatch = {
  sent: () => ['answer'],
  received: bytes => {
    const { url } = JSON.parse(Buffer.from(bytes).toString()) as Asked
    return [url.includes('/deliveries') ? 'pull' : 'tokens']
  },
}
