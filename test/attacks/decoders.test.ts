import { connect, type Delivery } from '@sluice/client'
import { ByteWriter } from '@sluice/protocol'
import { describe, expect, test } from 'vitest'
import { codecOf } from '../../clients/typescript/src/codecs.ts'
import { processorTime } from '../support/processor.ts'
import { ask, Native, startVictim, type Victim } from './support.ts'

const msgpack = codecOf<unknown>('msgpack')

/** Refused before anything of it is built. 5 ms is what the bytes take, 50 is for a busy machine. */
function refusedAtOnce(bytes: Uint8Array): void {
  const spent = processorTime()
  expect(() => msgpack.decode(bytes)).toThrow(TypeError)
  expect(spent()).toBeLessThan(50)
}

describe('a body in MessagePack that somebody else has made', () => {
  test('attack 13: with an integer of 4 MB in an extension, which took msgpackr ten seconds', () => {
    const bytes = Buffer.alloc(6 + 4 * 2 ** 20, 0x7f)
    bytes[0] = 0xc9
    bytes.writeUInt32BE(4 * 2 ** 20, 1)
    bytes[5] = 0x42
    refusedAtOnce(bytes)
  })

  test.each<[string, Buffer]>([
    ['a million levels', Buffer.alloc(1_000_000, 0x91)],
    ['a million levels of maps', Buffer.from('81a161'.repeat(1_000_000), 'hex')],
    ['a record definition', Buffer.from('d4720193a16101', 'hex')],
    ['a typed array', Buffer.from('c7097406000000000000f03f', 'hex')],
    ['an error', Buffer.from('c70265c0c0', 'hex')],
    ['a pattern', Buffer.from('c70378c0c0c0', 'hex')],
    ['a set', Buffer.from('c70273c0c0', 'hex')],
    ['the byte that is never used', Buffer.from('c1', 'hex')],
    ['a list of four billion', Buffer.from('ddffffffff', 'hex')],
    ['a map of four billion', Buffer.from('dfffffffff', 'hex')],
    ['a text of four billion', Buffer.from('dbffffffff', 'hex')],
    ['bytes of four billion', Buffer.from('c6ffffffff', 'hex')],
    ['an extension of four billion', Buffer.from('c9ffffffffff', 'hex')],
    ['a second value', Buffer.from('c0c0', 'hex')],
    ['nothing', Buffer.alloc(0)],
  ])('attack 13: with %s is refused at once', (_, bytes) => {
    refusedAtOnce(bytes)
  })

  test('is decoded as before when it is sound, however large its parts are', () => {
    const long = 'x'.repeat(70_000)
    const sound = {
      none: null,
      yes: true,
      no: false,
      numbers: [0, 127, 128, 255, 256, 65_536, 2 ** 40, -1, -32, -33, -129, -40_000, -(2 ** 33), 1.5, 2 ** 53],
      texts: ['', 'a', 'x'.repeat(40), 'x'.repeat(300), long],
      bytes: [Buffer.alloc(3), Buffer.alloc(300), Buffer.alloc(70_000)],
      lists: [[], Array.from({ length: 20 }, () => 1), Array.from({ length: 70_000 }, () => null)],
      map: Object.fromEntries(Array.from({ length: 60_000 }, (_, key) => [`k${key}`, key])),
      at: [new Date(1e12), new Date(1e12 + 1), new Date(-1e12)],
      deep: JSON.parse(`${'['.repeat(100)}${']'.repeat(100)}`),
    }
    expect(msgpack.decode(msgpack.encode(sound))).toEqual(sound)
  })

  test('agrees with what decodes it on every cut of a sound one', () => {
    const bytes = msgpack.encode({ a: [1, 'two', new Date(1e12)], b: { c: null, d: Buffer.alloc(40) } })
    for (let end = 0; end < bytes.length; end++) expect(() => msgpack.decode(bytes.subarray(0, end))).toThrow(TypeError)
  })
})

describe('what the server decodes itself', () => {
  /** Half a second of processor time is ten times what it takes; by the clock it would be a question of what else runs. */
  async function isQuick(work: () => Promise<unknown>): Promise<void> {
    const spent = processorTime()
    await work()
    expect(spent()).toBeLessThan(500)
  }

  const declare = (victim: Victim, queue: string, options: object = {}) =>
    ask(victim, 'PUT', `/v1/queues/${queue}`, {
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(options),
    })

  test('attack 13: JSON of a million levels and of a hundred thousand keys is refused', async () => {
    const victim = await startVictim()
    const keys = Array.from({ length: 60_000 }, (_, key) => `"${key}":0`)
    const headers = { 'content-type': 'application/json' }
    for (const body of ['['.repeat(1_000_000), `{"a":${'['.repeat(900_000)}`, `{${keys.join()}}`]) {
      await isQuick(async () => {
        expect((await ask(victim, 'PUT', '/v1/queues/q', { headers, body })).status).toBe(400)
      })
    }
  })

  test('attack 13: a body of a million levels or keys is only bytes, also where a filter looks at it', async () => {
    const victim = await startVictim()
    await declare(victim, 'q', { filter: '/a/b = 1 OR /c IS NULL', barrier: '/eof = 1', group: '/g' })
    const keys = `{${Array.from({ length: 100_000 }, (_, key) => `"k${key}":0`).join()}}`
    for (const body of ['['.repeat(1_000_000), '{"a":'.repeat(200_000), keys, `{"a":${'9'.repeat(1_000_000)}}`]) {
      await isQuick(async () => {
        expect([201, 422]).toContain((await ask(victim, 'POST', '/v1/queues/q/messages', { body })).status)
      })
    }
  })

  test('attack 13: values of the native protocol have a depth, a length and a total', async () => {
    const victim = await startVictim()
    const list = (count: number, of: Buffer) => {
      const writer = new ByteWriter()
      writer.u8(8)
      writer.uint(count)
      return Buffer.concat([writer.take(), of])
    }
    let deep = Buffer.from([0])
    for (let level = 0; level < 10_000; level++) deep = list(1, deep)
    let wide = list(0, Buffer.alloc(0))
    for (let level = 0; level < 4; level++) wide = list(4_000_000_000, wide)
    for (const value of [deep, wide]) {
      const native = await Native.welcomed(victim.url)
      const writer = new ByteWriter()
      writer.uint(1)
      writer.text('queues')
      // Parameters are a map: one entry, with the value.
      writer.u8(9)
      writer.uint(1)
      writer.text('a')
      const params = Buffer.concat([writer.take(), value])
      // A `request` frame made by hand: its length, its number, and what is in it.
      const frame = Buffer.alloc(5)
      frame.writeUInt32LE(params.length + 1)
      frame[4] = REQUEST
      await isQuick(async () => {
        native.socket.send(Buffer.concat([frame, params]))
        expect(await native.closed).toBe(1002)
        expect(native.frames).toMatchObject([
          { fields: { detail: expect.stringMatching(/nested deeper|entries|count|more/) } },
        ])
      })
    }
  })

  test('attack 13: a consumer whose body cannot be decoded goes on with the next', async () => {
    const victim = await startVictim()
    await declare(victim, 'q', { deliveries_max: 1 })
    const bomb = Buffer.alloc(6 + 2 ** 20, 0x7f)
    bomb[0] = 0xc9
    bomb.writeUInt32BE(2 ** 20, 1)
    bomb[5] = 0x42
    for (const body of [bomb, msgpack.encode({ n: 1 })]) await ask(victim, 'POST', '/v1/queues/q/messages', { body })
    const client = await connect(victim.url)
    const loop = client.queue<{ n: number }>('q', { codec: 'msgpack' }).consume({ prefetch: 1 })
    const bodies: unknown[] = []
    await isQuick(async () => {
      for await (const delivery of loop as AsyncIterable<Delivery<{ n: number }>>) {
        if (delivery.kind !== 'message') continue
        try {
          bodies.push(delivery.body)
        } catch (error) {
          expect(error).toMatchObject({ name: 'InvalidMessageError' })
          await delivery.reject('not MessagePack')
          continue
        }
        await delivery.ack()
        break
      }
    })
    expect(bodies).toEqual([{ n: 1 }])
    await client.close()
  })
})

/** Number of the frame in protocol/src/frames.ts. */
const REQUEST = 7
