import type { Fact, QueueId, Sequence, TurnNumber } from '../../src/core/facts.ts'
import type { Journal, JournalFailure, StoredRow } from '../../src/journal/journal.ts'
import { DELETED_QUEUES, START_KEY } from '../../src/journal/table/keys.ts'
import type { Write } from '../../src/journal/table/table.ts'
import type { TableWatch } from './disk.ts'
import type { FaultPoints } from './fault-points.ts'
import type { Life } from './loop.ts'

/** A turn that is not known to be on disk. */
interface Waiting {
  readonly turn: TurnNumber
  readonly kinds: ReadonlySet<string>
}

/**
 * The journal of one process, between the engine and the table, with the points that are passed there. What the process
 * still does after it has crashed at one of them, because its stack has to come to its end, reaches neither.
 */
export class WatchedJournal implements Journal, TableWatch {
  readonly #journal: Journal
  readonly #life: Life
  readonly #points: FaultPoints
  #waiting: Waiting[] = []
  #hasWritten = false
  #isClosing = false

  /** @param make the journal, on a table that is watched */
  constructor(life: Life, points: FaultPoints, make: (watch: TableWatch) => Journal) {
    this.#life = life
    this.#points = points
    this.#journal = make(this)
  }

  // ── above the journal ──────────────────────────────────────────────────────────────────────────────────────────

  async *restore(): AsyncGenerator<readonly Fact[]> {
    for await (const facts of this.#journal.restore()) {
      if (facts[0]?.kind !== 'started' && !this.#pass('restore')) await never()
      yield facts
    }
    if (!this.#pass('restored')) await never()
  }

  append(turn: TurnNumber, facts: readonly Fact[]): void {
    this.#journal.append(turn, facts)
    const kinds = new Set(facts.map(kindOf))
    this.#waiting.push({ turn, kinds })
    for (const kind of kinds) this.#pass(`append:${kind}`)
  }

  hurry(turn: TurnNumber): void {
    this.#journal.hurry(turn)
  }

  onCommitted(listener: (upTo: TurnNumber) => void): void {
    this.#journal.onCommitted(upTo => {
      const kinds = kindsOf(this.#waiting.filter(({ turn }) => turn <= upTo))
      this.#waiting = this.#waiting.filter(({ turn }) => turn > upTo)
      for (const kind of kinds) this.#pass(`committed:${kind}`)
      if (!this.#life.isAlive) return
      listener(upTo)
      for (const kind of kinds) this.#pass(`told:${kind}`)
    })
  }

  onFailed(listener: (reason: JournalFailure) => void): void {
    this.#journal.onFailed(listener)
  }

  row(queue: QueueId, sequence: Sequence): StoredRow | undefined {
    return this.#journal.row(queue, sequence)
  }

  get memoryBytes(): number {
    return this.#journal.memoryBytes
  }

  get spareBytes(): number {
    return this.#journal.spareBytes
  }

  async close(): Promise<void> {
    this.#isClosing = true
    if (!this.#pass('stop:decided')) await never()
    await this.#journal.close()
  }

  // ── below it ───────────────────────────────────────────────────────────────────────────────────────────────────

  began(writes: readonly Write[], ms: number): void {
    if (isOfStart(writes)) {
      this.#pass(this.#isClosing ? 'stop:clean-mark' : 'take-over', ms)
      return
    }
    for (const kind of kindsOf(this.#waiting)) this.#pass(`commit-begun:${kind}`, ms)
    if (!this.#hasWritten) this.#pass('first-commit', ms)
    if (this.#isClosing) this.#pass('stop:last-commit', ms)
    if (endsDeletion(writes)) this.#pass('leftovers', ms)
  }

  done(writes: readonly Write[]): void {
    if (isOfStart(writes)) {
      this.#pass(this.#isClosing ? 'stop:clean-marked' : 'taken-over')
      return
    }
    if (!this.#hasWritten) this.#pass('first-committed')
    this.#hasWritten = true
    if (endsDeletion(writes)) this.#pass('leftovers-removed')
  }

  #pass(name: string, inFlightMs?: number): boolean {
    return this.#points.pass(this.#life, name, inFlightMs)
  }
}

/** What a process waits for that is gone. */
function never(): Promise<never> {
  return new Promise(() => {})
}

function kindOf(fact: Fact): string {
  return fact.kind === 'moved' && fact.run.origin === undefined ? 'requeued' : fact.kind
}

function kindsOf(turns: readonly Waiting[]): ReadonlySet<string> {
  return new Set(turns.flatMap(({ kinds }) => [...kinds]))
}

function isOfStart(writes: readonly Write[]): boolean {
  return writes.some(({ key }) => Buffer.compare(key, START_KEY) === 0)
}

/** The mark of a deleted queue goes with the last of its rows. */
function endsDeletion(writes: readonly Write[]): boolean {
  const { from, to } = DELETED_QUEUES
  return writes.some(
    ({ key, value }) => value === undefined && Buffer.compare(key, from) >= 0 && Buffer.compare(key, to) < 0,
  )
}
