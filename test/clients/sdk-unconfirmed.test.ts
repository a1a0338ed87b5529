import type { Message, Warning } from '@sluice/client'
import { memoryServer } from '@sluice/client/testing'
import { expect, test } from 'vitest'
import { bodiesOf, FakeServer, quiet } from './support/fake-server.ts'

test('P1, P3: an unconfirmed publish is sent in its turn, without a number, and resolves when it is sent', async () => {
  const { client, connection } = await new FakeServer().connect()
  const queue = client.queue<number>('q')
  const first = queue.publish(1)
  const unconfirmed = [queue.publish(2, { confirm: 'none' }), queue.publish(3, { confirm: 'none' })]
  const last = queue.publish(4)
  expect(await Promise.all(unconfirmed)).toEqual([undefined, undefined])
  const frames = connection.all('publish')
  expect(frames.map(({ number, flags, count }) => [number, flags, count])).toEqual([
    [1, 0, 1],
    [0, 8, 2],
  ])
  expect(bodiesOf(frames[1]!.messages).map(({ body }) => body)).toEqual([2, 3])
  connection.confirm(frames[0]!)
  expect((await first).sequence).toBe(1)
  await quiet()
  const behind = connection.all('publish')[2]!
  expect([behind.number, behind.answeredUpTo]).toEqual([2, 1])
  connection.confirm(behind)
  await last
})

test('R5: unconfirmed publishes wait for credit, and go on as it comes', async () => {
  const server = new FakeServer()
  server.welcome = { ...server.welcome, granted: 1 }
  const { client, connection } = await server.connect()
  const queue = client.queue<number>('q')
  await queue.publish(1, { confirm: 'none' })
  let isSent = false
  const second = queue.publish(2, { confirm: 'none' }).then(() => {
    isSent = true
  })
  await quiet()
  expect([isSent, connection.all('publish').length]).toEqual([false, 1])
  connection.tell('flow', { granted: 100, reason: '' })
  await second
  expect(connection.all('publish')).toHaveLength(2)
})

test('D9, P9: after a reconnect an unconfirmed publish that was sent is not sent again, one that was not is', async () => {
  const server = new FakeServer()
  server.welcome = { ...server.welcome, granted: 1 }
  const { client, connection } = await server.connect()
  const queue = client.queue<number>('q')
  await queue.publish(1, { confirm: 'none' })
  const second = queue.publish(2, { confirm: 'none' })
  server.welcome = { ...server.welcome, granted: 100 }
  const again = await server.reconnect(connection)
  await second
  expect(again.all('publish').map(({ messages }) => bodiesOf(messages)[0]!.body)).toEqual([2])
})

test('P8: a refusal of what was not confirmed is a warning, and the next barrier knows of it', async () => {
  const { client, connection } = await new FakeServer().connect()
  const warnings: Warning[] = []
  client.addEventListener('warning', event => warnings.push(event.detail))
  const queue = client.queue<number>('q')
  await queue.publish(1, { confirm: 'none' })
  connection.refuse(await connection.next('publish'), 'invalid-request')
  expect(warnings).toMatchObject([{ code: 'publish-refused', queue: 'q', count: 1, detail: 'invalid-request: no' }])
  await expect(queue.barrier()).rejects.toMatchObject({ code: 'batch-incomplete', facts: { refused: 1 } })
})

test('P1: a server that is too old refuses at the client', async () => {
  const server = new FakeServer()
  server.welcome = { ...server.welcome, version: 2 }
  const { client } = await server.connect()
  const published = client.queue('q').publish(1, { confirm: 'none' })
  await expect(published).rejects.toMatchObject({ code: 'unsupported-version' })
})

test('P1, D9: on the real engine it goes through an at-most-once queue, and is refused by others', async () => {
  await using server = await memoryServer()
  await using client = await server.connect()
  const warnings: Warning[] = []
  client.addEventListener('warning', event => warnings.push(event.detail))
  const queue = client.queue<number>('q')
  await queue.declare({ semantics: 'at-most-once' })
  // Many windows of credit: it comes back without a confirm.
  const body = 'x'.repeat(100_000) as unknown as number
  const { count } = await queue.publishMany(
    Array.from({ length: 200 }, () => body),
    { options: () => ({ confirm: 'none' }) },
  )
  expect(count).toBe(200)
  await client.flush()
  expect(await queue.show()).toMatchObject({ publishedTotal: 200 })
  const { value } = await queue.consume({ barriers: false }).next()
  expect((value as Message).body).toBe(body)
  const strict = client.queue('strict')
  await strict.declare()
  await strict.publish(1, { confirm: 'none' })
  await client.flush()
  expect(warnings).toMatchObject([{ code: 'publish-refused', queue: 'strict' }])
  expect((await strict.publish(2)).sequence).toBe(1)
})
