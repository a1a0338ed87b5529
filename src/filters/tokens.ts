import { textOfBytes } from './bytes.ts'
import { errorAt, type FilterError } from './errors.ts'
import { PROPERTIES } from './subject.ts'
import type { WrittenString } from './tree.ts'
import { NULL, type Numeric, parseNumber, type Scalar } from './values.ts'

/** A word of the expression. `at` is its place in the source from 0, `text` what stands there. */
export type Token = { readonly at: number; readonly text: string } & (
  | { readonly kind: 'end' | 'symbol' }
  /** A keyword or function name, in upper case. */
  | { readonly kind: 'word'; readonly word: string }
  | { readonly kind: 'number'; readonly value: Numeric }
  | { readonly kind: 'string'; readonly value: Scalar; readonly written: WrittenString }
  | { readonly kind: 'field'; readonly path: readonly string[]; readonly index: number | undefined }
  | { readonly kind: 'property' | 'header'; readonly name: string }
)

/**
 * `/` starts an identifier when a name character follows at once and is division otherwise. Names are those of
 * XPath, so `/a-b` is one field; bytes from 128 are letters of some script.
 */
const STEP = '@?[A-Za-z0-9_.:\\x80-\\xff-]+'
const IDENTIFIER = new RegExp(`/${STEP}(?:/${STEP})*`, 'y')
const BRACKETED = /\[(\/[^\]]*)\]/y
const INDEX = /\[([^\]]*)\]/y
const NUMBER = /[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
const WORD = /[A-Za-z_][A-Za-z0-9_]*/y
const STRING = /'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/sy
const EXACT_STRING = /[rR](?:'[^']*'|"[^"]*")/y
const SYMBOL = /==|!=|<>|<=|>=|[-+*/%=<>(),]/y
const SPACE = /[ \t\r\n]*/y
const STRING_START = /[rR]?['"]/y
const NAME_CHARACTER = /[A-Za-z0-9_.\x80-\xff]/y

/** Reads one token after the other, so that an error further right never hides the one before it. */
export class Tokens {
  readonly source: string
  #at = 0

  /** @param source the expression as a byte string */
  constructor(source: string) {
    this.source = source
  }

  next(): Token {
    this.#take(SPACE)
    const at = this.#at
    if (at === this.source.length) return { kind: 'end', at, text: '' }
    return this.#identifier(at) ?? this.#bracketed(at) ?? this.#number(at) ?? this.#string(at) ?? this.#wordOrSymbol(at)
  }

  #identifier(at: number): Token | undefined {
    const path = this.#take(IDENTIFIER)
    if (path === undefined) return undefined
    const index = this.#index()
    if (this.source[this.#at] === '/') throw this.#error(this.#at + 1, 'a field name after "/"')
    return { kind: 'field', at, text: this.source.slice(at, this.#at), path: path.slice(1).split('/'), index }
  }

  #index(): number | undefined {
    const at = this.#at
    const bracket = this.#take(INDEX)
    if (bracket === undefined) return undefined
    const digits = bracket.slice(1, -1)
    if (!/^[0-9]{1,9}$/.test(digits)) throw this.#error(at + 1, 'an index of digits, counted from 0, as in /a[0]')
    if (this.source[this.#at] === '/') throw this.#error(this.#at, 'the index at the end of the path, as in /a/b[0]')
    return Number(digits)
  }

  /** `[/path with any characters]`, `[/$property]` or `[/$header/NAME]`. */
  #bracketed(at: number): Token | undefined {
    const text = this.#take(BRACKETED)
    if (text === undefined) return undefined
    const path = text.slice(2, -1)
    if (path.startsWith('$header/') && path !== '$header/') {
      return { kind: 'header', at, text, name: textOfBytes(path.slice('$header/'.length)) }
    }
    if (path.startsWith('$')) {
      const name = path.slice(1)
      if (PROPERTIES.includes(name)) return { kind: 'property', at, text, name }
      const known = PROPERTIES.map(property => `[/$${property}]`).join(', ')
      throw this.#error(at, `one of the properties ${known} or [/$header/NAME]`)
    }
    const steps = path.split('/')
    if (steps.includes('')) throw this.#error(at, 'a field name after each "/"')
    return { kind: 'field', at, text, path: steps, index: undefined }
  }

  #number(at: number): Token | undefined {
    const text = this.#take(NUMBER)
    if (text === undefined) return undefined
    NAME_CHARACTER.lastIndex = this.#at
    if (NAME_CHARACTER.test(this.source)) throw this.#error(this.#at, `a space or an operator after ${text}`)
    return { kind: 'number', at, text, value: parseNumber(text)! }
  }

  #string(at: number): Token | undefined {
    const exact = this.#take(EXACT_STRING)
    if (exact !== undefined) {
      const text = exact.slice(2, -1)
      return { kind: 'string', at, text: exact, value: text || NULL, written: { text, exact: true } }
    }
    const quoted = this.#take(STRING)
    if (quoted !== undefined) {
      const text = quoted.slice(1, -1)
      return { kind: 'string', at, text: quoted, value: unescaped(text) || NULL, written: { text, exact: false } }
    }
    const quote = this.#take(STRING_START)?.at(-1)
    if (quote !== undefined) throw this.#error(this.source.length, `a closing ${quote}`)
    return undefined
  }

  #wordOrSymbol(at: number): Token {
    const word = this.#take(WORD)
    if (word !== undefined) return { kind: 'word', at, text: word, word: word.toUpperCase() }
    const symbol = this.#take(SYMBOL)
    if (symbol !== undefined) return { kind: 'symbol', at, text: symbol }
    if (this.source[at] === '[') throw this.#error(at + 1, 'a path and "]", as in [/field name] or [/$priority]')
    const character = [...textOfBytes(this.source.slice(at))][0]
    throw this.#error(at, `a value or an operator instead of ${JSON.stringify(character)}`)
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    const text = pattern.exec(this.source)?.[0]
    if (text !== undefined) this.#at += text.length
    return text
  }

  #error(at: number, expected: string): FilterError {
    return errorAt(this.source, at, expected)
  }
}

const ESCAPE = /\\(?:x([0-9A-Fa-f]{2})|([0-3][0-7]{2})|(.))/gs
const CONTROLS: ReadonlyMap<string, string> = new Map([
  ['a', '\x07'],
  ['b', '\b'],
  ['t', '\t'],
  ['n', '\n'],
  ['f', '\f'],
  ['r', '\r'],
])

/** Resolves the escapes of a string literal: a control letter, `\xHH`, `\OOO`, and any other character for itself. */
function unescaped(text: string): string {
  return text.replace(ESCAPE, (_, hex?: string, octal?: string, character?: string) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16))
    if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8))
    return CONTROLS.get(character!) ?? character!
  })
}
