/** JSON Schema 2020-12, as OpenAPI 3.1 has it. */
export type Schema = Readonly<Record<string, unknown>>

/** A parameter of a query, or a header of a request. */
export interface Parameter {
  readonly name: string
  readonly in: 'query' | 'header'
  readonly description: string
  readonly schema: Schema
  readonly required?: true
}

/** What a body holds, by its type. */
export type Content = Readonly<Record<string, Schema>>

export const INTEGER: Schema = { type: 'integer', minimum: 0 }
export const NUMBER: Schema = { type: 'number' }
export const TEXT: Schema = { type: 'string' }
export const BOOLEAN: Schema = { type: 'boolean' }
export const DURATION: Schema = { type: 'string', examples: ['30s', '6h'] }
/** Bytes, or with a unit. */
export const SIZE: Schema = { type: ['string', 'integer'], examples: ['64KiB', '10GiB'] }
export const TIME: Schema = { type: 'string', format: 'date-time' }
export const NOTHING: Content = {}

/** @param always fields that are there whatever happens */
export function object(
  always: Readonly<Record<string, Schema>>,
  sometimes: Readonly<Record<string, Schema>> = {},
): Schema {
  const required = Object.keys(always)
  return { type: 'object', properties: { ...always, ...sometimes }, ...(required.length > 0 && { required }) }
}

export function listOf(items: Schema): Schema {
  return { type: 'array', items }
}

export function oneOf(...values: readonly string[]): Schema {
  return { type: 'string', enum: values }
}

/** A schema of `components`. */
export function ref(name: string): Schema {
  return { $ref: `#/components/schemas/${name}` }
}

export function json(schema: Schema): Content {
  return { 'application/json': schema }
}

export function query(name: string, schema: Schema, description: string): Parameter {
  return { name, in: 'query', schema, description }
}

export function header(name: string, schema: Schema, description: string): Parameter {
  return { name, in: 'header', schema, description }
}

export const FILTER: Parameter = query('filter', TEXT, 'A filter expression; only messages that it matches')
export const PAGE: readonly Parameter[] = [
  query('after', INTEGER, 'Where to go on: `next` of the page before'),
  query('limit', { type: 'integer', minimum: 1, maximum: 1_000, default: 100 }, 'Most entries of the page'),
]
