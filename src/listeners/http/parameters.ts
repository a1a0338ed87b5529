import { parseDuration } from '../../engine/units.ts'
import { badRequest } from './problem.ts'

export interface Bounds {
  readonly min: number
  readonly max: number
}

/**
 * The parameters of a query, each read by the handler that knows it. What nobody has read is refused by `end`: a
 * misspelt `?atomc=true` must not pass for a publish that is not atomic.
 *
 * Every reader throws a Problem that names the parameter.
 */
export class Parameters {
  readonly #values: Map<string, string[]>

  /** @param query what stands behind the question mark, still encoded */
  constructor(query: string) {
    this.#values = new Map()
    if (query === '') return
    for (const pair of query.split('&')) {
      if (pair === '') continue
      const [name = '', ...value] = pair.split('=')
      const key = decode(name)
      const values = this.#values.get(key) ?? []
      this.#values.set(key, values)
      values.push(decode(value.join('=')))
    }
  }

  text(name: string): string | undefined {
    const values = this.texts(name)
    if (values.length > 1) throw badRequest(`${name} is given ${values.length} times`, { parameter: name })
    if (values[0] === '') throw badRequest(`${name} is empty`, { parameter: name })
    return values[0]
  }

  /** Of a parameter that may be given more than once. */
  texts(name: string): readonly string[] {
    const values = this.#values.get(name) ?? []
    this.#values.delete(name)
    return values
  }

  /** The same, none of them empty. */
  filledTexts(name: string, countMax: number): readonly string[] {
    const values = this.texts(name)
    if (values.includes('')) throw badRequest(`${name} is empty`, { parameter: name })
    if (values.length > countMax) {
      throw badRequest(`${name} is given ${values.length} times, at most ${countMax} are allowed`, {
        parameter: name,
        limit: countMax,
      })
    }
    return values
  }

  /** Strict: `true` or `false`. */
  boolean(name: string): boolean | undefined {
    const value = this.oneOf(name, ['true', 'false'])
    return value === undefined ? undefined : value === 'true'
  }

  oneOf<T extends string>(name: string, allowed: readonly T[]): T | undefined {
    const value = this.text(name)
    if (value === undefined || (allowed as readonly string[]).includes(value)) return value as T | undefined
    throw badRequest(`${name} must be ${allowed.join(' or ')}`, { parameter: name })
  }

  integer(name: string, { min, max }: Bounds): number | undefined {
    const value = this.text(name)
    if (value === undefined) return undefined
    const number = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN
    if (number >= min && number <= max) return number
    throw badRequest(`${name} must be a whole number from ${min} to ${max}`, { parameter: name })
  }

  /** @returns ms */
  durationMs(name: string, { min, max }: { readonly min?: string; readonly max?: string } = {}): number | undefined {
    const value = this.text(name)
    if (value === undefined) return undefined
    const ms = parseDuration(value)
    if (typeof ms !== 'number') throw badRequest(`${name}: ${ms.problem}`, { parameter: name })
    if (max !== undefined && ms > (parseDuration(max) as number)) {
      throw badRequest(`${name} is ${value}, at most ${max} is allowed`, { parameter: name, limit: max })
    }
    if (min !== undefined && ms < (parseDuration(min) as number)) {
      throw badRequest(`${name} is ${value}, at least ${min} is needed`, { parameter: name, limit: min })
    }
    return ms
  }

  /** @returns the value. @throws Problem when there is none. */
  needed<T>(name: string, value: T | undefined): T {
    if (value === undefined) throw badRequest(`${name} is missing`, { parameter: name })
    return value
  }

  /** Refuses what has not been read. */
  end(): void {
    const [unknown] = this.#values.keys()
    if (unknown !== undefined) throw badRequest(`unknown parameter "${unknown}"`, { parameter: unknown })
  }
}

/** Strict percent-encoding and UTF-8; `+` is a space, as forms write it. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw badRequest('the query is not percent-encoded UTF-8', { parameter: text })
  }
}
