/** What can be written down of a run; the types say when. */
export type EventType =
  | 'publish-invoke'
  | 'publish-ok'
  | 'publish-fail'
  | 'publish-unknown'
  | 'deliver'
  | 'ack-invoke'
  | 'ack-ok'
  | 'ack-fail'
  | 'nack'
  | 'barrier-publish'
  | 'barrier-publish-invoke'
  | 'barrier-publish-ok'
  | 'barrier-publish-fail'
  | 'barrier-publish-unknown'
  | 'barrier-deliver'
  | 'subscribe'
  | 'unsubscribe'
  | 'disconnect'
  | 'lease-expired'
  | 'dead-letter'
  | 'expired'
  | 'discard'
  | 'server-kill'
  | 'clock-jump'
  | 'server-up'

/** Numbers and strings are one space: 7 is "7". */
export type Id = string | number

/** One line of a history. */
export interface HistoryEvent {
  /** Milliseconds of one monotonic clock for all recorders. */
  readonly t: number
  readonly type: EventType
  readonly process?: string
  readonly queue?: string
  readonly id?: Id
  /** Several messages alike; positions and flags are then not told. */
  readonly ids?: readonly Id[]
  /** Default: the process. */
  readonly subscriber?: string
  /** Place in the queue. */
  readonly seq?: number
  /** Barriers published before it (for a barrier: of the batch it closes). Decides before `seq`. */
  readonly batch_number?: number
  /** Atomic publish that the message is part of. */
  readonly batch?: Id
  /** On `publish-invoke`: the message of the same queue whose ack carries this one, which joins its batch (B16). */
  readonly cause?: Id
  /** Time to live in ms, on `publish-invoke`. */
  readonly ttl?: number
  /** On `publish-invoke`: an id that was published before enqueues nothing. */
  readonly dedupe?: boolean
  readonly duplicate?: boolean
  /** On `publish-ok`, and on `publish-invoke` where it is known: an `accepted` message may be lost at a kill. */
  readonly level?: string
  readonly redelivered?: boolean
  /** On `deliver`: of two deliveries of a message the one with the lower attempt was sent first. Optional. */
  readonly attempt?: number
  /** On acks and their answers: which delivery to this subscriber they are of. Optional; of two acks it tells which was refused. */
  readonly delivery?: number
  readonly requeue?: boolean
  readonly phase?: 'invoke' | 'ok' | 'fail' | 'unknown'
  readonly outcome?: string
  readonly replayed?: boolean
  /** On `subscribe`: not every barrier is meant for it, so none is missed. */
  readonly filter?: string
  readonly to?: string
  /** On `clock-jump`, in ms: what a start finds the wall clock ahead of where the last process had it. */
  readonly by?: number
}

/** An event without its time, which the recorder adds. */
export type Happening = Omit<HistoryEvent, 't'>
