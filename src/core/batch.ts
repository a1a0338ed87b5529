import type { WaitingBarrier } from './barriers.ts'
import type { BatchNumber, BatchStats, Timestamp } from './facts.ts'
import { Groups } from './groups.ts'
import { Rate } from './rate.ts'
import { type Expiring, type Movable, Ready } from './ready.ts'

/** What all batches of a queue share, so that no command has to look at each of them: there may be many that wait. */
export interface Shared {
  readonly expiring: Expiring
  readonly movable: Movable
  /** Those whose counts have changed since they were last kept. */
  readonly dirty: Set<Batch>
}

/**
 * The messages between two barriers of a queue. Only the first batch of a queue gives out messages; that is all the
 * fence there is (B4): what stands behind a barrier stands in another batch.
 */
export class Batch {
  readonly number: BatchNumber
  readonly ready: Ready
  /** What waits behind the heads of its groups. */
  readonly groups: Groups
  leased = 0
  delayed = 0
  /** At-most-once deliveries whose credit is not back: settled, but their barrier waits for them (B18). */
  spent = 0
  /** Its dead letters that nobody has dealt with yet: they hold its barrier if the queue says so. */
  holding = 0
  /** The barrier that closes it, once it is published. */
  barrier: WaitingBarrier | undefined
  /** Settled a second. */
  readonly rate: Rate = new Rate()
  readonly #shared: Shared

  published = 0
  acked = 0
  dead = 0
  expired = 0
  dropped = 0
  carried = 0
  /** Of the dropped, the dead letters that nobody keeps: they fail a batch like those that are kept. */
  unkept = 0
  firstPublishedAt: Timestamp | undefined
  lastSettledAt: Timestamp | undefined

  constructor(number: BatchNumber, shared: Shared) {
    this.number = number
    this.ready = new Ready(shared.expiring, shared.movable)
    this.groups = new Groups(shared.movable)
    this.#shared = shared
  }

  /** Its counts have changed since they were last kept. */
  get isDirty(): boolean {
    return this.#shared.dirty.has(this)
  }

  set isDirty(isDirty: boolean) {
    if (isDirty) this.#shared.dirty.add(this)
    else this.#shared.dirty.delete(this)
  }

  /** Messages not settled: what holds its barrier. Derived from where the messages are, never kept (B3). */
  get live(): number {
    return this.ready.messages + this.groups.messages + this.leased + this.delayed
  }

  /** Its end was decided, and what is left of it goes: nothing of it is given out any more. */
  get isEnding(): boolean {
    return this.barrier?.ended !== undefined && this.barrier.ended.rest !== 'carry'
  }

  get stats(): BatchStats {
    const { published, acked, dead, expired, dropped, carried, firstPublishedAt, lastSettledAt } = this
    return {
      published,
      acked,
      dead,
      expired,
      dropped,
      carried,
      ...(firstPublishedAt === undefined ? {} : { firstPublishedAt }),
      ...(lastSettledAt === undefined ? {} : { lastSettledAt }),
    }
  }

  restore(stats: BatchStats, unkept: number): void {
    this.unkept = unkept
    this.published = stats.published
    this.acked = stats.acked
    this.dead = stats.dead
    this.expired = stats.expired
    this.dropped = stats.dropped
    this.carried = stats.carried
    this.firstPublishedAt = stats.firstPublishedAt
    this.lastSettledAt = stats.lastSettledAt
  }

  countPublished(now: Timestamp, count: number): void {
    this.published += count
    this.firstPublishedAt ??= now
    this.isDirty = true
  }

  countSettled(now: Timestamp, count: number, reason: 'acked' | 'dead' | 'expired' | 'dropped'): void {
    this[reason] += count
    this.lastSettledAt = now
    this.rate.add(now, count)
    this.isDirty = true
  }
}

export function byNumber(a: Batch, b: Batch): number {
  return a.number - b.number
}
