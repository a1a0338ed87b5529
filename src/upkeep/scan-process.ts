import { JournalFailure } from '../journal/journal.ts'
import { scanFolder } from '../journal/lmdb/rebuild.ts'
import type { ScanAnswer } from './scan.ts'

/* The process that `scan.ts` starts: the folder is its only argument. */

process.send?.(await answer(process.argv[2] ?? ''))
process.disconnect()

async function answer(folder: string): Promise<ScanAnswer> {
  try {
    return { report: await scanFolder(folder) }
  } catch (error) {
    if (!(error instanceof JournalFailure)) throw error
    return { failure: { code: error.code, message: error.message } }
  }
}
