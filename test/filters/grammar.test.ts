import { describe, expect, test } from 'vitest'
import {
  BODY_DEPTH_MAX,
  compileFilter,
  DEPTH_MAX,
  EXPRESSION_BYTES_MAX,
  FilterError,
  LIST_MAX,
  NODES_MAX,
  PATTERN_BYTES_MAX,
  PATTERN_INSTRUCTIONS_MAX,
} from '../../src/filters/index.ts'
import { processorTime } from '../support/processor.ts'
import { matches, refusal } from './support.ts'

describe('an error names the column and what was expected there', () => {
  test.each([
    ['', 'column 1: expected a value'],
    ['/a =', 'column 5: expected a value after "="'],
    ['/a = = 1', 'column 6: expected a value after "="'],
    ["/é = 'ü' AND", 'column 13: expected a value after "AND"'],
    ['(/a = 1', 'column 8: expected ")" for the "(" in column 1'],
    ['/a = 1)', 'column 7: expected an operator or the end'],
    ['/a /b', 'column 4: expected an operator or the end; to divide, put a space on both sides of "/"'],
    ['6/2 = 3', 'column 2: expected an operator or the end; to divide, put a space on both sides of "/"'],
    ['1 < 2 < 3', 'column 7: expected AND, OR or the end: a comparison cannot be compared again without parentheses'],
    ['/a IN ()', 'column 8: expected a value in the list of IN'],
    ['/a IN 5', 'column 7: expected "(" and a list after IN'],
    ['/a IN (5', 'column 9: expected ")" for the "(" in column 7'],
    ['/a IS 5', 'column 7: expected NULL, NAN or NOT after IS'],
    ['/a IS NOT 5', 'column 11: expected NULL or NAN after IS NOT'],
    ['/a NOT 5', 'column 8: expected BETWEEN, IN, LIKE, BEGINS WITH or ENDS WITH after NOT'],
    ['/a BETWEEN 5', 'column 13: expected AND and the upper bound of BETWEEN'],
    ["/a BEGINS ('x')", 'column 11: expected WITH after BEGINS'],
    ['/a LIKE /b', 'column 9: expected a pattern in quotes after LIKE'],
    ["/a LIKE ''", 'column 9: expected a pattern that is not empty'],
    ["/a = 'x", "column 8: expected a closing '"],
    ['/a = "x\\"', 'column 10: expected a closing "'],
    ["/a = r'x", "column 9: expected a closing '"],
    ['AND /a', 'column 1: expected a value before AND'],
    ['/a = b', 'column 6: expected a value instead of B: write quotes around a text, "/" before a field'],
    ['/a = true', 'column 6: expected a value instead of TRUE: write TRUE_VALUE()'],
    ['/a = 5x', 'column 7: expected a space or an operator after 5'],
    ['/a = .5', 'column 6: expected a value or an operator instead of "."'],
    ['/a = 5 ; /b', 'column 8: expected a value or an operator instead of ";"'],
    ['/a = €', 'column 6: expected a value or an operator instead of "€"'],
    ['/a/', 'column 4: expected a field name after "/"'],
    ['/a//b = 1', 'column 4: expected a field name after "/"'],
    ['/a[-1] = 1', 'column 4: expected an index of digits, counted from 0, as in /a[0]'],
    ['/a[] = 1', 'column 4: expected an index of digits, counted from 0, as in /a[0]'],
    ['/a[0]/b = 1', 'column 6: expected the index at the end of the path, as in /a/b[0]'],
    ['[a] = 1', 'column 2: expected a path and "]", as in [/field name] or [/$priority]'],
    ['[/a//b] = 1', 'column 1: expected a field name after each "/"'],
    ['INSTR(/a) = 1', 'column 1: expected INSTR with 2 arguments; it has 1'],
    ['1 = UPPER()', 'column 5: expected UPPER with 1 argument; it has none'],
    ['TRUE_VALUE(1)', 'column 1: expected TRUE_VALUE with no arguments; it has 1'],
    ["SUBSTR('a')", 'column 1: expected SUBSTR with 2 or 3 arguments; it has 1'],
    ['CONCAT()', 'column 1: expected CONCAT with 1 or more arguments; it has none'],
    ['UPPER(/a', 'column 9: expected ")" for the "(" in column 6'],
    ['REGEXP_MATCH(/a, /b)', 'column 1: expected a pattern in quotes as argument 2 of REGEXP_MATCH'],
    ["1 = REGEXP_MATCH(/a, '(')", 'column 22: expected a valid pattern; this one has a missing closing ): `(`'],
    ['STRFTIME(/f, 1)', 'column 1: expected a time format in quotes as argument 1 of STRFTIME'],
  ])('%s  →  %s', (expression, expected) => {
    expect(refusal(expression)).toBe(expected)
  })

  test('it is a FilterError with a code, the column and the expectation on their own', () => {
    expect.assertions(1)
    try {
      compileFilter('/a =')
    } catch (error) {
      expect(error instanceof FilterError && { ...error, message: error.message }).toEqual({
        name: 'FilterError',
        code: 'bad-filter',
        column: 5,
        expected: 'a value after "="',
        message: 'column 5: expected a value after "="',
      })
    }
  })

  test('a function whose meaning is not documented is named in the refusal, beside those there are', () => {
    for (const name of [
      'LENGTH',
      'LEASE_COUNT',
      'CRC32',
      'LAST_READ',
      'VALUE_LOOKUP',
      'CLIENT_NAME',
      '__PROTO__',
      'TOSTRING',
    ]) {
      expect(refusal(`1 = ${name}(/a)`)).toMatch(
        new RegExp(`^column 5: expected one of the functions ABS, .*, UPPER instead of ${name}$`),
      )
    }
  })
})

describe('reading', () => {
  test('keywords and function names may be in any case, field names may not', () => {
    expect(matches("not /A in (1) and upper(/a) = 'X' and /a is not null", { a: 'x' })).toBe(true)
  })

  test('a name has letters of any script, digits, _, -, ., : and a leading @', () => {
    expect(matches('/größe-2.x:y/@id = 1 AND /_/a1 = 2', { 'größe-2.x:y': { '@id': 1 }, _: { a1: 2 } })).toBe(true)
  })

  test('a path in brackets may have any other character in its names', () => {
    expect(matches('[/unit price ($)/ä b] = 1', { 'unit price ($)': { 'ä b': 1 } })).toBe(true)
    expect(matches('[/a"b] = 1 AND [/c\\d] = 2', { 'a"b': 1, 'c\\d': 2 })).toBe(true)
    expect(matches('[/c\\bd] IS NULL AND 1 = 1', '{"c\\bd":1}')).toBe(true)
  })

  test('"/" divides where no name follows at once', () => {
    expect(matches('/a / /b = 2 AND 8 /(2) = 4 AND /a / 2 = 3', { a: 6, b: 3 })).toBe(true)
  })

  test('operators bind as in SQL: * before +, comparison before NOT, NOT before AND, AND before OR', () => {
    expect(matches('2 + 3 * 2 = 8 AND 10 - 4 - 3 = 3 AND 2 * -3 = -6 AND - - 2 = 2')).toBe(true)
    expect(matches('NOT 1 = 2 AND 1 = 1')).toBe(true)
    expect(matches('1 = 1 OR 1 = 1 AND 1 = 2')).toBe(true)
    expect(matches('1 BETWEEN 0 AND 2 AND 1 = 1')).toBe(true)
    expect(matches('(1 = 1) = 1')).toBe(true)
  })

  test('a string has the escapes of C, and any other escaped character is itself', () => {
    expect(matches("/s = '\\a\\b\\t\\n\\f\\r\\x41\\102\\q\\\\\\x4\\18'", { s: '\x07\b\t\n\f\rABq\\x418' })).toBe(true)
    expect(matches('/s = r\'a\\n"b\' AND /t = R"it\'s"', { s: 'a\\n"b', t: "it's" })).toBe(true)
  })
})

describe('limits', () => {
  test('an expression has at most 4 KB', () => {
    const fits = `/a = '${'x'.repeat(EXPRESSION_BYTES_MAX - 7)}'`
    expect(refusal(fits)).toBe('accepted')
    expect(refusal(`${fits} `)).toBe('column 4097: expected the end: an expression has at most 4096 bytes')
    expect(refusal(`/a = '${'é'.repeat(EXPRESSION_BYTES_MAX / 2)}'`)).toMatch(/at most 4096 bytes$/)
  })

  test.each([
    ['parentheses', (depth: number) => `${'('.repeat(depth)}1${')'.repeat(depth)}`],
    ['NOT', (depth: number) => `${'NOT '.repeat(depth)}1`],
    ['minus', (depth: number) => `${'- '.repeat(depth)}1`],
    ['calls', (depth: number) => `${'ABS('.repeat(depth)}1${')'.repeat(depth)}`],
    ['lists', (depth: number) => `${'1 IN ('.repeat(depth)}1${')'.repeat(depth)}`],
  ])('%s nest at most 32 deep', (_, nested) => {
    expect(refusal(nested(DEPTH_MAX))).toBe('accepted')
    expect(refusal(nested(DEPTH_MAX + 1))).toMatch(/expected at most 32 levels of nesting$/)
    expect(refusal(nested(500))).toMatch(/expected at most 32 levels of nesting$/)
  })

  test('an expression has at most 256 parts', () => {
    expect(refusal(`1${'+1'.repeat(NODES_MAX / 2 - 1)}`)).toBe('accepted')
    expect(refusal(`1${'+1'.repeat(NODES_MAX / 2)}`)).toBe(
      'column 258: expected the end: an expression has at most 256 parts',
    )
  })

  test('a list has at most 1,000 members, and its literals are not counted as parts', () => {
    const list = (count: number) => `/a IN (${Array(count).fill('1').join(',')})`
    expect(refusal(list(LIST_MAX))).toBe('accepted')
    expect(refusal(list(LIST_MAX + 1))).toMatch(/expected "\)": a list has at most 1000 members$/)
    expect(refusal(`/a IN (${Array(NODES_MAX).fill('/b').join(',')})`)).toMatch(/at most 256 parts$/)
  })

  test('a pattern has at most 256 bytes and 1,000 instructions', () => {
    expect(refusal(`/a LIKE '${'.'.repeat(PATTERN_BYTES_MAX)}'`)).toBe('accepted')
    expect(refusal(`/a LIKE '${'.'.repeat(PATTERN_BYTES_MAX + 1)}'`)).toBe(
      'column 9: expected a pattern of at most 256 bytes',
    )
    expect(refusal(`/a LIKE '.{${PATTERN_INSTRUCTIONS_MAX - 100}}'`)).toBe('accepted')
    expect(refusal(`/a LIKE '.{${PATTERN_INSTRUCTIONS_MAX}}'`)).toBe(
      'column 9: expected a pattern with fewer or smaller repetitions',
    )
  })

  test('a pattern is not compiled to learn that it is too large', () => {
    const spent = processorTime()
    for (let round = 0; round < 10; round++) {
      expect(refusal(`/a LIKE '(?:${'.?'.repeat(120)}){0,999}'`)).toMatch(/fewer or smaller repetitions$/)
      expect(refusal(`/a LIKE '${'.{0,999}'.repeat(30)}'`)).toMatch(/fewer or smaller repetitions$/)
      expect(refusal(`/a LIKE '((?:abcdefg[a-f]{9}x){10}-){11}'`)).toMatch(/fewer or smaller repetitions$/)
    }
    expect(spent()).toBeLessThan(500)
    expect(refusal(`/a LIKE '^([0-9a-f]{4}-){7}[0-9a-f]{4}|(?:a|b){100,}\\{5}[{]999}$'`)).toBe('accepted')
  })

  test('a body nests at most 64 deep, on a path that is read and beside it', () => {
    const nested = (depth: number) => `${'['.repeat(depth)}1${']'.repeat(depth)}`
    const objects = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`
    expect(matches('/a = 1', `{"a":${nested(BODY_DEPTH_MAX - 1)}}`)).toBe(true)
    expect(matches('/a = 1', `{"a":${nested(BODY_DEPTH_MAX)}}`)).toBe(false)
    expect(matches('/a = 1', `{"a":1,"b":${nested(BODY_DEPTH_MAX - 1)}}`)).toBe(true)
    expect(matches('/a = 1', `{"a":1,"b":${nested(BODY_DEPTH_MAX)}}`)).toBe(false)
    expect(matches('/a = 1', `{"a":1,"b":${objects(BODY_DEPTH_MAX)}}`)).toBe(false)
    const path = '/a'.repeat(BODY_DEPTH_MAX)
    expect(matches(`${path} = 1`, objects(BODY_DEPTH_MAX))).toBe(true)
    expect(matches(`${path}/a = 1`, objects(BODY_DEPTH_MAX + 1))).toBe(false)
    expect(matches('/a IS NULL', '['.repeat(100_000))).toBe(false)
  })
})
