import { expect, test } from 'vitest'
import { sourceOf } from './copy.ts'
import { MUTANTS } from './mutants.ts'

test('there are at least 20 planted bugs, and the text that each changes stands in the sources exactly once', () => {
  expect(MUTANTS.length).toBeGreaterThanOrEqual(20)
  const wrong = MUTANTS.filter(mutant => sourceOf(mutant).split(mutant.text).length !== 2)
  expect(wrong.map(({ name, file }) => `${name}: ${file}`)).toEqual([])
})
