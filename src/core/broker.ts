import type { WaitingBarrier } from './barriers.ts'
import type { Batch } from './batch.ts'
import type {
  BarrierRecord,
  BatchSummary,
  DeadLetterOrigin,
  DeadReason,
  EnqueuedRun,
  Fact,
  ProducerAnswer,
  QueueId,
  Sequence,
  Timestamp,
  TurnNumber,
} from './facts.ts'
import { Forwarding } from './forwarding.ts'
import { Heap } from './heap.ts'
import { invariant } from './invariant.ts'
import { DEFAULT_OPTIONS, type QueueOptions } from './options.ts'
import { PRODUCERS_MAX, Producers, UNANSWERED_MAX } from './producers.ts'
import type { Publish, PublishAnswer } from './publishing.ts'
import { Queue, type QueueHost } from './queue.ts'
import { type Refusal, refuse } from './refusals.ts'
import { Restoring } from './restoring.ts'
import type { Run } from './run.ts'
import type { Claim, SettleHow, SettleResult } from './settling.ts'
import { Subscription, type SubscriptionTerms } from './subscription.ts'
import type { Turn } from './turn.ts'

/** A producer's own numbering of what it publishes (P9). */
export interface Numbering {
  readonly producer: string
  /** Of the first message. */
  readonly number: number
  readonly answeredUpTo: number
}

/** A publish carried by an ack. */
export interface CarriedPublish {
  readonly queue: Queue
  readonly publish: Publish
}

/** One queue's part of an atomic publish. */
export interface AtomicPart {
  readonly queue: Queue
  readonly publish: Publish
  readonly count: number
  readonly numbering: Numbering | undefined
}

interface Place {
  readonly repeated: number
  readonly answers: PublishAnswer[]
}

const NEW_PLACE: Place = { repeated: 0, answers: [] }

interface Move {
  readonly from: Queue
  readonly sequence: Sequence
  readonly to: Queue
  readonly bytes: number
  readonly run: Omit<EnqueuedRun, 'count'>
  readonly batch?: Batch
}

/** The answer to a settle, claim by claim; with a refusal nothing was done. */
export interface SettleAnswer {
  readonly results: readonly (readonly SettleResult[])[]
  readonly refusal?: Refusal
  readonly published?: readonly PublishAnswer[]
}

/** What the core needs of messages and does not keep. */
export interface Lookup {
  /** When a live message came in. */
  readonly publishedAt: (queue: QueueId, sequence: Sequence) => Timestamp | undefined
  /** The record of a barrier as it goes on: with its name, and what is known of the batches it has closed. */
  readonly forwarded: (bytes: Uint8Array, batches: readonly BatchSummary[]) => Uint8Array
}

/** Queues by name, and what touches more than one of them. Commands go through here so that every turn ends settled. */
export class Broker implements QueueHost {
  committed: TurnNumber = 0
  readonly #byName = new Map<string, Queue>()
  readonly #byId = new Map<QueueId, Queue>()
  /** Queues by what they wait for next. */
  readonly #deadlines = new Heap<Queue>((a, b) => a.deadline < b.deadline)
  /** Queues that this turn has touched. */
  readonly #touched = new Set<Queue>()
  readonly #publishedAt: (queue: QueueId, sequence: Sequence) => Timestamp | undefined
  #nextQueue: QueueId = 1
  #nextSubscription = 1
  #producers = 0
  #sweepAt: Timestamp = 0
  #isClean = true
  readonly #forwarding: Forwarding
  readonly #restoring = new Map<Queue, Restoring>()

  constructor(lookup: Partial<Lookup> = {}) {
    this.#publishedAt = lookup.publishedAt ?? (() => undefined)
    this.#forwarding = new Forwarding(this, lookup.forwarded ?? (bytes => bytes))
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

  declare(turn: Turn, now: Timestamp, name: string, options: QueueOptions): Queue {
    invariant(!this.#byName.has(name), 'a queue is declared once')
    const queue = this.#add(this.#nextQueue, name, options, now)
    this.#keepQueue(turn, queue)
    this.#declareNamed(turn, now, options)
    return queue
  }

  /** A queue that another one names is there from the start, so that it can be consumed (A7). */
  #declareNamed(turn: Turn, now: Timestamp, { deadLetter, forwardBarrier }: QueueOptions): void {
    if (deadLetter !== undefined && deadLetter !== 'drop') this.#deadLetterQueue(turn, now, deadLetter)
    for (const name of forwardBarrier) if (!this.#byName.has(name)) this.declare(turn, now, name, DEFAULT_OPTIONS)
  }

  /** One that is made because it is needed keeps what it gets: it has no dead letters of its own. */
  #deadLetterQueue(turn: Turn, now: Timestamp, name: string): Queue {
    return this.#byName.get(name) ?? this.declare(turn, now, name, { ...DEFAULT_OPTIONS, deadLetter: 'drop' })
  }

  #keepQueue(turn: Turn, { id, name, options, isPaused, declaredAt }: Queue): void {
    turn.keep({ kind: 'queueDeclared', queue: id, name, options, paused: isPaused, at: declaredAt })
  }

  /** New options: they count for what happens from now on, and reclassify nothing that is there. */
  update(turn: Turn, now: Timestamp, queue: Queue, options: QueueOptions): void {
    queue.update(options)
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
        name !== queue.name && (options.deadLetter === queue.name || options.forwardBarrier.includes(queue.name)),
    )
    if (user !== undefined) {
      return refuse(
        'queue-in-use',
        `queue "${user.name}" names "${queue.name}" as its dead_letter or forward_barrier`,
        { queue: user.name },
      )
    }
    const why = refuse('queue-deleted', `queue "${queue.name}" was deleted`)
    for (const subscription of [...queue.consumers.all]) {
      subscription.isClosed = true
      queue.consumers.delete(subscription)
      turn.perform({ kind: 'cancelled', rests: turn.number, subscription, why })
    }
    // Its dead letters are settled by that: nothing they hold waits for them any more.
    for (const run of queue.runs()) if (run.origin !== undefined) this.deadLetterGone(run)
    this.#byName.delete(queue.name)
    this.#byId.delete(queue.id)
    this.#deadlines.delete(queue)
    this.#touched.delete(queue)
    this.#producers -= queue.producers.size
    turn.keep({ kind: 'queueDeleted', queue: queue.id })
    turn.perform({ kind: 'queue-deleted', rests: turn.number, queue: queue.id })
    this.#forwarding.deleted(turn, now, queue)
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
    const place = this.#placeOf(queue, numbering, count)
    if (typeof place === 'string' || 'code' in place) return place
    const { answers: before, repeated } = place
    if (repeated === count) return before
    const fresh = repeated === 0 ? publish : { ...publish, incoming: skip(publish.incoming, repeated) }
    const answers = queue.arrivals.publish(turn, fresh)
    this.#keepNumbers(turn, publish.now, queue, numbering, answers)
    this.#end(turn, publish.now, queue)
    return [...before, ...answers]
  }

  /** Publishes to several queues, all or nothing (P4). Numbered parts that were taken before get their first answers. */
  publishAtomic(turn: Turn, parts: readonly AtomicPart[]): (readonly PublishAnswer[])[] | Refusal | string {
    const places: Place[] = []
    for (const { queue, count, numbering } of parts) {
      const place = numbering === undefined ? NEW_PLACE : this.#placeOf(queue, numbering, count)
      if (typeof place === 'string' || 'code' in place) return place
      places.push(place)
    }
    if (parts.every(({ count }, k) => places[k]?.repeated === count)) return places.map(({ answers }) => answers)
    if (places.some(({ repeated }) => repeated > 0))
      return 'a part of an atomic publish was taken before, and another was not'
    const refusal = firstRefusal(parts)
    return parts.map(({ queue, publish, count, numbering }) => {
      const answers: PublishAnswer[] =
        refusal === undefined ? queue.arrivals.publish(turn, publish) : [{ index: 0, count, refusal }]
      if (numbering !== undefined) this.#keepNumbers(turn, publish.now, queue, numbering, answers)
      this.#end(turn, publish.now, queue)
      return answers
    })
  }

  /** How many of these numbers were taken before, with their first answers. */
  #placeOf(queue: Queue, numbering: Numbering, count: number): Place | Refusal | string {
    const { producers } = queue
    const { producer, number, answeredUpTo } = numbering
    const isKnown = producers.isKnown(producer)
    // Of a producer that is new here, or has been forgotten, any number is the first.
    const last = isKnown ? producers.last(producer) : number - 1
    if (number > last + 1)
      return `producer number ${number} in queue "${queue.name}" comes after ${last}: ${number - last - 1} are missing`
    if (!isKnown && this.#producers >= PRODUCERS_MAX) {
      return refuse('server-busy', `${PRODUCERS_MAX} producers are remembered already`, { limit: 'producers' })
    }
    const repeated = Math.min(count, last + 1 - number)
    const answers = repeated > 0 ? repeatedAnswers(producers, producer, number, repeated) : []
    if (typeof answers === 'string') return answers
    if (repeated < count && number + count - 1 - answeredUpTo > UNANSWERED_MAX)
      return `more than ${UNANSWERED_MAX} publishes of queue "${queue.name}" are unanswered`
    return { repeated, answers }
  }

  #keepNumbers(
    turn: Turn,
    now: Timestamp,
    queue: Queue,
    { producer, number, answeredUpTo }: Numbering,
    answers: readonly PublishAnswer[],
  ): void {
    if (!queue.producers.isKnown(producer)) this.#producers += 1
    queue.producers.take(
      turn,
      producer,
      answers.map(answer => keptAnswer(answer, number)),
      answeredUpTo,
      now,
    )
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
    const missed = afterBatch === undefined ? 0 : queue.replay(turn, subscription, afterBatch)
    queue.consumers.add(subscription)
    this.#end(turn, now, queue)
    return { subscription, missed }
  }

  unsubscribe(turn: Turn, now: Timestamp, queue: Queue, subscription: Subscription, isGone: boolean): void {
    queue.unsubscribe(turn, now, subscription, isGone)
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
    const refusal = carried.length === 0 ? undefined : this.#mayCarry(queue, claims, carried)
    if (refusal !== undefined) return { results: [], refusal }
    const published: PublishAnswer[] = []
    // Published before the ack counts: else the barrier could open between the two (B16).
    const batch = carried.length === 0 ? undefined : queue.settling.earliestBatch(claims)
    for (const { queue: target, publish } of carried) {
      published.push(...target.arrivals.publish(turn, publish, target === queue ? batch : undefined))
      this.#touched.add(target)
    }
    const results = claims.map(({ subscription, deliveries }) =>
      queue.settling.settle(turn, now, subscription, { deliveries, how }),
    )
    this.#end(turn, now, queue)
    return { results, published }
  }

  /** Whether an ack with publishes can be carried out whole (A4). */
  #mayCarry(queue: Queue, claims: readonly Claim[], carried: readonly CarriedPublish[]): Refusal | undefined {
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
    return firstRefusal(carried)
  }

  deadLetter(turn: Turn, now: Timestamp, queue: Queue, run: Run, reason: DeadReason, detail?: string): void {
    const name = this.deadLetterName(queue)
    if (name === undefined) {
      queue.finish(turn, now, run, reason === 'expired' ? 'expired' : 'dropped')
      queue.endings.deadLettered(turn, now, run.batch)
      return
    }
    const target = this.#deadLetterQueue(turn, now, name)
    const { batch, priority, group } = run
    for (let k = 0; k < run.count; k += 1) {
      const origin: DeadLetterOrigin = {
        queue: queue.name,
        queueId: queue.id,
        sequence: run.first + k,
        batch: batch.number,
        attempts: run.attempts,
        publishedAt: this.#publishedAt(queue.id, run.first + k) ?? now,
        deadAt: now,
        reason,
        ...(detail === undefined ? {} : { detail }),
        ...(priority === 0 ? {} : { priority }),
        ...(group === undefined ? {} : { group }),
      }
      this.#move(turn, now, {
        from: queue,
        sequence: run.first + k,
        to: target,
        bytes: run.bytes / run.count,
        run: { origin },
      })
      batch.holding += 1
    }
    queue.moved(turn, now, run, reason === 'expired' ? 'expired' : 'dead')
  }

  #move(turn: Turn, now: Timestamp, { from, sequence, to, bytes, run, batch }: Move): void {
    const taken = to.arrivals.takeMoved(turn, now, { bytes, run, ...(batch === undefined ? {} : { batch }) })
    turn.keep({
      kind: 'moved',
      queue: from.id,
      sequence,
      to: to.id,
      toSequence: taken.sequence,
      toBatch: taken.batch,
      at: now,
      run: { count: 1, ...run },
    })
    this.#touched.add(to)
  }

  deadLetterGone(run: Run): void {
    const { origin } = run
    const queue = origin === undefined ? undefined : this.#byId.get(origin.queueId)
    const batch =
      origin === undefined || queue === undefined ? undefined : queue.batches[origin.batch - queue.head.number]
    if (queue === undefined || batch === undefined) return
    batch.holding -= run.count
    this.#touched.add(queue)
  }

  forward(turn: Turn, now: Timestamp, queue: Queue, barrier: WaitingBarrier, record: BarrierRecord): void {
    this.#forwarding.released(turn, now, queue, barrier, record)
  }

  /**
   * Sends dead letters back to where they came from: with a new sequence number, in their batch while its barrier waits
   * (B16), else in the open one.
   */
  requeue(turn: Turn, now: Timestamp, from: Queue, sequences: readonly Sequence[]): number {
    let count = 0
    for (const sequence of sequences) {
      const run = from.settling.takeOut(turn, sequence)
      if (run === undefined) continue
      const { origin } = run
      const to = origin === undefined ? undefined : this.#byId.get(origin.queueId)
      if (origin === undefined || to === undefined) {
        from.put(run, now)
        continue
      }
      count += 1
      const batch = to.batches[origin.batch - to.head.number]
      const { priority, group } = origin
      const attributes = { ...(priority === undefined ? {} : { priority }), ...(group === undefined ? {} : { group }) }
      if (batch !== undefined) {
        batch[origin.reason === 'expired' ? 'expired' : 'dead'] -= 1
        batch.isDirty = true
      }
      this.#move(turn, now, {
        from,
        sequence,
        to,
        bytes: run.bytes,
        run: attributes,
        ...(batch === undefined ? {} : { batch }),
      })
      from.givenBack(turn, now, run)
    }
    this.#end(turn, now, from)
    return count
  }

  /** Where dead letters of a queue go; undefined: they are dropped. */
  deadLetterName(queue: Queue): string | undefined {
    const { deadLetter } = queue.options
    if (deadLetter === 'drop') return undefined
    if (deadLetter !== undefined) return deadLetter
    for (const other of this.#byName.values()) {
      if (other !== queue && (other.options.deadLetter ?? `${other.name}.dead`) === queue.name) return undefined
    }
    return `${queue.name}.dead`
  }

  // ── time ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** When `tick` has something to do; in the past when it has it now. */
  get nextDeadline(): Timestamp {
    return this.#deadlines.first?.deadline ?? Number.POSITIVE_INFINITY
  }

  tick(turn: Turn, now: Timestamp): void {
    for (
      let queue = this.#deadlines.first;
      queue !== undefined && queue.deadline <= now;
      queue = this.#deadlines.first
    ) {
      queue.tick(turn, now)
      const wasSearching = queue.isSearching
      this.#end(turn, now, queue)
      // One step of a search a turn: others come between.
      if (wasSearching) break
    }
    if (now < this.#sweepAt) return
    this.#sweepAt = now + Producers.sweepMs
    this.#producers = 0
    for (const queue of this.#byName.values()) {
      queue.producers.sweep(turn, now)
      this.#producers += queue.producers.size
    }
  }

  // ── restart ────────────────────────────────────────────────────────────────────────────────────────────────────

  restore(fact: Fact, now: Timestamp): void {
    if (fact.kind === 'started') this.#isClean = fact.clean
    else if (fact.kind === 'queueDeclared') {
      const queue = this.#add(fact.queue, fact.name, fact.options, fact.at)
      queue.isPaused = fact.paused
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
    this.#restoring.clear()
    for (const queue of this.#byName.values()) {
      queue.dedupe.restored()
      for (const run of queue.runs()) {
        const origin = run.origin
        const home = origin === undefined ? undefined : this.#byId.get(origin.queueId)
        const batch =
          origin === undefined || home === undefined ? undefined : home.batches[origin.batch - home.head.number]
        if (batch !== undefined) batch.holding += run.count
      }
    }
    for (const queue of this.#byName.values()) {
      this.#producers += queue.producers.size
      this.#end(turn, now, queue)
    }
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

  #settleTouched(turn: Turn, now: Timestamp): void {
    // Settling down one queue may touch another one.
    for (const touched of this.#touched) {
      this.#touched.delete(touched)
      if (!this.#byId.has(touched.id)) continue
      touched.settleDown(turn, now)
      const deadline = touched.nextDeadline
      if (deadline === touched.deadline) continue
      touched.deadline = deadline
      if (deadline === Number.POSITIVE_INFINITY) this.#deadlines.delete(touched)
      else this.#deadlines.put(touched)
    }
  }
}

/** Why these cannot all be published: the first reason. */
function firstRefusal(parts: readonly CarriedPublish[]): Refusal | undefined {
  for (const { queue, publish } of parts) {
    const refusal = queue.arrivals.refusalIn(publish.incoming, publish.now)
    if (refusal !== undefined) return refusal
  }
  return undefined
}

/** The incoming stretches without their first `count` messages. */
function skip(incoming: Publish['incoming'], count: number): Publish['incoming'] {
  invariant(
    incoming.every(piece => piece.index >= count || piece.index + piece.count <= count),
    'the engine cuts a repeated publish where its new part begins',
  )
  return incoming.filter(piece => piece.index >= count)
}

/** First answers of numbers that were taken before. */
function repeatedAnswers(
  producers: Producers,
  producer: string,
  number: number,
  count: number,
): PublishAnswer[] | string {
  const kept = producers.answers(producer, number, count)
  const found = kept.reduce((sum, answer) => sum + answer.count, 0)
  if (found !== count)
    return `producer numbers ${number} to ${number + count - 1} were answered, and the client said it has the answers`
  return kept.map(answer =>
    answer.refusal === undefined
      ? {
          index: answer.first - number,
          count: answer.count,
          sequence: answer.sequence,
          batch: answer.batch,
          duplicate: false,
        }
      : {
          index: answer.first - number,
          count: answer.count,
          refusal: refuse(answer.refusal as Refusal['code'], 'refused when it was first sent'),
        },
  )
}

function keptAnswer(answer: PublishAnswer, number: number): ProducerAnswer {
  const { index, count } = answer
  if ('refusal' in answer) return { first: number + index, count, sequence: 0, batch: 0, refusal: answer.refusal.code }
  return { first: number + index, count, sequence: answer.sequence, batch: answer.batch }
}
