import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compileFilter } from '../../src/filters/index.ts'
import { matches, message } from './support.ts'

/** The values found at a path, as text. */
function found(path: string, body: string): string | undefined {
  return compileFilter(`ARRAY_TO_STRING(${path})`).string(message(body))
}

describe('a path', () => {
  test('collects the values on equal paths through arrays of objects, in order', () => {
    expect(found('/c/x', '{"c":[{"x":1},{"y":9},{"x":2},5,{"x":[3,[4]]}]}')).toBe('1,2,3,4')
    expect(found('/x', '[{"x":1},[{"x":2}]]')).toBe('1,2')
    expect(matches('/c/x[3] = 4', '{"c":[{"x":1},{"y":9},{"x":2},5,{"x":[3,[4]]}]}')).toBe(true)
  })

  test('flattens arrays in arrays', () => {
    expect(found('/a', '{"a":[[1,[2]],[],3]}')).toBe('1,2,3')
  })

  test('finds a value and fields below it at once, objects being NULL among the values', () => {
    const body = '{"a":[1,{"b":2},{"b":{"c":3}}]}'
    expect(matches("ARRAY_TO_STRING(/a) = '1,,' AND ARRAY_TO_STRING(/a/b) = '2,' AND /a/b/c = 3", body)).toBe(true)
  })

  test('takes the first of equal keys in an object, and each of equal keys in different objects', () => {
    expect(found('/k', '{"k":1,"k":2}')).toBe('1')
    expect(found('/k', '{"\\u006b":1,"k":2}')).toBe('1')
    expect(found('/o/b', '{"o":{"a":1},"o":{"b":2}}')).toBe(undefined)
    expect(found('/k', '{"k":null,"k":2}')).toBe(undefined)
    expect(found('/k', '[{"k":1,"k":2},{"k":3,"k":4}]')).toBe('1,3')
    expect(found('/o/k', '{"o":[{"k":1,"k":2},{"k":3}],"o":{"k":5}}')).toBe('1,3')
  })

  test('finds a key however it is written', () => {
    expect(matches('/is_eof = 1', '{"is\\u005feof":1}')).toBe(true)
    expect(matches('[/a"b\\c/d] = 1', '{"a\\"b\\\\c":{"d":1}}')).toBe(true)
    expect(matches('/é = 1 AND [/😀] = 2', '{"\\u00e9":1,"\\ud83d\\ude00":2}')).toBe(true)
    expect(matches('[/a\\u0062] IS NULL AND /ab = 1', '{"a\\u0062":1}')).toBe(true)
  })

  test('names own fields only', () => {
    for (const name of ['__proto__', 'constructor', 'toString', 'length']) {
      expect(matches(`/${name} IS NULL`, '{"a":1}')).toBe(true)
      expect(matches(`/${name} = 1`, `{"${name}":1}`)).toBe(true)
    }
  })

  test('finds nothing in a body that is a single value', () => {
    for (const body of ['5', '"a"', 'true', 'null', '[]', '{}', ' [ ] ']) expect(matches('/a IS NULL', body)).toBe(true)
  })

  test('reads strings with all their escapes', () => {
    expect(found('/s', '{"s":"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00"}')).toBe('"\\/\b\f\n\r\té😀')
    expect(found('/s', '{"s":"\\\\ud83d\\\\n"}')).toBe('\\ud83d\\n')
  })

  test('reads half a surrogate pair as U+FFFD', () => {
    expect(found('/s', '{"s":"\\ud83dx\\udc00\\ud83d\\ud83d\\ude00"}')).toBe('\ufffdx\ufffd\ufffd😀')
  })
})

describe('a body', () => {
  const bytes = (...parts: (string | number[])[]) =>
    Uint8Array.from(parts.flatMap(part => (typeof part === 'string' ? [...new TextEncoder().encode(part)] : part)))

  test.each([
    ['is empty', ''],
    ['is only space', '  '],
    ['ends too soon', '{"a":1'],
    ['goes on behind its end', '{"a":1}}'],
    ['has two values', '{"a":1} {"a":1}'],
    ['has a comma too many in an object', '{"a":1,}'],
    ['has a comma too many in an array', '{"a":1,"b":[1,]}'],
    ['has no colon', '{"a" 1}'],
    ['has no value', '{"a":}'],
    ['has a bare key', '{a:1}'],
    ['has single quotes', "{'a':1}"],
    ['has a leading zero', '{"a":1,"b":01}'],
    ['has a plus', '{"a":1,"b":+1}'],
    ['has a bare point', '{"a":1,"b":1.}'],
    ['has a bare exponent', '{"a":1,"b":1e}'],
    ['has a lone minus', '{"a":1,"b":-}'],
    ['has NaN', '{"a":1,"b":NaN}'],
    ['has a misspelt word', '{"a":1,"b":trux}'],
    ['has half a word', '{"a":1,"b":nul'],
    ['has an unknown escape', '{"a":1,"b":"\\x"}'],
    ['has a short \\u', '{"a":1,"b":"\\u12"}'],
    ['has a \\u of no digits', '{"a":1,"b":"\\u12g4"}'],
    ['ends in an escape', '{"a":1,"b":"\\'],
    ['has a control character in a string', '{"a":1,"b":"\n"}'],
    ['has another space', '{"a":1,\u00a0"b":1}'],
    ['begins with a byte order mark', '\ufeff{"a":1}'],
    ['has a comment', '{"a":1/**/}'],
  ])('that %s is not valid', (_, body) => {
    expect(matches('/a = 1', body)).toBe(false)
    expect(matches('/a IS NOT NULL OR 1 = 1', body)).toBe(false)
  })

  test.each([
    ['a byte that begins nothing', [0xff]],
    ['a lone continuation', [0x80]],
    ['a character that is cut', [0xc3]],
    ['a longer form than needed', [0xc0, 0xaf]],
    ['a longer form of three', [0xe0, 0x80, 0xaf]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['a longer form of four', [0xf0, 0x80, 0x80, 0x80]],
    ['a code beyond the last', [0xf4, 0x90, 0x80, 0x80]],
    ['a cut form of four', [0xf0, 0x9f, 0x98]],
  ])('with %s in a string is not valid', (_, invalid) => {
    expect(matches('/a = 1', bytes('{"a":1,"b":"', invalid, '"}'))).toBe(false)
    expect(matches('/a = 1', bytes('{"a":1,"', invalid, '":0}'))).toBe(false)
    expect(matches('/a = 1', bytes('{"a":1}', invalid))).toBe(false)
  })

  test('is valid, and its values are those of JSON.parse, whatever JSON.stringify wrote', () => {
    fc.assert(
      fc.property(fc.jsonValue({ depthSize: 'medium' }), fc.constantFrom(undefined, 1, '\t\n'), (value, indent) => {
        const body = JSON.stringify({ a: value, b: { a: value } }, null, indent)
        expect(found('/b/a', body)).toBe(listed(value))
      }),
      { seed: 1, numRuns: 300 },
    )
  })

  test('is valid when JSON.parse says so of its UTF-8, also after random damage', () => {
    const json = fc.json({ maxDepth: 4 }).map(text => new TextEncoder().encode(`{"a":1,"é\\n":${text}}`))
    const damage = fc.array(
      fc.tuple(
        fc.nat(),
        fc.oneof(fc.nat(255), fc.constantFrom(...'{}[]",:\\u0eE+-.'.split('').map(c => c.charCodeAt(0)))),
      ),
      { maxLength: 2 },
    )
    const wellFormed = compileFilter('/none IS NULL')
    let valid = 0
    fc.assert(
      fc.property(json, damage, (original, changes) => {
        const body = Uint8Array.from(original)
        for (const [at, byte] of changes) body[at % body.length] = byte
        const expected = isJson(body)
        if (expected) valid += 1
        expect(wellFormed.matches(message(body))).toBe(expected)
      }),
      { seed: 2, numRuns: 3000 },
    )
    expect(valid).toBeGreaterThan(300)
  })
})

function isJson(body: Uint8Array): boolean {
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body))
    return true
  } catch {
    return false
  }
}

/** What `ARRAY_TO_STRING` makes of a value, by way of JSON.parse. */
function listed(value: unknown): string | undefined {
  const flat = Array.isArray(value) ? value.flat(Number.POSITIVE_INFINITY) : [value]
  const texts = flat.map(each =>
    typeof each === 'object' ? '' : typeof each === 'boolean' ? `${Number(each)}` : String(each),
  )
  return new TextDecoder().decode(new TextEncoder().encode(texts.join(','))) || undefined
}
