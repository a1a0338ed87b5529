import type { BatchRest, DeadReason, Timestamp, TurnNumber } from '../../../src/core/facts.ts'
import type { QueueOptions } from '../../../src/core/options.ts'

// What the reference knows: of queues, messages, barriers and subscriptions just what the rules speak of.

export interface Queue {
  /** Never used again, so it tells apart queues that had one name. Queues are dealt with by it, lowest first. */
  readonly id: number
  readonly name: string
  options: QueueOptions
  isPaused: boolean
  /** Sequence number of what comes in next. */
  next: number
  /** Barriers released, ever: the number of the batch in turn. */
  released: number
  /** Turn of the last release; 0: on disk since the start. */
  openedIn: TurnNumber
  /** Turn that reserved numbers for `accepted` publishes since the last start; 0: none did. */
  reservedIn: TurnNumber
  live: Message[]
  /** Of the batches that are not released, the one in turn first. */
  stats: Stats[]
  waiting: Barrier[]
  gathering: Gathering[]
  records: BarrierRecord[]
  /** Message ids in the dedupe window, in the order in which they came. */
  seen: { readonly id: string; readonly sequence: number; readonly answer: string; readonly at: Timestamp }[]
  readonly producers: Map<string, { last: number; usedAt: Timestamp; readonly answers: Map<number, string> }>
}

export interface Message {
  readonly sequence: number
  batch: number
  /** Batch that it came into. */
  readonly born: number
  readonly priority: number
  readonly group: string | undefined
  readonly expiresAt: Timestamp
  readonly origin: Origin | undefined
  state: 'ready' | 'delayed' | 'leased'
  dueAt: Timestamp
  /** Its delay is over: a clock that goes back does not bring it back. */
  isDue: boolean
  attempts: number
  /** Somebody may have had it. */
  isSuspect: boolean
  /** Turn that has to be on disk before anybody gets it; 0: none. */
  restsOn: TurnNumber
  /** What came in while the disk was busy may go out together: the latest turn of that. */
  mayRestOn: TurnNumber
  lease:
    | { readonly holder: number; readonly delivery: number; deadline: Timestamp; at: Timestamp; rests: TurnNumber }
    | undefined
}

/** Where a dead letter comes from, and what it is when it goes back. */
export type Origin = Pick<Message, 'sequence' | 'batch' | 'attempts' | 'priority' | 'group'> & {
  readonly queue: number
  readonly reason: DeadReason
}

export interface Stats {
  published: number
  acked: number
  dead: number
  expired: number
  dropped: number
  carried: number
  /** Of the dropped, dead letters that nobody keeps. */
  unkept: number
  firstPublishedAt?: Timestamp
  lastSettledAt?: Timestamp
}

export interface BarrierTerms {
  readonly rest?: BatchRest
  readonly forward?: readonly string[]
  /** How many parties it is one of where it goes on. */
  readonly forwardParties?: number
  /** The batches it has closed on its way here (B15). */
  readonly batches?: readonly { readonly queue: string; readonly outcome: string }[]
}

export interface Barrier {
  readonly sequence: number
  readonly batch: number
  readonly name: string | undefined
  readonly color: number
  readonly publishedAt: Timestamp
  readonly terms: BarrierTerms
  readonly parties: { readonly count: number; readonly arrived: readonly Arrival[] } | undefined
  deadlineAt: Timestamp
  /** Its batch was ended early. */
  ended: { readonly outcome: string; readonly rest: BatchRest } | undefined
}

/** A barrier whose parties are still coming: it has no place, and holds nothing (B14). */
export interface Gathering {
  readonly name: string
  readonly count: number
  deadlineAt: Timestamp
  readonly arrivals: Arrival[]
}

/** One party of a barrier has come. */
export interface Arrival {
  readonly sequence: number
  readonly party: string
  readonly color: number
  readonly terms: BarrierTerms
}

export interface BarrierRecord extends Barrier {
  readonly outcome: string
  readonly stats: Stats
  readonly releasedAt: Timestamp
  releasedIn: TurnNumber
}

export interface Subscription {
  readonly id: number
  readonly queue: string
  readonly concurrency: number
  readonly leaseMs: number | undefined
  /** A pull: what it gets is never given back as credit. */
  readonly isPull: boolean
  prefetch: number
  /** Colours it takes, as bits; undefined: everything. */
  filter: number | undefined
  isStalled: boolean
  /** A pull that was answered: it gets nothing more, and keeps what it holds. */
  isClosed: boolean
  /** Delivery number of its next message. */
  next: number
  lastRests: TurnNumber
  /** Deliveries whose lease was lost, and their messages. */
  readonly lost: Map<number, number>
  /** Deliveries of an at-most-once queue whose credit is not back (D9). */
  spent: (Pick<Message, 'sequence' | 'batch' | 'attempts'> & {
    readonly delivery: number
    readonly at: Timestamp
    readonly rests: TurnNumber
  })[]
}

export const NO_STATS: Stats = { published: 0, acked: 0, dead: 0, expired: 0, dropped: 0, carried: 0, unkept: 0 }

/** Number of the batch that is open. */
export function open(queue: Queue): number {
  return queue.released + queue.waiting.length
}

/** What is left of the batch goes, and is not given out any more (B13). */
export function isEnding(queue: Queue, batch: number): boolean {
  const { ended } = queue.waiting[batch - queue.released] ?? {}
  return ended !== undefined && ended.rest !== 'carry'
}
