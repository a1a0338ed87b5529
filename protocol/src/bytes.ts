import { ProtocolError } from './protocol-error.ts'

/*
 * Bytes without `Buffer`, so that the same code runs in browsers. All numbers are little-endian.
 */

const EMPTY = new Uint8Array(0)
const FIRST_BUFFER_BYTES_MIN = 256
/** Largest first buffer; what is written beyond it is copied once or more as the buffer grows (64 KiB cost twice the time at 100 KiB a tick). */
const FIRST_BUFFER_BYTES_MAX = 256 * 1024
/** Below this a loop over ASCII beats the call into TextEncoder and back (measured: 5 × at 20 characters). */
const SHORT_TEXT = 64

const encoder = new TextEncoder()
/** `ignoreBOM` keeps a leading U+FEFF, which a decoder otherwise swallows: what comes in must go out the same. */
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const floatBytes = new Uint8Array(8)
const floatView = new DataView(floatBytes.buffer)

export type Allocate = (size: number) => Uint8Array

/**
 * A buffer that grows as it is written. Nothing is allocated before the first write, and `take` gives the buffer away,
 * so one writer serves a connection for its whole life and costs nothing while that is idle.
 */
export class ByteWriter {
  #bytes: Uint8Array = EMPTY
  #length = 0
  /** Size of the next first buffer: what the last tick needed is the best guess for this one. */
  #startSize: number = FIRST_BUFFER_BYTES_MIN
  readonly #allocate: Allocate

  /** @param allocate may give memory that is not cleared (`Buffer.allocUnsafe`): every byte taken was written. */
  constructor(allocate: Allocate = size => new Uint8Array(size)) {
    this.#allocate = allocate
  }

  /** Bytes written since the last `take`. */
  get length(): number {
    return this.#length
  }

  /** Makes room for so many more bytes in one step. */
  reserve(size: number): void {
    const needed = this.#length + size
    if (needed <= this.#bytes.length) return
    const larger = this.#allocate(Math.max(needed, this.#bytes.length * 2, this.#startSize))
    larger.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = larger
  }

  u8(value: number): void {
    this.reserve(1)
    this.#bytes[this.#length++] = value
  }

  u32(value: number): void {
    this.reserve(4)
    this.#length += 4
    this.patchU32(this.#length - 4, value)
  }

  /** Leaves room for a number that is known later. @returns where, for `patchU32`. */
  placeU32(): number {
    this.reserve(4)
    this.#length += 4
    return this.#length - 4
  }

  patchU32(at: number, value: number): void {
    const bytes = this.#bytes
    bytes[at] = value
    bytes[at + 1] = value >>> 8
    bytes[at + 2] = value >>> 16
    bytes[at + 3] = value >>> 24
  }

  f64(value: number): void {
    floatView.setFloat64(0, value, true)
    this.raw(floatBytes)
  }

  /** LEB128, shortest form. @throws RangeError unless it is a safe integer from 0. */
  uint(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is not an unsigned safe integer`)
    this.reserve(8)
    let rest = value
    while (rest > 0x7fff_ffff) {
      this.#bytes[this.#length++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    while (rest > 0x7f) {
      this.#bytes[this.#length++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    this.#bytes[this.#length++] = rest
  }

  /** Length as `uint`, then UTF-8. A lone surrogate, which UTF-8 cannot say, is written as U+FFFD. */
  text(value: string): void {
    if (value.length <= SHORT_TEXT && this.#shortAscii(value)) return
    this.blob(encoder.encode(value))
  }

  /** Length as `uint`, then the bytes, copied. */
  blob(bytes: Uint8Array): void {
    this.uint(bytes.length)
    this.raw(bytes)
  }

  /** The bytes alone, copied. */
  raw(bytes: Uint8Array): void {
    this.reserve(bytes.length)
    this.#bytes.set(bytes, this.#length)
    this.#length += bytes.length
  }

  /** Forgets what was written after a position: for a frame that could not be finished. */
  rewind(length: number): void {
    this.#length = length
  }

  /** Gives what was written away, buffer and all, and starts anew. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#length)
    const guess = this.#length + (this.#length >>> 2)
    this.#startSize = Math.min(Math.max(guess, FIRST_BUFFER_BYTES_MIN), FIRST_BUFFER_BYTES_MAX)
    this.#bytes = EMPTY
    this.#length = 0
    return taken
  }

  #shortAscii(value: string): boolean {
    this.reserve(value.length + 1)
    const start = this.#length
    this.#bytes[start] = value.length
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i)
      if (code > 0x7f) return false
      this.#bytes[start + 1 + i] = code
    }
    this.#length = start + 1 + value.length
    return true
  }
}

/** Reads a stretch of untrusted bytes and never beyond it: every failure is a `ProtocolError`. */
export class ByteReader {
  readonly bytes: Uint8Array
  /** Offset in `bytes` of what comes next. */
  position: number
  readonly end: number

  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.bytes = bytes
    this.position = start
    this.end = end
  }

  get remaining(): number {
    return this.end - this.position
  }

  u8(): number {
    if (this.position >= this.end) this.fail('ends too early')
    return this.bytes[this.position++]!
  }

  u32(): number {
    const at = this.#skip(4)
    return readU32(this.bytes, at)
  }

  f64(): number {
    const at = this.#skip(8)
    for (let i = 0; i < 8; i++) floatBytes[i] = this.bytes[at + i]!
    return floatView.getFloat64(0, true)
  }

  /** LEB128 in its shortest form, up to 2^53 − 1. */
  uint(): number {
    const first = this.u8()
    if (first < 0x80) return first
    let value = first & 0x7f
    for (let factor = 0x80; factor < 2 ** 56; factor *= 0x80) {
      const byte = this.u8()
      value += (byte & 0x7f) * factor
      if (byte >= 0x80) continue
      if (byte === 0) this.fail('number is not in its shortest form')
      if (value > Number.MAX_SAFE_INTEGER) break
      return value
    }
    return this.fail('number is above 2^53 - 1')
  }

  /** Strict UTF-8 behind its length; `max` is in bytes. */
  text(max: number = Number.MAX_SAFE_INTEGER): string {
    const length = this.#length(max)
    const at = this.#skip(length)
    if (length <= SHORT_TEXT) {
      const ascii = this.#shortAscii(at, length)
      if (ascii !== undefined) return ascii
    }
    try {
      return decoder.decode(this.bytes.subarray(at, at + length))
    } catch {
      return this.fail('text is not UTF-8', at)
    }
  }

  /** A view, not a copy, of the bytes behind their length. */
  blob(max: number = Number.MAX_SAFE_INTEGER): Uint8Array {
    const length = this.#length(max)
    const at = this.#skip(length)
    return this.bytes.subarray(at, at + length)
  }

  /** A count of things of which each takes at least so many bytes: more than can be there are refused before they are read. */
  count(max: number, bytesEach: number): number {
    const count = this.uint()
    if (count > max) this.fail(`${count} entries, at most ${max} are allowed`)
    if (count * bytesEach > this.remaining) this.fail(`${count} entries do not fit into ${this.remaining} bytes`)
    return count
  }

  fail(what: string, at: number = this.position): never {
    throw new ProtocolError(`${what}, at offset ${at}`)
  }

  #length(max: number): number {
    const length = this.uint()
    if (length > max) this.fail(`length ${length}, at most ${max} is allowed`)
    return length
  }

  #skip(length: number): number {
    const at = this.position
    if (length > this.end - at) this.fail(`${length} bytes announced, ${this.end - at} are there`)
    this.position = at + length
    return at
  }

  #shortAscii(at: number, length: number): string | undefined {
    let text = ''
    for (let i = at; i < at + length; i++) {
      const code = this.bytes[i]!
      if (code > 0x7f) return undefined
      text += String.fromCharCode(code)
    }
    return text
  }
}

/** Unchecked: the caller knows that four bytes are there. */
export function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
}

/** Bytes that a text takes as UTF-8. */
export function utf8Length(text: string): number {
  let length = text.length
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x80) continue
    // A pair of surrogates is two units of text and four bytes, anything else above U+07FF three.
    length += code < 0x800 || (code & 0xf800) === 0xd800 ? 1 : 2
  }
  return length
}
