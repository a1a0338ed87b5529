import { countMessages, decodeFrames, MessageCursor, ProtocolError } from '@sluice/protocol'
import { expect, test } from 'vitest'
import { fromHex, SAMPLES, seeded } from './samples.ts'

const SEED = 20_261_120
const INPUTS = 10_000

/** Runs what reads untrusted bytes: it may throw a ProtocolError and nothing else. */
function survives(read: () => void): void {
  try {
    read()
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
  }
}

function randomBytes(random: () => number, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, () => Math.floor(random() * 256))
}

/** Changes a few bytes, often to values that mean something: 0, the largest, the bit that says more follows. */
function damage(bytes: Uint8Array, random: () => number): Uint8Array {
  const damaged = bytes.slice()
  for (let i = 0; i < 1 + random() * 4; i++) {
    const at = Math.floor(random() * damaged.length)
    damaged[at] = [0, 1, 0x7f, 0x80, 0xff, Math.floor(random() * 256)][Math.floor(random() * 6)]!
  }
  return random() < 0.2 ? damaged.subarray(0, Math.floor(random() * damaged.length)) : damaged
}

test(`frames: ${INPUTS} damaged or random inputs give frames or a protocol error, nothing else (seed ${SEED})`, () => {
  const random = seeded(SEED)
  const samples = Object.values(SAMPLES).map(sample => fromHex(sample.hex))
  for (let i = 0; i < INPUTS; i++) {
    const sample = samples[i % samples.length]!
    const bytes = random() < 0.3 ? randomBytes(random, Math.floor(random() * 64)) : damage(sample, random)
    for (const from of ['client', 'server'] as const) survives(() => [...decodeFrames(bytes, from)])
  }
  expect(Object.prototype).not.toHaveProperty('x')
})

test(`messages: ${INPUTS} damaged or random inputs are walked within their bounds or refused (seed ${SEED})`, () => {
  const random = seeded(SEED)
  const sample = fromHex(
    '02000000 6869  05000020 20000000 0203 0174 060178 0179 02 0169 03 07 03016d 06 00000000000000c0 0a 03000000 010165 68656c6c6f 00000000',
  )
  const cursor = new MessageCursor()
  for (let i = 0; i < INPUTS; i++) {
    const bytes = random() < 0.3 ? randomBytes(random, Math.floor(random() * 64)) : damage(sample, random)
    survives(() => {
      cursor.open(bytes)
      while (cursor.next()) {
        expect(cursor.bodyEnd).toBeLessThanOrEqual(bytes.length)
        expect(cursor.bodyStart).toBeLessThanOrEqual(cursor.bodyEnd)
        survives(() => cursor.properties())
      }
    })
    survives(() => countMessages(bytes))
  }
})

test('a megabyte of the dearest bytes takes no longer than in proportion', () => {
  const dearest: Record<string, string> = { maps: '0900', lists: '0801', keys: '0901016100', texts: '0601ff' }
  for (const [name, hex] of Object.entries(dearest)) {
    const unit = fromHex(hex)
    const bytes = new Uint8Array(1024 * 1024)
    for (let at = 16; at + unit.length < bytes.length; at += unit.length) bytes.set(unit, at)
    bytes.set([0x07, 0x01, 0x01, 0x61, 0x08, 0x80, 0x20], 4)
    new DataView(bytes.buffer).setUint32(0, bytes.length - 4, true)
    const start = performance.now()
    survives(() => [...decodeFrames(bytes, 'client')])
    expect(performance.now() - start, name).toBeLessThan(500)
  }
})
