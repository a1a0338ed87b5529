import type { Batch } from './batch.ts'
import type { Sequence } from './facts.ts'
import { Heap } from './heap.ts'
import type { QueueOptions } from './options.ts'
import { Ordered } from './ordered.ts'
import { compareRuns, type Run } from './run.ts'
import type { Predicate, Subscription } from './subscription.ts'

/**
 * Messages that filters look at in one turn, or as many fewer as they are dearer than ordinary ones; a longer search
 * goes on in the next, so nobody waits for it (R9).
 */
export const SEARCH_MAX = 2_000

/** A run that a line may have, from the message `offset` on. */
export interface Find {
  readonly run: Run
  readonly offset: number
  /** Messages from there on that match, as far as it was looked. */
  readonly count: number
}

/**
 * Subscriptions with the same filter. They share a cursor: everything ready in front of it has been looked at and does
 * not match, so no message is looked at twice for the same filter.
 */
export class Line {
  readonly predicate: Predicate | undefined
  readonly heap: Heap<Subscription>
  subscriptions = 0
  /** Those for whom the next message was too large, this one. Who has been let in since may still be among them. */
  readonly heavy: Set<Subscription> = new Set()
  heavySequence: Sequence = 0
  /** Credit of those that have room, for sharing out. */
  prefetchWithRoom = 0
  deal: Deal = { messages: 0, prefetch: 1, subscriptions: 1, left: 0, stretch: 1, turns: 0 }
  #batch: Batch | undefined
  /** Nothing ready before this place matches, but for what is in `#early`. */
  #cursor: Run | undefined
  /** Places of messages that came back in front of the cursor and match. */
  readonly #early = new Ordered<Run>(compareRuns)

  constructor(predicate: Predicate | undefined, before: (a: Subscription, b: Subscription) => boolean) {
    this.predicate = predicate
    this.heap = new Heap(before)
  }

  /** The first ready run of the batch that this line may have; `spend` pays for looks and says whether it may go on looking. */
  find(batch: Batch, spend: (looks: number) => boolean): Find | undefined {
    if (this.predicate === undefined) {
      const run = batch.ready.first
      return run === undefined ? undefined : { run, offset: 0, count: run.count }
    }
    if (this.#batch !== batch) this.#startAt(batch)
    return this.#findEarly(batch, this.predicate) ?? this.#search(batch, this.predicate, spend)
  }

  /** Messages came (back) to a place that may be in front of the cursor. */
  returned(run: Run): void {
    const { predicate } = this
    if (predicate === undefined || this.#cursor === undefined || run.batch !== this.#batch) return
    if (compareRuns(run, this.#cursor) >= 0) return
    for (let k = 0; k < run.count; k += 1) {
      if (predicate.matches(run.first + k)) this.#early.add({ ...run, first: run.first + k, count: 1 })
    }
  }

  #startAt(batch: Batch): void {
    this.#batch = batch
    this.#cursor = undefined
    while (this.#early.first !== undefined) this.#early.delete(this.#early.first)
  }

  #findEarly(batch: Batch, predicate: Predicate): Find | undefined {
    for (let place = this.#early.first; place !== undefined; place = this.#early.first) {
      const run = runAt(batch, place)
      if (run !== undefined && predicate.matches(place.first)) return { run, offset: place.first - run.first, count: 1 }
      // Somebody else has it by now.
      this.#early.delete(place)
    }
    return undefined
  }

  #search(batch: Batch, predicate: Predicate, spend: (looks: number) => boolean): Find | undefined {
    let place = this.#cursor
    let run = place === undefined ? batch.ready.first : (runAt(batch, place) ?? batch.ready.ceiling(place))
    while (run !== undefined) {
      const start = place !== undefined && place.priority === run.priority ? Math.max(0, place.first - run.first) : 0
      for (let offset = start; offset < run.count; offset += 1) {
        if (!spend(1)) {
          this.#cursor = { ...run, first: run.first + offset, count: 1 }
          return undefined
        }
        const isMatch = predicate.matches(run.first + offset)
        spend((predicate.lastCost ?? 1) - 1)
        if (!isMatch) continue
        this.#cursor = { ...run, first: run.first + offset, count: 1 }
        return { run, offset, count: 1 }
      }
      place = { ...run, first: run.first + run.count, count: 1 }
      this.#cursor = place
      run = batch.ready.ceiling(place)
    }
    return undefined
  }
}

/** The ready run that holds the message at this place. */
function runAt(batch: Batch, place: Run): Run | undefined {
  const exact = batch.ready.ceiling(place)
  if (exact !== undefined && exact.first === place.first && exact.priority === place.priority) return exact
  const before = batch.ready.before(place)
  return before !== undefined && before.priority === place.priority && before.first + before.count > place.first
    ? before
    : undefined
}

/** Who gets the next message: rank of subscriptions by the queue's `fairness`. */
const RANK: Record<QueueOptions['fairness'], (a: Subscription, b: Subscription) => boolean> = {
  proportional: (a, b) => (a.share === b.share ? a.served < b.served : a.share < b.share),
  'round-robin': (a, b) => a.served < b.served,
  fast: (a, b) => a.id < b.id,
}

/** What is shared out in this turn: messages, and among how much credit and how many subscriptions. */
interface Deal {
  readonly messages: number
  readonly prefetch: number
  readonly subscriptions: number
  /** Messages that nobody has got yet. */
  left: number
  /** Of the round that is going on: how many each gets, and how many subscriptions have not had theirs. */
  stretch: number
  turns: number
}

/** A round gives each the same, of messages that stand together: so nobody is ever more than one ahead. */
function roundOf(deal: Deal, count: number): number {
  if (deal.turns === 0) {
    deal.turns = deal.subscriptions
    deal.stretch = Math.max(1, Math.floor(Math.min(count, deal.left) / deal.subscriptions))
  }
  deal.turns -= 1
  return deal.stretch
}

/** The subscriptions of a queue, those with room in their lines. */
export class Consumers {
  readonly all: Set<Subscription> = new Set()
  readonly lines: Map<string, Line> = new Map()
  readonly #fairness: QueueOptions['fairness']
  readonly #prefetchBytes: number
  #served = 0

  constructor({ fairness, prefetchBytes }: Pick<QueueOptions, 'fairness' | 'prefetchBytes'>) {
    this.#fairness = fairness
    this.#prefetchBytes = prefetchBytes
  }

  add(subscription: Subscription): void {
    this.all.add(subscription)
    subscription.bytesMax = this.#prefetchBytes
    // Under other options what did not fit may fit now.
    subscription.isHeavy = false
    // Whoever comes new waits its turn behind those who were served before it, as in a line of people.
    subscription.served = this.#served
    this.join(subscription)
  }

  /** Whose turn it is, of two that have room. */
  before(a: Subscription, b: Subscription): boolean {
    return RANK[this.#fairness](a, b)
  }

  /** Into the line of its filter. */
  join(subscription: Subscription): void {
    const text = subscription.predicate?.text ?? ''
    let line = this.lines.get(text)
    if (line === undefined) {
      line = new Line(subscription.predicate, RANK[this.#fairness])
      this.lines.set(text, line)
    }
    line.subscriptions += 1
    subscription.line = line
    this.changed(subscription)
  }

  leave(subscription: Subscription): void {
    const { line } = subscription
    if (line === undefined) return
    this.#out(line, subscription)
    line.heavy.delete(subscription)
    subscription.line = undefined
    line.subscriptions -= 1
    if (line.subscriptions === 0) this.lines.delete(line.predicate?.text ?? '')
  }

  delete(subscription: Subscription): void {
    this.leave(subscription)
    this.all.delete(subscription)
  }

  /** Its credit, or what it has used of it, has changed. */
  changed(subscription: Subscription): void {
    const { line } = subscription
    if (line === undefined) return
    if (subscription.room > 0) {
      if (subscription.heapAt < 0) line.prefetchWithRoom += subscription.prefetch
      line.heap.put(subscription)
    } else this.#out(line, subscription)
  }

  /** This message, the next, does not fit into the bytes that a subscription may have. */
  tooHeavy(line: Line, subscription: Subscription, sequence: Sequence): void {
    subscription.isHeavy = true
    line.heavy.add(subscription)
    line.heavySequence = sequence
    this.changed(subscription)
  }

  /** Another message comes next: whoever was too full for the one before is asked again. */
  readmit(line: Line): void {
    const heavy = [...line.heavy]
    line.heavy.clear()
    for (const subscription of heavy) {
      if (!subscription.isHeavy) continue
      subscription.isHeavy = false
      this.changed(subscription)
    }
  }

  served(subscription: Subscription): void {
    this.#served += 1
    subscription.served = this.#served
    this.changed(subscription)
  }

  /** The credit itself changes: the sums follow. */
  setPrefetch(subscription: Subscription, prefetch: number): void {
    const { line } = subscription
    if (line !== undefined) this.#out(line, subscription)
    subscription.prefetch = prefetch
    this.changed(subscription)
  }

  #out(line: Line, subscription: Subscription): void {
    if (subscription.heapAt < 0) return
    line.prefetchWithRoom -= subscription.prefetch
    line.heap.delete(subscription)
  }

  /** The same subscriptions under other options. */
  rebuilt(options: QueueOptions): Consumers {
    const consumers = new Consumers(options)
    for (const subscription of this.all) {
      this.leave(subscription)
      subscription.prefetch = Math.min(subscription.prefetch, options.prefetchMax)
      consumers.add(subscription)
    }
    return consumers
  }

  /** Before messages are given out: what there is to share. */
  startDeal(messages: number): void {
    for (const line of this.lines.values()) {
      if (line.heap.size > 0)
        line.deal = {
          messages,
          prefetch: line.prefetchWithRoom,
          subscriptions: line.heap.size,
          left: messages,
          stretch: 1,
          turns: 0,
        }
    }
  }

  /**
   * How many of `count` ready messages the first of a line takes: dealt in stretches that even out the shares, so that
   * fairness is per message while deliveries stay runs.
   */
  portion(line: Line, subscription: Subscription, count: number): number {
    const { messages, prefetch } = line.deal
    const second = line.heap.second
    if (this.#fairness === 'fast' || second === undefined) return Math.min(count, subscription.room)
    let portion: number
    if (this.#fairness === 'round-robin') portion = roundOf(line.deal, count)
    else {
      const level = Math.floor((second.share - subscription.share) * subscription.prefetch)
      // Of those at hand: what is further on may match others' filters only.
      portion = Math.max(level, Math.floor((Math.min(messages, count) * subscription.prefetch) / prefetch))
    }
    const taken = Math.min(count, subscription.room, Math.max(1, portion))
    line.deal.left -= taken
    return taken
  }
}
