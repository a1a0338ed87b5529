import {
  ByteWriter,
  decodeFrames,
  encodeMessage,
  type FrameFrom,
  type FrameInputs,
  type FrameName,
  ProtocolError,
} from '@sluice/protocol'
import { expect } from 'vitest'
import type { Peer, QueueView } from '../../src/engine/peer.ts'
import { NativeConnection } from '../../src/listeners/native/connection.ts'
import { TestClock } from '../listeners/native-support.ts'
import { testEngine } from '../support/engine.ts'
import { Random } from '../support/random.ts'
import { damage } from './bytes.ts'
import { fuzz, hex, same } from './harness.ts'
import { encoded, someFields, someRecords } from './values.ts'

/*
 * The whole connection with the whole engine behind it, without a socket: what a client may say, well and badly.
 */

const CLIENT_FRAMES: readonly FrameName[] = [
  'publish',
  'publish',
  'publish',
  'publishAtomic',
  'subscribe',
  'subscribe',
  'resubscribe',
  'unsubscribe',
  'settle',
  'settle',
  'settle',
  'request',
  'request',
]
const HELLO = { version: 2, name: 'ann', producer: 'a'.repeat(32), token: '', heartbeatMs: 0 }

interface Talk {
  readonly frames: readonly Uint8Array[]
  /** Those of the frames that are broken: one may swallow what stands behind it in the same message. */
  readonly damaged: ReadonlySet<number>
  readonly seed: number
}

const reached = { confirmed: 0, delivered: 0, settled: 0, responses: 0, barriers: 0, ended: 0, stayed: 0, sureBytes: 0 }

function makeTalk(random: Random): Talk {
  const frames: Uint8Array[] = []
  if (random.chance(0.98)) frames.push(encoded('hello', HELLO))
  const damaged = new Set<number>()
  const state = { number: 1, subscription: 0, request: 0, delivery: 1 }
  for (let count = random.between(3, 25); count > 0; count--) {
    const name = random.chance(0.99) ? random.of(CLIENT_FRAMES) : 'hello'
    const fields = { ...someFields(name, random) } as Record<string, unknown>
    if (random.chance(0.95)) Object.assign(fields, likely(name, random, state))
    const frame = encoded(name, fields as never as FrameInputs[typeof name])
    if (random.chance(0.99)) frames.push(frame)
    else damaged.add(frames.push(damage(frame, random)) - 1)
  }
  return { frames, damaged, seed: random.below(1e9) }
}

/** As programs send them: hardly a property, now and then a barrier. */
function plainRecords(random: Random, count: number): Uint8Array {
  const writer = new ByteWriter()
  for (let left = count; left > 0; left--) {
    const properties = random.chance(0.3) ? { barrier: {} } : undefined
    encodeMessage(writer, properties, Buffer.from(random.of(['', '{"a":1}', 'x'.repeat(100)])))
  }
  return writer.take()
}

/** Numbers that go on from the frames before, as those of a real client do. */
function likely(
  name: FrameName,
  random: Random,
  state: { number: number; subscription: number; request: number; delivery: number },
): object {
  switch (name) {
    case 'publish': {
      const count = random.between(1, 4)
      const number = state.number
      state.number += count
      const flags = random.of([0, 0, 0, 0, 1, 2, 4])
      const messages = random.chance(0.5) ? plainRecords(random, count) : someRecords(random, count)
      return { queue: 'q', number, answeredUpTo: 0, flags, count, messages }
    }
    case 'subscribe':
      return {
        subscription: ++state.subscription,
        queue: random.of(['q', 'q', 'out']),
        prefetch: random.of([0, 1, 5, 100]),
        leaseMs: random.of([0, 0, 1, 30_000]),
        filter: random.of(['', '', '', '/a > 0']),
        afterBatch: random.of([0, 0, 1]),
      }
    case 'settle': {
      const first = state.delivery
      const count = random.chance(0.3) ? 100 : random.between(1, 3)
      if (random.chance(0.7)) state.delivery += count
      const request = random.chance(0.5) ? ++state.request : 0
      const publish = random.chance(0.1) ? [{ queue: 'out', count: 1, messages: someRecords(random, 1) }] : []
      return {
        request,
        subscription: random.between(1, state.subscription + 1),
        deliveries: [{ first, count }],
        publish,
      }
    }
    case 'request':
      return { id: ++state.request }
    default:
      return {}
  }
}

interface Heard {
  readonly frames: readonly FrameFrom<'server'>[]
  readonly queues: string
  readonly closed: string | undefined
}

/** Says it all, several frames to a message, with a commit behind each message. */
async function say({ frames, damaged }: Talk, size: (frame: number) => number): Promise<Heard> {
  const { engine, journal, failures, clock: time } = await testEngine({ autoCreate: true })
  const clock = new TestClock()
  const sent: Uint8Array[] = []
  let closed: string | undefined
  const socket = {
    send: (bytes: Uint8Array) => void sent.push(bytes),
    buffered: () => 0,
    close: () => {
      const last = [...decodeFrames(sent.at(-1) ?? new Uint8Array(0), 'server')].at(-1)
      closed =
        last?.name === 'goodbye'
          ? `${last.fields.code}: ${last.fields.detail.replace(/[0-9]+ are there, at offset [0-9]+$|at offset [0-9]+$/, '')}`
          : 'without a goodbye'
    },
  }
  const connection = new NativeConnection({ engine, clock, socket, address: 'there', serverName: 'test' })
  const settleDown = (): void => {
    journal.commitAll()
    time.advance(0)
    journal.commitAll()
    clock.tick()
  }
  for (let at = 0; at < frames.length; ) {
    let count = 1
    for (const most = size(at); count < most && !damaged.has(at + count - 1); ) count++
    connection.receive(Buffer.concat(frames.slice(at, at + count)))
    settleDown()
    at += count
  }
  await new Promise(resolve => setImmediate(resolve))
  settleDown()
  const looker = engine.attach({ name: 'looker' }, NOBODY)
  const queues = JSON.stringify(queuesOf(looker).map(withSureBytes))
  connection.closed()
  settleDown()
  for (const { name, leased } of looker.queues()) same(leased, 0, `messages of ${name} that a closed connection holds`)
  same(failures.length, 0, 'failures of the journal')
  const heard = sent.flatMap(bytes => [...decodeFrames(bytes, 'server')])
  await engine.close()
  return { frames: heard, queues, closed }
}

function queuesOf(looker: Peer): readonly QueueView[] {
  return [...looker.queues()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

/**
 * Bytes of bodies are exact in sum. Where a run of alike neighbours is parted each message counts their average
 * (docs/guarantees.md, limits), and which neighbours are one run when somebody takes a part of them depends on what came
 * together: so they are compared exactly while all messages are there or none is, and else only have to be possible.
 */
function withSureBytes(view: QueueView): object {
  const { ready = 0, leased = 0, delayed = 0, publishedTotal = 0, bytes = 0 } = view
  const live = ready + leased + delayed
  same(Number.isSafeInteger(bytes) && bytes >= 0, true, `bytes of ${view.name}: ${bytes}`)
  if (live === 0) same(bytes, 0, `bytes of ${view.name}, which is empty`)
  // A dead letter takes along what it counted where it came from.
  if (live > 0 && live === publishedTotal && !view.name.endsWith('.dead')) {
    if (bytes > 0) reached.sureBytes++
    return view
  }
  const { bytes: _, ...rest } = view
  return rest
}

const NOBODY = {
  deliver() {},
  barrier() {},
  leaseLost() {},
  cancelled() {},
  closed() {},
  isFull: () => false,
  pressure() {},
}

/** How many messages each queue was sent, and how many answers came for it. */
function expectAnswered(talk: Talk, { frames }: Heard): void {
  const open = new Map<string, bigint>()
  const count = (queue: string, messages: number): void =>
    void open.set(queue, (open.get(queue) ?? 0n) + BigInt(messages))
  for (const frame of framesOf(talk)) {
    if (frame.name === 'publish') count(frame.fields.queue, frame.fields.count)
    if (frame.name === 'publishAtomic') for (const part of frame.fields.parts) count(part.queue, part.count)
  }
  for (const { name, fields } of frames)
    if (name === 'confirm' || name === 'refused') count(fields.queue, -fields.count)
  for (const [queue, left] of open) same(left, 0n, `messages to ${queue} without an answer`)
}

function framesOf({ frames }: Talk): FrameFrom<'client'>[] {
  return frames.flatMap(bytes => {
    try {
      return [...decodeFrames(bytes, 'client')]
    } catch (error) {
      if (error instanceof ProtocolError) return []
      throw error
    }
  })
}

fuzz<Talk>({
  title: 'P8, R9: whatever a client says, each message gets one answer, what it held comes back, and nothing throws',
  share: 0.01,
  make: makeTalk,
  run: async talk => {
    const one = await say(talk, () => 1)
    const random = new Random(talk.seed)
    const many = await say(talk, () => random.between(1, 8))
    // However the frames are put into WebSocket messages; but a number is free again when its answer has come.
    const isTimely = [one, many].some(({ closed }) => closed?.includes('still waits for its answer'))
    if (!isTimely) same(many.closed, one.closed, 'why the connection was closed')
    if (!isTimely && one.closed === undefined && many.queues !== one.queues)
      expect(JSON.parse(many.queues), 'queues after other messages with the same frames').toEqual(
        JSON.parse(one.queues),
      )
    for (const heard of [one, many]) {
      if (heard.closed === undefined) {
        expectAnswered(talk, heard)
        reached.stayed++
      } else {
        reached.ended++
        same(heard.frames.at(-1)?.name, 'goodbye', 'the last frame')
      }
      for (const { name } of heard.frames) {
        if (name === 'confirm') reached.confirmed++
        if (name === 'deliver') reached.delivered++
        if (name === 'settled') reached.settled++
        if (name === 'barrier') reached.barriers++
        if (name === 'response') reached.responses++
      }
    }
  },
  show: ({ frames, seed }) => `${seed} ${frames.map(hex).join(' ')}`,
  reached: () => {
    for (const [what, count] of Object.entries(reached)) expect(count, what).toBeGreaterThan(0)
  },
})
