import type { TurnNumber } from '../../../src/core/facts.ts'
import type { Effect } from '../../../src/core/turn.ts'
import type { Model } from './model.ts'
import { broken, colorOf, type Done, type Message, must, type Queue, type Subscription, takes } from './words.ts'

/** Follows what the core does in a turn, effect by effect: whether the rules allow it, and whether anything is missing. */
export class Referee {
  readonly #model: Model
  readonly #done: Done
  /** What has to be told, by whom it is told to. */
  readonly #expected = new Map<string, string[]>()

  /** Messages that a subscription got. */
  readonly #got = new Map<Subscription, number>()

  constructor(model: Model, done: Done) {
    this.#model = model
    this.#done = done
  }

  /** After the last effect: what was to be told and was not, and whether the messages were shared out fairly. */
  finish(): void {
    this.#checkFairness()
    for (const [whom, [first]] of this.#expected)
      if (first !== undefined) broken('B5, D7, INV-18 barrier-all', `${whom} is not told: ${first}`)
  }

  expect(subscription: Subscription, what: string): void {
    this.#put(`subscription ${subscription.id}${what.startsWith('lost') ? ' lost' : ''}`, what)
  }

  expectOf(queue: Queue, what: string): void {
    this.#put(`queue ${queue.name}`, what)
  }

  #put(whom: string, what: string): void {
    const list = this.#expected.get(whom)
    if (list === undefined) this.#expected.set(whom, [what])
    else list.push(what)
  }

  follow(effect: Effect): void {
    switch (effect.kind) {
      case 'deliver':
        for (let k = 0; k < effect.count; k += 1) this.#deliver(effect, k)
        return
      case 'barrier': {
        const { record, replayed, rests, subscription } = effect
        this.#told(
          `subscription ${subscription.tag}`,
          `barrier ${record.sequence} ${replayed ? 'replayed' : record.outcome}`,
        )
        const holder = this.#model.subscription(subscription.tag)
        const kept = this.#model.queue(holder.queue).records.find(({ sequence }) => sequence === record.sequence)
        const least = Math.max(kept?.releasedIn ?? (replayed ? 0 : this.#done.turn.number), holder.lastRests)
        must(rests >= least, 'B9', () => `barrier ${record.sequence} rests on ${rests}, its release on ${least}`)
        holder.lastRests = Math.max(holder.lastRests, rests)
        return
      }
      case 'released': {
        const { record, rests } = effect
        const name = this.#model.names.get(effect.queue)
        this.#told(`queue ${name}`, `released ${record.sequence} ${record.outcome}`)
        must(rests === this.#done.turn.number, 'B9', () => `the release of ${record.sequence} rests on ${rests}`)
        return
      }
      case 'lease-lost': {
        const whom = `subscription ${effect.subscription.tag} lost`
        const lost = this.#expected.get(whom) ?? []
        for (let k = 0; k < effect.count; k += 1) {
          const at = lost.indexOf(`lost ${effect.first + k}`)
          must(at >= 0, 'INV-9 lease-ends-for-cause', () => `${whom} ${effect.first + k}`)
          lost.splice(at, 1)
        }
        return
      }
      case 'cancelled':
        this.#told(`subscription ${effect.subscription.tag}`, `cancelled ${effect.why.code}`)
        return
      case 'queue-deleted':
        this.#told(`queue ${this.#model.names.get(effect.queue)}`, 'deleted')
    }
  }

  #told(whom: string, what: string): void {
    const [next] = this.#expected.get(whom) ?? []
    must(
      next === what,
      'B2, B5, B8, INV-16 barrier-held, INV-18 barrier-all, INV-20 barrier-order',
      () => `${whom} is told "${what}", should be "${next}"`,
    )
    this.#expected.get(whom)?.shift()
  }

  /** Whether this delivery is one that D1 allows, and says the right things; then it is so. */
  #deliver(effect: Extract<Effect, { kind: 'deliver' }>, k: number): void {
    const sequence = effect.first + k
    const holder = this.#model.subscription(effect.subscription.tag)
    const queue = this.#model.queue(holder.queue)
    const what = () => `${queue.name} ${sequence} goes to ${holder.id}`
    must((this.#expected.get(`subscription ${holder.id}`) ?? []).length === 0, 'B7', () => `${what()} before a barrier`)
    const message = queue.live.find(other => other.sequence === sequence)
    if (message === undefined) broken('D2, INV-21 no-resurrection', `${what()} and is settled`)
    must(message.state === 'ready', 'D2, INV-8 one-holder', () => `${what()} and is ${message.state}`)
    must(message.batch === queue.released, 'B4, INV-17 barrier-fence', () => `${what()} over a waiting barrier`)
    must(message.expiresAt > this.#done.now, 'D16, INV-27 expiry', () => `${what()} and is over`)
    must(takes(holder.filter, colorOf(sequence)), 'D1, INV-29 filter', () => `${what()}, which does not match`)
    const first = this.#model.firstFor(queue, holder)
    must(
      first === message || this.#isOtherOrder(queue, holder, message),
      'D1, INV-5 seq-order, INV-7 priority',
      () => `${what()}, the first is ${first?.sequence}`,
    )
    must(this.#model.hasRoom(holder), 'D8, INV-13 credit', () => `${what()}, which has no credit`)
    must(this.#model.mayLease(queue), 'D1', () => `${what()} over unacked_max`)
    if (queue.options.fairness === 'fast') {
      const earlier = this.#model
        .of(queue)
        .find(
          other => other.id < holder.id && this.#model.hasRoom(other) && this.#model.firstFor(queue, other) === message,
        )
      must(earlier === undefined, 'D1 fast', () => `${what()}, ${earlier?.id} is the first with room`)
    }
    const told = `${effect.delivery + k} batch ${effect.batch} attempt ${effect.attempt} of ${effect.origin?.sequence}`
    const right = `${holder.next} batch ${message.batch} attempt ${message.attempts + 1} of ${message.origin?.sequence}`
    must(told === right, 'A3, B11, D5', () => `${what()} as ${told}, should be ${right}`)
    must(!effect.redelivered || message.delivered !== 'no', 'D5', () => `${what()} as redelivered, and nobody had it`)
    must(
      effect.redelivered || message.attempts === 0,
      'D5, INV-8',
      () => `${what()} as new, at attempt ${effect.attempt}`,
    )
    const isOnce = queue.options.semantics === 'at-most-once'
    must(effect.isSpent === isOnce, 'D9', () => `${what()} and is ${effect.isSpent ? '' : 'not '}settled by that`)
    if (isOnce) {
      must(effect.rests === this.#done.turn.number, 'D9', () => `${what()} before its removal is on disk`)
      this.#model.spend(queue, message, holder, effect.rests)
      this.#sent(holder, effect.rests)
      return
    }
    this.#checkRests(effect.rests, queue, holder, message, what)
    const leaseMs = holder.leaseMs ?? queue.options.leaseMs
    const deadline = leaseMs === undefined ? Number.POSITIVE_INFINITY : this.#done.now + leaseMs
    message.state = 'leased'
    message.lease = {
      subscription: holder.id,
      delivery: holder.next,
      deadline,
      at: this.#done.now,
      rests: effect.rests,
    }
    this.#sent(holder, effect.rests)
  }

  #sent(holder: Subscription, rests: TurnNumber): void {
    holder.next += 1
    this.#got.set(holder, (this.#got.get(holder) ?? 0) + 1)
    holder.lastRests = rests
  }

  /** INV-15: of two that want the same and have room, none gets its next one while it is the other's turn. */
  #checkFairness(): void {
    if (this.#done.step.kind === 'tick') return
    for (const [holder, count] of this.#got) {
      const queue = this.#model.queue(holder.queue)
      for (const other of this.#model.of(queue)) {
        if (other === holder || other.filter !== holder.filter || !this.#model.hasRoom(other)) continue
        const got = this.#got.get(other) ?? 0
        const rule =
          queue.options.unackedMax === undefined ? 'D1, INV-15 fairness' : 'D1, INV-15 fairness with unacked_max'
        const what = () => `${holder.id} gets ${count} and ${other.id} gets ${got}`
        if (queue.options.fairness === 'round-robin') must(count <= got + 1, rule, what)
        if (queue.options.fairness !== 'proportional') continue
        const before = (this.#model.used(holder) - 1) / holder.prefetch
        const after = this.#model.used(other) / other.prefetch
        must(before <= after + 1e-9, rule, () => `${what()}: shares ${before} and ${after}`)
      }
    }
  }

  /**
   * At a tick queues are looked at one after another: dead letters of another queue may come in before this one's own
   * time is looked at, or after.
   */
  #isOtherOrder(queue: Queue, holder: Subscription, message: Message): boolean {
    const { step, turn } = this.#done
    if (step.kind !== 'tick' || !turn.facts.some(({ kind }) => kind === 'moved')) return false
    const wasReady = (other: Message) => other.readyIn !== turn.number
    const wasHere = (other: Message) => other.enqueuedIn !== turn.number
    return [wasReady, wasHere, (other: Message) => wasReady(other) && wasHere(other)].some(
      counts => message === this.#model.firstFor(queue, holder, counts),
    )
  }

  /** The rule of the gate (architecture.md, 4): on the turn that brought it and the last release before it, and on no more. */
  #checkRests(rests: TurnNumber, queue: Queue, holder: Subscription, message: Message, what: () => string): void {
    const least = Math.max(message.enqueuedIn, queue.openedIn)
    must(rests >= least, 'D12, B9, INV-3', () => `${what()} resting on ${rests} instead of ${least}`)
    must(rests >= holder.lastRests, 'B7', () => `${what()} and may overtake what rests on ${holder.lastRests}`)
    must(rests <= this.#done.turn.number, 'gate', () => `${what()} resting on turn ${rests}, which is not yet`)
    const mayGo = Math.max(least, message.mayWaitFor, holder.lastRests) <= this.#done.committed
    must(!mayGo || rests <= this.#done.committed, 'gate', () => `${what()} and waits for ${rests}`)
  }
}
