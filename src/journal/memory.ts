import type { Fact, QueueId, Sequence, TurnNumber } from '../core/facts.ts'
import type { CommitFigures } from './commit-figures.ts'
import type { Journal, JournalFailure, StoredRow } from './journal.ts'
import { Ledger } from './table/ledger.ts'
import { restore } from './table/restore.ts'
import type { Entry, Table, Write } from './table/table.ts'
import { TableJournal } from './table/table-journal.ts'

export interface MemoryJournalOptions {
  /** Most bytes of bodies beside the table; default 256 MiB. */
  readonly memoryMax?: number
  /** Nothing is committed before one of the methods below says so. Otherwise all of a tick is, at its end. */
  readonly manual?: boolean
  /** As of any journal over a table; default 10,000. */
  readonly commitRowsMax?: number
  /** Where it is told how the commits went. */
  readonly figures?: CommitFigures
}

/**
 * Keeps nothing beyond the process, for tests and for `--memory`. The same journal as the one on disk, over a table in
 * memory; so whoever tests with it tests what is written to disk and how it comes back.
 */
export interface MemoryJournal extends Journal {
  /** Takes what is gathered into a commit that is in flight until `commitNext`; does nothing if one is, or nothing is there. */
  beginCommit(): void
  /** Ends the commit in flight, or else one with all that is gathered. Returns false if there was nothing to commit. */
  commitNext(): boolean
  /** Until nothing is gathered, also of what comes in while listeners hear of a commit. */
  commitAll(): void
  /** Lets the commit in flight, or the next one, fail. */
  fail(reason?: Error): void
  /**
   * The process ends here and this journal is dead.
   *
   * @param upTo the last turn that reached the disk, at least the last one told; default: that one
   * @returns what the next start finds, to be restored
   */
  crash(upTo?: TurnNumber): MemoryJournal
}

const MEMORY_MAX = 256 * 1_024 * 1_024
/** Only reached if a test forgets to commit; the engine's own tests bring their clock. */
const COMMIT_DEADLINE_MS = 86_400_000

export function memoryJournal(options: MemoryJournalOptions = {}): MemoryJournal {
  return new JournalInMemory(new MemoryTable(), options)
}

class JournalInMemory implements MemoryJournal {
  readonly #options: MemoryJournalOptions
  readonly #table: MemoryTable
  readonly #journal: TableJournal
  #begin: (() => void) | undefined
  /** Turns appended and not told as committed. */
  #pending: { readonly turn: TurnNumber; readonly facts: readonly Fact[] }[] = []

  constructor(table: MemoryTable, options: MemoryJournalOptions) {
    this.#options = options
    this.#table = table
    this.#journal = new TableJournal({
      table,
      memoryMax: options.memoryMax ?? MEMORY_MAX,
      commitDeadlineMs: COMMIT_DEADLINE_MS,
      patienceMs: 0,
      ...(options.figures === undefined ? {} : { figures: options.figures }),
      ...(options.commitRowsMax === undefined ? {} : { commitRowsMax: options.commitRowsMax }),
      later: options.manual ? begin => (this.#begin = begin) : setImmediate,
    })
    this.#journal.onCommitted(upTo => (this.#pending = this.#pending.filter(({ turn }) => turn > upTo)))
  }

  get memoryBytes(): number {
    return this.#journal.memoryBytes
  }

  get spareBytes(): number {
    return 0
  }

  async *restore(): AsyncGenerator<readonly Fact[]> {
    yield* this.#journal.restore()
    // A start and a stop are written at once: by hand are the commits of turns alone.
    this.#table.isManual = this.#options.manual ?? false
  }

  append(turn: TurnNumber, facts: readonly Fact[]): void {
    if (this.#table.isDead) return
    this.#journal.append(turn, facts)
    this.#pending.push({ turn, facts })
  }

  hurry(turn: TurnNumber): void {
    this.#journal.hurry(turn)
  }

  onCommitted(listener: (upTo: TurnNumber) => void): void {
    this.#journal.onCommitted(listener)
  }

  onFailed(listener: (reason: JournalFailure) => void): void {
    this.#journal.onFailed(listener)
  }

  row(queue: QueueId, sequence: Sequence): StoredRow | undefined {
    return this.#journal.row(queue, sequence)
  }

  beginCommit(): void {
    if (this.#table.isDead) return
    const begin = this.#begin
    this.#begin = undefined
    begin?.()
  }

  commitNext(): boolean {
    if (this.#table.isDead) return false
    if (this.#table.isWriting) {
      this.#table.finish()
      return true
    }
    const isSomething = this.#begin !== undefined
    this.beginCommit()
    this.#table.finish()
    return isSomething
  }

  commitAll(): void {
    while (this.commitNext());
  }

  fail(reason: Error = new Error('told to fail')): void {
    this.#table.failure = reason
    this.commitNext()
  }

  crash(upTo?: TurnNumber): MemoryJournal {
    const table = this.#table.copy()
    const ledger = new Ledger(table, MEMORY_MAX)
    for (const _ of restore(table, ledger));
    for (const { turn, facts } of this.#pending) {
      if (turn <= (upTo ?? 0)) for (const fact of facts) ledger.apply(fact)
    }
    table.apply(ledger.take().writes)
    this.#table.isDead = true
    return new JournalInMemory(table, this.#options)
  }

  async close(): Promise<void> {
    const closed = this.#journal.close()
    if (this.#options.manual) this.commitAll()
    this.#table.isManual = false
    await closed
  }
}

/**
 * Rows by their key, in buckets by the first bytes of it: only what is read in order has to be sorted. `apply` is what a
 * write that got through does.
 */
export class MemoryTable implements Table {
  readonly #buckets = new Map<string, Bucket>()
  /** Names of the buckets in order. */
  #sorted: readonly string[] | undefined
  #inFlight: { readonly writes: readonly Write[]; readonly done: (failure?: Error) => void } | undefined
  failure: Error | undefined
  /** Writes end when `finish` says so. */
  isManual = false
  isDead = false

  get isWriting(): boolean {
    return this.#inFlight !== undefined
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const name = nameOf(key)
    const value = this.#buckets.get(bucketOf(name))?.rows.get(name)
    // The caller may write to it: what is stored must not change with it.
    return value === undefined ? undefined : Uint8Array.from(value)
  }

  keys(from: Uint8Array, to: Uint8Array, countMax: number): readonly Uint8Array[] {
    return this.entries(from, to, countMax).map(entry => entry.key)
  }

  entries(from: Uint8Array, to: Uint8Array, countMax: number): readonly Entry[] {
    const [first, end] = [nameOf(from), nameOf(to)]
    const found: Entry[] = []
    this.#sorted ??= [...this.#buckets.keys()].sort()
    const names = this.#sorted
    for (let next = placeOf(names, bucketOf(first)); next < names.length && names[next]! < end; next++) {
      const { rows, sorted } = sortedBucket(this.#buckets.get(names[next]!)!)
      for (let at = placeOf(sorted, first); at < sorted.length && sorted[at]! < end; at++) {
        if (found.length === countMax) return found
        const value = rows.get(sorted[at]!)
        if (value) found.push({ key: Buffer.from(sorted[at]!, 'latin1'), value: Uint8Array.from(value) })
      }
    }
    return found
  }

  write(writes: readonly Write[], done: (failure?: Error) => void): void {
    this.#inFlight = { writes, done }
    if (!this.isManual) this.finish()
  }

  /** Ends the write in flight, one way or the other. */
  finish(): void {
    const write = this.#inFlight
    if (!write || this.isDead) return
    this.#inFlight = undefined
    if (!this.failure) this.apply(write.writes)
    write.done(this.failure)
  }

  apply(writes: readonly Write[]): void {
    for (const { key, value } of writes) {
      const name = nameOf(key)
      let bucket = this.#buckets.get(bucketOf(name))
      if (!bucket) {
        bucket = { rows: new Map(), sorted: undefined }
        this.#buckets.set(bucketOf(name), bucket)
        this.#sorted = undefined
      }
      if (!value) bucket.rows.delete(name)
      else {
        if (!bucket.rows.has(name)) bucket.sorted = undefined
        bucket.rows.set(name, value)
      }
    }
  }

  copy(): MemoryTable {
    const copy = new MemoryTable()
    for (const [name, { rows }] of this.#buckets) copy.#buckets.set(name, { rows: new Map(rows), sorted: undefined })
    return copy
  }

  async close(): Promise<void> {}
}

interface Bucket {
  readonly rows: Map<string, Uint8Array>
  /** Names in order, also of rows that were removed since. */
  sorted: string[] | undefined
}

/** A queue and a kind; see keys.ts. */
const BUCKET_BYTES = 6

function bucketOf(name: string): string {
  return name.slice(0, BUCKET_BYTES)
}

function sortedBucket(bucket: Bucket): { rows: Map<string, Uint8Array>; sorted: readonly string[] } {
  const sorted = bucket.sorted ?? [...bucket.rows.keys()].sort()
  bucket.sorted = sorted
  return { rows: bucket.rows, sorted }
}

/** Index of the first name that is not before this one. */
function placeOf(sorted: readonly string[], name: string): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (sorted[middle]! < name) low = middle + 1
    else high = middle
  }
  return low
}

function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1')
}
