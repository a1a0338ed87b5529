import { toCamelCase, toSnakeCase } from '@sluice/protocol'
import { expect, test } from 'vitest'

const CAMEL = { leaseMs: 1, stats: { firstPublishedAt: 2 }, list: [{ aB: null }, 'aB'], bytes: Uint8Array.of(1) }
const SNAKE = { lease_ms: 1, stats: { first_published_at: 2 }, list: [{ a_b: null }, 'aB'], bytes: Uint8Array.of(1) }

test('keys are renamed at every depth, values are not', () => {
  expect(toSnakeCase(CAMEL)).toEqual(SNAKE)
  expect(toCamelCase(SNAKE)).toEqual(CAMEL)
})

test('entries that are undefined are left out', () => {
  expect(Object.keys(toSnakeCase({ a: undefined, b: 1 }))).toEqual(['b'])
})

test('the copies have no prototype', () => {
  const hostile = JSON.parse('{"__proto__": {"is_admin": true}}')
  const copy = toCamelCase(hostile)
  expect(Object.getPrototypeOf(copy)).toBe(null)
  expect(copy['isAdmin']).toBe(undefined)
})
