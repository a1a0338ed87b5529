import { isDeepStrictEqual } from 'node:util'
import {
  ByteWriter,
  countMessages,
  decodeFrames,
  decodeMessage,
  type End,
  encodeFrame,
  encodeMessage,
  FRAMES,
  type FrameName,
  MessageCursor,
  ProtocolError,
} from '@sluice/protocol'
import { expect } from 'vitest'
import { bodyBytesOf, recordAt } from '../../src/journal/table/records.ts'
import { fromHex, SAMPLES } from '../protocol/samples.ts'
import type { Random } from '../support/random.ts'
import { damage, randomBytes } from './bytes.ts'
import { FRAME_INPUTS, RECORD_INPUTS } from './crafted.ts'
import { fuzz, hex, outcomeOf, same } from './harness.ts'
import { encoded, someFields, someRecords } from './values.ts'

const NAMES = Object.keys(FRAMES) as FrameName[]
const WITH_VALUES = new Set(
  NAMES.filter(name => Object.values(FRAMES[name].fields).some(type => type === 'value' || type === 'map')),
)
const isProtocolError = (error: unknown): boolean => error instanceof ProtocolError
const reached = { frames: 0, refused: 0, records: 0, properties: 0, brokenRecords: 0 }

interface Bytes {
  readonly bytes: Uint8Array
  /** Encoded just so: to be refused would be wrong. */
  readonly isWhole: boolean
}

function someFrames(random: Random): Uint8Array {
  const from = random.of(['client', 'server'] as const)
  const names = NAMES.filter(name => FRAMES[name].from === from)
  const count = random.chance(0.7) ? 1 : random.between(2, 5)
  const frames = Array.from({ length: count }, () => {
    const name = random.of(names)
    return random.chance(0.2) ? fromHex(SAMPLES[name].hex) : encoded(name, someFields(name, random))
  })
  return Buffer.concat(frames)
}

/** Each frame of what one end may send, as it was encoded and as it is again. */
function decodeAll(bytes: Uint8Array, from: End): string[] {
  return [...decodeFrames(bytes, from)].map(({ name, fields }) => {
    const again = encoded(name, fields as never)
    const [twice] = [...decodeFrames(again, from)]
    same(twice?.name, name)
    const writer = new ByteWriter()
    encodeFrame(writer, name, twice!.fields as never)
    same(hex(writer.take()), hex(again))
    return hex(again)
  })
}

fuzz<Bytes>({
  title: 'P8, R9: any bytes are frames or a protocol error, and what is decoded comes back the same when it is encoded',
  crafted: Object.fromEntries(Object.entries(FRAME_INPUTS).map(([name, bytes]) => [name, { bytes, isWhole: false }])),
  make: random => {
    if (random.chance(0.1)) return { bytes: randomBytes(random, random.below(64)), isWhole: false }
    const bytes = someFrames(random)
    return random.chance(0.3) ? { bytes, isWhole: true } : { bytes: damage(bytes, random), isWhole: false }
  },
  run: ({ bytes, isWhole }) => {
    let refused = ''
    const before = hex(bytes)
    for (const from of ['client', 'server'] as const) {
      const outcome = outcomeOf(() => decodeAll(bytes, from), isProtocolError)
      if ('error' in outcome) {
        reached.refused++
        // What the other end sends is refused by its type, at once.
        if (!/^frame type [0-9]+ does not come from/.test(outcome.error.replace('protocol-error: ', '')))
          refused = outcome.error
      } else {
        reached.frames += outcome.value.length
        // A general value may say a whole number as a float; everything else has one form alone.
        const isPlain = [...decodeFrames(bytes, from)].every(({ name }) => !WITH_VALUES.has(name))
        if (isPlain) same(outcome.value.join(''), before)
      }
    }
    same(hex(bytes), before)
    if (isWhole) same(refused, '', 'why a whole frame was refused')
  },
  show: ({ bytes }) => hex(bytes),
  reached: () => {
    expect(reached.frames).toBeGreaterThan(100)
    expect(reached.refused).toBeGreaterThan(100)
  },
})

fuzz({
  title: 'P6: any bytes are message records or refused, and wire and journal find the same bodies in them',
  crafted: RECORD_INPUTS,
  make: random => {
    if (random.chance(0.1)) return randomBytes(random, random.below(64))
    const bytes = someRecords(random, random.below(4))
    return random.chance(0.3) ? bytes : damage(bytes, random)
  },
  run: bytes => {
    const walked = outcomeOf(() => walk(bytes), isProtocolError)
    const counted = outcomeOf(() => countMessages(bytes), isProtocolError)
    same('error' in walked, 'error' in counted)
    // What was kept is read without checks: it must not throw on anything, and agree where the checks pass.
    const sum = bodyBytesOf(bytes)
    recordAt(bytes, 1)
    if ('error' in walked || 'error' in counted) {
      reached.brokenRecords++
      return
    }
    same(walked.value.length, counted.value)
    same(
      sum,
      walked.value.reduce((all, { body }) => all + body.length, 0),
    )
    // Finding each from the front again: of thousands the first will do.
    for (const [index, { record }] of walked.value.slice(0, 100).entries()) {
      reached.records++
      same(hex(recordAt(bytes, index) ?? new Uint8Array(0)), hex(record))
      const message = outcomeOf(() => decodeMessage(record), isProtocolError)
      if ('error' in message) continue
      if (message.value.properties) reached.properties++
      const writer = new ByteWriter()
      encodeMessage(writer, message.value.properties, message.value.body)
      const again = writer.take()
      const twice = decodeMessage(again)
      // An empty block of properties is written as none.
      const wanted = { properties: {}, ...message.value }
      if (!isDeepStrictEqual({ properties: {}, ...twice }, wanted)) expect(twice).toEqual(message.value)
    }
  },
  show: hex,
  reached: () => {
    expect(reached.records).toBeGreaterThan(100)
    expect(reached.properties).toBeGreaterThan(100)
    expect(reached.brokenRecords).toBeGreaterThan(100)
  },
})

function walk(bytes: Uint8Array): { record: Uint8Array; body: Uint8Array }[] {
  const cursor = new MessageCursor().open(bytes)
  const records: { record: Uint8Array; body: Uint8Array }[] = []
  while (cursor.next()) {
    same(cursor.bodyEnd <= bytes.length && cursor.bodyStart <= cursor.bodyEnd, true, 'within its bounds')
    records.push({ record: bytes.subarray(cursor.recordStart, cursor.bodyEnd), body: cursor.body() })
  }
  return records
}
