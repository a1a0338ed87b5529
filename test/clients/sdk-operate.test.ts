import { InvalidMessageError, type Message, worker } from '@sluice/client'
import type { ValueMap } from '@sluice/protocol'
import { describe, expect, test } from 'vitest'
import { barrierRecord, bodiesOf, type FakeConnection, FakeServer, quiet, records } from './support/fake-server.ts'

/** Does it, answers the one request, and gives what was asked and what came of it. */
async function asked<T>(connection: FakeConnection, method: string, result: ValueMap, doing: Promise<T>) {
  const { id, params } = await connection.request(method)
  connection.answer(id, result)
  return { params: { ...params }, came: await doing }
}

const view = { name: 'q', options: { lease: 5 }, open: {}, paused: true }
const message = { sequence: 4, batch: 1, state: 'ready', attempts: 2, redelivered: true, published_at: 5 }
const progress = { published: 3, acked: 1, leased: 0, ready: 2, delayed: 0, dead: 0 }

describe('queues', () => {
  test('update() changes the options given, and null takes one away', async () => {
    const { client, connection } = await new FakeServer().connect()
    const updating = client.queue('q').update({ leaseMs: 5, filter: null, retryDelay: { baseMs: 7 } })
    const { params, came } = await asked(connection, 'update', view, updating)
    expect(params).toEqual({ name: 'q', options: { lease: 5, filter: 'none', retry_delay: { base: 7 } } })
    expect(came.paused).toBe(true)
  })

  test('D14: pause() and resume() answer with the queue', async () => {
    const { client, connection } = await new FakeServer().connect()
    for (const method of ['pause', 'resume'] as const) {
      const { params, came } = await asked(connection, method, view, client.queue('q')[method]())
      expect([params, came.name]).toEqual([{ name: 'q' }, 'q'])
    }
  })

  test('A6: purge() answers with how many, and is not asked for twice', async () => {
    const server = new FakeServer()
    const { client, connection } = await server.connect()
    const purging = client.queue('q').purge({ leased: true })
    expect(await asked(connection, 'purge', { purged: 3 }, purging)).toEqual({
      params: { name: 'q', leased: true },
      came: 3,
    })
    const lost = client.queue('q').purge()
    lost.catch(() => {})
    await quiet()
    await server.reconnect(connection)
    await expect(lost).rejects.toMatchObject({ code: 'connection-lost' })
  })

  test('browse() shows messages with body and properties, and where to go on', async () => {
    const { client, connection } = await new FakeServer().connect()
    const browsing = client.queue('q').browse({ state: 'ready', filter: '/a = 1', after: 3, limit: 1 })
    const bytes = records([{ a: 1 }], { messageId: 'm', headers: { k: 'v' } })
    const broken = { ...message, sequence: 5, message: records([new Uint8Array([0x7b])]) }
    const result = { messages: [{ ...message, message: bytes }, broken], next: 5 }
    const { params, came } = await asked(connection, 'browse', result, browsing)
    expect(params).toEqual({ queue: 'q', state: 'ready', filter: '/a = 1', after: 3, limit: 1 })
    expect(came.next).toBe(5)
    expect(came.messages[0]).toMatchObject({
      sequence: 4,
      batch: 1,
      state: 'ready',
      attempts: 2,
      redelivered: true,
      publishedAt: 5,
      messageId: 'm',
      headers: { k: 'v' },
      body: { a: 1 },
    })
    expect(() => came.messages[1]!.body).toThrow()
  })

  test('A5: dead letters are listed, requeued and purged: all, by batch or by filter', async () => {
    const { client, connection } = await new FakeServer().connect()
    const { dead } = client.queue('q')
    const origin = { queue: 'q', sequence: 1, batch: 0, attempts: 3, published_at: 1, dead_at: 2, reason: 'rejected' }
    const result = { messages: [{ ...message, origin, message: records([1]) }] }
    const listed = await asked(connection, 'dead', result, dead.list({ batch: 'eof', limit: 10 }))
    expect(listed.params).toEqual({ queue: 'q', batch: 'eof', limit: 10 })
    expect(listed.came.messages[0]).toMatchObject({ body: 1, origin: { deadAt: 2, reason: 'rejected' } })
    expect(await asked(connection, 'requeue', { requeued: 2 }, dead.requeue({ filter: 'f' }))).toEqual({
      params: { queue: 'q', filter: 'f' },
      came: 2,
    })
    expect((await asked(connection, 'purge-dead', { purged: 1 }, dead.purge())).came).toBe(1)
  })
})

describe('barriers', () => {
  test('B13, B14, B15: terms of a barrier travel in its properties', async () => {
    const { client, connection } = await new FakeServer().connect()
    const q = client.queue('q')
    const terms = { name: 'eof', parties: 3, party: 's1', forward: ['r', client.queue('s')] as const }
    const published = q.barrier({ ...terms, deadlineMs: 500, deadlineRest: 'drop' })
    const frame = await connection.next('publish')
    expect(bodiesOf(frame.messages)[0]!.properties).toEqual({
      barrier: { name: 'eof', deadlineMs: 500, rest: 'drop', parties: 3, party: 's1', forward: ['r', 's'] },
    })
    connection.confirm(frame, 5)
    expect((await published).sequence).toBe(undefined)
  })

  test('B1: a handle tells its sequence number once it is known', async () => {
    const { client, connection } = await new FakeServer().connect()
    const q = client.queue('q')
    const published = q.barrier({ name: 'eof' })
    connection.confirm(await connection.next('publish'), 5)
    expect((await published).sequence).toBe(5)
    expect(q.batch('@17').sequence).toBe(17)
    const batch = q.batch('eof')
    expect(batch.sequence).toBe(undefined)
    const waiting = { name: 'eof', sequence: 9, batch: 0, state: 'waiting', progress, published_at: 1 }
    await asked(connection, 'barrier', { ...waiting, state: 'gathering' }, batch.show())
    expect(batch.sequence).toBe(undefined)
    await asked(connection, 'barrier', waiting, batch.show())
    expect(batch.sequence).toBe(9)
  })

  test('B13: cancel() and extend() answer with the barrier as it is then', async () => {
    const { client, connection } = await new FakeServer().connect()
    const batch = client.queue('q').batch('eof')
    const waiting = {
      name: 'eof',
      sequence: 9,
      batch: 0,
      state: 'waiting',
      progress,
      published_at: 1,
      deadline_at: 700,
    }
    const extended = await asked(connection, 'extend-barrier', waiting, batch.extend(600))
    expect(extended.params).toEqual({ queue: 'q', barrier: 'eof', deadline_ms: 600 })
    expect(extended.came).toMatchObject({ state: 'waiting', deadlineAt: 700, progress: { ready: 2 } })
    const record = { ...barrierRecord({ outcome: 'cancelled' }), body: records([{ eof: true }]) }
    const cancelled = await asked(
      connection,
      'cancel-barrier',
      { ...waiting, state: 'released', record },
      batch.cancel({ rest: 'dead-letter' }),
    )
    expect(cancelled.params).toEqual({ queue: 'q', barrier: 'eof', rest: 'dead-letter' })
    expect(cancelled.came.record).toMatchObject({ outcome: 'cancelled', body: { eof: true } })
  })

  test('B14, B15: a record tells of its parties, with their bodies, and of the batches before it', async () => {
    const { client, connection } = await new FakeServer().connect()
    const waiting = client.queue('q').batch('eof').wait()
    const stats = { published: 2, acked: 2, first_published_at: 3 }
    const result = {
      ...barrierRecord(),
      body: records([{ eof: true }]),
      batches: [
        { queue: 'stage-1', outcome: 'clean', batch: 0, sequence: 3, stats },
        { queue: 'gone', outcome: 'clean' },
      ],
      parties: {
        count: 3,
        arrived_count: 2,
        arrived: ['s1', 's2'],
        messages: new Uint8Array([...records([{ store: 1 }], { headers: { k: 1 } }), ...records([new Uint8Array(0)])]),
      },
    }
    const { came } = await asked(connection, 'wait', result, waiting)
    expect(came.batches).toEqual([
      {
        queue: 'stage-1',
        outcome: 'clean',
        batch: 0,
        sequence: 3,
        stats: { published: 2, acked: 2, firstPublishedAt: 3 },
      },
      { queue: 'gone', outcome: 'clean' },
    ])
    expect(came.parties).toEqual({
      count: 3,
      arrived: [
        { name: 's1', headers: { k: 1 }, body: { store: 1 } },
        { name: 's2', headers: {}, body: undefined },
      ],
    })
  })

  test('B14: a gathering barrier shows who has come', async () => {
    const { client, connection } = await new FakeServer().connect()
    const gathering = { name: 'eof', sequence: 9, batch: 0, state: 'gathering', progress, published_at: 1 }
    const parties = { count: 3, arrived: ['s1'] }
    const batch = client.queue('q').batch('eof')
    const { came } = await asked(connection, 'barrier', { ...gathering, parties }, batch.show())
    expect(came).toMatchObject({ state: 'gathering', parties: { count: 3, arrivedCount: 1, arrived: ['s1'] } })
    const listed = { barriers: [{ ...gathering, parties: { count: 3, arrived_count: 1 } }] }
    const list = await asked(connection, 'barriers', listed, client.queue('q').barriers())
    expect(list.came.barriers[0]!.parties).toEqual({ count: 3, arrivedCount: 1 })
  })
})

describe('subscriptions', () => {
  test('D13: change() sets another prefetch and filter in place, also for the next connection', async () => {
    const server = new FakeServer()
    const { client, connection } = await server.connect()
    const subscription = client.queue('q').consume({ prefetch: 5 })
    await connection.next('subscribe')
    const changing = subscription.change({ filter: '/a = 1' })
    const { request, ...sent } = await connection.next('resubscribe')
    expect(sent).toEqual({ subscription: 1, prefetch: 5, filter: '/a = 1', hasFilter: true })
    connection.answer(request, {})
    await changing
    const second = subscription.change({ prefetch: 9 })
    const again = await server.reconnect(connection)
    expect(await again.next('subscribe')).toMatchObject({ prefetch: 5, filter: '/a = 1' })
    const repeated = await again.next('resubscribe')
    expect(repeated).toMatchObject({ prefetch: 9, hasFilter: false })
    again.answer(repeated.request, {})
    await second
    const last = await server.reconnect(again)
    expect(await last.next('subscribe')).toMatchObject({ prefetch: 9, filter: '/a = 1' })
  })

  test('D13: a filter that is none changes nothing', async () => {
    const server = new FakeServer()
    const { client, connection } = await server.connect()
    const subscription = client.queue('q').consume({ filter: '/a = 1' })
    const changing = subscription.change({ filter: '/a =' })
    const { request } = await connection.next('resubscribe')
    const refusal = { code: 'bad-filter', detail: 'ends too early', facts: { column: 5 } }
    connection.tell('response', { id: request, refusal, result: null })
    await expect(changing).rejects.toMatchObject({ code: 'bad-filter', facts: { column: 5 } })
    const again = await server.reconnect(connection)
    expect((await again.next('subscribe')).filter).toBe('/a = 1')
    await subscription.return()
    await expect(subscription.change({ prefetch: 1 })).rejects.toMatchObject({ code: 'closed' })
  })

  test('A3: ackUpTo() acks what was handed out up to a message and is not settled yet, by one number', async () => {
    const { client, connection } = await new FakeServer().connect()
    const subscription = client.queue('q').consume({ barriers: false })
    await connection.next('subscribe')
    connection.deliver(1, 1, [1, 2, 3, 4, 5])
    const messages: Message[] = []
    for (let k = 0; k < 5; k++) messages.push((await subscription.next()).value as Message)
    await messages[1]!.nack()
    await subscription.ackUpTo(messages[3]!)
    await quiet()
    const settles = connection.all('settle').map(({ how, deliveries }) => [how, deliveries])
    expect(settles).toEqual([
      ['nack', [{ first: 2, count: 1 }]],
      ['ack', [{ first: 0, count: 4 }]],
    ])
    expect(messages.map(({ isSettled }) => isSettled)).toEqual([true, true, true, true, false])
  })

  test('A3: ackUpTo() of a message that came over an earlier connection acks nothing of the next one', async () => {
    const server = new FakeServer()
    const { client, connection } = await server.connect()
    const subscription = client.queue('q').consume({ barriers: false })
    await connection.next('subscribe')
    connection.deliver(1, 5, [1])
    const old = (await subscription.next()).value as Message
    const again = await server.reconnect(connection)
    await again.next('subscribe')
    again.deliver(1, 1, [1])
    const held = (await subscription.next()).value as Message
    await subscription.ackUpTo(old)
    await quiet()
    expect([held.isSettled, again.all('settle')]).toEqual([false, []])
  })

  test('a worker tells of an error with the message, in its type', async () => {
    const { client, connection } = await new FakeServer().connect()
    const failed: number[] = []
    const running = worker(
      client.queue<{ n: number }>('q'),
      () => {
        throw new InvalidMessageError('no', undefined)
      },
      { onError: (_, { body }) => failed.push(body.n) },
    )
    await connection.next('subscribe')
    connection.deliver(1, 1, [{ n: 7 }])
    await quiet()
    expect(failed).toEqual([7])
    await running.stop()
  })

  test('P5: a duplicate is told as one', async () => {
    const { client, connection } = await new FakeServer().connect()
    const published = client.queue('q').publish(1, { messageId: 'm', dedupe: true })
    const { number, count, flags } = await connection.next('publish')
    expect(flags).toBe(4)
    connection.tell('confirm', { queue: 'q', number, count, sequence: 3, batch: 0, duplicate: true })
    expect(await published).toEqual({ sequence: 3, duplicate: true })
  })
})
