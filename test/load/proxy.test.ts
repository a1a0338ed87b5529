import { type Client, connect } from '@sluice/client'
import { afterEach, expect, test } from 'vitest'
import { BadNetwork } from '../support/proxy.ts'
import { HurtServer, passed, until } from './server.ts'

const HEARTBEAT_MS = 5_000
const ending: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end().catch(() => {})
})

async function network(): Promise<{ server: HurtServer; proxy: BadNetwork; through: string }> {
  const server = await HurtServer.start({ settings: { heartbeat: `${HEARTBEAT_MS / 1_000}s` } })
  ending.push(() => server.kill())
  const proxy = await BadNetwork.to(server.port)
  ending.push(() => proxy.close())
  return { server, proxy, through: server.url.replace(String(server.port), String(proxy.port)) }
}

async function client(url: string, name: string): Promise<Client> {
  const connected = await connect(url, { name, backoff: { baseMs: 20, maxMs: 200 } })
  ending.push(() => connected.close())
  return connected
}

test('R9, D6: a peer that the network has swallowed is found within two heartbeats, and its messages go to another', async () => {
  const { server, proxy, through } = await network()
  const near = await client(server.url, 'near')
  const queue = near.queue<number>('q')
  await queue.declare({ leaseMs: 600_000 })
  const far = await client(through, 'far')
  const held: number[] = []
  void (async () => {
    for await (const message of far.queue<number>('q').consume({ prefetch: 10 })) {
      if (message.kind === 'message') held.push(message.body)
    }
  })()
  for (let id = 1; id <= 10; id++) await queue.publish(id)
  await until('all are held by the far one', () => held.length === 10)
  proxy.up.isDropping = true
  proxy.down.isDropping = true
  const lostAt = performance.now()
  const back: number[] = []
  for await (const message of queue.consume({ prefetch: 10, barriers: false })) {
    if (message.kind !== 'message') continue
    expect(message.redelivered).toBe(true)
    back.push(message.body)
    await message.ack({ durable: true })
    if (back.length === 10) break
  }
  const tookMs = performance.now() - lostAt
  expect(back.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  // Looked at once a heartbeat: two of silence are seen at the third at the latest.
  expect(tookMs).toBeLessThan(3 * HEARTBEAT_MS + 2_000)
  expect(tookMs).toBeGreaterThan(HEARTBEAT_MS)
})

test('P9: over a network that resets again and again each message is published once', async () => {
  const { server, proxy, through } = await network()
  const near = await client(server.url, 'near')
  const queue = near.queue<number>('q')
  await queue.declare()
  const publisher = await client(through, 'publisher')
  const resets = { count: 0, isOver: false }
  const resetting = (async () => {
    while (!resets.isOver) {
      await passed(40 + Math.random() * 160)
      proxy.reset()
      resets.count++
    }
  })()
  const confirmed = new Set<number>()
  let published = 0
  // A quick machine is done before the network has done its part: it goes on until that has happened often enough.
  for (let round = 0; round < 60 || proxy.accepted <= 6; round++) {
    const ids = Array.from({ length: 50 }, (_, index) => round * 50 + index)
    await Promise.all(
      ids.map(async id => {
        await publisher.queue<number>('q').publish(id)
        confirmed.add(id)
      }),
    )
    published += ids.length
  }
  resets.isOver = true
  await resetting
  expect(resets.count).toBeGreaterThan(3)
  expect(proxy.accepted).toBeGreaterThan(3)
  expect(confirmed.size).toBe(published)
  const { publishedTotal, ready } = await queue.show()
  expect({ publishedTotal, ready }).toEqual({ publishedTotal: published, ready: published })
  const seen: number[] = []
  for await (const message of queue.consume({ prefetch: 500, barriers: false })) {
    if (message.kind !== 'message') continue
    seen.push(message.body)
    void message.ack()
    if (seen.length === published) break
  }
  expect(new Set(seen).size).toBe(published)
})

test('D6, R10: a consumer whose connection is reset again and again gets everything, and repeats are marked', async () => {
  const { server, proxy, through } = await network()
  const near = await client(server.url, 'near')
  const queue = near.queue<number>('q')
  await queue.declare()
  await queue.publishMany(Array.from({ length: 2_000 }, (_, id) => id))
  const consumer = await client(through, 'consumer')
  const counts = new Map<number, number>()
  const unmarked: number[] = []
  let isOver = false
  const resetting = (async () => {
    while (!isOver) {
      await passed(30 + Math.random() * 70)
      proxy.reset()
    }
  })()
  const timer = { ended: performance.now() + 150_000 }
  void (async () => {
    for await (const message of consumer.queue<number>('q').consume({ prefetch: 20, barriers: false })) {
      if (message.kind !== 'message') continue
      const count = (counts.get(message.body) ?? 0) + 1
      counts.set(message.body, count)
      if (count > 1 && !message.redelivered) unmarked.push(message.body)
      await message.ack({ durable: true }).catch(() => {})
    }
  })()
  await until('all are acked', async () => (await queue.show()).ackedTotal === 2_000, timer.ended - performance.now())
  isOver = true
  await resetting
  expect(counts.size).toBe(2_000)
  expect(unmarked).toEqual([])
})

test('R9: bytes that come one by one, late and slowly are the same bytes', async () => {
  const { proxy, through } = await network()
  for (const way of [proxy.up, proxy.down]) way.pieceMax = 1
  const slow = await client(through, 'slow')
  const queue = slow.queue<string>('q')
  await queue.declare()
  const texts = ['', 'ü', 'x'.repeat(300), '\u{1f600}']
  for (const text of texts) await queue.publish(text)
  for (const way of [proxy.up, proxy.down]) Object.assign(way, { pieceMax: 100, delayMs: 20, bytesPerSecond: 20_000 })
  const seen: string[] = []
  for await (const message of queue.consume({ barriers: false })) {
    if (message.kind !== 'message') continue
    seen.push(message.body)
    expect(await message.ack({ durable: true })).toBe('acked')
    if (seen.length === texts.length) break
  }
  expect(seen).toEqual(texts)
})

test('R9, P9: a client that hears nothing more cuts the connection, comes back and gets its confirm once', async () => {
  const { server, proxy, through } = await network()
  const near = await client(server.url, 'near')
  await near.queue('q').declare()
  const far = await client(through, 'far')
  await far.queue('q').publish('before')
  // One way: the server hears everything, the client nothing.
  proxy.down.isDropping = true
  const confirmed = far.queue('q').publish('in between')
  await until('it came', async () => (await near.queue('q').show()).publishedTotal === 2)
  const acceptedBefore = proxy.accepted
  await until('the client has given up', () => proxy.accepted > acceptedBefore, 4 * HEARTBEAT_MS)
  proxy.down.isDropping = false
  await confirmed
  expect((await near.queue('q').show()).publishedTotal).toBe(2)
})
