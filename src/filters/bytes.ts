/**
 * Byte strings: the form in which filters hold all text. A byte string is a JavaScript string whose every
 * character is one byte, 0 to 255. The language compares, cuts and searches bytes, not characters, and in this
 * form `<`, `indexOf`, `slice` and the pattern engine do exactly that.
 */

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/**
 * Node's own copy from bytes to byte string: one call, where `Buffer.from(…).toString('latin1')` makes a view
 * first and takes three times as long for a short text. It accepts any `Uint8Array`; only the typings omit it.
 * `TextDecoder('latin1')` is no substitute: it means windows-1252.
 */
const latin1Slice = (
  Buffer.prototype as unknown as { latin1Slice(this: Uint8Array, start: number, end: number): string }
).latin1Slice

/** The bytes `[start, end)` as a byte string. */
export function sliceBytes(bytes: Uint8Array, start: number, end: number): string {
  return latin1Slice.call(bytes, start, end)
}

/** The UTF-8 bytes of `text`; a lone surrogate becomes U+FFFD. */
export function bytesOfText(text: string): string {
  if (isAscii(text)) return text
  const bytes = encoder.encode(text)
  return sliceBytes(bytes, 0, bytes.length)
}

/** The text that a byte string spells in UTF-8, with U+FFFD for what is not UTF-8. */
export function textOfBytes(bytes: string): string {
  if (isAscii(bytes)) return bytes
  return decoder.decode(Uint8Array.from(bytes, byte => byte.charCodeAt(0)))
}

export function isAscii(text: string): boolean {
  return !/[^\0-\x7f]/.test(text)
}
