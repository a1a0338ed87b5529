import { describe, expect, test } from 'vitest'
import { compileFilter, FilterError } from '../../src/filters/index.ts'
import { message, refusal } from './support.ts'

/** Random numbers that are the same in each run (mulberry32). */
function random(seed: number): (below: number) => number {
  let state = seed
  return below => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

const words =
  `( ) , + - * / % = == != <> < <= > >= AND OR NOT BETWEEN IN LIKE BEGINS ENDS WITH IS NULL NAN MOD /a /a/b /c[0] /c[1
  [/a b] [/$priority] [/$header/x] [/$ [/ 1 1.5 1e400 99999999999999999999 0 'x' "y" r'z' '' 'a\\' '(' '(?i)x' UPPER( INSTR( IF(
  CONCAT( SUBSTR( STRFTIME('%Y', REGEXP_MATCH( ARRAY_COUNT( CHAR_VALUE( NOPE( é ; \\ ' "`.split(/\s+/)

describe('random input', () => {
  test('an expression compiles or gives a FilterError with a column in it, and then answers whatever the body', () => {
    const pick = random(1)
    const bodies = [
      '{"a":1}',
      '{"a":{"b":["x",null]},"c":[1,"2",3.5]}',
      '[1',
      '',
      '"\\ud800"',
      '{"a":"x","a b":1e400}',
    ].map(body => message(body, { properties: { priority: 3 }, headers: { x: 'y' } }))
    let compiled = 0
    for (let round = 0; round < 4000; round++) {
      const text = Array.from({ length: 1 + pick(9) }, () => words[pick(words.length)]).join(pick(5) === 0 ? '' : ' ')
      try {
        const filter = compileFilter(text)
        compiled += 1
        for (const body of bodies) expect(typeof filter.matches(body)).toBe('boolean')
      } catch (error) {
        if (!(error instanceof FilterError)) throw new Error(`${JSON.stringify(text)} gave ${error}`)
        expect(error.column).toBeGreaterThan(0)
        expect(error.column).toBeLessThanOrEqual([...text].length + 1)
      }
    }
    expect(compiled).toBeGreaterThan(100)
  })

  test('an expression of random characters gives a FilterError or compiles', () => {
    const pick = random(2)
    for (let round = 0; round < 3000; round++) {
      const codes = Array.from({ length: pick(30) }, () => (pick(8) === 0 ? pick(0x10000) : 32 + pick(95)))
      expect(refusal(String.fromCharCode(...codes))).toMatch(/^(accepted|column [0-9]+: expected )/)
    }
  })

  test('a random pattern is refused or runs', () => {
    const pick = random(3)
    const parts = [
      'a',
      'é',
      '.',
      '*',
      '+',
      '?',
      '{2}',
      '{0,300}',
      '(',
      ')',
      '(?i)',
      '(?x)',
      '(?',
      '[',
      ']',
      '[^',
      '\\',
      '\\Q',
      '\\E',
      '\\x',
      '41',
      '{',
      '|',
      '^',
      '$',
      ' ',
      '#',
      '\\d',
      '[:alpha:]',
      '-',
    ]
    const text = message(JSON.stringify({ s: `aé A#41 \n${'ab '.repeat(50)}` }))
    let compiled = 0
    for (let round = 0; round < 800; round++) {
      const pattern = `${pick(4) === 0 ? '(?ix)' : ''}${Array.from({ length: 1 + pick(8) }, () => parts[pick(parts.length)]).join('')}`
      const expression = `/s LIKE "${pattern}" OR REGEXP_REPLACE(/s, "${pattern}", 'x') = 1`
      if (refusal(expression) !== 'accepted') continue
      compiled += 1
      expect(typeof compileFilter(expression).matches(text)).toBe('boolean')
    }
    expect(compiled).toBeGreaterThan(130)
  })

  test('a body of random bytes, or cut at any place, matches nothing', () => {
    const pick = random(4)
    const filter = compileFilter('/a IS NULL OR 1 = 1')
    for (let round = 0; round < 3000; round++) {
      const body = Uint8Array.from({ length: 2 + pick(40) }, () => pick(256))
      body[0] = '{["'.charCodeAt(pick(3))
      expect(filter.matches(message(body))).toBe(false)
    }
    const whole = new TextEncoder().encode('{"a":[1,-2.5e+3,{"é":"\\u00e9\\n😀"},true,null],"b":"\\\\"}')
    for (let end = 0; end < whole.length; end++) expect(filter.matches(message(whole.slice(0, end)))).toBe(false)
    expect(filter.matches(message(whole))).toBe(true)
  })

  test('a million keys, elements or escapes are read in time that grows with their number', () => {
    const filter = compileFilter("/a = 'x' OR /k9/b = 1")
    const bodies = [
      `{${Array.from({ length: 100_000 }, (_, index) => `"k${index}":${index}`).join(',')}}`,
      `{"a":[${'1,'.repeat(500_000)}1]}`,
      `{"a":"${'\\u00e9'.repeat(160_000)}"}`,
      `{"a":${'9'.repeat(1_000_000)}}`,
      `{"a":"${'9'.repeat(1_000_000)}"}`,
      `[${'{"a":1},'.repeat(100_000)}0]`,
      `{${'"a":1,'.repeat(150_000)}"b":2}`,
    ].map(body => message(body))
    const started = performance.now()
    for (const body of bodies) expect(filter.matches(body)).toBe(false)
    expect(performance.now() - started).toBeLessThan(2000)
  })
})
