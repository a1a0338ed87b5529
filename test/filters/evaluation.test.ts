import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { compileFilter, STEPS_MAX, TEXT_BYTES_MAX } from '../../src/filters/index.ts'
import { processorTime } from '../support/processor.ts'
import { matches, message } from './support.ts'

/** A line of a table: the expression, the body, and whether the one matches the other. */
type Row = readonly [expression: string, body: string, result: boolean]

function check(rows: readonly Row[]): void {
  const answers = rows.map(([expression, body]) => [expression, body, matches(expression, body)])
  expect(answers).toEqual(rows)
}

describe('numbers', () => {
  test('an integer is exact in 64 bits, unsigned above the signed limit', () => {
    check([
      ['/n = 9223372036854775807', '{"n":9223372036854775807}', true],
      ['/n = 9223372036854775807', '{"n":9223372036854775806}', false],
      ['/n = 18446744073709551615', '{"n":18446744073709551615}', true],
      ['/n > 18446744073709551614', '{"n":18446744073709551615}', true],
      ['/n = -9223372036854775808', '{"n":-9223372036854775808}', true],
      ['/n > -9223372036854775808', '{"n":-9223372036854775807}', true],
      ["/n = '9007199254740993'", '{"n":9007199254740993}', true],
      ['/n + 1 = 9007199254740993', '{"n":9007199254740992}', true],
      ['/n - 1 = 9007199254740992', '{"n":9007199254740993}', true],
      ['/n * 3 = 9007199254740993', '{"n":3002399751580331}', true],
      ['/n / 10 = 900719925474099', '{"n":9007199254740993}', true],
      ['/n % 10 = 3', '{"n":9007199254740993}', true],
    ])
  })

  test('an integer is compared with a double by their exact values', () => {
    check([
      ['/n = 9007199254740992.0', '{"n":9007199254740993}', false],
      ['/n > 9007199254740992.0', '{"n":9007199254740993}', true],
      ['/n = 1.0', '{"n":1}', true],
    ])
  })

  test('an integer too large for 64 bits is a double, in a literal, a body and a result', () => {
    check([
      ['/n = 18446744073709551616', '{"n":18446744073709551617}', true],
      ['9223372036854775807 * 4 = 36893488147419103232', '{}', true],
      ['18446744073709551615 + 1 = 18446744073709551616', '{}', true],
      ['-9223372036854775808 - 1 = -9223372036854775809', '{}', true],
      ['(/n + 0) IS NAN', '{"n":1e400}', false],
      ['/n > 18446744073709551615', '{"n":1e400}', true],
      [`/n = ${'9'.repeat(400)}`, '{"n":1e400}', true],
      ["/n = '000000000000000000000000000007'", '{"n":7}', true],
    ])
  })

  test('a number with a point or an exponent is a double, so its division keeps the fraction', () => {
    check([
      ['/n / 4 = 1.25', '{"n":5.0}', true],
      ['/n / 4 = 1.25', '{"n":5e0}', true],
      ['/n / 4 = 1.25', '{"n":5}', false],
      ['/n / 4 = 1', '{"n":5}', true],
      ['/n / 4 = 1.25', '{"n":"5.0"}', true],
      ['-/n / 4 = -1', '{"n":5}', true],
      ['(/n * 1.0) / 4 = 1.25', '{"n":5}', true],
    ])
  })

  test('integer division is exact near the largest exact double', () => {
    check([
      ['9007199254740991 / 9007199254740990 = 1', '{}', true],
      ['9007199254740989 / 3 = 3002399751580329', '{}', true],
    ])
  })

  test('a modulo has the sign of the first operand, for doubles too', () => {
    check([
      ['-7 % 7 = 0', '{}', true],
      ['-7.5 % 2 = -1.5', '{}', true],
      ['7 MOD 4 = 3', '{}', true],
      ['7.5 mod 2 = 1.5', '{}', true],
    ])
  })

  test('division and modulo by zero are NaN', () => {
    check([
      ['(/n / 0) IS NAN', '{"n":1}', true],
      ['(/n % 0) IS NAN', '{"n":1}', true],
      ['(/n / 0.0) IS NAN', '{"n":1}', true],
      ['(/n % 0.0) IS NAN', '{"n":1.5}', true],
      ['(/n / 0) IS NAN', '{"n":9007199254740993}', true],
      ['(/n % 0) IS NAN', '{"n":9007199254740993}', true],
    ])
  })

  test('NaN makes arithmetic NaN, equals nothing, and does not match', () => {
    check([
      ['(NAN_VALUE() + 1) IS NAN', '{}', true],
      ['NAN_VALUE() = NAN_VALUE()', '{}', false],
      ['NAN_VALUE() != 1', '{}', true],
      ["NAN_VALUE() < 'x'", '{}', false],
      ["'x' > NAN_VALUE()", '{}', false],
      ['NAN_VALUE()', '{}', false],
      ['NOT NAN_VALUE()', '{}', false],
      ['1 IS NOT NAN', '{}', true],
    ])
  })
})

describe('texts and numbers', () => {
  test('a string is compared with a number as a number, and is greater than all if it is none', () => {
    check([
      ['/s < 7', '{"s":"6.9"}', true],
      ['7 > /s', '{"s":"6.9"}', true],
      ['/s > 1e308', '{"s":"x"}', true],
      ['1e308 < /s', '{"s":"x"}', true],
      ['/s > 5', '{"s":" 6"}', true],
      ['/s = 6', '{"s":" 6"}', false],
      ['/s = 6', '{"s":"+6"}', false],
      ['/s = -6', '{"s":"-6"}', true],
      ['/s = 16', '{"s":"0x10"}', false],
    ])
  })

  test('strings are compared byte by byte, so by code point in UTF-8', () => {
    check([
      ["/s > 'z'", '{"s":"é"}', true],
      ["/s < '\u{10000}'", '{"s":"\uffff"}', true],
      ["/s = 'é'", '{"s":"\\u00e9"}', true],
      ["/s = '\\xc3\\xa9'", '{"s":"é"}', true],
      ["'10' < '9'", '{}', true],
    ])
  })

  test('the empty string is NULL wherever it comes from', () => {
    check([
      ["/s = '' OR /s != ''", '{"s":""}', false],
      ["REPLACE(/s, 'a', '') IS NULL", '{"s":"aa"}', true],
      ['SUBSTR(/s, 9) IS NULL', '{"s":"aa"}', true],
    ])
  })

  test('numbers and booleans are text in their shortest form where text is wanted', () => {
    check([
      ["CONCAT(/n, '') = '1.5'", '{"n":1.50}', true],
      ["CONCAT(/n, '') = '2'", '{"n":2.0}', true],
      ["CONCAT(/n, '') = '9007199254740993'", '{"n":9007199254740993}', true],
      ["CONCAT(/b, '') = '1'", '{"b":true}', true],
    ])
  })
})

describe('NULL', () => {
  test('never passes a comparison, and NOT of the comparison is TRUE', () => {
    const tests = [
      '= 1',
      '!= 1',
      '<> 1',
      '< 1',
      '> 1',
      'IN (1)',
      'BETWEEN 0 AND 9',
      "LIKE 'a'",
      "BEGINS WITH ('a')",
      "ENDS WITH ('a')",
    ]
    for (const test of tests)
      check([
        [`/x ${test}`, '{}', false],
        [`NOT /x ${test}`, '{}', true],
        [`1 ${test.replace(/1|'a'|0/, '/x')}`.replace(/LIKE .*/, '= /x'), '{}', false],
      ])
  })

  test('an object and an array of nothing but NULL have no value', () => {
    check([
      ['/o IS NULL', '{"o":{"a":1}}', true],
      ['/o = 1', '{"o":{"a":1}}', false],
      ['/a IS NULL', '{"a":[null,""]}', true],
      ['/a IS NULL', '{"a":[null,0]}', false],
      ['/a IS NULL', '{"a":[[],[]]}', true],
    ])
  })

  test('AND and OR follow the table of the language, left before right', () => {
    const values = { TRUE: '1 = 1', FALSE: '1 = 2', NULL: '/x' }
    const table = []
    for (const operator of ['AND', 'OR']) {
      for (const [left, a] of Object.entries(values)) {
        const row = Object.values(values).map(b => {
          if (matches(`(${a} ${operator} ${b}) IS NULL`)) return 'NULL'
          return matches(`${a} ${operator} ${b}`) ? 'TRUE' : 'FALSE'
        })
        table.push(`${left} ${operator} (TRUE, FALSE, NULL) = ${row.join(', ')}`)
      }
    }
    expect(table).toEqual([
      'TRUE AND (TRUE, FALSE, NULL) = TRUE, FALSE, NULL',
      'FALSE AND (TRUE, FALSE, NULL) = FALSE, FALSE, FALSE',
      'NULL AND (TRUE, FALSE, NULL) = NULL, NULL, NULL',
      'TRUE OR (TRUE, FALSE, NULL) = TRUE, TRUE, TRUE',
      'FALSE OR (TRUE, FALSE, NULL) = TRUE, FALSE, NULL',
      'NULL OR (TRUE, FALSE, NULL) = NULL, NULL, NULL',
    ])
  })

  test('only TRUE matches: a number that is not zero, also as text', () => {
    check([
      ['/v', '{"v":2}', true],
      ['/v', '{"v":-0.5}', true],
      ['/v', '{"v":0}', false],
      ['/v', '{"v":0.0}', false],
      ['/v', '{"v":1.0}', true],
      ['/v', '{"v":"1"}', true],
      ['/v', '{"v":"yes"}', false],
      ['NOT /v', '{"v":"yes"}', false],
      ['/v', '{"v":18446744073709551615}', true],
    ])
  })
})

describe('arrays', () => {
  test('a comparison, IN, LIKE, BEGINS WITH and ENDS WITH hold when they hold for one element', () => {
    check([
      ['/a > 2', '{"a":[1,null,3]}', true],
      ['3 < /a', '{"a":[1,2,3]}', false],
      ['/a IN (9, /b)', '{"a":[1,2],"b":[7,2]}', true],
      ["/a LIKE '^b'", '{"a":["a","b"]}', true],
      ["/a BEGINS WITH ('x', 'b')", '{"a":["ab","bc"]}', true],
      ['/a ENDS WITH (/b)', '{"a":["ab","bc"],"b":["x","c"]}', true],
    ])
  })

  test('one element must lie between both bounds', () => {
    check([
      ['/a BETWEEN 4 AND 6', '{"a":[1,9]}', false],
      ['/a BETWEEN 4 AND 6', '{"a":[1,5]}', true],
      ['5 BETWEEN /a AND 6', '{"a":[9,4]}', true],
    ])
  })

  test('arithmetic, functions and truth take the first element', () => {
    check([
      ['/a + 1 = 2', '{"a":[1,5]}', true],
      ['-/a = -1', '{"a":[1,5]}', true],
      ['/a', '{"a":[0,1]}', false],
      ['(/a + 1) IS NULL', '{"a":[null,5]}', true],
      ['COALESCE(/a, 7) = 7', '{"a":[null,5]}', true],
    ])
  })

  test('an index counts the elements from 0, NULL ones too, and is NULL out of range', () => {
    check([
      ['/a[1] = 5', '{"a":[null,5]}', true],
      ['/a[0] IS NULL', '{"a":[null,5]}', true],
      ['/a[2] IS NULL', '{"a":[null,5]}', true],
      ['/a[0] = 5', '{"a":5}', true],
      ['/a[1] IS NULL', '{"a":5}', true],
    ])
  })
})

describe('what an evaluation may spend', () => {
  const long = (bytes: number) => ({ s: 'a'.repeat(bytes) })

  test('a text longer than the limit matches neither LIKE nor NOT LIKE', () => {
    expect(matches("/s LIKE '^a+$'", long(TEXT_BYTES_MAX))).toBe(true)
    expect(matches("/s LIKE 'a'", long(TEXT_BYTES_MAX))).toBe(true)
    expect(matches("/s LIKE '^a+$'", long(TEXT_BYTES_MAX + 1))).toBe(false)
    expect(matches("/s NOT LIKE '^b'", long(TEXT_BYTES_MAX + 1))).toBe(false)
    expect(matches("/s NOT LIKE 'b'", long(TEXT_BYTES_MAX + 1))).toBe(false)
    expect(matches("UPPER(/s) != 'B'", long(TEXT_BYTES_MAX + 1))).toBe(false)
  })

  test('a longer text can still be compared, which costs next to nothing', () => {
    expect(matches("/s > 'b' OR /s BEGINS WITH ('aa')", long(TEXT_BYTES_MAX + 1))).toBe(true)
  })

  test('a function builds no text longer than the limit', () => {
    const half = long(TEXT_BYTES_MAX / 2)
    expect(matches('CONCAT(/s, /s) > 0', half)).toBe(true)
    expect(matches("CONCAT(/s, /s, 'a') IS NULL OR 1 = 1", half)).toBe(false)
    expect(matches("REPLACE(/s, 'a', 'bb') > 0", half)).toBe(true)
    expect(matches("REPLACE(/s, 'a', 'bbb') IS NULL OR 1 = 1", half)).toBe(false)
    expect(matches("REGEXP_REPLACE(/s, '^a', /s) > 0", long(2000))).toBe(true)
    expect(matches("REGEXP_REPLACE(/s, 'a', /s) IS NULL OR 1 = 1", long(2000))).toBe(false)
    expect(matches("ARRAY_TO_STRING(/s, '0123456789') IS NULL OR 1 = 1", { s: Array(7000).fill(1) })).toBe(false)
  })

  test('an evaluation that takes too many steps is given up, whatever the rest says', () => {
    const side = Math.ceil(Math.sqrt(STEPS_MAX)) + 1
    const numbers = (from: number, count: number) => Array.from({ length: count }, (_, index) => from + index)
    const body = { a: numbers(0, side), b: numbers(side, side) }
    expect(matches('NOT /a = /b', body)).toBe(false)
    expect(matches('NOT /a = /b', { a: body.a, b: body.b.slice(2) })).toBe(true)
  })

  test('the dearest expressions end soon', () => {
    const bodies = [{ s: `c${random(TEXT_BYTES_MAX - 1)}` }, { s: 'a'.repeat(TEXT_BYTES_MAX) }]
    const expressions = [
      "/s LIKE 'a[ab]{20}c'",
      "/s LIKE '(a*)*(a|b)*a[ab]{100}c'",
      "/s LIKE '(x+x+)+y|((a+)+)+$c'",
      "REGEXP_REPLACE(/s, 'a(.*c)?', 'x') = 'x'",
      "INSTR(/s, CONCAT(SUBSTR(/s, 1, 16000), 'b', SUBSTR(/s, 1, 16000))) = 0",
      Array(50).fill("NOT /s LIKE '^(a|b)*c$'").join(' AND '),
      Array(40).fill("UPPER(LOWER(/s)) != 'A'").join(' AND '),
    ]
    const spent = processorTime()
    for (const expression of expressions) for (const body of bodies) matches(expression, body)
    expect(spent()).toBeLessThan(3000)
  })

  test('a pattern that has met a hard text keeps less than a megabyte', () => {
    setFlagsFromString('--expose-gc')
    const collectGarbage = runInNewContext('gc')
    const text = message(JSON.stringify({ s: `c${random(TEXT_BYTES_MAX - 1)}` }))
    const filters = Array.from({ length: 8 }, (_, index) => compileFilter(`/s LIKE 'a[ab]{2${index}}c'`))
    collectGarbage()
    const before = process.memoryUsage().heapUsed
    for (const filter of filters) expect(filter.matches(text)).toBe(false)
    collectGarbage()
    expect((process.memoryUsage().heapUsed - before) / filters.length).toBeLessThan(1e6)
  })

  test('an evaluation that was given up leaves nothing behind for the next one', () => {
    const filter = compileFilter("/s LIKE '^[ab]{900}' OR /s LIKE '^a'")
    expect(filter.matches(message(JSON.stringify(long(9000))))).toBe(false)
    expect(filter.matches(message(JSON.stringify(long(9))))).toBe(true)
  })
})

/** A text of a and b that is the same in each run and repeats nothing (xorshift). */
function random(length: number): string {
  let state = 123456789
  return Array.from({ length }, () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return 'ab'[state & 1]
  }).join('')
}

describe('a strict filter', () => {
  const matches = (text: string, body: string, isStrict: boolean) => {
    const bytes = new TextEncoder().encode(body)
    const subject = { bytes, start: 0, end: bytes.length, queue: 'q', property() {}, header() {} }
    return compileFilter(text, { isStrict }).matches(subject as never)
  }

  test('does not match a body in which a key on the way to a field stands twice, however it is spelled', () => {
    const twice = ['{"a":1,"a":1}', '{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '{"a":1,"b":0,"a":null}']
    for (const body of twice) {
      expect(matches('/a = 1', body, false), body).toBe(true)
      expect(matches('/a = 1', body, true), body).toBe(false)
    }
    expect(matches('/a/b = 1', '{"a":{"b":1},"a":{"b":2}}', true)).toBe(false)
    expect(matches('/a/b = 1', '{"a":{"b":1,"b":2}}', true)).toBe(false)
    expect(matches('/a/b = 1', '[{"a":{"b":1}},{"a":{"b":1,"b":2}}]', true)).toBe(false)
  })

  test('looks at no other keys: those of two objects, and those it does not read, may be equal', () => {
    expect(matches('/a = 1', '{"b":1,"b":2,"a":1}', true)).toBe(true)
    expect(matches('/a = 1', '{"a":1,"c":{"a":2}}', true)).toBe(true)
    expect(matches('/a/b = 1', '{"a":[{"b":1},{"b":2}]}', true)).toBe(true)
  })
})
