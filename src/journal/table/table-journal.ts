import type { Fact, QueueId, Sequence, TurnNumber } from '../../core/facts.ts'
import type { CommitFigures } from '../commit-figures.ts'
import { type Journal, JournalFailure, type StoredRow } from '../journal.ts'
import { FORMAT_KEY, START_KEY } from './keys.ts'
import { type Commit, Ledger } from './ledger.ts'
import { numbersOf } from './notes.ts'
import { restore } from './restore.ts'
import { decodeRow, encodeRow } from './row-codec.ts'
import type { Table, Write } from './table.ts'

/**
 * Rows of one commit: to hand them to LMDB takes the loop 1 to 2 µs each, and nobody is served meanwhile (R9). What is
 * above goes with the next commit, turn by turn. Measured with 300,000 publishes of a row each that gathered behind a slow
 * commit, on two busy cores: one commit kept the loop from everybody for 6.2 s, thirty for 0.19 s at most.
 */
const COMMIT_ROWS_MAX = 10_000
/** Facts of one commit: what waited for it is done all at once, some 50 ms of confirms and deliveries. */
const COMMIT_FACTS_MAX = 50_000
/**
 * What nobody waits for, such as an ack without an answer, waits so long for something to go with. A commit costs two
 * flushes of the disk, whatever is in it, and what comes while it runs has to wait for its end: with a commit for each
 * ack, a thousand messages a second spent their time behind the acks of those before them.
 */
const PATIENCE_MS = 5
/** Facts after which the rows are counted: it costs a look at each queue. */
const COUNT_EVERY = 1_000
/** Which keys there are and what they mean. A newer one is not touched. */
const FORMAT = 1

export interface TableJournalOptions {
  readonly table: Table
  /** Most bytes of bodies kept in memory once they are committed. */
  readonly memoryMax: number
  readonly commitDeadlineMs: number
  /** A turn that brings a commit above so many rows is its last; default 10,000. */
  readonly commitRowsMax?: number
  /** How long facts wait that nobody waits for, in ms; default 5. 0: not at all. */
  readonly patienceMs?: number
  /** Runs the next commit, once all that came in this tick is gathered. */
  readonly later: (commit: () => void) => void
  /** Calls back after so many ms, unless it is called off; default `setTimeout`. */
  readonly after?: (ms: number, task: () => void) => () => void
  /** Where it is told how the commits went. */
  readonly figures?: CommitFigures
}

function afterReal(ms: number, task: () => void): () => void {
  const timer = setTimeout(task, ms)
  return () => clearTimeout(timer)
}

/**
 * A journal over a table: the commit loop. One commit is in flight, everything appended meanwhile goes with the next one,
 * or, where that is much, with the next few, in the order of the turns.
 */
export class TableJournal implements Journal {
  readonly #table: Table
  readonly #ledger: Ledger
  readonly #deadlineMs: number
  readonly #later: (commit: () => void) => void
  readonly #rowsMax: number
  readonly #patienceMs: number
  readonly #figures: CommitFigures | undefined
  readonly #after: (ms: number, task: () => void) => () => void
  readonly #commitListeners: ((upTo: TurnNumber) => void)[] = []
  readonly #failListeners: ((reason: JournalFailure) => void)[] = []

  #phase: 'new' | 'restoring' | 'open' | 'closing' = 'new'
  #start = 0
  #appended: TurnNumber = 0
  readonly #countEvery: number
  /** Facts that the next commit has, and those since its rows were counted. */
  #facts = 0
  #uncounted = 0
  /** Commits that are complete and wait for the one in flight. */
  readonly #complete: CompleteCommit[] = []
  #committed: TurnNumber = 0
  /** The last turn that somebody waits for. */
  #awaited: TurnNumber = 0
  #isScheduled = false
  /** A commit comes when the patience is over. */
  #isPatient = false
  #isWriting = false
  #failure: JournalFailure | undefined
  #idle: () => void = () => {}

  constructor(options: TableJournalOptions) {
    this.#table = options.table
    this.#ledger = new Ledger(options.table, options.memoryMax)
    this.#deadlineMs = options.commitDeadlineMs
    this.#later = options.later
    this.#figures = options.figures
    this.#rowsMax = options.commitRowsMax ?? COMMIT_ROWS_MAX
    this.#patienceMs = options.patienceMs ?? PATIENCE_MS
    this.#countEvery = Math.min(COUNT_EVERY, this.#rowsMax)
    this.#after = options.after ?? afterReal
  }

  get memoryBytes(): number {
    return this.#ledger.memoryBytes
  }

  get spareBytes(): number {
    return this.#table.spareBytes?.() ?? 0
  }

  async *restore(): AsyncGenerator<readonly Fact[]> {
    if (this.#phase !== 'new') throw new Error('a journal is restored once')
    this.#phase = 'restoring'
    yield [await this.#takeOver()]
    yield* restore(this.#table, this.#ledger)
    this.#phase = 'open'
    if (this.#ledger.hasLeftovers) this.#schedule()
  }

  append(turn: TurnNumber, facts: readonly Fact[]): void {
    if (this.#failure) return
    if (this.#phase !== 'open') throw new Error(`turn ${turn} came while the journal was ${this.#phase}`)
    this.#appended = turn
    try {
      for (const fact of facts) this.#ledger.apply(fact)
      this.#uncounted += facts.length
      if (this.#uncounted >= this.#countEvery) this.#count(turn)
    } catch (error) {
      if (!(error instanceof JournalFailure)) throw error
      this.#fail(error)
    }
    this.#scheduleFor(turn)
  }

  hurry(turn: TurnNumber): void {
    if (turn <= this.#awaited) return
    this.#awaited = turn
    this.#schedule()
  }

  #takeAll(): CompleteCommit {
    this.#facts = 0
    this.#uncounted = 0
    return { upTo: this.#appended, commit: this.#ledger.take() }
  }

  /** Completes the commit that is gathered once it is large: a turn is never in two. */
  #count(turn: TurnNumber): void {
    this.#facts += this.#uncounted
    this.#uncounted = 0
    if (this.#facts < COMMIT_FACTS_MAX && this.#ledger.gathered < this.#rowsMax) return
    this.#facts = 0
    const isNext = this.#complete.length === 0 && !this.#isWriting
    this.#complete.push({ upTo: turn, commit: this.#ledger.take(isNext) })
  }

  onCommitted(listener: (upTo: TurnNumber) => void): void {
    this.#commitListeners.push(listener)
  }

  onFailed(listener: (reason: JournalFailure) => void): void {
    this.#failListeners.push(listener)
  }

  row(queue: QueueId, sequence: Sequence): StoredRow | undefined {
    return this.#ledger.row(queue, sequence)
  }

  async copyTo(file: string): Promise<void> {
    if (this.#table.copyTo === undefined) throw new Error('this table cannot be copied')
    await this.#table.copyTo(file)
  }

  async close(): Promise<void> {
    if (this.#phase === 'closing') return
    const wasOpen = this.#phase === 'open'
    this.#phase = 'closing'
    this.#awaited = this.#appended
    if (this.#appended > this.#committed) this.#schedule()
    if (!this.#failure && (this.#isWriting || this.#isScheduled))
      await new Promise<void>(resolve => (this.#idle = resolve))
    // After a failure the table may never answer again; the process is about to end anyway.
    if (this.#failure) return
    if (wasOpen) await this.#writeNow([startRow(this.#start, true)])
    await this.#table.close()
  }

  /**
   * Counts the start and takes the clean mark away, durably, before anything else: from now on messages may be
   * delivered, and if nothing else is ever written the next start has to know that.
   */
  async #takeOver(): Promise<Fact> {
    formatOf(this.#table)
    const before = this.#table.get(START_KEY)
    const last = before ? startOf(decodeRow(START_KEY, before).note) : { start: 0, clean: true }
    this.#start = last.start + 1
    const formatRow = { key: FORMAT_KEY, value: encodeRow(FORMAT_KEY, { format: FORMAT }) }
    await this.#writeNow([formatRow, startRow(this.#start, false)])
    return { kind: 'started', start: this.#start, clean: last.clean }
  }

  /** Commits what was appended up to this turn: at once if somebody waits or much has gathered, otherwise in a while. */
  #scheduleFor(turn: TurnNumber): void {
    if (this.#patienceMs === 0 || this.#awaited >= turn || this.#complete.length > 0) {
      this.#schedule()
      return
    }
    if (this.#isPatient || this.#isScheduled || this.#isWriting) return
    this.#isPatient = true
    this.#after(this.#patienceMs, () => {
      this.#isPatient = false
      if (this.#appended > this.#committed) this.#schedule()
    })
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isWriting || this.#failure) return
    this.#isScheduled = true
    this.#later(() => this.#commit())
  }

  #commit(): void {
    this.#isScheduled = false
    if (this.#failure) return
    let next = this.#complete.shift()
    try {
      next ??= this.#takeAll()
    } catch (error) {
      if (!(error instanceof JournalFailure)) throw error
      this.#fail(error)
      return
    }
    const { upTo, commit } = next
    this.#write(commit.writes, failure => {
      if (failure) this.#fail(failure)
      else this.#committedUpTo(upTo, commit)
    })
  }

  #committedUpTo(turn: TurnNumber, commit: Commit): void {
    this.#ledger.release(commit)
    if (turn > this.#committed) {
      this.#committed = turn
      for (const listener of this.#commitListeners) listener(turn)
    }
    // What is left of deleted queues can wait for the next start.
    const hasLeftovers = this.#ledger.hasLeftovers && this.#phase === 'open'
    if (hasLeftovers || this.#awaited > turn) this.#schedule()
    else if (this.#appended > turn) this.#scheduleFor(this.#appended)
    else this.#idle()
  }

  #writeNow(writes: readonly Write[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#write(writes, failure => (failure ? reject(failure) : resolve()))
    })
  }

  /** Calls back once, by the deadline. */
  #write(writes: readonly Write[], done: (failure?: JournalFailure) => void): void {
    if (writes.length === 0) {
      done()
      return
    }
    this.#isWriting = true
    let isOver = false
    const began = this.#figures && performance.now()
    const end = (failure?: JournalFailure): void => {
      if (isOver) return
      isOver = true
      cancel()
      if (began !== undefined) this.#figures?.wrote(performance.now() - began, failure !== undefined)
      this.#isWriting = false
      done(failure)
    }
    const overdue = (): void => {
      end(new JournalFailure('commit-overdue', `a commit was not on disk after ${this.#deadlineMs / 1_000} s`))
    }
    // In two halves: after the process or the machine was asleep the answer is there, but timers are asked first.
    let cancel = this.#after(this.#deadlineMs / 2, () => {
      cancel = this.#after(this.#deadlineMs / 2, overdue)
    })
    this.#table.write(writes, cause => {
      if (!cause) return end()
      end(new JournalFailure('commit-failed', `a commit did not reach the disk: ${cause.message}`, { cause }))
    })
  }

  #fail(reason: JournalFailure): void {
    if (this.#failure) return
    this.#failure = reason
    for (const listener of this.#failListeners) listener(reason)
    this.#idle()
  }
}

/**
 * Format of the rows of a table; the newest that is known for a table without any.
 *
 * @throws JournalFailure `damaged`, `bad-format` for one that a newer version of the program wrote
 */
export function formatOf(table: Table): number {
  const row = table.get(FORMAT_KEY)
  if (row === undefined) return FORMAT
  const { format } = numbersOf(FORMAT_KEY, decodeRow(FORMAT_KEY, row).note, 'format')
  if (format <= FORMAT) return format
  throw new JournalFailure(
    'bad-format',
    `the data are in format ${format}, written by a newer version of Sluice; this one reads up to ${FORMAT}: start that version again, or a newer one`,
  )
}

interface CompleteCommit {
  readonly upTo: TurnNumber
  readonly commit: Commit
}

interface StartNote {
  readonly start: number
  readonly clean: boolean
}

function startOf(note: unknown): StartNote {
  const { start } = numbersOf(START_KEY, note, 'start')
  return { start, clean: (note as StartNote).clean === true }
}

function startRow(start: number, clean: boolean): Write {
  const note: StartNote = { start, clean }
  return { key: START_KEY, value: encodeRow(START_KEY, note) }
}
