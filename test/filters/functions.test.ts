import { describe, expect, test } from 'vitest'
import { compileFilter } from '../../src/filters/index.ts'
import { matches, message, refusal } from './support.ts'

/** The value of an expression as text. */
function textOf(expression: string, body: unknown = {}): string | undefined {
  return compileFilter(expression).string(message(JSON.stringify(body)))
}

describe('texts', () => {
  test.each([
    ["INSTR('hello', 'l')", '3'],
    ["INSTR('hello', 'L')", '0'],
    ["INSTR_I('hello', 'L')", '3'],
    ["INSTR_I('É', 'é')", '0'],
    ["INSTR('éx', 'x')", '3'],
    ["STREQUAL_I('aB', 'Ab')", '1'],
    ["STREQUAL_I('aB', 'Abc')", '0'],
    ["UPPER('straße é')", 'STRAßE é'],
    ["LOWER('ÄBC')", 'Äbc'],
    ["SUBSTR('hello', 2, 3)", 'ell'],
    ["SUBSTR('hello', 4, 99)", 'lo'],
    ["SUBSTR('hello', 0)", 'hello'],
    ["SUBSTR('hello', -3, 2)", 'he'],
    ["SUBSTR('hello', 2, 0)", undefined],
    ["SUBSTR('hello', 2, -1)", undefined],
    ["SUBSTR('hello', 'x')", undefined],
    ["SUBSTR('hello', '2')", 'ello'],
    ["REVERSE('abc')", 'cba'],
    ["CONCAT('a', 1, NULL, 2.5, TRUE_VALUE())", 'a12.51'],
    ['CONCAT(NULL)', undefined],
    ["REPLACE('a.b.c', '.', '--')", 'a--b--c'],
    ["REPLACE('aaa', 'aa', 'b')", 'ba'],
    ["REPLACE('abc', 'b', '')", 'ac'],
    ["REPLACE('abc', '', 'x')", 'abc'],
    ["REPLACE('a$b', 'a', '$&')", '$&$b'],
    ["REGEXP_REPLACE('a1b22', '[0-9]+', '#')", 'a#b#'],
    ["REGEXP_REPLACE('abc', 'x*', '-')", '-a-b-c-'],
    ["REGEXP_REPLACE('abc', '(b)', '$1\\\\1')", 'a$1\\1c'],
    ["REGEXP_REPLACE('abc', '.', '')", undefined],
    ["REGEXP_MATCH('order 4711 of 12', '[0-9]+')", '4711'],
    ["REGEXP_MATCH('none', '[0-9]+')", undefined],
    ["REGEXP_MATCH('x', 'y*')", undefined],
  ])('%s is %s', (expression, expected) => {
    expect(textOf(expression)).toBe(expected)
  })

  test('a function of NULL is NULL', () => {
    for (const call of [
      'UPPER(/x)',
      'LOWER(/x)',
      'REVERSE(/x)',
      "INSTR(/x, 'a')",
      "INSTR('a', /x)",
      "INSTR_I(/x, 'a')",
      "STREQUAL_I(/x, 'a')",
      'SUBSTR(/x, 1)',
      "SUBSTR('a', /x)",
      "SUBSTR('a', 1, /x)",
      "REPLACE(/x, 'a', 'b')",
      "REGEXP_REPLACE(/x, 'a', 'b')",
      "REGEXP_MATCH(/x, 'a')",
      'ABS(/x)',
      'CHAR_VALUE(/x)',
      "STRFTIME('%Y', /x)",
      "STRPTIME(/x, '%Y')",
      'ARRAY_TO_STRING(/x)',
    ]) {
      expect([call, matches(`(${call}) IS NULL`)]).toEqual([call, true])
    }
  })
})

describe('choices and numbers', () => {
  test.each([
    ['IF(1 = 1, 2, 3)', '2'],
    ['IF(/x, 2, 3)', '3'],
    ["IF('x', 2, 3)", '3'],
    ["COALESCE(/x, '', 0, 1)", '0'],
    ['ABS(-9007199254740993)', '9007199254740993'],
    ["ABS('-1.5')", '1.5'],
    ['ABS(1)', '1'],
    ['CHAR_VALUE(233)', '\ufffd'],
    ['CHAR_VALUE(256)', undefined],
    ['CHAR_VALUE(-1)', undefined],
    ['CHAR_VALUE(1.5)', undefined],
    ['CONCAT(CHAR_VALUE(195), CHAR_VALUE(169))', 'é'],
    ['TRUE_VALUE()', '1'],
    ['FALSE_VALUE()', '0'],
    ['NAN_VALUE()', 'NaN'],
    ['ARRAY_COUNT(/x)', '0'],
    ['ARRAY_COUNT(/n)', '1'],
    ['ARRAY_COUNT(/a)', '3'],
    ['ARRAY_TO_STRING(/a)', '1,,b'],
    ["ARRAY_TO_STRING(/a, ' | ')", '1 |  | b'],
    ['ARRAY_TO_STRING(/n)', '7'],
  ])('%s is %s', (expression, expected) => {
    expect(textOf(expression, { n: 7, a: [1, null, 'b'] })).toBe(expected)
  })
})

describe('times', () => {
  const at = 1592225445.123456 // 2020-06-15 12:50:45, a Monday

  test.each([
    ['%Y-%m-%dT%H:%M:%S.%fZ', '2020-06-15T12:50:45.123456Z'],
    ['%F %T %03f %06f', '2020-06-15 12:50:45 123 123456'],
    ['%D %R', '06/15/20 12:50'],
    ['%a %A %b %B %h', 'Mon Monday Jun June Jun'],
    ['%e|%j|%u|%w|%y', '15|167|1|1|20'],
    ['%I %p', '12 PM'],
    ['%s %z %Z', '1592225445 +0000 UTC'],
    ['%%T%t%n.', '%T\t\n.'],
  ])('STRFTIME writes %s as %s, in UTC', (format, expected) => {
    expect(textOf(`STRFTIME('${format}', /t)`, { t: at })).toBe(expected)
  })

  test('STRFTIME carries what rounds up to a second, and knows times before 1970', () => {
    expect(textOf("STRFTIME('%S.%f', 1.9999999)")).toBe('02.000000')
    expect(textOf("STRFTIME('%F %T.%03f', -0.5)")).toBe('1969-12-31 23:59:59.500')
    expect(textOf("STRFTIME('%e %I %p', 0)")).toBe(' 1 12 AM')
    expect(textOf("STRFTIME('%F', '86400')")).toBe('1970-01-02')
  })

  test('STRFTIME of what is no time is NULL', () => {
    for (const time of ['NAN_VALUE()', "'soon'", '1e300', '18446744073709551615']) {
      expect(textOf(`STRFTIME('%Y', ${time})`)).toBe(undefined)
    }
  })

  test.each([
    ['2020-06-15', '%Y-%m-%d', '1592179200'],
    ['2020-06-15T12:50:45.123456Z', '%Y-%m-%dT%H:%M:%S.%f%z', '1592225445.123456'],
    ['2020-06-15 14:50:45 +02:00', '%F %T %z', '1592225445'],
    ['2020-06-15 14:50:45.5 -0130', '%F %T.%03f %z', '1592238045.5'],
    ['mon 15 june 2020 UTC', '%a %d %b %Y %Z', '1592179200'],
    ['12:05 am', '%I:%M %p', '300'],
    ['12:05 PM', '%I:%M %p', '43500'],
    ['167/20', '%j/%y', '1592179200'],
    ['01/02/70', '%D', '86400'],
    [' 5', '%e', '345600'],
    ['1592225445', '%s', '1592225445'],
    ['0099-01-01', '%F', '-59042995200'],
    ['100%', '100%%', '0'],
    ['2020-02-30', '%F', undefined],
    ['2019-366', '%Y-%j', undefined],
    ['2020-13-01', '%F', undefined],
    ['24:00', '%R', undefined],
    ['12:60', '%R', undefined],
    ['2020-06-15T', '%F', undefined],
    ['2020-06', '%F', undefined],
    ['x', '%Y', undefined],
  ])('STRPTIME reads %s by %s as %s', (text, format, expected) => {
    expect(textOf(`STRPTIME('${text}', '${format}')`)).toBe(expected)
  })

  test('STRPTIME gives an integer unless the text has a fraction', () => {
    expect(matches("STRPTIME('00:00:03', '%T') / 2 = 1 AND STRPTIME('3.0', '%S.%f') / 2 = 1")).toBe(true)
    expect(matches("STRPTIME('3.5', '%S.%f') / 2 = 1.75")).toBe(true)
  })

  test('a field that is not known is refused by name', () => {
    expect(refusal("1 = STRFTIME('%Y %Q', 1)")).toMatch(
      /^column 14: expected a time format of the fields %Y .*, without %Q$/,
    )
    expect(refusal("1 = STRPTIME('1', 'x%')")).toMatch(/^column 19: .*, without %$/)
  })
})
