import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { open, type RootDatabase } from 'lmdb'
import { JournalFailure } from '../journal.ts'
import type { Entry, Table, Write } from '../table/table.ts'
import { prepareFolder, syncFolder } from './folder.ts'
import { type Lock, lockFolder } from './lock.ts'

const FILE = 'data.mdb'
/** LMDB tells the cause of a failed commit in the same tick, if it does. */
const CAUSE_MS = 100

/** An LMDB file in a locked folder. */
class LmdbTable implements Table {
  readonly #db: RootDatabase<Buffer, Uint8Array>
  readonly #lock: Lock

  constructor(db: RootDatabase<Buffer, Uint8Array>, lock: Lock) {
    this.#db = db
    this.#lock = lock
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
    // The promise of the batch alone says that it is durable; those of its parts say nothing.
    const written = this.#db.batch(() => {
      for (const { key, value } of writes) {
        if (value) void this.#db.put(key, value as Buffer)
        else void this.#db.remove(key)
      }
    })
    written.then(
      isWritten => done(isWritten ? undefined : new Error('the database refused the batch')),
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

  async close(): Promise<void> {
    await this.#db.close()
    await this.#lock.release()
  }
}

interface CommitError extends Error {
  readonly commitError?: Promise<never>
}

/**
 * The table in a folder, which is made if it is not there and held until the table is closed.
 *
 * @throws JournalFailure `locked`, `unusable-folder`
 */
export async function openTable(folder: string): Promise<Table> {
  prepareFolder(folder)
  const lock = await lockFolder(folder)
  try {
    const db = open<Buffer, Uint8Array>({
      path: join(folder, FILE),
      encoding: 'binary',
      keyEncoding: 'binary',
      pageSize: 4_096,
      // What resolved is on disk and was not visible before, and what failed is rolled back. In the other mode a failed
      // write of the meta page passes as a success (measured with 3.5.6).
      overlappingSync: false,
      // The journal gathers. LMDB's own gathering makes a promise that nobody listens to when a commit fails.
      eventTurnBatching: false,
    })
    for (const file of [FILE, `${FILE}-lock`]) chmodSync(join(folder, file), 0o600)
    // LMDB flushes its file, but not that there is one.
    syncFolder(folder)
    return new LmdbTable(db, lock)
  } catch (cause) {
    await lock.release()
    throw new JournalFailure('unusable-folder', `cannot open the data in ${folder}: ${messageOf(cause)}`, { cause })
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
