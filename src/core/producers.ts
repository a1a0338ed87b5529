import type { Fact, ProducerAnswer, QueueId, Timestamp } from './facts.ts'
import type { Turn } from './turn.ts'

/** A producer that publishes nothing for this long is forgotten, with its numbers. */
export const PRODUCER_IDLE_MAX_MS: number = 24 * 3_600_000
/** Producers and queues remembered; at the bound new ones are refused, never an old one dropped. */
export const PRODUCERS_MAX = 100_000
/** Most numbers of a producer and queue that may be unanswered at its end. */
export const UNANSWERED_MAX = 65_536
/** How often idle producers are looked for. */
const SWEEP_MS = 600_000

interface Producer {
  readonly id: string
  last: number
  answers: ProducerAnswer[]
  usedAt: Timestamp
}

/**
 * What producers have published to one queue: the last number of each, and the answers it may ask for again (P9).
 * This is how a lost confirm makes no duplicate and no loss.
 */
export class Producers {
  readonly #queue: QueueId
  readonly #producers = new Map<string, Producer>()

  constructor(queue: QueueId) {
    this.#queue = queue
  }

  get size(): number {
    return this.#producers.size
  }

  /** Last number taken; 0 of a producer that is new here. */
  last(id: string): number {
    return this.#producers.get(id)?.last ?? 0
  }

  isKnown(id: string): boolean {
    return this.#producers.has(id)
  }

  /** Answers that the numbers `first` … `first + count - 1` got, as far as they are still kept. */
  answers(id: string, first: number, count: number): ProducerAnswer[] {
    const end = first + count
    const found: ProducerAnswer[] = []
    for (const answer of this.#producers.get(id)?.answers ?? []) {
      const from = Math.max(first, answer.first)
      const upTo = Math.min(end, answer.first + answer.count)
      if (from >= upTo) continue
      const sequence = answer.refusal === undefined ? answer.sequence + (from - answer.first) : 0
      found.push({ ...answer, first: from, count: upTo - from, sequence })
    }
    return found
  }

  /** Keeps the answers of numbers just taken; lets go of those up to `answeredUpTo`. */
  take(turn: Turn, id: string, answers: readonly ProducerAnswer[], answeredUpTo: number, now: Timestamp): void {
    let producer = this.#producers.get(id)
    if (producer === undefined) {
      producer = { id, last: 0, answers: [], usedAt: now }
      this.#producers.set(id, producer)
    }
    producer.usedAt = now
    if (answeredUpTo > 0)
      producer.answers = producer.answers.filter(answer => answer.first + answer.count - 1 > answeredUpTo)
    for (const answer of answers) {
      producer.last = answer.first + answer.count - 1
      const before = producer.answers[producer.answers.length - 1]
      const merged = before === undefined ? undefined : merge(before, answer)
      if (merged === undefined) producer.answers.push(answer)
      else producer.answers[producer.answers.length - 1] = merged
    }
    turn.keep({
      kind: 'producerTaken',
      producer: id,
      queue: this.#queue,
      last: producer.last,
      answers: producer.answers.slice(),
      at: now,
    })
  }

  restore(fact: Extract<Fact, { kind: 'producerTaken' }>): void {
    this.#producers.set(fact.producer, {
      id: fact.producer,
      last: fact.last,
      answers: [...fact.answers],
      usedAt: fact.at,
    })
  }

  /** Forgets those that were idle too long. */
  sweep(turn: Turn, now: Timestamp): void {
    for (const producer of this.#producers.values()) {
      if (now - producer.usedAt < PRODUCER_IDLE_MAX_MS) continue
      this.#producers.delete(producer.id)
      turn.keep({ kind: 'producerForgotten', producer: producer.id, queue: this.#queue })
    }
  }

  static readonly sweepMs: number = SWEEP_MS
}

/** One answer for both, where numbers and sequence numbers go on without a gap. */
function merge(a: ProducerAnswer, b: ProducerAnswer): ProducerAnswer | undefined {
  if (a.first + a.count !== b.first || a.refusal !== b.refusal || a.batch !== b.batch) return undefined
  if (a.duplicate !== b.duplicate) return undefined
  if (a.refusal === undefined && a.sequence + a.count !== b.sequence) return undefined
  return { ...a, count: a.count + b.count }
}
