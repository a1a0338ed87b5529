/** Time as an argument: what the engine reads, and one way to be called back. */
export interface Clock {
  /** Milliseconds since the epoch; never goes back while the process lives (R6). */
  now(): number
  /** Calls back once at that time or soon after; returns how to call it off. */
  at(time: number, callback: () => void): () => void
}

/** Longest wait that a timer of Node takes. */
const TIMER_MS_MAX = 2 ** 31 - 1

/**
 * The real clock: the wall clock as it was at the start, carried on by the monotonic one, so that a jump of the wall
 * clock moves neither lease nor delay (R6).
 */
export function realClock(): Clock {
  const now = () => Math.round(performance.timeOrigin + performance.now())
  return {
    now,
    at(time, callback) {
      let timer: NodeJS.Timeout
      const arm = () => {
        const wait = time - now()
        timer = wait > TIMER_MS_MAX ? setTimeout(arm, TIMER_MS_MAX) : setTimeout(callback, Math.max(0, wait))
        timer.unref()
      }
      arm()
      return () => clearTimeout(timer)
    },
  }
}

export interface VirtualClock extends Clock {
  /** Moves time on and calls back, in order, whatever becomes due on the way. */
  advance(ms: number): void
}

/** A clock that stands still until it is moved, for tests. */
export function virtualClock(start: number = Date.UTC(2026, 0, 1)): VirtualClock {
  let time = start
  const timers = new Set<{ at: number; callback: () => void }>()
  const next = () =>
    [...timers].reduce<{ at: number; callback: () => void } | undefined>(
      (a, b) => (a === undefined || b.at < a.at ? b : a),
      undefined,
    )
  return {
    now: () => time,
    at(due, callback) {
      const timer = { at: due, callback }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    advance(ms) {
      const end = time + ms
      for (let timer = next(); timer !== undefined && timer.at <= end; timer = next()) {
        timers.delete(timer)
        time = Math.max(time, timer.at)
        timer.callback()
      }
      time = end
    },
  }
}
