import { type BatchHandle, RefusedError, SluiceError } from '@sluice/client'
import type { MessageProperties } from '@sluice/protocol'
import { NEXT, ONCE, WORK } from './plan.ts'
import type { Random } from './random.ts'
import type { Body, Program, World } from './world.ts'

/** What is still to be published by all. */
export interface Quota {
  /** Messages. */
  left: number
  /** The barrier whose parties are coming. */
  gathering: Gathering | undefined
  /** Those of which not all parties are known to have come. */
  readonly incomplete: Set<Gathering>
}

/** A barrier of several parties, each of which any publisher may be. */
interface Gathering {
  readonly id: string
  readonly count: number
  begun: number
  /** Parties that are confirmed. */
  readonly came: Set<number>
}

const OUTCOMES = ['clean', 'with-dead', 'failed', 'cancelled', 'expired'] as const

/** Publishes until the quota is used up, and resolves when all of it is answered. */
export async function publishing(world: World, program: Program, random: Random, quota: Quota): Promise<void> {
  const { plan } = world
  const open = new Set<Promise<void>>()
  const begin = (work: Promise<void>) => {
    const done = work.finally(() => open.delete(done))
    open.add(done)
    world.act(program.life, done)
  }
  const publisher = new Publisher(world, program, random)
  while (quota.left > 0) {
    const act = random.weighted({
      one: 10,
      burst: 8,
      atomic: 2,
      barrier: 3,
      again: plan.work.hasDedupe ? 2 : 0,
      party: plan.hasParties ? 3 : 0,
      wait: 3,
    })
    if (act === 'barrier') begin(publisher.barrier())
    else if (act === 'party') begin(publisher.party(quota))
    else if (act === 'atomic') {
      quota.left -= 4
      begin(publisher.atomic(random.int(2, 5)))
    } else if (act === 'again') begin(publisher.again())
    else if (act === 'wait') await Promise.all(open)
    else {
      const count = act === 'one' ? 1 : random.int(2, 20)
      quota.left -= count
      const queue = plan.hasOnce && random.chance(0.2) ? ONCE : random.chance(0.08) ? NEXT : WORK
      for (let k = 0; k < count; k += 1) begin(publisher.message(queue))
    }
    await program.life.sleep(random.int(0, Math.ceil((plan.troubleMs / plan.messages) * 8)))
  }
  await Promise.all(open)
  for (const gathering of [...quota.incomplete]) await publisher.complete(quota, gathering)
  await publisher.barrier()
}

class Publisher {
  readonly #world: World
  readonly #program: Program
  readonly #random: Random
  /** Ids that were confirmed, for repetitions. */
  readonly #confirmed: string[] = []
  #count = 0

  constructor(world: World, program: Program, random: Random) {
    this.#world = world
    this.#program = program
    this.#random = random
  }

  async message(queue: string): Promise<void> {
    const id = this.#world.id('m')
    const isAccepted = queue === WORK && this.#random.chance(this.#world.plan.acceptedShare)
    await this.#publish(queue, id, this.#properties(queue, id), isAccepted ? 'accepted' : 'durable')
  }

  /** The same message once more, which must change nothing. */
  async again(): Promise<void> {
    if (this.#confirmed.length === 0) return
    const id = this.#random.pick(this.#confirmed)
    const { duplicate } = (await this.#publish(WORK, id, { messageId: id }, 'durable')) ?? { duplicate: true }
    if (!duplicate) this.#world.invariants.say(`P5: ${id} was taken for the second time`)
  }

  async #publish(
    queue: string,
    id: string,
    properties: MessageProperties,
    confirm: 'durable' | 'accepted',
  ): Promise<{ readonly duplicate: boolean } | undefined> {
    const world = this.#world
    const process = this.#program.name
    const dedupe = properties.messageId !== undefined
    const ttl = properties.ttlMs === undefined ? {} : { ttl: properties.ttlMs }
    world.record({ type: 'publish-invoke', process, queue, id, level: confirm, ...ttl, ...(dedupe && { dedupe }) })
    this.#count += 1
    const at = this.#count
    try {
      const answer = await this.#program.client
        .queue<Body>(queue)
        .publish(world.body(id, queue === WORK ? 2 : 0), { ...properties, confirm })
      const { sequence: seq, duplicate } = answer
      world.record({ type: 'publish-ok', process, queue, id, seq, duplicate, level: confirm })
      if (!duplicate && confirm === 'durable') world.invariants.told(`${process} ${queue}`, at, seq)
      if (dedupe && confirm === 'durable') this.#confirmed.push(id)
      return answer
    } catch (error) {
      this.#failed(error, { queue, id })
      return undefined
    }
  }

  #failed(error: unknown, message: { readonly queue: string; readonly id: string }): void {
    if (!(error instanceof SluiceError)) throw error
    const type = error instanceof RefusedError ? 'publish-fail' : 'publish-unknown'
    this.#world.record({ type, process: this.#program.name, ...message })
  }

  #properties(queue: string, id: string): MessageProperties {
    if (queue !== WORK) return {}
    const { plan } = this.#world
    const random = this.#random
    const group = plan.work.hasGroups && random.chance(0.5) ? `g${random.int(1, 5)}` : undefined
    if (group !== undefined) this.#world.invariants.grouped(id, group)
    return {
      ...(group !== undefined && { group }),
      ...(plan.work.hasPriority && random.chance(0.3) && { priority: random.int(0, 9) }),
      ...(plan.work.hasDedupe && random.chance(0.5) && { messageId: id }),
      ...(random.chance(0.05) && { delayMs: random.int(50, 5_000) }),
      ...(plan.hasTtl && random.chance(0.2) && { ttlMs: random.int(200, 8_000) }),
    }
  }

  async atomic(count: number): Promise<void> {
    const world = this.#world
    const process = this.#program.name
    const batch = world.id('a')
    const messages = Array.from({ length: count }, () => ({
      queue: this.#random.chance(0.3) ? NEXT : WORK,
      id: world.id('m'),
    }))
    for (const { queue, id } of messages) world.record({ type: 'publish-invoke', process, queue, id, batch })
    try {
      const answers = await this.#program.client.publishAtomic(
        messages.map(({ queue, id }) => ({ queue, body: world.body(id) })),
      )
      for (const [k, { queue, id }] of messages.entries())
        world.record({ type: 'publish-ok', process, queue, id, seq: answers[k]?.sequence ?? -1 })
    } catch (error) {
      for (const message of messages) this.#failed(error, message)
    }
  }

  async barrier(): Promise<void> {
    const world = this.#world
    const random = this.#random
    const { plan } = world
    const process = this.#program.name
    const queue = random.chance(0.1) ? NEXT : WORK
    const id = world.id('b')
    world.record({ type: 'barrier-publish', phase: 'invoke', process, queue, id })
    let handle: BatchHandle
    try {
      handle = await this.#program.client.queue<Body>(queue).barrier({
        name: id,
        body: world.body(id),
        force: true,
        ...(plan.hasDeadlines && random.chance(0.4) && { deadlineMs: random.int(500, 10_000) }),
      })
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error
      const phase = error instanceof RefusedError ? 'fail' : 'unknown'
      world.record({ type: 'barrier-publish', phase, process, queue, id })
      return
    }
    world.record({ type: 'barrier-publish', phase: 'ok', process, queue, id })
    if (random.chance(0.4)) world.act(this.#program.life, this.#wait(queue, id, handle))
  }

  /** The next party of the barrier whose parties are coming; once in a while one that has come already (B14). */
  async party(quota: Quota): Promise<void> {
    const world = this.#world
    const random = this.#random
    const last = quota.gathering
    const isNew = last === undefined || last.begun >= last.count
    const gathering = isNew ? { id: world.id('b'), count: random.int(2, 3), begun: 0, came: new Set<number>() } : last
    quota.gathering = gathering
    if (isNew) quota.incomplete.add(gathering)
    const isAgain = gathering.begun > 0 && random.chance(0.2)
    if (!isAgain) gathering.begun += 1
    const number = isAgain ? random.int(1, gathering.begun) : gathering.begun
    await this.#arrive(quota, gathering, number)
  }

  /** Sends all its parties: those that came count once. */
  async complete(quota: Quota, gathering: Gathering): Promise<void> {
    for (let number = 1; number <= gathering.count; number += 1) await this.#arrive(quota, gathering, number)
  }

  async #arrive(quota: Quota, gathering: Gathering, number: number): Promise<void> {
    const world = this.#world
    const process = this.#program.name
    const { id, count, came } = gathering
    const queue = WORK
    world.invariants.party(id, count, number)
    // Its place is behind everything before its last party.
    world.record({ type: 'barrier-publish', phase: 'invoke', process, queue, id })
    try {
      await this.#program.client
        .queue<Body>(queue)
        .barrier({ name: id, body: world.body(id), parties: count, party: `party ${number}`, force: true })
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error
      const phase = error instanceof RefusedError ? 'fail' : 'unknown'
      world.record({ type: 'barrier-publish', phase, process, queue, id })
      return
    }
    came.add(number)
    if (came.size < count) return
    quota.incomplete.delete(gathering)
    world.record({ type: 'barrier-publish', phase: 'ok', process, queue, id })
  }

  /** Whoever waits for a barrier is told of it as a consumer is. */
  async #wait(queue: string, id: string, handle: BatchHandle): Promise<void> {
    const subscriber = `wait ${this.#program.name} ${id}`
    const { sequence: seq, batch, outcome, stats } = await handle.wait({ accept: OUTCOMES })
    const [process, world] = [this.#program.name, this.#world]
    world.record({ type: 'barrier-deliver', process, queue, id, subscriber, seq, batch_number: batch, outcome })
    world.record({ type: 'disconnect', process, subscriber })
    const ends = stats.acked + stats.dead + stats.expired + stats.dropped
    if (stats.published !== ends)
      world.invariants.say(`B12: batch ${id} has ${stats.published} published, ${ends} ended`)
  }
}
