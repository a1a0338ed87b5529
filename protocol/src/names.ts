import { isMap, type Value, type ValueMap } from './values.ts'

/*
 * Plain maps speak `snake_case` on every wire and `camelCase` in TypeScript. Not for maps whose keys are a user's own,
 * such as headers: these stay as they are.
 */

/** A copy with all keys, at every depth, in `snake_case`; absent entries are left out. */
export function toSnakeCase(map: object): ValueMap {
  return mapKeys(map as ValueMap, key => key.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`))
}

/** A copy with all keys, at every depth, in `camelCase`. */
export function toCamelCase(map: object): ValueMap {
  return mapKeys(map as ValueMap, key => key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()))
}

function mapKeys(map: ValueMap, rename: (key: string) => string): ValueMap {
  const renamed: Record<string, Value> = Object.create(null)
  for (const [key, value] of Object.entries(map)) {
    if (value !== undefined) renamed[rename(key)] = renameIn(value, rename)
  }
  return renamed
}

function renameIn(value: Value, rename: (key: string) => string): Value {
  if (Array.isArray(value)) return (value as readonly Value[]).map(item => renameIn(item, rename))
  return isMap(value) ? mapKeys(value, rename) : value
}
