import { Arrivals } from './arrivals.ts'
import { Barriers, recordOf } from './barriers.ts'
import { Batch } from './batch.ts'
import { Consumers } from './consumers.ts'
import { Delayed } from './delayed.ts'
import { dispatch } from './dispatch.ts'
import type { BatchNumber, DeadReason, QueueId, Sequence, Timestamp, TurnNumber } from './facts.ts'
import type { HeapItem } from './heap.ts'
import { invariant } from './invariant.ts'
import type { QueueOptions } from './options.ts'
import { Ordered } from './ordered.ts'
import { Producers } from './producers.ts'
import type { Publish, PublishAnswer } from './publishing.ts'
import { compareExpiry, type Expiring } from './ready.ts'
import { isSpent, retryDelayMs } from './retry.ts'
import { cutFront, type Run } from './run.ts'
import { type Settle, type SettleResult, Settling } from './settling.ts'
import { compareDeadlines, type Fate, type Held, type Subscription } from './subscription.ts'
import type { Turn } from './turn.ts'

/** What a queue asks of the broker: the one thing it cannot do alone is to reach another queue. */
export interface QueueHost {
  /** Every turn up to it is on disk. */
  readonly committed: TurnNumber
  /** Moves each message of the run to the dead letters of the queue, or drops it there. */
  deadLetter(turn: Turn, now: Timestamp, queue: Queue, run: Run, reason: DeadReason, detail?: string): void
}

/** One queue: what comes in, who gets it, how it ends. Every method leaves it with nothing left to do. */
export class Queue implements HeapItem {
  readonly id: QueueId
  readonly name: string
  readonly options: QueueOptions
  readonly declaredAt: Timestamp
  readonly consumers: Consumers
  readonly barriers: Barriers = new Barriers()
  readonly producers: Producers
  readonly delayed: Delayed = new Delayed()
  /** From the one in turn, which alone gives out messages, to the open one; their numbers have no gaps. */
  readonly batches: Batch[]
  readonly expiring: Expiring = new Ordered(compareExpiry)
  readonly arrivals: Arrivals = new Arrivals(this)
  readonly leases: Ordered<Held> = new Ordered<Held>(compareDeadlines)
  /** Pulls that were answered and hold something. */
  readonly pulls: Set<Subscription> = new Set()
  isPaused = false
  leased = 0
  /** Of bodies, live. */
  bytes = 0
  nextSequence: Sequence = 1
  publishedTotal = 0
  ackedTotal = 0
  /** A search by filters has not come to its end: it goes on in the next turn. */
  isSearching = false
  /** Turn of the last release: what stands behind that barrier rests on it (B9). */
  openedIn: TurnNumber = 0
  /** Place among the deadlines of all queues. */
  heapAt = -1
  deadline: Timestamp = Number.POSITIVE_INFINITY
  readonly #host: QueueHost
  readonly #settling: Settling

  constructor(terms: { id: QueueId; name: string; options: QueueOptions; declaredAt: Timestamp; host: QueueHost }) {
    this.id = terms.id
    this.name = terms.name
    this.options = terms.options
    this.declaredAt = terms.declaredAt
    this.#host = terms.host
    this.batches = [this.newBatch(0)]
    this.consumers = new Consumers(terms.options.fairness)
    this.producers = new Producers(terms.id)
    this.#settling = new Settling(this)
  }

  get committed(): TurnNumber {
    return this.#host.committed
  }

  get head(): Batch {
    return this.batches[0] as Batch
  }

  get open(): Batch {
    return this.batches[this.batches.length - 1] as Batch
  }

  /** The unreleased batch of this number. */
  batchAt(number: BatchNumber): Batch {
    const batch = this.batches[number - this.head.number]
    invariant(batch !== undefined, `batch ${number} is not released and was begun`)
    return batch
  }

  get nextDeadline(): Timestamp {
    if (this.isSearching) return 0
    const never = Number.POSITIVE_INFINITY
    return Math.min(this.leases.first?.deadline ?? never, this.expiring.first?.expiresAt ?? never, this.delayed.nextAt)
  }

  // ── coming in ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** Takes what may come in and answers for each stretch of it, in order; see `Arrivals`. */
  publish(turn: Turn, publish: Publish, batch?: Batch): PublishAnswer[] {
    return this.arrivals.publish(turn, publish, batch)
  }

  newBatch(number: BatchNumber): Batch {
    return new Batch(number, this.expiring)
  }

  /** Puts messages where they belong: out of sight, in their place among the ready ones, or away if their time is over. */
  place(turn: Turn, run: Run, now: Timestamp): void {
    if (run.expiresAt <= now) this.#host.deadLetter(turn, now, this, run, 'expired')
    else this.put(run, now)
  }

  /** The same without a turn: what has expired meanwhile does so at the next tick. */
  put(run: Run, now: Timestamp): void {
    this.bytes += run.bytes
    if (run.dueAt > now) {
      this.delayed.add(run)
      return
    }
    run.dueAt = 0
    // Before it is joined to others: lines look at the messages that came, not at what they came to.
    for (const line of this.consumers.lines.values()) line.returned(run)
    run.batch.ready.add(run, this.committed)
  }

  // ── who gets it ────────────────────────────────────────────────────────────────────────────────────────────────

  /** Releases the barriers that are due and gives out what may go out now. Ends every command. */
  settleDown(turn: Turn, now: Timestamp): void {
    this.isSearching = false
    this.#expire(turn, now)
    if (!this.isPaused) {
      this.#release(turn, now)
      this.isSearching = dispatch(this, turn, now)
    }
    for (const batch of this.batches) {
      if (!batch.isDirty) continue
      batch.isDirty = false
      turn.keep({
        kind: 'batchCounted',
        queue: this.id,
        batch: batch.number,
        nextSequence: this.nextSequence,
        stats: batch.stats,
      })
    }
  }

  #release(turn: Turn, now: Timestamp): void {
    for (let batch = this.head; batch.barrier !== undefined && batch.live === 0; batch = this.head) {
      const record = recordOf(batch.barrier, batch, now)
      turn.keep({ kind: 'barrierReleased', queue: this.id, record })
      this.barriers.release(record, turn.number)
      const forgotten = this.barriers.forgetAbove(this.options.barrierRecords)
      if (forgotten !== undefined) turn.keep({ kind: 'barrierForgotten', queue: this.id, sequence: forgotten })
      this.batches.shift()
      // The counts of the released batch go; the open one's keep the next sequence number.
      this.open.isDirty = true
      this.openedIn = turn.number
      for (const subscription of this.consumers.all) {
        if (subscription.isClosed || subscription.predicate?.matchesBarrier(record.bytes) === false) continue
        subscription.lastRests = turn.number
        turn.perform({ kind: 'barrier', rests: turn.number, subscription, record, replayed: false })
      }
      turn.perform({ kind: 'released', rests: turn.number, queue: this.id, record })
    }
  }

  // ── subscriptions ──────────────────────────────────────────────────────────────────────────────────────────────

  subscribe(subscription: Subscription): void {
    this.consumers.add(subscription)
  }

  /** Sends the matching barriers released since the batch that the consumer was in (B11); returns how many are gone. */
  replay(turn: Turn, subscription: Subscription, afterBatch: BatchNumber): number {
    const { records, missed } = this.barriers.since(afterBatch, this.head.number)
    for (const { record, turn: releasedIn } of records) {
      if (subscription.predicate?.matchesBarrier(record.bytes) === false) continue
      subscription.lastRests = Math.max(subscription.lastRests, releasedIn)
      turn.perform({ kind: 'barrier', rests: subscription.lastRests, subscription, record, replayed: true })
    }
    return missed
  }

  /** Ends a subscription: everything it holds is ready again, in its place. `isGone`: its connection ended (D6, D10). */
  unsubscribe(turn: Turn, now: Timestamp, subscription: Subscription, isGone: boolean): void {
    subscription.isClosed = true
    this.consumers.delete(subscription)
    let counted = isGone ? subscription.concurrency : 0
    for (let held = subscription.held.first; held !== undefined; held = subscription.held.first) {
      const { run } = held
      this.takeBack(held)
      if (held.rests > this.committed) {
        // Never sent: as if nobody had had it.
        this.place(turn, run, now)
        continue
      }
      if (counted > 0) {
        const tried = run.count > counted ? cutFront(run, counted) : run
        counted -= tried.count
        this.fail(turn, now, tried, 0)
        if (tried === run) continue
      }
      this.giveBack(turn, now, run, 0)
    }
  }

  /** Sequence numbers of what is ready, in queue order. */
  *readySequences(): Generator<Sequence, void, undefined> {
    for (const batch of this.batches)
      for (const run of batch.ready) for (let k = 0; k < run.count; k += 1) yield run.first + k
  }

  /** Everything that is out. Closed pulls are no subscriptions any more, but they hold what they got. */
  *heldRuns(): Generator<Held, void, undefined> {
    for (const holder of new Set([...this.consumers.all, ...this.pulls])) yield* holder.held
  }

  /**
   * A pull has its answer: it gets no more, and what it holds stays until it is settled or its lease runs out. What is
   * numbered behind `sent` never went out and goes back as if nobody had had it.
   */
  closePull(turn: Turn, now: Timestamp, subscription: Subscription, sent: number): void {
    subscription.isClosed = true
    this.consumers.delete(subscription)
    for (const held of this.#settling.pieces(subscription, sent + 1, subscription.next - sent - 1)) {
      this.takeBack(held)
      this.place(turn, held.run, now)
    }
    if (subscription.held.size > 0) this.pulls.add(subscription)
  }

  // ── how it ends ────────────────────────────────────────────────────────────────────────────────────────────────

  settle(turn: Turn, now: Timestamp, subscription: Subscription, settle: Settle): SettleResult[] {
    return this.#settling.settle(turn, now, subscription, settle)
  }

  /** The first of these deliveries that is not held any more; undefined when all are. */
  unheld(subscription: Subscription, first: number, count: number): Fate | undefined {
    let at = first
    for (const held of this.#settling.pieces(subscription, first, count)) {
      if (held.delivery > at) break
      at = held.delivery + held.run.count
    }
    return at >= first + count ? undefined : subscription.fates(at, first + count - at)[0]
  }

  /** The earliest batch of these deliveries: work that makes work stays in it (B16). */
  earliestBatch(
    claims: readonly { readonly subscription: Subscription; readonly deliveries: Settle['deliveries'] }[],
  ): Batch | undefined {
    let earliest: Batch | undefined
    for (const { subscription, deliveries } of claims) {
      for (const { first, count } of deliveries) {
        for (const { run } of this.#settling.pieces(subscription, first, count)) {
          if (earliest === undefined || run.batch.number < earliest.number) earliest = run.batch
        }
      }
    }
    return earliest
  }

  /** Takes a held run back from its subscription; it is in no place then. */
  takeBack(held: Held): void {
    const { subscription, run } = held
    subscription.held.delete(held)
    if (held.deadline !== Number.POSITIVE_INFINITY) this.leases.delete(held)
    if (!subscription.isPull) subscription.used -= run.count
    run.batch.leased -= run.count
    this.leased -= run.count
    this.bytes -= run.bytes
    if (subscription.isPull && subscription.held.size === 0) this.pulls.delete(subscription)
  }

  /** An attempt failed: it counts, and the messages come back, or go to the dead letters when no attempt is left. */
  fail(turn: Turn, now: Timestamp, run: Run, delayMs: number | undefined): void {
    run.attempts += 1
    if (isSpent(this.options, run.attempts)) {
      this.#host.deadLetter(turn, now, this, run, 'deliveries')
      return
    }
    this.giveBack(turn, now, run, delayMs ?? retryDelayMs(this.options.retryDelay, run.attempts, chanceOf(run)))
  }

  /** Puts messages back that somebody has had, with the attempts they have. */
  giveBack(turn: Turn, now: Timestamp, run: Run, delayMs: number): void {
    run.delivered = true
    run.dueAt = delayMs > 0 ? Math.min(now + delayMs, run.expiresAt) : 0
    if (run.expiresAt <= now) {
      this.#host.deadLetter(turn, now, this, run, 'expired')
      return
    }
    const { first, count, attempts, dueAt } = run
    turn.keep({ kind: 'returned', queue: this.id, first, count, attempts, ...(dueAt > 0 ? { dueAt } : {}) })
    this.put(run, now)
  }

  reject(turn: Turn, now: Timestamp, run: Run, detail: string | undefined): void {
    run.attempts += 1
    this.#host.deadLetter(turn, now, this, run, 'rejected', detail)
  }

  /** Nothing whose time is over goes out, or holds a barrier. */
  #expire(turn: Turn, now: Timestamp): void {
    for (let run = this.expiring.first; run !== undefined && run.expiresAt <= now; run = this.expiring.first) {
      const expired = run.batch.ready.take(run, 0, run.count)
      this.bytes -= expired.bytes
      this.#host.deadLetter(turn, now, this, expired, 'expired')
    }
  }

  /** Carries out what was due by now: leases that ran out, delays that ended. */
  tick(turn: Turn, now: Timestamp): void {
    for (let held = this.leases.first; held !== undefined && held.deadline <= now; held = this.leases.first) {
      const { subscription, delivery, run } = held
      this.takeBack(held)
      subscription.rememberLost(delivery, run.count)
      turn.perform({ kind: 'lease-lost', rests: 0, subscription, first: delivery, count: run.count })
      this.consumers.changed(subscription)
      this.fail(turn, now, run, 0)
    }
    for (let run = this.delayed.due(now); run !== undefined; run = this.delayed.due(now)) {
      this.bytes -= run.bytes
      this.place(turn, run, now)
    }
  }
}

/** A number in [0, 1) that spreads retries, the same for the same message and attempt: the core knows no chance. */
function chanceOf(run: Run): number {
  return ((Math.imul(run.first, 2_654_435_761) + Math.imul(run.attempts, 40_503)) >>> 0) / 2 ** 32
}
