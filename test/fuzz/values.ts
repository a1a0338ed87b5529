import {
  ByteWriter,
  encodeFrame,
  encodeMessage,
  FRAMES,
  type FrameInputs,
  type FrameName,
  type MessageProperties,
  SETTLE_HOW,
  SETTLE_RESULTS,
} from '@sluice/protocol'
import type { Random } from '../support/random.ts'
import { randomBytes } from './bytes.ts'

/* Well-formed things to begin with: damaged a little they come far into a decoder. */

const TEXTS = [
  '',
  'q',
  'out',
  'q.dead',
  '@7',
  'ünï',
  '\u{1f600}',
  '__proto__',
  'constructor',
  'a'.repeat(255),
  '\ufeff',
  '\0',
]
const NUMBERS = [0, 1, 2, 3, 127, 128, 300, 16_383, 16_384, 2 ** 31, 2 ** 32, 2 ** 53 - 1]

export const someText = (random: Random): string => random.of(TEXTS)
export const someNumber = (random: Random): number => (random.chance(0.7) ? random.below(10) : random.of(NUMBERS))

function list<T>(random: Random, most: number, one: () => T): T[] {
  return Array.from({ length: random.below(most + 1) }, one)
}

export function someValue(random: Random, depth = 0): never {
  const dice = random.below(depth > 3 ? 8 : 10)
  const value = (): unknown => {
    if (dice === 8) return list(random, 4, () => someValue(random, depth + 1))
    if (dice === 9) return someMap(random, depth + 1)
    return [
      null,
      true,
      false,
      someNumber(random),
      -someNumber(random),
      random.of([0.5, -0, Number.NaN, Number.POSITIVE_INFINITY, 1e300]),
      someText(random),
      randomBytes(random, random.below(6)),
    ][dice]
  }
  return value() as never
}

function someMap(random: Random, depth: number): Record<string, unknown> {
  const map: Record<string, unknown> = Object.create(null)
  for (let entries = random.below(5); entries > 0; entries--) map[someText(random)] = someValue(random, depth)
  return map
}

export function someProperties(random: Random): MessageProperties | undefined {
  if (random.chance(0.3)) return undefined
  const text = (): string => random.of(TEXTS.filter(text => text !== '' && !text.startsWith('@')))
  const maybe = <T>(name: string, value: () => T): object => (random.chance(0.25) ? { [name]: value() } : {})
  return {
    ...maybe('contentType', text),
    ...maybe('headers', () => Object.fromEntries(list(random, 3, () => [text(), text()]))),
    ...maybe('messageId', text),
    ...maybe('correlationId', text),
    ...maybe('replyTo', text),
    ...maybe('priority', () => random.of([0, -1, 2.5, 1e300])),
    ...maybe('ttlMs', () => someNumber(random)),
    ...maybe('delayMs', () => random.below(3)),
    ...maybe('group', text),
    ...maybe('barrier', () => ({
      ...maybe('name', text),
      ...maybe('deadlineMs', () => someNumber(random)),
      ...maybe('rest', () => random.of(['carry', 'dead-letter', 'drop'] as const)),
      ...maybe('parties', () => random.between(1, 3)),
      ...maybe('party', text),
      ...maybe('forward', () => list(random, 3, text)),
    })),
  }
}

const BODIES = ['', 'x', '{"a":1}', '{"a":[1,2,{"b":"c"}]}', 'null', '[', '\ud800', '{"is_eof":true}']

/** Message records one after another. */
export function someRecords(random: Random, count: number): Uint8Array {
  const writer = new ByteWriter()
  for (let left = count; left > 0; left--) {
    const body = random.chance(0.8) ? Buffer.from(random.of(BODIES)) : randomBytes(random, random.below(80))
    encodeMessage(writer, someProperties(random), body)
  }
  return writer.take()
}

const METHODS = [
  'declare',
  'queues',
  'queue',
  'delete',
  'wait',
  'cancel',
  'barrier',
  'barriers',
  'holdouts',
  'receipt',
  'ping',
  'update',
  'pause',
  'resume',
  'purge',
  'browse',
  'operate',
  'dead',
  'requeue',
  'purge-dead',
  'cancel-barrier',
  'extend-barrier',
  'nonsense',
]
const PARAMS = {
  name: ['q', 'out', 'none', '__proto__'],
  queue: ['q', 'out', 'none', '__proto__'],
  barrier: ['eof', '@1', '@x', ''],
  id: [1, 2, 0, -1],
  after: [0, 1, 2 ** 53 - 1, 'x'],
  limit: [1, 1_000, 0, 1e9],
  timeout_ms: [0, 1, 1e12],
  leased: [true, false, 1],
  state: ['ready', 'leased', 'delayed', 'x'],
  filter: ['/a = 1', '', '((((', '/a LIKE "(a*)*b"'],
  sequence: [1, 2, 0, 99],
  act: ['release', 'dead-letter', 'delete', 'x'],
  batch: ['eof', '@1'],
  rest: ['carry', 'dead-letter', 'drop', 'x'],
  deadline_ms: [0, 5, 1e15],
  options: [{}, { lease: '30s' }, { deliveries_max: 1 }, { nonsense: 1 }, { barrier: '/is_eof = 1' }, { lease: [] }, 7],
} as const

function someParams(random: Random): Record<string, unknown> {
  const params: Record<string, unknown> = Object.create(null)
  for (const [name, values] of Object.entries(PARAMS)) if (random.chance(0.35)) params[name] = random.of(values)
  if (random.chance(0.1)) params[someText(random) || 'x'] = someValue(random)
  return params
}

/** Fields for one frame of any kind, most of them as a real client would fill them. */
export function someFields<N extends FrameName>(name: N, random: Random): FrameInputs[N] {
  if (name === 'request' && random.chance(0.8))
    return { id: random.below(5), method: random.of(METHODS), params: someParams(random) } as never
  const fields = Object.entries(FRAMES[name].fields).map(([field, type]) => [field, someField(field, type, random)])
  return Object.fromEntries(fields)
}

const QUEUES = ['q', 'q', 'q', 'out', 'none', '', '__proto__']

function someField(field: string, type: string, random: Random): unknown {
  if (field === 'queue') return random.of(QUEUES)
  if (field === 'producer') return random.of(['a'.repeat(32), 'f'.repeat(32), '', 'A'.repeat(32)])
  if (field === 'filter') return random.of(['', '/a = 1', '/a LIKE "x"', '(('])
  if (field === 'messages') return someRecords(random, random.below(3))
  const range = (): object => ({ first: someNumber(random), count: someNumber(random) })
  switch (type) {
    case 'uint':
      return someNumber(random)
    case 'bool':
      return random.chance(0.5)
    case 'text':
      return someText(random)
    case 'bytes':
      return randomBytes(random, random.below(10))
    case 'value':
      return someValue(random)
    case 'map':
      return someMap(random, 0)
    case 'how':
      return random.of(SETTLE_HOW)
    case 'ranges':
      return list(random, 3, range)
    case 'results':
      return list(random, 3, () => ({ ...range(), result: random.of(SETTLE_RESULTS) }))
    case 'carried':
      return list(random, 2, () => {
        const count = random.below(3)
        return { queue: random.of(QUEUES), count, messages: someRecords(random, count) }
      })
    default:
      return list(random, 2, () => {
        const count = random.below(3)
        const numbers = { number: someNumber(random), answeredUpTo: someNumber(random), flags: random.of([0, 4]) }
        return { queue: random.of(QUEUES), ...numbers, count, messages: someRecords(random, count) }
      })
  }
}

export function encoded<N extends FrameName>(name: N, fields: FrameInputs[N]): Uint8Array {
  const writer = new ByteWriter()
  encodeFrame(writer, name, fields)
  return writer.take()
}
