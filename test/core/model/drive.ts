import { type AtomicPart, Broker, type Numbering } from '../../../src/core/broker.ts'
import type { Fact } from '../../../src/core/facts.ts'
import type { Incoming, IncomingBarrier, PublishAnswer } from '../../../src/core/publishing.ts'
import type { Queue } from '../../../src/core/queue.ts'
import { refuse } from '../../../src/core/refusals.ts'
import type { Predicate, Subscription } from '../../../src/core/subscription.ts'
import { type Effect, Turn } from '../../../src/core/turn.ts'
import { restorable } from '../../support/scenario.ts'
import { compare } from './compare.ts'
import { Model } from './model.ts'
import { Witness } from './witness.ts'
import {
  type Answer,
  BODY_BYTES,
  broken,
  colorOf,
  type Done,
  defined,
  must,
  type Part,
  type Piece,
  type Step,
  sizeOf,
  takes,
} from './words.ts'

/** The real core and the model side by side, with a disk that commits when told and a gate that waits for it. */
export class Drive {
  broker: Broker = new Broker()
  model: Model = new Model()
  now: number = Date.UTC(2026, 0, 1)
  turn = 0
  readonly subscriptions: Map<number, Subscription> = new Map()
  readonly witness: Witness = new Witness(id => this.broker.queueById(id)?.name)
  nextSubscription = 1
  steps = 0
  /** Everything that was decided, as text; undefined: not asked for. */
  trace: string[] | undefined
  #kept: { readonly turn: number; readonly fact: Fact }[] = []
  #parked: Effect[] = []
  /** While the disk is held: the model as it was, and what was done since. */
  #held: { readonly model: Model; readonly done: Done[] } | undefined
  #starts = 1

  get isDiskHeld(): boolean {
    return this.#held !== undefined
  }

  get committed(): number {
    return this.broker.committed
  }

  /** Carries a step out on both, and compares all that can be seen. */
  do(step: Step): void {
    const committed = this.committed
    this.turn += 1
    const turn = new Turn(this.turn)
    const answers = this.#carryOut(step, turn)
    for (const fact of turn.facts) this.#kept.push({ turn: turn.number, fact })
    this.#after({ step, turn, now: this.now, committed, answers })
  }

  #after(done: Done): void {
    const { turn } = done
    this.trace?.push(asText(turn))
    this.model.step(done)
    this.#held?.done.push(done)
    this.witness.decided(turn, this.model, done.answers)
    for (const effect of turn.effects) {
      if (effect.rests > done.committed) this.#parked.push(effect)
      else this.witness.carriedOut(effect, this.model)
    }
    if (!this.isDiskHeld) this.#commitUpTo(this.turn)
    compare(this.broker, this.model, this.now, this.steps)
    this.steps += 1
  }

  // ── the disk ───────────────────────────────────────────────────────────────────────────────────────────────────

  holdDisk(): void {
    this.#held ??= { model: this.model.copy(), done: [] }
  }

  /** Some more is on disk; all of it: from now on everything is at once. */
  commit(upTo: number): void {
    if (this.#held === undefined) return
    if (upTo >= this.turn) this.#held = undefined
    this.#commitUpTo(upTo)
  }

  #commitUpTo(upTo: number): void {
    if (upTo <= this.broker.committed) return
    this.broker.committed = upTo
    const parked = this.#parked
    this.#parked = parked.filter(({ rests }) => rests > upTo)
    for (const effect of parked) if (effect.rests <= upTo) this.witness.carriedOut(effect, this.model)
  }

  /** The process dies; what is on disk is everything up to a turn of ours, and starts again. */
  crash(upTo: number): void {
    const held = this.#held
    if (held !== undefined && upTo < this.turn) {
      this.model = held.model
      for (const done of held.done) if (done.turn.number <= upTo) this.model.step(done)
    }
    this.#held = undefined
    this.#kept = this.#kept.filter(({ turn }) => turn <= upTo)
    this.#restart(false)
  }

  /** A clean stop: what is out comes back, all is on disk. */
  stopCleanly(): void {
    this.do({ kind: 'stop' })
    this.commit(this.turn)
    this.#restart(true)
  }

  #restart(isClean: boolean): void {
    this.#parked = []
    this.subscriptions.clear()
    this.broker = new Broker()
    this.broker.committed = this.turn
    this.#starts += 1
    this.turn += 1
    const turn = new Turn(this.turn)
    this.broker.restore({ kind: 'started', start: this.#starts, clean: isClean }, this.now)
    for (const fact of restorable(this.#kept.map(({ fact }) => fact)))
      this.broker.restore(fact.kind === 'enqueued' ? { ...fact, bodyBytes: BODY_BYTES } : fact, this.now)
    for (const queue of this.model.queues.values()) {
      const real = this.broker.queue(queue.name)
      // P3: an unclean start may skip some.
      must(
        real !== undefined && (isClean ? real.nextSequence === queue.next : real.nextSequence >= queue.next),
        'P3, INV-31 recovery-exact',
        () => `${queue.name} goes on at ${real?.nextSequence}, should at ${queue.next}`,
      )
      queue.next = real?.nextSequence ?? queue.next
    }
    this.broker.restored(turn, this.now)
    this.witness.restarted()
    for (const fact of turn.facts) this.#kept.push({ turn: turn.number, fact })
    this.#after({ step: { kind: 'restart', isClean }, turn, now: this.now, committed: this.committed, answers: [] })
  }

  // ── the real core ──────────────────────────────────────────────────────────────────────────────────────────────

  queue(name: string): Queue {
    return this.broker.queue(name) ?? broken('INV-31 recovery-exact', `queue ${name} is gone`)
  }

  #subscription(id: number): Subscription {
    return this.subscriptions.get(id) as Subscription
  }

  #carryOut(step: Step, turn: Turn): Answer[] {
    const { broker, now } = this
    switch (step.kind) {
      case 'declare':
        broker.declare(turn, now, step.queue, step.options)
        return []
      case 'delete': {
        const refusal = broker.delete(turn, now, this.queue(step.queue))
        if (refusal !== undefined) return [refusal.code]
        for (const [id, { queue }] of this.model.subscriptions) if (queue === step.queue) this.subscriptions.delete(id)
        return ['deleted']
      }
      case 'publish': {
        const publish = { incoming: incomingOf(step.pieces), now, isAccepted: step.isAccepted }
        return broker.publish(turn, this.queue(step.queue), publish).flatMap(answersOf)
      }
      case 'numbered': {
        const { queue, publish, count, numbering } = this.#partOf(step)
        const answers = broker.publishNumbered(turn, queue, publish, count, numbering as Numbering)
        if (typeof answers === 'string') return ['out of turn']
        return Array.isArray(answers) ? answers.flatMap(answersOf) : ['refused']
      }
      case 'atomic': {
        const answers = broker.publishAtomic(
          turn,
          step.parts.map(part => this.#partOf(part)),
          step.isMissing === true ? { refusal: { code: 'no-such-queue', detail: '' } } : {},
        )
        if (typeof answers === 'string') return ['out of turn']
        return Array.isArray(answers) ? answers.flat().flatMap(answersOf) : ['refused']
      }
      case 'subscribe':
        return this.#subscribe(step, turn)
      case 'unsubscribe': {
        const subscription = this.#subscription(step.subscription)
        this.subscriptions.delete(step.subscription)
        broker.unsubscribe(turn, now, this.#queueOf(step.subscription), subscription, step.isGone)
        return []
      }
      case 'answer': {
        const queue = this.#queueOf(step.subscription)
        const subscription = this.#subscription(step.subscription)
        broker.change(turn, now, queue, () => {
          queue.closePull(turn, now, subscription, step.sent)
          if (!step.isSettled || step.sent === 0) return
          queue.settling.settle(turn, now, subscription, {
            deliveries: [{ first: 1, count: step.sent }],
            how: { kind: 'ack' },
          })
        })
        return []
      }
      case 'change':
        this.#change(step, turn)
        return []
      case 'settle':
        return this.#settle(step, turn)
      case 'tick':
        broker.tick(turn, now)
        return []
      case 'requeue':
        return [`${broker.requeue(turn, now, this.queue(step.queue), step.sequences)} requeued`]
      case 'pause':
        broker.pause(turn, now, this.queue(step.queue), step.isPaused)
        return []
      case 'update':
        broker.update(turn, now, this.queue(step.queue), step.options)
        return []
      case 'cancel':
        return [broker.cancel(turn, now, this.queue(step.queue), step.barrier, step.rest)?.code ?? 'cancelled']
      case 'extend':
        return [broker.extend(turn, now, this.queue(step.queue), step.barrier, step.deadlineAt)?.code ?? 'extended']
      case 'purge':
        return [`${broker.purge(turn, now, this.queue(step.queue), step).count} purged`]
      case 'stop':
        broker.stop(turn, now)
        return []
      case 'restart':
        return []
    }
  }

  #partOf({ queue, pieces, numbers }: Part): AtomicPart {
    const count = pieces.reduce((sum, piece) => sum + sizeOf(piece), 0)
    return {
      queue: this.queue(queue),
      publish: { incoming: incomingOf(pieces), now: this.now },
      count,
      numbering: numbers,
    }
  }

  #queueOf(id: number): Queue {
    return this.queue(this.model.subscription(id).queue)
  }

  #subscribe(step: Extract<Step, { kind: 'subscribe' }>, turn: Turn): Answer[] {
    const { subscription: id, prefetch, concurrency, leaseMs, filter, isPull, afterBatch } = step
    const terms = { peer: id, tag: id, prefetch, concurrency, leaseMs, predicate: predicateOf(filter), isPull }
    const queue = this.queue(step.queue)
    const { subscription, missed } = this.broker.subscribe(turn, this.now, queue, terms, afterBatch)
    this.subscriptions.set(id, subscription)
    return [`missed ${missed}`]
  }

  #change({ subscription: id, prefetch, filter, isStalled }: Extract<Step, { kind: 'change' }>, turn: Turn): void {
    const subscription = this.#subscription(id)
    const queue = this.#queueOf(id)
    this.broker.change(turn, this.now, queue, () => {
      if (filter !== undefined) {
        queue.consumers.leave(subscription)
        subscription.predicate = predicateOf(filter ?? undefined)
        queue.consumers.join(subscription)
      }
      if (prefetch !== undefined) queue.consumers.setPrefetch(subscription, prefetch)
      if (isStalled === undefined) return
      subscription.isStalled = isStalled
      queue.consumers.changed(subscription)
    })
  }

  #settle(step: Extract<Step, { kind: 'settle' }>, turn: Turn): Answer[] {
    const { now } = this
    const claims = step.claims.map(({ subscription, ranges }) => ({
      subscription: this.#subscription(subscription),
      deliveries: ranges,
    }))
    const carried = step.carried.map(part => this.#partOf(part))
    const answer = this.broker.settle(turn, now, this.queue(step.queue), claims, step.how, carried)
    if (answer.refusal !== undefined) return [answer.refusal.code]
    return [
      ...(answer.published ?? []).flatMap(answersOf),
      ...answer.results.flat().flatMap(({ count, result }) => Array.from({ length: count }, () => result)),
    ]
  }
}

function predicateOf(filter: number | undefined): Predicate | undefined {
  if (filter === undefined) return undefined
  return {
    text: `colours ${filter}`,
    matches: sequence => takes(filter, colorOf(sequence)),
    matchesBarrier: ({ bytes }) => takes(filter, bytes[0] ?? 0),
  }
}

function incomingOf(pieces: readonly Piece[]): Incoming[] {
  let index = 0
  return pieces.map((piece): Incoming => {
    const at = { index }
    const count = sizeOf(piece)
    index += count
    if (piece.kind === 'refused') return { kind: 'refused', ...at, count, refusal: refuse(piece.code, '') }
    if (piece.kind === 'barrier') {
      const bytes = Uint8Array.of(piece.color)
      return defined({
        kind: 'barrier' as const,
        ...at,
        count: 1 as const,
        bytes,
        barrier: barrierOf(piece),
        id: piece.id,
      })
    }
    const runs = piece.runs.map(run => ({ ...run, bodyBytes: run.count * BODY_BYTES }))
    return defined({ kind: 'messages' as const, ...at, count, bytes: NOTHING, runs, id: piece.id })
  })
}

function barrierOf(piece: Extract<Piece, { kind: 'barrier' }>): IncomingBarrier {
  const { name, deadlineMs, rest, party, parties, forward } = piece
  return defined({ name, deadlineMs, rest, party, parties, forward })
}

const NOTHING = new Uint8Array(0)

function answersOf(answer: PublishAnswer): Answer[] {
  return Array.from({ length: answer.count }, (_, k) =>
    'refusal' in answer
      ? answer.refusal.code
      : `${answer.sequence + k} in ${answer.batch}${answer.duplicate ? ' duplicate' : ''}${answer.isEarly === true ? ' early' : ''}`,
  )
}

function asText({ facts, effects }: Turn): string {
  const flat = effects.map(effect =>
    'subscription' in effect ? { ...effect, subscription: effect.subscription.tag } : effect,
  )
  return JSON.stringify([facts, flat])
}
