/** The client's clock, so that tests can hold it in their hands. */
export interface Timers {
  /** Milliseconds since some moment; never falls. */
  now(): number
  /** Calls once after so many ms. @returns takes it back. */
  after(ms: number, action: () => void): () => void
  /** Calls once the program has done what it is at. Default: the platform's own end of a tick. */
  soon?(action: () => void): void
}

/** Longest wait that `setTimeout` knows; a longer one it would take as none at all. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1

export const realTimers: Timers = {
  now: () => performance.now(),
  after(ms, action) {
    const timer = setTimeout(action, Math.min(ms, TIMEOUT_MS_MAX))
    return () => clearTimeout(timer)
  },
}

/**
 * Runs an action once the program has done what it is at, so that what it publishes and acks meanwhile leaves in one
 * frame. Promises settle before `setImmediate`, which Node alone has; a message to oneself is the next best, for a
 * browser's `setTimeout` takes 4 ms.
 */
export const nextTick: (action: () => void) => void =
  typeof setImmediate === 'function' ? action => void setImmediate(action) : messageToOneself()

function messageToOneself(): (action: () => void) => void {
  if (typeof MessageChannel !== 'function') return queueMicrotask
  const actions: (() => void)[] = []
  const { port1, port2 } = new MessageChannel() as unknown as { port1: BrowserPort; port2: BrowserPort }
  port1.onmessage = () => actions.shift()?.()
  return action => {
    actions.push(action)
    port2.postMessage(undefined)
  }
}

interface BrowserPort {
  onmessage: () => void
  postMessage(value: unknown): void
}

interface Deferred<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(reason: unknown): void
}

/** `Promise.withResolvers`, which Node 20 does not have; on the hot path because it makes no closure of its own. */
export function deferred<T>(): Deferred<T> {
  const promise = new Promise<T>(capture as (resolve: (value: T) => void, reject: (reason: unknown) => void) => void)
  return { promise, resolve: resolveNow as (value: T) => void, reject: rejectNow }
}

let resolveNow: (value: never) => void
let rejectNow: (reason: unknown) => void

function capture(resolve: (value: never) => void, reject: (reason: unknown) => void): void {
  resolveNow = resolve
  rejectNow = reject
}
