import { Announcing } from './announcing.ts'
import { type AtomicTerms, firstRefusal, publishAtomic } from './atomic.ts'
import type { WaitingBarrier } from './barriers.ts'
import type { Batch } from './batch.ts'
import type { AtomicPart, CarriedPublish, Lookup, SettleAnswer } from './commands.ts'
import { DeadLetters } from './dead-letters.ts'
import type { BarrierRecord, BatchRest, DeadReason, Fact, QueueId, Sequence, Timestamp, TurnNumber } from './facts.ts'
import { Forwarding } from './forwarding.ts'
import { Heap } from './heap.ts'
import { invariant } from './invariant.ts'
import { type Numbering, Numbers } from './numbering.ts'
import { DEFAULT_OPTIONS, type QueueOptions } from './options.ts'
import type { Publish, PublishAnswer } from './publishing.ts'
import { type DeadLetterPlace, Queue, type QueueHost } from './queue.ts'
import { type Refusal, refuse } from './refusals.ts'
import { Restoring } from './restoring.ts'
import type { Run } from './run.ts'
import type { Claim, SettleHow } from './settling.ts'
import { Stored } from './stored.ts'
import { Subscription, type SubscriptionTerms } from './subscription.ts'
import type { Turn } from './turn.ts'

export type { AtomicTerms } from './atomic.ts'
export type { AtomicPart, CarriedPublish, SettleAnswer } from './commands.ts'
export type { Numbering } from './numbering.ts'
export type { Claim } from './settling.ts'

/** Queues by name, and what touches more than one of them. Commands go through here so that every turn ends settled. */
export class Broker implements QueueHost {
  committed: TurnNumber = 0
  readonly stored: Stored = new Stored()
  readonly #byName = new Map<string, Queue>()
  readonly #byId = new Map<QueueId, Queue>()
  /** Queues by what they wait for next. */
  readonly #deadlines = new Heap<Queue>((a, b) => a.deadline < b.deadline)
  /** Queues that this turn has touched. */
  readonly #touched = new Set<Queue>()
  #nextQueue: QueueId = 1
  #nextSubscription = 1
  /** The queue that did the last step of long work. */
  #lastBusy: QueueId = 0
  #isClean = true
  readonly #numbers = new Numbers()
  readonly #deadLetters: DeadLetters
  readonly #forwarding: Forwarding
  readonly #announcing: Announcing
  readonly #restoring = new Map<Queue, Restoring>()

  constructor(lookup: Partial<Lookup> = {}) {
    this.#deadLetters = new DeadLetters(this, lookup.publishedAt ?? (() => undefined))
    this.#forwarding = new Forwarding(this, lookup.forwarded ?? (bytes => bytes))
    this.#announcing = new Announcing(this, lookup.announcement ?? (() => NO_ANNOUNCEMENT))
  }

  // ── queues ─────────────────────────────────────────────────────────────────────────────────────────────────────

  queue(name: string): Queue | undefined {
    return this.#byName.get(name)
  }

  queueById(id: QueueId): Queue | undefined {
    return this.#byId.get(id)
  }

  queues(): Iterable<Queue> {
    return this.#byName.values()
  }

  get queueCount(): number {
    return this.#byName.size
  }

  /** Another one whenever a queue was declared or deleted: numbers are not used again. */
  get queuesKey(): string {
    return `${this.#byName.size} ${this.#nextQueue}`
  }

  /** @param isImplicit it is made because it is needed: whoever declares it first may still say how it is to be */
  declare(turn: Turn, now: Timestamp, name: string, options: QueueOptions, isImplicit = false): Queue {
    invariant(!this.#byName.has(name), 'a queue is declared once')
    const queue = this.#add(this.#nextQueue, name, options, now)
    queue.isImplicit = isImplicit
    this.#keepQueue(turn, queue)
    this.#declareNamed(turn, now, options)
    return queue
  }

  /** A queue that another one names is there from the start, so that it can be consumed (A7). */
  #declareNamed(turn: Turn, now: Timestamp, { deadLetter, forwardBarrier, announce }: QueueOptions): void {
    if (deadLetter !== undefined && deadLetter !== 'drop') this.#deadLetters.queueNamed(turn, now, deadLetter)
    for (const name of announce === undefined ? forwardBarrier : [...forwardBarrier, announce])
      if (!this.#byName.has(name)) this.declare(turn, now, name, DEFAULT_OPTIONS, true)
  }

  #keepQueue(turn: Turn, { id, name, options, isPaused, declaredAt, suspectBelow, isImplicit }: Queue): void {
    const rest = { ...(suspectBelow > 0 ? { suspectBelow } : {}), ...(isImplicit ? { implicit: true } : {}) }
    turn.keep({ kind: 'queueDeclared', queue: id, name, options, paused: isPaused, at: declaredAt, ...rest })
  }

  /** New options: they count for what happens from now on, and reclassify nothing that is there. They were somebody's choice. */
  update(turn: Turn, now: Timestamp, queue: Queue, options: QueueOptions): void {
    queue.update(options)
    queue.isImplicit = false
    this.#keepQueue(turn, queue)
    this.#declareNamed(turn, now, options)
    this.#end(turn, now, queue)
  }

  pause(turn: Turn, now: Timestamp, queue: Queue, isPaused: boolean): void {
    queue.isPaused = isPaused
    this.#keepQueue(turn, queue)
    this.#end(turn, now, queue)
  }

  delete(turn: Turn, now: Timestamp, queue: Queue): Refusal | undefined {
    const user = [...this.#byName.values()].find(
      ({ name, options }) =>
        name !== queue.name &&
        (options.deadLetter === queue.name ||
          options.announce === queue.name ||
          options.forwardBarrier.includes(queue.name)),
    )
    if (user !== undefined) {
      return refuse(
        'queue-in-use',
        `queue "${user.name}" names "${queue.name}" as its dead_letter, forward_barrier or announce`,
        { queue: user.name },
      )
    }
    // Its dead letters are settled by that: nothing they hold waits for them any more; those that are out are found only
    // as long as their subscriptions are there.
    for (const run of queue.runs()) {
      this.#deadLetters.gone(run)
      if (run.owned !== undefined) this.stored.remove(run.owned, run.count)
    }
    // An ack that comes before its consumer has heard of it finds nothing: what is gone does not end a second time.
    for (const held of [...queue.heldRuns()]) queue.returns.takeBack(held)
    const why = refuse('queue-deleted', `queue "${queue.name}" was deleted`)
    for (const subscription of [...queue.consumers.all]) {
      subscription.isClosed = true
      queue.consumers.delete(subscription)
      turn.perform({ kind: 'cancelled', rests: turn.number, subscription, why })
    }
    this.#forwarding.deleted(turn, now, queue)
    this.#byName.delete(queue.name)
    this.#byId.delete(queue.id)
    this.#deadlines.delete(queue)
    this.#touched.delete(queue)
    this.#numbers.deleted(queue)
    turn.keep({ kind: 'queueDeleted', queue: queue.id })
    turn.perform({ kind: 'queue-deleted', rests: turn.number, queue: queue.id })
    this.#settleTouched(turn, now)
    return undefined
  }

  #add(id: QueueId, name: string, options: QueueOptions, declaredAt: Timestamp): Queue {
    const queue = new Queue({ id, name, options, declaredAt, host: this })
    this.#nextQueue = Math.max(this.#nextQueue, id + 1)
    this.#byName.set(name, queue)
    this.#byId.set(id, queue)
    return queue
  }

  // ── publishing ─────────────────────────────────────────────────────────────────────────────────────────────────

  publish(turn: Turn, queue: Queue, publish: Publish): PublishAnswer[] {
    const answers = queue.arrivals.publish(turn, publish)
    this.#end(turn, publish.now, queue)
    return answers
  }

  /**
   * A publish with producer numbers: what was taken before gets its first answer again, the rest is taken now.
   *
   * @returns a sentence when the numbers are out of turn, which only a broken client's are.
   */
  publishNumbered(
    turn: Turn,
    queue: Queue,
    publish: Publish,
    count: number,
    numbering: Numbering,
  ): PublishAnswer[] | Refusal | string {
    const place = this.#numbers.placeOf(queue, numbering, count)
    if (typeof place === 'string' || 'code' in place) return place
    const { answers: before, repeated } = place
    if (repeated === count) return before
    const fresh = repeated === 0 ? publish : { ...publish, incoming: skip(publish.incoming, repeated) }
    const answers = queue.arrivals.publish(turn, fresh)
    this.#numbers.keep(turn, publish.now, queue, numbering, answers)
    this.#end(turn, publish.now, queue)
    return [...before, ...answers]
  }

  /** Publishes to several queues, all or nothing (P4). */
  publishAtomic(
    turn: Turn,
    parts: readonly AtomicPart[],
    terms: AtomicTerms = {},
  ): (readonly PublishAnswer[])[] | Refusal | string {
    const answers = publishAtomic({ numbers: this.#numbers, touched: this.#touched }, turn, parts, terms)
    // Only now: what one part sets going must not come between the messages of another.
    this.#settleTouched(turn, parts[0]?.publish.now ?? 0)
    return answers
  }

  // ── subscriptions ──────────────────────────────────────────────────────────────────────────────────────────────

  subscribe(
    turn: Turn,
    now: Timestamp,
    queue: Queue,
    terms: Omit<SubscriptionTerms, 'id'>,
    afterBatch: number | undefined,
  ): { subscription: Subscription; missed: number } {
    const subscription = new Subscription({ ...terms, id: this.#nextSubscription })
    this.#nextSubscription += 1
    const missed = afterBatch === undefined ? 0 : queue.releases.replay(turn, subscription, afterBatch)
    queue.consumers.add(subscription)
    this.#end(turn, now, queue)
    return { subscription, missed }
  }

  unsubscribe(turn: Turn, now: Timestamp, queue: Queue, subscription: Subscription, isGone: boolean): void {
    queue.returns.unsubscribe(turn, now, subscription, isGone)
    this.#end(turn, now, queue)
  }

  /** Its credit or its filter changes, or its socket fills or drains. */
  change(turn: Turn, now: Timestamp, queue: Queue, change: () => void): void {
    change()
    this.#end(turn, now, queue)
  }

  // ── settling ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** Settles deliveries of one queue, also of several subscriptions, and publishes what the ack carries, all or nothing. */
  settle(
    turn: Turn,
    now: Timestamp,
    queue: Queue,
    claims: readonly Claim[],
    how: SettleHow,
    carried: readonly CarriedPublish[] = [],
  ): SettleAnswer {
    const refusal = carried.length === 0 ? undefined : this.#mayCarry(queue, claims, how, carried)
    if (refusal !== undefined) return { results: [], refusal }
    const published: PublishAnswer[] = []
    // Published before the ack counts: else the barrier could open between the two (B16).
    const batch = carried.length === 0 ? undefined : queue.settling.earliestBatch(claims)
    for (const { queue: target, publish } of carried) {
      const judged = { ...publish, isJudged: true }
      published.push(...target.arrivals.publish(turn, judged, target === queue ? batch : undefined))
      this.#touched.add(target)
    }
    const results = claims.map(({ subscription, deliveries }) =>
      queue.settling.settle(turn, now, subscription, { deliveries, how }),
    )
    this.#end(turn, now, queue)
    return { results, published }
  }

  /** Whether an ack with publishes can be carried out whole (A4). */
  #mayCarry(
    queue: Queue,
    claims: readonly Claim[],
    how: SettleHow,
    carried: readonly CarriedPublish[],
  ): Refusal | undefined {
    if (queue.options.semantics === 'at-most-once') {
      return refuse(
        'invalid-request',
        `queue "${queue.name}" is at-most-once: its messages are settled when they are sent, so an ack carries nothing`,
      )
    }
    for (const { subscription, deliveries } of claims) {
      for (const { first, count } of deliveries) {
        const fate = queue.settling.firstUnheld(subscription, first, count)
        if (fate === undefined) continue
        const code = fate.result === 'already-settled' ? 'already-settled' : 'lease-lost'
        return refuse(code, `delivery ${fate.first} is ${fate.result}; nothing was published`, { delivery: fate.first })
      }
    }
    // What it acks makes room: else who is at his quota could not work off what he has stored himself.
    const owner = carried[0]?.publish.owner
    const ending = owner === undefined || how.kind !== 'ack' ? 0 : queue.settling.storedBy(owner.name, claims)
    return firstRefusal(carried, ending)
  }

  // ── what operators do ──────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Empties a queue of what came before the sequence number `below` (A6), as far as one turn may; again until it is done.
   *
   * @returns how many messages went, those of the batches that were ended among them
   */
  purge(
    turn: Turn,
    now: Timestamp,
    queue: Queue,
    wanted: { readonly leased: boolean; readonly below: Sequence },
  ): { readonly count: number; readonly isDone: boolean } {
    const purged = queue.endings.purge(turn, now, wanted)
    this.#end(turn, now, queue)
    return purged
  }

  /** Ends the batch of an unreleased barrier as cancelled (B13). `rest` absent: the barrier's own, else the queue's. */
  cancel(turn: Turn, now: Timestamp, queue: Queue, barrier: string, rest?: BatchRest): Refusal | undefined {
    const refusal = queue.endings.cancel(turn, now, barrier, rest)
    this.#end(turn, now, queue)
    return refusal
  }

  /** Gives an unreleased barrier another deadline, if its batch was not ended already. */
  extend(turn: Turn, now: Timestamp, queue: Queue, barrier: string, deadlineAt: Timestamp): Refusal | undefined {
    const refusal = queue.endings.extend(turn, now, barrier, deadlineAt)
    this.#end(turn, now, queue)
    return refusal
  }

  /** Sends dead letters back to where they came from; returns how many. */
  requeue(turn: Turn, now: Timestamp, from: Queue, sequences: readonly Sequence[]): number {
    const count = this.#deadLetters.requeue(turn, now, from, sequences)
    this.#end(turn, now, from)
    return count
  }

  /** Where dead letters of a queue go; undefined: they are dropped. */
  deadLetterName(queue: Queue): string | undefined {
    return this.#deadLetters.nameFor(queue)
  }

  // ── what queues ask ────────────────────────────────────────────────────────────────────────────────────────────

  deadLetter(turn: Turn, now: Timestamp, queue: Queue, run: Run, reason: DeadReason, detail?: string): void {
    this.#deadLetters.take(turn, now, queue, run, { reason, ...(detail === undefined ? {} : { detail }) })
  }

  deadLetterGone(run: Run): void {
    this.#deadLetters.gone(run)
  }

  deadLettersOf(queue: Queue, batch: Batch): Iterable<DeadLetterPlace> {
    return this.#deadLetters.of(queue, batch)
  }

  released(turn: Turn, now: Timestamp, queue: Queue, barrier: WaitingBarrier, record: BarrierRecord): void {
    this.#forwarding.released(turn, now, queue, barrier, record)
    this.#announcing.released(turn, now, queue, record)
  }

  // ── time ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** When `tick` has something to do; in the past when it has it now. */
  get nextDeadline(): Timestamp {
    return this.#deadlines.first?.deadline ?? Number.POSITIVE_INFINITY
  }

  /** Does what was due by now: in each queue once, and of the long works one step of one. Others come between (R9). */
  tick(turn: Turn, now: Timestamp): void {
    const due = this.#takeDue(now)
    const busy = due.filter(queue => queue.isBusy)
    // They take turns: else the one with the most to do would keep the others waiting.
    const next = busy.find(({ id }) => id > this.#lastBusy) ?? busy[0]
    if (next !== undefined) this.#lastBusy = next.id
    const later = new Set(busy.filter(queue => queue !== next))
    for (const queue of due) {
      if (later.has(queue)) this.#schedule(queue)
      else {
        queue.tick(turn, now)
        this.#touched.add(queue)
      }
    }
    this.#settleTouched(turn, now)
    this.#numbers.sweep(turn, now, this.#byName.values())
  }

  /** Queues whose time has come, by their numbers; each is scheduled anew when it has settled down. */
  #takeDue(now: Timestamp): Queue[] {
    const due: Queue[] = []
    for (
      let queue = this.#deadlines.first;
      queue !== undefined && queue.deadline <= now;
      queue = this.#deadlines.first
    ) {
      this.#deadlines.delete(queue)
      queue.deadline = Number.POSITIVE_INFINITY
      due.push(queue)
    }
    return due.sort(byId)
  }

  // ── restart ────────────────────────────────────────────────────────────────────────────────────────────────────

  restore(fact: Fact, now: Timestamp): void {
    if (fact.kind === 'started') this.#isClean = fact.clean
    else if (fact.kind === 'queueDeclared') {
      const queue = this.#add(fact.queue, fact.name, fact.options, fact.at)
      queue.isPaused = fact.paused
      queue.suspectBelow = fact.suspectBelow ?? 0
      queue.isImplicit = fact.implicit === true
    } else if (fact.kind === 'queueDeleted') {
      // The highest number ever used is told although its queue is gone: numbers are not used again.
      this.#nextQueue = Math.max(this.#nextQueue, fact.queue + 1)
    } else {
      invariant('queue' in fact, `${fact.kind} is not restored`)
      const queue = this.#byId.get(fact.queue)
      invariant(queue !== undefined, `${fact.kind} names queue ${fact.queue}, which nobody declared`)
      const restoring = this.#restoring.get(queue) ?? new Restoring(queue, this.#isClean)
      this.#restoring.set(queue, restoring)
      restoring.restore(fact, now)
    }
  }

  /** After the last fact: what was due while the server was away happens now. */
  restored(turn: Turn, now: Timestamp): void {
    for (const restoring of this.#restoring.values()) restoring.finish(now)
    this.#restoring.clear()
    for (const queue of this.#byName.values()) {
      queue.dedupe.restored()
      if (!this.#isClean && queue.messages > 0) {
        // Kept, so that a clean stop after this start does not make them forget it.
        queue.suspectBelow = queue.nextSequence
        this.#keepQueue(turn, queue)
      }
      this.#numbers.restored(queue)
    }
    this.#deadLetters.restored()
    for (const queue of this.#byName.values()) this.#touched.add(queue)
    this.#settleTouched(turn, now)
  }

  /** Before the server ends in peace: what is out comes back untouched, and the next start knows that it was out. */
  stop(turn: Turn, now: Timestamp): void {
    // All of them before any settles down: what one gives to another must not go out there.
    for (const queue of [...this.#byName.values()].sort(byId)) {
      queue.stop(turn, now)
      this.#touched.add(queue)
    }
    this.#settleTouched(turn, now)
  }

  // ── the end of a turn ──────────────────────────────────────────────────────────────────────────────────────────

  /** Something was done to it that it has to settle down from. */
  touch(queue: Queue): void {
    this.#touched.add(queue)
  }

  #end(turn: Turn, now: Timestamp, queue: Queue): void {
    this.#touched.add(queue)
    this.#settleTouched(turn, now)
  }

  /** In rounds, lowest number first: settling down one queue may touch another one. */
  #settleTouched(turn: Turn, now: Timestamp): void {
    while (this.#touched.size > 0) {
      for (const queue of [...this.#touched].sort(byId)) {
        this.#touched.delete(queue)
        if (!this.#byId.has(queue.id)) continue
        queue.settleDown(turn, now)
        this.#schedule(queue)
      }
    }
  }

  #schedule(queue: Queue): void {
    const deadline = queue.nextDeadline
    if (deadline === queue.deadline) return
    queue.deadline = deadline
    if (deadline === Number.POSITIVE_INFINITY) this.#deadlines.delete(queue)
    else this.#deadlines.put(queue)
  }
}

/** A record without properties and body, where nobody writes one. */
const NO_ANNOUNCEMENT = { bytes: new Uint8Array(4), run: { count: 1, bodyBytes: 0 } }

function byId(a: Queue, b: Queue): number {
  return a.id - b.id
}

/** The incoming stretches without their first `count` messages. */
function skip(incoming: Publish['incoming'], count: number): Publish['incoming'] {
  invariant(
    incoming.every(piece => piece.index >= count || piece.index + piece.count <= count),
    'the engine cuts a repeated publish where its new part begins',
  )
  return incoming.filter(piece => piece.index >= count)
}
