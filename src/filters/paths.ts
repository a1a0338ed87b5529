import {
  BACKSLASH,
  CLOSE_ARRAY,
  CLOSE_OBJECT,
  COMMA,
  INVALID,
  OPEN_ARRAY,
  OPEN_OBJECT,
  QUOTE,
  readScalar,
  readString,
  skipColon,
  skipSpace,
  skipString,
  skipValue,
} from './json.ts'
import { BODY_DEPTH_MAX } from './limits.ts'
import { NULL, type Scalar, type Value } from './values.ts'

/** A place in a body that paths lead to or through. */
interface Place {
  /** The key that leads here from the place above, as a byte string. */
  readonly key: string
  /** Whether a JSON text may spell the key just so; with a backslash in it, it must be escaped. */
  readonly isPlain: boolean
  readonly children: Place[]
  /** Which field its values are, or −1. */
  field: number
  /** The object in which this key was last seen, so that the second of two equal keys is passed over. */
  seenIn: number
}

/**
 * Reads chosen fields of JSON bodies in one pass, and checks all of the body on the way. Values on equal paths are
 * collected, in their order: the elements of arrays, of arrays in arrays, and the fields of objects in an array.
 * An object has no value of its own and counts as NULL.
 */
export class FieldReader {
  readonly #root: Place = placeFor('')
  #fieldCount = 0
  #objectCount = 0
  #bytes: Uint8Array = new Uint8Array()
  #end = 0
  #fields: Value[] = []
  /** The lists in `#fields` that are still growing; undefined where a field has fewer than two values. */
  readonly #lists: (Scalar[] | undefined)[] = []
  readonly #found: number[] = []
  readonly #refusesRepeatedKeys: boolean

  /** @param refusesRepeatedKeys whether a text with two equal keys on the way to a field is none */
  constructor(refusesRepeatedKeys = false) {
    this.#refusesRepeatedKeys = refusesRepeatedKeys
  }

  get fieldCount(): number {
    return this.#fieldCount
  }

  /** @returns which field the path is: where `read` puts its values */
  add(path: readonly string[]): number {
    let place = this.#root
    for (const key of path) {
      let next = place.children.find(child => child.key === key)
      if (!next) {
        next = placeFor(key)
        place.children.push(next)
      }
      place = next
    }
    if (place.field < 0) place.field = this.#fieldCount++
    return place.field
  }

  /** Fills `fields`. @returns false when the bytes `[start, end)` are not one JSON text */
  read(bytes: Uint8Array, start: number, end: number, fields: Value[]): boolean {
    this.#bytes = bytes
    this.#end = end
    this.#fields = fields
    for (let field = 0; field < this.#fieldCount; field++) {
      fields[field] = NULL
      this.#lists[field] = undefined
      this.#found[field] = 0
    }
    const at = this.#value(this.#root, skipSpace(bytes, start, end), 0)
    return at !== INVALID && skipSpace(bytes, at, end) === end
  }

  #value(place: Place, at: number, depth: number): number {
    if (at >= this.#end) return INVALID
    const byte = this.#bytes[at]
    if (byte === OPEN_ARRAY) return this.#array(place, at, depth + 1)
    if (byte === OPEN_OBJECT) {
      if (place.field >= 0) this.#collect(place.field, NULL)
      if (place.children.length > 0) return this.#object(place, at, depth + 1)
    }
    const after = skipValue(this.#bytes, at, this.#end, depth)
    if (place.field >= 0 && byte !== OPEN_OBJECT && after !== INVALID) {
      this.#collect(place.field, readScalar(this.#bytes, at, after))
    }
    return after
  }

  #array(place: Place, start: number, depth: number): number {
    if (depth > BODY_DEPTH_MAX) return INVALID
    const bytes = this.#bytes
    const end = this.#end
    let at = skipSpace(bytes, start + 1, end)
    if (at < end && bytes[at] === CLOSE_ARRAY) return at + 1
    for (;;) {
      at = this.#value(place, at, depth)
      if (at === INVALID) return INVALID
      at = skipSpace(bytes, at, end)
      if (at >= end) return INVALID
      if (bytes[at] === CLOSE_ARRAY) return at + 1
      if (bytes[at] !== COMMA) return INVALID
      at = skipSpace(bytes, at + 1, end)
    }
  }

  #object(place: Place, start: number, depth: number): number {
    if (depth > BODY_DEPTH_MAX) return INVALID
    const bytes = this.#bytes
    const end = this.#end
    const object = ++this.#objectCount
    let at = skipSpace(bytes, start + 1, end)
    if (at < end && bytes[at] === CLOSE_OBJECT) return at + 1
    for (;;) {
      if (at >= end || bytes[at] !== QUOTE) return INVALID
      const key = at + 1
      at = skipString(bytes, key, end)
      if (at === INVALID) return INVALID
      const child = childAt(place, bytes, key, at - 1)
      at = skipColon(bytes, at, end)
      if (at === INVALID) return INVALID
      if (child && child.seenIn !== object) {
        child.seenIn = object
        at = this.#value(child, at, depth)
      } else if (child && this.#refusesRepeatedKeys) return INVALID
      else at = skipValue(bytes, at, end, depth)
      if (at === INVALID) return INVALID
      at = skipSpace(bytes, at, end)
      if (at >= end) return INVALID
      if (bytes[at] === CLOSE_OBJECT) return at + 1
      if (bytes[at] !== COMMA) return INVALID
      at = skipSpace(bytes, at + 1, end)
    }
  }

  #collect(field: number, value: Scalar): void {
    const found = this.#found[field]!
    this.#found[field] = found + 1
    if (found === 0) this.#fields[field] = value
    else if (found === 1) this.#fields[field] = this.#lists[field] = [this.#fields[field] as Scalar, value]
    else this.#lists[field]!.push(value)
  }
}

function placeFor(key: string): Place {
  return { key, isPlain: !key.includes('\\'), children: [], field: -1, seenIn: 0 }
}

/** The child whose key stands in `[start, end)`, between its quotes. */
function childAt(place: Place, bytes: Uint8Array, start: number, end: number): Place | undefined {
  for (const child of place.children) if (child.isPlain && isSpelled(child.key, bytes, start, end)) return child
  if (!hasEscape(bytes, start, end)) return undefined
  const key = readString(bytes, start, end)
  return place.children.find(child => child.key === key)
}

function isSpelled(key: string, bytes: Uint8Array, start: number, end: number): boolean {
  if (key.length !== end - start) return false
  for (let index = 0; index < key.length; index++) if (bytes[start + index] !== key.charCodeAt(index)) return false
  return true
}

function hasEscape(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at] === BACKSLASH) return true
  return false
}
