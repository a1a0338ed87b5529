import type { BarrierOutcome, Fact, SettledReason, Timestamp, TurnNumber } from '../core/facts.ts'
import type { PublishAnswer } from '../core/publishing.ts'
import type { Effect } from '../core/turn.ts'

/** What has happened since the server started; every number only rises. Messages unless it says otherwise. */
export interface Totals {
  /** On disk. */
  readonly confirmed: number
  readonly delivered: number
  /** Among those delivered. */
  readonly redelivered: number
  readonly settled: Readonly<Record<SettledReason, number>>
  /** Dead letters put back. */
  readonly requeued: number
  /** Leases that ended without a settle. */
  readonly leasesLost: number
  /** Barriers. */
  readonly released: Readonly<Record<BarrierOutcome, number>>
  /** Messages that were not taken, by the code of the refusal. */
  readonly refused: ReadonlyMap<string, number>
}

interface Mark {
  readonly turn: TurnNumber
  readonly published: number
  readonly at: Timestamp
}

/**
 * Counts what turns decide, from their facts and effects: one addition for a run of messages, however long it is, so
 * that counting costs nothing that could be measured.
 */
export class Tally implements Totals {
  confirmed = 0
  delivered = 0
  redelivered = 0
  readonly settled: Record<SettledReason, number> = {
    acked: 0,
    expired: 0,
    'dead-lettered': 0,
    dropped: 0,
    purged: 0,
  }
  requeued = 0
  leasesLost = 0
  readonly released: Record<BarrierOutcome, number> = { clean: 0, 'with-dead': 0, expired: 0, cancelled: 0, failed: 0 }
  readonly refused: Map<string, number> = new Map()
  #published = 0
  /** Turns that are not on disk, the oldest first. */
  #marks: Mark[] = []

  decided(turn: TurnNumber, at: Timestamp, facts: readonly Fact[]): void {
    for (const fact of facts) {
      if (fact.kind === 'enqueued') this.#published += fact.count
      else if (fact.kind === 'settled') this.settled[fact.reason] += fact.count
      else if (fact.kind === 'moved') {
        const reason = fact.run.origin?.reason
        if (reason === undefined) this.requeued += 1
        else this.settled[reason === 'expired' ? 'expired' : 'dead-lettered'] += 1
      }
    }
    this.#marks.push({ turn, published: this.#published, at })
  }

  performs(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === 'deliver') {
        this.delivered += effect.count
        if (effect.redelivered) this.redelivered += effect.count
      } else if (effect.kind === 'lease-lost') this.leasesLost += effect.count
      else if (effect.kind === 'released') this.released[effect.record.outcome] += 1
    }
  }

  committed(upTo: TurnNumber): void {
    const left = this.#marks.findIndex(({ turn }) => turn > upTo)
    const done = left === -1 ? this.#marks.length : left
    this.confirmed = this.#marks[done - 1]?.published ?? this.confirmed
    this.#marks = this.#marks.slice(done)
  }

  /** How long the oldest turn has been waiting for the disk; 0 when none does. */
  unflushedMs(now: Timestamp): number {
    const [oldest] = this.#marks
    return oldest === undefined ? 0 : now - oldest.at
  }

  answered(answers: readonly PublishAnswer[]): void {
    for (const answer of answers) if ('refusal' in answer) this.refuse(answer.refusal.code, answer.count)
  }

  refuse(code: string, count: number): void {
    this.refused.set(code, (this.refused.get(code) ?? 0) + count)
  }
}
