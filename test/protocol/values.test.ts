import { ByteWriter, decodeFrames, encodeFrame, ProtocolError, type Value } from '@sluice/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fromHex } from './samples.ts'

/** A value's trip through a response frame. */
function trip(result: Value): Value {
  const writer = new ByteWriter()
  encodeFrame(writer, 'response', { id: 1, refusal: null, result })
  for (const frame of decodeFrames(writer.take(), 'server')) {
    if (frame.name === 'response') return frame.fields.result
  }
  throw new Error('no frame')
}

function decodeValue(hex: string): Value {
  const value = fromHex(hex)
  const frame = Uint8Array.of(value.length + 3, 0, 0, 0, 74, 1, 0, ...value)
  for (const { name, fields } of decodeFrames(frame, 'server')) if (name === 'response') return fields.result
  throw new Error('no frame')
}

function nested(depth: number): Value {
  return depth === 0 ? null : [nested(depth - 1)]
}

const values = fc.letrec<{ value: Value }>(tie => ({
  value: fc.oneof(
    { depthSize: 'small', maxDepth: 6 },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.double(),
    fc.string({ unit: 'grapheme' }),
    fc.uint8Array(),
    fc.array(tie('value')),
    fc.dictionary(fc.string({ unit: 'grapheme' }), tie('value')),
  ),
})).value

test('what is written is read', () => {
  fc.assert(
    fc.property(values, value => {
      expect(trip(value)).toEqual(value)
    }),
  )
})

test('an entry that is undefined is not written', () => {
  expect(trip({ a: 1, b: undefined })).toEqual({ a: 1 })
})

test('-0, infinities and NaN survive', () => {
  for (const number of [-0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, 2 ** 53, -(2 ** 53) + 1]) {
    expect(trip(number)).toBe(number)
  }
})

test('a lone surrogate becomes U+FFFD, for UTF-8 cannot say it', () => {
  expect(trip('a\ud800')).toBe('a\ufffd')
})

test('a byte order mark is kept', () => {
  expect(trip('\ufeffa')).toBe('\ufeffa')
})

test('__proto__ is a key like any other', () => {
  const map = decodeValue('09 01 09 5f5f70726f746f5f5f 09 01 01 78 02') as Record<string, unknown>
  expect(Object.keys(map)).toEqual(['__proto__'])
  expect(Object.getPrototypeOf(map)).toBe(null)
  expect(map['x']).toBe(undefined)
})

test.each([
  ['a key twice', '09 02 01 61 00 01 61 00', /key twice/],
  ['an unknown tag', '0a', /10 is not a tag/],
  ['an integer below -(2^53 - 1)', '04 ffffffffffffff0f', /below/],
  ['more entries than can be there', '08 ff1f', /4095 entries do not fit into 0 bytes/],
  ['more entries than are allowed', '08 a18d06', /100001 entries/],
  ['a map of more entries than there are bytes for', '09 02 01 61 00', /2 entries do not fit into 3 bytes/],
])('%s is refused', (_, hex, detail) => {
  expect(() => decodeValue(hex)).toThrow(detail)
  expect(() => decodeValue(hex)).toThrow(ProtocolError)
})

test('eight lists within one another are taken, nine are refused at both ends', () => {
  expect(trip(nested(8))).toEqual(nested(8))
  expect(() => trip(nested(9))).toThrow(ProtocolError)
  expect(() => decodeValue(`${'0801'.repeat(9)}00`)).toThrow(/deeper than 8/)
})

test('100,000 entries are sent, more are not', () => {
  expect(trip(new Array(100_000).fill(null))).toHaveLength(100_000)
  expect(() => trip(new Array(100_001).fill(null))).toThrow(/too many entries/)
})
