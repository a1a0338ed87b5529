import type { BatchNumber, QueueId, Sequence, Timestamp } from './facts.ts'
import type { QueueOptions } from './options.ts'
import type { Turn } from './turn.ts'

export interface Seen {
  readonly sequence: Sequence
  readonly batch: BatchNumber
  readonly at: Timestamp
}

/** Message ids of a queue that were seen within its dedupe window (P5). */
export class Dedupe {
  readonly #queue: QueueId
  /** In the order in which they came. */
  readonly #seen = new Map<string, Seen>()

  constructor(queue: QueueId) {
    this.#queue = queue
  }

  get size(): number {
    return this.#seen.size
  }

  /** How many there will be once those are gone whose window is over. */
  sizeAt(now: Timestamp, { dedupeWindowMs }: QueueOptions): number {
    let over = 0
    for (const { at } of this.#seen.values()) {
      if (at + dedupeWindowMs > now) break
      over += 1
    }
    return this.#seen.size - over
  }

  nextDeadline(options: QueueOptions): Timestamp {
    const [oldest] = this.#seen.values()
    return oldest === undefined ? Number.POSITIVE_INFINITY : oldest.at + options.dedupeWindowMs
  }

  find(id: string): Seen | undefined {
    return this.#seen.get(id)
  }

  remember(turn: Turn, id: string, seen: Seen): void {
    // Behind the others, also if it was there before.
    this.#seen.delete(id)
    this.#seen.set(id, seen)
    turn.keep({ kind: 'seen', queue: this.#queue, id, ...seen })
  }

  restore(id: string, seen: Seen): void {
    this.#seen.set(id, seen)
  }

  /** Restored ids come in the order of their names. */
  restored(): void {
    const sorted = [...this.#seen].sort(([, a], [, b]) => a.at - b.at || a.sequence - b.sequence)
    this.#seen.clear()
    for (const [id, seen] of sorted) this.#seen.set(id, seen)
  }

  /** Lets go of ids whose window is over, at most `max` of them in one turn. */
  forget(turn: Turn, now: Timestamp, options: QueueOptions, max: number): void {
    let count = 0
    for (const [id, { at }] of this.#seen) {
      if (at + options.dedupeWindowMs > now || count === max) return
      count += 1
      this.#seen.delete(id)
      turn.keep({ kind: 'unseen', queue: this.#queue, id })
    }
  }
}
