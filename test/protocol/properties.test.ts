import {
  ByteWriter,
  decodeMessage,
  decodeMessageProperties,
  encodeMessage,
  type MessageProperties,
  ProtocolError,
} from '@sluice/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fromHex, toHex } from './samples.ts'

const NO_BODY = new Uint8Array(0)

function encode(properties: MessageProperties): string {
  const writer = new ByteWriter()
  encodeMessage(writer, properties, NO_BODY)
  return toHex(writer.take()).slice(16)
}

function decode(hex: string): MessageProperties {
  const bytes = fromHex(hex)
  return decodeMessageProperties(bytes, 0, bytes.length)
}

const VECTORS: readonly (readonly [string, MessageProperties, string])[] = [
  ['content type', { contentType: 'a/b' }, '01 03 612f62'],
  [
    'headers',
    { headers: { t: 'x', y: true, n: false, i: 7, m: -1, f: 0.5, b: Uint8Array.of(1) } },
    '02 07 0174 06 0178 0179 02 016e 01 0169 03 07 016d 04 00 0166 05 000000000000e03f 0162 07 0101',
  ],
  ['message id', { messageId: 'm' }, '03 01 6d'],
  ['correlation id', { correlationId: 'c' }, '04 01 63'],
  ['reply-to', { replyTo: 'r' }, '05 01 72'],
  ['priority', { priority: -2 }, '06 00000000000000c0'],
  ['ttl', { ttlMs: 1000 }, '07 e807'],
  ['delay', { delayMs: 0 }, '08 00'],
  ['group', { group: 'g' }, '09 01 67'],
  ['barrier without anything', { barrier: {} }, '0a 00000000'],
  [
    'barrier',
    { barrier: { name: 'eof', deadlineMs: 5, rest: 'drop', parties: 2, party: 'p', forward: ['a', 'b'] } },
    '0a 14000000 01 03 656f66 02 05 03 03 04 02 05 01 70 06 02 0161 0162',
  ],
  ['several, tags rising', { delayMs: 1, messageId: 'm' }, '03 01 6d 08 01'],
]

test.each(VECTORS)('P6: %s has the bytes of its vector, and back', (_, properties, hex) => {
  expect(encode(properties)).toBe(hex.replace(/\s/g, ''))
  expect(decode(hex)).toEqual(properties)
})

test.each(VECTORS)('%s cut short at any byte but between two is refused', (_, properties, hex) => {
  const bytes = fromHex(hex)
  for (let end = 1; end < bytes.length; end++) {
    let cut: MessageProperties | undefined
    try {
      cut = decodeMessageProperties(bytes, 0, end)
    } catch (error) {
      expect(error).toBeInstanceOf(ProtocolError)
    }
    if (cut !== undefined) expect(properties).toMatchObject(cut)
  }
})

test.each([
  ['an unknown property', '0b 00', /unknown tag 11/],
  ['tag 0', '00', /tag 0 behind tag 0/],
  ['a property twice', '0301610301 62', /tag 3 behind tag 3/],
  ['properties out of order', '0801 030161', /tag 3 behind tag 8/],
  ['an unknown property of a barrier', '0a 02000000 0700', /unknown tag 7/],
  ['a barrier beyond the end', '0a 05000000 0101', /5 bytes announced, 2 are there/],
  ['an empty message id', '03 00', /empty/],
  ['a message id of 256 bytes', `03 8002 ${'61'.repeat(256)}`, /length 256, at most 255/],
  ['a message id that is not UTF-8', '03 01 ff', /not UTF-8/],
  ['a priority that is no number', '06 000000000000f87f', /not finite/],
  ['an infinite priority', '06 000000000000f07f', /not finite/],
  ['a header twice', '02 02 0161 02 0161 02', /header a is there twice/],
  ['a header without a name', '02 01 00 02 00', /name of a header is empty/],
  ['a header that is nil', '02 01 0161 00', /no allowed value/],
  ['a header that is a list', '02 01 0161 08 00', /8 is not a tag/],
  ['a header that is not finite', '02 01 0161 05 000000000000f87f', /no allowed value/],
  ['more headers than can be there', '02 7f', /127 entries do not fit/],
  ['more headers than are allowed', '02 8101', /129 entries, at most 128/],
  ['a barrier name that begins with @', '0a 04000000 01 02 4031', /not allowed/],
  ['a barrier of no parties', '0a 02000000 0400', /parties/],
  ['a rest that is none', '0a 02000000 0304', /neither 1 nor 2 nor 3/],
])('P6: %s is an invalid message', (_, hex, detail) => {
  expect(() => decode(hex)).toThrow(detail)
  expect(() => decode(hex)).toThrow(expect.objectContaining({ code: 'invalid-message' }))
})

test.each<[string, unknown, RegExp]>([
  ['an unknown property', { messageID: 'm' }, /unknown property/],
  ['an unknown property of a barrier', { barrier: { nam: 'x' } }, /unknown property/],
  ['an empty text', { group: '' }, /group must be text of 1 to 255 bytes/],
  ['a text of 256 bytes in 128 letters', { group: 'é'.repeat(128) }, /group must be text/],
  ['a text that is a number', { messageId: 7 }, /messageId must be text/],
  ['a text with a lone surrogate', { messageId: '\ud800' }, /messageId must be text/],
  ['a negative ttl', { ttlMs: -1 }, /ttlMs cannot be -1/],
  ['a delay of half a millisecond', { delayMs: 0.5 }, /delayMs cannot be 0.5/],
  ['a priority that is no number', { priority: Number.NaN }, /priority cannot be NaN/],
  ['a header that is an object', { headers: { a: {} } }, /header a cannot be/],
  ['a header that is not finite', { headers: { a: Number.POSITIVE_INFINITY } }, /header a cannot be Infinity/],
  [
    '129 headers',
    { headers: Object.fromEntries(Array.from({ length: 129 }, (_, i) => [i, true])) },
    /number of headers/,
  ],
  ['a rest that is none', { barrier: { rest: 'keep' } }, /rest cannot be/],
  ['a barrier name that begins with @', { barrier: { name: '@1' } }, /name must be text/],
  ['properties above 64 KiB', { headers: { a: 'x'.repeat(65_535) } }, /properties take/],
])('P6: %s is refused before it is sent', (_, properties, detail) => {
  expect(() => encode(properties as MessageProperties)).toThrow(detail)
  expect(() => encode(properties as MessageProperties)).toThrow(ProtocolError)
})

test('__proto__ is a header like any other', () => {
  const headers = decode('02 01 09 5f5f70726f746f5f5f 02').headers!
  expect(Object.keys(headers)).toEqual(['__proto__'])
  expect(Object.getPrototypeOf(headers)).toBe(null)
})

test('any allowed properties come back as they went', () => {
  const text = fc
    .string({ minLength: 1, maxLength: 60, unit: 'grapheme' })
    .filter(value => Buffer.byteLength(value) < 255)
  const name = text.filter(value => !value.startsWith('@'))
  const header = fc.oneof(
    text,
    fc.boolean(),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.uint8Array(),
  )
  const optional = { requiredKeys: [] }
  const barrier = fc.record(
    {
      name,
      deadlineMs: fc.nat(),
      rest: fc.constantFrom('carry' as const, 'dead-letter' as const, 'drop' as const),
      parties: fc.integer({ min: 1, max: 1000 }),
      party: text,
      forward: fc.array(text, { maxLength: 5 }),
    },
    optional,
  )
  const properties = fc.record(
    {
      contentType: text,
      headers: fc.dictionary(text, header, { maxKeys: 20 }),
      messageId: text,
      correlationId: text,
      replyTo: text,
      priority: fc.double({ noNaN: true, noDefaultInfinity: true }),
      ttlMs: fc.maxSafeNat(),
      delayMs: fc.maxSafeNat(),
      group: text,
      barrier,
    },
    optional,
  )
  fc.assert(
    fc.property(properties, given => {
      const writer = new ByteWriter()
      encodeMessage(writer, given as MessageProperties, NO_BODY)
      expect(decodeMessage(writer.take()).properties ?? {}).toEqual(given)
    }),
  )
})
