import { ByteReader, ByteWriter, ProtocolError, utf8Length } from '@sluice/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { toHex } from './samples.ts'

test('numbers have their shortest form and come back', () => {
  const numbers = fc.oneof(
    fc.maxSafeNat(),
    fc.integer({ min: 0, max: 53 }).map(bits => 2 ** bits - 1),
  )
  fc.assert(
    fc.property(numbers, number => {
      const writer = new ByteWriter()
      writer.uint(number)
      const bytes = writer.take()
      expect(bytes.length).toBe(Math.max(1, Math.ceil(Math.log2(number + 1) / 7)))
      expect(new ByteReader(bytes).uint()).toBe(number)
    }),
  )
})

test('a number is cut short at any byte but its last', () => {
  const writer = new ByteWriter()
  writer.uint(Number.MAX_SAFE_INTEGER)
  const bytes = writer.take()
  for (let end = 0; end < bytes.length; end++) {
    expect(() => new ByteReader(bytes, 0, end).uint()).toThrow(ProtocolError)
  }
})

test('text of any length and script comes back, its length as UTF-8 known before', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), text => {
      const writer = new ByteWriter()
      writer.text(text)
      expect(new ByteReader(writer.take()).text()).toBe(text)
      expect(utf8Length(text)).toBe(Buffer.byteLength(text))
    }),
  )
})

test('what is taken is never written again', () => {
  const writer = new ByteWriter()
  writer.text('one')
  const first = writer.take()
  writer.text('two')
  expect(toHex(first)).toBe('036f6e65')
  expect(toHex(writer.take())).toBe('0374776f')
  expect(writer.take()).toHaveLength(0)
})

test('a buffer grows to what is written, over any pattern of writes', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 2_000 })), pieces => {
      const writer = new ByteWriter(size => Buffer.alloc(size, 0xaa))
      for (const piece of pieces) writer.raw(piece)
      expect(writer.length).toBe(pieces.reduce((size, piece) => size + piece.length, 0))
      expect(Buffer.compare(writer.take(), Buffer.concat(pieces))).toBe(0)
    }),
  )
})

test('a number that is known later is patched in', () => {
  const writer = new ByteWriter()
  const at = writer.placeU32()
  writer.u8(7)
  writer.patchU32(at, 0xdeadbeef)
  const reader = new ByteReader(writer.take())
  expect([reader.u32(), reader.u8(), reader.remaining]).toEqual([0xdeadbeef, 7, 0])
})
