import type { BarrierRecord, BatchNumber, Sequence, Timestamp } from '../core/facts.ts'
import type { Refusal } from '../core/refusals.ts'
import type { Holdout, Progress } from '../core/snapshot.ts'
import type { Right } from './principal.ts'

/*
 * What somebody sees who looks at the server as a whole: pages of batches, queues and clients, each of bounded length.
 */

/** Which part of a list: those whose queue has this text in its name, `limit` of them from `first` (from 0). */
export interface OverviewChoice {
  readonly text?: string
  /** Of queues: those with live messages, those that are paused, those with dead letters. */
  readonly only?: 'busy' | 'paused' | 'dead'
  readonly first: number
  readonly limit: number
}

export interface OverviewPage<T> {
  /** Of all pages. */
  readonly total: number
  readonly items: readonly T[]
}

/** Sums over the queues of which one may see everything; at most a second old. */
export interface OverviewTotals {
  readonly queues: number
  readonly paused: number
  /** Live messages, and those of them that are out. */
  readonly live: number
  readonly leased: number
  readonly dead: number
  readonly subscriptions: number
  readonly barriersWaiting: number
  /** Since the server started. */
  readonly published: number
  readonly acked: number
}

/** A message that holds a barrier; times are absolute, so that what has not changed is the same text. */
export interface OverviewHoldout extends Omit<Holdout, 'holder' | 'leaseAgeMs'> {
  readonly holder?: string
  readonly leasedAt?: Timestamp
}

/** A batch that is not released: its barrier waits, or its parties gather, or nobody has published one yet. */
export interface OpenBatch {
  readonly queue: string
  readonly isPaused: boolean
  readonly rights: readonly Right[]
  readonly subscriptions: number
  readonly state: 'waiting' | 'gathering' | 'open'
  /** In turn: its messages are given out. Others stand behind a barrier. */
  readonly isHead: boolean
  readonly name?: string
  /** Of the barrier; absent of an open batch. */
  readonly sequence?: Sequence
  readonly batch: BatchNumber
  /** Of the barrier, and of the first message. */
  readonly publishedAt?: Timestamp
  readonly firstPublishedAt?: Timestamp
  readonly deadlineAt?: Timestamp
  readonly parties?: { readonly count: number; readonly arrived: number }
  readonly forward: readonly string[]
  readonly progress: Progress
  /** Messages of later batches, which this barrier holds back. */
  readonly behind: number
  /** The first few, where they are quickly found: of the batch in turn, unless very much of the queue is out. */
  readonly holdouts?: readonly OverviewHoldout[]
}

export interface ReleasedBatch {
  readonly queue: string
  readonly record: Omit<BarrierRecord, 'bytes' | 'parties'>
}

export interface QueueRow {
  readonly name: string
  readonly isPaused: boolean
  readonly rights: readonly Right[]
  /** Absent for whoever may not see every message. */
  readonly counts?: {
    readonly ready: number
    readonly leased: number
    readonly delayed: number
    readonly bytes: number
    readonly subscriptions: number
    readonly barriersWaiting: number
    readonly published: number
    readonly acked: number
    /** What its dead-letter queue holds. */
    readonly dead: number
  }
}

export interface ConsumerRow {
  /** Of the peer, as it calls itself. */
  readonly name: string
  readonly prefetch: number
  /** Deliveries that it has not settled, and since when it has the oldest. */
  readonly used: number
  readonly leasedAt?: Timestamp
  readonly filter?: string
  readonly isPull: boolean
  /** Its socket takes nothing now (D11). */
  readonly isStalled: boolean
}

/** One queue in time: what was released, what waits, what is open; the latest last. */
export interface Lane {
  readonly queue: string
  readonly released: readonly ReleasedBatch[]
  readonly open: readonly OpenBatch[]
}

export interface ClientRow {
  readonly id: number
  readonly name: string
  readonly protocol: string
  readonly principal?: string
  readonly since: Timestamp
  readonly subscriptions: readonly { readonly queue: string; readonly prefetch: number; readonly used: number }[]
}

/** What one party may look at. Nothing is changed or refused by looking: what it may not see is not there. */
export interface Overview {
  /** Now, by the clock that all times are of. */
  readonly now: Timestamp
  /** Who looks, if that is known. */
  readonly principal: string | undefined
  totals(): OverviewTotals
  /** Those whose barrier waits first, then those that gather, then those without a barrier; each by name of queue. */
  batches(choice: OverviewChoice): OverviewPage<OpenBatch>
  /** The last one of each queue, the latest first. */
  released(limit: number): readonly ReleasedBatch[]
  queues(choice: OverviewChoice): OverviewPage<QueueRow>
  row(queue: string): QueueRow | Refusal
  consumers(queue: string, limit: number): OverviewPage<ConsumerRow>
  /** Of queues that have or had barriers. */
  lanes(choice: OverviewChoice): OverviewPage<Lane>
  lane(queue: string): Lane | Refusal
  /** Only for those who may do everything. */
  clients(choice: OverviewChoice): OverviewPage<ClientRow> | Refusal
}
