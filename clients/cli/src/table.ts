import { type Shell, write } from './io.ts'

export type Cell = string | number | boolean | null | undefined

/**
 * Writes rows for people: aligned columns on a terminal, tab-separated without adornment in a pipe.
 * Numbers stand to the right.
 */
export async function printTable(
  shell: Shell,
  head: readonly string[],
  rows: readonly (readonly Cell[])[],
): Promise<void> {
  const text = shell.io.stdout.isTTY ? aligned(head, rows) : separated(head, rows)
  await write(shell.io.stdout, text)
}

function aligned(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const cells = rows.map(row => row.map(cell => shown(cell)))
  const widths = head.map((title, column) => Math.max(title.length, ...cells.map(row => row[column]!.length)))
  const toTheRight = head.map((_, column) => rows.length > 0 && rows.every(row => typeof row[column] === 'number'))
  const line = (row: readonly string[]) =>
    row
      .map((text, column) => (toTheRight[column] ? text.padStart(widths[column]!) : text.padEnd(widths[column]!)))
      .join('  ')
      .trimEnd()
  return [head, ...cells].map(row => `${line(row)}\n`).join('')
}

function shown(cell: Cell): string {
  return typeof cell === 'number' ? cell.toLocaleString('en-US') : plain(cell)
}

function separated(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  return [head, ...rows].map(row => `${row.map(plain).join('\t')}\n`).join('')
}

/** Control characters could fake rows or drive the terminal. */
export function plain(cell: Cell): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return String(cell ?? '').replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ')
}
