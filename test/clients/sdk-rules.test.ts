import type { Client, Delivery, Message, SocketFactory } from '@sluice/client'
import { memoryServer } from '@sluice/client/testing'
import { decodeFrames } from '@sluice/protocol'
import { describe, expect, test } from 'vitest'
import { socketFactory } from '../../clients/typescript/src/socket.ts'
import { askingServer } from '../access/support.ts'

/** Takes what comes until a barrier, acks the messages and gives the bodies; the barrier too. */
async function untilBarrier(client: Client, name: string) {
  const bodies: unknown[] = []
  for await (const delivery of client.queue(name).consume({ prefetch: 10 })) {
    if (delivery.kind === 'barrier') return { bodies, barrier: delivery }
    bodies.push(delivery.body)
    await delivery.ack()
  }
  throw new Error('ended without a barrier')
}

const messageOf = async (next: Promise<IteratorResult<Delivery, undefined>>) => (await next).value as Message

describe('publishing, on the real engine', () => {
  test('P5: a message id that was seen is confirmed as duplicate, at its place, and enqueues nothing', async () => {
    await using server = await memoryServer({ clock: 'virtual' })
    await using client = await server.connect()
    const queue = client.queue('q')
    await queue.declare({ dedupeWindowMs: 60_000 })
    const first = await queue.publish(1, { messageId: 'a', dedupe: true })
    expect(first).toEqual({ sequence: 1, duplicate: false })
    expect(await queue.publish(2, { messageId: 'a', dedupe: true })).toEqual({ sequence: 1, duplicate: true })
    expect((await queue.show()).ready).toBe(1)
    await server.advance(60_001)
    expect(await queue.publish(3, { messageId: 'a', dedupe: true })).toEqual({ sequence: 2, duplicate: false })
    await client.queue('plain').declare()
    const refused = client.queue('plain').publish(1, { messageId: 'a', dedupe: true })
    await expect(refused).rejects.toMatchObject({ code: 'no-dedupe-window' })
  })

  test('P4: messages for two queues are kept together or not at all', async () => {
    await using server = await memoryServer({ clock: 'virtual' })
    await using client = await server.connect()
    const [a, b] = [client.queue('a'), client.queue('b')]
    await a.declare()
    await b.declare({ messagesMax: 2 })
    const published = await client.publishAtomic([
      { queue: a, body: 1 },
      { queue: b, body: 2 },
      { queue: 'a', body: 3 },
    ])
    expect(published.map(({ sequence }) => sequence)).toEqual([1, 1, 2])
    const refused = client.publishAtomic([
      { queue: a, body: 4 },
      { queue: b, body: 5 },
      { queue: b, body: 6 },
    ])
    await expect(refused).rejects.toMatchObject({ code: 'queue-full' })
    expect([(await a.show()).ready, (await b.show()).ready]).toEqual([2, 1])
    // Their numbers are used, and what comes next has the ones behind.
    expect((await a.publish(7)).sequence).toBe(3)
    expect((await client.publishAtomic([{ queue: a, body: 8 }]))[0]!.sequence).toBe(4)
  })

  test('P4, P9: where a queue is missing nothing is kept, and the other queues go on', async () => {
    await using server = await memoryServer({ clock: 'virtual' })
    await using client = await server.connect()
    const a = client.queue('a')
    await a.declare()
    await a.publish(1)
    const refused = client.publishAtomic([
      { queue: a, body: 2 },
      { queue: 'missing', body: 3 },
    ])
    await expect(refused).rejects.toMatchObject({ code: 'no-such-queue' })
    expect((await a.publish(4)).sequence).toBe(2)
    expect((await a.browse()).messages.map(({ body }) => body)).toEqual([1, 4])
  })

  test('P3, P4, P9: many are on their way when one of their queues is deleted: the rest is refused, and the connection goes on', async () => {
    await using server = await memoryServer({ clock: 'virtual' })
    await using client = await server.connect()
    await using operator = await server.connect()
    const again: unknown[] = []
    client.addEventListener('reconnecting', event => again.push(event.detail))
    const [a, b] = [client.queue('a'), client.queue('b')]
    await a.declare()
    await b.declare()
    const both = (body: number) => client.publishAtomic([a, b].map(queue => ({ queue, body })))
    await both(0)
    const results: Promise<PromiseSettledResult<unknown>[]>[] = []
    const deleted = operator.queue('b').delete()
    for (let body = 1; body <= 20; body++) {
      results.push(Promise.allSettled([both(body), a.publish(body)]))
      await new Promise(resolve => setImmediate(resolve))
    }
    await deleted
    results.push(Promise.allSettled([both(21), both(22), a.publish(21)]))
    const settled = (await Promise.all(results)).flat()
    const refused = settled.filter(result => result.status === 'rejected')
    expect(new Set(refused.map(({ reason }) => reason.code))).toEqual(new Set(['no-such-queue']))
    expect(refused.length).toBeGreaterThanOrEqual(2)
    expect((await a.show()).ready).toBe(1 + settled.length - refused.length)
    await b.declare()
    expect((await both(23)).map(({ sequence }) => sequence)).toEqual([2 + settled.length - refused.length, 1])
    expect(again).toEqual([])
  })

  test('P4: one that names a queue where its client has no rights leaves no gap in the others', async () => {
    const server = await askingServer()
    await server.call('PUT', '/v1/queues/a', { token: server.admin, body: {} })
    await server.call('PUT', '/v1/queues/b', { token: server.admin, body: {} })
    const client = await server.client(await server.token('ann', [{ queue: 'a', rights: ['publish'] }]))
    const a = client.queue('a')
    await a.publish(1)
    const refused = client.publishAtomic(['a', 'b'].map(queue => ({ queue, body: 2 })))
    const behind = a.publish(3)
    await expect(refused).rejects.toMatchObject({ code: 'not-allowed' })
    expect((await behind).sequence).toBe(2)
    expect((await a.publish(4)).sequence).toBe(3)
  })
})

describe('lists of barriers, on the real engine', () => {
  test('B10: barriers are listed in pages, by state, with bodies only if they are asked for', async () => {
    await using server = await memoryServer({ clock: 'virtual' })
    await using client = await server.connect()
    const queue = client.queue('q')
    await queue.declare()
    for (const name of ['a', 'b', 'c']) await queue.barrier({ name, body: { is: name } })
    const page = await queue.barriers({ limit: 2 })
    expect(page).toMatchObject({ barriers: [{ name: 'a', record: { outcome: 'clean' } }, { name: 'b' }], next: 2 })
    expect(page.barriers[0]!.record!.body).toBe(undefined)
    const rest = await queue.barriers({ after: 2, state: 'released', bodies: true })
    expect(rest.barriers.map(({ record }) => record!.body)).toEqual([{ is: 'c' }])
    expect(rest.next).toBe(undefined)
    expect((await queue.barriers({ state: 'waiting' })).barriers).toEqual([])
  })
})

describe('settling, on the real engine', () => {
  test('A2: an operator releases, dead-letters and deletes one message, whoever has it', async () => {
    await using server = await memoryServer({ clock: 'virtual' })
    await using client = await server.connect()
    const queue = client.queue<number>('q')
    await queue.declare()
    await Promise.all([1, 2, 3, 4].map(body => queue.publish(body)))
    const lost: unknown[] = []
    client.addEventListener('lease-lost', event => lost.push(event.detail.sequence))
    const deliveries = queue.consume({ barriers: false, prefetch: 2 })
    const held = [await messageOf(deliveries.next()), await messageOf(deliveries.next())]
    expect(await queue.message(2).deadLetter()).toBe(true)
    expect(await queue.message(4).delete()).toBe(true)
    expect(await queue.message(4).delete()).toBe(false)
    expect(await queue.message(4).release()).toBe(false)
    expect(await queue.message(1).release()).toBe(true)
    expect(held.map(({ isSettled }) => isSettled)).toEqual([true, true])
    expect(lost).toEqual([2, 1])
    expect((await queue.dead.list()).messages.map(({ body, origin }) => [body, origin?.reason])).toEqual([
      [2, 'rejected'],
    ])
    await expect(client.queue('missing').message(1).delete()).rejects.toMatchObject({ code: 'no-such-queue' })
  })

  test('A3: one number acks everything handed out before that is still held', async () => {
    await using server = await memoryServer({ clock: 'virtual' })
    await using client = await server.connect()
    const queue = client.queue<number>('q')
    await queue.declare()
    await Promise.all([1, 2, 3, 4].map(body => queue.publish(body)))
    const deliveries = queue.consume({ barriers: false })
    const messages: Message[] = []
    while (messages.length < 4) messages.push(await messageOf(deliveries.next()))
    await messages[1]!.reject('no')
    expect(await messages[2]!.ack({ upTo: true, durable: true })).toBe('acked')
    expect(await queue.show()).toMatchObject({ leased: 1, ackedTotal: 2 })
    expect((await queue.dead.list()).messages.map(({ body }) => body)).toEqual([2])
  })
})

describe('a confirm that is lost, on the real engine', () => {
  /** Cuts the connection, once, instead of handing over the first confirm that comes over it. */
  function losingOneConfirm(): SocketFactory {
    let isLost = false
    return async (url, events) => {
      const socket = await socketFactory()(url, {
        ...events,
        received(bytes) {
          const confirms = [...decodeFrames(bytes, 'server')].some(({ name }) => name === 'confirm')
          if (isLost || !confirms) return events.received(bytes)
          isLost = true
          socket.terminate()
        },
      })
      return socket
    }
  }

  test('P4, P9: an atomic publish that is sent again as a whole gets its first answers, and is there once', async () => {
    await using server = await memoryServer({ clock: 'virtual' })
    await using client = await server.connect({ socket: losingOneConfirm(), backoff: { baseMs: 1 } })
    const [a, b] = [client.queue('a'), client.queue('b')]
    await a.declare()
    await b.declare()
    const again = new Promise(resolve => client.addEventListener('reconnected', resolve, { once: true }))
    const published = client.publishAtomic([
      { queue: a, body: 1 },
      { queue: b, body: 2 },
    ])
    const behind = a.publish(3)
    await again
    expect((await published).map(({ sequence }) => sequence)).toEqual([1, 1])
    expect((await behind).sequence).toBe(2)
    expect([(await a.show()).ready, (await b.show()).ready]).toEqual([2, 1])
  })
})

describe('queues, on the real engine', () => {
  test('D14: a paused queue delivers nothing and releases nothing, and takes what is published and acked', async () => {
    await using server = await memoryServer({ clock: 'virtual' })
    await using client = await server.connect()
    const queue = client.queue('q')
    await queue.declare()
    await queue.publish(1)
    const loop = queue.consume()
    const first = await messageOf(loop.next())
    expect((await queue.pause()).paused).toBe(true)
    await queue.publish(2)
    const barrier = await queue.barrier({ name: 'end' })
    await first.ack({ durable: true })
    expect(await queue.show()).toMatchObject({ paused: true, ready: 1, leased: 0 })
    expect(await barrier.holdouts()).toMatchObject([{ sequence: 2, reason: 'paused' }])
    expect((await queue.resume()).paused).toBe(false)
    await (await messageOf(loop.next())).ack()
    expect((await barrier.wait()).outcome).toBe('clean')
  })

  test('D13: another filter and prefetch count at once, and what is held stays', async () => {
    await using server = await memoryServer({ clock: 'virtual' })
    await using client = await server.connect()
    const queue = client.queue<{ a: number }>('q')
    await queue.declare()
    const loop = queue.consume({ filter: '/a = 1', prefetch: 1 })
    for (const a of [1, 2, 1]) await queue.publish({ a })
    const held = await messageOf(loop.next())
    await loop.change({ filter: '/a = 2', prefetch: 5 })
    const next = await messageOf(loop.next())
    expect([held.sequence, next.sequence]).toEqual([1, 2])
    expect(await held.ack({ durable: true })).toBe('acked')
    await expect(loop.change({ filter: '/a =' })).rejects.toMatchObject({ code: 'bad-filter' })
  })

  test('update() changes options in place; what waits is dealt with by the new ones', async () => {
    await using server = await memoryServer({ clock: 'virtual' })
    await using client = await server.connect()
    const queue = client.queue('q')
    await queue.declare({ filter: '/a = 1', leaseMs: 9_000, expirationMs: 1_000 })
    await expect(queue.publish({ a: 2 })).rejects.toMatchObject({ code: 'not-accepted' })
    const { options } = await queue.update({ filter: '/a > 1', expirationMs: null })
    expect(options).toMatchObject({ filter: '/a > 1', leaseMs: 9_000 })
    expect(options.expirationMs).toBe(undefined)
    await queue.publish({ a: 2 })
    await server.advance(2_000)
    expect((await queue.show()).ready).toBe(1)
    await expect(queue.update({ semantics: 'at-most-once' })).rejects.toMatchObject({ code: 'queue-mismatch' })
  })

  test('A5: rejected messages are listed as dead letters with origin and reason, and requeued or purged', async () => {
    await using server = await memoryServer({ clock: 'virtual' })
    await using client = await server.connect()
    const queue = client.queue<{ n: number }>('q')
    await queue.declare()
    for (const n of [1, 2, 3]) await queue.publish({ n })
    const loop = queue.consume()
    for (let k = 0; k < 3; k++) await (await messageOf(loop.next())).reject('bad')
    await client.flush()
    const { messages } = await queue.dead.list()
    expect(messages.map(({ body, origin }) => [body, origin?.reason, origin?.detail])).toEqual([
      [{ n: 1 }, 'rejected', 'bad'],
      [{ n: 2 }, 'rejected', 'bad'],
      [{ n: 3 }, 'rejected', 'bad'],
    ])
    expect(messages[0]!.origin).toMatchObject({ queue: 'q', sequence: 1, batch: 0 })
    expect(await queue.dead.purge({ filter: '/n = 3' })).toBe(1)
    expect(await queue.dead.requeue({ filter: '/n = 2' })).toBe(1)
    const again = await messageOf(loop.next())
    expect([again.body, again.sequence]).toEqual([{ n: 2 }, 4])
    expect((await queue.dead.list()).messages.map(({ body }) => body)).toEqual([{ n: 1 }])
    await queue.barrier({ name: 'end' })
    expect(await queue.dead.requeue({ batch: 'end' })).toBe(1)
  })

  test('A6: a purge ends waiting batches as cancelled and drops what is ready', async () => {
    await using server = await memoryServer({ clock: 'virtual' })
    await using client = await server.connect()
    const queue = client.queue('q')
    await queue.declare()
    for (let k = 0; k < 5; k++) await queue.publish(k)
    const barrier = await queue.barrier({ name: 'end' })
    await queue.publish(6)
    await queue.purge()
    expect((await queue.show()).ready).toBe(0)
    await expect(barrier.wait()).rejects.toMatchObject({ code: 'batch-cancelled', record: { stats: { dropped: 5 } } })
  })

  test('browsing shows messages page by page and changes nothing', async () => {
    await using server = await memoryServer({ clock: 'virtual' })
    await using client = await server.connect()
    const queue = client.queue('q')
    await queue.declare()
    for (let k = 1; k <= 5; k++) await queue.publish({ k }, { headers: { k } })
    const seen: unknown[] = []
    for (let after: number | undefined = 0; after !== undefined; ) {
      const page: Awaited<ReturnType<typeof queue.browse>> = await queue.browse({ after, limit: 2, filter: '/k <> 2' })
      seen.push(page.messages.map(({ sequence, headers }) => [sequence, headers['k']]))
      after = page.next
    }
    expect(seen.flat()).toEqual([
      [1, 1],
      [3, 3],
      [4, 4],
      [5, 5],
    ])
    expect((await queue.show()).ready).toBe(5)
  })
})

describe('barriers, on the real engine', () => {
  test('B14: a barrier of three parties has its place with the last one; a repeated party counts once', async () => {
    await using server = await memoryServer({ clock: 'virtual' })
    await using client = await server.connect()
    const queue = client.queue('q')
    await queue.declare()
    const party = (name: string, body?: unknown) => queue.barrier({ name: 'eof', parties: 3, party: name, body })
    const first = await party('store-1', { rows: 10 })
    await party('store-2')
    await party('store-1')
    expect(await first.show()).toMatchObject({
      state: 'gathering',
      parties: { count: 3, arrivedCount: 2, arrived: ['store-1', 'store-2'] },
    })
    expect(first.sequence).toBe(undefined)
    const waiting = first.wait()
    await party('store-3', { rows: 30 })
    const record = await waiting
    expect(record.parties).toMatchObject({
      count: 3,
      arrived: [{ name: 'store-1', body: { rows: 10 } }, { name: 'store-2' }, { name: 'store-3', body: { rows: 30 } }],
    })
    expect(first.sequence).toBe(record.sequence)
    const wrong = queue.barrier({ name: 'other', parties: 2, party: 'a' })
    await wrong
    const mismatch = queue.barrier({ name: 'other', parties: 3, party: 'b' })
    await expect(mismatch).rejects.toMatchObject({ code: 'barrier-mismatch' })
  })

  test('B13: a deadline that passes ends the batch as expired, and can be moved before', async () => {
    await using server = await memoryServer({ clock: 'virtual' })
    await using client = await server.connect()
    const queue = client.queue('q')
    await queue.declare()
    await queue.publish(1)
    const barrier = await queue.barrier({ name: 'eof', deadlineMs: 1_000, deadlineRest: 'dead-letter' })
    await server.advance(900)
    expect((await barrier.extend(5_000)).state).toBe('waiting')
    await server.advance(4_000)
    expect((await barrier.show()).state).toBe('waiting')
    await server.advance(1_001)
    await expect(barrier.wait()).rejects.toMatchObject({ code: 'batch-expired', record: { stats: { dead: 1 } } })
    const { messages } = await queue.dead.list({ batch: 'eof' })
    expect(messages.map(({ body, origin }) => [body, origin?.reason])).toEqual([[1, 'batch-expired']])
  })

  test('B13: cancelling ends the batch, and what is left is carried over', async () => {
    await using server = await memoryServer({ clock: 'virtual' })
    await using client = await server.connect()
    const queue = client.queue('q')
    await queue.declare()
    await queue.publish(1)
    const barrier = await queue.barrier({ name: 'one' })
    await barrier.cancel({ rest: 'carry' })
    const record = await barrier.wait({ accept: ['cancelled'] })
    expect(record).toMatchObject({ outcome: 'cancelled', stats: { acked: 0, dead: 0, dropped: 0 } })
    await expect(barrier.cancel()).rejects.toMatchObject({ code: 'barrier-exists' })
    const next = await queue.barrier({ name: 'two' })
    expect(await untilBarrier(client, 'q')).toMatchObject({ bodies: [1], barrier: { name: 'two', outcome: 'clean' } })
    expect((await next.wait()).stats).toMatchObject({ carried: 1, acked: 1 })
  })

  test('B15: a barrier passes through two stages, and tells of the batches it has closed', async () => {
    await using server = await memoryServer({ clock: 'virtual' })
    await using client = await server.connect()
    await client.queue('done').declare()
    await client.queue('stage-2').declare({ forwardBarrier: ['done'] })
    const stage1 = client.queue('stage-1')
    await stage1.declare({ forwardBarrier: ['stage-2'] })
    await stage1.publish('a')
    await stage1.barrier({ name: 'eof', body: { is_eof: 1 } })
    const waiting = client.queue('done').batch<{ is_eof: number }>('eof').wait()
    for await (const delivery of stage1.consume()) {
      if (delivery.kind === 'barrier') break
      await delivery.ack({ publish: [{ queue: 'stage-2', body: 'b' }] })
    }
    expect(await untilBarrier(client, 'stage-2')).toMatchObject({ bodies: ['b'], barrier: { name: 'eof' } })
    const record = await waiting
    expect(record.body).toEqual({ is_eof: 1 })
    expect(record.batches).toMatchObject([
      { queue: 'stage-1', outcome: 'clean', stats: { acked: 1 } },
      { queue: 'stage-2', outcome: 'clean', stats: { acked: 1 } },
    ])
  })

  test('B14, B15: barriers forwarded by several queues with parties are a join', async () => {
    await using server = await memoryServer({ clock: 'virtual' })
    await using client = await server.connect()
    await client.queue('joined').declare()
    const parts = ['p1', 'p2'].map(name => client.queue(name))
    for (const queue of parts) {
      await queue.declare()
      await queue.publish(queue.name)
      await queue.barrier({ name: 'eof', body: queue.name, forward: ['joined'], parties: 2 })
    }
    const waiting = client.queue('joined').batch('eof').wait()
    for (const { name } of parts) await untilBarrier(client, name)
    const record = await waiting
    expect(record.parties?.arrived.map(({ name, body }) => [name, body])).toEqual([
      ['p1', 'p1'],
      ['p2', 'p2'],
    ])
    expect(record.batches?.map(({ queue }) => queue)).toEqual(['p1', 'p2'])
  })
})
