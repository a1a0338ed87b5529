import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compileFilter, type FilterSubject } from '../../src/filters/index.ts'
import { matches, message } from './support.ts'

/** Whether a message without the key `k` is ruled out unparsed: then its properties are not asked for either. */
function rulesOut(expression: string): boolean {
  let isEvaluated = false
  const subject: FilterSubject = {
    ...message('{"other":1}'),
    property() {
      isEvaluated = true
      return undefined
    },
  }
  compileFilter(expression).matches(subject)
  return !isEvaluated
}

/** Asks the subject for something before it goes on, without changing the result. */
const asked = '[/$priority] IS NULL'

describe('a body without a key that the expression needs is ruled out unparsed', () => {
  test.each([
    ['a comparison', `${asked} AND /k = 1`],
    ['a comparison with a path', `${asked} AND /other/k != 1`],
    ['arithmetic', `${asked} AND 1 < -(/k + 1) % 2`],
    ['a range', `${asked} AND 1 BETWEEN 0 AND /k`],
    ['a list', `${asked} AND /k IN (1, 2)`],
    ['a list whose every member needs it', `${asked} AND 1 IN (/k, /k + 1)`],
    ['a pattern', `${asked} AND /k LIKE 'x'`],
    ['a prefix', `${asked} AND /k BEGINS WITH ('x')`],
    ['IS NOT NULL', `${asked} AND /k IS NOT NULL`],
    ['IS NAN', `${asked} AND /k IS NAN`],
    ['the field alone', `${asked} AND /k`],
    ['NOT the field', `${asked} AND NOT /k`],
    ['a function', `${asked} AND INSTR(UPPER(/k), 'X') = 0`],
    ['a function of several', `${asked} AND COALESCE(/k, /k/b) = 1`],
    ['either side of OR', `${asked} AND (/k = 1 OR /k = 2)`],
    ['the left side of OR, which may not be NULL', `${asked} AND (/k OR 1 = 1)`],
  ])('%s', (_, expression) => {
    expect(rulesOut(expression)).toBe(true)
  })

  test.each([
    ['IS NULL', `${asked} AND /k IS NULL`],
    ['NOT a comparison', `${asked} AND NOT /k = 1`],
    ['one side of OR', `${asked} AND (/k = 1 OR 1 = 1)`],
    ['one member of a list', `${asked} AND 1 IN (/k, 1)`],
    ['COALESCE with something else', `${asked} AND COALESCE(/k, 1) = 1`],
    ['IF', `${asked} AND IF(/k, 1, 1) = 1`],
    ['ARRAY_COUNT', `${asked} AND ARRAY_COUNT(/k) = 0`],
    ['IS NOT NAN', `${asked} AND /k IS NOT NAN`],
  ])('but not when it may match without: %s', (_, expression) => {
    expect(rulesOut(expression)).toBe(false)
  })

  test('but not when the key may be there in another spelling', () => {
    expect(matches('/is_eof = 1', '{"\\u0069s_eof":1}')).toBe(true)
    expect(matches('/is_eof = 1', '{"n":"\\n","is_eo\\u0066":1}')).toBe(true)
  })

  test('bytes around the body neither hide a key nor add one', () => {
    expect(matches('/a = 1', '{"b":1}')).toBe(false)
    expect(matches('/a = 1', '{"a":1}')).toBe(true)
  })
})

const key = fc.constantFrom('a', 'b', 'ab')
const scalar = fc.oneof(fc.constantFrom('1', '2', '-1', '1.5', "'a'", "'1'", "''", 'NULL', 'NAN_VALUE()'))
const path = fc.array(key, { minLength: 1, maxLength: 2 }).map(keys => `/${keys.join('/')}`)
const field = fc.tuple(path, fc.constantFrom('', '', '[0]', '[1]')).map(([steps, index]) => steps + index)

/** Expressions of all kinds, most of which read a field. */
const { expression } = fc.letrec<{ value: string; test: string; expression: string }>(tie => ({
  value: fc.oneof(
    { maxDepth: 2 },
    field,
    scalar,
    fc
      .tuple(tie('value'), fc.constantFrom('+', '-', '*', '/', '%'), tie('value'))
      .map(([a, op, b]) => `(${a} ${op} ${b})`),
    tie('value').map(a => `(- ${a})`),
    fc
      .tuple(fc.constantFrom('UPPER', 'ABS', 'ARRAY_COUNT', 'ARRAY_TO_STRING', 'CHAR_VALUE', 'REVERSE'), tie('value'))
      .map(([f, a]) => `${f}(${a})`),
    fc
      .tuple(fc.constantFrom('CONCAT', 'COALESCE', 'INSTR', 'STREQUAL_I', 'SUBSTR'), tie('value'), tie('value'))
      .map(([f, a, b]) => `${f}(${a}, ${b})`),
    fc
      .tuple(fc.constantFrom('REPLACE', 'IF'), tie('value'), tie('value'), tie('value'))
      .map(([f, a, b, c]) => `${f}(${a}, ${b}, ${c})`),
    tie('value').map(a => `REGEXP_REPLACE(${a}, '1', '')`),
    tie('expression').map(a => `(${a})`),
  ),
  test: fc.oneof(
    { maxDepth: 2 },
    fc.tuple(tie('value'), fc.constantFrom('=', '!=', '<', '>='), tie('value')).map(([a, op, b]) => `${a} ${op} ${b}`),
    fc
      .tuple(tie('value'), fc.constantFrom('', 'NOT '), tie('value'), tie('value'))
      .map(([a, not, b, c]) => `${a} ${not}IN (${b}, ${c})`),
    fc
      .tuple(tie('value'), fc.constantFrom('', 'NOT '), tie('value'), tie('value'))
      .map(([a, not, b, c]) => `${a} ${not}BETWEEN ${b} AND ${c}`),
    fc
      .tuple(
        tie('value'),
        fc.constantFrom("LIKE '1|a'", "NOT LIKE '^a'", "BEGINS WITH ('a', /b)", "NOT ENDS WITH ('1')"),
      )
      .map(([a, rest]) => `${a} ${rest}`),
    fc
      .tuple(tie('value'), fc.constantFrom('IS NULL', 'IS NOT NULL', 'IS NAN', 'IS NOT NAN'))
      .map(([a, rest]) => `${a} ${rest}`),
    tie('value'),
  ),
  expression: fc.oneof(
    { maxDepth: 3 },
    tie('test'),
    fc
      .tuple(tie('expression'), fc.constantFrom('AND', 'OR'), tie('expression'))
      .map(([a, op, b]) => `(${a}) ${op} (${b})`),
    tie('expression').map(a => `NOT (${a})`),
  ),
}))

const leaf = fc.oneof(fc.constantFrom(0, 1, 2, 1.5, 'a', '1', '', null, true, false))
const { body } = fc.letrec<{ value: unknown; body: Record<string, unknown> }>(tie => ({
  value: fc.oneof({ maxDepth: 2 }, leaf, fc.array(tie('value'), { maxLength: 3 }), tie('body')),
  body: fc.dictionary(key, tie('value'), { maxKeys: 2 }),
}))

describe('ruling out', () => {
  test('never changes a result, for any expression and any body', () => {
    let matched = 0
    fc.assert(
      fc.property(expression, body, (text, json) => {
        const filter = compileFilter(text)
        const plain = message(JSON.stringify(json))
        // The same fields, and a backslash that keeps the body from being ruled out.
        const spelled = message(JSON.stringify({ ...json, '\\': 0 }))
        const answers = [filter.matches(plain), filter.number(plain), filter.string(plain)]
        if (answers[0]) matched += 1
        expect(answers).toEqual([filter.matches(spelled), filter.number(spelled), filter.string(spelled)])
      }),
      { seed: 3, numRuns: 1500 },
    )
    expect(matched).toBeGreaterThan(300)
  })
})
