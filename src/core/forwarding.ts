import type { WaitingBarrier } from './barriers.ts'
import type { Broker } from './broker.ts'
import type { BarrierRecord, BarrierTerms, BatchSummary, Timestamp } from './facts.ts'
import { DEFAULT_OPTIONS } from './options.ts'
import { termsOf } from './placing.ts'
import type { Queue } from './queue.ts'
import type { Turn } from './turn.ts'

/** A record without properties and body, for the party that is gone. */
const EMPTY_RECORD = new Uint8Array(4)

/** What goes on: from where, by which name, and what is known of the batches it has closed. */
interface Going {
  readonly from: Queue
  readonly name: string | undefined
  readonly bytes: Uint8Array
  readonly batches: readonly BatchSummary[]
  readonly terms: BarrierTerms
}

/** Barriers that pass through the stages of a pipeline: a released one goes on in the same commit (B15). */
export class Forwarding {
  readonly #broker: Broker
  readonly #forwarded: (bytes: Uint8Array, batches: readonly BatchSummary[]) => Uint8Array

  constructor(broker: Broker, forwarded: (bytes: Uint8Array, batches: readonly BatchSummary[]) => Uint8Array) {
    this.#broker = broker
    this.#forwarded = forwarded
  }

  released(turn: Turn, now: Timestamp, from: Queue, barrier: WaitingBarrier, record: BarrierRecord): void {
    const { outcome, batch, sequence, stats, name, bytes } = record
    const own: BatchSummary = { queue: from.name, outcome, batch, sequence, stats }
    this.#go(turn, now, { from, name, bytes, batches: [...(barrier.terms.batches ?? []), own], terms: barrier.terms })
  }

  /** A queue that is deleted counts as a party that was cancelled, wherever somebody waits for it. Called before it goes. */
  deleted(turn: Turn, now: Timestamp, from: Queue): void {
    const gone: BatchSummary = { queue: from.name, outcome: 'cancelled' }
    const goOn = (name: string | undefined, bytes: Uint8Array, terms: BarrierTerms) =>
      this.#go(turn, now, { from, name, bytes, batches: [...(terms.batches ?? []), gone], terms })
    for (const { name, bytes, terms } of from.barriers.waiting()) goOn(name, bytes, terms)
    for (const gathering of from.barriers.gathering()) goOn(gathering.name, EMPTY_RECORD, termsOf(gathering))
    for (const target of from.options.forwardBarrier.map(name => this.#broker.queue(name))) {
      for (const { name, arrivals } of [...(target?.barriers.gathering() ?? [])]) {
        // What publishers gather there themselves does not wait for a queue.
        const isForwarded = arrivals.some(({ terms }) => terms.batches !== undefined)
        if (target === undefined || !isForwarded || arrivals.some(({ party }) => party === from.name)) continue
        this.#arrive(turn, now, target, { from, name, bytes: EMPTY_RECORD, batches: [gone], terms: {} })
      }
    }
  }

  #go(turn: Turn, now: Timestamp, going: Going): void {
    const { from, terms } = going
    for (const name of terms.forward ?? from.options.forwardBarrier) {
      const target = this.#broker.queue(name) ?? this.#broker.declare(turn, now, name, DEFAULT_OPTIONS, true)
      this.#arrive(turn, now, target, going)
    }
  }

  /** What the server moves is never refused (A7): where it can join nobody and its name is taken it goes on without one. */
  #arrive(turn: Turn, now: Timestamp, target: Queue, { from, name, bytes, batches, terms }: Going): void {
    const { barriers } = target
    const gathering = name === undefined ? undefined : barriers.gatheringOf(name)
    const count = terms.forwardParties ?? gathering?.count ?? this.#forwardersOf(target)
    const isAwaited =
      gathering === undefined ||
      (gathering.count === count && gathering.arrivals.every(({ party }) => party !== from.name))
    const isTaken = name !== undefined && (!isAwaited || barriers.find(name) !== undefined)
    target.placing.arrive(turn, now, {
      name: isTaken ? undefined : name,
      bytes: this.#forwarded(bytes, batches),
      terms: { batches },
      ...(name !== undefined && !isTaken && count > 1 ? { party: { name: from.name, count } } : {}),
    })
    this.#broker.touch(target)
  }

  /** Queues whose barriers all go there. */
  #forwardersOf(target: Queue): number {
    let count = 0
    for (const { options } of this.#broker.queues()) if (options.forwardBarrier.includes(target.name)) count += 1
    return Math.max(1, count)
  }
}
