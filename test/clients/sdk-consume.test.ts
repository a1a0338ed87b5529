import type { Barrier, Delivery, Message } from '@sluice/client'
import { describe, expect, test } from 'vitest'
import { bodiesOf, type FakeConnection, FakeServer, quiet, records } from './support/fake-server.ts'

async function consuming(server = new FakeServer(), options = {}) {
  const { client, connection } = await server.connect()
  const lost: unknown[] = []
  client.addEventListener('lease-lost', event => lost.push(event.detail))
  const deliveries = client.queue<number>('q').consume(options)
  const { subscription } = await connection.next('subscribe')
  return { server, client, connection, deliveries, subscription, lost }
}

async function messageFrom(deliveries: AsyncIterator<Delivery<number>>): Promise<Message<number>> {
  const { value } = await deliveries.next()
  expect(value?.kind).toBe('message')
  return value as Message<number>
}

function settlesOf(connection: FakeConnection) {
  return connection.all('settle').map(({ how, valueMs, reason, deliveries }) => ({ how, valueMs, reason, deliveries }))
}

const plain = { valueMs: 0, reason: '' }

describe('deliveries', () => {
  test('D8: a subscription asks for the prefetch of its client, or its own', async () => {
    const { client, connection } = await new FakeServer().connect({ prefetch: 7 })
    client.queue('q').consume()
    client.queue('q').consume({ prefetch: 0, filter: '/a = 1', leaseMs: 500, concurrency: 3 })
    const none = { queue: 'q', afterBatch: 0 }
    expect(await connection.next('subscribe')).toEqual({
      ...none,
      subscription: 1,
      prefetch: 7,
      concurrency: 1,
      leaseMs: 0,
      filter: '',
    })
    expect(await connection.next('subscribe')).toEqual({
      ...none,
      subscription: 2,
      prefetch: 0,
      concurrency: 3,
      leaseMs: 500,
      filter: '/a = 1',
    })
  })

  test('D5: a message shows where it stands, which attempt it is, and what was said of it', async () => {
    const { connection, deliveries, subscription } = await consuming()
    const origin = { queue: 'p', sequence: 4, batch: 0, attempts: 2, published_at: 1, dead_at: 2, reason: 'rejected' }
    const messages = records([5], { headers: { store: 17 }, messageId: 'm' })
    connection.deliver(subscription, 1, [5], { batch: 3, attempt: 2, redelivered: true, origin, messages })
    const message = await messageFrom(deliveries)
    expect(message).toMatchObject({
      queue: 'q',
      sequence: 101,
      batch: 3,
      attempt: 2,
      redelivered: true,
      body: 5,
      messageId: 'm',
    })
    expect(message.headers).toEqual({ store: 17 })
    expect(message.origin).toMatchObject({ queue: 'p', attempts: 2, deadAt: 2, reason: 'rejected' })
  })

  test('a next() that waits gets the first delivery that comes, several in their order', async () => {
    const { connection, deliveries, subscription } = await consuming()
    const nexts = Promise.all([messageFrom(deliveries), messageFrom(deliveries), messageFrom(deliveries)])
    connection.deliver(subscription, 1, [1, 2])
    connection.deliver(subscription, 3, [3])
    expect((await nexts).map(({ body }) => body)).toEqual([1, 2, 3])
  })

  test('a body that is none of the codec throws when it is asked for, not before', async () => {
    const { connection, deliveries, subscription } = await consuming()
    connection.deliver(subscription, 1, [new Uint8Array([0x7b])])
    const message = await messageFrom(deliveries)
    expect(message.bytes).toEqual(Uint8Array.of(0x7b))
    expect(() => message.body).toThrow(/message 101 of q/)
  })

  test('a message that does not fit the schema is rejected with a warning, and the next one comes instead', async () => {
    const { client, connection } = await new FakeServer().connect()
    const warnings: unknown[] = []
    client.addEventListener('warning', event => warnings.push(event.detail))
    const schema = {
      '~standard': {
        version: 1 as const,
        vendor: 'test',
        validate: (value: unknown) => (value === 2 ? { value: 'two' } : { issues: [{ message: 'not two' }] }),
      },
    }
    const deliveries = client.queue('q', { schema }).consume()
    connection.deliver(1, 1, [1, 2])
    const { value } = await deliveries.next()
    expect((value as Message<string>).body).toBe('two')
    expect(warnings).toMatchObject([{ code: 'invalid-message', sequence: 101, detail: 'not two' }])
    expect(await connection.next('settle')).toMatchObject({ how: 'reject', reason: 'not two' })
  })

  test('B5: a barrier comes in its place, with its record; with barriers: false it is passed over', async () => {
    for (const barriers of [true, false]) {
      const { connection, deliveries, subscription } = await consuming(new FakeServer(), { barriers })
      connection.deliver(subscription, 1, [1])
      connection.releaseBarrier(subscription, { outcome: 'with-dead' })
      connection.deliver(subscription, 2, [2])
      const kinds = [await deliveries.next(), await deliveries.next()].map(({ value }) => value!.kind)
      expect(kinds).toEqual(barriers ? ['message', 'barrier'] : ['message', 'message'])
    }
  })

  test('B12: a barrier carries name, outcome, statistics and its body', async () => {
    const { connection, deliveries, subscription } = await consuming()
    connection.releaseBarrier(subscription, {}, true)
    const { value } = await deliveries.next()
    expect(value).toMatchObject({
      kind: 'barrier',
      queue: 'q',
      name: 'eof',
      sequence: 9,
      batch: 0,
      outcome: 'clean',
      replayed: true,
    })
    expect((value as Barrier).stats).toMatchObject({ published: 3, acked: 3, firstPublishedAt: 5 })
    expect((value as Barrier).body).toEqual({ eof: true })
  })

  test('a subscription that the server ends throws once what it says', async () => {
    const { connection, deliveries, subscription } = await consuming()
    const next = deliveries.next()
    connection.tell('cancelled', { subscription, code: 'queue-deleted', detail: 'gone', facts: null })
    await expect(next).rejects.toMatchObject({ code: 'queue-deleted' })
    expect(await deliveries.next()).toEqual({ value: undefined, done: true })
  })
})

describe('settling', () => {
  test('what is acked in one tick leaves as ranges in one frame, whatever the order', async () => {
    const { connection, deliveries, subscription } = await consuming()
    connection.deliver(subscription, 1, [1, 2, 3, 4, 5, 6])
    const messages = []
    for (let i = 0; i < 6; i++) messages.push(await messageFrom(deliveries))
    for (const place of [4, 0, 1, 5, 2]) await messages[place]!.ack()
    await quiet()
    const ranges = [
      { first: 1, count: 3 },
      { first: 5, count: 2 },
    ]
    expect(settlesOf(connection)).toEqual([{ how: 'ack', ...plain, deliveries: ranges }])
  })

  test('A2: nack, release, reject and extend say what they are', async () => {
    const { connection, deliveries, subscription } = await consuming()
    connection.deliver(subscription, 1, [1, 2, 3, 4, 5])
    await (await messageFrom(deliveries)).nack()
    await (await messageFrom(deliveries)).nack({ delayMs: 0 })
    await (await messageFrom(deliveries)).release()
    await (await messageFrom(deliveries)).reject('no such store')
    await (await messageFrom(deliveries)).extend(900)
    await quiet()
    const one = (first: number) => ({ deliveries: [{ first, count: 1 }] })
    expect(settlesOf(connection)).toEqual([
      { how: 'nack', ...plain, ...one(1) },
      { how: 'nack', ...plain, valueMs: 1, ...one(2) },
      { how: 'release', ...plain, ...one(3) },
      { how: 'reject', ...plain, reason: 'no such store', ...one(4) },
      { how: 'extend', ...plain, valueMs: 900, ...one(5) },
    ])
  })

  test('ack() gives the same settled promise for every message, and a second one changes nothing', async () => {
    const { connection, deliveries, subscription } = await consuming()
    connection.deliver(subscription, 1, [1, 2])
    const [first, second] = [await messageFrom(deliveries), await messageFrom(deliveries)]
    expect(first.ack()).toBe(second.ack())
    await first.nack()
    expect(await first.ack({ durable: true })).toBe('already-settled')
    await quiet()
    expect(settlesOf(connection)).toEqual([{ how: 'ack', ...plain, deliveries: [{ first: 1, count: 2 }] }])
  })

  test('A1: durable acks of one tick ask for one answer, and each gets its own result', async () => {
    const { connection, deliveries, subscription } = await consuming()
    connection.deliver(subscription, 1, [1, 2])
    const results = [await messageFrom(deliveries), await messageFrom(deliveries)].map(message =>
      message.ack({ durable: true }),
    )
    const { request, deliveries: ranges } = await connection.next('settle')
    expect(ranges).toEqual([{ first: 1, count: 2 }])
    const answers = [
      { first: 1, count: 1, result: 'acked' },
      { first: 2, count: 1, result: 'lease-lost' },
    ] as const
    connection.tell('settled', { request, results: answers, refusal: null, published: null })
    expect(await Promise.all(results)).toEqual(['acked', 'lease-lost'])
  })

  test('A1: a durable ack whose connection goes before the answer is of unknown outcome', async () => {
    const { connection, deliveries, subscription } = await consuming()
    connection.deliver(subscription, 1, [1])
    const result = (await messageFrom(deliveries)).ack({ durable: true })
    await connection.next('settle')
    connection.cut()
    await expect(result).rejects.toMatchObject({ code: 'connection-lost', retryable: true })
  })

  test('A3: ack({ upTo }) settles all that was handed out before, behind what was settled otherwise', async () => {
    const { connection, deliveries, subscription } = await consuming()
    connection.deliver(subscription, 1, [1, 2, 3, 4])
    const messages = []
    for (let k = 0; k < 4; k += 1) messages.push(await messageFrom(deliveries))
    const [first, second, third, fourth] = messages as [Message, Message, Message, Message]
    await second.nack()
    await third.ack({ upTo: true })
    expect([first.isSettled, fourth.isSettled]).toEqual([true, false])
    await first.nack()
    expect(settlesOf(connection)).toEqual([])
    await quiet()
    expect(settlesOf(connection)).toEqual([
      { how: 'nack', ...plain, deliveries: [{ first: 2, count: 1 }] },
      { how: 'ack', ...plain, deliveries: [{ first: 0, count: 3 }] },
    ])
    const result = fourth.ack({ upTo: true, durable: true })
    await quiet()
    const { request, deliveries: ranges } = connection.all('settle').at(-1)!
    expect(ranges).toEqual([{ first: 0, count: 4 }])
    connection.settled(request, 'acked', 4)
    expect(await result).toBe('acked')
  })

  test('A3: a server that does not know "everything up to" is told each delivery', async () => {
    const server = new FakeServer()
    server.welcome = { ...server.welcome, version: 2 }
    const { connection, deliveries, subscription } = await consuming(server)
    connection.deliver(subscription, 1, [1, 2, 3])
    const messages = [await messageFrom(deliveries), await messageFrom(deliveries), await messageFrom(deliveries)]
    await messages[0]!.release()
    await messages[2]!.ack({ upTo: true })
    await quiet()
    expect(settlesOf(connection).find(({ how }) => how === 'ack')?.deliveries).toEqual([{ first: 2, count: 2 }])
  })

  test('A3: after a reconnect the number of a delivery means another one, and "up to" it settles nothing', async () => {
    const { server, connection, deliveries, subscription, lost } = await consuming()
    connection.deliver(subscription, 1, [1, 2])
    const old = [await messageFrom(deliveries), await messageFrom(deliveries)]
    const next = await server.reconnect(connection)
    next.deliver(subscription, 1, [1, 2])
    const [first] = [await messageFrom(deliveries), await messageFrom(deliveries)]
    await old[1]!.ack({ upTo: true })
    expect(await old[0]!.ack({ upTo: true, durable: true })).toBe('lease-lost')
    await quiet()
    expect(next.all('settle')).toEqual([])
    expect(first?.isSettled).toBe(false)
    expect(lost.length).toBeGreaterThan(2)
  })

  test('A4: an ack that carries messages cannot be "up to"', async () => {
    const { connection, deliveries, subscription } = await consuming()
    connection.deliver(subscription, 1, [1])
    const options = { upTo: true, publish: [{ queue: 'r', body: 1 }] }
    const message = await messageFrom(deliveries)
    await expect(message.ack(options)).rejects.toMatchObject({ code: 'invalid-request' })
    expect(message.isSettled).toBe(false)
  })

  test('A4: ack({ publish }) brings its messages in one frame and resolves once acked', async () => {
    const { client, connection, deliveries, subscription } = await consuming()
    connection.deliver(subscription, 1, [1])
    const message = await messageFrom(deliveries)
    const output = client.queue<string>('out', { codec: 'text' })
    const acked = message.ack({
      publish: [
        { queue: 'a', body: { x: 1 }, headers: { k: 'v' } },
        { queue: 'a', body: 2 },
        { queue: output, body: '"text"' },
      ],
    })
    const { request, how, publish } = await connection.next('settle')
    expect([how, publish.map(({ queue, count }) => [queue, count])]).toEqual([
      'ack',
      [
        ['a', 2],
        ['out', 1],
      ],
    ])
    expect(bodiesOf(publish[0]!.messages)[0]).toEqual({ body: { x: 1 }, properties: { headers: { k: 'v' } } })
    expect(bodiesOf(publish[1]!.messages)[0]!.body).toBe('text')
    expect(message.isSettled).toBe(false)
    connection.settled(request, 'acked')
    expect(await acked).toBe('acked')
    expect(message.isSettled).toBe(true)
  })

  test('A4: a refused publish of an ack throws, and the message is still held', async () => {
    const { connection, deliveries, subscription } = await consuming()
    connection.deliver(subscription, 1, [1])
    const message = await messageFrom(deliveries)
    const acked = message.ack({ publish: [{ queue: 'nowhere', body: 1 }] })
    const { request } = await connection.next('settle')
    const refusal = { code: 'no-such-queue', detail: 'nowhere' }
    connection.tell('settled', { request, results: [], refusal, published: null })
    await expect(acked).rejects.toMatchObject({ code: 'no-such-queue' })
    expect(message.isSettled).toBe(false)
    await message.nack()
    expect((await connection.next('settle')).how).toBe('nack')
  })

  test('P4: what an ack brings is bounded, and refused here beyond it', async () => {
    const { connection, deliveries, subscription } = await consuming()
    connection.deliver(subscription, 1, [1])
    const message = await messageFrom(deliveries)
    const many = Array.from({ length: 10_001 }, () => ({ queue: 'a', body: 1 }))
    await expect(message.ack({ publish: many })).rejects.toMatchObject({ code: 'message-too-large' })
    const large = [1, 2].map(() => ({ queue: 'a', body: new Uint8Array(9_000_000) }))
    await expect(message.ack({ publish: large })).rejects.toMatchObject({ code: 'message-too-large' })
    expect(message.isSettled).toBe(false)
  })

  test('A4: ack({ publish }) throws unless it acked', async () => {
    const { connection, deliveries, subscription } = await consuming()
    connection.deliver(subscription, 1, [1])
    const acked = (await messageFrom(deliveries)).ack({ publish: [{ queue: 'a', body: 1 }] })
    connection.settled((await connection.next('settle')).request, 'lease-lost')
    await expect(acked).rejects.toMatchObject({ code: 'lease-lost' })
  })

  test('A4: ack({ publish }) is never sent again over a new connection', async () => {
    const { server, connection, deliveries, subscription } = await consuming()
    connection.deliver(subscription, 1, [1])
    const acked = (await messageFrom(deliveries)).ack({ publish: [{ queue: 'a', body: 1 }] })
    acked.catch(() => {})
    await connection.next('settle')
    const again = await server.reconnect(connection)
    await expect(acked).rejects.toMatchObject({ code: 'connection-lost' })
    await quiet()
    expect(again.all('settle')).toEqual([])
  })

  test('D7: when a lease is lost the event, the signal and a later durable ack say so', async () => {
    const { connection, deliveries, subscription, lost } = await consuming()
    connection.deliver(subscription, 1, [1, 2])
    const [first, second] = [await messageFrom(deliveries), await messageFrom(deliveries)]
    const signal = first.leaseSignal
    expect(signal.aborted).toBe(false)
    connection.tell('leaseLost', { subscription, first: 1, count: 2 })
    expect([signal.aborted, second.leaseSignal.aborted]).toEqual([true, true])
    expect(signal.reason).toMatchObject({ code: 'lease-lost' })
    expect(lost).toMatchObject([{ queue: 'q', sequence: 101 }, { sequence: 102 }])
    expect(await first.ack({ durable: true })).toBe('lease-lost')
    await expect(second.ack({ publish: [] })).rejects.toMatchObject({ code: 'lease-lost' })
    await quiet()
    expect(connection.all('settle')).toEqual([])
  })

  test('D7: a message whose lease is lost while it waits here is not handed out', async () => {
    const { connection, deliveries, subscription, lost } = await consuming()
    connection.deliver(subscription, 1, [1, 2, 3])
    connection.tell('leaseLost', { subscription, first: 2, count: 1 })
    expect([(await messageFrom(deliveries)).body, (await messageFrom(deliveries)).body]).toEqual([1, 3])
    expect(lost).toEqual([])
  })

  test('D7: an ack that came too late to count is told of, although the message is gone here', async () => {
    const { connection, deliveries, subscription, lost } = await consuming()
    connection.deliver(subscription, 1, [1])
    await (await messageFrom(deliveries)).ack()
    connection.tell('leaseLost', { subscription, first: 1, count: 1 })
    expect(lost).toEqual([{ queue: 'q' }])
  })
})

describe('leases of what waits', () => {
  test('D7: what waits in the buffer has its lease extended, what was handed out has not', async () => {
    const { server, connection, deliveries, subscription } = await consuming(new FakeServer(), { leaseMs: 900 })
    connection.deliver(subscription, 1, [1, 2, 3])
    await messageFrom(deliveries)
    server.timers.advance(300)
    expect(await connection.next('settle')).toMatchObject({
      how: 'extend',
      valueMs: 900,
      deliveries: [{ first: 2, count: 2 }],
    })
    server.timers.advance(300)
    expect(await connection.next('settle')).toMatchObject({ how: 'extend', deliveries: [{ first: 2, count: 2 }] })
  })

  test('D7: a message is handed out with its whole lease', async () => {
    const { server, connection, deliveries, subscription } = await consuming(new FakeServer(), { leaseMs: 900 })
    connection.deliver(subscription, 1, [1, 2])
    await messageFrom(deliveries)
    server.timers.advance(100)
    await messageFrom(deliveries)
    expect(await connection.next('settle')).toMatchObject({
      how: 'extend',
      valueMs: 900,
      deliveries: [{ first: 2, count: 1 }],
    })
    await quiet()
    expect(connection.all('settle')).toHaveLength(1)
  })

  test('D7: the lease of the queue counts where the subscription has none, and without one nothing is extended', async () => {
    for (const leaseMs of [600, undefined]) {
      const server = new FakeServer()
      server.leaseMs = leaseMs
      const { connection, subscription } = await consuming(server)
      connection.deliver(subscription, 1, [1])
      await quiet()
      server.timers.advance(200)
      await quiet()
      expect(connection.all('settle').map(({ how, valueMs }) => [how, valueMs])).toEqual(
        leaseMs ? [['extend', 600]] : [],
      )
    }
  })
})

describe('leaving', () => {
  test('D10: break sends the acks of this tick, unsubscribes and keeps nothing', async () => {
    const { connection, deliveries, subscription } = await consuming()
    connection.deliver(subscription, 1, [1, 2, 3])
    for await (const message of deliveries) {
      if (message.kind === 'message') await message.ack()
      break
    }
    expect(await connection.next('unsubscribe')).toEqual({ subscription })
    expect(connection.frames.slice(-2).map(({ name }) => name)).toEqual(['settle', 'unsubscribe'])
    connection.deliver(subscription, 4, [4])
    expect(await deliveries.next()).toEqual({ value: undefined, done: true })
  })

  test('an abort ends a next() that waits, as break does', async () => {
    const stop = new AbortController()
    const { connection, deliveries, subscription } = await consuming(new FakeServer(), { signal: stop.signal })
    const next = deliveries.next()
    stop.abort()
    expect(await next).toEqual({ value: undefined, done: true })
    expect(await connection.next('unsubscribe')).toEqual({ subscription })
  })

  test('a signal that is aborted already subscribes to nothing', async () => {
    const { client, connection } = await new FakeServer().connect()
    const deliveries = client.queue('q').consume({ signal: AbortSignal.abort() })
    expect(await deliveries.next()).toEqual({ value: undefined, done: true })
    await quiet()
    expect(connection.all('subscribe')).toEqual([])
  })

  test('a message that is settled after the loop was left is lost, and says so', async () => {
    const { connection, deliveries, subscription, lost } = await consuming()
    connection.deliver(subscription, 1, [1])
    const message = await messageFrom(deliveries)
    await deliveries.return()
    expect(message.leaseSignal.aborted).toBe(true)
    await message.ack()
    expect(lost).toMatchObject([{ sequence: 101 }])
  })

  test('D10: drain takes no more, gives back what waits, and goes once what was handed out is settled', async () => {
    const { client, connection, deliveries, subscription } = await consuming()
    connection.deliver(subscription, 1, [1, 2, 3])
    const message = await messageFrom(deliveries)
    const drained = client.drain()
    expect(await deliveries.next()).toEqual({ value: undefined, done: true })
    expect(await connection.next('resubscribe')).toMatchObject({ subscription, prefetch: 0 })
    expect(await connection.next('settle')).toMatchObject({ how: 'release', deliveries: [{ first: 2, count: 2 }] })
    await quiet()
    expect(connection.isClosed).toBe(false)

    await message.ack()
    await drained
    expect(await connection.next('settle')).toMatchObject({ how: 'ack', deliveries: [{ first: 1, count: 1 }] })
    expect(connection.frames.slice(-2).map(({ name }) => name)).toEqual(['unsubscribe', 'request'])
    expect([connection.isClosed, client.status]).toEqual([true, 'closed'])
  })

  test('a drain that takes too long closes, and says what is not settled', async () => {
    const { server, client, connection, deliveries, subscription } = await consuming()
    connection.deliver(subscription, 1, [1])
    await messageFrom(deliveries)
    const drained = client.drain({ timeoutMs: 50 })
    server.timers.advance(50)
    await expect(drained).rejects.toMatchObject({ code: 'timed-out', facts: { held: 1 } })
    expect(connection.isClosed).toBe(true)
  })
})

describe('after a reconnect', () => {
  test('A3: the buffer is discarded and what was handed out is lost; deliveries are numbered anew', async () => {
    const { server, connection, deliveries, subscription, lost } = await consuming()
    connection.deliver(subscription, 1, [1, 2])
    const held = await messageFrom(deliveries)
    const again = await server.reconnect(connection)
    await again.next('subscribe')
    expect(lost).toMatchObject([{ sequence: 101 }])
    expect(held.leaseSignal.aborted).toBe(true)
    await held.ack()

    again.deliver(subscription, 1, [1, 2], { redelivered: true })
    const message = await messageFrom(deliveries)
    expect(message).toMatchObject({ sequence: 101, redelivered: true })
    await message.ack()
    expect((await again.next('settle')).deliveries).toEqual([{ first: 1, count: 1 }])
    await quiet()
    expect(again.all('settle')).toHaveLength(1)
  })

  test('A3: an ack of the tick in which the connection went is not sent over the next one', async () => {
    const { server, connection, deliveries, subscription } = await consuming()
    connection.deliver(subscription, 1, [1, 2])
    const [first, second] = [await messageFrom(deliveries), await messageFrom(deliveries)]
    await second.ack()
    const durable = first.ack({ durable: true })
    const again = await server.reconnect(connection)
    expect(await durable).toBe('lease-lost')
    again.deliver(subscription, 1, [1])
    await (await messageFrom(deliveries)).ack()
    expect((await again.next('settle')).deliveries).toEqual([{ first: 1, count: 1 }])
  })

  test('B11: it names the batch that the program was in, so that a barrier still waiting here comes again', async () => {
    const { server, connection, deliveries, subscription } = await consuming()
    connection.tell('subscribed', { subscription, batch: 4, barriersMissed: 0 })
    connection.deliver(subscription, 1, [1], { batch: 4 })
    connection.releaseBarrier(subscription, { batch: 4 })
    await messageFrom(deliveries)
    const second = await server.reconnect(connection)
    expect((await second.next('subscribe')).afterBatch).toBe(5)

    second.tell('subscribed', { subscription, batch: 7, barriersMissed: 0 })
    second.releaseBarrier(subscription, { batch: 4 }, true)
    expect((await deliveries.next()).value).toMatchObject({ kind: 'barrier', replayed: true })
    const third = await server.reconnect(second)
    expect((await third.next('subscribe')).afterBatch).toBe(6)
  })

  test('B11: barriers whose records are gone are told of', async () => {
    const { client, connection, subscription } = await consuming()
    const missed: unknown[] = []
    client.addEventListener('barriers-missed', event => missed.push(event.detail))
    connection.tell('subscribed', { subscription, batch: 9, barriersMissed: 3 })
    expect(missed).toEqual([{ queue: 'q', count: 3 }])
  })
})
