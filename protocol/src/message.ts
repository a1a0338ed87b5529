import { type ByteWriter, readU32 } from './bytes.ts'
import { BODY_BYTES_MAX, PROPERTIES_BYTES_MAX } from './limits.ts'
import { decodeMessageProperties, type MessageProperties, writeProperties } from './properties.ts'
import { ProtocolError } from './protocol-error.ts'

/*
 * One message as bytes: the same on the wire and on disk, so that what a publisher sent is stored and delivered as it
 * came. All numbers little-endian.
 *
 *   u32  body length in the low 29 bits; bit 29 (0x2000_0000): properties follow; bits 30 and 31 are zero
 *   u32  length of the properties block            only with properties
 *   …    properties block, see properties.ts       only with properties
 *   …    body
 *
 * Records follow one another without padding.
 */

const LENGTH_BITS = BODY_BYTES_MAX
const HAS_PROPERTIES = 0x2000_0000

/**
 * Adds a message record to what is written; the body is copied.
 *
 * @throws ProtocolError `invalid-message` for properties that a server would refuse, `message-too-large` for a body
 *   that no record can hold; the writer is as it was then.
 */
export function encodeMessage(writer: ByteWriter, properties: MessageProperties | undefined, body: Uint8Array): void {
  if (body.length > BODY_BYTES_MAX) {
    throw new ProtocolError(`body of ${body.length} bytes, at most ${BODY_BYTES_MAX} are possible`, 'message-too-large')
  }
  if (properties === undefined) writer.u32(body.length)
  else encodeHead(writer, properties, body.length)
  writer.raw(body)
}

function encodeHead(writer: ByteWriter, properties: MessageProperties, bodyLength: number): void {
  const head = writer.placeU32()
  try {
    const length = writer.placeU32()
    const start = writer.length
    writeProperties(writer, properties)
    const size = writer.length - start
    writer.patchU32(length, size)
    writer.patchU32(head, size === 0 ? bodyLength : bodyLength | HAS_PROPERTIES)
    if (size === 0) writer.rewind(length)
  } catch (error) {
    writer.rewind(head)
    throw error
  }
}

/**
 * Walks over message records without allocating, checking every length before it is used. One cursor serves any number
 * of walks:
 *
 *     cursor.open(bytes)
 *     while (cursor.next()) use(cursor.bodyStart, cursor.bodyEnd)
 */
export class MessageCursor {
  bytes: Uint8Array = new Uint8Array(0)
  /** Offsets in `bytes` of the record that `next` came to. Its properties block, if any, ends where its body starts. */
  recordStart = 0
  bodyStart = 0
  /** Also the end of the record, and where the next one starts. */
  bodyEnd = 0
  hasProperties = false
  #end = 0

  /** Starts a walk over the records from `start` up to `end`. */
  open(bytes: Uint8Array, start = 0, end: number = bytes.length): this {
    this.bytes = bytes
    this.bodyEnd = start
    this.#end = end
    return this
  }

  get propertiesStart(): number {
    return this.hasProperties ? this.recordStart + 8 : this.bodyStart
  }

  /** Goes to the next record. @returns false behind the last one. @throws ProtocolError `invalid-message` */
  next(): boolean {
    const at = this.bodyEnd
    const left = this.#end - at
    if (left === 0) return false
    if (left < 4) return this.#fail('record ends within its head')
    const head = readU32(this.bytes, at)
    let bodyStart = at + 4
    this.hasProperties = (head & HAS_PROPERTIES) !== 0
    if (head > (LENGTH_BITS | HAS_PROPERTIES)) return this.#fail('record with unknown bits in its head')
    if (this.hasProperties) bodyStart = this.#propertiesEnd(at)
    const bodyEnd = bodyStart + (head & LENGTH_BITS)
    if (bodyEnd > this.#end) return this.#fail('body goes beyond the end')
    this.recordStart = at
    this.bodyStart = bodyStart
    this.bodyEnd = bodyEnd
    return true
  }

  /** Properties of this record; allocates. @throws ProtocolError `invalid-message` */
  properties(): MessageProperties | undefined {
    if (!this.hasProperties) return undefined
    return decodeMessageProperties(this.bytes, this.propertiesStart, this.bodyStart)
  }

  /** Body of this record: a view, not a copy. */
  body(): Uint8Array {
    return this.bytes.subarray(this.bodyStart, this.bodyEnd)
  }

  #propertiesEnd(at: number): number {
    if (this.#end - at < 8) this.#fail('record ends within its head')
    const length = readU32(this.bytes, at + 4)
    if (length > PROPERTIES_BYTES_MAX) this.#fail(`properties of ${length} bytes, at most ${PROPERTIES_BYTES_MAX}`)
    return at + 8 + length
  }

  #fail(what: string): never {
    throw new ProtocolError(`${what}, at offset ${this.bodyEnd}`, 'invalid-message')
  }
}

/** How many records there are, every length checked. @throws ProtocolError `invalid-message` */
export function countMessages(bytes: Uint8Array): number {
  const cursor = new MessageCursor().open(bytes)
  let count = 0
  while (cursor.next()) count += 1
  return count
}

/** Decodes bytes that are exactly one record; the body is a view. @throws ProtocolError `invalid-message` */
export function decodeMessage(bytes: Uint8Array): {
  readonly properties?: MessageProperties
  readonly body: Uint8Array
} {
  const cursor = new MessageCursor().open(bytes)
  if (!cursor.next() || cursor.bodyEnd !== bytes.length) {
    throw new ProtocolError('there is not exactly one record', 'invalid-message')
  }
  const properties = cursor.properties()
  return properties === undefined ? { body: cursor.body() } : { properties, body: cursor.body() }
}
