import type { ByteReader, ByteWriter } from './bytes.ts'
import { LIST_ITEMS_MAX } from './limits.ts'
import { isMap, readValue, type Value, type ValueMap, writeValue } from './values.ts'

/** Numbers next to one another: `first` … `first + count - 1`. */
export interface Range {
  readonly first: number
  readonly count: number
}

/** What to do with deliveries; on the wire its place in this list, from 1. */
export const SETTLE_HOW = ['ack', 'nack', 'release', 'reject', 'extend'] as const
export type SettleHow = (typeof SETTLE_HOW)[number]

/** What became of a delivery; on the wire its place in this list, from 1. */
export const SETTLE_RESULTS = [
  'acked',
  'nacked',
  'released',
  'rejected',
  'extended',
  'already-settled',
  'lease-lost',
  'unknown',
] as const
export type SettleResult = (typeof SETTLE_RESULTS)[number]

export interface SettledRange extends Range {
  readonly result: SettleResult
}

/** Messages that an ack brings with it (A4). */
export interface CarriedMessages {
  readonly queue: string
  readonly count: number
  /** Message records one after another. */
  readonly messages: Uint8Array
}

/** What an atomic publish has for one queue; fields as in the frame `publish`. */
export interface PublishPart {
  readonly queue: string
  readonly number: number
  readonly answeredUpTo: number
  readonly flags: number
  readonly count: number
  /** Message records one after another. */
  readonly messages: Uint8Array
}

/** The types that a field of a frame can have, and what a decoded one is. */
export interface FieldValues {
  /** LEB128, a safe integer from 0. */
  readonly uint: number
  /** One byte, 0 or 1. */
  readonly bool: boolean
  /** Length as uint, strict UTF-8. */
  readonly text: string
  /** Length as uint, bytes. Decoded as a view of what came in. */
  readonly bytes: Uint8Array
  /** See values.ts. */
  readonly value: Value
  readonly map: ValueMap
  /** uint, place in `SETTLE_HOW`. */
  readonly how: SettleHow
  /** Lists: count as uint, then the items, their fields one after another. */
  readonly ranges: readonly Range[]
  readonly results: readonly SettledRange[]
  readonly carried: readonly CarriedMessages[]
  readonly parts: readonly PublishPart[]
}
export type FieldName = keyof FieldValues

/** What may be given to encode a field: bytes also in pieces, which spares joining them. */
export type FieldInputs = Omit<FieldValues, 'bytes'> & { readonly bytes: Uint8Array | readonly Uint8Array[] }

export interface FieldType<Read, Input> {
  write(writer: ByteWriter, value: Input): void
  /** @throws ProtocolError */
  read(reader: ByteReader): Read
}

export const FIELDS: { readonly [N in FieldName]: FieldType<FieldValues[N], FieldInputs[N]> } = {
  uint: { write: (writer, value) => writer.uint(value), read: reader => reader.uint() },
  bool: { write: (writer, value) => writer.u8(value ? 1 : 0), read: readBool },
  text: { write: (writer, value) => writer.text(value), read: reader => reader.text() },
  bytes: { write: writeBytes, read: reader => reader.blob() },
  value: { write: writeValue, read: readValue },
  map: { write: writeValue, read: readMap },
  how: {
    write: (writer, value) => writePlace(writer, SETTLE_HOW, value),
    read: reader => readPlace(reader, SETTLE_HOW),
  },
  ranges: list<Range>({
    bytesMin: 2,
    write: writeRange,
    read: readRange,
  }),
  results: list<SettledRange>({
    bytesMin: 3,
    write: (writer, item) => {
      writeRange(writer, item)
      writePlace(writer, SETTLE_RESULTS, item.result)
    },
    read: reader => ({ ...readRange(reader), result: readPlace(reader, SETTLE_RESULTS) }),
  }),
  carried: list<CarriedMessages>({
    bytesMin: 3,
    write: (writer, item) => {
      writer.text(item.queue)
      writer.uint(item.count)
      writer.blob(item.messages)
    },
    read: reader => ({ queue: reader.text(), count: reader.uint(), messages: reader.blob() }),
  }),
  parts: list<PublishPart>({
    bytesMin: 6,
    write: (writer, item) => {
      writer.text(item.queue)
      writer.uint(item.number)
      writer.uint(item.answeredUpTo)
      writer.uint(item.flags)
      writer.uint(item.count)
      writer.blob(item.messages)
    },
    read: reader => ({
      queue: reader.text(),
      number: reader.uint(),
      answeredUpTo: reader.uint(),
      flags: reader.uint(),
      count: reader.uint(),
      messages: reader.blob(),
    }),
  }),
}

/** @param item.bytesMin fewest bytes an item can have: a count that cannot be there is refused unread. */
function list<T>(item: FieldType<T, T> & { readonly bytesMin: number }): FieldType<readonly T[], readonly T[]> {
  return {
    write(writer, items) {
      writer.uint(items.length)
      for (const one of items) item.write(writer, one)
    },
    read(reader) {
      const count = reader.count(LIST_ITEMS_MAX, item.bytesMin)
      const items: T[] = []
      for (let i = 0; i < count; i++) items.push(item.read(reader))
      return items
    },
  }
}

function writeRange(writer: ByteWriter, range: Range): void {
  writer.uint(range.first)
  writer.uint(range.count)
}

function readRange(reader: ByteReader): Range {
  return { first: reader.uint(), count: reader.uint() }
}

function writePlace<T extends string>(writer: ByteWriter, names: readonly T[], name: T): void {
  writer.uint(names.indexOf(name) + 1)
}

function readPlace<T extends string>(reader: ByteReader, names: readonly T[]): T {
  const at = reader.position
  const place = reader.uint()
  return names[place - 1] ?? reader.fail(`${place} is not one of 1 to ${names.length}`, at)
}

function readBool(reader: ByteReader): boolean {
  const byte = reader.u8()
  if (byte > 1) reader.fail(`${byte} is neither 0 nor 1`, reader.position - 1)
  return byte === 1
}

function writeBytes(writer: ByteWriter, value: Uint8Array | readonly Uint8Array[]): void {
  const pieces = value instanceof Uint8Array ? [value] : value
  let size = 0
  for (const piece of pieces) size += piece.length
  writer.uint(size)
  writer.reserve(size)
  for (const piece of pieces) writer.raw(piece)
}

function readMap(reader: ByteReader): ValueMap {
  const at = reader.position
  const value = readValue(reader)
  return isMap(value) ? value : reader.fail('value is not a map', at)
}
