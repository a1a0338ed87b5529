import { fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { JournalFailure } from '../journal/journal.ts'
import type { ScanReport } from '../journal/table/scan.ts'

/** What the process of a scan sends. */
export type ScanAnswer =
  | { readonly report: ScanReport }
  | { readonly failure: { readonly code: JournalFailure['code']; readonly message: string } }

/**
 * Looks over the data in a folder that no server uses, in a process of its own: LMDB trusts its pages, and a broken one
 * can end the process that reads it.
 *
 * @throws JournalFailure `locked`, `unusable-folder`, `bad-format`, `damaged` (nothing can be read at all)
 */
export async function scanApart(folder: string): Promise<ScanReport> {
  if (!existsSync(join(folder, 'data.mdb'))) {
    throw new JournalFailure('unusable-folder', `there are no data in ${folder}: data.mdb is not there`)
  }
  const file = fileURLToPath(new URL(`./scan-process${extname(import.meta.url)}`, import.meta.url))
  const child = fork(file, [folder], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  let said = ''
  child.stderr?.on('data', chunk => {
    said += chunk
  })
  let answer: ScanAnswer | undefined
  child.on('message', message => {
    answer = message as ScanAnswer
  })
  const [code, signal] = await once(child, 'close')
  if (answer === undefined) {
    // By itself it ends for other reasons; only what broken pages do to it is damage.
    if (signal === null) throw new Error(`the process that reads the data ended with exit code ${code}: ${said}`)
    const text = `the data are damaged: the process that read ${join(folder, 'data.mdb')} ended by ${signal}`
    throw new JournalFailure('damaged', text)
  }
  if ('failure' in answer) throw new JournalFailure(answer.failure.code, answer.failure.message)
  return answer.report
}
