/** What a history can show to be wrong. The last one is ours: a place in a queue that two messages were told (P3). */
export type ViolationKind =
  | 'lost'
  | 'unexpected'
  | 'duplicate-without-cause'
  | 'acked-then-redelivered'
  | 'redelivered-flag-missing'
  | 'redelivered-flag-spurious'
  | 'barrier-early'
  | 'barrier-overtaken'
  | 'barrier-order'
  | 'barrier-resurrected'
  | 'barrier-missing'
  | 'barrier-lost'
  | 'barrier-duplicate'
  | 'barrier-unexpected'
  | 'batch-torn'
  | 'sequence-reused'

export interface Violation {
  readonly kind: ViolationKind
  readonly queue: string
  readonly id: string
  /** When it was seen, in ms of the history's clock. */
  readonly t: number
  readonly detail: string
}

export interface Counts {
  attempts: number
  published_ok: number
  publish_failed: number
  publish_indeterminate: number
  deliveries: number
  /** Different messages. */
  delivered: number
  acked: number
  ok: number
  lost: number
  unexpected: number
  duplicated: number
  recovered: number
  outstanding: number
  barriers: number
  barrier_deliveries: number
}

export interface HistoryReport {
  /** `empty`: nothing was confirmed or nothing was delivered, which proves nothing. */
  readonly verdict: 'pass' | 'fail' | 'empty'
  readonly counts: Counts
  /** The first thousand. */
  readonly violations: readonly Violation[]
  /** How many of each there are. */
  readonly violationCounts: Readonly<Partial<Record<ViolationKind, number>>>
}

const VIOLATIONS_MAX = 1_000

export class Findings {
  readonly violations: Violation[] = []
  readonly counts: Partial<Record<ViolationKind, number>> = {}

  add(violation: Violation): void {
    this.counts[violation.kind] = (this.counts[violation.kind] ?? 0) + 1
    if (this.violations.length < VIOLATIONS_MAX) this.violations.push(violation)
  }
}

/** A report for people: the verdict, the counts and the first violations. */
export function reportAsText({ verdict, counts, violations, violationCounts }: HistoryReport, linesMax = 20): string {
  const numbers = Object.entries(counts).map(([name, count]) => `${name} ${count}`)
  const kinds = Object.entries(violationCounts).map(([kind, count]) => `${kind} ${count}`)
  return [
    `${verdict}: ${numbers.join(', ')}`,
    ...(kinds.length > 0 ? [`violations: ${kinds.join(', ')}`] : []),
    ...violations.slice(0, linesMax).map(one => `${one.t} ${one.kind} ${one.queue} ${one.id}: ${one.detail}`),
  ].join('\n')
}
