import type { CommitFigures } from '../commit-figures.ts'
import type { Journal } from '../journal.ts'
import { TableJournal } from '../table/table-journal.ts'
import { openTable } from './lmdb-table.ts'

export interface LmdbJournalOptions {
  /** Made if it is not there. One server at a time. */
  readonly folder: string
  /** Most bytes of bodies in memory once they are committed; default 256 MiB. */
  readonly memoryMax?: number
  /** A commit that takes longer has failed; default 10 s. */
  readonly commitDeadlineMs?: number
  /** Where it is told how the commits went. */
  readonly figures?: CommitFigures
}

const MEMORY_MAX = 256 * 1_024 * 1_024
const COMMIT_DEADLINE_MS = 10_000

/**
 * Facts on disk. A turn is told as committed once it survives a loss of power.
 *
 * @throws JournalFailure `locked`, `unusable-folder`
 */
export async function openLmdbJournal(options: LmdbJournalOptions): Promise<Journal> {
  return new TableJournal({
    table: await openTable(options.folder),
    memoryMax: options.memoryMax ?? MEMORY_MAX,
    commitDeadlineMs: options.commitDeadlineMs ?? COMMIT_DEADLINE_MS,
    later: setImmediate,
    ...(options.figures === undefined ? {} : { figures: options.figures }),
  })
}
