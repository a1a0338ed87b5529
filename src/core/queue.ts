import { Arrivals } from './arrivals.ts'
import { Barriers, recordOf, type WaitingBarrier } from './barriers.ts'
import { Batch } from './batch.ts'
import { Consumers } from './consumers.ts'
import { Dedupe } from './dedupe.ts'
import { Delayed } from './delayed.ts'
import { dispatch } from './dispatch.ts'
import { Endings, WORK_MAX } from './endings.ts'
import type {
  BarrierRecord,
  BatchNumber,
  DeadReason,
  QueueId,
  Sequence,
  SettledReason,
  Timestamp,
  TurnNumber,
} from './facts.ts'
import type { HeapItem } from './heap.ts'
import { invariant } from './invariant.ts'
import type { QueueOptions } from './options.ts'
import { Ordered } from './ordered.ts'
import { Producers } from './producers.ts'
import { compareExpiry, type Expiring } from './ready.ts'
import { isSpent, retryDelayMs } from './retry.ts'
import { cutFront, type Run } from './run.ts'
import { Settling } from './settling.ts'
import { compareDeadlines, type Held, type Subscription } from './subscription.ts'
import type { Turn } from './turn.ts'

/** What a queue asks of the broker: the one thing it cannot do alone is to reach another queue. */
export interface QueueHost {
  /** Every turn up to it is on disk. */
  readonly committed: TurnNumber
  /** Moves each message of the run to the dead letters of the queue, or drops it there. */
  deadLetter(turn: Turn, now: Timestamp, queue: Queue, run: Run, reason: DeadReason, detail?: string): void
  /** A dead letter has left the queue that had taken it in. */
  deadLetterGone(run: Run): void
  /** A released barrier goes on to the queues it names. */
  forward(turn: Turn, now: Timestamp, queue: Queue, barrier: WaitingBarrier, record: BarrierRecord): void
}

/** One queue: what comes in, who gets it, how it ends. Every method leaves it with nothing left to do. */
export class Queue implements HeapItem {
  readonly id: QueueId
  readonly name: string
  readonly declaredAt: Timestamp
  options: QueueOptions
  consumers: Consumers
  readonly barriers: Barriers = new Barriers()
  readonly producers: Producers
  readonly dedupe: Dedupe
  readonly delayed: Delayed = new Delayed()
  readonly expiring: Expiring = new Ordered(compareExpiry)
  readonly arrivals: Arrivals = new Arrivals(this)
  readonly settling: Settling = new Settling(this)
  readonly endings: Endings = new Endings(this)
  /** From the one in turn, which alone gives out messages, to the open one; their numbers have no gaps. */
  readonly batches: Batch[]
  readonly leases: Ordered<Held> = new Ordered<Held>(compareDeadlines)
  /** Pulls that were answered and hold something. */
  readonly pulls: Set<Subscription> = new Set()
  isPaused = false
  leased = 0
  /** Live messages, and bytes of their bodies. */
  messages = 0
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

  constructor(terms: { id: QueueId; name: string; options: QueueOptions; declaredAt: Timestamp; host: QueueHost }) {
    this.id = terms.id
    this.name = terms.name
    this.options = terms.options
    this.declaredAt = terms.declaredAt
    this.#host = terms.host
    this.batches = [this.newBatch(0)]
    this.consumers = new Consumers(terms.options.fairness)
    this.producers = new Producers(terms.id)
    this.dedupe = new Dedupe(terms.id)
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

  newBatch(number: BatchNumber): Batch {
    return new Batch(number, this.expiring)
  }

  /** The unreleased batch of this number. */
  batchAt(number: BatchNumber): Batch {
    const batch = this.batches[number - this.head.number]
    invariant(batch !== undefined, `batch ${number} is not released and was begun`)
    return batch
  }

  get nextDeadline(): Timestamp {
    if (this.isSearching || this.endings.isBusy) return 0
    const never = Number.POSITIVE_INFINITY
    return Math.min(
      this.leases.first?.deadline ?? never,
      this.expiring.first?.expiresAt ?? never,
      this.delayed.nextAt,
      this.barriers.nextDeadline,
      this.dedupe.nextDeadline(this.options),
    )
  }

  update(options: QueueOptions): void {
    const { fairness } = this.options
    this.options = options
    if (options.fairness !== fairness) this.consumers = this.consumers.rebuilt(options.fairness)
    for (const subscription of this.consumers.all) {
      if (subscription.prefetch > options.prefetchMax) this.consumers.setPrefetch(subscription, options.prefetchMax)
    }
  }

  // ── where messages are ─────────────────────────────────────────────────────────────────────────────────────────

  /** Messages come in. */
  arrive(turn: Turn, run: Run, now: Timestamp): void {
    this.messages += run.count
    this.bytes += run.bytes
    // Of a group each goes its own way.
    while (run.group !== undefined && run.count > 1) this.#place(turn, cutFront(run, 1), now)
    this.#place(turn, run, now)
  }

  #place(turn: Turn, run: Run, now: Timestamp): void {
    if (run.expiresAt <= now) this.deadLetter(turn, now, run, 'expired')
    else this.put(run, now)
  }

  /** Puts messages where they belong: behind the head of their group, out of sight, or in their place among the ready. */
  put(run: Run, now: Timestamp): void {
    if (run.group !== undefined && !run.isHead && !run.batch.groups.enter(run)) {
      if (run.expiresAt !== Number.POSITIVE_INFINITY) this.expiring.add(run)
      return
    }
    if (run.dueAt > now) {
      this.delayed.add(run)
      return
    }
    run.dueAt = 0
    // Before it is joined to others: lines look at the messages that came, not at what they came to.
    for (const line of this.consumers.lines.values()) line.returned(run)
    run.batch.ready.add(run, this.committed)
  }

  /** Messages are gone for good; those that waited for them come forward. */
  #gone(turn: Turn, now: Timestamp, run: Run): void {
    this.messages -= run.count
    this.bytes -= run.bytes
    if (run.origin !== undefined) this.#host.deadLetterGone(run)
    if (run.group === undefined || !run.isHead) return
    const next = run.batch.groups.next(run.group)
    if (next === undefined) return
    if (next.expiresAt !== Number.POSITIVE_INFINITY) this.expiring.delete(next)
    // A crash must not bring back what it follows: it goes out once that one's end is on disk.
    next.turn = Math.max(next.turn, turn.number)
    this.#place(turn, next, now)
  }

  /** They leave the queue, and are nowhere any more. */
  finish(turn: Turn, now: Timestamp, run: Run, reason: SettledReason): void {
    if (reason === 'acked') this.ackedTotal += run.count
    run.batch.countSettled(now, run.count, reason === 'acked' || reason === 'expired' ? reason : 'dropped')
    turn.keep({ kind: 'settled', queue: this.id, first: run.first, count: run.count, reason })
    this.#gone(turn, now, run)
  }

  deadLetter(turn: Turn, now: Timestamp, run: Run, reason: DeadReason, detail?: string): void {
    this.#host.deadLetter(turn, now, this, run, reason, detail)
  }

  /** They have been moved to another queue. */
  moved(turn: Turn, now: Timestamp, run: Run, countAs: 'dead' | 'expired'): void {
    run.batch.countSettled(now, run.count, countAs)
    this.#gone(turn, now, run)
    this.endings.deadLettered(turn, now, run.batch)
  }

  /** A dead letter of this queue goes back to its origin: not settled, but not here any more. */
  givenBack(turn: Turn, now: Timestamp, run: Run): void {
    run.batch.published -= run.count
    run.batch.isDirty = true
    this.#gone(turn, now, run)
  }

  /** Takes up to `max` messages of a batch out of their places: ready, waiting, delayed, and if wished leased ones. */
  takeLive(
    turn: Turn,
    batch: Batch,
    max: number,
    isLeasedToo: boolean,
    below: Sequence = Number.POSITIVE_INFINITY,
  ): Run[] {
    const taken: Run[] = []
    let left = max
    const wanted = (runs: Iterable<Run>) => {
      const found: Run[] = []
      let room = left
      for (const run of runs) {
        if (room <= 0) break
        if (run.batch !== batch || run.first >= below) continue
        found.push(run)
        room -= run.count
      }
      return found
    }
    const take = (run: Run) => {
      taken.push(run)
      left -= run.count
    }
    for (const run of wanted(batch.ready)) take(batch.ready.take(run, 0, Math.min(run.count, left, below - run.first)))
    for (const run of wanted(batch.groups)) {
      batch.groups.take(run)
      if (run.expiresAt !== Number.POSITIVE_INFINITY) this.expiring.delete(run)
      take(run)
    }
    for (const run of wanted(this.delayed)) {
      this.delayed.take(run)
      take(run)
    }
    if (!isLeasedToo) return taken
    for (const held of [...this.heldRuns()]) {
      if (left <= 0) break
      if (held.run.batch !== batch || held.run.first >= below || held.isSpent) continue
      this.loseLease(turn, held)
      take(held.run)
    }
    return taken
  }

  /** At the limit, with an `overflow` that makes room: the oldest ready messages go (never a leased one or a barrier). */
  makeRoom(turn: Turn, now: Timestamp): void {
    const { overflow, messagesMax = Number.POSITIVE_INFINITY, bytesMax = Number.POSITIVE_INFINITY } = this.options
    if (overflow === 'refuse') return
    while (this.messages > messagesMax || this.bytes > bytesMax) {
      const batch = this.batches.find(({ ready }) => ready.messages > 0)
      const oldest = batch?.ready.oldest
      if (batch === undefined || oldest === undefined) return
      const excess = Math.min(oldest.count, Math.max(1, this.messages - messagesMax))
      const run = batch.ready.take(oldest, 0, Number.isFinite(excess) ? excess : 1)
      if (overflow === 'drop-oldest') this.finish(turn, now, run, 'dropped')
      else this.deadLetter(turn, now, run, 'overflow')
    }
  }

  /** How much more may come in: what is beyond is refused `queue-full`. */
  get room(): { readonly messages: number; readonly bytes: number } {
    const { overflow, messagesMax = Number.POSITIVE_INFINITY, bytesMax = Number.POSITIVE_INFINITY } = this.options
    if (overflow === 'refuse') return { messages: messagesMax - this.messages, bytes: bytesMax - this.bytes }
    // What cannot be pushed out leaves no room.
    const ready = this.batches.reduce((sum, batch) => sum + batch.ready.messages, 0)
    return { messages: messagesMax - this.messages + ready, bytes: ready > 0 ? bytesMax : bytesMax - this.bytes }
  }

  // ── who gets it ────────────────────────────────────────────────────────────────────────────────────────────────

  /** Releases the barriers that are due and gives out what may go out now. Ends every command. */
  settleDown(turn: Turn, now: Timestamp): void {
    this.isSearching = false
    this.#expire(turn, now)
    if (!this.isPaused) {
      this.#release(turn, now)
      if (!this.head.isEnding) this.isSearching = dispatch(this, turn, now)
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

  /** A barrier waits, or what is known of it has changed. */
  keepBarrier(turn: Turn, batch: Batch, barrier: WaitingBarrier): void {
    const { sequence, name, publishedAt, bytes, terms, ended } = barrier
    batch.barrier = barrier
    this.barriers.put(barrier)
    turn.keep({
      kind: 'barrierPublished',
      queue: this.id,
      sequence,
      batch: batch.number,
      at: publishedAt,
      bytes,
      ...(name === undefined ? {} : { name }),
      ...(Object.keys(terms).length === 0 ? {} : { terms }),
      ...(ended === undefined ? {} : { ended }),
    })
  }

  /** B2: its batch has nothing live, nothing that waits for its credit, and no dead letter that holds. */
  #isDue(batch: Batch): boolean {
    if (batch.barrier === undefined || batch.live > 0 || batch.spent > 0) return false
    return this.options.onDead !== 'hold' || batch.holding === 0 || batch.barrier.ended !== undefined
  }

  #release(turn: Turn, now: Timestamp): void {
    for (let batch = this.head; this.#isDue(batch); batch = this.head) {
      const barrier = batch.barrier as WaitingBarrier
      const record = recordOf(barrier, batch, now)
      turn.keep({ kind: 'barrierReleased', queue: this.id, record })
      this.barriers.release(record, turn.number)
      const forgotten = this.barriers.forgetAbove(this.options.barrierRecords)
      if (forgotten !== undefined) turn.keep({ kind: 'barrierForgotten', queue: this.id, sequence: forgotten })
      this.batches.shift()
      // The counts of the released batch go; the open one's keep the next sequence number.
      this.open.isDirty = true
      this.openedIn = turn.number
      for (const subscription of this.consumers.all) {
        if (subscription.isClosed || subscription.predicate?.matchesBarrier(record) === false) continue
        subscription.lastRests = turn.number
        turn.perform({ kind: 'barrier', rests: turn.number, subscription, record, replayed: false })
      }
      turn.perform({ kind: 'released', rests: turn.number, queue: this.id, record })
      this.#host.forward(turn, now, this, barrier, record)
    }
  }

  // ── subscriptions ──────────────────────────────────────────────────────────────────────────────────────────────

  /** Sends the matching barriers released since the batch that the consumer was in (B11); returns how many are gone. */
  replay(turn: Turn, subscription: Subscription, afterBatch: BatchNumber): number {
    const { records, missed } = this.barriers.since(afterBatch, this.head.number)
    for (const { record, turn: releasedIn } of records) {
      if (subscription.predicate?.matchesBarrier(record) === false) continue
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
      if (held.isSpent) continue
      if (held.rests > this.committed) {
        // Never sent: as if nobody had had it.
        this.#place(turn, run, now)
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

  /** All live runs, wherever they are. */
  *runs(): Generator<Run, void, undefined> {
    for (const batch of this.batches) {
      yield* batch.ready
      yield* batch.groups
    }
    yield* this.delayed
    for (const { run, isSpent } of this.heldRuns()) if (!isSpent) yield run
  }

  /** Sequence numbers of what is ready, in queue order. */
  *readySequences(): Generator<Sequence, void, undefined> {
    for (const batch of this.batches)
      for (const run of batch.ready) for (let k = 0; k < run.count; k += 1) yield run.first + k
  }

  /** Everything that is out. Closed pulls are no subscriptions any more, but they hold what they got. */
  *heldRuns(): Generator<Held, void, undefined> {
    for (const subscription of this.consumers.all) yield* subscription.held
    for (const pull of this.pulls) if (!this.consumers.all.has(pull)) yield* pull.held
  }

  /**
   * A pull has its answer: it gets no more, and what it holds stays until it is settled or its lease runs out. What is
   * numbered behind `sent` never went out and goes back as if nobody had had it.
   */
  closePull(turn: Turn, now: Timestamp, subscription: Subscription, sent: number): void {
    subscription.isClosed = true
    this.consumers.delete(subscription)
    for (const held of this.settling.pieces(subscription, sent + 1, subscription.next - sent - 1)) {
      this.takeBack(held)
      if (!held.isSpent) this.#place(turn, held.run, now)
    }
    if (subscription.held.size > 0) this.pulls.add(subscription)
  }

  // ── how it ends ────────────────────────────────────────────────────────────────────────────────────────────────

  /** Takes a held run back from its subscription; it is in no place then. */
  takeBack(held: Held): void {
    const { subscription, run } = held
    subscription.held.delete(held)
    if (held.deadline !== Number.POSITIVE_INFINITY) this.leases.delete(held)
    if (!subscription.isPull) subscription.used -= run.count
    if (held.isSpent) run.batch.spent -= run.count
    else {
      run.batch.leased -= run.count
      this.leased -= run.count
    }
    if (subscription.isPull && subscription.held.size === 0) this.pulls.delete(subscription)
  }

  /** Its lease is gone, and its holder is told. */
  loseLease(turn: Turn, held: Held): void {
    const { subscription, delivery, run } = held
    this.takeBack(held)
    subscription.rememberLost(delivery, run.count, run.first)
    turn.perform({ kind: 'lease-lost', rests: 0, subscription, first: delivery, count: run.count })
    this.consumers.changed(subscription)
  }

  /** An attempt failed: it counts, and the messages come back, or go to the dead letters when no attempt is left. */
  fail(turn: Turn, now: Timestamp, run: Run, delayMs: number | undefined): void {
    run.attempts += 1
    if (isSpent(this.options, run.attempts)) this.deadLetter(turn, now, run, 'deliveries')
    else this.giveBack(turn, now, run, delayMs ?? retryDelayMs(this.options.retryDelay, run.attempts, chanceOf(run)))
  }

  /** Puts messages back that somebody has had, with the attempts they have. */
  giveBack(turn: Turn, now: Timestamp, run: Run, delayMs: number): void {
    run.delivered = true
    if (run.expiresAt <= now) {
      this.deadLetter(turn, now, run, 'expired')
      return
    }
    run.dueAt = delayMs > 0 ? Math.min(now + delayMs, run.expiresAt) : 0
    const { first, count, attempts, dueAt } = run
    turn.keep({ kind: 'returned', queue: this.id, first, count, attempts, ...(dueAt > 0 ? { dueAt } : {}) })
    this.put(run, now)
  }

  /** Nothing whose time is over goes out, or holds a barrier. */
  #expire(turn: Turn, now: Timestamp): void {
    let left = WORK_MAX
    for (
      let run = this.expiring.first;
      run !== undefined && run.expiresAt <= now && left > 0;
      run = this.expiring.first
    ) {
      const count = Math.min(run.count, left)
      left -= count
      if (run.group !== undefined && !run.isHead) {
        this.expiring.delete(run)
        run.batch.groups.take(run)
        this.deadLetter(turn, now, run, 'expired')
      } else this.deadLetter(turn, now, run.batch.ready.take(run, 0, count), 'expired')
    }
  }

  /** Carries out what was due by now: leases that ran out, delays that ended, batches that have to end. */
  tick(turn: Turn, now: Timestamp): void {
    for (let held = this.leases.first; held !== undefined && held.deadline <= now; held = this.leases.first) {
      this.loseLease(turn, held)
      if (!held.isSpent) this.fail(turn, now, held.run, 0)
    }
    for (let run = this.delayed.due(now); run !== undefined; run = this.delayed.due(now)) this.#place(turn, run, now)
    this.dedupe.forget(turn, now, this.options, WORK_MAX)
    this.endings.expire(turn, now)
    this.endings.work(turn, now)
  }
}

/** A number in [0, 1) that spreads retries, the same for the same message and attempt: the core knows no chance. */
function chanceOf(run: Run): number {
  return ((Math.imul(run.first, 2_654_435_761) + Math.imul(run.attempts, 40_503)) >>> 0) / 2 ** 32
}
