import { Arrivals } from './arrivals.ts'
import { Barriers, type WaitingBarrier } from './barriers.ts'
import { Batch, byNumber } from './batch.ts'
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
import { Overflow, type Room } from './overflow.ts'
import { Placing } from './placing.ts'
import { Producers } from './producers.ts'
import type { Owner } from './publishing.ts'
import { Quota } from './quota.ts'
import { compareExpiry, type Expiring, type Movable } from './ready.ts'
import { Releases } from './releases.ts'
import { Reservation } from './reservation.ts'
import { isUnsent, Returns } from './returns.ts'
import { cutFront, type Run } from './run.ts'
import { Settling } from './settling.ts'
import type { Stored } from './stored.ts'
import { compareDeadlines, type Held, type Subscription } from './subscription.ts'
import type { Turn } from './turn.ts'

/** Where a dead letter is now. */
export interface DeadLetterPlace {
  readonly queue: string
  readonly run: Run
}

/** What a queue asks of the broker: the one thing it cannot do alone is to reach another queue. */
export interface QueueHost {
  /** Every turn up to it is on disk. */
  readonly committed: TurnNumber
  /** What owners have stored in all queues. */
  readonly stored: Stored
  /** Moves each message of the run to the dead letters of the queue, or drops it there. */
  deadLetter(turn: Turn, now: Timestamp, queue: Queue, run: Run, reason: DeadReason, detail?: string): void
  /** A dead letter has left the queue that had taken it in. */
  deadLetterGone(run: Run): void
  /** Dead letters that came from this batch and that nobody has dealt with. */
  deadLettersOf(queue: Queue, batch: Batch): Iterable<DeadLetterPlace>
  /** A released barrier goes on to the queues it names, and is told of where its queue says. */
  released(turn: Turn, now: Timestamp, queue: Queue, barrier: WaitingBarrier, record: BarrierRecord): void
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
  readonly movable: Movable = { messages: 0, bytes: 0 }
  readonly dirty: Set<Batch> = new Set()
  readonly arrivals: Arrivals = new Arrivals(this)
  readonly placing: Placing = new Placing(this)
  readonly settling: Settling = new Settling(this)
  readonly endings: Endings = new Endings(this)
  readonly overflow: Overflow = new Overflow(this)
  readonly returns: Returns = new Returns(this)
  readonly releases: Releases
  /** From the one in turn, which alone gives out messages, to the open one; their numbers have no gaps. */
  readonly batches: Batch[]
  readonly leases: Ordered<Held> = new Ordered<Held>(compareDeadlines)
  /** Pulls that were answered and hold something. */
  readonly pulls: Set<Subscription> = new Set()
  isPaused = false
  /** Nobody has declared it yet: it is there because another queue names it, or sent it something. */
  isImplicit = false
  leased = 0
  /** Live messages, and bytes of their bodies. */
  messages = 0
  bytes = 0
  nextSequence: Sequence = 1
  readonly reservation: Reservation = new Reservation()
  /** Messages below it may have been delivered by a server that did not stop in peace (D5). */
  suspectBelow: Sequence = 0
  publishedTotal = 0
  ackedTotal = 0
  /** Not all that may go out has gone, or a search by filters is not at its end: it goes on in the next turn. */
  isGivingOut = false
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
    this.releases = new Releases(this, (turn, now, barrier, record) =>
      terms.host.released(turn, now, this, barrier, record),
    )
    this.batches = [this.newBatch(0)]
    this.consumers = new Consumers(terms.options)
    this.producers = new Producers(terms.id)
    this.dedupe = new Dedupe(terms.id)
  }

  get committed(): TurnNumber {
    return this.#host.committed
  }

  get head(): Batch {
    return this.batches[0] as Batch
  }

  /**
   * Number of the batch in turn, as far as that is on disk: whoever was told of one behind a release that a crash then takes
   * back would not be told of that barrier (B11).
   */
  get batchOnDisk(): BatchNumber {
    if (this.openedIn > this.committed)
      for (const { record, turn } of this.barriers.records()) if (turn > this.committed) return record.batch
    return this.head.number
  }

  get open(): Batch {
    return this.batches[this.batches.length - 1] as Batch
  }

  newBatch(number: BatchNumber): Batch {
    return new Batch(number, this)
  }

  /** The unreleased batch of this number. */
  batchAt(number: BatchNumber): Batch {
    const batch = this.batches[number - this.head.number]
    invariant(batch !== undefined, `batch ${number} is not released and was begun`)
    return batch
  }

  /** Long work is not at its end: it goes on in the next turn. */
  get isBusy(): boolean {
    return this.isGivingOut || this.endings.isBusy || this.overflow.isBusy
  }

  get nextDeadline(): Timestamp {
    if (this.isBusy) return 0
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
    // What waits is looked at anew: a dead letter of before may fail its batch now.
    if (options.onDead !== this.options.onDead) for (const batch of this.batches) batch.isDirty = true
    this.options = options
    this.consumers = this.consumers.rebuilt(options)
  }

  /** Messages that a purge takes: of the waiting batches all, of the open one what is not out, or that too. */
  purgeable(isLeasedToo: boolean): number {
    const { open } = this
    const live = this.batches.reduce((sum, batch) => sum + batch.live, 0)
    return isLeasedToo ? live : live - open.leased
  }

  // ── where messages are ─────────────────────────────────────────────────────────────────────────────────────────

  /** Messages are here from now on. */
  count(run: Run): void {
    this.messages += run.count
    this.bytes += run.bytes
    if (run.owned !== undefined) this.#host.stored.add(run.owned, run.count)
  }

  /** Messages come in. */
  arrive(turn: Turn, run: Run, now: Timestamp): void {
    this.count(run)
    // Of a group each goes its own way.
    while (run.group !== undefined && run.count > 1) this.place(turn, cutFront(run, 1), now)
    this.place(turn, run, now)
  }

  /** Puts messages where they belong, unless their time is over. */
  place(turn: Turn, run: Run, now: Timestamp): void {
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

  /** Takes out a message that waits behind the head of its group. */
  takeWaiting(run: Run): void {
    run.batch.groups.take(run)
    if (run.expiresAt !== Number.POSITIVE_INFINITY) this.expiring.delete(run)
  }

  /** Messages are gone for good; those that waited for them come forward. */
  #gone(turn: Turn, now: Timestamp, run: Run): void {
    this.messages -= run.count
    this.bytes -= run.bytes
    if (run.owned !== undefined) this.#host.stored.remove(run.owned, run.count)
    if (run.origin !== undefined) this.#host.deadLetterGone(run)
    if (run.group === undefined || !run.isHead) return
    const next = run.batch.groups.next(run.group)
    if (next === undefined) return
    if (next.expiresAt !== Number.POSITIVE_INFINITY) this.expiring.delete(next)
    // A crash must not bring back what it follows: it goes out once that one's end is on disk.
    next.turn = Math.max(next.turn, turn.number)
    this.put(next, now)
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
  }

  /** A dead letter of this queue goes back to its origin: not settled, but not here any more. */
  givenBack(turn: Turn, now: Timestamp, run: Run): void {
    run.batch.published -= run.count
    run.batch.isDirty = true
    this.#gone(turn, now, run)
  }

  /** How much more may come in: what is beyond is refused `queue-full`. */
  get room(): Room {
    return this.overflow.room
  }

  /**
   * What an owner may still have stored, in any queue; undefined where nothing limits it.
   *
   * @param ending what of it the same command ends, in bytes
   */
  quotaOf(owner: Owner | undefined, ending = 0): Quota | undefined {
    return owner && new Quota(owner, this.#host.stored.of(owner.name) - ending)
  }

  // ── who gets it ────────────────────────────────────────────────────────────────────────────────────────────────

  /** Releases the barriers that are due and gives out what may go out now. Ends every command. */
  settleDown(turn: Turn, now: Timestamp): void {
    this.isGivingOut = false
    this.#expire(turn, now)
    this.#giveOut(turn, now)
    // Behind that: what somebody can take now need not be pushed out.
    if (this.overflow.makeRoom(turn, now)) this.#giveOut(turn, now)
    for (const batch of [...this.dirty].sort(byNumber)) {
      batch.isDirty = false
      turn.keep({
        kind: 'batchCounted',
        queue: this.id,
        batch: batch.number,
        nextSequence: this.reservation.below(this.nextSequence),
        stats: batch.stats,
        ...(batch.unkept === 0 ? {} : { unkept: batch.unkept }),
      })
    }
  }

  #giveOut(turn: Turn, now: Timestamp): void {
    this.endings.failBatches(turn)
    if (this.isPaused) return
    this.releases.release(turn, now)
    if (!this.head.isEnding) this.isGivingOut = dispatch(this, turn, now)
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

  // ── what is there ──────────────────────────────────────────────────────────────────────────────────────────────

  /** Dead letters that came from this batch and that nobody has dealt with. */
  deadLettersOf(batch: Batch): Iterable<DeadLetterPlace> {
    return this.#host.deadLettersOf(this, batch)
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

  closePull(turn: Turn, now: Timestamp, subscription: Subscription, sent: number): void {
    this.returns.closePull(turn, now, subscription, sent)
  }

  /** Nobody gets anything any more, and what is out comes back: the server ends. */
  stop(turn: Turn, now: Timestamp): void {
    for (const subscription of this.consumers.all) this.settling.cutUnsent(subscription)
    const out = [...this.heldRuns()]
    for (const subscription of [...this.consumers.all]) {
      subscription.isClosed = true
      this.consumers.delete(subscription)
    }
    for (const held of out) {
      this.returns.takeBack(held)
      if (held.isSpent) continue
      if (held.rests > this.committed || isUnsent(held)) this.put(held.run, now)
      else this.returns.giveBack(turn, now, held.run, 0)
    }
    this.reservation.giveBack()
    for (const batch of this.batches) batch.isDirty = true
  }

  // ── how it ends ────────────────────────────────────────────────────────────────────────────────────────────────

  loseLease(turn: Turn, held: Held): void {
    this.returns.loseLease(turn, held)
  }

  giveBack(turn: Turn, now: Timestamp, run: Run, delayMs: number): void {
    this.returns.giveBack(turn, now, run, delayMs)
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
        this.takeWaiting(run)
        this.deadLetter(turn, now, run, 'expired')
      } else this.deadLetter(turn, now, run.batch.ready.take(run, 0, count), 'expired')
    }
  }

  /** Carries out what was due by now: leases that ran out, delays that ended, batches that have to end. */
  tick(turn: Turn, now: Timestamp): void {
    this.returns.expire(turn, now)
    for (let run = this.delayed.due(now); run !== undefined; run = this.delayed.due(now)) this.place(turn, run, now)
    this.dedupe.forget(turn, now, this.options, WORK_MAX)
    this.endings.expire(turn, now)
    this.endings.work(turn, now)
  }
}
