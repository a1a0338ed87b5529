import { ByteWriter, decodeFrames, encodeFrame, FRAMES, type FrameName, ProtocolError } from '@sluice/protocol'
import { describe, expect, test } from 'vitest'
import { fromHex, SAMPLES, toHex } from './samples.ts'

const NAMES = Object.keys(FRAMES) as FrameName[]

function encode<N extends FrameName>(name: N): Uint8Array {
  const writer = new ByteWriter()
  encodeFrame(writer, name, SAMPLES[name].frame)
  return writer.take()
}

function decode(name: FrameName, bytes: Uint8Array): unknown[] {
  return [...decodeFrames(bytes, FRAMES[name].from)]
}

function errorOf(work: () => unknown): ProtocolError {
  try {
    work()
  } catch (error) {
    if (error instanceof ProtocolError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('every frame', () => {
  test.each(NAMES)('%s has the bytes of its vector', name => {
    expect(toHex(encode(name))).toBe(SAMPLES[name].hex.replace(/\s/g, ''))
  })

  test.each(NAMES)('%s encodes to the same bytes again once decoded', name => {
    const bytes = fromHex(SAMPLES[name].hex)
    const [frame] = [...decodeFrames(bytes, FRAMES[name].from)]
    expect(frame?.name).toBe(name)
    const writer = new ByteWriter()
    encodeFrame(writer, name, frame!.fields as never)
    expect(toHex(writer.take())).toBe(toHex(bytes))
  })

  test.each(NAMES)('%s cut short at any byte is a protocol error', name => {
    const bytes = encode(name)
    for (let end = 1; end < bytes.length; end++) {
      expect(errorOf(() => decode(name, bytes.subarray(0, end))).code).toBe('protocol-error')
    }
  })

  test.each(NAMES)('%s whose length ends it within its fields is a protocol error that names it', name => {
    const bytes = encode(name)
    for (let end = 5; end < bytes.length; end++) {
      const cut = bytes.slice(0, end)
      new DataView(cut.buffer).setUint32(0, end - 4, true)
      expect(errorOf(() => decode(name, cut)).detail).toMatch(new RegExp(`^${name}`))
    }
  })

  test.each(NAMES)('%s with a byte left over is a protocol error', name => {
    const bytes = new Uint8Array([...encode(name), 0])
    new DataView(bytes.buffer).setUint32(0, bytes.length - 4, true)
    expect(errorOf(() => decode(name, bytes)).detail).toMatch(/1 bytes left over/)
  })

  test.each(NAMES)('%s from the wrong end is refused like an unknown one', name => {
    const wrong = FRAMES[name].from === 'client' ? 'server' : 'client'
    expect(errorOf(() => [...decodeFrames(encode(name), wrong)]).detail).toMatch(/does not come from a/)
  })
})

test('types of frames are given once', () => {
  const types = NAMES.map(name => FRAMES[name].type)
  expect(new Set(types).size).toBe(types.length)
})

test('frames of one message come out in order, and those before a broken one are taken', () => {
  const bytes = fromHex(`${SAMPLES.unsubscribe.hex} ${SAMPLES.hello.hex} 01000000 ff`)
  const names: string[] = []
  const error = errorOf(() => {
    for (const { name } of decodeFrames(bytes, 'client')) names.push(name)
  })
  expect(names).toEqual(['unsubscribe', 'hello'])
  expect(error.detail).toMatch(/frame type 255 .* at offset 58/)
})

test('bytes in a frame are views of what was received', () => {
  const bytes = fromHex(SAMPLES.publish.hex)
  const [frame] = [...decodeFrames(bytes, 'client')]
  if (frame?.name !== 'publish') throw new Error('not a publish')
  expect(frame.fields.messages.buffer).toBe(bytes.buffer)
})

test('a frame larger than the receiver takes is refused before its fields are looked at', () => {
  const announced = fromHex('00ffff00 02 01')
  expect(errorOf(() => [...decodeFrames(announced, 'client', () => 4096)]).detail).toMatch(
    /publish: 16776960 bytes, at most 4096/,
  )
})

test('a frame that cannot be encoded leaves nothing behind', () => {
  const writer = new ByteWriter()
  expect(() => encodeFrame(writer, 'unsubscribe', { subscription: 2 ** 53 })).toThrow(RangeError)
  expect(() => encodeFrame(writer, 'flow', { granted: -1, reason: '' })).toThrow(RangeError)
  expect(writer.length).toBe(0)
})

test.each([
  ['a frame of no length', '00000000 00', /without a type/],
  ['less than a head', '010000', /within its head/],
  ['a length beyond the end', 'ffffffff 05 01', /4294967295 bytes announced, 2 are there/],
  ['a bool that is 2', '06000000 04 00 01 00 00 02', /resubscribe.hasFilter: 2 is neither 0 nor 1, at offset 9/],
  ['a number in a longer form than needed', '03000000 05 8000', /unsubscribe.subscription: .*shortest form/],
  ['a number above 2^53 - 1', '09000000 05 ffffffffffffff1f', /above 2\^53/],
  ['a number without end', '0c000000 05 ffffffffffffffffffff01', /above 2\^53/],
  ['text that is not UTF-8', '08000000 07 01 02 c328 09 00 00', /request.method: text is not UTF-8, at offset 7/],
  ['text that is a surrogate in UTF-8', '08000000 07 01 03 eda080 09 00', /request.method: text is not UTF-8/],
  ['text longer than the frame', '05000000 07 01 7f 61 62', /request.method: 127 bytes announced, 2 are there/],
  ['a settle that is no way to settle', '08000000 06 00 01 06 00 00 00 00', /settle.how: 6 is not one of 1 to 5/],
  ['a settle by 0', '08000000 06 00 01 00 00 00 00 00', /settle.how: 0 is not one of 1 to 5/],
  ['more ranges than can be there', '0b000000 06 00 01 01 00 00 ffffff7f 00', /settle.deliveries: \d+ entries/],
  ['params that are no map', '05000000 07 01 01 61 00', /request.params: value is not a map/],
])('%s is a protocol error that says where', (_, hex, detail) => {
  expect(errorOf(() => [...decodeFrames(fromHex(hex), 'client')]).detail).toMatch(detail)
})
