import { InvalidMessageError, RefusedError, SluiceError } from '@sluice/client'
import { describe, expect, test } from 'vitest'
import { bodiesOf, FakeServer, quiet } from './support/fake-server.ts'

describe('publishing', () => {
  test('what is published in one tick travels in one frame, numbered from 1 in the order of the calls', async () => {
    const { client, connection } = await new FakeServer().connect()
    const queue = client.queue<number>('q')
    const published = Promise.all([queue.publish(7), queue.publish(8), queue.publish(9)])

    const frame = await connection.next('publish')
    expect(frame).toMatchObject({ queue: 'q', number: 1, answeredUpTo: 0, flags: 0, count: 3 })
    expect(bodiesOf(frame.messages).map(({ body }) => body)).toEqual([7, 8, 9])

    connection.tell('confirm', { queue: 'q', number: 1, count: 3, sequence: 41, batch: 0, duplicate: false })
    expect(await published).toEqual([41, 42, 43].map(sequence => ({ sequence, duplicate: false })))
  })

  test('P9: each queue has numbers of its own, without gaps, and tells up to where it has its answers', async () => {
    const { client, connection } = await new FakeServer().connect()
    const [a, b] = [client.queue('a'), client.queue('b')]
    const first = a.publish(1)
    connection.confirm(await connection.next('publish'))
    await first

    void a.publish(2)
    void b.publish(1)
    expect(await connection.next('publish')).toMatchObject({ queue: 'a', number: 2, answeredUpTo: 1 })
    expect(await connection.next('publish')).toMatchObject({ queue: 'b', number: 1, answeredUpTo: 0 })
  })

  test('a frame ends at the bounds of the server, at 128 KiB, and where the flags change', async () => {
    const server = new FakeServer()
    server.welcome = { ...server.welcome, frameMessagesMax: 2 }
    const { client, connection } = await server.connect()
    const queue = client.queue('q')
    const zero = queue.publish(0)
    connection.confirm(await connection.next('publish'))
    await zero
    for (const body of [1, 2, 3]) void queue.publish(body)
    void queue.publish(4, { confirm: 'accepted' })
    void queue.publish(5, { dedupe: true, messageId: 'm5' })
    void queue.publish('x'.repeat(140_000), { dedupe: true })
    await quiet()
    expect(connection.all('publish').map(({ number, count, flags }) => [number, count, flags])).toEqual([
      [1, 1, 0],
      [2, 2, 0],
      [4, 1, 0],
      [5, 1, 1],
      [6, 2, 4],
    ])
    const last = connection.all('publish').at(-1)!
    expect(bodiesOf(last.messages)[0]!.properties).toEqual({ messageId: 'm5' })
  })

  test('P8: a refusal rejects that message alone, with its code and whether to try later', async () => {
    const { client, connection } = await new FakeServer().connect()
    const queue = client.queue('q')
    const [first, second] = [queue.publish(1), queue.publish(2)]
    const frame = await connection.next('publish')
    connection.refuse({ ...frame, count: 1 }, 'queue-full')
    connection.confirm({ ...frame, number: 2, count: 1 })
    await expect(first).rejects.toMatchObject({ code: 'queue-full', retryable: true })
    expect(await second).toEqual({ sequence: 2, duplicate: false })
  })

  test('P9: after a reconnect everything unanswered is sent again under its old numbers, and answered once', async () => {
    const server = new FakeServer()
    const { client, connection } = await server.connect()
    const queue = client.queue<number>('q')
    const first = [1, 2, 3].map(body => queue.publish(body))
    const frame = await connection.next('publish')
    connection.confirm({ ...frame, number: 1, count: 1 }, 10)
    expect(await first[0]).toEqual({ sequence: 10, duplicate: false })

    const again = await server.reconnect(connection)
    const later = queue.publish(4)
    const sent = await again.next('publish')
    expect(sent).toMatchObject({ number: 1, answeredUpTo: 0, count: 3 })
    expect(bodiesOf(sent.messages).map(({ body }) => body)).toEqual([1, 2, 3])
    again.confirm(sent, 10)
    again.confirm(await again.next('publish'), 77)
    expect(await Promise.all(first)).toEqual([10, 11, 12].map(sequence => ({ sequence, duplicate: false })))
    expect(await later).toEqual({ sequence: 77, duplicate: false })
  })

  test('P9: what is published while there is no connection keeps its place behind what is unanswered', async () => {
    const server = new FakeServer()
    const { client, connection } = await server.connect()
    const queue = client.queue<number>('q')
    void queue.publish(1)
    await connection.next('publish')
    connection.cut()
    void queue.publish(2)
    const next = server.nextConnection()
    server.timers.advance(100)
    const again = await next
    const first = await again.next('publish')
    expect(first).toMatchObject({ number: 1, count: 1 })
    again.confirm(first)
    expect(await again.next('publish')).toMatchObject({ number: 2, count: 1 })
  })

  test('P9: a server that shuts down has not counted what it refused: it is sent again', async () => {
    const server = new FakeServer()
    const { client, connection } = await server.connect()
    const published = client.queue('q').publish(1)
    connection.refuse(await connection.next('publish'), 'shutting-down')
    const again = await server.reconnect(connection)
    const sent = await again.next('publish')
    expect(sent.number).toBe(1)
    again.confirm(sent)
    expect(await published).toEqual({ sequence: 1, duplicate: false })
  })

  test('P9: where there was no queue numbers start anew, for a server without queue remembers nothing', async () => {
    const { client, connection } = await new FakeServer().connect()
    const queue = client.queue('q')
    const refused = queue.publish(1)
    connection.refuse(await connection.next('publish'), 'no-such-queue')
    await expect(refused).rejects.toMatchObject({ code: 'no-such-queue', retryable: false })

    const declared = queue.declare()
    connection.answer((await connection.request('declare')).id, { created: true, queue: { name: 'q' } })
    await declared
    void queue.publish(2)
    expect(await connection.next('publish')).toMatchObject({ number: 1, answeredUpTo: 0 })
  })

  test('P9: until a queue has taken a number one frame is on its way at a time, so that none is out of turn when it appears', async () => {
    const { client, connection } = await new FakeServer().connect()
    const queue = client.queue<number>('q')
    const first = queue.publish(1)
    const frame = await connection.next('publish')
    const second = queue.publish(2)
    await quiet()
    expect(connection.all('publish')).toHaveLength(1)
    connection.refuse(frame, 'no-such-queue')
    await expect(first).rejects.toMatchObject({ code: 'no-such-queue' })
    const taken = await connection.next('publish')
    expect(taken.number).toBe(1)
    connection.confirm(taken)
    await second

    void queue.publish(3)
    await connection.next('publish')
    void queue.publish(4)
    expect((await connection.next('publish')).number).toBe(3)
  })

  test('a body above the limit of the server is refused here, and uses no number', async () => {
    const server = new FakeServer()
    server.welcome = { ...server.welcome, messageMax: 10 }
    const { client, connection } = await server.connect()
    const queue = client.queue<string>('q')
    await expect(queue.publish('x'.repeat(20))).rejects.toMatchObject({
      code: 'message-too-large',
      facts: { limit: 10 },
    })
    void queue.publish('y')
    expect(await connection.next('publish')).toMatchObject({ number: 1, count: 1 })
  })
})

describe('window and credit', () => {
  test('beyond the window publish() takes messages but holds them back until there are confirms', async () => {
    const { client, connection } = await new FakeServer().connect({ window: { messages: 2 } })
    const queue = client.queue<number>('q')
    for (const body of [1, 2]) void queue.publish(body)
    const frame = await connection.next('publish')
    for (const body of [3, 4, 5]) void queue.publish(body)
    await quiet()
    expect(connection.all('publish')).toHaveLength(1)
    connection.confirm(frame)
    expect(await connection.next('publish')).toMatchObject({ number: 3, count: 3 })
  })

  test('R5: nothing is published beyond the credit granted, and it goes on when more is', async () => {
    const server = new FakeServer()
    server.welcome = { ...server.welcome, granted: 0 }
    const { client, connection } = await server.connect()
    const warnings: unknown[] = []
    client.addEventListener('warning', event => warnings.push(event.detail))
    void client.queue('q').publish('hello')
    connection.tell('flow', { granted: 0, reason: 'too little disk is free' })
    await quiet()
    expect(connection.all('publish')).toHaveLength(0)
    expect(warnings).toEqual([{ code: 'publishing-held', detail: 'too little disk is free' }])

    connection.tell('flow', { granted: 5, reason: '' })
    expect(await connection.next('publish')).toMatchObject({ number: 1 })
    void client.queue('q').publish('more')
    await quiet()
    expect(connection.all('publish')).toHaveLength(1)
  })

  test('R5: credit belongs to a connection: the next one starts with what its welcome grants', async () => {
    const server = new FakeServer()
    server.welcome = { ...server.welcome, granted: 1 }
    const { client, connection } = await server.connect()
    void client.queue('q').publish(1)
    await connection.next('publish')
    void client.queue('q').publish(2)
    await quiet()
    expect(connection.all('publish')).toHaveLength(1)
    const again = await server.reconnect(connection)
    expect(await again.next('publish')).toMatchObject({ number: 1 })
  })
})

describe('publishMany', () => {
  test('takes no more than the window has room for, and counts what is confirmed', async () => {
    const { client, connection } = await new FakeServer().connect({ window: { messages: 4 } })
    let taken = 0
    function* source() {
      while (taken < 10) yield taken++
    }
    const many = client.queue<number>('q').publishMany(source(), { chunk: 3 })
    await quiet()
    expect(taken).toBe(4)
    const progress: number[] = []
    for (let confirmed = 0; confirmed < 10; ) {
      const frame = await connection.next('publish')
      expect(frame.count).toBeLessThanOrEqual(3)
      connection.confirm(frame)
      confirmed += frame.count
      progress.push(confirmed)
    }
    expect(await many).toEqual({ count: 10 })
  })

  test('tells progress after each chunk and at the end', async () => {
    const { client, connection } = await new FakeServer().connect()
    const told: unknown[] = []
    const many = client
      .queue<number>('q')
      .publishMany([1, 2, 3], { chunk: 2, onProgress: progress => told.push(progress) })
    connection.confirm(await connection.next('publish'))
    connection.confirm(await connection.next('publish'))
    await many
    expect(told).toEqual([
      { taken: 3, confirmed: 2, refused: 0 },
      { taken: 3, confirmed: 3, refused: 0 },
    ])
  })

  test('P8: the first refusal stops the taking, and the promise rejects with it and its place', async () => {
    const { client, connection } = await new FakeServer().connect({ window: { messages: 2 } })
    let taken = 0
    async function* source() {
      while (true) yield taken++
    }
    const many = client.queue<number>('q').publishMany(source())
    many.catch(() => {})
    await quiet()
    let answered = 0
    for (const frame of connection.all('publish')) {
      for (let place = 0; place < frame.count; place++, answered++) {
        const one = { ...frame, number: frame.number + place, count: 1 }
        if (answered === 1) connection.refuse(one, 'not-accepted')
        else connection.confirm(one)
      }
    }
    await quiet()
    for (const frame of connection.all('publish').slice(connection.all('publish').length - 1)) connection.confirm(frame)
    await expect(many).rejects.toMatchObject({ code: 'not-accepted', facts: { index: 1 } })
    const before = taken
    await quiet()
    expect(taken).toBe(before)
  })

  test('P8: with onRefused the others go on', async () => {
    const { client, connection } = await new FakeServer().connect()
    const refused: unknown[] = []
    const many = client
      .queue<number>('q')
      .publishMany([1, 2, 3], { onRefused: ({ index, error }) => refused.push([index, error]) })
    const frame = await connection.next('publish')
    connection.confirm({ ...frame, count: 1 })
    connection.refuse({ ...frame, number: 2, count: 1 }, 'not-accepted')
    connection.confirm({ ...frame, number: 3, count: 1 })
    expect(await many).toEqual({ count: 2 })
    expect(refused).toEqual([[1, expect.any(RefusedError)]])
  })

  test('an abort rejects with its reason, also while the source keeps it waiting', async () => {
    const { client } = await new FakeServer().connect()
    const stop = new AbortController()
    async function* source() {
      yield 1
      await new Promise(() => {})
    }
    const many = client.queue<number>('q').publishMany(source(), { signal: stop.signal })
    await quiet()
    stop.abort(new Error('enough'))
    await expect(many).rejects.toThrow('enough')
  })
})

describe('barriers', () => {
  test('a barrier waits until everything published before it is confirmed, and stands in front of what comes later', async () => {
    const { client, connection } = await new FakeServer().connect()
    const queue = client.queue<number>('q')
    void queue.publish(1)
    const barrier = queue.barrier({
      name: 'eof',
      body: { is_eof: 1 },
      deadlineMs: 5,
      deadlineRest: 'drop',
      forward: ['r'],
    })
    const later = queue.publish(2)
    const frame = await connection.next('publish')
    await quiet()
    expect(connection.all('publish')).toHaveLength(1)

    connection.confirm(frame)
    const sent = await connection.next('publish')
    expect(sent).toMatchObject({ number: 2, count: 1 })
    const marked = { name: 'eof', deadlineMs: 5, rest: 'drop', forward: ['r'] }
    expect(bodiesOf(sent.messages)).toEqual([{ body: { is_eof: 1 }, properties: { barrier: marked } }])
    connection.confirm(sent)
    expect(await barrier).toMatchObject({ queue: 'q', name: 'eof' })
    const behind = await connection.next('publish')
    expect(behind).toMatchObject({ number: 3, count: 1 })
    connection.confirm(behind)
    await later
  })

  test('a barrier without a name is known by its sequence number', async () => {
    const { client, connection } = await new FakeServer().connect()
    const barrier = client.queue('q').barrier()
    connection.confirm(await connection.next('publish'), 17)
    expect((await barrier).name).toBe('@17')
  })

  test('a barrier behind a refused publish is not published and rejects batch-incomplete; the next starts anew', async () => {
    const { client, connection } = await new FakeServer().connect()
    const queue = client.queue<number>('q')
    const refused = queue.publish(1)
    const barrier = queue.barrier({ name: 'eof' })
    const later = queue.publish(2)
    connection.refuse(await connection.next('publish'), 'not-accepted')
    await expect(refused).rejects.toThrow(RefusedError)
    await expect(barrier).rejects.toMatchObject({
      code: 'batch-incomplete',
      facts: { refused: 1, code: 'not-accepted' },
    })

    connection.confirm(await connection.next('publish'))
    await later
    const second = queue.barrier({ name: 'eof' })
    connection.confirm(await connection.next('publish'))
    expect((await second).name).toBe('eof')
  })

  test('a barrier with force is published although a publish was refused', async () => {
    const { client, connection } = await new FakeServer().connect()
    const queue = client.queue<number>('q')
    const refused = queue.publish(1)
    connection.refuse(await connection.next('publish'), 'not-accepted')
    await expect(refused).rejects.toThrow()
    const barrier = queue.barrier({ name: 'eof', force: true })
    connection.confirm(await connection.next('publish'))
    expect((await barrier).name).toBe('eof')
  })

  test('a body that cannot be encoded makes the batch incomplete too', async () => {
    const { client } = await new FakeServer().connect()
    const queue = client.queue<unknown>('q')
    await expect(queue.publish(undefined)).rejects.toThrow(TypeError)
    await expect(queue.barrier()).rejects.toMatchObject({ code: 'batch-incomplete' })
  })

  test('B1: a refused barrier rejects, and makes no later batch incomplete', async () => {
    const { client, connection } = await new FakeServer().connect()
    const queue = client.queue('q')
    const first = queue.barrier({ name: 'eof' })
    connection.refuse(await connection.next('publish'), 'barrier-exists')
    await expect(first).rejects.toMatchObject({ code: 'barrier-exists' })
    const second = queue.barrier({ name: 'eof-2' })
    connection.confirm(await connection.next('publish'))
    expect((await second).name).toBe('eof-2')
  })
})

describe('schemas', () => {
  const even = {
    '~standard': {
      version: 1 as const,
      vendor: 'test',
      validate: (value: unknown) =>
        typeof value === 'number' && value % 2 === 0 ? { value } : { issues: [{ message: 'not even', path: ['n'] }] },
    },
  }

  test('what does not fit the schema is not published, and makes the batch incomplete', async () => {
    const { client, connection } = await new FakeServer().connect()
    const queue = client.queue('q', { schema: even })
    await expect(queue.publish(3)).rejects.toThrow(InvalidMessageError)
    await expect(queue.barrier()).rejects.toBeInstanceOf(SluiceError)
    expect(connection.all('publish')).toHaveLength(0)
  })

  test('a schema that takes its time holds a barrier back', async () => {
    const { client, connection } = await new FakeServer().connect()
    const slow = {
      '~standard': { ...even['~standard'], validate: async (value: unknown) => even['~standard'].validate(value) },
    }
    const queue = client.queue('q', { schema: slow })
    const published = queue.publish(2)
    const barrier = queue.barrier({ name: 'eof' })
    connection.confirm(await connection.next('publish'))
    await published
    connection.confirm(await connection.next('publish'))
    expect((await barrier).name).toBe('eof')
  })
})
