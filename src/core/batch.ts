import type { WaitingBarrier } from './barriers.ts'
import type { BatchNumber, BatchStats, Timestamp } from './facts.ts'
import { Rate } from './rate.ts'
import { type Expiring, Ready } from './ready.ts'

/**
 * The messages between two barriers of a queue. Only the first batch of a queue gives out messages; that is all the
 * fence there is (B4): what stands behind a barrier stands in another batch.
 */
export class Batch {
  readonly number: BatchNumber
  readonly ready: Ready
  leased = 0
  delayed = 0
  /** The barrier that closes it, once it is published. */
  barrier: WaitingBarrier | undefined
  /** Settled a second. */
  readonly rate: Rate = new Rate()
  /** Its counts have changed since they were last kept. */
  isDirty = false

  published = 0
  acked = 0
  dead = 0
  expired = 0
  dropped = 0
  carried = 0
  firstPublishedAt: Timestamp | undefined
  lastSettledAt: Timestamp | undefined

  constructor(number: BatchNumber, expiring: Expiring) {
    this.number = number
    this.ready = new Ready(expiring)
  }

  /** Messages not settled: what holds its barrier. Derived from where the messages are, never kept (B3). */
  get live(): number {
    return this.ready.messages + this.leased + this.delayed
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

  restore(stats: BatchStats): void {
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
