import { expect, test } from 'vitest'
import { virtualClock } from '../../src/engine/clock.ts'
import type { Engine } from '../../src/engine/engine.ts'
import type { Permission, Principal } from '../../src/engine/principal.ts'
import { memoryJournal } from '../../src/journal/memory.ts'
import { Connection, type Shared } from '../../src/listeners/http/connection.ts'
import type { HttpOptions } from '../../src/listeners/http/listener.ts'
import type { Wire } from '../../src/listeners/http/wire.ts'
import { openEvents } from './event-source.ts'
import { FakeEngine, type Http, openEngine, startHttp, startWithEngine, until } from './http-support.ts'

/*
 * Streams of a queue and of a barrier: what comes, what is missed and made up for, and that looking on changes nothing.
 */

async function publish(http: Http, body: string, query = ''): Promise<void> {
  const { status } = await http.call('POST', `/v1/queues/Q/messages${query}`, { body })
  expect(status).toBe(201)
}

async function barrier(http: Http, name: string): Promise<void> {
  const { status } = await http.call('POST', `/v1/queues/Q/barriers?name=${name}`, { body: `{"end":"${name}"}` })
  expect(status).toBe(201)
}

test('B8: a released barrier comes with the number of its batch as id, and its record', async () => {
  const http = await startWithEngine()
  await http.call('PUT', '/v1/queues/Q')
  const events = await openEvents(http.port, '/v1/queues/Q/events')
  expect(await events.next('position')).toEqual({ id: '-1', event: 'position', data: { batch: -1 } })
  await publish(http, 'a')
  await barrier(http, 'one')
  expect(events.heard.filter(({ event }) => event === 'barrier')).toEqual([])
  await http.settle('Q', 'acks', await http.pull('Q', 'max=10'))
  expect(await events.next('barrier')).toMatchObject({
    id: '0',
    data: { name: 'one', batch: 0, outcome: 'clean', stats: { acked: 1 }, body: '{"end":"one"}' },
  })
})

test('B11: Last-Event-ID brings the barriers missed, each once and in order, and says how many records are gone', async () => {
  const http = await startWithEngine()
  await http.send('PUT', '/v1/queues/Q', { barrier_records: 2 })
  const before = await openEvents(http.port, '/v1/queues/Q/events')
  const { id = '' } = await before.next('position')
  before.close()
  for (const name of ['one', 'two', 'three']) await barrier(http, name)
  const after = await openEvents(http.port, '/v1/queues/Q/events', { 'last-event-id': id })
  expect(await after.next('missed')).toMatchObject({ data: { barriers_missed: 1 } })
  await barrier(http, 'four')
  await until(() => after.heard.length === 4)
  const named = after.heard.slice(1).map(event => [event.id, event.data.name])
  expect(named).toEqual([
    ['1', 'two'],
    ['2', 'three'],
    ['3', 'four'],
  ])
  const last = await openEvents(http.port, '/v1/queues/Q/events', { 'last-event-id': '3' })
  await barrier(http, 'five')
  expect(await last.next('barrier')).toMatchObject({ id: '4', data: { name: 'five' } })
  expect(last.heard).toHaveLength(1)
})

test('a watcher gets copies of what is delivered, takes no lease and is no subscription', async () => {
  const http = await startWithEngine()
  await http.call('PUT', '/v1/queues/Q')
  const watcher = await openEvents(http.port, '/v1/queues/Q/events?watch=true')
  const reader = await openEvents(http.port, '/v1/queues/Q/events')
  await publish(http, '{"n":1}')
  const [delivery] = await http.pull('Q', 'max=1')
  expect(await watcher.next('message')).toMatchObject({
    data: { sequence: 1, batch: 0, attempt: 1, redelivered: false, body: '{"n":1}' },
  })
  expect((await http.call('GET', '/v1/queues/Q')).json).toMatchObject({ leased: 1, ready: 0, subscriptions: 0 })
  await http.settle('Q', 'nacks', [delivery!])
  await http.pull('Q', 'max=1')
  await until(() => watcher.heard.filter(({ event }) => event === 'message').length === 2)
  expect(watcher.heard.at(-1)).toMatchObject({ data: { sequence: 1, attempt: 2, redelivered: true } })
  expect(reader.heard.map(({ event }) => event)).toEqual(['position'])
})

test('a body that is large is copied as its size alone', async () => {
  const engine = await openEngine({ clock: virtualClock(), messageMax: 2 ** 20 })
  const http = await startHttp(engine)
  await http.call('PUT', '/v1/queues/Q')
  const watcher = await openEvents(http.port, '/v1/queues/Q/events?watch=true')
  await publish(http, 'x'.repeat(65 * 1024))
  await http.pull('Q', 'max=1')
  const { data } = await watcher.next('message')
  expect(data).toMatchObject({ sequence: 1, body_bytes: 65 * 1024 })
  expect(data).not.toHaveProperty('body')
})

test('R9: a watcher who does not read loses copies and is told how many; consumers are not slowed down', async () => {
  const engine = await openEngine({ clock: virtualClock(), messageMax: 2 ** 20 })
  const http = await startHttp(engine)
  await http.call('PUT', '/v1/queues/Q')
  const watcher = await openEvents(http.port, '/v1/queues/Q/events?watch=true')
  await watcher.next('position')
  watcher.pause()
  const body = 'x'.repeat(60 * 1024)
  const count = 400
  for (let k = 0; k < count; k += 1) await publish(http, body, '?confirm=accepted')
  let pulled = 0
  while (pulled < count) pulled += (await http.pull('Q', 'max=1000&ack=auto')).length
  watcher.resume()
  await watcher.next('dropped')
  const copies = () => watcher.heard.filter(({ event }) => event === 'message').length
  const dropped = () =>
    watcher.heard.filter(({ event }) => event === 'dropped').reduce((sum, { data }) => sum + data.count, 0)
  await until(() => copies() + dropped() === count)
  expect(copies()).toBeGreaterThan(0)
  expect(dropped()).toBeGreaterThan(0)
})

test('where nobody watches no copy is made, and who has gone watches no more', async () => {
  const engine = await openEngine({ clock: virtualClock() })
  const http = await startHttp(engine)
  await http.call('PUT', '/v1/queues/Q')
  expect(engine.follows.watchers).toBe(0)
  const watcher = await openEvents(http.port, '/v1/queues/Q/events?watch=true')
  await watcher.next('position')
  expect(engine.follows.watchers).toBe(1)
  const reader = await openEvents(http.port, '/v1/queues/Q/events')
  await reader.next('position')
  expect(engine.follows.watchers).toBe(1)
  watcher.close()
  await until(() => engine.follows.watchers === 0)
})

test('the streams of a queue end with it, and say so', async () => {
  const http = await startWithEngine()
  await http.call('PUT', '/v1/queues/Q')
  const events = await openEvents(http.port, '/v1/queues/Q/events')
  const progress = await openEvents(http.port, '/v1/queues/Q/barriers/eof/events')
  await events.next('position')
  await http.call('DELETE', '/v1/queues/Q')
  expect((await events.next('end')).data).toMatchObject({ code: 'queue-deleted' })
  expect((await progress.next('end')).data).toMatchObject({ code: 'queue-deleted' })
  await until(() => events.isEnded() && progress.isEnded())
})

test('streams end with the server, and say so', async () => {
  const http = await startWithEngine()
  await http.call('PUT', '/v1/queues/Q')
  const events = await openEvents(http.port, '/v1/queues/Q/events')
  const progress = await openEvents(http.port, '/v1/queues/Q/barriers/eof/events')
  await events.next('position')
  const closed = http.listener.close()
  expect((await events.next('end')).data).toMatchObject({ code: 'shutting-down' })
  expect((await progress.next('end')).data).toMatchObject({ code: 'shutting-down' })
  await closed
})

test('more streams than allowed are refused, and a place that is given up is free again', async () => {
  const engine = await openEngine({ clock: virtualClock() })
  const http = await startHttp(engine, { streamsMax: 1 })
  await http.call('PUT', '/v1/queues/Q')
  const first = await openEvents(http.port, '/v1/queues/Q/events')
  await first.next('position')
  expect(await http.call('GET', '/v1/queues/Q/events')).toMatchObject({
    status: 429,
    json: { code: 'too-many-streams', limit: 1 },
  })
  first.close()
  for (let status = 429; status === 429; ) {
    const next = await openEvents(http.port, '/v1/queues/Q/events')
    status = next.status
  }
})

test('what cannot be asked for is refused before the stream begins', async () => {
  const http = await startWithEngine()
  expect(await http.call('GET', '/v1/queues/Q/events')).toMatchObject({ status: 404, json: { code: 'no-such-queue' } })
  expect(await http.call('GET', '/v1/queues/Q/barriers/b/events')).toMatchObject({ status: 404 })
  await http.call('PUT', '/v1/queues/Q')
  const headers = { 'last-event-id': 'x' }
  expect(await http.call('GET', '/v1/queues/Q/events', { headers })).toMatchObject({ status: 400 })
  expect(await http.call('GET', '/v1/queues/Q/events?watch=yes')).toMatchObject({ status: 400 })
  expect(await http.call('GET', '/v1/queues/Q/events?wach=true')).toMatchObject({ status: 400 })
  expect(await http.call('HEAD', '/v1/queues/Q/events')).toMatchObject({
    status: 200,
    headers: { 'content-type': 'text/event-stream' },
  })
})

test('B17: progress of a barrier is told until it is released, also if nobody has published it yet', async () => {
  const http = await startWithEngine()
  await http.call('PUT', '/v1/queues/Q')
  const events = await openEvents(http.port, '/v1/queues/Q/barriers/eof/events')
  await publish(http, 'a')
  await publish(http, 'b')
  await barrier(http, 'eof')
  expect((await events.next('progress')).data).toMatchObject({
    state: 'waiting',
    progress: { published: 2, acked: 0, ready: 2 },
  })
  await http.settle('Q', 'acks', await http.pull('Q', 'max=10'))
  expect(await events.next('released')).toMatchObject({
    id: '0',
    data: { state: 'released', name: 'eof', outcome: 'clean', stats: { acked: 2 } },
  })
  await until(events.isEnded)
  // The last event is the last: whoever comes again with its id is told to stop.
  const again = await http.call('GET', '/v1/queues/Q/barriers/eof/events', { headers: { 'last-event-id': '0' } })
  expect(again.status).toBe(204)
  const late = await openEvents(http.port, '/v1/queues/Q/barriers/eof/events')
  expect((await late.next('released')).data).toMatchObject({ name: 'eof' })
})

test('progress comes at most four times a second', async () => {
  const http = await startWithEngine()
  await http.call('PUT', '/v1/queues/Q')
  await barrierBehind(http, 30)
  const began = performance.now()
  const events = await openEvents(http.port, '/v1/queues/Q/barriers/eof/events')
  for (let k = 0; k < 30; k += 1) await http.pull('Q', 'max=1&ack=auto')
  await events.next('released')
  const told = events.heard.filter(({ event }) => event === 'progress').length
  expect(told).toBeLessThanOrEqual(1 + Math.ceil((performance.now() - began) / 250))
  expect(told).toBeLessThan(30)
})

async function barrierBehind(http: Http, count: number): Promise<void> {
  for (let k = 0; k < count; k += 1) await publish(http, `${k}`, '?confirm=accepted')
  await barrier(http, 'eof')
}

function principal(name: string, rights: Readonly<Record<string, Permission>>): Principal {
  return { name, isAdmin: false, may: (_, right) => rights[right] }
}

/** The engine with a door that asks: `Authorization: Bearer` and the name. */
async function startAsking(principals: readonly Principal[], engine?: Engine): Promise<Http> {
  const doorkeeper = {
    login: ({ secret }: { secret?: string | undefined }) =>
      principals.find(({ name }) => name === secret) ?? { code: 'unauthenticated' as const, detail: 'who?' },
  }
  const asking: Partial<HttpOptions> = { doorkeeper }
  return startHttp(engine ?? (await openEngine({ clock: virtualClock() })), asking)
}

test('a reader hears of barriers and sees copies as its grants allow, without the counts of others', async () => {
  const engine = await openEngine({ clock: virtualClock() })
  const own = { filters: ['/store = 1'] }
  const open = await startHttp(engine)
  const asking = await startAsking(
    [principal('some', { browse: own }), principal('consumer', { consume: {} }), principal('none', { publish: {} })],
    engine,
  )
  await open.call('PUT', '/v1/queues/Q')
  const as = (name: string) => ({ authorization: `Bearer ${name}` })
  const some = await openEvents(asking.port, '/v1/queues/Q/events?watch=true', as('some'))
  await some.next('position')
  await publish(open, '{"store":1}')
  await publish(open, '{"store":2}')
  await publish(open, '{"store":1}')
  await open.pull('Q', 'max=10&ack=auto')
  await open.call('POST', '/v1/queues/Q/barriers?name=theirs', { body: '{"store":2}' })
  await open.call('POST', '/v1/queues/Q/barriers?name=ours', { body: '{"store":1}' })
  const released = await some.next('barrier')
  expect(released).toMatchObject({ id: '1', data: { name: 'ours' } })
  expect(released.data).not.toHaveProperty('stats')
  const copies = some.heard.filter(({ event }) => event === 'message').map(({ data }) => data.sequence)
  expect(copies).toEqual([1, 3])

  const ask = (name: string, query = '') =>
    asking.call('GET', `/v1/queues/Q/events${query}`, { headers: as(name) }).then(({ status }) => status)
  // Consuming shows barriers; copies are of what others get, and that is browsing.
  const consumer = await openEvents(asking.port, '/v1/queues/Q/events', as('consumer'))
  await consumer.next('position')
  expect(await ask('consumer', '?watch=true')).toBe(403)
  expect(await ask('none')).toBe(403)
  expect(await ask('nobody')).toBe(401)
})

test('a stream ends when its token is revoked, and says so', async () => {
  const engine = await openEngine({ clock: virtualClock() })
  const open = await startHttp(engine)
  await open.call('PUT', '/v1/queues/Q')
  const reader = principal('reader', { browse: {} })
  const asking = await startAsking([reader], engine)
  const headers = { authorization: 'Bearer reader' }
  const events = await openEvents(asking.port, '/v1/queues/Q/events', headers)
  const progress = await openEvents(asking.port, '/v1/queues/Q/barriers/eof/events', headers)
  await events.next('position')
  engine.dismiss(reader, { code: 'unauthenticated', detail: 'the token was revoked' })
  expect((await events.next('end')).data).toEqual({ code: 'unauthenticated', detail: 'the token was revoked' })
  await progress.next('end')
  await until(() => events.isEnded() && progress.isEnded())
})

test('an answer that does not end by itself ends with its peer, also if it has asked nothing of the engine', () => {
  const engine = new FakeEngine()
  const shared = { engine } as unknown as Shared
  const wire = { name: 'test', cut() {} } as unknown as Wire
  const connection = new Connection({ shared, wire, principal: principal('reader', {}) })
  const heard: unknown[] = []
  connection.onEnded(why => heard.push(why))
  const forget = connection.onEnded(() => heard.push('forgotten'))
  forget()
  expect(engine.outboxes).toEqual([connection])
  const why = { code: 'unauthenticated', detail: 'the token was revoked' } as const
  connection.closed(why)
  expect(heard).toEqual([why])
  connection.onEnded(late => heard.push(late))
  expect(heard).toEqual([why, why])
})

test('P1, B9: a barrier is told when its release is on disk, also to whoever comes between', async () => {
  const journal = memoryJournal({ manual: true })
  const engine = await openEngine({ clock: virtualClock(), journal })
  journal.commitAll()
  const http = await startHttp(engine)
  const declared = http.call('PUT', '/v1/queues/Q')
  await commitUntil(journal, declared)
  const early = await openEvents(http.port, '/v1/queues/Q/events')
  await early.next('position')
  const published = http.call('POST', '/v1/queues/Q/barriers?name=eof', { body: '{}' })
  await until(() => engine.broker.queue('Q')?.head.number === 1)
  // Decided, and not on disk: to whoever comes now it is a barrier that has not been released.
  const between = await openEvents(http.port, '/v1/queues/Q/events')
  expect(await between.next('position')).toMatchObject({ id: '-1' })
  const again = await openEvents(http.port, '/v1/queues/Q/events', { 'last-event-id': '-1' })
  expect([...early.heard, ...between.heard, ...again.heard].some(({ event }) => event === 'barrier')).toBe(false)
  await commitUntil(journal, published)
  for (const events of [early, between, again]) {
    expect(await events.next('barrier')).toMatchObject({ id: '0' })
    expect(events.heard.filter(({ event }) => event === 'barrier')).toHaveLength(1)
  }
})

async function commitUntil(journal: ReturnType<typeof memoryJournal>, asked: Promise<unknown>): Promise<void> {
  let isDone = false
  void asked.then(() => {
    isDone = true
  })
  await until(() => {
    journal.commitAll()
    return isDone
  })
}
