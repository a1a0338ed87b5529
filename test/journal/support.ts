import type { DeadLetterOrigin, EnqueuedRun, Fact, QueueId, Sequence, TurnNumber } from '../../src/core/facts.ts'
import type { QueueOptions } from '../../src/core/options.ts'
import type { Journal, JournalFailure } from '../../src/journal/journal.ts'
import { recordAt } from '../../src/journal/table/records.ts'

export const AT = 1_800_000_000_000
/** What the times of messages may lose over a restart. */
export const AT_LOST_MS = 1_000

/** One message record without properties. */
export function record(body: string): Uint8Array {
  const text = Buffer.from(body)
  const bytes = Buffer.alloc(4 + text.length)
  bytes.writeUInt32LE(text.length)
  text.copy(bytes, 4)
  return bytes
}

export function records(...bodies: readonly string[]): Uint8Array {
  return Buffer.concat(bodies.map(record))
}

/** Bodies `m1` … of messages by their sequence numbers, or longer ones. */
export function bodyOf(sequence: Sequence, bytes = 0): string {
  return `m${sequence}`.padEnd(bytes, '.')
}

type Enqueued = Extract<Fact, { kind: 'enqueued' }>

export function enqueued(
  queue: QueueId,
  first: Sequence,
  count: number,
  more: Partial<Enqueued> & { size?: number } = {},
): Enqueued {
  const { size, ...rest } = more
  const bodies = Array.from({ length: count }, (_, index) => bodyOf(first + index, size))
  return { kind: 'enqueued', queue, first, count, batch: 0, at: AT, bytes: records(...bodies), ...rest }
}

export function settled(queue: QueueId, first: Sequence, count = 1): Fact {
  return { kind: 'settled', queue, first, count, reason: 'acked' }
}

export function declared(queue: QueueId, name: string, paused = false): Fact {
  return { kind: 'queueDeclared', queue, name, options: OPTIONS, paused, at: AT }
}

const OPTIONS: QueueOptions = {
  semantics: 'at-least-once',
  barriersMax: 1_000,
  barrierRecords: 1_000,
  onDead: 'count',
  deadlineRest: 'carry',
  forwardBarrier: [],
  acks: 'holder',
  prefetchMax: 65_535,
  prefetchBytes: 67_108_864,
  fairness: 'proportional',
  retryDelay: { baseMs: 0, factor: 1, maxMs: 0, jitter: false },
  overflow: 'refuse',
  dedupeWindowMs: 0,
  dedupeMax: 1_000_000,
}

/** A journal that was restored, with what it told. */
export class OpenJournal {
  readonly journal: Journal
  readonly restored: readonly Fact[]
  readonly told: TurnNumber[] = []
  readonly failures: JournalFailure[] = []
  turn = 0
  #waiting: { turn: TurnNumber; resolve: () => void; reject: (reason: Error) => void }[] = []

  private constructor(journal: Journal, restored: readonly Fact[]) {
    this.journal = journal
    this.restored = restored
    journal.onCommitted(upTo => {
      this.told.push(upTo)
      for (const { turn, resolve } of this.#waiting) if (turn <= upTo) resolve()
      this.#waiting = this.#waiting.filter(({ turn }) => turn > upTo)
    })
    journal.onFailed(reason => {
      this.failures.push(reason)
      for (const { reject } of this.#waiting) reject(reason)
      this.#waiting = []
    })
  }

  static async restore(journal: Journal): Promise<OpenJournal> {
    const facts: Fact[] = []
    for await (const chunk of journal.restore()) facts.push(...chunk)
    return new OpenJournal(journal, facts)
  }

  /** Appends one turn. */
  append(...facts: readonly Fact[]): TurnNumber {
    this.journal.append(++this.turn, facts)
    return this.turn
  }

  /** Appends one turn and waits until it is durable. */
  commit(...facts: readonly Fact[]): Promise<void> {
    const turn = this.turn + 1
    const committed = new Promise<void>((resolve, reject) => this.#waiting.push({ turn, resolve, reject }))
    this.append(...facts)
    this.journal.hurry(turn)
    return committed
  }

  /** What was restored, without `started`, the highest queue number and the sizes of bodies. */
  get kept(): readonly Fact[] {
    return this.restored.flatMap((fact): readonly Fact[] => {
      if (fact.kind === 'started' || fact.kind === 'queueDeleted') return []
      if (fact.kind !== 'enqueued') return [fact]
      const { bodyBytes: _, ...rest } = fact
      return [rest]
    })
  }

  body(queue: QueueId, sequence: Sequence): string | undefined {
    const row = this.journal.row(queue, sequence)
    const bytes = row && recordAt(row.bytes, sequence - row.first)
    return bytes && Buffer.from(bytes.subarray(4)).toString()
  }
}

/** A live message, as facts tell it. */
export interface ToldMessage {
  readonly batch: number
  readonly at: number
  readonly run: Omit<EnqueuedRun, 'count'>
  readonly attempts?: number
  readonly dueAgainAt?: number
}

/** One entry a message, by `queue/sequence`, in the order told. */
export function toldMessages(facts: readonly Fact[]): Map<string, ToldMessage> {
  const messages = new Map<string, ToldMessage>()
  for (const fact of facts) {
    if (fact.kind === 'enqueued') {
      let next = fact.first
      for (const { count, ...run } of fact.runs ?? [{ count: fact.count }]) {
        for (let index = 0; index < count; index++) {
          messages.set(`${fact.queue}/${next++}`, { batch: fact.batch, at: fact.at, run })
        }
      }
      if (next !== fact.first + fact.count) throw new Error(`runs of ${fact.first} do not add up`)
    } else if (fact.kind === 'returned') {
      for (let sequence = fact.first; sequence < fact.first + fact.count; sequence++) {
        const message = messages.get(`${fact.queue}/${sequence}`)
        if (!message) throw new Error(`${sequence} came back but is not there`)
        const due = fact.dueAt === undefined ? {} : { dueAgainAt: fact.dueAt }
        messages.set(`${fact.queue}/${sequence}`, { ...message, attempts: fact.attempts, ...due })
      }
    }
  }
  return messages
}

export const ORIGIN: DeadLetterOrigin = {
  queue: 'orders',
  queueId: 1,
  sequence: 2,
  batch: 0,
  attempts: 3,
  publishedAt: 1_799_999_000_000,
  deadAt: AT + 5,
  reason: 'rejected',
  detail: 'no such customer — ünïcode',
}
