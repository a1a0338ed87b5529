import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { virtualClock } from '../../src/engine/clock.ts'
import { BARRIER, FakeEngine, type Http, RELEASED, record, startHttp, startWithEngine } from './http-support.ts'

/*
 * Barriers by HTTP alone: parties, forwarding, deadlines and early ends, with the real engine.
 */

const NDJSON = { 'content-type': 'application/x-ndjson' }
const BARRIERS = '/v1/queues/Q/barriers'

async function fill(http: Http, queue: string, ...bodies: string[]): Promise<void> {
  const body = bodies.join('\n')
  expect((await http.call('POST', `/v1/queues/${queue}/messages`, { headers: NDJSON, body })).status).toBe(201)
}

async function startWith(options: object, ...bodies: string[]): Promise<Http> {
  const http = await startWithEngine()
  await http.send('PUT', '/v1/queues/Q', options)
  if (bodies.length > 0) await fill(http, 'Q', ...bodies)
  return http
}

const publish = (http: Http, query: string, body = '') => http.call('POST', `${BARRIERS}?${query}`, { body })
const shown = async (http: Http, name: string, queue = 'Q') =>
  (await http.call('GET', `/v1/queues/${queue}/barriers/${name}?wait=5s`)).json

// ── names and numbers ────────────────────────────────────────────────────────────────────────────────────────────

test('B1: a name is used once, and the refusal says when that barrier was released', async () => {
  const http = await startWith({}, '1')
  expect((await publish(http, 'name=eof')).status).toBe(201)
  const taken = { status: 409, json: { code: 'barrier-exists', sequence: 2 } }
  expect(await publish(http, 'name=eof')).toMatchObject(taken)
  await http.call('DELETE', '/v1/queues/Q/messages/1')
  await shown(http, 'eof')
  expect((await publish(http, 'name=eof')).json).toMatchObject({
    code: 'barrier-exists',
    detail: expect.stringMatching(/released at 20/),
    released_at: expect.anything(),
  })
  expect(await publish(http, 'name=%4017')).toMatchObject({ status: 422, json: { code: 'invalid-message' } })
})

test('B1: a barrier is also published among the messages, marked by its header or its envelope', async () => {
  const http = await startWith({}, '1')
  const marked = { 'sluice-barrier': 'one' }
  expect((await http.call('POST', '/v1/queues/Q/messages', { headers: marked, body: 'end' })).status).toBe(201)
  const envelope = { 'content-type': 'application/x-ndjson; profile=envelope' }
  const body = '{"body":"2"}\n{"body":"end","barrier":{"name":"two","deadline":"6h","rest":"drop"}}'
  const { json } = await http.call('POST', '/v1/queues/Q/messages', { headers: envelope, body })
  expect(json).toMatchObject({ count: 2, first_sequence: 3, last_sequence: 4 })
  const { barriers } = (await http.call('GET', BARRIERS)).json
  expect(barriers).toMatchObject([
    { name: 'one', sequence: 2, state: 'waiting' },
    { name: 'two', sequence: 4, state: 'waiting' },
  ])
})

// ── receipts ─────────────────────────────────────────────────────────────────────────────────────────────────────

const receipt = async (http: Http, name: string, queue = 'Q') =>
  (await http.call('GET', `/v1/queues/${queue}/barriers/${name}/receipt`)).json

test('B10: a receipt names the places between the barriers, also where the record before is gone', async () => {
  const http = await startWith({ barrier_records: 1 }, '1', '2')
  await publish(http, 'name=one')
  await fill(http, 'Q', '3')
  await publish(http, 'name=two')
  expect(await receipt(http, 'two')).toMatchObject({ code: 'not-released', state: 'waiting' })
  await http.call('DELETE', '/v1/queues/Q/messages/1')
  await http.call('DELETE', '/v1/queues/Q/messages/2')
  await shown(http, 'one')
  expect((await receipt(http, 'one')).receipt).toMatchObject({ sequence: 3, first_sequence: 1, last_sequence: 2 })
  await http.call('DELETE', '/v1/queues/Q/messages/4')
  await shown(http, 'two')
  expect(await receipt(http, 'one')).toMatchObject({ code: 'no-such-barrier' })
  expect(await receipt(http, 'two')).toMatchObject({
    receipt: { batch: 1, sequence: 5, first_sequence: 4, last_sequence: 4, counts: { published: 1, dropped: 1 } },
  })
})

test('B10, B14, B15: a receipt has the hash of what each party said, and the counts of the batches before', async () => {
  const http = await startWith({}, '1')
  await http.send('PUT', '/v1/queues/R', {})
  for (const party of ['a', 'b']) await publish(http, `name=eof&parties=2&party=${party}&forward=R`, party)
  await http.call('DELETE', '/v1/queues/Q/messages/1')
  await shown(http, 'eof')
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
  expect((await receipt(http, 'eof')).receipt.parties).toEqual({
    count: 2,
    arrived: [
      { party: 'a', body_sha256: sha256('a') },
      { party: 'b', body_sha256: sha256('b') },
    ],
  })
  await shown(http, 'eof', 'R')
  expect((await receipt(http, 'eof', 'R')).receipt.batches).toMatchObject([
    { queue: 'Q', batch: 0, outcome: 'with-dead', counts: { published: 1, dropped: 1 } },
  ])
})

test('a list of barriers comes in pages, by state, and with bodies only if they are asked for', async () => {
  const http = await startWith({})
  for (const name of ['a', 'b', 'c']) await publish(http, `name=${name}`, `"${name}"`)
  await fill(http, 'Q', '1')
  await publish(http, 'name=d', '"d"')
  const list = async (query: string) => (await http.call('GET', `${BARRIERS}?${query}`)).json
  const first = await list('limit=2')
  expect(first).toMatchObject({ barriers: [{ name: 'a', outcome: 'clean' }, { name: 'b' }], next: 2 })
  expect(first.barriers[0].body).toBeUndefined()
  expect(await list('after=2&bodies=true')).toMatchObject({ barriers: [{ name: 'c', body: '"c"' }, { name: 'd' }] })
  expect((await list('state=waiting')).barriers.map(({ name }: { name: string }) => name)).toEqual(['d'])
  for (const query of ['state=dead', 'limit=0', 'bodies=1', 'aftre=1'])
    expect(await http.call('GET', `${BARRIERS}?${query}`), query).toMatchObject({ status: 400 })
})

test('P8: more waiting barriers than barriers_max are refused too-many-barriers', async () => {
  const http = await startWith({ barriers_max: 1 }, '1')
  await publish(http, 'name=one')
  const refused = await publish(http, 'name=two')
  expect(refused).toMatchObject({ status: 429, json: { code: 'too-many-barriers', limit: 'barriers_max' } })
  expect(refused.headers['retry-after']).toBe('1')
})

test('P7: a barrier cannot be delayed', async () => {
  const http = await startWith({})
  const delayed = await http.call('POST', `${BARRIERS}?name=eof`, { headers: { 'sluice-delay': '1s' } })
  expect(delayed).toMatchObject({ status: 422, json: { code: 'invalid-message' } })
})

test('what a barrier is said to be is checked before it is published', async () => {
  const http = await startWith({})
  for (const query of ['parties=0', 'parties=100001', 'rest=keep', 'deadline=6', 'forward=', 'name=', 'naem=eof']) {
    expect(await publish(http, query), query).toMatchObject({ status: 400 })
  }
  const many = Array.from({ length: 65 }, (_, i) => `forward=Q${i}`).join('&')
  expect(await publish(http, many)).toMatchObject({ status: 400, json: { parameter: 'forward', limit: 64 } })
  expect((await http.call('POST', '/v1/queues/P/barriers')).json.code).toBe('no-such-queue')
  expect((await http.call('GET', BARRIERS)).json.barriers).toEqual([])
})

// ── early ends ───────────────────────────────────────────────────────────────────────────────────────────────────

test('B13: a batch is cancelled with each of the three rests', async () => {
  for (const [rest, stats, left] of [
    ['drop', { dropped: 1 }, 0],
    ['dead-letter', { dead: 1 }, 0],
    ['carry', { acked: 1, dropped: 0, dead: 0 }, 1],
  ] as const) {
    const http = await startWith({ lease: '60s' }, '1', '2')
    await http.settle('Q', 'acks', await http.pull('Q', 'max=1'))
    await publish(http, 'name=eof')
    const cancelled = await http.call('POST', `${BARRIERS}/eof/cancel?rest=${rest}`)
    expect(cancelled, rest).toMatchObject({ status: 200, json: { name: 'eof' } })
    expect(await shown(http, 'eof'), rest).toMatchObject({ state: 'released', outcome: 'cancelled', stats })
    expect((await http.call('GET', '/v1/queues/Q')).json.ready, rest).toBe(left)
    const dead = (await http.call('GET', '/v1/queues/Q/dead')).json.messages
    expect(dead, rest).toMatchObject(rest === 'dead-letter' ? [{ origin: { reason: 'batch-cancelled' } }] : [])
  }
})

test('B13: without a rest the barrier’s own counts, and else deadline_rest of the queue', async () => {
  const http = await startWith({ deadline_rest: 'drop' }, '1')
  await publish(http, 'name=one')
  await http.call('POST', `${BARRIERS}/one/cancel`)
  expect(await shown(http, 'one')).toMatchObject({ outcome: 'cancelled', stats: { dropped: 1 } })
  await fill(http, 'Q', '2')
  await publish(http, 'name=two&rest=dead-letter')
  await http.call('POST', `${BARRIERS}/two/cancel`)
  expect(await shown(http, 'two')).toMatchObject({ outcome: 'cancelled', stats: { dropped: 0, dead: 1 } })
})

test('B13: a deadline that passes ends the batch as expired, and can be moved before', async () => {
  const clock = virtualClock()
  const http = await startWithEngine(clock)
  await http.send('PUT', '/v1/queues/Q', {})
  await fill(http, 'Q', '1')
  await publish(http, 'name=eof&deadline=1h&rest=drop')
  expect((await http.call('GET', `${BARRIERS}/eof`)).json).toMatchObject({
    state: 'waiting',
    deadline_at: '2026-01-01T01:00:00.000Z',
  })
  clock.advance(30 * 60_000)
  expect(await http.call('POST', `${BARRIERS}/eof/extend?deadline=2h`)).toMatchObject({
    status: 200,
    json: { state: 'waiting', deadline_at: '2026-01-01T02:30:00.000Z' },
  })
  clock.advance(60 * 60_000)
  expect((await http.call('GET', `${BARRIERS}/eof`)).json.state).toBe('waiting')
  clock.advance(60 * 60_000 + 1)
  expect(await shown(http, 'eof')).toMatchObject({ state: 'released', outcome: 'expired', stats: { dropped: 1 } })
})

test('B13: what is released, or was never published, can be neither cancelled nor extended', async () => {
  const http = await startWith({})
  await publish(http, 'name=eof')
  expect((await shown(http, 'eof')).outcome).toBe('clean')
  for (const act of ['cancel', 'extend?deadline=1h']) {
    expect(await http.call('POST', `${BARRIERS}/eof/${act}`), act).toMatchObject({
      status: 409,
      json: { code: 'barrier-exists' },
    })
    expect(await http.call('POST', `${BARRIERS}/none/${act}`), act).toMatchObject({
      status: 404,
      json: { code: 'no-such-barrier' },
    })
    expect(await http.call('POST', `/v1/queues/P/barriers/eof/${act}`), act).toMatchObject({
      status: 404,
      json: { code: 'no-such-queue' },
    })
  }
  for (const act of ['cancel?rest=keep', 'cancel?force=true', 'extend', 'extend?deadline=6', 'extend?deadlin=6h']) {
    expect(await http.call('POST', `${BARRIERS}/eof/${act}`), act).toMatchObject({ status: 400 })
  }
})

test('B13: on_dead = "fail" ends the batch at its first dead letter', async () => {
  const http = await startWith({ on_dead: 'fail', lease: '60s', deadline_rest: 'drop' }, '1', '2')
  await publish(http, 'name=eof')
  await http.settle('Q', 'rejects', await http.pull('Q', 'max=1'))
  expect(await shown(http, 'eof')).toMatchObject({ outcome: 'failed', stats: { dead: 1, dropped: 1 } })
})

// ── dead letters that hold ───────────────────────────────────────────────────────────────────────────────────────

test('B17: with on_dead = "hold" a dead letter is a holdout that says where it is, until it is requeued and acked', async () => {
  const http = await startWith({ on_dead: 'hold', lease: '60s' }, '1')
  await publish(http, 'name=eof')
  await http.settle('Q', 'rejects', await http.pull('Q', 'max=1'))
  expect((await http.call('GET', `${BARRIERS}/eof`)).json).toMatchObject({ state: 'waiting', progress: { dead: 1 } })
  expect((await http.call('GET', `${BARRIERS}/eof/holdouts`)).json.holdouts).toMatchObject([
    { sequence: 1, state: 'dead', reason: 'dead-letter', dead_letter: { queue: 'Q.dead', sequence: 1 } },
  ])
  expect((await http.call('POST', '/v1/queues/Q/dead/requeue?batch=eof')).json).toEqual({ requeued: 1 })
  await http.settle('Q', 'acks', await http.pull('Q', 'max=1&wait=5s'))
  expect(await shown(http, 'eof')).toMatchObject({ outcome: 'clean', stats: { published: 1, acked: 1, dead: 0 } })
})

// ── parties ──────────────────────────────────────────────────────────────────────────────────────────────────────

test('B14: a barrier of several parties gathers, counts a repeated one once, and has its place with the last', async () => {
  const http = await startWith({}, '1')
  const arrive = (party: string, body: string) => publish(http, `name=night&parties=3&party=${party}`, body)
  expect(await arrive('store-1', 'a')).toMatchObject({ status: 201, json: { name: 'night', duplicate: false } })
  expect(await arrive('store-1', 'a')).toMatchObject({ status: 201, json: { duplicate: true } })
  expect((await arrive('store-2', 'b')).status).toBe(201)
  expect((await http.call('GET', `${BARRIERS}/night`)).json).toMatchObject({
    state: 'gathering',
    parties: { count: 3, missing: 1, arrived: ['store-1', 'store-2'] },
  })
  await fill(http, 'Q', '2')
  expect((await arrive('store-3', 'c')).json).toMatchObject({ batch: 0, duplicate: false })
  // It holds nothing before its last party, and everything that came before it then.
  expect(await http.pull('Q', 'max=10&ack=auto')).toMatchObject([{ body: '1' }, { body: '2' }])
  expect(await shown(http, 'night')).toMatchObject({
    state: 'released',
    outcome: 'clean',
    stats: { published: 2, acked: 2 },
    parties: {
      count: 3,
      missing: 0,
      arrived: ['store-1', 'store-2', 'store-3'],
      messages: [
        { party: 'store-1', body: 'a' },
        { party: 'store-2', body: 'b' },
        { party: 'store-3', body: 'c' },
      ],
    },
  })
})

test('B14: another number of parties is refused barrier-mismatch, and a party without a name of the barrier is none', async () => {
  const http = await startWith({})
  await publish(http, 'name=night&parties=3&party=a')
  expect(await publish(http, 'name=night&parties=2&party=b')).toMatchObject({
    status: 409,
    json: { code: 'barrier-mismatch', parties: 3 },
  })
  expect(await publish(http, 'name=night')).toMatchObject({ status: 409, json: { code: 'barrier-mismatch' } })
  for (const query of ['parties=3&party=a', 'name=x&party=a', 'name=x&parties=3']) {
    expect(await publish(http, query), query).toMatchObject({ status: 422, json: { code: 'invalid-message' } })
  }
})

test('B14: cancel gives a gathering barrier its place, and its record tells who is missing', async () => {
  const http = await startWith({}, '1')
  await publish(http, 'name=night&parties=3&party=a', 'x')
  expect((await http.call('POST', `${BARRIERS}/night/extend?deadline=1h`)).json).toMatchObject({
    state: 'gathering',
    deadline_at: expect.any(String),
  })
  expect((await http.call('POST', `${BARRIERS}/night/cancel?rest=drop`)).status).toBe(200)
  expect(await shown(http, 'night')).toMatchObject({
    state: 'released',
    outcome: 'cancelled',
    stats: { dropped: 1 },
    parties: { count: 3, missing: 2, arrived: ['a'], messages: [{ party: 'a', body: 'x' }] },
  })
})

test('B14: the list of barriers tells who came, and keeps the bodies of all parties for the one that is asked for', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  const parties = { count: 2, arrived: ['a', 'b'], bytes: Buffer.concat([record('1'), record('2')]) }
  engine.onBarrier = () => ({ ...BARRIER, state: 'released', record: { ...RELEASED, parties } })
  expect((await http.call('GET', `${BARRIERS}/eof`)).json.parties.messages).toEqual([
    { party: 'a', body: '1' },
    { party: 'b', body: '2' },
  ])
  expect((await http.call('GET', BARRIERS)).json.barriers).toMatchObject([
    { state: 'released', outcome: 'with-dead', parties: { count: 2, missing: 0, arrived: ['a', 'b'] } },
  ])
  expect((await http.call('GET', BARRIERS)).json.barriers[0].parties).not.toHaveProperty('messages')
})

// ── forwarding ───────────────────────────────────────────────────────────────────────────────────────────────────

test('B15: a barrier passes through the stages of a pipeline, and tells at the end of every batch it has closed', async () => {
  const http = await startWithEngine()
  await http.send('PUT', '/v1/queues/LAST', {})
  await http.send('PUT', '/v1/queues/MIDDLE', { forward_barrier: ['LAST'] })
  await http.send('PUT', '/v1/queues/Q', { forward_barrier: ['MIDDLE'] })
  await fill(http, 'Q', '1')
  await publish(http, 'name=eof', '{"day":1}')
  expect((await http.call('GET', '/v1/queues/LAST/barriers')).json.barriers).toEqual([])
  expect(await http.pull('Q', 'max=1&ack=auto')).toHaveLength(1)
  const end = await shown(http, 'eof', 'LAST')
  expect(end).toMatchObject({ name: 'eof', outcome: 'clean', body: '{"day":1}' })
  expect(end.batches).toMatchObject([
    { queue: 'Q', outcome: 'clean', batch: 0, sequence: 2, stats: { published: 1, acked: 1 } },
    { queue: 'MIDDLE', outcome: 'clean', batch: 0, sequence: 1, stats: { published: 0 } },
  ])
  expect(JSON.parse(end.headers['sluice-batches'])).toHaveLength(2)
})

test('B20: an announcement is what HTTP shows of the barrier, with the name of its queue', async () => {
  const http = await startWithEngine()
  await http.send('PUT', '/v1/queues/Q', { announce: 'ALERTS' })
  await http.call('POST', `${BARRIERS}?name=eof&parties=2&party=a`, { body: '1' })
  await http.call('POST', `${BARRIERS}?name=eof&parties=2&party=b`, {
    body: 'two',
    headers: { 'content-type': 'text/plain' },
  })
  const [told] = await http.pull('ALERTS', 'max=1')
  expect(told).toMatchObject({
    content_type: 'application/json',
    message_id: expect.stringMatching(/^barrier_[a-z0-9]+-\d+-\d+$/),
  })
  expect(JSON.parse(told?.body ?? '')).toEqual({ queue: 'Q', ...(await shown(http, 'eof')) })
})

test('B15: a join is complete when all its queues are drained, and the worst outcome wins', async () => {
  const http = await startWithEngine()
  await http.send('PUT', '/v1/queues/JOIN', {})
  for (const queue of ['Q', 'B']) {
    await http.send('PUT', `/v1/queues/${queue}`, { lease: '60s' })
    await fill(http, queue, '1')
    await http.call('POST', `/v1/queues/${queue}/barriers?name=eof&forward=JOIN&parties=2`, { body: queue })
  }
  await http.settle('Q', 'acks', await http.pull('Q', 'max=1'))
  await shown(http, 'eof')
  expect((await http.call('GET', '/v1/queues/JOIN/barriers/eof')).json).toMatchObject({
    state: 'gathering',
    parties: { count: 2, missing: 1, arrived: ['Q'] },
  })
  await http.settle('B', 'rejects', await http.pull('B', 'max=1'))
  expect(await shown(http, 'eof', 'JOIN')).toMatchObject({
    state: 'released',
    outcome: 'with-dead',
    batches: [
      { queue: 'Q', outcome: 'clean' },
      { queue: 'B', outcome: 'with-dead', stats: { dead: 1 } },
    ],
    parties: {
      count: 2,
      arrived: ['Q', 'B'],
      messages: [
        { party: 'Q', body: 'Q' },
        { party: 'B', body: 'B' },
      ],
    },
  })
})

test('B15: a barrier goes to each queue that it names', async () => {
  const http = await startWith({})
  for (const queue of ['A', 'B']) await http.send('PUT', `/v1/queues/${queue}`, {})
  expect((await publish(http, 'name=eof&forward=A&forward=B')).status).toBe(201)
  expect(await shown(http, 'eof', 'A')).toMatchObject({ state: 'released', batches: [{ queue: 'Q' }] })
  expect(await shown(http, 'eof', 'B')).toMatchObject({ state: 'released', batches: [{ queue: 'Q' }] })
})
