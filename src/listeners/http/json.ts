import { parseDuration, parseSize } from '../../engine/units.ts'
import { findJsonFault } from './json-text.ts'
import type { Bounds } from './parameters.ts'
import { badRequest, Problem } from './problem.ts'

/** Deepest nesting of what we parse. */
const DEPTH_MAX = 64
/** Deepest nesting of a body that we only look over: bounded because the look recurses. */
const BODY_DEPTH_MAX = 1_000
/** Most members of one object that we parse: a million numeric keys keep JSON.parse busy for seconds. */
const MEMBERS_MAX = 1_000

/** @throws Problem `invalid-message` unless the bytes are one JSON text; it is not built, and stays as it is. */
export function checkJsonBody(bytes: Uint8Array): void {
  const fault = findJsonFault(bytes, { depthMax: BODY_DEPTH_MAX, membersMax: Number.POSITIVE_INFINITY })
  if (fault !== undefined) throw new Problem('invalid-message', `not JSON: ${fault.what}`, { column: fault.at + 1 })
}

/** @throws Problem with line and column unless the bytes are a JSON object within our bounds. */
export function parseJsonObject(bytes: Uint8Array): JsonObject {
  const fault = findJsonFault(bytes, { depthMax: DEPTH_MAX, membersMax: MEMBERS_MAX })
  if (fault !== undefined) throw badRequest(`not JSON: ${fault.what}`, lineAndColumn(bytes, fault.at))
  return asObject(JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()), '')
}

function lineAndColumn(bytes: Uint8Array, at: number): { line: number; column: number } {
  let line = 1
  let lineStart = 0
  for (let i = bytes.indexOf(10); i !== -1 && i < at; i = bytes.indexOf(10, i + 1)) {
    line += 1
    lineStart = i + 1
  }
  return { line, column: at - lineStart + 1 }
}

/** An object whose fields are read one by one, each by what knows it. What nobody has read is refused by `end`. */
export class JsonObject {
  readonly #fields: Map<string, unknown>
  /** Path to this object, with a dot behind it, for errors. */
  readonly #path: string

  constructor(fields: object, path: string) {
    this.#fields = new Map(Object.entries(fields))
    this.#path = path === '' ? '' : `${path}.`
  }

  /** Takes the field as it is; undefined when it is absent. */
  take(name: string): unknown {
    const value = this.#fields.get(name)
    this.#fields.delete(name)
    return value
  }

  /** As it is, and still to be read. */
  peek(name: string): unknown {
    return this.#fields.get(name)
  }

  /** Of the fields not read yet. */
  get names(): readonly string[] {
    return [...this.#fields.keys()]
  }

  text(name: string): string | undefined {
    const value = this.take(name)
    if (value === undefined || typeof value === 'string') return value
    throw this.mistake(name, 'must be a text')
  }

  oneOf<T extends string>(name: string, allowed: readonly T[]): T | undefined {
    const value = this.text(name)
    if (value === undefined || (allowed as readonly string[]).includes(value)) return value as T | undefined
    throw this.mistake(name, `must be ${allowed.join(' or ')}`)
  }

  integer(name: string, { min, max }: Bounds): number | undefined {
    const value = this.take(name)
    if (value === undefined) return undefined
    if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) return value as number
    throw this.mistake(name, `must be a whole number from ${min} to ${max}`)
  }

  boolean(name: string): boolean | undefined {
    const value = this.take(name)
    if (value === undefined || typeof value === 'boolean') return value
    throw this.mistake(name, 'must be true or false')
  }

  number(name: string): number | undefined {
    const value = this.take(name)
    if (value === undefined || Number.isFinite(value)) return value as number | undefined
    throw this.mistake(name, 'must be a number')
  }

  /** A duration as text, or a number of ms. @returns ms */
  durationMs(name: string): number | undefined {
    return this.#read(name, parseDuration)
  }

  /** A size as text, or a number of bytes. @returns bytes */
  size(name: string): number | undefined {
    return this.#read(name, parseSize)
  }

  #read(name: string, parse: typeof parseDuration): number | undefined {
    const value = this.take(name)
    if (value === undefined) return undefined
    const read = parse(value)
    if (typeof read === 'number') return read
    throw this.mistake(name, read.problem)
  }

  /** Strict base64, with or without its padding. */
  base64(name: string): Buffer | undefined {
    const value = this.text(name)
    if (value === undefined) return undefined
    const bytes = Buffer.from(value, 'base64')
    if (bytes.toString('base64').replace(/=+$/, '') === value.replace(/={0,2}$/, '')) return bytes
    throw this.mistake(name, 'is not base64')
  }

  object(name: string): JsonObject | undefined {
    const value = this.take(name)
    return value === undefined ? undefined : asObject(value, `${this.#path}${name}`)
  }

  objects(name: string, countMax: number): readonly JsonObject[] | undefined {
    const values = this.#list(name, countMax)
    return values?.map((value, index) => asObject(value, `${this.#path}${name}[${index}]`))
  }

  texts(name: string, countMax: number): readonly string[] | undefined {
    const values = this.#list(name, countMax)
    if (values === undefined || values.every(value => typeof value === 'string')) return values as string[] | undefined
    throw this.mistake(name, 'must be a list of texts')
  }

  /** All fields not read yet, under names of the user's own: no prototype, so that `__proto__` is a name like any other. */
  rest(): Record<string, unknown> {
    const fields: Record<string, unknown> = Object.create(null)
    for (const [name, value] of this.#fields) fields[name] = value
    this.#fields.clear()
    return fields
  }

  /** Refuses what has not been read. */
  end(): void {
    const [unknown] = this.#fields.keys()
    if (unknown !== undefined) throw badRequest(`unknown field "${unknown}"`, { field: `${this.#path}${unknown}` })
  }

  /** @returns the value. @throws Problem when there is none. */
  needed<T>(name: string, value: T | undefined): T {
    if (value === undefined) throw this.mistake(name, 'is missing')
    return value
  }

  mistake(name: string, what: string): Problem {
    return badRequest(`${name} ${what}`, { field: `${this.#path}${name}` })
  }

  #list(name: string, countMax: number): readonly unknown[] | undefined {
    const value = this.take(name)
    if (value === undefined) return undefined
    if (!Array.isArray(value)) throw this.mistake(name, 'must be a list')
    if (value.length > countMax)
      throw this.mistake(name, `has ${value.length} entries, at most ${countMax} are allowed`)
    return value
  }
}

function asObject(value: unknown, path: string): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return new JsonObject(value, path)
  throw badRequest(path === '' ? 'the body must be a JSON object' : `${path} must be an object`, { field: path })
}
