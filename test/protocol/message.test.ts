import {
  BODY_BYTES_MAX,
  ByteWriter,
  countMessages,
  decodeMessage,
  encodeMessage,
  MessageCursor,
  type MessageProperties,
  ProtocolError,
} from '@sluice/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fromHex, toHex } from './samples.ts'

const text = (value: string) => new TextEncoder().encode(value)

function encode(properties: MessageProperties | undefined, body: Uint8Array): Uint8Array {
  const writer = new ByteWriter()
  encodeMessage(writer, properties, body)
  return writer.take()
}

test('a plain record is its length and its body', () => {
  expect(toHex(encode(undefined, text('hi')))).toBe('02000000' + '6869')
})

test('a record with properties has bit 29 set and their length', () => {
  expect(toHex(encode({ messageId: 'm' }, text('hi')))).toBe('02000020' + '03000000' + '03016d' + '6869')
})

test('properties that are all absent cost nothing', () => {
  expect(toHex(encode({}, text('hi')))).toBe('02000000' + '6869')
})

test('a cursor walks over records and gives views', () => {
  const bytes = fromHex('02000000 6869  02000020 03000000 03016d 6869  00000000')
  const cursor = new MessageCursor().open(bytes)
  const seen: unknown[] = []
  while (cursor.next()) {
    expect(cursor.body().buffer).toBe(bytes.buffer)
    seen.push([cursor.recordStart, cursor.propertiesStart, cursor.bodyStart, cursor.bodyEnd, cursor.properties()])
  }
  expect(seen).toEqual([
    [0, 4, 4, 6, undefined],
    [6, 14, 17, 19, { messageId: 'm' }],
    [19, 23, 23, 23, undefined],
  ])
  expect(cursor.next()).toBe(false)
  expect(countMessages(bytes)).toBe(3)
})

test('a cursor keeps to the stretch it was given', () => {
  const bytes = fromHex('02000000 6869  01000000 61  00000000')
  const cursor = new MessageCursor().open(bytes, 6, 11)
  expect(cursor.next()).toBe(true)
  expect(toHex(cursor.body())).toBe('61')
  expect(cursor.next()).toBe(false)
})

test('records cut short at any byte but between two are refused', () => {
  const bytes = fromHex('02000000 6869  02000020 03000000 03016d 6869  00000000')
  for (let end = 0; end < bytes.length; end++) {
    const cut = bytes.subarray(0, end)
    if ([0, 6, 19].includes(end)) countMessages(cut)
    else expect(() => countMessages(cut)).toThrow(ProtocolError)
  }
})

test.each([
  ['bit 30', '00000040'],
  ['bit 31', '00000080'],
  ['a body beyond the end', 'ffffff1f 00'],
  ['a properties block above 64 KiB', '00000020 01000100'],
  ['a properties block beyond the end', '00000020 05000000 00'],
])('%s is an invalid message', (_, hex) => {
  expect(() => countMessages(fromHex(hex))).toThrow(expect.objectContaining({ code: 'invalid-message' }))
})

test('a body that no record can hold is refused', () => {
  const tooLarge = { length: BODY_BYTES_MAX + 1 } as Uint8Array
  expect(() => encode(undefined, tooLarge)).toThrow(expect.objectContaining({ code: 'message-too-large' }))
})

test('a message that cannot be encoded leaves nothing behind', () => {
  const writer = new ByteWriter()
  expect(() => encodeMessage(writer, { ttlMs: -1 }, text('hi'))).toThrow(ProtocolError)
  expect(writer.length).toBe(0)
})

test('decodeMessage wants exactly one record', () => {
  expect(decodeMessage(fromHex('02000000 6869'))).toEqual({ body: text('hi') })
  expect(() => decodeMessage(fromHex(''))).toThrow(/exactly one/)
  expect(() => decodeMessage(fromHex('00000000 00000000'))).toThrow(/exactly one/)
})

test('any list of messages is walked as it was written', () => {
  const message = fc.record({ messageId: fc.option(fc.string({ minLength: 1, maxLength: 40 })), body: fc.uint8Array() })
  fc.assert(
    fc.property(fc.array(message), messages => {
      const writer = new ByteWriter()
      for (const { messageId, body } of messages)
        encodeMessage(writer, messageId === null ? undefined : { messageId }, body)
      const cursor = new MessageCursor().open(writer.take())
      const walked: unknown[] = []
      while (cursor.next()) {
        const messageId = cursor.properties()?.messageId ?? null
        walked.push({ messageId, body: cursor.body().slice() })
      }
      expect(walked).toEqual(messages)
    }),
  )
})
