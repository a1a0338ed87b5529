import type { Timestamp, TurnNumber } from '../../../src/core/facts.ts'
import type { Effect } from '../../../src/core/turn.ts'
import type { Model } from './model.ts'
import type { Message, Origin, Queue, Subscription } from './state.ts'
import { broken, colorOf, type Done, must, takes } from './words.ts'

type Deliver = Extract<Effect, { kind: 'deliver' }>

/**
 * Between the model and what the core made of a step: reads off its choices, checks that the rules allow them, and
 * compares what everybody was told with what the model says they have to be told.
 */
export class Referee {
  readonly #model: Model
  readonly #done: Done
  /** What the model tells, by whom: in order; and lost leases, in any. */
  readonly #told = new Map<string, string[]>()
  /** Messages that a subscription got. */
  readonly #got = new Map<Subscription, number>()
  /** Deliveries of the turn, one by one; those in front of `#next` were followed. */
  readonly #deliveries: { readonly effect: Deliver; readonly k: number }[]
  #next = 0
  /** Why the next delivery was not allowed when it was looked at. */
  #fault: { readonly rule: string; readonly what: string } | undefined
  readonly #moved = new Map<string, Extract<Done['turn']['facts'][number], { kind: 'moved' }>>()

  constructor(model: Model, done: Done) {
    this.#model = model
    this.#done = done
    this.#deliveries = done.turn.effects.flatMap(effect =>
      effect.kind === 'deliver' ? Array.from({ length: effect.count }, (_, k) => ({ effect, k })) : [],
    )
    for (const fact of done.turn.facts)
      if (fact.kind === 'moved') this.#moved.set(`${fact.queue} ${fact.sequence}`, fact)
  }

  // ── what has to be told ────────────────────────────────────────────────────────────────────────────────────────

  tell(whom: Queue | Subscription, what: string): void {
    this.#put('live' in whom ? `queue ${whom.id}` : `subscription ${whom.id}`, what)
  }

  lost(holder: Subscription, delivery: number): void {
    this.#put(`subscription ${holder.id} loses`, `${delivery}`)
  }

  #put(whom: string, what: string): void {
    const told = this.#told.get(whom)
    if (told === undefined) this.#told.set(whom, [what])
    else told.push(what)
  }

  // ── what is free ───────────────────────────────────────────────────────────────────────────────────────────────

  /** Sequence number that a dead letter has where it is now; that it is there is checked by its one fact (A5). */
  moved({ id, name }: Queue, target: Queue, right: Origin): number {
    const key = `${id} ${right.sequence}`
    const fact =
      this.#moved.get(key) ?? broken('A5, INV-25 dead-letter-atomic', `${name} ${right.sequence} is not moved`)
    this.#moved.delete(key)
    const { origin } = fact.run
    const got = `${origin?.queueId} ${origin?.batch} ${origin?.attempts} ${origin?.reason} ${origin?.priority ?? 0} ${origin?.group} ${origin?.deadAt}`
    const should = `${id} ${right.batch} ${right.attempts} ${right.reason} ${right.priority} ${right.group} ${this.#done.now}`
    must(got === should, 'A5, INV-25 dead-letter-atomic', () => `${key} tells ${got}, it is ${should}`)
    const place = `${fact.to} in ${fact.toBatch}`
    const home = `${target.id} in ${target.released + target.waiting.length}`
    must(place === home, 'A5, INV-25 dead-letter-atomic', () => `${key} is moved to ${place}, should be ${home}`)
    return fact.toSequence
  }

  /** P9: whether the core lets go of this producer now, which it may from some time on. */
  forgets({ id }: Queue, producer: string, mayIt: boolean): boolean {
    const isSo = this.#done.turn.facts.some(
      fact => fact.kind === 'producerForgotten' && fact.queue === id && fact.producer === producer,
    )
    must(!isSo || mayIt, 'P9', () => `producer ${producer} is forgotten before its day is over`)
    return isSo
  }

  /** Follows the deliveries of a queue as far as they are allowed now. */
  handOut(queue: Queue): void {
    for (; this.#next < this.#deliveries.length; this.#next += 1) {
      const { effect, k } = this.#deliveries[this.#next] as { effect: Deliver; k: number }
      if (effect.queue !== queue.id) return
      this.#fault = this.#faultOf(queue, effect, k)
      if (this.#fault !== undefined) return
      this.#deliver(queue, effect, k)
    }
  }

  /** Why D1 does not allow this delivery, or what is wrong in it. */
  #faultOf(queue: Queue, effect: Deliver, k: number): { rule: string; what: string } | undefined {
    const model = this.#model
    const { options } = queue
    const sequence = effect.first + k
    const holder = model.subscription(effect.subscription.tag)
    const message = queue.live.find(other => other.sequence === sequence)
    if (message === undefined) return { rule: 'D2, INV-21 no-resurrection', what: 'it is settled' }
    const first = model.firstFor(queue, holder)
    const told = `${effect.delivery + k} batch ${effect.batch} attempt ${effect.attempt} of ${effect.origin?.sequence}`
    const right = `${holder.next} batch ${message.batch} attempt ${message.attempts + 1} of ${message.origin?.sequence}`
    const earlier = model
      .of(queue)
      .find(other => other.id < holder.id && model.hasRoom(queue, other) && model.firstFor(queue, other) === message)
    const isOnce = options.semantics === 'at-most-once'
    const checks: readonly (readonly [boolean, string, string])[] = [
      [message.state === 'ready', 'D2, INV-8 one-holder', `it is ${message.state}`],
      [message.batch === queue.released, 'B4, INV-17 barrier-fence', 'a waiting barrier is in front of it'],
      [message.expiresAt > this.#done.now, 'D16, INV-27 expiry', 'it is over'],
      [takes(holder.filter, colorOf(sequence)), 'D1, INV-29 filter', 'it does not match'],
      [first === message, 'D1, INV-5 seq-order, INV-7 priority', `the first is ${first?.sequence}`],
      [model.hasRoom(queue, holder), 'D8, INV-13 credit', 'there is no credit'],
      [model.mayLease(queue), 'D1', 'that is above unacked_max'],
      [options.fairness !== 'fast' || earlier === undefined, 'D1 fast', `${earlier?.id} is the first with room`],
      [told === right, 'A3, B11, D5', `as ${told}, should be ${right}`],
      [!effect.redelivered || message.isSuspect, 'D5', 'as redelivered, and nobody had it'],
      [effect.redelivered || message.attempts === 0, 'D5, INV-8', `as new, at attempt ${effect.attempt}`],
      [effect.isSpent === isOnce, 'D9', `it is ${effect.isSpent ? '' : 'not '}settled by that`],
      [!isOnce || effect.rests === this.#done.turn.number, 'D9', 'before its removal is on disk'],
    ]
    const fault = checks.find(([holds]) => !holds)
    if (fault !== undefined) return { rule: fault[1], what: fault[2] }
    return isOnce ? undefined : this.#restsFault(effect.rests, queue, holder, message)
  }

  /** The rule of the gate: on the turn that brought it, the last release before it and the delivery before it; on no more. */
  #restsFault(
    rests: TurnNumber,
    queue: Queue,
    holder: Subscription,
    message: Message,
  ): { rule: string; what: string } | undefined {
    const least = Math.max(message.restsOn, queue.openedIn, holder.lastRests)
    const what = `resting on ${rests} instead of ${least}`
    if (rests < least) return { rule: 'D12, B7, B9, INV-3 confirm-after-flush', what }
    const mayGo = Math.max(least, message.mayRestOn) <= this.#done.committed
    if (rests > this.#done.turn.number || (mayGo && rests > this.#done.committed)) return { rule: 'gate', what }
    return undefined
  }

  #deliver(queue: Queue, effect: Deliver, k: number): void {
    const model = this.#model
    const { rests } = effect
    const sequence = effect.first + k
    const holder = model.subscription(effect.subscription.tag)
    const message = queue.live.find(other => other.sequence === sequence) as Message
    this.tell(holder, `message ${sequence}`)
    if (effect.isSpent) model.spend(queue, message, holder, rests)
    else {
      const leaseMs = holder.leaseMs ?? queue.options.leaseMs ?? Number.POSITIVE_INFINITY
      const at: Timestamp = this.#done.now
      message.state = 'leased'
      message.lease = { holder: holder.id, delivery: holder.next, deadline: at + leaseMs, at, rests }
    }
    holder.next += 1
    holder.lastRests = rests
    this.#got.set(holder, (this.#got.get(holder) ?? 0) + 1)
  }

  // ── after the last ─────────────────────────────────────────────────────────────────────────────────────────────

  /** Nothing was done that the model does not know of, everybody was told what they had to be, and it was shared out fairly. */
  finish(): void {
    for (const [key, { run }] of this.#moved)
      if (run.origin !== undefined) broken('INV-2 no-silent-end', `${key} is moved: ${run.origin.reason}`)
    const left = this.#deliveries[this.#next]
    if (left !== undefined) {
      const { rule, what } = this.#fault ?? { rule: 'D1', what: 'its queue has nothing to give' }
      const { effect, k } = left
      broken(rule, `queue ${effect.queue} ${effect.first + k} goes to ${effect.subscription.tag}: ${what}`)
    }
    const got = new Map<string, string[]>()
    for (const effect of this.#done.turn.effects) {
      const [whom, what] = this.#textOf(effect)
      got.set(whom, [...(got.get(whom) ?? []), ...what])
    }
    for (const whom of new Set([...got.keys(), ...this.#told.keys()])) {
      const order = (all: readonly string[] = []) => (whom.endsWith('loses') ? [...all].sort() : all).join(', ')
      const [is, should] = [order(got.get(whom)), order(this.#told.get(whom))]
      must(
        is === should,
        'B2, B5, B7, B8, D7, INV-9 lease-ends-for-cause, INV-16 barrier-held, INV-18 barrier-all, INV-20 barrier-order',
        () => `${whom}: told [${is}], should be [${should}]`,
      )
    }
    this.#checkFairness()
  }

  #textOf(effect: Effect): [string, string[]] {
    const whom = 'subscription' in effect ? `subscription ${effect.subscription.tag}` : `queue ${effect.queue}`
    switch (effect.kind) {
      case 'deliver':
        return [whom, Array.from({ length: effect.count }, (_, k) => `message ${effect.first + k}`)]
      case 'barrier':
        this.#checkBarrier(effect)
        return [whom, [`barrier ${effect.record.sequence} ${effect.replayed ? 'replayed' : effect.record.outcome}`]]
      case 'released':
        must(
          effect.rests === this.#done.turn.number,
          'B9',
          () => `${whom} tells a release that rests on ${effect.rests}`,
        )
        return [whom, [`released ${effect.record.sequence} ${effect.record.outcome}`]]
      case 'lease-lost':
        return [`${whom} loses`, Array.from({ length: effect.count }, (_, k) => `${effect.first + k}`)]
      case 'cancelled':
        return [whom, [`cancelled ${effect.why.code}`]]
      case 'queue-deleted':
        return [whom, ['deleted']]
    }
  }

  /** B9: it is sent when its release is on disk. What follows it in its subscription rests on that too. */
  #checkBarrier({ record, rests, subscription }: Extract<Effect, { kind: 'barrier' }>): void {
    const holder = this.#model.subscriptions.get(subscription.tag)
    if (holder === undefined) return
    const { records } = this.#model.queue(holder.queue)
    const least = records.find(({ sequence }) => sequence === record.sequence)?.releasedIn ?? 0
    must(rests >= least, 'B9', () => `barrier ${record.sequence} rests on ${rests}, its release on ${least}`)
    holder.lastRests = Math.max(holder.lastRests, rests)
  }

  /** INV-15: of two that want the same and have room, none gets its next one while it is the other's turn. */
  #checkFairness(): void {
    const model = this.#model
    if (this.#done.step.kind === 'tick') return
    for (const [holder, count] of this.#got) {
      const queue = model.queue(holder.queue)
      for (const other of model.of(queue)) {
        if (other === holder || other.filter !== holder.filter || !model.hasRoom(queue, other)) continue
        const got = this.#got.get(other) ?? 0
        const what = () => `${holder.id} gets ${count} and ${other.id} gets ${got}`
        if (queue.options.fairness === 'round-robin') must(count <= got + 1, 'D1, INV-15 fairness', what)
        if (queue.options.fairness !== 'proportional') continue
        const before = (model.used(holder) - 1) / holder.prefetch
        const after = model.used(other) / other.prefetch
        must(before <= after + 1e-9, 'D1, INV-15 fairness', () => `${what()}: shares ${before} and ${after}`)
      }
    }
  }
}
