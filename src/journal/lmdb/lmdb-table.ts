import { chmodSync, closeSync, existsSync, openSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { open, type RootDatabase } from 'lmdb'
import { JournalFailure } from '../journal.ts'
import type { Entry, Table, Write } from '../table/table.ts'
import { diskFreeBytes, prepareFolder, syncFile, syncFolder } from './folder.ts'
import { type Lock, lockFolder } from './lock.ts'
import { checkPages, Damage, HEADS_BYTES } from './pages.ts'

export const FILE = 'data.mdb'
/** An empty file, there from the first commit on: without it a file that was deleted would look like a first start. */
export const FILLED = 'filled'
/** What a commit may need on the disk beside twice its rows: pages of the tree, and the list of free ones. */
const ROOM_BYTES = 512 * 1_024
/** LMDB tells the cause of a failed commit in the same tick, if it does. */
const CAUSE_MS = 100

/** An LMDB file in a locked folder. */
class LmdbTable implements Table {
  readonly #db: RootDatabase<Buffer, Uint8Array>
  readonly #lock: Lock | undefined
  readonly #folder: string
  /** Called after the first commit. */
  #mark: (() => void) | undefined

  constructor(
    db: RootDatabase<Buffer, Uint8Array>,
    lock: Lock | undefined,
    { folder, mark }: { folder: string; mark: (() => void) | undefined },
  ) {
    this.#db = db
    this.#folder = folder
    this.#lock = lock
    this.#mark = mark
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return read(() => this.#db.get(key))
  }

  keys(from: Uint8Array, to: Uint8Array, countMax: number): readonly Uint8Array[] {
    return read(() => [...this.#db.getKeys({ start: from, end: to, limit: countMax })])
  }

  entries(from: Uint8Array, to: Uint8Array, countMax: number): readonly Entry[] {
    return read(() => [...this.#db.getRange({ start: from, end: to, limit: countMax })])
  }

  write(writes: readonly Write[], done: (failure?: Error) => void): void {
    const lack = this.#lackOfRoom(writes)
    if (lack !== undefined) return void setImmediate(done, lack)
    // The promise of the batch alone says that it is durable; those of its parts say nothing.
    const written = this.#db.batch(() => {
      for (const { key, value } of writes) {
        if (value) void this.#db.put(key, value as Buffer)
        else void this.#db.remove(key)
      }
    })
    written.then(
      isWritten => done(isWritten ? this.#marked() : new Error('the database refused the batch')),
      (error: CommitError) => {
        // The cause comes as a promise that is rejected, or never is. If nobody listened to it, it would end the process
        // before we say why.
        const noCause = new Promise(resolve => setTimeout(resolve, CAUSE_MS))
        Promise.race([error.commitError, noCause]).then(
          () => done(error),
          (cause: unknown) => done(cause instanceof Error ? cause : error),
        )
      },
    )
  }

  /**
   * What LMDB does when the disk is full in the middle of a commit corrupts the heap of the process (lmdb-js 3.5.6: the
   * text of the error is longer than its place). So the last bytes are not tried, unless there is room in the file.
   */
  #lackOfRoom(writes: readonly Write[]): Error | undefined {
    let bytes = ROOM_BYTES
    for (const { key, value } of writes) bytes += 2 * (key.length + (value?.length ?? 0))
    if (diskFreeBytes(this.#folder) >= bytes || this.spareBytes() >= 4 * bytes) return undefined
    return new Error(`No space left on device: a commit may need ${bytes} bytes`)
  }

  /** The file never gets smaller: bytes in it that nothing uses. */
  spareBytes(): number {
    const { root, free, lastPageNumber, pageSize } = this.#db.getStats() as Stats
    const used = [root, free].reduce(
      (sum, tree) => sum + tree.treeBranchPageCount + tree.treeLeafPageCount + tree.overflowPages,
      2,
    )
    return (lastPageNumber + 1 - used) * pageSize
  }

  #marked(): Error | undefined {
    if (this.#mark === undefined) return undefined
    try {
      this.#mark()
      this.#mark = undefined
      return undefined
    } catch (error) {
      return error as Error
    }
  }

  /**
   * Page by page: what LMDB calls compact walks the list of free pages, in which its fork has open bugs, and a backup is
   * to be taken of a file as it is.
   */
  async copyTo(file: string): Promise<void> {
    await this.#db.backup(file, false)
  }

  async close(): Promise<void> {
    await this.#db.close()
    await this.#lock?.release()
  }
}

interface TreeStats {
  readonly treeBranchPageCount: number
  readonly treeLeafPageCount: number
  readonly overflowPages: number
}

/** What lmdb-js tells and does not type. */
interface Stats {
  readonly root: TreeStats
  readonly free: TreeStats
  readonly lastPageNumber: number
  readonly pageSize: number
}

interface CommitError extends Error {
  readonly commitError?: Promise<never>
}

/**
 * The table in a folder, which is made if it is not there and held until the table is closed.
 *
 * @throws JournalFailure `locked`, `unusable-folder`, `damaged` when the file cannot be what was written
 */
export async function openTable(folder: string): Promise<Table> {
  prepareFolder(folder)
  const lock = await lockFolder(folder)
  try {
    const isFilled = isSound(folder)
    const db = openFile(join(folder, FILE))
    for (const file of [FILE, `${FILE}-lock`]) chmodSync(join(folder, file), 0o600)
    // LMDB flushes its file with the first commit, but not that there is one. The heads come first: what is longer than
    // they are has whole ones.
    if (!isFilled) syncFile(join(folder, FILE))
    syncFolder(folder)
    const mark = () => closeSync(openSync(join(folder, FILLED), 'w', 0o600))
    const markDurably = () => {
      mark()
      syncFolder(folder)
    }
    if (isFilled) mark()
    return new LmdbTable(db, lock, { folder, mark: isFilled ? undefined : markDurably })
  } catch (cause) {
    await lock.release()
    throw cannotOpen(folder, cause)
  }
}

/**
 * The table in one file, for who holds its folder already: a backup that is read, data that are put back.
 *
 * @throws JournalFailure `unusable-folder`, `damaged`
 */
export function openTableFile(file: string): Table {
  try {
    if (existsSync(file)) checkPages(file)
    return new LmdbTable(openFile(file), undefined, { folder: dirname(file), mark: undefined })
  } catch (cause) {
    if (cause instanceof Damage) throw new JournalFailure('damaged', `${file} is damaged: ${cause.message}`, { cause })
    throw cannotOpen(file, cause)
  }
}

function openFile(path: string): RootDatabase<Buffer, Uint8Array> {
  return open<Buffer, Uint8Array>({
    path,
    noSubdir: true,
    encoding: 'binary',
    keyEncoding: 'binary',
    pageSize: 4_096,
    // What resolved is on disk and was not visible before, and what failed is rolled back. In the other mode a failed
    // write of the meta page passes as a success (measured with 3.5.6).
    overlappingSync: false,
    // The journal gathers. LMDB's own gathering makes a promise that nobody listens to when a commit fails.
    eventTurnBatching: false,
  })
}

function cannotOpen(place: string, cause: unknown): JournalFailure {
  if (cause instanceof JournalFailure) return cause
  return new JournalFailure('unusable-folder', `cannot open the data in ${place}: ${messageOf(cause)}`, { cause })
}

/**
 * Whether there are data, which then can be read without harm.
 *
 * @throws JournalFailure `damaged`
 */
function isSound(folder: string): boolean {
  const file = join(folder, FILE)
  try {
    const isThere = existsSync(file)
    const wasFilled = existsSync(join(folder, FILLED))
    // Power was lost in the first start, while the two head pages were written: nothing was there.
    if (isThere && !wasFilled && statSync(file).size <= HEADS_BYTES) rmSync(file)
    else if (isThere && checkPages(file)) return true
    if (!wasFilled) return false
    throw new Damage(isThere ? 'it is empty, and it was not' : 'it is gone')
  } catch (cause) {
    if (!(cause instanceof Damage)) throw cause
    const text = `the data in ${file} are damaged: ${cause.message}. Put a copy of the whole folder in its place; to begin with nothing, remove the folder`
    throw new JournalFailure('damaged', text, { cause })
  }
}

function read<T>(reading: () => T): T {
  try {
    return reading()
  } catch (cause) {
    throw new JournalFailure('damaged', `the data cannot be read: ${messageOf(cause)}`, { cause })
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
