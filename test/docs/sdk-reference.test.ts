import { expect, test } from 'vitest'
import * as sdk from '../../clients/typescript/src/index.ts'
import { read } from './markdown.ts'
import { REFERENCE, sdkReference } from './sdk-reference.ts'

test('the reference has every export of the SDK as it is now: npm run docs:sdk', () => {
  expect(read(REFERENCE) === sdkReference(), 'it is stale: npm run docs:sdk').toBe(true)
  for (const name of Object.keys(sdk)) expect(read(REFERENCE)).toContain(`### ${name}\n`)
})

test('the reference shows nothing that is internal', () => {
  expect(read(REFERENCE)).not.toMatch(/@internal|#private|dist\//)
})
