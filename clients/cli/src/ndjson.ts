import { REFUSED, Stop } from './exit.ts'

/** One line of a file, without its line end; `number` counts from 1, as editors do. */
export interface Line {
  readonly number: number
  readonly bytes: Uint8Array
}

/** The largest message any server can be told to take is 256 MiB; a longer line is not one. */
const LINE_BYTES_MAX = 256 * 1_048_576
const NEW_LINE = 0x0a
const RETURN = 0x0d
const SPACE = 0x20
const TAB = 0x09

/**
 * Cuts a stream of bytes into its lines, as many at a time as a chunk completes; blank lines are left out but counted.
 *
 * Bytes stay bytes: nothing is decoded, so nothing can be changed on the way.
 */
export async function* readLines(chunks: AsyncIterable<Uint8Array | string>): AsyncGenerator<readonly Line[], void> {
  let number = 0
  let begun: Uint8Array[] = []
  let begunBytes = 0
  for await (const piece of chunks) {
    const chunk = typeof piece === 'string' ? Buffer.from(piece) : piece
    const lines: Line[] = []
    let from = 0
    for (let end = chunk.indexOf(NEW_LINE); end >= 0; end = chunk.indexOf(NEW_LINE, from)) {
      number += 1
      const bytes = withoutReturn(joined(begun, chunk.subarray(from, end)))
      if (!isBlank(bytes)) lines.push({ number, bytes })
      begun = []
      begunBytes = 0
      from = end + 1
    }
    if (from < chunk.length) begun.push(chunk.subarray(from))
    begunBytes += chunk.length - from
    if (begunBytes > LINE_BYTES_MAX) throw new Stop(REFUSED, `Line ${number + 1} is longer than 256 MiB.`)
    if (lines.length > 0) yield lines
  }
  const last = withoutReturn(joined(begun, new Uint8Array()))
  if (!isBlank(last)) yield [{ number: number + 1, bytes: last }]
}

function joined(begun: readonly Uint8Array[], rest: Uint8Array): Uint8Array {
  return begun.length === 0 ? rest : Buffer.concat([...begun, rest])
}

function withoutReturn(bytes: Uint8Array): Uint8Array {
  return bytes.at(-1) === RETURN ? bytes.subarray(0, -1) : bytes
}

function isBlank(bytes: Uint8Array): boolean {
  return bytes.every(byte => byte === SPACE || byte === TAB)
}
