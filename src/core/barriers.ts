import type { Batch } from './batch.ts'
import {
  type BarrierOutcome,
  type BarrierRecord,
  type BarrierTerms,
  type BatchNumber,
  type BatchRest,
  OUTCOMES,
  type Sequence,
  type Timestamp,
  type TurnNumber,
} from './facts.ts'
import { Ordered } from './ordered.ts'

/** A published barrier that has not been released. Its batch is the one it closes. */
export interface WaitingBarrier {
  readonly sequence: Sequence
  readonly batch: BatchNumber
  readonly name: string | undefined
  readonly publishedAt: Timestamp
  readonly bytes: Uint8Array
  readonly terms: BarrierTerms
  /** Its batch was ended early. */
  readonly ended: { readonly outcome: BarrierOutcome; readonly rest: BatchRest } | undefined
}

/** One party of a barrier that has no place yet. */
export interface Arrival {
  readonly sequence: Sequence
  readonly party: string
  readonly terms: BarrierTerms
  readonly bytes: Uint8Array
}

/** A barrier whose parties are still coming: it has no place and holds nothing (B14). */
export interface Gathering {
  readonly name: string
  readonly count: number
  readonly startedAt: Timestamp
  readonly arrivals: Arrival[]
  /** The first that a party gave, or what it was extended to; `Infinity`: none. */
  deadlineAt: Timestamp
}

/** When a deadline passes. */
interface Due {
  readonly sequence: Sequence
  readonly at: Timestamp
}

/** A record, and the turn that released its barrier. */
interface KeptRecord {
  readonly record: BarrierRecord
  readonly turn: TurnNumber
}

/** The barriers of a queue by name and number: those that gather, those that wait, and the records of the released. */
export class Barriers {
  readonly #waiting = new Map<Sequence, WaitingBarrier>()
  readonly #records = new Map<Sequence, KeptRecord>()
  readonly #named = new Map<string, Sequence>()
  readonly #gathering = new Map<string, Gathering>()
  /** Of what is not ended, by the number of the barrier or of its first party. */
  readonly #due = new Map<Sequence, Due>()
  readonly #inOrder = new Ordered<Due>((a, b) => a.at - b.at || a.sequence - b.sequence)
  #latest: BarrierRecord | undefined

  /** The record of the barrier that was released last, as long as any is kept. */
  get latest(): BarrierRecord | undefined {
    return this.#records.size === 0 ? undefined : this.#latest
  }

  /** Place of the barrier that closed the batch before this one. */
  placeBefore(batch: BatchNumber): Sequence | undefined {
    if (batch === 0) return 0
    // Also where no record is kept: its place is remembered until the next start.
    return this.#latest?.batch === batch - 1 ? this.#latest.sequence : undefined
  }

  get waitingCount(): number {
    return this.#waiting.size + this.#gathering.size
  }

  /** In order of release. */
  waiting(): Iterable<WaitingBarrier> {
    return this.#waiting.values()
  }

  gathering(): Iterable<Gathering> {
    return this.#gathering.values()
  }

  /** In order of release, the oldest first. */
  records(): Iterable<KeptRecord> {
    return this.#records.values()
  }

  gatheringOf(name: string): Gathering | undefined {
    return this.#gathering.get(name)
  }

  /** One more party comes, the first of them perhaps. A deadline that is there already is not another one's to change. */
  gather(of: { name: string; count: number; startedAt: Timestamp }, arrival: Arrival): Gathering {
    const gathering = this.#gathering.get(of.name) ?? { ...of, arrivals: [], deadlineAt: Number.POSITIVE_INFINITY }
    gathering.arrivals.push(arrival)
    if (gathering.deadlineAt === Number.POSITIVE_INFINITY)
      gathering.deadlineAt = arrival.terms.deadlineAt ?? Number.POSITIVE_INFINITY
    this.#gathering.set(of.name, gathering)
    this.#setDue(firstOf(gathering), gathering.deadlineAt)
    return gathering
  }

  /** Another deadline, kept with the party that gave the first one, or else with the first party. @returns its place */
  extend(gathering: Gathering, deadlineAt: Timestamp): number {
    const { arrivals } = gathering
    const at = Math.max(
      0,
      arrivals.findIndex(({ terms }) => terms.deadlineAt !== undefined),
    )
    const arrival = arrivals[at] as Arrival
    arrivals[at] = { ...arrival, terms: { ...arrival.terms, deadlineAt } }
    gathering.deadlineAt = deadlineAt
    this.#setDue(firstOf(gathering), deadlineAt)
    return at
  }

  gathered(gathering: Gathering): void {
    this.#gathering.delete(gathering.name)
    this.#setDue(firstOf(gathering), undefined)
  }

  /** Takes it in, or what it has become. */
  put(barrier: WaitingBarrier): void {
    this.#waiting.set(barrier.sequence, barrier)
    if (barrier.name !== undefined) this.#named.set(barrier.name, barrier.sequence)
    this.#setDue(barrier.sequence, barrier.ended === undefined ? barrier.terms.deadlineAt : undefined)
  }

  #setDue(sequence: Sequence, at: Timestamp | undefined): void {
    const before = this.#due.get(sequence)
    if (before !== undefined) this.#inOrder.delete(before)
    this.#due.delete(sequence)
    if (at === undefined || at === Number.POSITIVE_INFINITY) return
    const due = { sequence, at }
    this.#due.set(sequence, due)
    this.#inOrder.add(due)
  }

  /** When the next deadline of a batch that is not ended passes. */
  get nextDeadline(): Timestamp {
    return this.#inOrder.first?.at ?? Number.POSITIVE_INFINITY
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
    this.#setDue(record.sequence, undefined)
    this.#records.set(record.sequence, { record, turn })
    this.#latest = record
    if (record.name !== undefined) this.#named.set(record.name, record.sequence)
  }

  /** Lets go of the oldest records above `recordsMax`. */
  forgetAbove(recordsMax: number): Sequence[] {
    const forgotten: Sequence[] = []
    for (const [sequence, { record }] of this.#records) {
      if (this.#records.size <= recordsMax) break
      this.#records.delete(sequence)
      if (record.name !== undefined) this.#named.delete(record.name)
      forgotten.push(sequence)
    }
    return forgotten
  }

  /** Records of the barriers that closed this batch or later ones, and how many of those are gone (B11). */
  since(batch: BatchNumber, turnBatch: BatchNumber): { readonly records: KeptRecord[]; readonly missed: number } {
    const released = Math.max(0, turnBatch - batch)
    // Barriers are released in the order of their batches: those asked for are the last of the map.
    const records = released === 0 ? [] : [...this.#records.values()].slice(-released)
    return { records, missed: released - records.length }
  }
}

function firstOf({ arrivals }: Gathering): Sequence {
  return arrivals[0]?.sequence ?? 0
}

/** The worst of these, `clean` of none. */
export function worst(outcomes: Iterable<BarrierOutcome>): BarrierOutcome {
  let place = 0
  for (const outcome of outcomes) place = Math.max(place, OUTCOMES.indexOf(outcome))
  return OUTCOMES[place] as BarrierOutcome
}

/** The record of a barrier that is released now; its outcome is decided by this (B12). */
export function recordOf(
  barrier: WaitingBarrier,
  batch: Batch,
  now: Timestamp,
  after: Sequence | undefined,
): BarrierRecord {
  const { batches, parties } = barrier.terms
  const own = barrier.ended?.outcome ?? (batch.dead + batch.expired + batch.dropped > 0 ? 'with-dead' : 'clean')
  return {
    sequence: barrier.sequence,
    batch: barrier.batch,
    ...(barrier.name === undefined ? {} : { name: barrier.name }),
    outcome: worst([own, ...(batches ?? []).map(({ outcome }) => outcome)]),
    stats: batch.stats,
    publishedAt: barrier.publishedAt,
    releasedAt: now,
    ...(after === undefined ? {} : { after }),
    ...(batches === undefined ? {} : { batches }),
    ...(parties === undefined ? {} : { parties }),
    bytes: barrier.bytes,
  }
}
