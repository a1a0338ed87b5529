import { isMap, type Value, type ValueMap } from '@sluice/protocol'

/** A request's params are not what its method takes; becomes a refusal `invalid-request`. */
export class InvalidParams extends Error {}

/** Reads params one by one; what no one asked for is refused in the end, for a typo would else go unnoticed. */
export class Params {
  readonly #map: ValueMap
  readonly #unread: Set<string>

  constructor(map: ValueMap) {
    this.#map = map
    this.#unread = new Set(Object.keys(map))
  }

  text(name: string): string {
    return this.optionalText(name) ?? missing(name)
  }

  optionalText(name: string): string | undefined {
    const value = this.#read(name)
    if (value === undefined || typeof value === 'string') return value
    throw new InvalidParams(`${name} is not a text`)
  }

  uint(name: string): number {
    return this.optionalUint(name) ?? missing(name)
  }

  optionalUint(name: string): number | undefined {
    const value = this.#read(name)
    if (value === undefined || (Number.isSafeInteger(value) && Number(value) >= 0)) return value as number | undefined
    throw new InvalidParams(`${name} is not an integer from 0`)
  }

  optionalBool(name: string): boolean | undefined {
    const value = this.#read(name)
    if (value === undefined || typeof value === 'boolean') return value
    throw new InvalidParams(`${name} is neither true nor false`)
  }

  oneOf<T extends string>(name: string, values: readonly T[]): T {
    return this.optionalOneOf(name, values) ?? missing(name)
  }

  optionalOneOf<T extends string>(name: string, values: readonly T[]): T | undefined {
    const value = this.optionalText(name)
    if (value === undefined || values.includes(value as T)) return value as T | undefined
    throw new InvalidParams(`${name} is not one of ${values.join(', ')}`)
  }

  map(name: string): ValueMap {
    const value = this.#read(name) ?? {}
    if (isMap(value)) return value
    throw new InvalidParams(`${name} is not a map`)
  }

  end(): void {
    for (const name of this.#unread) throw new InvalidParams(`${name} is no parameter of this method`)
  }

  #read(name: string): Value | undefined {
    this.#unread.delete(name)
    return this.#map[name] ?? undefined
  }
}

function missing(name: string): never {
  throw new InvalidParams(`${name} is missing`)
}
