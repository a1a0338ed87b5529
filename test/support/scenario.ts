import { expect } from 'vitest'
import { Broker } from '../../src/core/broker.ts'
import { type GivenOptions, withDefaults } from '../../src/core/declaring.ts'
import { parseDuration } from '../../src/core/durations.ts'
import type { BatchRest, Fact } from '../../src/core/facts.ts'
import type { Incoming, IncomingBarrier, IncomingRun, Owner } from '../../src/core/publishing.ts'
import type { Queue } from '../../src/core/queue.ts'
import type { SettleHow } from '../../src/core/settling.ts'
import type { Predicate, Subscription } from '../../src/core/subscription.ts'
import { type Effect, Turn } from '../../src/core/turn.ts'
import { restorable } from './restorable.ts'

export { restorable } from './restorable.ts'

export interface Message {
  readonly priority?: number
  readonly group?: string
  readonly delay?: string
  readonly ttl?: string
  /** Message id, for a queue with a dedupe window. */
  readonly id?: string
  /** Bytes of its body; default 10. */
  readonly bytes?: number
}

/** What a publisher says of a barrier. */
export interface BarrierWish extends Omit<IncomingBarrier, 'name' | 'deadlineMs'> {
  readonly deadline?: string
  /** Bytes of its record; default those of its name. */
  readonly bytes?: number
}

/** The moment at which every scenario begins. */
export const START: number = Date.UTC(2026, 0, 1)

/** Who consumes, in a scenario. */
export interface Wish {
  readonly prefetch?: number
  readonly concurrency?: number
  readonly lease?: string
  /** Labels that it takes; barriers by their name. */
  readonly only?: readonly string[]
  readonly afterBatch?: number
}

/** All that a command led to, as text; what it says is compared whole, so that an effect too many fails as well. */
export class Outcome {
  readonly lines: readonly string[]

  constructor(lines: readonly string[]) {
    this.lines = lines
  }

  gives(...lines: readonly string[]): void {
    expect(this.lines).toEqual(lines)
  }
}

interface Consumer {
  readonly queue: string
  readonly subscription: Subscription
}

/** What all queues of a scenario share. */
class World {
  broker = new Broker()
  now = START
  turn = 0
  readonly kept: { readonly turn: number; readonly fact: Fact }[] = []
  readonly labels = new Map<string, string>()
  readonly names = new Map<number, string>()
  readonly consumers = new Map<string, Consumer>()
  readonly deliveries = new Map<string, { readonly number: number; readonly batch: number }>()
  diskIsHeld = false
  owner: Owner | undefined
}

/**
 * A queue on the bare core: messages and barriers are called by labels, consumers by names, time is told. Every turn is
 * on disk at once, unless the scenario holds the disk. `on` gives another queue of the same world.
 */
export class Scenario {
  readonly name: string
  readonly world: World

  constructor(options: GivenOptions = {}, name = 'orders', world?: World) {
    this.name = name
    this.world = world ?? new World()
    if (this.broker.queue(name) === undefined)
      this.run((turn, now) => this.broker.declare(turn, now, name, withDefaults(options)))
  }

  /** Another queue, declared if it is not there. */
  on(name: string, options: GivenOptions = {}): Scenario {
    return new Scenario(options, name, this.world)
  }

  get broker(): Broker {
    return this.world.broker
  }

  get queue(): Queue {
    return this.broker.queue(this.name) as Queue
  }

  get now(): number {
    return this.world.now
  }

  set now(now: number) {
    this.world.now = now
  }

  /** Facts of all turns, for a crash; those after the last commit are lost. */
  get kept(): readonly { readonly turn: number; readonly fact: Fact }[] {
    return this.world.kept
  }

  /** Consumers of this queue. */
  get consumers(): { get(name: string): Subscription | undefined } {
    return { get: name => this.world.consumers.get(name)?.subscription }
  }

  /** Time since the start: `30s`. */
  at(time: string): this {
    this.now = START + (parseDuration(time) as number)
    return this
  }

  /** From now on nothing reaches the disk, until `commit`. */
  holdDisk(): this {
    this.world.diskIsHeld = true
    return this
  }

  commit(): this {
    this.world.diskIsHeld = false
    this.broker.committed = this.world.turn
    return this
  }

  // ── publishing ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** From now on this one publishes, who may have so many bytes stored; without a name somebody without a quota. */
  by(name?: string, storedBytesMax: number = Number.POSITIVE_INFINITY): this {
    this.world.owner = name === undefined ? undefined : { name, storedBytesMax }
    return this
  }

  publish(...labels: readonly string[]): Outcome {
    return this.publishEach(labels.map(label => [label, {}]))
  }

  publishEach(messages: readonly (readonly [string, Message])[]): Outcome {
    return this.outcome((turn, now) => {
      const incoming = this.incoming(messages)
      const answers = this.broker.publish(turn, this.queue, { incoming, now, owner: this.world.owner })
      for (const answer of answers) {
        if ('refusal' in answer || answer.duplicate) continue
        for (let k = 0; k < answer.count; k += 1)
          this.world.labels.set(`${this.name} ${answer.sequence + k}`, messages[answer.index + k]?.[0] ?? '')
      }
      return answersAsText(
        answers,
        messages.map(([label]) => label),
      )
    })
  }

  /** So many plain messages without labels, as one stretch. */
  publishMany(count: number): Outcome {
    return this.outcome((turn, now) => {
      const runs = [{ count, bodyBytes: count }]
      const incoming: Incoming[] = [{ kind: 'messages', index: 0, count, bytes: NO_BYTES, runs }]
      this.broker.publish(turn, this.queue, { incoming, now })
    })
  }

  /** Stretches of a publish: messages with an id are one each. Labels go to those that come in next. */
  incoming(messages: readonly (readonly [string, Message])[], after = 0): Incoming[] {
    const pieces: Incoming[] = []
    let index = 0
    for (const [label, message] of messages) {
      const { id } = message
      const run = runOf(message, this.world.owner !== undefined)
      const last = pieces[pieces.length - 1]
      if (id === undefined || this.queue.dedupe.find(id) === undefined)
        this.expectNext(this.queue, [label], after + index)
      if (id === undefined && last?.kind === 'messages' && last.id === undefined) {
        pieces[pieces.length - 1] = { ...last, count: last.count + 1, runs: merged([...last.runs, run]) }
      } else {
        const common = { kind: 'messages', index, count: 1, bytes: NO_BYTES, runs: [run] } as const
        pieces.push(id === undefined ? common : { ...common, id })
      }
      index += 1
    }
    return pieces
  }

  barrier(name: string, wish: BarrierWish = {}): Outcome {
    return this.outcome((turn, now) => {
      const { queue } = this
      if (queue.barriers.gatheringOf(name) === undefined) this.expectNext(queue, [name])
      const incoming = [barrierOf(name, wish)]
      return answersAsText(this.broker.publish(turn, queue, { incoming, now }), [name])
    })
  }

  // ── subscriptions ──────────────────────────────────────────────────────────────────────────────────────────────

  subscribe(name: string, wish: Wish = {}): Outcome {
    const { prefetch = 100, concurrency = 1, lease, only, afterBatch } = wish
    return this.outcome((turn, now) => {
      const terms = {
        peer: this.world.consumers.size + 1,
        tag: this.world.consumers.size + 1,
        prefetch,
        concurrency,
        leaseMs: lease === undefined ? undefined : (parseDuration(lease) as number),
        predicate: only === undefined ? undefined : this.#only(only),
        isPull: false,
      }
      const { subscription, missed } = this.broker.subscribe(turn, now, this.queue, terms, afterBatch)
      this.world.consumers.set(name, { queue: this.name, subscription })
      return missed > 0 ? [`${name} missed ${missed}`] : []
    })
  }

  /** Another filter or another prefetch, in place. */
  change(name: string, change: { readonly prefetch?: number; readonly only?: readonly string[] }): Outcome {
    return this.outcome((turn, now) => {
      const subscription = this.#consumer(name)
      this.broker.change(turn, now, this.queue, () => {
        const { consumers } = this.queue
        if (change.only !== undefined) {
          consumers.leave(subscription)
          subscription.predicate = this.#only(change.only)
          consumers.join(subscription)
        }
        if (change.prefetch !== undefined) consumers.setPrefetch(subscription, change.prefetch)
      })
    })
  }

  #only(labels: readonly string[]): Predicate {
    return {
      text: labels.join(),
      matches: sequence => labels.includes(this.world.labels.get(`${this.name} ${sequence}`) ?? ''),
      matchesBarrier: record => labels.includes(record.name ?? ''),
    }
  }

  disconnect(name: string): Outcome {
    return this.#leave(name, true)
  }

  unsubscribe(name: string): Outcome {
    return this.#leave(name, false)
  }

  #leave(name: string, isGone: boolean): Outcome {
    return this.outcome((turn, now) => this.broker.unsubscribe(turn, now, this.queue, this.#consumer(name), isGone))
  }

  // ── settling ───────────────────────────────────────────────────────────────────────────────────────────────────

  ack(name: string, ...labels: readonly string[]): Outcome {
    return this.settle(name, labels, { kind: 'ack' })
  }

  nack(name: string, label: string, delay?: string): Outcome {
    return this.settle(
      name,
      [label],
      delay === undefined ? { kind: 'nack' } : { kind: 'nack', delayMs: parseDuration(delay) as number },
    )
  }

  release(name: string, ...labels: readonly string[]): Outcome {
    return this.settle(name, labels, { kind: 'release' })
  }

  reject(name: string, label: string, reason?: string): Outcome {
    return this.settle(name, [label], reason === undefined ? { kind: 'reject' } : { kind: 'reject', reason })
  }

  extend(name: string, label: string, lease: string): Outcome {
    return this.settle(name, [label], { kind: 'extend', leaseMs: parseDuration(lease) as number })
  }

  settle(name: string, labels: readonly string[], how: SettleHow): Outcome {
    const deliveries = labels.map(label => ({ first: this.delivery(name, label), count: 1 }))
    return this.outcome((turn, now) => {
      const claims = [{ subscription: this.#consumer(name), deliveries }]
      const { results } = this.broker.settle(turn, now, this.queue, claims, how)
      const usual = { ack: 'acked', nack: 'nacked', release: 'released', reject: 'rejected', extend: 'extended' }[
        how.kind
      ]
      return results.flat().flatMap(({ result }, k) => (result === usual ? [] : [`${labels[k]} is ${result}`]))
    })
  }

  /** An ack that carries new messages, in its own queue or in another one. */
  ackAndPublish(name: string, label: string, queueName: string, ...labels: readonly string[]): Outcome {
    const target = this.on(queueName)
    return this.ackAndCarry(name, label, () => [[target, target.incoming(labels.map(text => [text, { bytes: 1 }]))]])
  }

  /** An ack that carries stretches to queues. */
  ackAndCarry(
    name: string,
    label: string,
    carried: () => readonly (readonly [Scenario, readonly Incoming[]])[],
  ): Outcome {
    const deliveries = [{ first: this.delivery(name, label), count: 1 }]
    return this.outcome((turn, now) => {
      const claims = [{ subscription: this.#consumer(name), deliveries }]
      const { owner } = this.world
      const publishes = carried().map(([{ queue }, incoming]) => ({ queue, publish: { incoming, now, owner } }))
      const answer = this.broker.settle(turn, now, this.queue, claims, { kind: 'ack' }, publishes)
      if (answer.refusal !== undefined) return [`refused: ${answer.refusal.code}`]
      return answersAsText(answer.published ?? [], [])
    })
  }

  // ── what operators do ──────────────────────────────────────────────────────────────────────────────────────────

  update(options: GivenOptions): Outcome {
    return this.outcome((turn, now) =>
      this.broker.update(turn, now, this.queue, withDefaults(options, this.queue.options)),
    )
  }

  pause(isPaused = true): Outcome {
    return this.outcome((turn, now) => this.broker.pause(turn, now, this.queue, isPaused))
  }

  delete(): Outcome {
    return this.outcome((turn, now) => refusalAsText(this.broker.delete(turn, now, this.queue)))
  }

  cancel(barrier: string, rest?: BatchRest): Outcome {
    return this.outcome((turn, now) => refusalAsText(this.broker.cancel(turn, now, this.queue, barrier, rest)))
  }

  /** New deadline, as a time since the start. */
  extendBarrier(barrier: string, until: string): Outcome {
    const deadlineAt = START + (parseDuration(until) as number)
    return this.outcome((turn, now) => refusalAsText(this.broker.extend(turn, now, this.queue, barrier, deadlineAt)))
  }

  /** One step of a purge of everything that is there when it begins. */
  purge(below: number = this.queue.nextSequence, leased = false): Outcome {
    return this.outcome((turn, now) => {
      const { count, isDone } = this.broker.purge(turn, now, this.queue, { leased, below })
      return [`purged ${count}${isDone ? '' : ', and goes on'}`]
    })
  }

  /** Sends all dead letters of this queue back. */
  requeue(): Outcome {
    return this.outcome((turn, now) => {
      const sequences = [...this.queue.runs()].flatMap(({ first, count }) =>
        Array.from({ length: count }, (_, k) => first + k),
      )
      this.broker.requeue(turn, now, this.queue, sequences)
    })
  }

  tick(): Outcome {
    return this.outcome((turn, now) => this.broker.tick(turn, now))
  }

  /** Ticks as long as something is due; returns how many turns that took. */
  work(): number {
    let turns = 0
    for (; this.broker.nextDeadline <= this.now && turns < 1_000; turns += 1)
      this.run((turn, now) => this.broker.tick(turn, now))
    return turns
  }

  /** The process dies and starts again: only what was committed is there. */
  crash(how: { readonly clean?: boolean } = {}): Outcome {
    const { world } = this
    const { committed } = world.broker
    const restored = restorable(world.kept.filter(({ turn }) => turn <= committed).map(({ fact }) => fact))
    world.broker = new Broker()
    world.broker.committed = committed
    world.consumers.clear()
    world.deliveries.clear()
    // What was not committed never was.
    world.kept.splice(0, world.kept.length, ...world.kept.filter(({ turn }) => turn <= committed))
    world.broker.restore({ kind: 'started', start: 2, clean: how.clean === true }, this.now)
    for (const fact of restored) world.broker.restore(fact, this.now)
    return this.outcome((turn, now) => world.broker.restored(turn, now))
  }

  /** Runs a command and keeps its facts. */
  run<T>(command: (turn: Turn, now: number) => T): { readonly turn: Turn; readonly result: T } {
    const { world } = this
    world.turn += 1
    const turn = new Turn(world.turn)
    const result = command(turn, this.now)
    for (const fact of turn.facts) {
      world.kept.push({ turn: turn.number, fact })
      if (fact.kind === 'queueDeclared') world.names.set(fact.queue, fact.name)
    }
    if (!world.diskIsHeld) this.broker.committed = world.turn
    return { turn, result }
  }

  outcome(command: (turn: Turn, now: number) => unknown): Outcome {
    const { turn, result } = this.run(command)
    const facts = turn.facts.flatMap(fact => this.#factAsText(fact))
    const effects = turn.effects.map(effect => {
      const text = this.#effectAsText(effect)
      this.#note(effect)
      return text
    })
    return new Outcome([...facts, ...(Array.isArray(result) ? (result as string[]) : []), ...effects])
  }

  /** The number of the delivery by which a consumer got a message last. */
  delivery(name: string, label: string): number {
    return this.#lastDelivery(name, label).number
  }

  /** The batch number that its last delivery showed. */
  batchOf(name: string, label: string): number {
    return this.#lastDelivery(name, label).batch
  }

  #lastDelivery(name: string, label: string): { readonly number: number; readonly batch: number } {
    const delivery = this.world.deliveries.get(`${name} ${label}`)
    if (delivery === undefined) throw new Error(`${name} never got ${label}`)
    return delivery
  }

  #consumer(name: string): Subscription {
    const subscription = this.consumers.get(name)
    if (subscription === undefined) throw new Error(`there is no consumer ${name}`)
    return subscription
  }

  expectNext(queue: Queue, labels: readonly string[], skipped = 0): void {
    labels.forEach((label, k) => {
      this.world.labels.set(`${queue.name} ${queue.nextSequence + skipped + k}`, label)
    })
  }

  // ── as text ────────────────────────────────────────────────────────────────────────────────────────────────────

  #label(queue: string, sequence: number): string {
    return this.world.labels.get(`${queue} ${sequence}`) ?? `${queue}#${sequence}`
  }

  #range(queue: string, first: number, count: number): string {
    const labels = Array.from({ length: Math.min(count, 4) }, (_, k) => this.#label(queue, first + k))
    return count <= 4 ? labels.join(' ') : `${labels[0]}…${this.#label(queue, first + count - 1)}`
  }

  #name(subscription: Subscription): string {
    return [...this.world.consumers].find(([, other]) => other.subscription === subscription)?.[0] ?? 'somebody'
  }

  #note(effect: Effect): void {
    if (effect.kind !== 'deliver') return
    const name = this.#name(effect.subscription)
    for (let k = 0; k < effect.count; k += 1) {
      const label = this.#label(this.#queueName(effect.queue), effect.first + k)
      this.world.deliveries.set(`${name} ${label}`, { number: effect.delivery + k, batch: effect.batch })
    }
  }

  #queueName(id: number): string {
    return this.world.names.get(id) ?? `queue ${id}`
  }

  /** Nothing for the queue that a scenario is about. */
  #where(id: number): string {
    const name = this.#queueName(id)
    return name === 'orders' ? '' : ` in ${name}`
  }

  #factAsText(fact: Fact): string[] {
    switch (fact.kind) {
      case 'enqueued': {
        const name = this.#queueName(fact.queue)
        const isOpen = fact.batch === (this.broker.queue(name)?.open.number ?? fact.batch)
        return [`keep ${this.#range(name, fact.first, fact.count)}${isOpen ? '' : ` in batch ${fact.batch}`}`]
      }
      case 'settled':
        return [`keep ${this.#range(this.#queueName(fact.queue), fact.first, fact.count)} ${fact.reason}`]
      case 'returned':
        return [
          `keep ${this.#range(this.#queueName(fact.queue), fact.first, fact.count)} returned, ${fact.attempts} tried${fact.dueAt === undefined ? '' : `, in ${fact.dueAt - this.now} ms`}`,
        ]
      case 'moved': {
        const to = this.#queueName(fact.to)
        const label = this.#label(this.#queueName(fact.queue), fact.sequence)
        this.world.labels.set(`${to} ${fact.toSequence}`, label)
        return [`keep ${label} moved to ${to}: ${fact.run.origin?.reason ?? 'requeued'}`]
      }
      case 'barrierPublished': {
        const { ended, terms } = fact
        const end = ended === undefined ? '' : ` ended: ${ended.outcome}, ${ended.rest}`
        const until =
          terms?.deadlineAt === undefined || ended !== undefined ? '' : `, for ${terms.deadlineAt - this.now} ms`
        return [`keep barrier ${fact.name}${this.#where(fact.queue)}${end}${until}`]
      }
      case 'barrierReleased':
        return [`keep ${fact.record.name} released${this.#where(fact.queue)}: ${fact.record.outcome}`]
      case 'partyArrived':
        return [`keep party ${fact.party} of ${fact.name}${this.#where(fact.queue)}`]
      case 'partiesPlaced':
        return [`keep ${fact.sequences.length} parties placed${this.#where(fact.queue)}`]
      case 'seen':
        return [`keep id ${fact.id}`]
      case 'unseen':
        return [`keep id ${fact.id} forgotten`]
      case 'queueDeclared':
        return fact.name === 'orders' || fact.suspectBelow !== undefined
          ? []
          : [`keep queue ${fact.name}${fact.paused ? ' paused' : ''}`]
      case 'queueDeleted':
        return [`keep queue ${this.#queueName(fact.queue)} deleted`]
      case 'batchCounted':
        return []
      default:
        return [`keep ${fact.kind}`]
    }
  }

  #effectAsText(effect: Effect): string {
    switch (effect.kind) {
      case 'deliver':
        return `${this.#name(effect.subscription)} gets ${this.#range(this.#queueName(effect.queue), effect.first, effect.count)}${effect.redelivered ? ' again' : ''}${effect.attempt > 1 ? `, attempt ${effect.attempt}` : ''}`
      case 'barrier':
        return `${this.#name(effect.subscription)} gets barrier ${effect.record.name}${effect.replayed ? ', replayed' : ''}`
      case 'lease-lost':
        return `${this.#name(effect.subscription)} lost ${this.#labelsOf(this.#name(effect.subscription), effect.first, effect.count)}`
      case 'released':
        return `released ${effect.record.name}${this.#where(effect.queue)}`
      case 'cancelled':
        return `${this.#name(effect.subscription)} cancelled: ${effect.why.code}`
      case 'queue-deleted':
        return 'queue deleted'
    }
  }

  #labelsOf(name: string, first: number, count: number): string {
    const labels = Array.from({ length: Math.min(4, count) }, (_, k) => this.#labelOfDelivery(name, first + k))
    return count > 4 ? `${count} deliveries` : labels.join(' ')
  }

  #labelOfDelivery(name: string, delivery: number): string {
    for (const [key, { number }] of this.world.deliveries)
      if (number === delivery && key.startsWith(`${name} `)) return key.slice(name.length + 1)
    return `delivery ${delivery}`
  }
}

export function scenario(options: GivenOptions = {}): Scenario {
  return new Scenario(options)
}

const NO_BYTES = new Uint8Array(0)

function runOf({ priority, group, delay, ttl, bytes = 10 }: Message, isOwned: boolean): IncomingRun {
  return {
    count: 1,
    bodyBytes: bytes,
    // A record without properties.
    ...(isOwned ? { recordBytes: bytes + 4 } : {}),
    ...(priority === undefined ? {} : { priority }),
    ...(group === undefined ? {} : { group }),
    ...(delay === undefined ? {} : { delayMs: parseDuration(delay) as number }),
    ...(ttl === undefined ? {} : { ttlMs: parseDuration(ttl) as number }),
  }
}

/** A barrier as the engine reads it. */
export function barrierOf(name: string, { deadline, bytes, ...wish }: BarrierWish = {}, index = 0): Incoming {
  const record = bytes === undefined ? new TextEncoder().encode(name) : new Uint8Array(bytes)
  const deadlineMs = deadline === undefined ? {} : { deadlineMs: parseDuration(deadline) as number }
  return { kind: 'barrier', index, count: 1, bytes: record, barrier: { name, ...wish, ...deadlineMs } }
}

function merged(runs: readonly IncomingRun[]): IncomingRun[] {
  const out: IncomingRun[] = []
  for (const run of runs) {
    const last = out[out.length - 1]
    const isAlike =
      last !== undefined &&
      last.recordBytes === run.recordBytes &&
      last.priority === run.priority &&
      last.group === run.group &&
      last.delayMs === run.delayMs &&
      last.ttlMs === run.ttlMs
    if (isAlike) out[out.length - 1] = { ...last, count: last.count + 1, bodyBytes: last.bodyBytes + run.bodyBytes }
    else out.push({ ...run })
  }
  return out
}

function refusalAsText(refusal: { readonly code: string } | undefined): string[] {
  return refusal === undefined ? [] : [`refused: ${refusal.code}`]
}

/** Refusals and duplicates; the usual answer goes without saying. */
export function answersAsText(
  answers: readonly (
    | { index: number; count: number; sequence: number; duplicate: boolean }
    | { index: number; count: number; refusal: { code: string } }
  )[],
  labels: readonly string[],
): string[] {
  return answers.flatMap(answer => {
    const label = labels[answer.index] ?? `${answer.index}`
    if ('refusal' in answer) return [`refuse ${label}: ${answer.refusal.code}`]
    return answer.duplicate ? [`${label} is a duplicate of ${answer.sequence}`] : []
  })
}
