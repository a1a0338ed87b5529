import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { compileFilter, FilterError } from '../../src/filters/index.ts'
import { message } from './support.ts'

/** The cases that the language is defined by, one a line: number, section, expression, message, result, reason. */
const rows = readFileSync(new URL('filter-cases.tsv', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
  .slice(1)
  .map(line => line.split('\t'))

describe('the cases of the specification', () => {
  test('are all there', () => {
    expect(rows.length).toBe(132)
  })

  test.each(rows)('case %s, %s: %s  on  %s  is %s (%s)', (_number, _section, expression, body, expected) => {
    expect(resultOf(expression!, body!)).toBe(expected)
  })
})

function resultOf(expression: string, body: string): string {
  try {
    return compileFilter(expression).matches(message(body)) ? 'TRUE' : 'FALSE'
  } catch (error) {
    if (error instanceof FilterError) return 'ERROR'
    throw error
  }
}
