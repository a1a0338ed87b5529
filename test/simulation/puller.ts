import { type Answer, HttpClient, Lost } from './http.ts'
import { filterOf, laneOf } from './lanes.ts'
import type { Life } from './loop.ts'
import { WORK } from './plan.ts'
import type { Random } from './random.ts'
import type { Body, World } from './world.ts'

/** Beyond the time that a pull may wait: then its connection is given up. */
const PATIENCE_MS = 4_000
/** Longer than the longest wait for an answer: what is read is still leased, or its lease's end has been told. */
const LEASES_MS = [8_000, 12_000, 20_000]

interface Delivered {
  readonly kind: 'message'
  readonly sequence: number
  readonly batch: number
  readonly attempt: number
  readonly redelivered: boolean
  readonly lease_token: string
  readonly body: string
}

interface DeliveredBarrier {
  readonly kind: 'barrier'
  readonly name: string
  readonly sequence: number
  readonly batch: number
  readonly outcome: string
  readonly replayed: boolean
}

interface Pulled {
  readonly deliveries: readonly (Delivered | DeliveredBarrier)[]
  readonly batch: number
}

interface Settled {
  readonly results: readonly { readonly sequence: number; readonly result: string }[]
}

/** What it has and has not settled. */
interface Held {
  readonly id: string
  readonly message: Delivered
  readonly number: number
  /** An ack has no answer: it may have counted. */
  isUnsure: boolean
}

const PATHS = { ack: 'acks', nack: 'nacks', release: 'releases', reject: 'rejects' } as const

/** Pulls over HTTP, and settles by lease tokens: what it has belongs to time, not to a connection. */
export class Puller {
  readonly name: string
  readonly #world: World
  readonly #life: Life
  readonly #random: Random
  readonly #client: HttpClient
  readonly #lane: number | undefined
  readonly #held = new Set<Held>()
  /** Starts of the server when it was last told as a subscriber. */
  #start = -1
  #batch: number | undefined
  #count = 0

  constructor(world: World, life: Life, random: Random, lane: number | undefined) {
    this.#world = world
    this.#life = life
    this.#random = random
    this.#lane = lane
    this.name = world.puller(life)
    this.#client = new HttpClient(life, world.network)
  }

  /** Does not come back. */
  async run(): Promise<never> {
    for (;;) {
      try {
        await this.#pull()
        await this.#settleSome()
      } catch (error) {
        if (!(error instanceof Lost)) throw error
        await this.#life.sleep(this.#random.int(10, 500))
      }
      await this.#life.sleep(this.#world.isCalm ? 5 : this.#random.int(0, 400))
    }
  }

  async #pull(): Promise<void> {
    const { loop, invariants, server } = this.#world
    const random = this.#random
    const max = random.pick([1, 2, 10, 50])
    const waitMs = random.pick([0, 50, 500, 2_000])
    const leaseMs = random.pick(LEASES_MS)
    const query = new URLSearchParams({ max: `${max}`, wait: `${waitMs}ms`, lease: `${leaseMs}ms` })
    if (this.#lane !== undefined) query.set('filter', filterOf(this.#lane))
    if (this.#batch !== undefined) query.set('after_batch', `${this.#batch}`)
    if (this.#start !== server.starts) {
      this.#start = server.starts
      this.#record({ type: 'subscribe', filter: 'by pull' })
    }
    // The server counts from a later moment.
    const leasedUntil = loop.now + leaseMs
    const path = `/v1/queues/${WORK}/deliveries?${query}`
    const answer = await this.#ask(path, { withinMs: waitMs + PATIENCE_MS })
    if (answer.status !== 200) return
    const { deliveries, batch } = answer.json as Pulled
    if (this.#batch === undefined) invariants.subscribed(this.name, WORK, loop.now - this.#world.startedAt, this.#lane)
    this.#batch = batch
    let messages = 0
    for (const one of deliveries) {
      if (one.kind === 'barrier') this.#barrier(one)
      else {
        messages += 1
        this.#take(one, leasedUntil)
      }
    }
    if (messages > max) invariants.say(`D12: a pull of ${max} got ${messages}`)
  }

  #barrier({ name: id, sequence: seq, batch, outcome, replayed }: DeliveredBarrier): void {
    this.#record({ type: 'barrier-deliver', id, seq, batch_number: batch, outcome, replayed })
    this.#world.invariants.barrier(this.name, id, batch, outcome)
    this.#checkLane(id)
  }

  #take(message: Delivered, leasedUntil: number): void {
    const { loop, invariants } = this.#world
    const { sequence: seq, batch: batch_number, attempt, redelivered } = message
    const { id, echo } = JSON.parse(message.body) as Body
    this.#count += 1
    this.#record({ type: 'deliver', id, seq, batch_number, attempt, redelivered })
    if (echo !== [...id].reverse().join('')) invariants.say(`R8: the body of ${id} came damaged`)
    this.#checkLane(id)
    const held: Held = { id, message, number: this.#count, isUnsure: false }
    this.#held.add(held)
    loop.at(leasedUntil, () => {
      if (this.#held.delete(held)) this.#record({ type: 'lease-expired', id })
    })
  }

  #checkLane(id: string): void {
    if (this.#lane !== undefined && laneOf(id) !== this.#lane)
      this.#world.invariants.say(`D1: ${this.name} asked for lane ${this.#lane}, and got ${id} of lane ${laneOf(id)}`)
  }

  /** Some of what it has, in one request; what it forgets comes back when its lease has run out. */
  async #settleSome(): Promise<void> {
    const random = this.#random
    const some = [...this.#held].filter(() => this.#world.isCalm || random.chance(0.8))
    if (some.length === 0) return
    if (!this.#world.isCalm && random.chance(0.1)) return this.#life.sleep(random.int(100, 3_000))
    const how = this.#world.isCalm ? 'ack' : random.weighted({ ack: 12, nack: 2, release: 1, reject: 1 })
    for (const { id, number: delivery } of some) {
      if (how === 'ack') this.#record({ type: 'ack-invoke', id, delivery })
      else this.#record({ type: 'nack', id })
    }
    const deliveries = some.map(({ message: { sequence, lease_token } }) => ({ sequence, lease_token }))
    const before = new Set(some.filter(({ isUnsure }) => isUnsure))
    if (how === 'ack') for (const held of some) held.isUnsure = true
    const answer = await this.#ask(`/v1/queues/${WORK}/${PATHS[how]}`, {
      body: JSON.stringify({ deliveries }),
      withinMs: 15_000,
    })
    // Refused while the server stops; what is held stays so until its lease has run out.
    if (answer.status !== 200) return
    const { results } = answer.json as Settled
    for (const [k, held] of some.entries()) {
      const { id } = held
      const isAcked = how === 'ack' && results[k]?.result === 'acked'
      // What is refused now may be so because an earlier ack counted; its lease's end is still told.
      if (before.has(held) && !isAcked) continue
      const isHeld = this.#held.delete(held)
      if (isAcked) this.#record({ type: 'ack-ok', id, delivery: held.number })
      else if (how === 'ack' && isHeld) this.#record({ type: 'ack-fail', id, delivery: held.number })
    }
  }

  #ask(path: string, asked: { readonly body?: string; readonly withinMs: number }): Promise<Answer> {
    return this.#client.ask('POST', path, asked)
  }

  #record(event: Omit<Parameters<World['record']>[0], 'process' | 'queue' | 'subscriber'>): void {
    this.#world.record({ ...event, process: this.name, queue: WORK, subscriber: this.name } as never)
  }
}
