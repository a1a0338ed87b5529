import { ByteReader, type ByteWriter, utf8Length } from './bytes.ts'
import {
  BARRIER_FORWARDS_MAX,
  BARRIER_NAME_BYTES_MAX,
  BARRIER_PARTIES_MAX,
  HEADER_NAME_BYTES_MAX,
  HEADERS_MAX,
  PROPERTIES_BYTES_MAX,
  PROPERTY_TEXT_BYTES_MAX,
  QUEUE_NAME_BYTES_MAX,
} from './limits.ts'
import { ProtocolError } from './protocol-error.ts'
import { readScalar, writeScalar } from './values.ts'

/*
 * The properties block of a message: tagged fields, tags rising, so that each is there at most once. An unknown tag is
 * refused, not skipped: it may ask for something that we would not do (P6).
 *
 *    1 content type    text
 *    2 headers         uint count, (text name, scalar)     no name twice
 *    3 message id      text
 *    4 correlation id  text
 *    5 reply-to        text
 *    6 priority        float64, finite
 *    7 ttl             uint, ms
 *    8 delay           uint, ms
 *    9 group           text
 *   10 barrier         u32 length, then tagged fields in the same way:
 *         1 name       text
 *         2 deadline   uint, ms
 *         3 rest       u8: 1 carry, 2 dead-letter, 3 drop
 *         4 parties    uint, from 1
 *         5 party      text
 *         6 forward    uint count, texts
 *
 * No text is empty. A scalar is as in values.ts: false, true, a finite number, text or bytes, not nil.
 */

export type HeaderValue = string | number | boolean | Uint8Array

/** What a publisher says of a message beside its body (P6). */
export interface MessageProperties {
  readonly contentType?: string
  readonly headers?: Readonly<Record<string, HeaderValue>>
  readonly messageId?: string
  readonly correlationId?: string
  readonly replyTo?: string
  /** Any finite number; higher goes first, on a queue that says `priority = "property"`. */
  readonly priority?: number
  readonly ttlMs?: number
  readonly delayMs?: number
  readonly group?: string
  /** Marks the message as a barrier. */
  readonly barrier?: BarrierProperties
}

export interface BarrierProperties {
  /** Does not begin with `@` (B1). */
  readonly name?: string
  readonly deadlineMs?: number
  readonly rest?: BarrierRest
  readonly parties?: number
  readonly party?: string
  readonly forward?: readonly string[]
}

/** What happens to the rest of a batch that is ended early (B13). */
export type BarrierRest = 'carry' | 'dead-letter' | 'drop'

const RESTS = ['carry', 'dead-letter', 'drop'] as const

/** One tagged field; its place in its table, from 1, is its tag. Reading throws ProtocolError, writing too, for what the other end would refuse. */
interface Property<T> {
  readonly name: string
  write(writer: ByteWriter, value: T): void
  read(reader: ByteReader): T
}

const BARRIER_PROPERTIES: readonly Property<unknown>[] = [
  textProperty('name', BARRIER_NAME_BYTES_MAX, name => !name.startsWith('@')),
  uintProperty('deadlineMs', { min: 0, max: Number.MAX_SAFE_INTEGER }),
  property<BarrierRest>({
    name: 'rest',
    write: (writer, rest) => writer.u8(checked('rest', RESTS.indexOf(rest) + 1, place => place > 0)),
    read: reader => RESTS[reader.u8() - 1] ?? reader.fail('neither 1 nor 2 nor 3', reader.position - 1),
  }),
  uintProperty('parties', { min: 1, max: BARRIER_PARTIES_MAX }),
  textProperty('party', BARRIER_NAME_BYTES_MAX),
  property<readonly string[]>({ name: 'forward', write: writeForward, read: readForward }),
]

const MESSAGE_PROPERTIES: readonly Property<unknown>[] = [
  textProperty('contentType', PROPERTY_TEXT_BYTES_MAX),
  property<Readonly<Record<string, HeaderValue>>>({ name: 'headers', write: writeHeaders, read: readHeaders }),
  textProperty('messageId', PROPERTY_TEXT_BYTES_MAX),
  textProperty('correlationId', PROPERTY_TEXT_BYTES_MAX),
  textProperty('replyTo', PROPERTY_TEXT_BYTES_MAX),
  property<number>({
    name: 'priority',
    write: (writer, priority) => writer.f64(checked('priority', priority, Number.isFinite)),
    read: reader => finite(reader, reader.f64()),
  }),
  uintProperty('ttlMs', { min: 0, max: Number.MAX_SAFE_INTEGER }),
  uintProperty('delayMs', { min: 0, max: Number.MAX_SAFE_INTEGER }),
  textProperty('group', PROPERTY_TEXT_BYTES_MAX),
  property<BarrierProperties>({ name: 'barrier', write: writeBarrier, read: readBarrier }),
]

/** Writes the block without its length; nothing for properties that are all absent. @throws ProtocolError `invalid-message` */
export function writeProperties(writer: ByteWriter, properties: MessageProperties): void {
  const start = writer.length
  writeTagged(writer, MESSAGE_PROPERTIES, properties)
  if (writer.length - start > PROPERTIES_BYTES_MAX) {
    throw invalid(`the properties take ${writer.length - start} bytes, at most ${PROPERTIES_BYTES_MAX} are allowed`)
  }
}

/**
 * Reads a properties block from `start` up to `end`. The bytes of headers are views of `bytes`.
 *
 * @throws ProtocolError `invalid-message`
 */
export function decodeMessageProperties(bytes: Uint8Array, start: number, end: number): MessageProperties {
  try {
    return readTagged(new ByteReader(bytes, start, end), MESSAGE_PROPERTIES)
  } catch (error) {
    if (error instanceof ProtocolError) throw invalid(`properties: ${error.detail}`)
    throw error
  }
}

function writeTagged(writer: ByteWriter, table: readonly Property<unknown>[], values: object): void {
  let left = 0
  for (const key in values) if ((values as Record<string, unknown>)[key] !== undefined) left += 1
  for (let place = 0; place < table.length && left > 0; place++) {
    const one = table[place]!
    const value = (values as Record<string, unknown>)[one.name]
    if (value === undefined) continue
    writer.u8(place + 1)
    one.write(writer, value)
    left -= 1
  }
  if (left > 0) throw invalid(`unknown property among ${Object.keys(values).join(', ')}`)
}

function readTagged(reader: ByteReader, table: readonly Property<unknown>[]): object {
  const values: Record<string, unknown> = {}
  let last = 0
  while (reader.remaining > 0) {
    const tag = reader.u8()
    if (tag <= last) reader.fail(`tag ${tag} behind tag ${last}`, reader.position - 1)
    const one = table[tag - 1] ?? reader.fail(`unknown tag ${tag}`, reader.position - 1)
    values[one.name] = one.read(reader)
    last = tag
  }
  return values
}

/** Lets a table hold properties of different types. */
function property<T>(of: Property<T>): Property<unknown> {
  return of as Property<unknown>
}

function textProperty(name: string, bytesMax: number, isAllowed?: (text: string) => boolean): Property<unknown> {
  return property<string>({
    name,
    write: (writer, value) => writer.text(checkedText(name, value, bytesMax, isAllowed)),
    read(reader) {
      const at = reader.position
      const value = reader.text(bytesMax)
      if (value === '' || isAllowed?.(value) === false) reader.fail(`${name} is empty or not allowed`, at)
      return value
    },
  })
}

function uintProperty(name: string, { min, max }: { min: number; max: number }): Property<unknown> {
  const isAllowed = (value: number) => Number.isSafeInteger(value) && value >= min && value <= max
  return property<number>({
    name,
    write: (writer, value) => writer.uint(checked(name, value, isAllowed)),
    read(reader) {
      const at = reader.position
      const value = reader.uint()
      return isAllowed(value) ? value : reader.fail(`${name} is not between ${min} and ${max}`, at)
    },
  })
}

function writeBarrier(writer: ByteWriter, barrier: BarrierProperties): void {
  const length = writer.placeU32()
  writeTagged(writer, BARRIER_PROPERTIES, barrier)
  writer.patchU32(length, writer.length - length - 4)
}

function readBarrier(reader: ByteReader): BarrierProperties {
  const length = reader.u32()
  if (length > reader.remaining) reader.fail(`${length} bytes announced, ${reader.remaining} are there`)
  const start = reader.position
  reader.position += length
  return readTagged(new ByteReader(reader.bytes, start, start + length), BARRIER_PROPERTIES)
}

function writeForward(writer: ByteWriter, queues: readonly string[]): void {
  writer.uint(checked('number of queues to forward to', queues.length, count => count <= BARRIER_FORWARDS_MAX))
  for (const queue of queues) writer.text(checkedText('forward', queue, QUEUE_NAME_BYTES_MAX))
}

function readForward(reader: ByteReader): readonly string[] {
  const count = reader.count(BARRIER_FORWARDS_MAX, 2)
  return Array.from({ length: count }, () => reader.text(QUEUE_NAME_BYTES_MAX) || reader.fail('queue name is empty'))
}

function writeHeaders(writer: ByteWriter, headers: Readonly<Record<string, HeaderValue>>): void {
  const entries = Object.entries(headers)
  writer.uint(checked('number of headers', entries.length, count => count <= HEADERS_MAX))
  for (const [name, value] of entries) {
    writer.text(checkedText('name of a header', name, HEADER_NAME_BYTES_MAX))
    if (typeof value === 'string') checkedText(`header ${name}`, value, PROPERTIES_BYTES_MAX, undefined, 0)
    writeScalar(writer, checked(`header ${name}`, value, isHeaderValue))
  }
}

function readHeaders(reader: ByteReader): Readonly<Record<string, HeaderValue>> {
  const count = reader.count(HEADERS_MAX, 3)
  // No prototype: `__proto__` is a name like any other.
  const headers: Record<string, HeaderValue> = Object.create(null)
  for (let i = 0; i < count; i++) {
    const at = reader.position
    const name = reader.text(HEADER_NAME_BYTES_MAX) || reader.fail('name of a header is empty', at)
    if (name in headers) reader.fail(`header ${name} is there twice`, at)
    const value = readScalar(reader)
    headers[name] = isHeaderValue(value) ? value : reader.fail(`header ${name} has no allowed value`, at)
  }
  return headers
}

function isHeaderValue(value: unknown): value is HeaderValue {
  if (typeof value === 'number') return Number.isFinite(value)
  return typeof value === 'string' || typeof value === 'boolean' || value instanceof Uint8Array
}

function finite(reader: ByteReader, value: number): number {
  return Number.isFinite(value) ? value : reader.fail('number is not finite', reader.position - 8)
}

/** What the program gives is checked as strictly as what comes over the wire: types end where JavaScript begins. */
function checked<T>(name: string, value: T, isAllowed: (value: T) => boolean): T {
  if (!isAllowed(value)) throw invalid(`${name} cannot be ${String(value)}`)
  return value
}

function checkedText(
  name: string,
  value: string,
  bytesMax: number,
  isAllowed?: (text: string) => boolean,
  bytesMin = 1,
): string {
  const size = typeof value === 'string' ? utf8Length(value) : -1
  if (size < bytesMin || size > bytesMax || isAllowed?.(value) === false || /\p{Surrogate}/u.test(value)) {
    throw invalid(`${name} must be text of ${bytesMin} to ${bytesMax} bytes, and allowed`)
  }
  return value
}

function invalid(detail: string): ProtocolError {
  return new ProtocolError(detail, 'invalid-message')
}
