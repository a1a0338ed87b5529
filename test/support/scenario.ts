import { expect } from 'vitest'
import { Broker } from '../../src/core/broker.ts'
import { type GivenOptions, withDefaults } from '../../src/core/declaring.ts'
import { parseDuration } from '../../src/core/durations.ts'
import type { Fact } from '../../src/core/facts.ts'
import type { Incoming } from '../../src/core/publishing.ts'
import type { Queue } from '../../src/core/queue.ts'
import type { SettleHow } from '../../src/core/settling.ts'
import type { Predicate, Subscription } from '../../src/core/subscription.ts'
import { type Effect, Turn } from '../../src/core/turn.ts'

export interface Message {
  readonly priority?: number
  readonly delay?: string
  readonly ttl?: string
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

/**
 * A queue on the bare core: messages and barriers are called by labels, consumers by names, time is told. Every turn is
 * on disk at once, unless the scenario holds the disk.
 */
export class Scenario {
  broker: Broker = new Broker()
  readonly name = 'orders'
  now = START
  turn = 0
  /** Facts of all turns, for a crash; those after the last commit are lost. */
  readonly kept: { readonly turn: number; readonly fact: Fact }[] = []
  readonly #labels = new Map<string, string>()
  readonly #sequences = new Map<string, { queue: string; sequence: number }>()
  readonly consumers = new Map<string, Subscription>()
  readonly #deliveries = new Map<string, number>()
  #diskIsHeld = false

  constructor(options: GivenOptions = {}) {
    this.run((turn, now) => this.broker.declare(turn, now, this.name, withDefaults(options)))
  }

  get queue(): Queue {
    return this.broker.queue(this.name) as Queue
  }

  /** Time since the start: `30s`. */
  at(time: string): this {
    this.now = START + (parseDuration(time) as number)
    return this
  }

  /** From now on nothing reaches the disk, until `commit`. */
  holdDisk(): this {
    this.#diskIsHeld = true
    return this
  }

  commit(): this {
    this.#diskIsHeld = false
    this.broker.committed = this.turn
    return this
  }

  publish(...labels: readonly string[]): Outcome {
    return this.publishEach(labels.map(label => [label, {}]))
  }

  publishEach(messages: readonly (readonly [string, Message])[]): Outcome {
    return this.outcome((turn, now) => {
      const runs = messages.map(([, { priority, delay, ttl }]) => ({
        count: 1,
        bodyBytes: 10,
        ...(priority === undefined ? {} : { priority }),
        ...(delay === undefined ? {} : { delayMs: parseDuration(delay) as number }),
        ...(ttl === undefined ? {} : { ttlMs: parseDuration(ttl) as number }),
      }))
      this.expectNext(
        this.queue,
        messages.map(([label]) => label),
      )
      const incoming: Incoming[] = [
        { kind: 'messages', index: 0, count: messages.length, bytes: new Uint8Array(0), runs: merged(runs) },
      ]
      return answersAsText(
        this.broker.publish(turn, this.queue, { incoming, now }),
        messages.map(([label]) => label),
      )
    })
  }

  barrier(name: string): Outcome {
    return this.outcome((turn, now) => {
      this.expectNext(this.queue, [name])
      const incoming: Incoming[] = [
        { kind: 'barrier', index: 0, count: 1, bytes: new TextEncoder().encode(name), barrier: { name } },
      ]
      return answersAsText(this.broker.publish(turn, this.queue, { incoming, now }), [name])
    })
  }

  subscribe(name: string, wish: Wish = {}): Outcome {
    const { prefetch = 100, concurrency = 1, lease, only, afterBatch } = wish
    return this.outcome((turn, now) => {
      const terms = {
        peer: this.consumers.size + 1,
        tag: this.consumers.size + 1,
        prefetch,
        concurrency,
        leaseMs: lease === undefined ? undefined : (parseDuration(lease) as number),
        predicate: only === undefined ? undefined : this.#only(only),
        isPull: false,
      }
      const { subscription, missed } = this.broker.subscribe(turn, now, this.queue, terms, afterBatch)
      this.consumers.set(name, subscription)
      return missed > 0 ? [`${name} missed ${missed}`] : []
    })
  }

  #only(labels: readonly string[]): Predicate {
    return {
      text: labels.join(),
      matches: sequence => labels.includes(this.#labels.get(`${this.name} ${sequence}`) ?? ''),
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
      const { results } = this.broker.settle(
        turn,
        now,
        this.queue,
        [{ subscription: this.#consumer(name), deliveries }],
        how,
      )
      const usual = { ack: 'acked', nack: 'nacked', release: 'released', reject: 'rejected', extend: 'extended' }[
        how.kind
      ]
      return results.flat().flatMap(({ result }, k) => (result === usual ? [] : [`${labels[k]} is ${result}`]))
    })
  }

  /** An ack that carries new messages, in its own queue or in another one. */
  ackAndPublish(name: string, label: string, queueName: string, ...labels: readonly string[]): Outcome {
    const deliveries = [{ first: this.delivery(name, label), count: 1 }]
    return this.outcome((turn, now) => {
      const target = this.broker.queue(queueName) as Queue
      this.expectNext(target, labels)
      const incoming: Incoming[] = [
        {
          kind: 'messages',
          index: 0,
          count: labels.length,
          bytes: new Uint8Array(0),
          runs: [{ count: labels.length, bodyBytes: 1 }],
        },
      ]
      const answer = this.broker.settle(
        turn,
        now,
        this.queue,
        [{ subscription: this.#consumer(name), deliveries }],
        { kind: 'ack' },
        [{ queue: target, publish: { incoming, now } }],
      )
      return answer.refusal === undefined ? [] : [`refused: ${answer.refusal.code}`]
    })
  }

  tick(): Outcome {
    return this.outcome((turn, now) => this.broker.tick(turn, now))
  }

  /** The process dies and starts again: only what was committed is there. */
  crash(how: { readonly clean?: boolean } = {}): Outcome {
    const { committed } = this.broker
    const restored = restorable(this.kept.filter(({ turn }) => turn <= committed).map(({ fact }) => fact))
    this.broker = new Broker()
    this.broker.committed = committed
    this.consumers.clear()
    this.#deliveries.clear()
    this.broker.restore({ kind: 'started', start: 2, clean: how.clean === true }, this.now)
    for (const fact of restored) this.broker.restore(fact, this.now)
    return this.outcome((turn, now) => this.broker.restored(turn, now))
  }

  /** Runs a command and keeps its facts. */
  run<T>(command: (turn: Turn, now: number) => T): { readonly turn: Turn; readonly result: T } {
    this.turn += 1
    const turn = new Turn(this.turn)
    const result = command(turn, this.now)
    for (const fact of turn.facts) this.kept.push({ turn: turn.number, fact })
    if (!this.#diskIsHeld) this.broker.committed = this.turn
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
    const number = this.#deliveries.get(`${name} ${label}`)
    if (number === undefined) throw new Error(`${name} never got ${label}`)
    return number
  }

  #consumer(name: string): Subscription {
    const subscription = this.consumers.get(name)
    if (subscription === undefined) throw new Error(`there is no consumer ${name}`)
    return subscription
  }

  expectNext(queue: Queue, labels: readonly string[]): void {
    labels.forEach((label, k) => {
      this.#labels.set(`${queue.name} ${queue.nextSequence + k}`, label)
      this.#sequences.set(label, { queue: queue.name, sequence: queue.nextSequence + k })
    })
  }

  #label(queue: string, sequence: number): string {
    return this.#labels.get(`${queue} ${sequence}`) ?? `${queue}#${sequence}`
  }

  #range(queue: string, first: number, count: number): string {
    const labels = Array.from({ length: Math.min(count, 4) }, (_, k) => this.#label(queue, first + k))
    return count <= 4 ? labels.join(' ') : `${labels[0]}…${this.#label(queue, first + count - 1)}`
  }

  #name(subscription: Subscription): string {
    return [...this.consumers].find(([, other]) => other === subscription)?.[0] ?? 'somebody'
  }

  #note(effect: Effect): void {
    if (effect.kind !== 'deliver') return
    const name = this.#name(effect.subscription)
    for (let k = 0; k < effect.count; k += 1)
      this.#deliveries.set(`${name} ${this.#label(this.name, effect.first + k)}`, effect.delivery + k)
  }

  #queueName(id: number): string {
    return this.broker.queueById(id)?.name ?? `queue ${id}`
  }

  #factAsText(fact: Fact): string[] {
    switch (fact.kind) {
      case 'enqueued':
        return [
          `keep ${this.#range(this.#queueName(fact.queue), fact.first, fact.count)}${fact.batch === this.queue.open.number || this.#queueName(fact.queue) !== this.name ? '' : ` in batch ${fact.batch}`}`,
        ]
      case 'settled':
        return [`keep ${this.#range(this.#queueName(fact.queue), fact.first, fact.count)} ${fact.reason}`]
      case 'returned':
        return [
          `keep ${this.#range(this.#queueName(fact.queue), fact.first, fact.count)} returned, ${fact.attempts} tried${fact.dueAt === undefined ? '' : `, in ${fact.dueAt - this.now} ms`}`,
        ]
      case 'moved': {
        const to = this.#queueName(fact.to)
        this.#labels.set(`${to} ${fact.toSequence}`, this.#label(this.name, fact.sequence))
        return [
          `keep ${this.#label(this.name, fact.sequence)} moved to ${to}: ${fact.run.origin?.reason ?? 'requeued'}`,
        ]
      }
      case 'barrierPublished':
        return [`keep barrier ${fact.name}`]
      case 'barrierReleased':
        return [`keep ${fact.record.name} released: ${fact.record.outcome}`]
      case 'queueDeclared':
        return fact.name === this.name ? [] : [`keep queue ${fact.name}`]
      case 'batchCounted':
        return []
      default:
        return [`keep ${fact.kind}`]
    }
  }

  #effectAsText(effect: Effect): string {
    switch (effect.kind) {
      case 'deliver':
        return `${this.#name(effect.subscription)} gets ${this.#range(this.name, effect.first, effect.count)}${effect.redelivered ? ' again' : ''}${effect.attempt > 1 ? `, attempt ${effect.attempt}` : ''}`
      case 'barrier':
        return `${this.#name(effect.subscription)} gets barrier ${effect.record.name}${effect.replayed ? ', replayed' : ''}`
      case 'lease-lost':
        return `${this.#name(effect.subscription)} lost ${this.#labelOfDelivery(this.#name(effect.subscription), effect.first)}`
      case 'released':
        return `released ${effect.record.name}`
      case 'cancelled':
        return `${this.#name(effect.subscription)} cancelled: ${effect.why.code}`
      case 'queue-deleted':
        return 'queue deleted'
    }
  }

  #labelOfDelivery(name: string, delivery: number): string {
    for (const [key, number] of this.#deliveries)
      if (number === delivery && key.startsWith(`${name} `)) return key.slice(name.length + 1)
    return `delivery ${delivery}`
  }
}

export function scenario(options: GivenOptions = {}): Scenario {
  return new Scenario(options)
}

function merged(
  runs: readonly { count: number; bodyBytes: number; priority?: number; delayMs?: number; ttlMs?: number }[],
): typeof runs {
  const out: { count: number; bodyBytes: number; priority?: number; delayMs?: number; ttlMs?: number }[] = []
  for (const run of runs) {
    const last = out[out.length - 1]
    if (
      last !== undefined &&
      last.priority === run.priority &&
      last.delayMs === run.delayMs &&
      last.ttlMs === run.ttlMs
    ) {
      last.count += 1
      last.bodyBytes += run.bodyBytes
    } else out.push({ ...run })
  }
  return out
}

function answersAsText(
  answers: readonly (
    | { index: number; count: number; duplicate: boolean }
    | { index: number; count: number; refusal: { code: string } }
  )[],
  labels: readonly string[],
): string[] {
  return answers.flatMap(answer =>
    'refusal' in answer ? [`refuse ${labels[answer.index]}: ${answer.refusal.code}`] : [],
  )
}

/** What a journal would restore of these facts: the simplest one that is right, by lists. */
export function restorable(facts: readonly Fact[]): Fact[] {
  const definitions: Fact[] = []
  const counted = new Map<string, Fact>()
  const barriers = new Map<string, Fact>()
  const records = new Map<string, Fact>()
  const producers = new Map<string, Fact>()
  const messages = new Map<string, { readonly enqueued: Fact; returned?: Fact }>()
  for (const fact of facts) {
    switch (fact.kind) {
      case 'queueDeclared':
        definitions.push(fact)
        break
      case 'batchCounted':
        counted.set(`${fact.queue} ${fact.batch}`, fact)
        break
      case 'barrierPublished':
        barriers.set(`${fact.queue} ${fact.sequence}`, fact)
        break
      case 'barrierReleased':
        barriers.delete(`${fact.queue} ${fact.record.sequence}`)
        counted.delete(`${fact.queue} ${fact.record.batch}`)
        records.set(`${fact.queue} ${fact.record.sequence}`, fact)
        break
      case 'barrierForgotten':
        records.delete(`${fact.queue} ${fact.sequence}`)
        break
      case 'producerTaken':
        producers.set(`${fact.queue} ${fact.producer}`, fact)
        break
      case 'enqueued': {
        let first = fact.first
        for (const run of fact.runs ?? [{ count: fact.count }]) {
          for (let k = 0; k < run.count; k += 1) {
            messages.set(`${fact.queue} ${first}`, {
              enqueued: { ...fact, first, count: 1, runs: [{ ...run, count: 1 }] },
            })
            first += 1
          }
        }
        break
      }
      case 'settled':
        for (let k = 0; k < fact.count; k += 1) messages.delete(`${fact.queue} ${fact.first + k}`)
        break
      case 'returned':
        for (let k = 0; k < fact.count; k += 1) {
          const message = messages.get(`${fact.queue} ${fact.first + k}`)
          if (message !== undefined) message.returned = { ...fact, first: fact.first + k, count: 1 }
        }
        break
      case 'moved':
        messages.delete(`${fact.queue} ${fact.sequence}`)
        messages.set(`${fact.to} ${fact.toSequence}`, {
          enqueued: {
            kind: 'enqueued',
            queue: fact.to,
            first: fact.toSequence,
            count: 1,
            batch: fact.toBatch,
            at: fact.at,
            runs: [fact.run],
          },
        })
        break
      default:
        throw new Error(`${fact.kind} is not restorable here`)
    }
  }
  const returned = [...messages.values()].flatMap(message => (message.returned === undefined ? [] : [message.returned]))
  return [
    ...definitions,
    ...counted.values(),
    ...barriers.values(),
    ...records.values(),
    ...producers.values(),
    ...[...messages.values()].map(({ enqueued }) => enqueued),
    ...returned,
  ]
}
