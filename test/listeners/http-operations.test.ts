import { expect, test } from 'vitest'
import { virtualClock } from '../../src/engine/clock.ts'
import { FakeEngine, type Http, startHttp, startWithEngine } from './http-support.ts'

/*
 * What operators do to queues and messages, by HTTP and with the real engine.
 */

const NDJSON = { 'content-type': 'application/x-ndjson' }
const NO_QUEUE = { status: 404, json: { code: 'no-such-queue' } }
const BAD_FILTER = { status: 422, json: { code: 'bad-filter', column: expect.any(Number) } }

/** A queue `Q`, with these bodies in it. */
async function startWith(options: object, ...bodies: string[]): Promise<Http> {
  const http = await startWithEngine()
  await http.send('PUT', '/v1/queues/Q', options)
  if (bodies.length > 0) await fill(http, 'Q', ...bodies)
  return http
}

async function fill(http: Http, queue: string, ...bodies: string[]): Promise<void> {
  const body = bodies.join('\n')
  expect((await http.call('POST', `/v1/queues/${queue}/messages`, { headers: NDJSON, body })).status).toBe(201)
}

const sequences = (answer: { json: { messages: { sequence: number }[] } }) =>
  answer.json.messages.map(({ sequence }) => sequence)

// ── options ──────────────────────────────────────────────────────────────────────────────────────────────────────

test('an update changes the options given and leaves the others, and what is shown can be declared again', async () => {
  const http = await startWith({ lease: '30s', deliveries_max: 3, retry_delay: { base: '1s', max: '1m' } })
  const answer = await http.send('PATCH', '/v1/queues/Q', { lease: '1m', deliveries_max: 'none', messages_max: 10 })
  expect(answer).toMatchObject({
    status: 200,
    json: { name: 'Q', options: { lease: '1m', deliveries_max: 'none', messages_max: 10, expiration: 'none' } },
  })
  expect(answer.json.options.retry_delay).toEqual({ base: '1s', factor: 2, max: '1m', jitter: false })
  expect(await http.send('PUT', '/v1/queues/Q', answer.json.options)).toMatchObject({ status: 200 })
  for (const delay of ['2s', { base: '1s', factor: 1, max: '5s' }, { base: '1s', factor: 1, jitter: true }]) {
    const { options } = (await http.send('PATCH', '/v1/queues/Q', { retry_delay: delay })).json
    expect(await http.send('PUT', '/v1/queues/Q', options), JSON.stringify(delay)).toMatchObject({ status: 200 })
  }
})

test('an update is refused with the option that is wrong, and changes nothing then', async () => {
  const http = await startWith({ lease: '30s' })
  const update = (options: object) => http.send('PATCH', '/v1/queues/Q', options)
  expect(await update({ lease: '1m', semantics: 'at-most-once' })).toMatchObject({
    status: 409,
    json: { code: 'queue-mismatch', differs: ['semantics'] },
  })
  const invalid = { status: 400, json: { code: 'invalid-options', option: 'lease' } }
  expect(await update({ unacked_max: 5, lease: '60 s' })).toMatchObject(invalid)
  expect(await update({ leese: '1m' })).toMatchObject({ status: 400, json: { code: 'invalid-options' } })
  expect(await update({ filter: '/a = ' })).toMatchObject({
    status: 422,
    json: { code: 'bad-filter', option: 'filter' },
  })
  expect(await update({ dead_letter: 'Q' })).toMatchObject({ status: 400, json: { option: 'dead_letter' } })
  expect(await http.send('PATCH', '/v1/queues/P', { lease: '1m' })).toMatchObject(NO_QUEUE)
  expect(await http.call('PATCH', '/v1/queues/Q', { body: '[' })).toMatchObject({ status: 400 })
  expect((await http.call('GET', '/v1/queues/Q')).json.options).toMatchObject({ lease: '30s', unacked_max: 'none' })
})

test('A7: a queue that another one names is there with it, and cannot be deleted', async () => {
  const http = await startWith({ dead_letter: 'LOST', forward_barrier: ['NEXT'] })
  expect(
    (await http.call('GET', '/v1/queues')).json.queues.map((queue: { name: string }) => queue.name).sort(),
  ).toEqual(['LOST', 'NEXT', 'Q'])
  for (const named of ['LOST', 'NEXT']) {
    expect(await http.call('DELETE', `/v1/queues/${named}`)).toMatchObject({
      status: 409,
      json: { code: 'queue-in-use', queue: 'Q' },
    })
  }
  expect(await http.send('PATCH', '/v1/queues/NEXT', { forward_barrier: ['Q'] })).toMatchObject({
    status: 400,
    json: { code: 'invalid-options', option: 'forward_barrier' },
  })
})

// ── pause ────────────────────────────────────────────────────────────────────────────────────────────────────────

test('D14: a paused queue delivers nothing and releases no barrier, and still takes publishes and acks', async () => {
  const http = await startWith({}, '1', '2')
  const held = await http.pull('Q', 'max=1')
  expect(await http.call('POST', '/v1/queues/Q/pause')).toMatchObject({
    status: 200,
    json: { name: 'Q', paused: true },
  })
  expect(await http.pull('Q', 'max=1')).toEqual([])
  expect((await http.settle('Q', 'acks', held)).json.acked).toBe(1)
  expect((await http.call('POST', '/v1/queues/Q/barriers?name=eof')).status).toBe(201)
  expect((await http.call('DELETE', '/v1/queues/Q/messages/2')).status).toBe(200)
  expect((await http.call('GET', '/v1/queues/Q/barriers/eof')).json).toMatchObject({ state: 'waiting' })
  await fill(http, 'Q', '4')
  expect(await http.call('POST', '/v1/queues/Q/resume')).toMatchObject({ status: 200, json: { paused: false } })
  expect((await http.call('GET', '/v1/queues/Q/barriers/eof?wait=5s')).json).toMatchObject({ state: 'released' })
  expect(await http.pull('Q', 'wait=5s')).toMatchObject([{ body: '4' }])
})

test('D14: holdouts of a paused queue say so; pausing what is not there is refused', async () => {
  const http = await startWith({}, '1')
  await http.call('POST', '/v1/queues/Q/barriers?name=eof')
  await http.call('POST', '/v1/queues/Q/pause')
  const { json } = await http.call('GET', '/v1/queues/Q/barriers/eof/holdouts')
  expect(json.holdouts).toMatchObject([{ sequence: 1, state: 'ready', reason: 'paused' }])
  expect(await http.call('POST', '/v1/queues/P/pause')).toMatchObject(NO_QUEUE)
  expect(await http.call('POST', '/v1/queues/P/resume')).toMatchObject(NO_QUEUE)
  expect(await http.call('POST', '/v1/queues/Q/pause?hard=true')).toMatchObject({ status: 400 })
})

// ── browse ───────────────────────────────────────────────────────────────────────────────────────────────────────

test('a browse shows messages by state and filter, page by page, and changes nothing', async () => {
  const http = await startWith({ lease: '60s' }, '{"n":1}', '{"n":2}', '{"n":3}')
  const late = { 'sluice-delay': '1h', 'sluice-ttl': '2h', 'sluice-header-store': '17' }
  await http.call('POST', '/v1/queues/Q/messages', { headers: late, body: '{"n":4}' })
  const [held] = await http.pull('Q', 'max=1')
  const browse = (query = '') => http.call('GET', `/v1/queues/Q/messages?${query}`)

  const { json } = await browse()
  expect(json).toMatchObject({
    messages: [
      { sequence: 1, batch: 0, state: 'leased', attempts: 0, holder: expect.any(String), body: '{"n":1}' },
      { sequence: 2, state: 'ready', redelivered: false, published_at: expect.stringMatching(/^20.*Z$/) },
      { sequence: 3, state: 'ready' },
      { sequence: 4, state: 'delayed', due_at: expect.any(String), expires_at: expect.any(String), delay: '1h' },
    ],
  })
  expect(json.messages[3].headers).toEqual({ store: '17' })
  expect(json.next).toBeUndefined()
  expect(sequences(await browse('state=ready'))).toEqual([2, 3])
  expect(sequences(await browse('state=leased'))).toEqual([1])
  expect(sequences(await browse('state=delayed'))).toEqual([4])
  expect(sequences(await browse(`filter=${encodeURIComponent('/n >= 3')}`))).toEqual([3, 4])
  const page = await browse('limit=2')
  expect([sequences(page), page.json.next]).toEqual([[1, 2], 2])
  expect(sequences(await browse('after=2&limit=2'))).toEqual([3, 4])

  expect((await http.settle('Q', 'acks', [held!])).json.acked).toBe(1)
  expect(await http.pull('Q', 'max=10')).toMatchObject([{ sequence: 2, attempt: 1 }, { sequence: 3 }])
})

test('a browse is refused for a queue, a state, a filter or a limit that cannot be', async () => {
  const http = await startWith({})
  expect(await http.call('GET', '/v1/queues/P/messages')).toMatchObject(NO_QUEUE)
  expect(await http.call('GET', '/v1/queues/Q/messages?filter=/a%20%3D')).toMatchObject(BAD_FILTER)
  for (const query of ['state=dead', 'limit=0', 'limit=1001', 'after=-1', 'aftre=1', 'filter=']) {
    expect(await http.call('GET', `/v1/queues/Q/messages?${query}`), query).toMatchObject({ status: 400 })
  }
})

// ── one message ──────────────────────────────────────────────────────────────────────────────────────────────────

test('A2: an operator takes a message from its holder, whose ack is refused then; it comes back as the same attempt', async () => {
  const http = await startWith({ lease: '60s' }, '1')
  const held = await http.pull('Q', 'max=1')
  expect(await http.call('POST', '/v1/queues/Q/messages/1/release')).toMatchObject({
    status: 200,
    json: { sequence: 1, result: 'released' },
  })
  expect((await http.settle('Q', 'acks', held)).json.results).toEqual([{ sequence: 1, result: 'lease-lost' }])
  expect(await http.pull('Q', 'max=1')).toMatchObject([{ sequence: 1, attempt: 1 }])
})

test('A5: an operator moves a message to the dead letters, or deletes it, in whatever state it is', async () => {
  const http = await startWith({ lease: '60s' }, '1', '2', '3', '4')
  await http.pull('Q', 'max=2')
  expect(await http.call('POST', '/v1/queues/Q/messages/1/dead-letter')).toMatchObject({
    status: 200,
    json: { sequence: 1, result: 'dead-lettered' },
  })
  expect((await http.call('POST', '/v1/queues/Q/messages/3/dead-letter')).status).toBe(200)
  for (const sequence of [2, 4]) {
    const deleted = await http.call('DELETE', `/v1/queues/Q/messages/${sequence}`)
    expect(deleted).toMatchObject({ status: 200, json: { sequence, result: 'deleted' } })
  }
  expect((await http.call('GET', '/v1/queues/Q')).json).toMatchObject({ ready: 0, leased: 0 })
  const { messages } = (await http.call('GET', '/v1/queues/Q/dead')).json
  expect(messages.map(({ origin }: { origin: object }) => origin)).toMatchObject([
    { queue: 'Q', sequence: 1, reason: 'rejected' },
    { queue: 'Q', sequence: 3, reason: 'rejected' },
  ])
})

test('what is done to a message that is not there is answered no-such-message', async () => {
  const http = await startWith({}, '1')
  const gone = { status: 404, json: { code: 'no-such-message', queue: 'Q' } }
  expect(await http.call('POST', '/v1/queues/Q/messages/7/release')).toMatchObject(gone)
  expect(await http.call('POST', '/v1/queues/Q/messages/7/dead-letter')).toMatchObject(gone)
  expect(await http.call('DELETE', '/v1/queues/Q/messages/7')).toMatchObject(gone)
  // It is there, but nobody holds it.
  expect(await http.call('POST', '/v1/queues/Q/messages/1/release')).toMatchObject(gone)
  expect(await http.call('DELETE', '/v1/queues/P/messages/1')).toMatchObject(NO_QUEUE)
  for (const sequence of ['0', 'x', '1.0', '-1', '99999999999999999']) {
    expect(await http.call('DELETE', `/v1/queues/Q/messages/${sequence}`), sequence).toMatchObject({ status: 400 })
  }
  expect(await http.call('DELETE', '/v1/queues/Q/messages/1?force=true')).toMatchObject({ status: 400 })
})

// ── dead letters ─────────────────────────────────────────────────────────────────────────────────────────────────

/** Three dead letters: of the batch `one` n = 1 and 2, of the open one n = 3. */
async function startWithDeadLetters(): Promise<Http> {
  const http = await startWith({ lease: '60s' }, '{"n":1}', '{"n":2}')
  await http.call('POST', '/v1/queues/Q/barriers?name=one')
  await http.settle('Q', 'rejects', await http.pull('Q', 'max=2'), { reason: 'no store' })
  await http.call('GET', '/v1/queues/Q/barriers/one?wait=5s')
  await fill(http, 'Q', '{"n":3}')
  await http.settle('Q', 'rejects', await http.pull('Q', 'max=1&wait=5s'))
  return http
}

test('A5: dead letters are listed with origin and reason, by filter, by batch and page by page', async () => {
  const http = await startWithDeadLetters()
  const dead = (query = '') => http.call('GET', `/v1/queues/Q/dead?${query}`)
  const { json } = await dead()
  expect(json.messages).toHaveLength(3)
  expect(json.messages[0]).toMatchObject({
    sequence: 1,
    body: '{"n":1}',
    origin: { queue: 'Q', sequence: 1, batch: 0, attempts: 1, reason: 'rejected', detail: 'no store' },
  })
  expect(json.messages[0].origin.published_at <= json.messages[0].origin.dead_at).toBe(true)
  expect(sequences(await dead('batch=one'))).toEqual([1, 2])
  expect(sequences(await dead('batch=%403&filter=/n%20%3D%202'))).toEqual([2])
  const page = await dead('limit=2')
  expect([sequences(page), page.json.next]).toEqual([[1, 2], 2])
  expect(sequences(await dead('after=2'))).toEqual([3])
  expect((await http.call('GET', '/v1/queues/Q.dead/messages')).json.messages).toHaveLength(3)
})

test('A5: dead letters are requeued to their origin with a new sequence number: by batch, by filter, all', async () => {
  const http = await startWithDeadLetters()
  const requeue = '/v1/queues/Q/dead/requeue'
  expect(await http.send('POST', requeue, { batch: 'one', filter: '/n = 2' })).toMatchObject({
    status: 200,
    json: { requeued: 1 },
  })
  expect(await http.call('POST', `${requeue}?filter=/n%20%3D%203`)).toMatchObject({ json: { requeued: 1 } })
  expect((await http.call('POST', requeue)).json).toEqual({ requeued: 1 })
  expect((await http.call('POST', requeue)).json).toEqual({ requeued: 0 })
  const bodies = (await http.pull('Q', 'max=10')).map(({ sequence, body }) => [sequence, body])
  expect(bodies).toEqual([
    [5, '{"n":2}'],
    [6, '{"n":3}'],
    [7, '{"n":1}'],
  ])
})

test('A5: dead letters are purged, those that are meant', async () => {
  const http = await startWithDeadLetters()
  expect(await http.call('DELETE', '/v1/queues/Q/dead?batch=one')).toMatchObject({ status: 200, json: { purged: 2 } })
  expect(sequences(await http.call('GET', '/v1/queues/Q/dead'))).toEqual([3])
  expect((await http.call('DELETE', '/v1/queues/Q/dead')).json).toEqual({ purged: 1 })
})

test('A5: dead letters of what is not there, or by a filter that cannot be read, are refused', async () => {
  const http = await startWithDeadLetters()
  const ways: [string, string][] = [
    ['GET', ''],
    ['POST', '/requeue'],
    ['DELETE', ''],
  ]
  for (const [method, path] of ways) {
    const ask = (queue: string, query: string) => http.call(method, `/v1/queues/${queue}/dead${path}?${query}`)
    expect(await ask('P', ''), method).toMatchObject(NO_QUEUE)
    expect(await ask('Q', 'batch=two'), method).toMatchObject({ status: 404, json: { code: 'no-such-barrier' } })
    expect(await ask('Q', 'filter=/a%20%3D'), method).toMatchObject(BAD_FILTER)
    expect(await ask('Q', 'fliter=/a'), method).toMatchObject({ status: 400 })
  }
  const requeue = '/v1/queues/Q/dead/requeue'
  expect(await http.call('POST', `${requeue}?batch=one`, { body: '{"batch":"one"}' })).toMatchObject({ status: 400 })
  expect(await http.send('POST', requeue, { batsh: 'one' })).toMatchObject({ status: 400, json: { field: 'batsh' } })
  expect(await http.send('POST', requeue, { filter: '' })).toMatchObject({ status: 400, json: { field: 'filter' } })
  expect(await http.call('POST', requeue, { headers: { 'content-type': 'text/plain' }, body: 'x' })).toMatchObject({
    status: 415,
  })
  expect((await http.call('GET', '/v1/queues/Q/dead')).json.messages).toHaveLength(3)
})

// ── purge ────────────────────────────────────────────────────────────────────────────────────────────────────────

test('A6: a purge settles what is ready and delayed, and with leased=true what is leased too', async () => {
  const http = await startWith({ lease: '60s' }, '1', '2', '3')
  await http.call('POST', '/v1/queues/Q/messages', { headers: { 'sluice-delay': '1h' }, body: '4' })
  const held = await http.pull('Q', 'max=1')
  expect(await http.call('DELETE', '/v1/queues/Q/messages')).toMatchObject({ status: 200, json: { purged: 3 } })
  expect(sequences(await http.call('GET', '/v1/queues/Q/messages'))).toEqual([1])
  expect((await http.call('DELETE', '/v1/queues/Q/messages?leased=true')).json).toEqual({ purged: 1 })
  expect((await http.settle('Q', 'acks', held)).json.results[0].result).not.toBe('acked')
})

test('A6: a purge ends the waiting batches as cancelled, in order', async () => {
  const http = await startWith({}, '1')
  await http.call('POST', '/v1/queues/Q/barriers?name=one')
  await fill(http, 'Q', '3')
  await http.call('POST', '/v1/queues/Q/barriers?name=two')
  await fill(http, 'Q', '5')
  expect((await http.call('DELETE', '/v1/queues/Q/messages')).json).toEqual({ purged: 3 })
  const { barriers } = (await http.call('GET', '/v1/queues/Q/barriers')).json
  expect(barriers).toMatchObject([
    { name: 'one', state: 'released', outcome: 'cancelled', stats: { dropped: 1 } },
    { name: 'two', state: 'released', outcome: 'cancelled', stats: { dropped: 1 } },
  ])
})

test('A6: a purge of what is not there, or asked for in other words, is refused', async () => {
  const http = await startWith({}, '1')
  expect(await http.call('DELETE', '/v1/queues/P/messages')).toMatchObject(NO_QUEUE)
  expect(await http.call('DELETE', '/v1/queues/Q/messages?leased=yes')).toMatchObject({ status: 400 })
  expect(await http.call('DELETE', '/v1/queues/Q/messages?state=ready')).toMatchObject({ status: 400 })
  expect((await http.call('GET', '/v1/queues/Q')).json.ready).toBe(1)
})

test('A2: a lease that ran out is told, and the message comes back as another attempt', async () => {
  const clock = virtualClock()
  const http = await startWithEngine(clock)
  await http.send('PUT', '/v1/queues/Q', { lease: '10s', deliveries_max: 2 })
  await fill(http, 'Q', '1')
  const held = await http.pull('Q', 'max=1')
  clock.advance(10_001)
  expect((await http.settle('Q', 'acks', held)).json.results).toEqual([{ sequence: 1, result: 'lease-lost' }])
  expect(await http.pull('Q', 'max=1')).toMatchObject([{ sequence: 1, attempt: 2 }])
  clock.advance(10_001)
  expect((await http.call('GET', '/v1/queues/Q/dead')).json.messages).toMatchObject([
    { origin: { attempts: 2, reason: 'deliveries' } },
  ])
})

test('every command of an operator reaches the engine as it was given', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  const calls: [string, string][] = [
    ['PATCH', '/v1/queues/Q'],
    ['POST', '/v1/queues/Q/pause'],
    ['POST', '/v1/queues/Q/resume'],
    ['DELETE', '/v1/queues/Q/messages?leased=true'],
    ['GET', '/v1/queues/Q/messages?state=ready&filter=/a&after=3&limit=5'],
    ['GET', '/v1/queues/Q/messages'],
    ['POST', '/v1/queues/Q/messages/7/release'],
    ['POST', '/v1/queues/Q/messages/7/dead-letter'],
    ['DELETE', '/v1/queues/Q/messages/7'],
    ['GET', '/v1/queues/Q/dead?batch=eof&filter=/a&after=3&limit=5'],
    ['POST', '/v1/queues/Q/dead/requeue?batch=eof'],
    ['DELETE', '/v1/queues/Q/dead?filter=/a'],
    ['POST', '/v1/queues/Q/barriers/eof/cancel?rest=drop'],
    ['POST', '/v1/queues/Q/barriers/eof/cancel'],
    ['POST', '/v1/queues/Q/barriers/%404/extend?deadline=6h'],
  ]
  for (const [method, path] of calls) expect((await http.call(method, path)).status, path).toBe(200)
  expect(engine.operated).toEqual([
    ['update', 'Q', {}],
    ['pause', 'Q', true],
    ['pause', 'Q', false],
    ['purge', 'Q', { leased: true }],
    ['browse', { queue: 'Q', state: 'ready', filter: '/a', after: 3, limit: 5 }],
    ['browse', { queue: 'Q', limit: 100 }],
    ['operate', 'Q', 7, 'release'],
    ['operate', 'Q', 7, 'dead-letter'],
    ['operate', 'Q', 7, 'delete'],
    ['deadLetters', { queue: 'Q', batch: 'eof', filter: '/a', after: 3, limit: 5 }],
    ['requeueDeadLetters', { queue: 'Q', batch: 'eof' }],
    ['purgeDeadLetters', { queue: 'Q', filter: '/a' }],
    ['cancelBarrier', 'Q', 'eof', 'drop'],
    ['cancelBarrier', 'Q', 'eof', undefined],
    ['extendBarrier', 'Q', '@4', 6 * 3_600_000],
  ])
})
