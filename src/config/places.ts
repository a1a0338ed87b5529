/** Line and column, both from 1. */
export interface Place {
  readonly line: number
  readonly column: number
}

/** Deepest key that gets a place. Ours have three parts; names of all prefixes of a long one would grow with its square. */
const PARTS_MAX = 8

/**
 * Where the keys and table headers of a TOML document stand, which its parser does not tell.
 *
 * The document must have been parsed without error: this only steps over values, it judges nothing.
 *
 * @returns by path, with the index of tables in lists: `data`, `queue.0`, `queue.0.lease`. Keys inside of inline
 *   tables are not in it; the key of the whole is.
 */
export function findPlaces(toml: string): ReadonlyMap<string, Place> {
  return new PlaceFinder(toml).find()
}

class PlaceFinder {
  readonly #text: string
  #at = 0
  #line = 1
  #lineStart = 0
  #table: readonly string[] = []
  readonly #places = new Map<string, Place>()
  /** How many tables each list has so far. */
  readonly #lists = new Map<string, number>()

  constructor(text: string) {
    this.#text = text
  }

  find(): ReadonlyMap<string, Place> {
    for (this.#skipSpace(); this.#at < this.#text.length; this.#skipSpace()) {
      if (this.#text[this.#at] === '[') this.#header()
      else this.#pair()
    }
    return this.#places
  }

  #header(): void {
    const place = this.#place()
    const isList = this.#text[this.#at + 1] === '['
    this.#at += isList ? 2 : 1
    const path = this.#indexed(this.#key(']'))
    if (isList) {
      const index = this.#lists.get(path.join('.')) ?? 0
      this.#lists.set(path.join('.'), index + 1)
      path.push(String(index))
    }
    this.#at += isList ? 2 : 1
    this.#table = path
    // Also those above it, if it is the first that names them.
    for (let parts = 1; parts <= Math.min(path.length, PARTS_MAX); parts++) this.#note(path.slice(0, parts), place)
  }

  #pair(): void {
    const place = this.#place()
    const path = [...this.#table]
    for (const part of this.#key('=')) {
      path.push(part)
      this.#note(path, place)
    }
    this.#skipValue()
  }

  /** Parts of a dotted key; stops at the character that ends it. */
  #key(end: string): string[] {
    const parts: string[] = []
    let bare = ''
    for (; this.#at < this.#text.length && this.#text[this.#at] !== end; this.#at++) {
      const character = this.#text[this.#at]!
      if (character === '"' || character === "'") {
        const start = this.#at + 1
        this.#skipText(character)
        // Back on the closing quote, which the loop passes.
        this.#at--
        bare += this.#text.slice(start, this.#at)
      } else if (character === '.') {
        parts.push(bare)
        bare = ''
      } else if (character !== ' ' && character !== '\t') bare += character
    }
    return [...parts, bare]
  }

  /** A path through lists goes on in their last table. */
  #indexed(parts: readonly string[]): string[] {
    const path: string[] = []
    for (const [index, part] of parts.entries()) {
      path.push(part)
      if (path.length > PARTS_MAX) continue
      const count = this.#lists.get(path.join('.'))
      if (count !== undefined && index < parts.length - 1) path.push(String(count - 1))
    }
    return path
  }

  /** To the end of the line that a value ends on. */
  #skipValue(): void {
    let depth = 0
    for (; this.#at < this.#text.length; this.#at++) {
      const character = this.#text[this.#at]!
      if (character === '\n' && depth === 0) return
      if (character === '\n') this.#newLine()
      else if (character === '#') this.#skipComment()
      else if (character === '"' || character === "'") {
        this.#skipText(character)
        this.#at--
      } else if (character === '[' || character === '{') depth++
      else if (character === ']' || character === '}') depth--
    }
  }

  /** From the opening quote to the first of the closing ones; of `"""` to behind all of them. */
  #skipText(quote: string): void {
    const long = this.#text.startsWith(quote.repeat(3), this.#at)
    const end = long ? quote.repeat(3) : quote
    for (this.#at += end.length; this.#at < this.#text.length; this.#at++) {
      if (this.#text.startsWith(end, this.#at)) break
      if (this.#text[this.#at] === '\n') this.#newLine()
      if (this.#text[this.#at] === '\\' && quote === '"') {
        this.#at++
        if (this.#text[this.#at] === '\n') this.#newLine()
      }
    }
    this.#at += end.length
    // A long text may end in one or two quotes of its own.
    while (long && this.#text[this.#at] === quote) this.#at++
  }

  #skipComment(): void {
    while (this.#at + 1 < this.#text.length && this.#text[this.#at + 1] !== '\n') this.#at++
  }

  #skipSpace(): void {
    for (; this.#at < this.#text.length; this.#at++) {
      const character = this.#text[this.#at]!
      if (character === '\n') this.#newLine()
      else if (character === '#') this.#skipComment()
      else if (!/\s|\uFEFF/.test(character)) return
    }
  }

  #newLine(): void {
    this.#line++
    this.#lineStart = this.#at + 1
  }

  #place(): Place {
    return { line: this.#line, column: this.#at - this.#lineStart + 1 }
  }

  #note(path: readonly string[], place: Place): void {
    if (path.length > PARTS_MAX) return
    const name = path.join('.')
    if (!this.#places.has(name)) this.#places.set(name, place)
  }
}
