import { crc32 } from 'node:zlib'
import { JournalFailure } from '../journal.ts'
import { describeKey } from './keys.ts'

/*
 * Every row of a table, all numbers little-endian:
 *
 *   u8   version of this layout
 *   u32  CRC-32 of the key and of all the rest, so that a row found under a wrong key is noticed too
 *   u32  length of the note
 *   …    note: JSON, what the row says beside its bytes     may be empty
 *   …    bytes: message records, bits, a body               may be empty
 */

const VERSION = 1
const HEAD_BYTES = 9

export interface RowContent {
  readonly note: unknown
  readonly bytes: Uint8Array
}

const NOTHING = new Uint8Array(0)

/** @param note anything that JSON can say; undefined for none */
export function encodeRow(key: Uint8Array, note: unknown, bytes: Uint8Array = NOTHING): Buffer {
  const text = note === undefined ? '' : JSON.stringify(note)
  const noteBytes = Buffer.byteLength(text)
  const value = Buffer.allocUnsafe(HEAD_BYTES + noteBytes + bytes.length)
  value[0] = VERSION
  value.writeUInt32LE(noteBytes, 5)
  if (noteBytes > 0) value.write(text, HEAD_BYTES)
  value.set(bytes, HEAD_BYTES + noteBytes)
  value.writeUInt32LE(checksum(key, value), 1)
  return value
}

/**
 * The bytes are a view of the value.
 *
 * @throws JournalFailure `damaged`, `bad-format` for a row that a newer version of the program wrote
 */
export function decodeRow(key: Uint8Array, value: Uint8Array | undefined): RowContent {
  if (!value) throw damaged(key, 'is missing')
  const row = Buffer.from(value.buffer, value.byteOffset, value.length)
  if (row.length < HEAD_BYTES || checksum(key, row) !== row.readUInt32LE(1)) {
    throw damaged(key, 'does not hold what its checksum says')
  }
  if (row[0] !== VERSION) {
    throw new JournalFailure(
      'bad-format',
      `${describeKey(key)} has layout ${row[0]}; this program reads layout ${VERSION}`,
    )
  }
  const bytesAt = HEAD_BYTES + row.readUInt32LE(5)
  const note = bytesAt === HEAD_BYTES ? undefined : JSON.parse(row.toString('utf8', HEAD_BYTES, bytesAt))
  return { note, bytes: row.subarray(bytesAt) }
}

/** The bytes of a row that was encoded just now. */
export function bytesOf(row: Buffer): Uint8Array {
  return row.subarray(HEAD_BYTES + row.readUInt32LE(5))
}

export function damaged(key: Uint8Array, why: string, cause?: unknown): JournalFailure {
  return new JournalFailure('damaged', `the data are damaged: ${describeKey(key)} ${why}`, { cause })
}

function checksum(key: Uint8Array, row: Buffer): number {
  return crc32(row.subarray(5), crc32(key, row[0]))
}
