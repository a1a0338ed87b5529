import { expect, test } from 'vitest'
import { virtualClock } from '../../src/engine/clock.ts'
import { FakeEngine, type Http, startHttp, startWithEngine } from './http-support.ts'

/*
 * The rules of publishing and delivering as a client of HTTP meets them, with the real engine.
 */

const ENVELOPE = { 'content-type': 'application/x-ndjson; profile=envelope' }
const MESSAGES = '/v1/queues/Q/messages'

async function startWith(options: object): Promise<Http> {
  const http = await startWithEngine()
  await http.send('PUT', '/v1/queues/Q', options)
  return http
}

const publish = (http: Http, body: string, headers: Record<string, string> = {}) =>
  http.call('POST', MESSAGES, { headers, body })

/** Messages as envelopes, one a line. */
const publishAll = (http: Http, messages: readonly object[], query = '') =>
  http.call('POST', `${MESSAGES}${query}`, {
    headers: ENVELOPE,
    body: messages.map(message => JSON.stringify(message)).join('\n'),
  })

const bodies = async (http: Http, query = 'max=10&ack=auto') => (await http.pull('Q', query)).map(({ body }) => body)

// ── dedupe ───────────────────────────────────────────────────────────────────────────────────────────────────────

test('P5: a repeated Idempotency-Key is answered 201 with the first sequence number, and enqueues nothing', async () => {
  const clock = virtualClock()
  const http = await startWithEngine(clock)
  await http.send('PUT', '/v1/queues/Q', { dedupe_window: '5m' })
  const key = { 'idempotency-key': 'sale-1' }
  expect(await publish(http, 'a', key)).toMatchObject({ status: 201, json: { sequence: 1, duplicate: false } })
  expect((await publish(http, 'b')).json).toEqual({ sequence: 2, duplicate: false })
  expect(await publish(http, 'a', key)).toMatchObject({ status: 201, json: { sequence: 1, duplicate: true } })
  expect(await bodies(http)).toEqual(['a', 'b'])
  expect((await publish(http, 'a', key)).json).toEqual({ sequence: 1, duplicate: true })
  clock.advance(5 * 60_000 + 1)
  expect((await publish(http, 'a', key)).json).toEqual({ sequence: 3, duplicate: false })
})

test('P5: dedupe asked for on a queue without a window is refused no-dedupe-window; a bare message_id is a property', async () => {
  const http = await startWith({})
  const refused = { status: 422, json: { code: 'no-dedupe-window' } }
  expect(await publish(http, 'a', { 'idempotency-key': 'sale-1' })).toMatchObject(refused)
  expect(await publishAll(http, [{ body: 'a', message_id: 'sale-1' }], '?dedupe=true')).toMatchObject({
    status: 422,
    json: { code: 'lines-refused', accepted: 0, refused: [{ line: 1, code: 'no-dedupe-window' }] },
  })
  const twice = [
    { body: 'a', message_id: 'sale-1' },
    { body: 'a', message_id: 'sale-1' },
  ]
  expect(await publishAll(http, twice)).toMatchObject({ status: 201, json: { count: 2 } })
  expect((await http.call('GET', MESSAGES)).json.messages).toMatchObject([
    { message_id: 'sale-1' },
    { message_id: 'sale-1' },
  ])
})

test('P5: a file that is sent again with dedupe counts all its lines, and says how many were there', async () => {
  const http = await startWith({ dedupe_window: '5m' })
  const file = ['1', '2', '3'].map(n => ({ body: n, message_id: `sale-${n}` }))
  expect((await publishAll(http, file, '?dedupe=true')).json).toEqual({
    count: 3,
    first_sequence: 1,
    last_sequence: 3,
    duplicates: 0,
  })
  const more = [...file, { body: '4', message_id: 'sale-4' }]
  expect((await publishAll(http, more, '?dedupe=true')).json).toEqual({
    count: 4,
    first_sequence: 1,
    last_sequence: 4,
    duplicates: 3,
  })
  expect((await publishAll(http, more)).json.duplicates).toBe(4)
  expect(await bodies(http)).toEqual(['1', '2', '3', '4'])
})

test('P5: with dedupe every line needs a message_id, and lines that are bodies have none', async () => {
  const http = await startWith({ dedupe_window: '5m' })
  expect(await publishAll(http, [{ body: 'a', message_id: 'x' }, { body: 'b' }], '?dedupe=true')).toMatchObject({
    status: 422,
    json: { accepted: 1, refused: [{ line: 2, code: 'invalid-message' }] },
  })
  const plain = { headers: { 'content-type': 'application/x-ndjson' }, body: '1\n' }
  expect(await http.call('POST', `${MESSAGES}?dedupe=true`, plain)).toMatchObject({
    status: 400,
    json: { parameter: 'dedupe' },
  })
  expect(await http.call('POST', `${MESSAGES}?dedupe=true`, { body: 'a' })).toMatchObject({ status: 400 })
})

test('P5: ids beyond dedupe_max are refused server-busy, those remembered go on', async () => {
  const http = await startWith({ dedupe_window: '5m', dedupe_max: 1 })
  const first = { 'idempotency-key': 'a' }
  await publish(http, 'a', first)
  const refused = await publish(http, 'b', { 'idempotency-key': 'b' })
  expect(refused).toMatchObject({ status: 503, json: { code: 'server-busy', limit: 'dedupe_max' } })
  expect(refused.headers['retry-after']).toBe('1')
  expect((await publish(http, 'a', first)).json.duplicate).toBe(true)
})

// ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────

test('P8: a full queue refuses one message with 429, and of many those for which there is no room', async () => {
  const http = await startWith({ messages_max: 2 })
  expect(await publishAll(http, [{ body: '1' }, { body: '2' }, { body: '3' }])).toMatchObject({
    status: 422,
    json: { accepted: 2, first_sequence: 1, last_sequence: 2, refused: [{ line: 3, code: 'queue-full' }] },
  })
  const refused = await publish(http, '4')
  expect(refused).toMatchObject({ status: 429, json: { code: 'queue-full', limit: 'messages_max', messages_max: 2 } })
  expect(refused.headers['retry-after']).toBe('1')
  expect(await bodies(http, 'max=1&ack=auto')).toEqual(['1'])
  expect((await publish(http, '4')).status).toBe(201)
})

test('P8: bytes_max refuses, drop-oldest and dead-letter-oldest make room', async () => {
  const http = await startWith({ bytes_max: 10 })
  await publish(http, '12345')
  expect(await publish(http, '123456')).toMatchObject({ status: 429, json: { limit: 'bytes_max', bytes_max: 10 } })
  expect((await http.send('PATCH', '/v1/queues/Q', { overflow: 'drop-oldest' })).status).toBe(200)
  expect((await publish(http, '123456')).status).toBe(201)
  expect((await http.call('GET', '/v1/queues/Q')).json).toMatchObject({ ready: 1, bytes: 6 })
  expect((await http.send('PATCH', '/v1/queues/Q', { overflow: 'dead-letter-oldest' })).status).toBe(200)
  expect((await publish(http, '54321')).status).toBe(201)
  expect((await http.call('GET', '/v1/queues/Q/dead')).json.messages).toMatchObject([
    { body: '123456', origin: { reason: 'overflow' } },
  ])
  expect(await bodies(http)).toEqual(['54321'])
})

test('P8: what the filter does not match is refused not-accepted, and a body that is too large names the option', async () => {
  const http = await startWith({ filter: '/n > 0' })
  expect(await publish(http, '{"n":0}')).toMatchObject({
    status: 422,
    json: { code: 'not-accepted', filter: '/n > 0' },
  })
  expect((await publish(http, '{"n":1}')).status).toBe(201)
  expect(await publish(http, 'x'.repeat(1_025))).toMatchObject({
    status: 413,
    json: { code: 'message-too-large', option: 'message_max', limit: 1_024 },
  })
})

test('P4: of an atomic publish nothing is kept when one line is refused', async () => {
  const http = await startWith({ messages_max: 2 })
  expect(await publishAll(http, [{ body: '1' }, { body: '2' }, { body: '3' }], '?atomic=true')).toMatchObject({
    status: 422,
    json: { accepted: 0, refused_count: 3 },
  })
  expect((await http.call('GET', '/v1/queues/Q')).json.ready).toBe(0)
  expect((await publishAll(http, [{ body: '1' }, { body: '2' }], '?atomic=true')).json).toMatchObject({ count: 2 })
})

// ── order, groups, times ─────────────────────────────────────────────────────────────────────────────────────────

test('D15: messages of one group come one at a time and in order, by header or by envelope', async () => {
  const http = await startWith({ group: 'property', lease: '60s' })
  // As the UTF-8 bytes that curl sends.
  const group = Buffer.from('Zürich').toString('latin1')
  expect((await publish(http, '1', { 'sluice-group': group })).status).toBe(201)
  await publishAll(http, [
    { body: '2', group: 'Zürich' },
    { body: '3', group: 'Bern' },
  ])
  const first = await http.pull('Q', 'max=10')
  expect(first.map(({ body }) => body)).toEqual(['1', '3'])
  expect(await bodies(http)).toEqual([])
  await http.settle('Q', 'acks', first)
  expect(await bodies(http, 'max=10&ack=auto&wait=5s')).toEqual(['2'])
})

test('D1: higher priorities go first, the oldest first within one, by header, by envelope and by expression', async () => {
  const http = await startWith({ priority: 'property' })
  await publish(http, 'low')
  await publish(http, 'high', { 'sluice-priority': '9' })
  await publishAll(http, [
    { body: 'middle', priority: 5 },
    { body: 'high too', priority: 9 },
  ])
  expect(await bodies(http)).toEqual(['high', 'high too', 'middle', 'low'])
  await http.send('PATCH', '/v1/queues/Q', { priority: '/p' })
  await publishAll(http, [{ body: '{"p":1}' }, { body: '{"p":2}' }])
  expect(await bodies(http)).toEqual(['{"p":2}', '{"p":1}'])
})

test('P7: delay keeps a message out of sight, and ttl ends it', async () => {
  const clock = virtualClock()
  const http = await startWithEngine(clock)
  await http.send('PUT', '/v1/queues/Q', {})
  await publishAll(http, [{ body: 'late', delay: '10s' }, { body: 'short', ttl: '5s' }, { body: 'now' }])
  expect((await http.call('GET', '/v1/queues/Q')).json).toMatchObject({ ready: 2, delayed: 1 })
  clock.advance(5_001)
  expect(await bodies(http)).toEqual(['now'])
  clock.advance(5_000)
  expect(await bodies(http)).toEqual(['late'])
  const { messages } = (await http.call('GET', '/v1/queues/Q/dead')).json
  expect(messages).toMatchObject([{ body: 'short', origin: { reason: 'expired' } }])
  // What is dead does not die again.
  expect(messages[0]).not.toHaveProperty('expires_at')
})

// ── acks that publish ────────────────────────────────────────────────────────────────────────────────────────────

test('A4: an ack publishes to several queues, and tells where each message went in the order of the request', async () => {
  const http = await startWith({})
  for (const queue of ['A', 'B']) await http.send('PUT', `/v1/queues/${queue}`, { dedupe_window: '5m' })
  await publish(http, '1')
  const publishes = [
    { queue: 'B', body: 'b1' },
    { queue: 'A', body: 'a1', message_id: 'x' },
    { queue: 'B', body: 'b2' },
    { queue: 'A', body: 'a1', message_id: 'x' },
    { queue: 'Q', body: 'q2' },
  ]
  const answer = await http.settle('Q', 'acks', await http.pull('Q', 'max=1'), { publish: publishes })
  expect(answer).toMatchObject({ status: 200, json: { acked: 1 } })
  expect(answer.json.published).toEqual([
    { sequence: 1, duplicate: false },
    { sequence: 1, duplicate: false },
    { sequence: 2, duplicate: false },
    { sequence: 1, duplicate: true },
    { sequence: 2, duplicate: false },
  ])
  expect((await http.call('GET', '/v1/queues/B')).json.ready).toBe(2)
})

test('A4: if one publish is refused, or one delivery is not held, nothing happens and the lease stays', async () => {
  const http = await startWith({})
  await http.send('PUT', '/v1/queues/FULL', { messages_max: 1, filter: '/ok = 1' })
  await publishAll(http, [{ body: '1' }, { body: '2' }])
  const [first, second] = await http.pull('Q', 'max=2')
  const ack = (deliveries: readonly (typeof first)[], ...messages: object[]) =>
    http.settle('Q', 'acks', deliveries as NonNullable<typeof first>[], { publish: messages })
  expect(await ack([first], { queue: 'NONE', body: 'x' })).toMatchObject({
    status: 404,
    json: { code: 'no-such-queue' },
  })
  expect(await ack([first], { queue: 'FULL', body: '{"ok":1}' }, { queue: 'FULL', body: 'x' })).toMatchObject({
    status: 422,
    json: { code: 'not-accepted' },
  })
  expect((await http.call('GET', '/v1/queues/FULL')).json.ready).toBe(0)
  await http.settle('Q', 'releases', [second!])
  expect(await ack([first, second], { queue: 'FULL', body: '{"ok":1}' })).toMatchObject({ status: 409 })
  expect((await http.call('GET', '/v1/queues/FULL')).json.ready).toBe(0)
  // A full queue takes what an ack publishes.
  const done = await ack([first], { queue: 'FULL', body: '{"ok":1}' }, { queue: 'FULL', body: '{"ok":1}' })
  expect(done).toMatchObject({ status: 200, json: { acked: 1, published: [{ sequence: 1 }, { sequence: 2 }] } })
})

test('D9: an at-most-once queue settles as it delivers, and its acks carry nothing', async () => {
  const http = await startWith({ semantics: 'at-most-once' })
  await publish(http, '1')
  const held = await http.pull('Q', 'max=1')
  expect((await http.call('GET', '/v1/queues/Q')).json).toMatchObject({ ready: 0 })
  expect(await http.settle('Q', 'acks', held, { publish: [{ queue: 'Q', body: '2' }] })).toMatchObject({
    status: 400,
    json: { code: 'invalid-request' },
  })
  expect(await http.send('PUT', '/v1/queues/R', { semantics: 'at-most-once', lease: '1s' })).toMatchObject({
    status: 400,
    json: { code: 'invalid-options', option: 'lease' },
  })
})

test('P5: dedupe of lines reaches the engine only when it is asked for', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  await publishAll(http, [{ body: 'a', message_id: 'x' }], '?dedupe=true')
  await publishAll(http, [{ body: 'a', message_id: 'x' }], '?dedupe=false')
  expect(engine.publishes.map(({ dedupe }) => dedupe)).toEqual([true, false])
})

test('P1: ?confirm=none on an at-most-once queue is 202 before the disk, and refused on others', async () => {
  const http = await startWithEngine()
  await http.send('PUT', '/v1/queues/once', { semantics: 'at-most-once' })
  await http.send('PUT', '/v1/queues/strict', {})
  const publish = (queue: string) => http.call('POST', `/v1/queues/${queue}/messages?confirm=none`, { body: '1' })
  expect(await publish('once')).toMatchObject({ status: 202, json: {} })
  expect((await http.call('GET', '/v1/queues/once')).json).toMatchObject({ published_total: 1 })
  expect(await publish('strict')).toMatchObject({ status: 400, json: { code: 'invalid-request' } })
  expect(await publish('missing')).toMatchObject({ status: 404, json: { code: 'no-such-queue' } })
  const lines = { headers: { 'content-type': 'application/x-ndjson' }, body: '1' }
  expect((await http.call('POST', '/v1/queues/once/messages?confirm=none', lines)).status).toBe(400)
})
