import type { DeadReason, Fact, ProducerAnswer, QueueId, Sequence, Timestamp, TurnNumber } from './facts.ts'
import { Heap } from './heap.ts'
import { invariant } from './invariant.ts'
import { DEFAULT_OPTIONS, type QueueOptions } from './options.ts'
import { PRODUCERS_MAX, Producers, UNANSWERED_MAX } from './producers.ts'
import type { Publish, PublishAnswer } from './publishing.ts'
import { Queue, type QueueHost } from './queue.ts'
import { type Refusal, refuse } from './refusals.ts'
import { Restoring } from './restoring.ts'
import type { Run } from './run.ts'
import { type Settle, type SettleHow, type SettleResult, settled } from './settling.ts'
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

/** Deliveries of one subscription, by ranges of their numbers. */
export interface Claim {
  readonly subscription: Subscription
  readonly deliveries: Settle['deliveries']
}

/** The answer to a settle, claim by claim; with a refusal nothing was done. */
export interface SettleAnswer {
  readonly results: readonly (readonly SettleResult[])[]
  readonly refusal?: Refusal
  readonly published?: readonly PublishAnswer[]
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
  readonly #restoring = new Map<Queue, Restoring>()

  /** @param publishedAt looks up when a live message came in: the core keeps little of each, and needs this for dead letters only */
  constructor(publishedAt: (queue: QueueId, sequence: Sequence) => Timestamp | undefined = () => undefined) {
    this.#publishedAt = publishedAt
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
    turn.keep({ kind: 'queueDeclared', queue: queue.id, name, options, paused: false, at: now })
    return queue
  }

  delete(turn: Turn, queue: Queue): Refusal | undefined {
    const user = [...this.#byName.values()].find(
      other => other !== queue && this.deadLetterName(other) === queue.name && other.options.deadLetter !== undefined,
    )
    if (user !== undefined) {
      return refuse('queue-in-use', `queue "${user.name}" sends its dead letters to "${queue.name}"`, {
        queue: user.name,
      })
    }
    const why = refuse('queue-deleted', `queue "${queue.name}" was deleted`)
    for (const subscription of [...queue.consumers.all]) {
      subscription.isClosed = true
      queue.consumers.delete(subscription)
      turn.perform({ kind: 'cancelled', rests: turn.number, subscription, why })
    }
    this.#byName.delete(queue.name)
    this.#byId.delete(queue.id)
    this.#deadlines.delete(queue)
    this.#producers -= queue.producers.size
    turn.keep({ kind: 'queueDeleted', queue: queue.id })
    turn.perform({ kind: 'queue-deleted', rests: turn.number, queue: queue.id })
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
    const answers = queue.publish(turn, publish)
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
    const { producers } = queue
    const { producer, number, answeredUpTo } = numbering
    const isKnown = producers.isKnown(producer)
    // Of a producer that is new here, or has been forgotten, any number is the first.
    const last = isKnown ? producers.last(producer) : number - 1
    if (number > last + 1)
      return `producer number ${number} in queue "${queue.name}" comes after ${last}: ${number - last - 1} are missing`
    if (!isKnown) {
      if (this.#producers >= PRODUCERS_MAX)
        return refuse('server-busy', `${PRODUCERS_MAX} producers are remembered already`, { limit: 'producers' })
      this.#producers += 1
    }
    const repeated = Math.min(count, last + 1 - number)
    const before = repeated > 0 ? repeatedAnswers(producers, producer, number, repeated) : []
    if (typeof before === 'string') return before
    if (repeated === count) return before
    if (number + count - 1 - answeredUpTo > UNANSWERED_MAX)
      return `more than ${UNANSWERED_MAX} publishes of queue "${queue.name}" are unanswered`
    const fresh = repeated === 0 ? publish : { ...publish, incoming: skip(publish.incoming, repeated) }
    const answers = queue.publish(turn, fresh)
    producers.take(
      turn,
      producer,
      answers.map(answer => keptAnswer(answer, number)),
      answeredUpTo,
      publish.now,
    )
    this.#end(turn, publish.now, queue)
    return repeated === 0 ? answers : [...before, ...answers]
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
    queue.subscribe(subscription)
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
    const batch = carried.length === 0 ? undefined : queue.earliestBatch(claims)
    for (const { queue: target, publish } of carried) {
      published.push(...target.publish(turn, publish, target === queue ? batch : undefined))
      this.#touched.add(target)
    }
    const results = claims.map(({ subscription, deliveries }) =>
      queue.settle(turn, now, subscription, { deliveries, how }),
    )
    this.#end(turn, now, queue)
    return { results, published }
  }

  /** Whether an ack with publishes can be carried out whole (A4). */
  #mayCarry(queue: Queue, claims: readonly Claim[], carried: readonly CarriedPublish[]): Refusal | undefined {
    for (const { subscription, deliveries } of claims) {
      for (const { first, count } of deliveries) {
        const fate = queue.unheld(subscription, first, count)
        if (fate === undefined) continue
        const code = fate.result === 'already-settled' ? 'already-settled' : 'lease-lost'
        return refuse(code, `delivery ${fate.first} is ${fate.result}; nothing was published`, { delivery: fate.first })
      }
    }
    for (const { queue: target, publish } of carried) {
      for (const incoming of publish.incoming) {
        if (incoming.kind === 'refused') return incoming.refusal
        const refusal = incoming.kind === 'barrier' ? target.arrivals.mayPublishBarrier(incoming.name) : undefined
        if (refusal !== undefined) return refusal
      }
    }
    return undefined
  }

  deadLetter(turn: Turn, now: Timestamp, queue: Queue, run: Run, reason: DeadReason, detail?: string): void {
    const name = this.deadLetterName(queue)
    if (name === undefined) {
      settled(turn, now, queue, run.batch, run.first, run.count, reason === 'expired' ? 'expired' : 'dropped')
      return
    }
    // A dead-letter queue that is made because it is needed keeps what it gets: it has no dead letters of its own.
    const target = this.#byName.get(name) ?? this.declare(turn, now, name, { ...DEFAULT_OPTIONS, deadLetter: 'drop' })
    run.batch.countSettled(now, run.count, reason === 'expired' ? 'expired' : 'dead')
    for (let k = 0; k < run.count; k += 1) {
      const origin = {
        queue: queue.name,
        sequence: run.first + k,
        batch: run.batch.number,
        attempts: run.attempts,
        publishedAt: this.#publishedAt(queue.id, run.first + k) ?? now,
        deadAt: now,
        reason,
        ...(detail === undefined ? {} : { detail }),
      }
      const { sequence, batch } = target.arrivals.takeDeadLetter(turn, now, run.bytes / run.count, origin)
      turn.keep({
        kind: 'moved',
        queue: queue.id,
        sequence: run.first + k,
        to: target.id,
        toSequence: sequence,
        toBatch: batch,
        at: now,
        origin,
      })
    }
    this.#touched.add(target)
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
      this.#producers += queue.producers.size
      this.#end(turn, now, queue)
    }
  }

  // ── the end of a turn ──────────────────────────────────────────────────────────────────────────────────────────

  #end(turn: Turn, now: Timestamp, queue: Queue): void {
    this.#touched.add(queue)
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
