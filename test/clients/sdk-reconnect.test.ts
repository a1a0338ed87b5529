import type { Client, Delivery, Message } from '@sluice/client'
import { expect, test } from 'vitest'
import { barrierRecord, type FakeConnection, FakeServer, quiet, records } from './support/fake-server.ts'

/** Lets a wait between attempts pass; none is longer than that here. */
async function nextAttempt(server: FakeServer): Promise<void> {
  server.timers.advance(1_000)
  await quiet()
}

/** A way in which an attempt to connect goes wrong; the connection is lost before and after it. */
type Failure = (server: FakeServer) => Promise<void>

const FAILURES: Record<string, Failure> = {
  async 'before the socket is open'(server) {
    server.isReachable = false
    await nextAttempt(server)
    server.isReachable = true
  },
  async 'before the hello has left'(server) {
    const count = server.connections.length
    server.timers.advance(1_000)
    expect(server.connections.length).toBe(count + 1)
    server.connections.at(-1)!.cut()
    await quiet()
  },
  async 'after the hello, before the welcome'(server) {
    server.isGreeting = false
    await nextAttempt(server)
    const connection = server.connections.at(-1)!
    expect(connection.frames.map(({ name }) => name)).toEqual(['hello'])
    connection.cut()
    server.isGreeting = true
  },
  async 'after the hello, in silence until the time is over'(server) {
    server.isGreeting = false
    await nextAttempt(server)
    const connection = server.connections.at(-1)!
    while (!connection.isClosed) server.timers.advance(10)
    server.isGreeting = true
  },
  async 'after the welcome, before the subscriptions have left'(server) {
    server.isGreeting = false
    await nextAttempt(server)
    const connection = server.connections.at(-1)!
    connection.tell('welcome', server.welcome)
    connection.cut()
    expect(connection.frames.map(({ name }) => name)).toEqual(['hello'])
    server.isGreeting = true
  },
  async 'after the subscriptions, before their answer'(server) {
    await nextAttempt(server)
    const connection = server.connections.at(-1)!
    expect(connection.all('subscribe')).toHaveLength(2)
    connection.cut()
  },
  async 'with half of the subscriptions answered'(server) {
    await nextAttempt(server)
    const connection = server.connections.at(-1)!
    connection.tell('subscribed', { subscription: 1, batch: 0, barriersMissed: 0 })
    connection.deliver(1, 1, ['lost'])
    connection.cut()
  },
  async 'by a goodbye that passes'(server) {
    await nextAttempt(server)
    server.connections.at(-1)!.tell('goodbye', { code: 'shutting-down', detail: '', facts: null })
  },
  async 'by subscriptions that a server refuses as it shuts down'(server) {
    await nextAttempt(server)
    const connection = server.connections.at(-1)!
    for (const subscription of [1, 2]) {
      connection.tell('cancelled', { subscription, code: 'shutting-down', detail: '', facts: null })
    }
    connection.cut()
  },
}

/** Both subscriptions are there and get what is delivered to them. */
async function expectSubscribed(client: Client, connection: FakeConnection, waiting: Promise<unknown>[]) {
  expect(client.status).toBe('connected')
  expect(connection.all('subscribe').map(({ subscription, queue }) => [subscription, queue])).toEqual([
    [1, 'a'],
    [2, 'b'],
  ])
  connection.deliver(1, 1, ['one'])
  connection.deliver(2, 1, ['two'])
  const bodies = (await Promise.all(waiting)).map(result => (result as { value: Message }).value.body)
  expect(bodies).toEqual(['one', 'two'])
}

const names = Object.keys(FAILURES)
const threes = names.flatMap(first => names.map(second => [first, second, names[(names.indexOf(second) + 1) % 9]!]))

test.each(threes)('D6, B11: subscriptions go on after attempts that failed %s, %s and %s', async (...failures) => {
  const server = new FakeServer()
  const { client, connection } = await server.connect({ backoff: { maxMs: 1_000 } })
  const loops = [client.queue('a').consume(), client.queue('b').consume({ barriers: false })]
  await quiet()
  connection.cut()
  for (const failure of failures) await FAILURES[failure]!(server)
  // What came over a connection that is gone is thrown away: these get what the next one brings.
  const waiting = loops.map(loop => loop.next())
  await nextAttempt(server)
  await expectSubscribed(client, server.connections.at(-1)!, waiting)
  await client.close()
})

test('D10: a subscription begun while there is no connection subscribes with the next one, behind the older ones', async () => {
  const server = new FakeServer()
  const { client, connection } = await server.connect()
  const first = client.queue('a').consume()
  await quiet()
  connection.cut()
  const second = client.queue('b').consume()
  const waiting = [first.next(), second.next()]
  await nextAttempt(server)
  await expectSubscribed(client, server.connections.at(-1)!, waiting)
})

test('B10: a question that a server refuses as it shuts down is asked again over the next connection', async () => {
  const server = new FakeServer()
  const { client, connection } = await server.connect()
  const waiting = client.queue('q').batch('eof').wait()
  const { id } = await connection.request('wait')
  const refusal = { code: 'shutting-down', detail: '', facts: null }
  connection.tell('response', { id, refusal, result: null })
  const again = await server.reconnect(connection)
  again.answer((await again.request('wait')).id, { ...barrierRecord(), body: records([1]) })
  expect((await waiting).outcome).toBe('clean')
})

test('D6: what was held when a server shut a subscription down is lost, and told of', async () => {
  const server = new FakeServer()
  const { client, connection } = await server.connect()
  const loop = client.queue('q').consume()
  await quiet()
  connection.deliver(1, 1, [1])
  const { value } = (await loop.next()) as { value: Delivery }
  connection.tell('cancelled', { subscription: 1, code: 'shutting-down', detail: '', facts: null })
  expect((value as Message).leaseSignal.aborted).toBe(true)
})
