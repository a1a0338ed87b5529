import { bytesOfText, sliceBytes } from './bytes.ts'
import { BODY_DEPTH_MAX } from './limits.ts'
import { NULL, type Numeric, parseNumber, type Scalar } from './values.ts'

/**
 * Walks JSON (RFC 8259) in bytes, without building anything. Each `skip…` takes the place where something starts and
 * returns the place behind it, or `INVALID` where the bytes up to `end` are not that.
 *
 * Why not `JSON.parse`: it keeps the last of two equal keys where the language keeps the first, rounds integers beyond
 * 2⁵³, takes bytes that are no UTF-8 for U+FFFD, and builds all of a body of which a filter reads one field.
 */
export const INVALID = -1

export const QUOTE = 0x22
export const COMMA = 0x2c
export const COLON = 0x3a
export const OPEN_ARRAY = 0x5b
export const CLOSE_ARRAY = 0x5d
export const OPEN_OBJECT = 0x7b
export const CLOSE_OBJECT = 0x7d
export const BACKSLASH = 0x5c
const MINUS = 0x2d
const POINT = 0x2e
const ZERO = 0x30
const NINE = 0x39

/** 1 for the bytes that stand in a string for themselves: ASCII but controls, quote and backslash. */
const PLAIN = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x20 && byte < 0x80 && byte !== QUOTE && byte !== BACKSLASH ? 1 : 0,
)

export function skipSpace(bytes: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end) {
    const byte = bytes[at]!
    if (byte > 0x20 || (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)) break
    at += 1
  }
  return at
}

/** @param depth how many arrays and objects the value is in */
export function skipValue(bytes: Uint8Array, at: number, end: number, depth: number): number {
  if (at >= end) return INVALID
  switch (bytes[at]) {
    case QUOTE:
      return skipString(bytes, at + 1, end)
    case OPEN_OBJECT:
      return skipObject(bytes, at, end, depth + 1)
    case OPEN_ARRAY:
      return skipArray(bytes, at, end, depth + 1)
    case 0x74:
      return skipWord(bytes, at, end, 'true')
    case 0x66:
      return skipWord(bytes, at, end, 'false')
    case 0x6e:
      return skipWord(bytes, at, end, 'null')
    default:
      return skipNumber(bytes, at, end)
  }
}

function skipObject(bytes: Uint8Array, start: number, end: number, depth: number): number {
  if (depth > BODY_DEPTH_MAX) return INVALID
  let at = skipSpace(bytes, start + 1, end)
  if (at < end && bytes[at] === CLOSE_OBJECT) return at + 1
  for (;;) {
    if (at >= end || bytes[at] !== QUOTE) return INVALID
    at = skipString(bytes, at + 1, end)
    if (at === INVALID) return INVALID
    at = skipColon(bytes, at, end)
    if (at === INVALID) return INVALID
    at = skipValue(bytes, at, end, depth)
    if (at === INVALID) return INVALID
    at = skipSpace(bytes, at, end)
    if (at >= end) return INVALID
    if (bytes[at] === CLOSE_OBJECT) return at + 1
    if (bytes[at] !== COMMA) return INVALID
    at = skipSpace(bytes, at + 1, end)
  }
}

function skipArray(bytes: Uint8Array, start: number, end: number, depth: number): number {
  if (depth > BODY_DEPTH_MAX) return INVALID
  let at = skipSpace(bytes, start + 1, end)
  if (at < end && bytes[at] === CLOSE_ARRAY) return at + 1
  for (;;) {
    at = skipValue(bytes, at, end, depth)
    if (at === INVALID) return INVALID
    at = skipSpace(bytes, at, end)
    if (at >= end) return INVALID
    if (bytes[at] === CLOSE_ARRAY) return at + 1
    if (bytes[at] !== COMMA) return INVALID
    at = skipSpace(bytes, at + 1, end)
  }
}

/** From behind a key to its value. */
export function skipColon(bytes: Uint8Array, start: number, end: number): number {
  const at = skipSpace(bytes, start, end)
  return at < end && bytes[at] === COLON ? skipSpace(bytes, at + 1, end) : INVALID
}

/** From behind the opening quote of a string to behind the closing one. */
export function skipString(bytes: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end) {
    const byte = bytes[at]!
    if (PLAIN[byte] === 1) {
      at += 1
      continue
    }
    if (byte === QUOTE) return at + 1
    at = byte === BACKSLASH ? skipEscape(bytes, at + 1, end) : skipCharacter(bytes, at, end)
    if (at === INVALID) return INVALID
  }
  return INVALID
}

function skipEscape(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return INVALID
  switch (bytes[at]) {
    case QUOTE:
    case BACKSLASH:
    case 0x2f: // /
    case 0x62: // b
    case 0x66: // f
    case 0x6e: // n
    case 0x72: // r
    case 0x74: // t
      return at + 1
    case 0x75: // u
      for (let digit = at + 1; digit <= at + 4; digit++) if (digit >= end || !isHexDigit(bytes[digit]!)) return INVALID
      return at + 5
    default:
      return INVALID
  }
}

function isHexDigit(byte: number): boolean {
  return (byte >= ZERO && byte <= NINE) || (byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66)
}

/** Past one character from U+0080, in the well-formed sequences of the Unicode standard (table 3-7). */
function skipCharacter(bytes: Uint8Array, at: number, end: number): number {
  const lead = bytes[at]!
  const next = at + 1 < end ? bytes[at + 1]! : 0
  if (lead >= 0xc2 && lead <= 0xdf) return isContinuation(next) ? at + 2 : INVALID
  if (lead >= 0xe0 && lead <= 0xef) {
    const lowest = lead === 0xe0 ? 0xa0 : 0x80
    const highest = lead === 0xed ? 0x9f : 0xbf
    if (next < lowest || next > highest || at + 2 >= end) return INVALID
    return isContinuation(bytes[at + 2]!) ? at + 3 : INVALID
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    const lowest = lead === 0xf0 ? 0x90 : 0x80
    const highest = lead === 0xf4 ? 0x8f : 0xbf
    if (next < lowest || next > highest || at + 3 >= end) return INVALID
    return isContinuation(bytes[at + 2]!) && isContinuation(bytes[at + 3]!) ? at + 4 : INVALID
  }
  return INVALID
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80
}

function skipNumber(bytes: Uint8Array, start: number, end: number): number {
  const first = bytes[start] === MINUS ? start + 1 : start
  let at = skipDigits(bytes, first, end)
  if (at === first || (bytes[first] === ZERO && at > first + 1)) return INVALID
  if (at < end && bytes[at] === POINT) {
    const fraction = at + 1
    at = skipDigits(bytes, fraction, end)
    if (at === fraction) return INVALID
  }
  if (at < end && (bytes[at]! | 0x20) === 0x65) {
    const sign = at + 1 < end && (bytes[at + 1] === 0x2b || bytes[at + 1] === MINUS) ? 1 : 0
    const exponent = at + 1 + sign
    at = skipDigits(bytes, exponent, end)
    if (at === exponent) return INVALID
  }
  return at
}

function skipDigits(bytes: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end && bytes[at]! >= ZERO && bytes[at]! <= NINE) at += 1
  return at
}

function skipWord(bytes: Uint8Array, at: number, end: number, word: string): number {
  if (at + word.length > end) return INVALID
  for (let index = 1; index < word.length; index++) if (bytes[at + index] !== word.charCodeAt(index)) return INVALID
  return at + word.length
}

/** The value in `[start, end)`, which has been skipped and so is a string, a number or a word. */
export function readScalar(bytes: Uint8Array, start: number, end: number): Scalar {
  switch (bytes[start]) {
    case QUOTE:
      return readString(bytes, start + 1, end - 1) || NULL
    case 0x74:
      return 1
    case 0x66:
      return 0
    case 0x6e:
      return NULL
    default:
      return readNumber(bytes, start, end)
  }
}

function readNumber(bytes: Uint8Array, start: number, end: number): Numeric {
  if (end - start > 9) return parseNumber(sliceBytes(bytes, start, end))!
  let number = 0
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!
    if (byte < ZERO || byte > NINE) return parseNumber(sliceBytes(bytes, start, end))!
    number = number * 10 + byte - ZERO
  }
  return number
}

/** What stands between two quotes, as a byte string with its escapes resolved. */
export function readString(bytes: Uint8Array, start: number, end: number): string {
  const text = sliceBytes(bytes, start, end)
  return text.includes('\\') ? text.replace(ESCAPE, unescaped) : text
}

/** A pair of surrogates is one character; one alone has no UTF-8 and becomes U+FFFD, as when Node writes it. */
const ESCAPE = /\\(?:u([Dd][89ABab][0-9A-Fa-f]{2})\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|(.))/g
const CONTROLS: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }

function unescaped(_: string, high?: string, low?: string, code?: string, character?: string): string {
  if (character !== undefined) return CONTROLS[character] ?? character
  if (code !== undefined) return bytesOfText(String.fromCharCode(Number.parseInt(code, 16)))
  return bytesOfText(String.fromCharCode(Number.parseInt(high!, 16), Number.parseInt(low!, 16)))
}
