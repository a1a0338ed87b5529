/** A queue's options as the core uses them: every default filled in, durations in milliseconds, sizes in bytes. */
export interface QueueOptions {
  readonly semantics: 'at-least-once' | 'at-most-once'
  /** Filter expression; a message it matches is a barrier. */
  readonly barrier?: string
  readonly barriersMax: number
  readonly barrierRecords: number
  readonly onDead: 'count' | 'hold' | 'fail'
  readonly deadlineRest: 'carry' | 'dead-letter' | 'drop'
  readonly forwardBarrier: readonly string[]
  /** Queue into which a message is published for each released barrier. */
  readonly announce?: string
  readonly filter?: string
  /** Expression, or `property`. */
  readonly priority?: string
  /** Expression, or `property`. */
  readonly group?: string
  /** Absent: a delivery may stay unsettled until its connection is gone. */
  readonly leaseMs?: number
  readonly acks: 'holder' | 'any'
  readonly prefetchMax: number
  readonly prefetchBytes: number
  readonly unackedMax?: number
  readonly fairness: 'proportional' | 'round-robin' | 'fast'
  readonly deliveriesMax?: number
  readonly retryDelay: RetryDelay
  /** Name of a queue, or `drop`. Absent: `NAME.dead`; a dead-letter queue has none of its own. */
  readonly deadLetter?: string
  readonly expirationMs?: number
  readonly messagesMax?: number
  readonly bytesMax?: number
  readonly overflow: 'refuse' | 'drop-oldest' | 'dead-letter-oldest'
  readonly dedupeWindowMs: number
  readonly dedupeMax: number
}

/** Wait before a nacked message is ready again: `base × factor^(attempt − 1)`, at most `max`. All in ms. */
export interface RetryDelay {
  readonly baseMs: number
  readonly factor: number
  readonly maxMs: number
  readonly jitter: boolean
}

export const DEFAULT_OPTIONS: QueueOptions = {
  semantics: 'at-least-once',
  barriersMax: 1_000,
  barrierRecords: 1_000,
  onDead: 'count',
  deadlineRest: 'carry',
  forwardBarrier: [],
  acks: 'holder',
  prefetchMax: 65_535,
  prefetchBytes: 64 * 1024 * 1024,
  fairness: 'proportional',
  retryDelay: { baseMs: 0, factor: 1, maxMs: Number.MAX_SAFE_INTEGER, jitter: false },
  overflow: 'refuse',
  dedupeWindowMs: 0,
  dedupeMax: 1_000_000,
}
