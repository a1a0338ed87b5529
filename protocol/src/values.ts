import type { ByteReader, ByteWriter } from './bytes.ts'
import { VALUE_DEPTH_MAX, VALUE_ENTRIES_MAX, VALUE_ENTRIES_TOTAL_MAX } from './limits.ts'
import { ProtocolError } from './protocol-error.ts'

/*
 * A general value: one tag, then
 *
 *   0 nil   1 false   2 true
 *   3 uint                        an integer from 0
 *   4 uint n                      the integer −1 − n
 *   5 float64                     any other number
 *   6 text     7 bytes
 *   8 uint count, values          list
 *   9 uint count, (text, value)   map; no key twice
 */

const NIL = 0
const FALSE = 1
const TRUE = 2
const INTEGER = 3
const NEGATIVE = 4
const FLOAT = 5
const TEXT = 6
const BYTES = 7
const LIST = 8
const MAP = 9

export type Scalar = null | boolean | number | string | Uint8Array
export type Value = Scalar | readonly Value[] | ValueMap
/** Decoded maps have no prototype. Entries that are `undefined` are not written. */
export interface ValueMap {
  readonly [key: string]: Value | undefined
}

/** @throws ProtocolError `invalid-request` when it is deeper or larger than the other end would take. */
export function writeValue(writer: ByteWriter, value: Value): void {
  writeNested(writer, value, 0, { left: VALUE_ENTRIES_TOTAL_MAX })
}

/** @throws ProtocolError */
export function readValue(reader: ByteReader): Value {
  return readNested(reader, 0, { left: VALUE_ENTRIES_TOTAL_MAX })
}

/** Anything but list and map. */
export function writeScalar(writer: ByteWriter, value: Scalar): void {
  if (value === null) writer.u8(NIL)
  else if (typeof value === 'boolean') writer.u8(value ? TRUE : FALSE)
  else if (typeof value === 'number') writeNumber(writer, value)
  else if (typeof value === 'string') {
    writer.u8(TEXT)
    writer.text(value)
  } else {
    writer.u8(BYTES)
    writer.blob(value)
  }
}

export function readScalar(reader: ByteReader): Scalar {
  return readTagged(reader, reader.u8())
}

export function isMap(value: Value | undefined): value is ValueMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
}

interface Budget {
  left: number
}

function writeNested(writer: ByteWriter, value: Value, depth: number, budget: Budget): void {
  if (Array.isArray(value)) {
    enter(value.length, depth, budget)
    writer.u8(LIST)
    writer.uint(value.length)
    for (const item of value as readonly Value[]) writeNested(writer, item, depth + 1, budget)
  } else if (isMap(value)) {
    const entries = Object.entries(value).filter(entry => entry[1] !== undefined)
    enter(entries.length, depth, budget)
    writer.u8(MAP)
    writer.uint(entries.length)
    for (const [key, entry] of entries) {
      writer.text(key)
      writeNested(writer, entry!, depth + 1, budget)
    }
  } else writeScalar(writer, value as Scalar)
}

function enter(count: number, depth: number, budget: Budget): void {
  budget.left -= count
  if (depth >= VALUE_DEPTH_MAX || count > VALUE_ENTRIES_MAX || budget.left < 0) {
    throw new ProtocolError('the value is too deep or has too many entries to be sent', 'invalid-request')
  }
}

function readNested(reader: ByteReader, depth: number, budget: Budget): Value {
  const tag = reader.u8()
  if (tag !== LIST && tag !== MAP) return readTagged(reader, tag)
  if (depth >= VALUE_DEPTH_MAX) reader.fail(`value is nested deeper than ${VALUE_DEPTH_MAX}`)
  const count = reader.count(VALUE_ENTRIES_MAX, tag === LIST ? 1 : 2)
  budget.left -= count
  if (budget.left < 0) reader.fail(`value has more than ${VALUE_ENTRIES_TOTAL_MAX} entries`)
  return tag === LIST ? readList(reader, count, depth, budget) : readMap(reader, count, depth, budget)
}

function readList(reader: ByteReader, count: number, depth: number, budget: Budget): Value[] {
  const list: Value[] = []
  for (let i = 0; i < count; i++) list.push(readNested(reader, depth + 1, budget))
  return list
}

function readMap(reader: ByteReader, count: number, depth: number, budget: Budget): ValueMap {
  // No prototype: `__proto__` is a key like any other, and nothing is found that was not sent.
  const map: Record<string, Value> = Object.create(null)
  for (let i = 0; i < count; i++) {
    const at = reader.position
    const key = reader.text()
    if (key in map) reader.fail('map has a key twice', at)
    map[key] = readNested(reader, depth + 1, budget)
  }
  return map
}

function readTagged(reader: ByteReader, tag: number): Scalar {
  switch (tag) {
    case NIL:
      return null
    case FALSE:
      return false
    case TRUE:
      return true
    case INTEGER:
      return reader.uint()
    case NEGATIVE:
      return readNegative(reader)
    case FLOAT:
      return reader.f64()
    case TEXT:
      return reader.text()
    case BYTES:
      return reader.blob()
    default:
      return reader.fail(`${tag} is not a tag of a value here`, reader.position - 1)
  }
}

function readNegative(reader: ByteReader): number {
  const number = -1 - reader.uint()
  return Number.isSafeInteger(number) ? number : reader.fail('number is below -(2^53 - 1)')
}

function writeNumber(writer: ByteWriter, value: number): void {
  if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
    writer.u8(FLOAT)
    writer.f64(value)
  } else if (value >= 0) {
    writer.u8(INTEGER)
    writer.uint(value)
  } else {
    writer.u8(NEGATIVE)
    writer.uint(-1 - value)
  }
}
