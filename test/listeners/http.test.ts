import { decodeMessage, PROTOCOL_VERSION } from '@sluice/protocol'
import { expect, test } from 'vitest'
import type { Refusal } from '../../src/engine/peer.ts'
import { STATUS_OF } from '../../src/listeners/http/problem.ts'
import { ROUTES } from '../../src/listeners/http/routes.ts'
import { BARRIER, FakeEngine, QUEUE, RELEASED, startHttp, until } from './http-support.ts'

const JSON_TYPE = { 'content-type': 'application/json' }

test('every answer is one that its route names', async () => {
  const http = await startHttp(new FakeEngine())
  for (const route of ROUTES.filter(each => each.method === 'GET' && !each.path.includes('{'))) {
    const answer = await http.call('GET', route.path)
    expect(route.statuses, route.path).toContain(answer.status)
  }
})

test('the health of the server is told with the reason', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  expect((await http.call('GET', '/livez')).json).toEqual({ status: 'live' })
  expect((await http.call('GET', '/readyz')).status).toBe(200)
  engine.ready = { ready: false, reason: 'restoring' }
  const answer = await http.call('GET', '/readyz')
  expect(answer).toMatchObject({ status: 503, json: { code: 'server-busy', detail: 'not ready: restoring' } })
  expect(answer.headers['retry-after']).toBe('1')
  expect((await http.call('GET', '/livez')).status).toBe(200)
})

test('facts about the server are served without a queue', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine, { version: '1.2.3' })
  expect((await http.call('GET', '/v1/server')).json).toEqual({
    name: 'sluice',
    version: '1.2.3',
    protocol_version: PROTOCOL_VERSION,
    start: 1,
    limits: { message_max: 1024, frame_messages_max: 100 },
    publishing: 'open',
  })
})

test('HEAD is answered as GET, without a body', async () => {
  const http = await startHttp(new FakeEngine())
  expect(await http.call('HEAD', '/livez')).toMatchObject({ status: 200, json: undefined })
})

test('declaring a queue answers 201 when it is new and 200 when it is the same', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  const options = { barrier: '/is_eof = 1', lease: '60s', retry_delay: { base: '1s', factor: 2 } }
  const declared = await http.call('PUT', '/v1/queues/Q', { headers: JSON_TYPE, body: JSON.stringify(options) })
  expect(declared.status).toBe(201)
  expect(engine.declared).toEqual([{ name: 'Q', options }])
  engine.onDeclare = () => ({ created: false, queue: QUEUE })
  expect((await http.call('PUT', '/v1/queues/Q')).status).toBe(200)
})

test('a queue is shown with options that can be declared again', async () => {
  const http = await startHttp(new FakeEngine())
  const { status, json } = await http.call('GET', '/v1/queues/Q')
  expect(status).toBe(200)
  expect(json).toMatchObject({ name: 'Q', ready: 1, barriers_waiting: 1, open: { published: 3, acked: 1 } })
  expect(json.options).toMatchObject({
    lease: '1m',
    prefetch_bytes: '64MiB',
    retry_delay: '0',
    dedupe_window: '0',
    on_dead: 'count',
  })
  expect((await http.call('GET', '/v1/queues')).json).toEqual({ queues: [json] })
})

test('deleting a queue answers 204, or why not', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  expect(await http.call('DELETE', '/v1/queues/Q')).toMatchObject({ status: 204, json: undefined })
  engine.onDelete = () => ({ code: 'queue-in-use', detail: 'queue "A" names it', facts: { by: 'A' } })
  expect(await http.call('DELETE', '/v1/queues/Q')).toMatchObject({
    status: 409,
    json: { code: 'queue-in-use', by: 'A' },
  })
})

test('P8: each refusal has its status and says its code, detail and facts as a problem', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  const refusals = Object.keys(STATUS_OF) as Refusal['code'][]
  for (const code of refusals) {
    engine.onDeclare = () => ({ code, detail: 'no', facts: { limit: 3 } })
    const answer = await http.call('PUT', '/v1/queues/Q')
    expect(answer.status, code).toBe(STATUS_OF[code])
    expect(answer.headers['content-type']).toBe('application/problem+json')
    expect(answer.json).toMatchObject({ code, detail: 'no', limit: 3, status: STATUS_OF[code] })
    expect(answer.headers['retry-after']).toBe([429, 503].includes(answer.status) ? '1' : undefined)
  }
})

test('the statuses of the refusals are those of the interface page', () => {
  expect(STATUS_OF).toMatchObject({
    'invalid-request': 400,
    'not-allowed': 403,
    'no-such-queue': 404,
    'no-such-barrier': 404,
    'no-such-message': 404,
    'queue-mismatch': 409,
    'queue-in-use': 409,
    'barrier-exists': 409,
    'barrier-mismatch': 409,
    'message-too-large': 413,
    'not-accepted': 422,
    'invalid-message': 422,
    'no-dedupe-window': 422,
    'bad-filter': 422,
    'queue-full': 429,
    'too-many-barriers': 429,
    'server-busy': 503,
    'shutting-down': 503,
  })
})

test('a barrier is published with what the query says of it', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  const query = 'name=eof&deadline=6h&rest=drop&parties=3&party=store-17&forward=A&forward=B'
  const answer = await http.call('POST', `/v1/queues/Q/barriers?${query}`, { headers: JSON_TYPE, body: '{"is_eof":1}' })
  expect(answer).toMatchObject({ status: 201, json: { name: 'eof', sequence: 1, batch: 0, duplicate: false } })
  const message = decodeMessage(engine.publishes[0]!.bytes)
  expect(Buffer.from(message.body).toString()).toBe('{"is_eof":1}')
  expect(message.properties).toEqual({
    contentType: 'application/json',
    barrier: {
      name: 'eof',
      deadlineMs: 6 * 3_600_000,
      rest: 'drop',
      parties: 3,
      party: 'store-17',
      forward: ['A', 'B'],
    },
  })
})

test('B1: the body of a barrier has at most 64 KiB', async () => {
  const http = await startHttp(new FakeEngine())
  const answer = await http.call('POST', '/v1/queues/Q/barriers', { body: 'x'.repeat(65_537) })
  expect(answer).toMatchObject({ status: 413, json: { code: 'message-too-large', limit: 65_536 } })
})

test('B17: barriers are listed and shown with their progress, and their holdouts page by page', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  const shown = {
    state: 'waiting',
    name: 'eof',
    sequence: 4,
    progress: { published: 3, acked: 1, leased: 1, ready: 1 },
  }
  expect((await http.call('GET', '/v1/queues/Q/barriers')).json.barriers).toMatchObject([shown])
  expect((await http.call('GET', '/v1/queues/Q/barriers/eof')).json).toMatchObject(shown)
  const { json } = await http.call('GET', '/v1/queues/Q/barriers/eof/holdouts?after=41&limit=7')
  expect(json).toEqual({ holdouts: [{ sequence: 42, state: 'leased', reason: 'leased', attempt: 7, holder: 'ann' }] })
})

test('B10: a wait is answered with the record when the barrier is released', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  const answering = http.call('GET', '/v1/queues/Q/barriers/%404?wait=60s')
  await until(() => engine.waits.length === 1)
  expect(engine.waits[0]).toMatchObject({ name: '@4', timeoutMs: 60_000 })
  engine.onBarrier = () => ({ ...BARRIER, state: 'released', record: RELEASED })
  engine.waits[0]!.answer(RELEASED)
  expect(await answering).toMatchObject({
    status: 200,
    json: { state: 'released', outcome: 'with-dead', body: '{"is_eof":1}', released_at: '2026-11-20T02:00:00.000Z' },
  })
})

test('B10: a wait that times out is answered with the progress; 404 if nobody has published that barrier yet', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  const answering = http.call('GET', '/v1/queues/Q/barriers/eof?wait=1s')
  await until(() => engine.waits.length === 1)
  engine.waits[0]!.answer({ code: 'timed-out', detail: 'not yet' })
  expect(await answering).toMatchObject({ status: 200, json: { state: 'waiting' } })

  engine.onBarrier = () => ({ code: 'no-such-barrier', detail: 'no' })
  const unknown = http.call('GET', '/v1/queues/Q/barriers/eof?wait=1s')
  await until(() => engine.waits.length === 2)
  engine.waits[1]!.answer({ code: 'timed-out', detail: 'not yet' })
  expect(await unknown).toMatchObject({ status: 404, json: { code: 'no-such-barrier' } })
})

test('B10: the record is the answer also on a queue that keeps none', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  engine.onBarrier = () => ({ code: 'no-such-barrier', detail: 'no' })
  const answering = http.call('GET', '/v1/queues/Q/barriers/eof?wait=1s')
  await until(() => engine.waits.length === 1)
  engine.waits[0]!.answer(RELEASED)
  expect(await answering).toMatchObject({ status: 200, json: { state: 'released', outcome: 'with-dead' } })
})

test('a wait whose client hangs up is cancelled', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  const hangUp = new AbortController()
  const answering = http.call('GET', '/v1/queues/Q/barriers/eof?wait=60s', { signal: hangUp.signal })
  await until(() => engine.waits.length === 1)
  hangUp.abort()
  await expect(answering).rejects.toThrow('aborted')
  await until(() => engine.cancelled === 1)
})

test('a filter is tried on bodies or on a queue', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  const ask = (body: object) => http.call('POST', '/v1/filters/test', { body: JSON.stringify(body) })
  expect((await ask({ expression: '/a = 1', bodies: ['{"a":1}'] })).json).toEqual({ results: [true] })
  expect((await ask({ expression: '/a = 1', queue: 'Q' })).json).toEqual({ tested: 3, matched: 2, first: [1, 3] })
  expect((await ask({ expression: '/a = 1' })).status).toBe(400)
  expect((await ask({ expression: '/a = 1', bodies: [], queue: 'Q' })).status).toBe(400)
  engine.onTestFilter = () => ({ code: 'bad-filter', detail: 'a value is missing', facts: { column: 6 } })
  expect(await ask({ expression: '/a = ', bodies: [] })).toMatchObject({
    status: 422,
    json: { code: 'bad-filter', column: 6 },
  })
})

test('when the server closes, what waits long is answered shutting-down and what is being committed gets its answer', async () => {
  const engine = new FakeEngine()
  engine.onPublish = () => 'later'
  const http = await startHttp(engine)
  const pull = http.call('POST', '/v1/queues/Q/deliveries?wait=60s')
  const publish = http.call('POST', '/v1/queues/Q/messages', { body: 'a' })
  await until(() => engine.pulls.length === 1 && engine.publishes.length === 1)
  const closed = http.listener.close()
  expect(await pull).toMatchObject({ status: 503, json: { code: 'shutting-down' } })
  engine.later[0]!([{ index: 0, count: 1, sequence: 1, batch: 0, duplicate: false }])
  expect(await publish).toMatchObject({ status: 201, headers: { connection: 'close' } })
  await closed
})

test('a peer that the engine sends away is told so at every request, and has no wait left', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  const pull = http.call('POST', '/v1/queues/Q/deliveries?wait=60s')
  await until(() => engine.pulls.length === 1)
  engine.outboxes[0]!.closed({ code: 'shutting-down', detail: 'the server is shutting down' })
  expect(await pull).toMatchObject({ status: 503, json: { code: 'shutting-down' } })
})
