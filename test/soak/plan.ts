import type { EnqueuedRun, Fact, Sequence } from '../../src/core/facts.ts'
import { AT, declared, ORIGIN } from '../journal/support.ts'
import { Random } from '../support/random.ts'

/** Of a live message, all that a journal must give back. Its body is a stretch of `NOISE`. */
export interface PlannedMessage {
  readonly offset: number
  readonly size: number
  readonly batch: number
  readonly at: number
  readonly run: Omit<EnqueuedRun, 'count'>
  readonly attempts?: number
}

export interface PlannedQueue {
  readonly live: Map<Sequence, PlannedMessage>
  /** Not yet released, oldest first. */
  waiting: { readonly sequence: Sequence; readonly batch: number }[]
  records: Sequence[]
  seen: string[]
  next: Sequence
  batch: number
  /** Nothing below it is live. */
  low: Sequence
  published: number
}

/** All of a plan, so that another process can go on with it. */
export interface PlanState {
  readonly queues: Map<number, PlannedQueue>
  turn: number
  random: number
  isFilling: boolean
  nextQueue: number
  liveBytes: number
  publishedCount: number
  publishedBytes: number
  settledCount: number
}

/** Queues for good; the third takes what is moved aside. Others come and go. */
const ORDERS = [1, 2]
const DEAD = 3
const FIRST_PASSING = 10
/** The producer whose last number is the number of the turn: so a restart tells how far it came. */
export const MARKER = 'f'.repeat(32)

const BODY_MIN = 50
const BODY_MAX = 2 ** 20
const ROW_BYTES_MAX = 2 * 2 ** 20
const RECORDS_MAX = 50
const SEEN_MAX = 20_000

/** What bodies are cut from: a body in the place of another is seen. */
export const NOISE: Uint8Array = noise()

function noise(): Uint8Array {
  const random = new Random(1)
  const words = Uint32Array.from({ length: 2 ** 20 }, () => random.next() * 2 ** 32)
  return new Uint8Array(words.buffer)
}

export function newPlan(seed: number): PlanState {
  const random = new Random(seed).state
  const counts = { liveBytes: 0, publishedCount: 0, publishedBytes: 0, settledCount: 0 }
  return { queues: new Map(), turn: 0, random, isFilling: true, nextQueue: FIRST_PASSING, ...counts }
}

/**
 * What a busy server would tell its journal, turn after turn, the same for the same state: messages of 50 B to 1 MiB in
 * rows of one to two hundred, acks from the front and from anywhere, returns, dead letters, barriers and their records,
 * message ids, producers, queues that come and go. Fills up to `liveMax` bytes, drains to a twentieth, and again.
 */
export class Plan {
  readonly state: PlanState
  readonly #random: Random
  readonly #liveMax: number
  readonly #bodyMax: number

  /** @param options.bodyMax largest body, in bytes */
  constructor(state: PlanState, { liveMax, bodyMax = BODY_MAX }: { liveMax: number; bodyMax?: number }) {
    this.state = state
    this.#random = new Random(0)
    this.#random.state = state.random
    this.#liveMax = liveMax
    this.#bodyMax = bodyMax
  }

  /** The facts of the next turn. */
  next({ withBodies }: { withBodies: boolean }): readonly Fact[] {
    const { state } = this
    state.turn++
    const facts: Fact[] = []
    if (state.turn === 1) for (const queue of [...ORDERS, DEAD]) this.#declare(queue, facts)
    if (state.liveBytes > this.#liveMax) state.isFilling = false
    else if (state.liveBytes < this.#liveMax / 20) state.isFilling = true
    const touched = this.#act(facts, withBodies)
    for (const queue of touched) facts.push(this.#counted(queue))
    const answers = [{ first: state.turn, count: 1, sequence: state.turn, batch: 0 }]
    facts.push({ kind: 'producerTaken', producer: MARKER, queue: 1, last: state.turn, answers, at: AT })
    state.random = this.#random.state
    return facts
  }

  skipTo(turn: number): void {
    while (this.state.turn < turn) this.next({ withBodies: false })
  }

  #act(facts: Fact[], withBodies: boolean): ReadonlySet<number> {
    const random = this.#random
    const { isFilling } = this.state
    const queue = random.of(ORDERS)
    const touched = new Set<number>([queue])
    const dice = random.below(100)
    if (dice < (isFilling ? 45 : 18)) this.#publish(queue, facts, withBodies)
    else if (dice < 85) this.#settle(random.chance(0.05) ? DEAD : queue, facts, isFilling ? 60 : 400)
    else if (dice < 90) this.#return(queue, facts)
    else if (dice < 93) for (const one of this.#move(queue, facts)) touched.add(one)
    else if (dice < 97) this.#barrier(queue, facts)
    else if (dice < 99) this.#remember(queue, facts)
    else this.#comeAndGo(facts, withBodies)
    return touched
  }

  #declare(queue: number, facts: Fact[]): void {
    const empty = { waiting: [], records: [], seen: [], next: 1, batch: 0, low: 1, published: 0 }
    this.state.queues.set(queue, { live: new Map(), ...empty })
    facts.push(declared(queue, `q${queue}`))
  }

  #publish(id: number, facts: Fact[], withBodies: boolean): void {
    const random = this.#random
    const queue = this.#queue(id)
    // Not each publish is of a second of its own.
    const at = AT + Math.floor(this.state.turn / 10)
    const wanted = random.chance(0.3) ? 1 : random.between(2, 200)
    const stretches: { offset: number; size: number }[] = []
    let bytes = 0
    while (stretches.length < wanted && bytes < ROW_BYTES_MAX) {
      const size = this.#size()
      stretches.push({ offset: random.below(NOISE.length - size), size })
      bytes += size + 4
    }
    const count = stretches.length
    const half = Math.ceil(count / 2)
    const withRuns = random.chance(0.2)
    const all = withRuns
      ? [
          { count: half, priority: random.between(1, 9) },
          { count: count - half, group: `g${random.below(20)}` },
        ]
      : []
    const runs = all.filter(run => run.count > 0)
    const first = queue.next
    for (const [place, stretch] of stretches.entries()) {
      const { count: _, ...run } = (withRuns && (place < half ? runs[0] : runs[1])) || { count: 0 }
      queue.live.set(first + place, { ...stretch, batch: queue.batch, at, run })
    }
    queue.next += count
    queue.published += count
    this.state.liveBytes += bytes
    this.state.publishedCount += count
    this.state.publishedBytes += bytes
    const records = withBodies ? recordsOf(stretches, bytes) : NOTHING
    const row = { kind: 'enqueued', queue: id, first, count, batch: queue.batch, at, bytes: records } as const
    facts.push(withRuns ? { ...row, runs } : row)
  }

  /** Mostly small, as messages are; one in a hundred large. */
  #size(): number {
    const random = this.#random
    const dice = random.below(200)
    const [low, high] = dice < 170 ? [BODY_MIN, 2_000] : dice < 198 ? [2_000, 65_536] : [65_536, BODY_MAX]
    return Math.min(this.#bodyMax, Math.round(low * (high / low) ** random.next()))
  }

  #settle(id: number, facts: Fact[], most: number): void {
    const range = this.#range(id, this.#random.between(1, most), this.#random.chance(0.7))
    if (!range) return
    for (let sequence = range.first; sequence < range.first + range.count; sequence++) this.#drop(id, sequence)
    this.state.settledCount += range.count
    facts.push({ kind: 'settled', queue: id, ...range, reason: 'acked' })
  }

  #drop(id: number, sequence: Sequence): PlannedMessage {
    const { live } = this.#queue(id)
    const message = live.get(sequence)
    if (!message) throw new Error(`the plan settles ${sequence} of queue ${id}, which is not live`)
    live.delete(sequence)
    this.state.liveBytes -= message.size + 4
    return message
  }

  #return(id: number, facts: Fact[]): void {
    const range = this.#range(id, this.#random.between(1, 50), false)
    if (!range) return
    const attempts = this.#random.below(4)
    const { live } = this.#queue(id)
    for (let sequence = range.first; sequence < range.first + range.count; sequence++)
      live.set(sequence, { ...live.get(sequence)!, attempts })
    facts.push({ kind: 'returned', queue: id, ...range, attempts })
  }

  #move(id: number, facts: Fact[]): readonly number[] {
    const range = this.#range(id, 1, false)
    if (!range) return []
    const at = AT + Math.floor(this.state.turn / 10)
    const { offset, size } = this.#drop(id, range.first)
    const dead = this.#queue(DEAD)
    const toSequence = dead.next++
    const run = { origin: ORIGIN }
    dead.live.set(toSequence, { offset, size, batch: 0, at, run })
    this.state.liveBytes += size + 4
    const to = { to: DEAD, toSequence, toBatch: 0, at, run: { count: 1, ...run } }
    facts.push({ kind: 'moved', queue: id, sequence: range.first, ...to })
    return [DEAD]
  }

  #barrier(id: number, facts: Fact[]): void {
    const queue = this.#queue(id)
    if (queue.waiting.length < 5 && this.#random.chance(0.5)) {
      const sequence = queue.next++
      const barrier = { sequence, batch: queue.batch++ }
      queue.waiting.push(barrier)
      facts.push({
        kind: 'barrierPublished',
        queue: id,
        ...barrier,
        name: `b${sequence}`,
        at: AT,
        bytes: BARRIER_BYTES,
      })
      return
    }
    const barrier = queue.waiting.shift()
    if (!barrier) return
    queue.records.push(barrier.sequence)
    const record = { ...barrier, outcome: 'clean', stats: NO_STATS, publishedAt: AT, releasedAt: AT } as const
    facts.push({ kind: 'barrierReleased', queue: id, record: { ...record, bytes: BARRIER_BYTES } })
    if (queue.records.length <= RECORDS_MAX) return
    facts.push({ kind: 'barrierForgotten', queue: id, sequence: queue.records.shift()! })
  }

  /** Message ids come into the window and leave it. */
  #remember(id: number, facts: Fact[]): void {
    const queue = this.#queue(id)
    for (let count = this.#random.between(1, 100); count > 0; count--) {
      const name = `id-${this.state.turn}-${count}`.padEnd(this.#random.between(10, 255), '.')
      queue.seen.push(name)
      facts.push({ kind: 'seen', queue: id, id: name, sequence: queue.next - 1, batch: queue.batch, at: AT })
    }
    for (const name of queue.seen.splice(0, Math.max(0, queue.seen.length - SEEN_MAX)))
      facts.push({ kind: 'unseen', queue: id, id: name })
  }

  /** A queue that is there for a while, and is deleted with what is in it. */
  #comeAndGo(facts: Fact[], withBodies: boolean): void {
    const passing = [...this.state.queues.keys()].filter(id => id >= FIRST_PASSING)
    const oldest = passing[0]
    if (oldest !== undefined && (passing.length > 5 || this.#random.chance(0.3))) {
      for (const sequence of [...this.#queue(oldest).live.keys()]) this.#drop(oldest, sequence)
      this.state.queues.delete(oldest)
      facts.push({ kind: 'queueDeleted', queue: oldest })
      return
    }
    const id = this.state.nextQueue++
    this.#declare(id, facts)
    for (let rows = this.#random.between(0, 20); rows > 0; rows--) this.#publish(id, facts, withBodies)
    facts.push(this.#counted(id))
  }

  /** Neighbours that are live: from the front, or from anywhere. */
  #range(id: number, most: number, fromFront: boolean): { first: Sequence; count: number } | undefined {
    const queue = this.#queue(id)
    while (queue.low < queue.next && !queue.live.has(queue.low)) queue.low++
    if (queue.low === queue.next) return undefined
    let first = fromFront ? queue.low : this.#random.between(queue.low, queue.next - 1)
    for (let steps = 0; !queue.live.has(first); steps++) {
      if (steps > 1_000 || first >= queue.next) first = queue.low
      else first++
    }
    let count = 1
    while (count < most && queue.live.has(first + count)) count++
    return { first, count }
  }

  #counted(id: number): Fact {
    const { batch, next, published } = this.#queue(id)
    return { kind: 'batchCounted', queue: id, batch, nextSequence: next, stats: { ...NO_STATS, published } }
  }

  #queue(id: number): PlannedQueue {
    const queue = this.state.queues.get(id)
    if (!queue) throw new Error(`the plan has no queue ${id}`)
    return queue
  }
}

const NO_STATS = { published: 0, acked: 0, dead: 0, expired: 0, dropped: 0, carried: 0 }
const NOTHING = new Uint8Array(0)
const BARRIER_BYTES = Buffer.from('0000000000', 'hex').subarray(0, 4)

function recordsOf(stretches: readonly { offset: number; size: number }[], bytes: number): Uint8Array {
  // Only the journal has it from here on.
  const records = Buffer.allocUnsafeSlow(bytes)
  let at = 0
  for (const { offset, size } of stretches) {
    at = records.writeUInt32LE(size, at)
    records.set(NOISE.subarray(offset, offset + size), at)
    at += size
  }
  return records
}
