import type { Batch } from './batch.ts'
import type { BarrierOutcome, BarrierRecord, BatchNumber, Sequence, Timestamp, TurnNumber } from './facts.ts'

/** A published barrier that has not been released. Its batch is the one it closes. */
export interface WaitingBarrier {
  readonly sequence: Sequence
  readonly batch: BatchNumber
  readonly name: string | undefined
  readonly publishedAt: Timestamp
  readonly bytes: Uint8Array
}

/** A record, and the turn that released its barrier. */
interface KeptRecord {
  readonly record: BarrierRecord
  readonly turn: TurnNumber
}

/** The barriers of a queue by name and number: those that wait, and the records of those that were released. */
export class Barriers {
  readonly #waiting = new Map<Sequence, WaitingBarrier>()
  readonly #records = new Map<Sequence, KeptRecord>()
  readonly #named = new Map<string, Sequence>()

  get waitingCount(): number {
    return this.#waiting.size
  }

  /** In order of release. */
  *waiting(): Generator<WaitingBarrier, void, undefined> {
    yield* this.#waiting.values()
  }

  /** In order of release, the oldest first. */
  *records(): Generator<KeptRecord, void, undefined> {
    yield* this.#records.values()
  }

  add(barrier: WaitingBarrier): void {
    this.#waiting.set(barrier.sequence, barrier)
    if (barrier.name !== undefined) this.#named.set(barrier.name, barrier.sequence)
  }

  /** By name, or by `@` and its sequence number. */
  find(name: string): WaitingBarrier | BarrierRecord | undefined {
    const sequence = name.startsWith('@') ? Number(name.slice(1)) : this.#named.get(name)
    if (sequence === undefined) return undefined
    return this.#waiting.get(sequence) ?? this.#records.get(sequence)?.record
  }

  /** Turn that released the barrier of this record: answers of it rest on that. */
  releasedIn(sequence: Sequence): TurnNumber {
    return this.#records.get(sequence)?.turn ?? 0
  }

  release(record: BarrierRecord, turn: TurnNumber): void {
    this.#waiting.delete(record.sequence)
    this.#records.set(record.sequence, { record, turn })
    if (record.name !== undefined) this.#named.set(record.name, record.sequence)
  }

  /** Lets go of the oldest record above `recordsMax`. */
  forgetAbove(recordsMax: number): Sequence | undefined {
    if (this.#records.size <= recordsMax) return undefined
    const [sequence] = this.#records.keys()
    if (sequence === undefined) return undefined
    const name = this.#records.get(sequence)?.record.name
    this.#records.delete(sequence)
    if (name !== undefined) this.#named.delete(name)
    return sequence
  }

  /** Records of the barriers that closed this batch or later ones, and how many of those are gone (B11). */
  since(batch: BatchNumber, turnBatch: BatchNumber): { readonly records: KeptRecord[]; readonly missed: number } {
    const released = Math.max(0, turnBatch - batch)
    // Barriers are released in the order of their batches: those asked for are the last of the map.
    const records = released === 0 ? [] : [...this.#records.values()].slice(-released)
    return { records, missed: released - records.length }
  }
}

/** A batch's outcome, decided when its barrier is released (B12). */
export function outcomeOf(batch: Batch): BarrierOutcome {
  return batch.dead + batch.expired + batch.dropped > 0 ? 'with-dead' : 'clean'
}

export function recordOf(barrier: WaitingBarrier, batch: Batch, now: Timestamp): BarrierRecord {
  return {
    sequence: barrier.sequence,
    batch: barrier.batch,
    ...(barrier.name === undefined ? {} : { name: barrier.name }),
    outcome: outcomeOf(batch),
    stats: batch.stats,
    publishedAt: barrier.publishedAt,
    releasedAt: now,
    bytes: barrier.bytes,
  }
}
