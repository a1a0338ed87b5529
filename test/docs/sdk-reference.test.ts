import { expect, test } from 'vitest'
import * as sdk from '../../clients/typescript/src/index.ts'
import { read } from './markdown.ts'
import { REFERENCE, sdkReference } from './sdk-reference.ts'

test('the reference has every export of the SDK as it is now: npm run docs:sdk', () => {
  expect(read(REFERENCE) === sdkReference(), 'it is stale: npm run docs:sdk').toBe(true)
  for (const name of Object.keys(sdk)) expect(read(REFERENCE)).toContain(`### ${name}\n`)
})

test('every declaration in the reference is there to its end', () => {
  const blocks = [...read(REFERENCE).matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code as string)
  expect(blocks.length).toBeGreaterThan(50)
  const count = (code: string, brace: string) => code.split(brace).length
  expect(blocks.filter(code => count(code, '{') !== count(code, '}'))).toEqual([])
})

test('the reference shows nothing that is internal', () => {
  expect(read(REFERENCE)).not.toMatch(/@internal|#private|dist\//)
})
