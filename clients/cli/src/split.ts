import { BARRIER_BODY_BYTES_MAX } from '@sluice/protocol'
import { DONE } from './exit.ts'
import { counted } from './format.ts'
import { printJson, type Shell } from './io.ts'
import { type Cell, printTable } from './table.ts'

/** A line of a file of JSON lines, and whether an expression matches it. */
export interface TestedLine {
  readonly line: number
  readonly body: string
  readonly matches: boolean
}

/** Lines that come before a barrier, without those that are blank or no JSON. */
interface Batch {
  readonly count: number
  /** Absent where there are none. */
  readonly from?: number
  readonly to?: number
  /** The line that closes it; absent: none does. */
  readonly barrierLine?: number
  readonly barrier?: string
}

/** Columns of a barrier's body that are shown on a terminal; a pipe gets all of it. */
const BODY_COLUMNS = 60

/** Says into which batches lines would fall on a queue whose `barrier` is the expression that was tried on them. */
export async function printSplit(shell: Shell, lines: AsyncIterable<readonly TestedLine[]>): Promise<number> {
  const batches: Batch[] = []
  let open: Batch = { count: 0 }
  for await (const some of lines) {
    for (const { line, body, matches } of some) {
      if (!matches) {
        open = { count: open.count + 1, from: open.from ?? line, to: line }
        continue
      }
      if (Buffer.byteLength(body) > BARRIER_BODY_BYTES_MAX)
        shell.talk.warn(`line ${line} is a barrier, and too large for one: it would be refused`)
      batches.push({ ...open, barrierLine: line, barrier: body })
      open = { count: 0 }
    }
  }
  if (shell.json) await printJson(shell, { batches: batches.map(documentOf), open: documentOf(open) })
  else {
    const rows = [...batches, ...(open.count > 0 ? [open] : [])].map((batch, index) => rowOf(shell, batch, index))
    await printTable(shell, ['BATCH', 'FROM', 'TO', 'MESSAGES', 'BARRIER LINE', 'BARRIER'], rows)
  }
  shell.talk.say(` ${counted(batches.length, 'barrier')}, ${counted(batches.length, 'batch', 'batches')} closed`)
  if (open.count > 0)
    shell.talk.warn(`${counted(open.count, 'line')} from line ${open.from} on: no barrier closes their batch`)
  return DONE
}

function rowOf(shell: Shell, { count, from, to, barrierLine, barrier }: Batch, index: number): readonly Cell[] {
  const text =
    shell.io.stdout.isTTY && barrier !== undefined && barrier.length > BODY_COLUMNS
      ? `${barrier.slice(0, BODY_COLUMNS - 1)}…`
      : barrier
  return [index + 1, from, to, count, barrierLine, text]
}

function documentOf({ count, from, to, barrierLine, barrier }: Batch): object {
  return { from_line: from, to_line: to, count, barrier_line: barrierLine, barrier }
}
