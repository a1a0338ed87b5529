import { ConnectionError, type Message, RefusedError, SluiceError, type Subscription } from '@sluice/client'
import { filterOf, laneOf } from './lanes.ts'
import { isSteady, type Manner, NEXT, ONCE, TOLD, WORK } from './plan.ts'
import type { Random } from './random.ts'
import { type Announcement, announcementId, type Body, type Program, type World } from './world.ts'

/** Takes messages of a queue and deals with each in one of many manners, until it leaves. */
export class Consumer {
  readonly name: string
  readonly #world: World
  readonly #program: Program
  readonly #queue: string
  readonly #random: Random
  readonly #prefetch: number
  readonly #concurrency: number
  readonly #lane: number | undefined
  readonly #subscription: Subscription<Body>
  readonly #out = new Set<Message<Body>>()
  /** Its deliveries, counted over all connections. */
  readonly #numbers = new WeakMap<Message<Body>, number>()
  #count = 0
  /** Their acks, which carry publishes, are not answered yet: the credit is back before the answer comes. */
  readonly #acking = new Set<Message<Body>>()
  #busy = 0
  #free: () => void = () => {}

  /** @param lane takes only what is of it */
  constructor(world: World, program: Program, queue: string, random: Random, lane: number | undefined) {
    this.#world = world
    this.#program = program
    this.#queue = queue
    this.#random = random
    this.#lane = lane
    this.name = `${program.name} ${program.subscribers.length + 1}`
    this.#prefetch = random.pick([1, 2, 5, 20, 100])
    // Some take whatever comes, so that a delivery too many is seen.
    this.#concurrency = random.chance(0.5) ? Number.POSITIVE_INFINITY : random.int(1, 4)
    this.#subscription = program.client.queue<Body>(queue).consume({
      prefetch: this.#prefetch,
      concurrency: Math.min(this.#concurrency, 10),
      ...(lane !== undefined && { filter: filterOf(lane) }),
    })
    program.subscribers.push({ name: this.name, queue, subscription: this.#subscription, lane })
  }

  /** Resolves when it has left. */
  async run(): Promise<void> {
    const { invariants } = this.#world
    for (;;) {
      while (this.#busy >= this.#concurrency) await new Promise<void>(resolve => (this.#free = resolve))
      const { value, done } = await this.#subscription.next()
      if (done || !this.#program.life.isAlive) break
      if (value.kind === 'barrier') {
        const { name: id, sequence: seq, batch, outcome, replayed, stats } = value
        this.#record({ type: 'barrier-deliver', id, seq, batch_number: batch, outcome, replayed })
        invariants.barrier(this.name, id, batch, outcome)
        this.#checkLane(id)
        const ends = stats.acked + stats.dead + stats.expired + stats.dropped
        if (stats.published !== ends) invariants.say(`B12: batch ${id} has ${stats.published} published, ${ends} ended`)
        continue
      }
      this.#busy += 1
      this.#out.add(value)
      this.#world.act(
        this.#program.life,
        this.#take(value).finally(() => {
          this.#busy -= 1
          this.#out.delete(value)
          this.#free()
        }),
      )
    }
  }

  /** Ends the subscription; what it holds goes back. */
  async leave(): Promise<void> {
    this.#world.invariants.gone(this.name)
    this.#record({ type: 'unsubscribe' })
    await this.#subscription.return()
  }

  #record(event: Omit<Parameters<World['record']>[0], 'process' | 'queue' | 'subscriber'>): void {
    const [process, queue, subscriber] = [this.#program.name, this.#queue, this.name]
    this.#world.record({ ...event, process, queue, subscriber })
  }

  #recordAck(type: 'ack-invoke' | 'ack-ok' | 'ack-fail', message: Message<Body>): void {
    const delivery = this.#numbers.get(message)
    this.#record({ type, id: this.#idOf(message), ...(delivery !== undefined && { delivery }) })
  }

  #idOf(message: Message<Body>): string {
    return this.#queue === TOLD ? announcementId(announcementIn(message).name) : message.body.id
  }

  async #take(message: Message<Body>): Promise<void> {
    const { invariants } = this.#world
    const { sequence: seq, batch: batch_number, attempt, redelivered, messageId } = message
    const id = this.#idOf(message)
    this.#count += 1
    this.#numbers.set(message, this.#count)
    if (this.#queue === TOLD) invariants.announced(announcementIn(message), { messageId, sequence: seq })
    else if (message.body.echo !== [...id].reverse().join('')) invariants.say(`R8: the body of ${id} came damaged`)
    this.#record({ type: 'deliver', id, seq, batch_number, attempt, redelivered })
    this.#checkLane(id)
    const held = [...this.#out].filter(one => !one.isSettled && !this.#acking.has(one)).length
    if (held > this.#prefetch) invariants.say(`D8: ${this.name} holds ${held}, and its prefetch is ${this.#prefetch}`)
    const random = this.#random
    const isOnce = this.#queue === ONCE
    // There only an ack gives the credit back (D9).
    const manner: Manner = this.#world.isCalm || isOnce ? 'durable' : random.weighted(this.#world.plan.manners)
    if (random.chance(0.6)) await this.#program.life.sleep(random.int(0, this.#world.isCalm ? 5 : 60))
    if (message.isSettled) return
    await this.#deal(message, id, manner)
  }

  #checkLane(id: string): void {
    if (this.#lane !== undefined && laneOf(id) !== this.#lane)
      this.#world.invariants.say(`D1: ${this.name} wants lane ${this.#lane}, and got ${id} of lane ${laneOf(id)}`)
  }

  async #deal(message: Message<Body>, id: string, manner: Manner): Promise<void> {
    const random = this.#random
    switch (manner) {
      case 'ack':
        this.#recordAck('ack-invoke', message)
        await message.ack()
        break
      case 'durable':
        await this.#ackDurably(message)
        break
      case 'upTo':
        for (const held of this.#held(message)) this.#recordAck('ack-invoke', held)
        await this.#subscription.ackUpTo(message)
        break
      case 'publish':
        await this.#ackAndPublish(message, id)
        break
      case 'nack':
        this.#record({ type: 'nack', id })
        await message.nack(random.chance(0.5) ? { delayMs: random.int(0, 3_000) } : {})
        break
      case 'release':
        this.#record({ type: 'nack', id })
        await message.release()
        break
      case 'reject':
        // Announcements have no dead letters here.
        if (this.#queue === TOLD) return this.#ackDurably(message)
        // A dead letter that is rejected has nowhere to go.
        this.#record({ type: 'nack', id, requeue: !this.#queue.endsWith('.dead') })
        await message.reject('simulated')
        break
      case 'extend':
        await message.extend(this.#world.plan.work.leaseMs || 5_000)
        await this.#program.life.sleep(random.int(0, 2_000))
        await this.#ackDurably(message)
        break
      case 'hang':
        for (let k = random.int(1, 30); k > 0 && !this.#world.isCalm; k -= 1) await this.#program.life.sleep(1_000)
        await this.#ackDurably(message)
    }
  }

  /** Messages of this consumer that `ackUpTo` acks, this one included. */
  #held(message: Message<Body>): Message<Body>[] {
    return [...this.#out].filter(one => !one.isSettled && one.delivery <= message.delivery)
  }

  async #ackDurably(message: Message<Body>): Promise<void> {
    if (message.isSettled) return
    this.#recordAck('ack-invoke', message)
    try {
      const result = await message.ack({ durable: true })
      this.#recordAck(result === 'lease-lost' ? 'ack-fail' : 'ack-ok', message)
    } catch (error) {
      // It is unknown whether it counted.
      if (!(error instanceof ConnectionError)) throw error
    }
  }

  async #ackAndPublish(message: Message<Body>, id: string): Promise<void> {
    const world = this.#world
    const process = this.#program.name
    const depth = message.body.depth - 1
    if (depth < 0 || this.#queue !== WORK) return this.#ackDurably(message)
    const children = Array.from({ length: this.#random.int(1, 3) }, () => ({
      queue: this.#random.chance(0.4) ? NEXT : WORK,
      id: world.id('c'),
    }))
    for (const child of children)
      world.record({
        type: 'publish-invoke',
        process,
        ...child,
        batch: `ack ${id} ${children[0]?.id}`,
        ...(child.queue === this.#queue && { cause: id }),
      })
    this.#recordAck('ack-invoke', message)
    try {
      const publish = children.map(({ queue, id: child }) => ({ queue, body: world.body(child, depth) }))
      this.#acking.add(message)
      await message.ack({ publish }).finally(() => this.#acking.delete(message))
      for (const child of children) {
        // Work that makes work is part of the batch (B16).
        const place =
          child.queue === WORK && isSteady(world.plan) && !world.hasRequeued ? { batch_number: message.batch } : {}
        world.record({ type: 'publish-ok', process, ...child, ...place })
        if (child.queue === WORK) world.invariants.child(child.id, message.batch)
      }
      this.#recordAck('ack-ok', message)
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error
      const isUnknown = error instanceof ConnectionError
      for (const child of children)
        world.record({ type: isUnknown ? 'publish-unknown' : 'publish-fail', process, ...child })
      if (isUnknown) return
      this.#recordAck('ack-fail', message)
      if (error instanceof RefusedError && !message.isSettled) await this.#ackDurably(message)
    }
  }
}

/** What the server publishes itself has another body than what publishers do. */
function announcementIn({ body }: Message<Body>): Announcement {
  return body as unknown as Announcement
}
