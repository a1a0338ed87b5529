/* Message records follow one another without padding; protocol/src/message.ts draws one. */

const LENGTH_BITS = 0x1fff_ffff
const HAS_PROPERTIES = 0x2000_0000

/** The message record at `index`, as a view; undefined if the bytes end before it does. */
export function recordAt(records: Uint8Array, index: number): Uint8Array | undefined {
  const view = viewOf(records)
  let start = 0
  for (let passed = 0; passed < index && start < records.length; passed++) start = endOfRecord(view, start)
  if (start >= records.length) return undefined
  const end = endOfRecord(view, start)
  return end > records.length ? undefined : records.subarray(start, end)
}

/** Sum of the lengths of all bodies. */
export function bodyBytesOf(records: Uint8Array): number {
  const view = viewOf(records)
  let sum = 0
  for (let start = 0; start < records.length; start = endOfRecord(view, start)) {
    if (start + 4 <= records.length) sum += view.getUint32(start, true) & LENGTH_BITS
  }
  return sum
}

/** Where the record that begins there ends; past all bytes if they are cut short. */
function endOfRecord(view: DataView, start: number): number {
  if (start + 4 > view.byteLength) return Number.POSITIVE_INFINITY
  const head = view.getUint32(start, true)
  const end = start + 4 + (head & LENGTH_BITS)
  if ((head & HAS_PROPERTIES) === 0) return end
  return start + 8 > view.byteLength ? Number.POSITIVE_INFINITY : end + 4 + view.getUint32(start + 4, true)
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}
