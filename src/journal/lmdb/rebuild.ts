import { chmodSync, existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { JournalFailure } from '../journal.ts'
import { decodeRow } from '../table/row-codec.ts'
import { type ScanReport, scanTable } from '../table/scan.ts'
import { eachKey, type Table, type Write } from '../table/table.ts'
import { formatOf } from '../table/table-journal.ts'
import { prepareFolder, syncFolder } from './folder.ts'
import { FILE, FILLED, openTable, openTableFile } from './lmdb-table.ts'
import { lockFolder } from './lock.ts'

/** What one write of a rebuild holds, about. */
const WRITE_ROWS = 10_000
const WRITE_BYTES: number = 16 * 2 ** 20

/**
 * Looks over the data in a folder that no server uses, and changes nothing.
 *
 * @throws JournalFailure `locked`, `unusable-folder`, and `bad-format` or `damaged` where nothing can be read at all
 */
export async function scanFolder(folder: string): Promise<ScanReport> {
  if (!existsSync(join(folder, FILE)) && !existsSync(join(folder, FILLED))) {
    throw new JournalFailure('unusable-folder', `there are no data in ${folder}: ${FILE} is not there`)
  }
  const table = await openTable(folder)
  try {
    return scanTable(table)
  } finally {
    await table.close()
  }
}

/**
 * Writes a data file anew, row by row, each compared with its checksum, into a folder that no server uses: so what comes
 * out is whole, as small as it can be, and owes nothing to the pages of the old file.
 *
 * @param from is removed at the end
 * @throws JournalFailure `locked`, `unusable-folder`, `bad-format`, `damaged`; then the folder has no data file
 */
export async function rebuild(from: string, folder: string): Promise<ScanReport> {
  prepareFolder(folder)
  const lock = await lockFolder(folder)
  const rebuilt = join(folder, 'rebuilding.mdb')
  try {
    const report = await copyRows(from, rebuilt)
    chmodSync(rebuilt, 0o600)
    // Only now it is what a server would open.
    renameSync(rebuilt, join(folder, FILE))
    return report
  } finally {
    for (const file of [from, rebuilt]) for (const name of [file, `${file}-lock`]) rmSync(name, { force: true })
    syncFolder(folder)
    await lock.release()
  }
}

async function copyRows(from: string, to: string): Promise<ScanReport> {
  const source = openTableFile(from)
  try {
    formatOf(source)
    const target = openTableFile(to)
    try {
      await copyAll(source, target)
      const report = scanTable(target)
      if (report.damagedCount > 0) throw new JournalFailure('damaged', report.damage[0] ?? 'the data are damaged')
      return report
    } finally {
      await target.close()
    }
  } finally {
    await source.close()
  }
}

async function copyAll(source: Table, target: Table): Promise<void> {
  let writes: Write[] = []
  let bytes = 0
  const flush = async (): Promise<void> => {
    await written(target, writes)
    writes = []
    bytes = 0
  }
  for (const key of eachKey(source, Buffer.of(0), Buffer.of(0xff))) {
    const value = source.get(key)
    decodeRow(key, value)
    if (value === undefined) continue
    writes.push({ key, value })
    bytes += value.length
    if (writes.length >= WRITE_ROWS || bytes >= WRITE_BYTES) await flush()
  }
  if (writes.length > 0) await flush()
}

function written(table: Table, writes: readonly Write[]): Promise<void> {
  return new Promise((resolve, reject) => table.write(writes, failure => (failure ? reject(failure) : resolve())))
}
