import { isUtf8 } from 'node:buffer'

/** What is wrong with a JSON text, and at which byte of it, from 0. */
export interface JsonFault {
  readonly what: string
  readonly at: number
}

export interface JsonLimits {
  /** Deepest nesting; the look recurses, so it must be some thousands at most. */
  readonly depthMax: number
  /** Most members of one object. */
  readonly membersMax: number
}

/**
 * Looks a JSON text over (RFC 8259, strict UTF-8) in time that grows with its length alone, without building anything.
 * JSON.parse takes any depth and any number of keys, so a short text can stop the server for seconds.
 *
 * @returns what is wrong with it
 */
export function findJsonFault(bytes: Uint8Array, limits: JsonLimits): JsonFault | undefined {
  if (!isUtf8(bytes)) return { what: 'the text is not UTF-8', at: 0 }
  const scanner = new Scanner(bytes, limits)
  try {
    scanner.text()
    return undefined
  } catch (error) {
    if (!(error instanceof ScanFault)) throw error
    return { what: error.message, at: scanner.at }
  }
}

class ScanFault extends Error {}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const SPACES = new Set([0x20, 0x09, 0x0a, 0x0d])
const ESCAPED = new Set([...'"\\/bfnrt'].map(character => character.charCodeAt(0)))

/** Steps over a JSON text; `at` is where it stopped. */
class Scanner {
  at = 0
  readonly #bytes: Uint8Array
  readonly #limits: JsonLimits

  constructor(bytes: Uint8Array, limits: JsonLimits) {
    this.#bytes = bytes
    this.#limits = limits
  }

  text(): void {
    this.#value(1)
    if (this.at < this.#bytes.length) this.#fail('something follows behind the value')
  }

  /** With the space around it. */
  #value(depth: number): void {
    this.#space()
    const byte = this.#bytes[this.at]
    if (byte === QUOTE) this.#string()
    else if (byte === 0x7b) this.#members(depth, 0x7d, true)
    else if (byte === 0x5b) this.#members(depth, 0x5d, false)
    else if (byte === 0x74) this.#word('true')
    else if (byte === 0x66) this.#word('false')
    else if (byte === 0x6e) this.#word('null')
    else this.#number()
    this.#space()
  }

  /** Of an object or a list, with its brackets. */
  #members(depth: number, close: number, isObject: boolean): void {
    if (depth > this.#limits.depthMax) this.#fail(`nested deeper than ${this.#limits.depthMax}`)
    this.at += 1
    this.#space()
    if (this.#bytes[this.at] === close) {
      this.at += 1
      return
    }
    for (let count = 1; ; count++) {
      if (isObject) this.#key(count)
      this.#value(depth + 1)
      const byte = this.#bytes[this.at]
      if (byte !== 0x2c && byte !== close) this.#fail(`"," or "${String.fromCharCode(close)}" is missing`)
      this.at += 1
      if (byte === close) return
    }
  }

  #key(count: number): void {
    const { membersMax } = this.#limits
    if (count > membersMax) this.#fail(`an object of more than ${membersMax} members`)
    this.#space()
    if (this.#bytes[this.at] !== QUOTE) this.#fail('a name in quotes is missing')
    this.#string()
    this.#space()
    if (this.#bytes[this.at] !== 0x3a) this.#fail('":" is missing')
    this.at += 1
  }

  #string(): void {
    const bytes = this.#bytes
    for (let at = this.at + 1; at < bytes.length; at++) {
      const byte = bytes[at]!
      if (byte === QUOTE) {
        this.at = at + 1
        return
      }
      if (byte === BACKSLASH) at = this.#escape(at)
      else if (byte < 0x20) {
        this.at = at
        this.#fail('a control character within a text')
      }
    }
    this.#fail('a text does not end')
  }

  /** @returns the last character of the escape that begins at `at` */
  #escape(at: number): number {
    const byte = this.#bytes[at + 1] ?? 0
    if (ESCAPED.has(byte)) return at + 1
    const digits = String.fromCharCode(...this.#bytes.subarray(at + 2, at + 6))
    if (byte === 0x75 && /^[0-9A-Fa-f]{4}$/.test(digits)) return at + 5
    this.at = at
    return this.#fail('an unknown escape')
  }

  #number(): void {
    const start = this.at
    if (this.#bytes[this.at] === 0x2d) this.at += 1
    const first = this.#bytes[this.at]
    const whole = this.#digits()
    if (whole === 0 || (first === 0x30 && whole > 1)) this.#notAValue(start)
    if (this.#bytes[this.at] === 0x2e) {
      this.at += 1
      if (this.#digits() === 0) this.#notAValue(start)
    }
    if (this.#bytes[this.at] === 0x65 || this.#bytes[this.at] === 0x45) {
      this.at += 1
      if (this.#bytes[this.at] === 0x2b || this.#bytes[this.at] === 0x2d) this.at += 1
      if (this.#digits() === 0) this.#notAValue(start)
    }
  }

  #digits(): number {
    const start = this.at
    for (;;) {
      const byte = this.#bytes[this.at]
      if (byte === undefined || byte < 0x30 || byte > 0x39) return this.at - start
      this.at += 1
    }
  }

  #word(word: string): void {
    for (let i = 0; i < word.length; i++) {
      if (this.#bytes[this.at + i] !== word.charCodeAt(i)) this.#notAValue(this.at)
    }
    this.at += word.length
  }

  #space(): void {
    while (SPACES.has(this.#bytes[this.at]!)) this.at += 1
  }

  #notAValue(at: number): never {
    this.at = at
    return this.#fail(at < this.#bytes.length ? 'this is no value' : 'the text ends too early')
  }

  #fail(what: string): never {
    throw new ScanFault(what)
  }
}
