import { ATOMIC_BYTES_MAX, type Frames } from '@sluice/protocol'
import { describe, expect, test } from 'vitest'
import { bodiesOf, FakeServer, quiet } from './support/fake-server.ts'

const shown = ({ parts }: Frames['publishAtomic']) =>
  parts.map(({ queue, number, answeredUpTo, flags, messages }) => [
    queue,
    number,
    answeredUpTo,
    flags,
    bodiesOf(messages).map(({ body }) => body),
  ])

describe('publishAtomic', () => {
  test('P4: sends the messages of each queue as one part of one frame, and tells where each one is', async () => {
    const { client, connection } = await new FakeServer().connect()
    const text = client.queue<string>('b', { codec: 'json' })
    const published = client.publishAtomic([
      { queue: 'a', body: 1 },
      { queue: text, body: 'x', dedupe: true, messageId: 'm' },
      { queue: 'a', body: 2, headers: { k: 'v' } },
    ])
    const frame = await connection.next('publishAtomic')
    expect(shown(frame)).toEqual([
      ['a', 1, 0, 0, [1, 2]],
      ['b', 1, 0, 4, ['x']],
    ])
    expect(bodiesOf(frame.parts[0]!.messages)[1]!.properties).toEqual({ headers: { k: 'v' } })
    connection.confirm(frame.parts[0]!, 10)
    connection.confirm(frame.parts[1]!, 20)
    expect(await published).toEqual([
      { sequence: 10, duplicate: false },
      { sequence: 20, duplicate: false },
      { sequence: 11, duplicate: false },
    ])
    expect(await client.publishAtomic([])).toEqual([])
  })

  test('P3, P4: comes behind what was published to its queues before, and in front of what comes later', async () => {
    const { client, connection } = await new FakeServer().connect()
    const a = client.queue('a')
    for (const queue of ['a', 'b']) {
      void client.queue(queue).publish('first')
      connection.confirm(await connection.next('publish'))
    }
    const before = a.publish('before')
    const together = client.publishAtomic([
      { queue: 'a', body: 1 },
      { queue: 'b', body: 2 },
    ])
    const behind = a.publish('behind')
    const other = client.queue('b').publish('other')
    const sent = await connection.next('publish')
    const frame = await connection.next('publishAtomic')
    expect(shown(frame).map(([queue, number]) => [queue, number])).toEqual([
      ['a', 3],
      ['b', 2],
    ])
    // Nothing waits for an answer: all of it is on its way, in order.
    for (const number of [4, 3]) {
      const next = await connection.next('publish')
      expect(next.number).toBe(number)
      connection.confirm(next)
    }
    connection.confirm(sent)
    connection.confirmAll(frame)
    await Promise.all([before, together, behind, other])
  })

  test('P3, P4: many go ahead of their answers, once each of their queues has taken a number', async () => {
    const { client, connection } = await new FakeServer().connect()
    const both = (body: number) => client.publishAtomic(['a', 'b'].map(queue => ({ queue, body })))
    const published = [both(1), both(2), both(3), client.publishAtomic([{ queue: 'c', body: 3 }]), both(4)]
    const first = await connection.next('publishAtomic')
    expect(shown(await connection.next('publishAtomic'))).toEqual([['c', 1, 0, 0, [3]]])
    await quiet()
    expect(connection.all('publishAtomic')).toHaveLength(2)
    connection.confirmAll(first)
    const rest = [2, 3, 4].map(async number => {
      const frame = await connection.next('publishAtomic')
      expect(shown(frame)).toEqual(['a', 'b'].map(queue => [queue, number, 1, 0, [number]]))
      return frame
    })
    const frames = await Promise.all(rest)
    for (const frame of frames.reverse()) connection.confirmAll(frame)
    connection.confirmAll(connection.all('publishAtomic')[1]!)
    await Promise.all(published)
  })

  test('P4, P9: goes again as a whole and under its old numbers after a reconnect, also when half was answered', async () => {
    const server = new FakeServer()
    const { client, connection } = await server.connect()
    const published = client.publishAtomic([
      { queue: 'a', body: 1 },
      { queue: 'b', body: 2 },
    ])
    const later = client.queue('a').publish(3)
    const first = await connection.next('publishAtomic')
    connection.confirm(first.parts[0]!, 7)
    const again = await server.reconnect(connection)
    const second = await again.next('publishAtomic')
    expect(shown(second)).toEqual(shown(first))
    again.confirm(second.parts[0]!, 7)
    again.confirm(second.parts[1]!, 8)
    expect((await published).map(({ sequence }) => sequence)).toEqual([7, 8])
    // It did not wait for that, so what it says of answers is of before.
    const next = await again.next('publish')
    expect([next.number, next.answeredUpTo]).toEqual([2, 0])
    again.confirm(next)
    await later
  })

  test('P4, P9: all that were on their way go again in order after a reconnect', async () => {
    const server = new FakeServer()
    const { client, connection } = await server.connect()
    const both = (body: number) => client.publishAtomic(['a', 'b'].map(queue => ({ queue, body })))
    const first = both(1)
    connection.confirmAll(await connection.next('publishAtomic'))
    await first
    const rest = [both(2), both(3)]
    connection.confirm((await connection.next('publishAtomic')).parts[0]!)
    connection.confirmAll(await connection.next('publishAtomic'))
    const again = await server.reconnect(connection)
    for (const number of [2, 3]) {
      const frame = await again.next('publishAtomic')
      expect(shown(frame)).toEqual(['a', 'b'].map(queue => [queue, number, 1, 0, [number]]))
      again.confirmAll(frame)
    }
    await Promise.all(rest)
  })

  test('P4: is refused as a whole, and what was sent ahead keeps its number: refused numbers are used', async () => {
    const { client, connection } = await new FakeServer().connect()
    const a = client.queue('a')
    const first = a.publish(0)
    connection.confirm(await connection.next('publish'))
    await first
    const cases = [
      ['no-such-queue', { queue: 'b' }],
      ['not-allowed', { queue: 'b' }],
      ['queue-full', null],
      ['server-busy', { limit: 'producers' }],
    ] as const
    let number = 2
    for (const [code, facts] of cases) {
      const published = client.publishAtomic([
        { queue: 'a', body: 1 },
        { queue: 'b', body: 2 },
      ])
      const frame = await connection.next('publishAtomic')
      expect(frame.parts[0]!.number).toBe(number)
      const behind = a.publish(3)
      const next = await connection.next('publish')
      expect(next.number).toBe(number + 1)
      for (const part of frame.parts) connection.refuse(part, code, facts)
      await expect(published).rejects.toMatchObject({ code })
      connection.confirm(next)
      await behind
      number += 2
    }
  })

  test('P4: of the queue that is missing nothing is sent ahead until it has taken a number again', async () => {
    const { client, connection } = await new FakeServer().connect()
    const both = () => client.publishAtomic(['a', 'b'].map(queue => ({ queue, body: 1 })))
    const first = both()
    connection.confirmAll(await connection.next('publishAtomic'))
    await first
    const refused = both()
    const frame = await connection.next('publishAtomic')
    for (const part of frame.parts) connection.refuse(part, 'no-such-queue', { queue: 'b' })
    await expect(refused).rejects.toMatchObject({ code: 'no-such-queue' })
    const later = [both(), both()]
    const next = await connection.next('publishAtomic')
    // Where there is no queue there is no memory of this producer; in the other one the refused number is used.
    expect(next.parts.map(({ number }) => number)).toEqual([3, 1])
    await quiet()
    expect(connection.all('publishAtomic')).toHaveLength(3)
    connection.confirmAll(next)
    connection.confirmAll(await connection.next('publishAtomic'))
    await Promise.all(later)
  })

  test('with a server of version 2 nothing follows before the answer is there, and unused numbers are used again', async () => {
    const server = new FakeServer()
    server.welcome = { ...server.welcome, version: 2 }
    const { client, connection } = await server.connect()
    const a = client.queue('a')
    const first = a.publish(0)
    connection.confirm(await connection.next('publish'))
    await first
    const published = client.publishAtomic([
      { queue: 'a', body: 1 },
      { queue: 'missing', body: 2 },
    ])
    const frame = await connection.next('publishAtomic')
    const behind = a.publish(3)
    await quiet()
    expect(connection.all('publish')).toHaveLength(1)
    for (const part of frame.parts) connection.refuse(part, 'no-such-queue', { queue: 'missing' })
    await expect(published).rejects.toMatchObject({ code: 'no-such-queue', facts: { queue: 'missing' } })
    const next = await connection.next('publish')
    expect(next.number).toBe(2)
    connection.confirm(next)
    await behind

    // What else is refused has used its numbers, unless it was for want of room for another producer.
    const cases = [
      ['queue-full', null, 4],
      ['server-busy', { limit: 'producers' }, 5],
    ] as const
    for (const [code, facts, number] of cases) {
      const refused = client.publishAtomic([{ queue: 'a', body: 4 }])
      connection.refuse((await connection.next('publishAtomic')).parts[0]!, code, facts)
      await expect(refused).rejects.toMatchObject({ code })
      void a.publish(5)
      const frame = await connection.next('publish')
      expect(frame.number).toBe(number)
      connection.confirm(frame)
    }
  })

  test('two that share queues go one after the other', async () => {
    const { client, connection } = await new FakeServer().connect()
    const one = client.publishAtomic([
      { queue: 'a', body: 1 },
      { queue: 'b', body: 1 },
    ])
    const two = client.publishAtomic([
      { queue: 'b', body: 2 },
      { queue: 'c', body: 2 },
    ])
    const three = client.publishAtomic([
      { queue: 'c', body: 3 },
      { queue: 'a', body: 3 },
    ])
    for (let k = 1; k <= 3; k++) {
      const frame = await connection.next('publishAtomic')
      expect(shown(frame)[0]![4]).toEqual([k])
      await quiet()
      expect(connection.all('publishAtomic')).toHaveLength(k)
      connection.confirmAll(frame)
    }
    await Promise.all([one, two, three])
    await client.flush()
  })

  test('P4: what cannot be sent is refused at once, publishes nothing and is told to the next barrier', async () => {
    const { client, connection } = await new FakeServer().connect()
    const tooMany = client.publishAtomic(Array.from({ length: 10_001 }, () => ({ queue: 'q', body: 1 })))
    await expect(tooMany).rejects.toMatchObject({ code: 'message-too-large' })
    const half = new Uint8Array(ATOMIC_BYTES_MAX / 2)
    const tooLarge = client.publishAtomic([
      { queue: 'q', body: half },
      { queue: 'r', body: half },
    ])
    await expect(tooLarge).rejects.toMatchObject({ code: 'message-too-large' })
    await expect(client.publishAtomic([{ queue: 'q', body: undefined }])).rejects.toThrow('cannot be said in JSON')
    await expect(client.queue('r').barrier()).rejects.toMatchObject({ code: 'batch-incomplete' })
    await quiet()
    expect(connection.frames.filter(({ name }) => name.startsWith('publish'))).toEqual([])
  })

  test('a server that is older than it is not asked', async () => {
    const server = new FakeServer()
    server.welcome = { ...server.welcome, version: 1 }
    const { client } = await server.connect()
    await expect(client.publishAtomic([{ queue: 'q', body: 1 }])).rejects.toMatchObject({ code: 'unsupported-version' })
  })

  test('close() rejects one that waits', async () => {
    const { client } = await new FakeServer().connect()
    const published = client.publishAtomic([{ queue: 'q', body: 1 }])
    await client.close()
    await expect(published).rejects.toMatchObject({ code: 'closed' })
  })
})
