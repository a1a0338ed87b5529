import { expect, test } from 'vitest'
import { startWithEngine, until } from './http-support.ts'

/*
 * The listener with the engine behind it: what a client of HTTP alone can do, from declare to barrier.
 */

const NDJSON = { 'content-type': 'application/x-ndjson' }

test('a queue is declared once, shown, listed and deleted', async () => {
  const http = await startWithEngine()
  const options = JSON.stringify({ barrier: '/is_eof = 1', lease: '60s' })
  expect((await http.call('PUT', '/v1/queues/Q', { body: options })).status).toBe(201)
  expect((await http.call('PUT', '/v1/queues/Q', { body: options })).status).toBe(200)
  expect(await http.call('PUT', '/v1/queues/Q', { body: '{"lease":"30s"}' })).toMatchObject({
    status: 409,
    json: { code: 'queue-mismatch', differs: ['lease'] },
  })
  const { json } = await http.call('GET', '/v1/queues/Q')
  expect(json.options).toMatchObject({ barrier: '/is_eof = 1', lease: '1m' })
  // What is shown can be declared.
  expect((await http.call('PUT', '/v1/queues/Q', { body: JSON.stringify(json.options) })).status).toBe(200)
  expect((await http.call('GET', '/v1/queues')).json.queues).toMatchObject([{ name: 'Q' }])
  expect((await http.call('DELETE', '/v1/queues/Q')).status).toBe(204)
  expect((await http.call('GET', '/v1/queues/Q')).status).toBe(404)
})

test('option names and values are judged by the engine, with the option named', async () => {
  const http = await startWithEngine()
  expect(await http.call('PUT', '/v1/queues/Q', { body: '{"leese":"60s"}' })).toMatchObject({
    status: 400,
    json: { code: 'invalid-options' },
  })
  expect(await http.call('PUT', '/v1/queues/Q', { body: '{"lease":"60 s"}' })).toMatchObject({
    status: 400,
    json: { code: 'invalid-options', option: 'lease' },
  })
  expect(await http.call('PUT', '/v1/queues/%24sys')).toMatchObject({ status: 400 })
})

test('P1: what is published is pulled, acked and gone', async () => {
  const http = await startWithEngine()
  await http.call('PUT', '/v1/queues/Q')
  expect((await http.call('POST', '/v1/queues/Q/messages', { body: '{"n":1}' })).json).toEqual({
    sequence: 1,
    duplicate: false,
  })
  const deliveries = await http.pull('Q', 'max=10')
  expect(deliveries).toMatchObject([{ kind: 'message', sequence: 1, body: '{"n":1}', attempt: 1 }])
  expect((await http.settle('Q', 'acks', deliveries)).json).toEqual({
    results: [{ sequence: 1, result: 'acked' }],
    acked: 1,
  })
  expect((await http.settle('Q', 'acks', deliveries)).json).toEqual({
    results: [{ sequence: 1, result: 'already-settled' }],
    acked: 0,
  })
  expect(await http.pull('Q', 'max=10')).toEqual([])
})

test('P8: publishing to a queue that is not there is refused, one message or many', async () => {
  const http = await startWithEngine()
  const refused = { status: 404, json: { code: 'no-such-queue' } }
  expect(await http.call('POST', '/v1/queues/Q/messages', { body: 'a' })).toMatchObject(refused)
  expect(await http.call('POST', '/v1/queues/Q/messages', { headers: NDJSON, body: '1\n2\n' })).toMatchObject(refused)
  expect(await http.call('POST', '/v1/queues/Q/deliveries')).toMatchObject(refused)
})

test('A2: a message nacked comes back as another attempt, one released as the same', async () => {
  const http = await startWithEngine()
  await http.call('PUT', '/v1/queues/Q')
  await http.call('POST', '/v1/queues/Q/messages', { body: 'a' })
  expect((await http.settle('Q', 'nacks', await http.pull('Q', 'wait=5s'))).json.nacked).toBe(1)
  const second = await http.pull('Q', 'wait=5s')
  expect(second).toMatchObject([{ attempt: 2 }])
  expect((await http.settle('Q', 'extensions', second, { lease: '1m' })).json.extended).toBe(1)
  expect((await http.settle('Q', 'releases', second)).json.released).toBe(1)
  expect(await http.pull('Q', 'wait=5s&ack=auto')).toMatchObject([{ attempt: 2 }])
  expect(await http.pull('Q', 'max=1')).toEqual([])
})

test('D6: a pull whose client hangs up holds nothing: the next one gets the message', async () => {
  const http = await startWithEngine()
  await http.call('PUT', '/v1/queues/Q')
  const hangUp = new AbortController()
  let served = 0
  http.listener.server.on('request', () => (served += 1))
  const gone = http.call('POST', '/v1/queues/Q/deliveries?wait=60s', { signal: hangUp.signal })
  await until(() => served === 1)
  hangUp.abort()
  await expect(gone).rejects.toThrow('aborted')
  await http.call('POST', '/v1/queues/Q/messages', { body: 'a' })
  expect(await http.pull('Q', 'wait=5s')).toMatchObject([{ body: 'a', attempt: 1 }])
})

test('A4: an ack publishes to another queue in one commit', async () => {
  const http = await startWithEngine()
  await http.call('PUT', '/v1/queues/Q')
  await http.call('PUT', '/v1/queues/OUT')
  await http.call('POST', '/v1/queues/Q/messages', { body: 'a' })
  const answer = await http.settle('Q', 'acks', await http.pull('Q', 'wait=5s'), {
    publish: [{ queue: 'OUT', body: 'done' }],
  })
  expect(answer).toMatchObject({ status: 200, json: { acked: 1, published: [{ sequence: 1, duplicate: false }] } })
  expect((await http.call('POST', '/v1/queues/OUT/deliveries')).json.deliveries).toMatchObject([{ body: 'done' }])
})

test('B4: a nightly batch by HTTP alone: lines, their end of file, its release once all are acked, and nothing behind it before', async () => {
  const http = await startWithEngine()
  await http.call('PUT', '/v1/queues/Q', { body: '{"barrier":"/is_eof = 1"}' })
  const lines = ['{"sale":1}', '{"sale":2}', '{"is_eof":1}', '{"sale":3}']
  const published = await http.call('POST', '/v1/queues/Q/messages', { headers: NDJSON, body: lines.join('\n') })
  expect(published).toMatchObject({ status: 201, json: { count: 4, first_sequence: 1, last_sequence: 4 } })
  const waiting = http.call('GET', '/v1/queues/Q/barriers/%403?wait=60s')

  const first = await http.pull('Q', 'max=10&wait=5s')
  expect(first.map(each => each.sequence)).toEqual([1, 2])
  expect((await http.call('GET', '/v1/queues/Q/barriers/%403')).json).toMatchObject({
    state: 'waiting',
    progress: { leased: 2 },
  })
  expect((await http.call('GET', '/v1/queues/Q/barriers/%403/holdouts')).json.holdouts).toMatchObject([
    { sequence: 1, state: 'leased' },
    { sequence: 2, state: 'leased' },
  ])
  expect((await http.settle('Q', 'acks', first)).json.acked).toBe(2)
  expect(await waiting).toMatchObject({
    status: 200,
    json: { state: 'released', outcome: 'clean', body: '{"is_eof":1}', stats: { acked: 2 } },
  })
  expect(await http.pull('Q', 'max=10&wait=5s')).toMatchObject([{ sequence: 4 }])
})

test('B11: a pull that comes back with its batch number gets the barrier it missed', async () => {
  const http = await startWithEngine()
  await http.call('PUT', '/v1/queues/Q')
  await http.call('POST', '/v1/queues/Q/messages', { body: 'a' })
  const answer = await http.call('POST', '/v1/queues/Q/deliveries?wait=5s')
  expect(answer.json.batch).toBe(0)
  expect((await http.call('POST', '/v1/queues/Q/barriers?name=eof', { body: 'end' })).json).toMatchObject({
    name: 'eof',
    sequence: 2,
    batch: 0,
  })
  await http.settle('Q', 'acks', answer.json.deliveries)
  await http.call('GET', '/v1/queues/Q/barriers/eof?wait=5s')
  const missed = await http.call('POST', '/v1/queues/Q/deliveries?after_batch=0&wait=5s')
  expect(missed.json).toMatchObject({
    deliveries: [{ kind: 'barrier', name: 'eof', body: 'end', replayed: true }],
    batch: 1,
  })
  expect((await http.call('POST', '/v1/queues/Q/barriers?name=eof')).json).toMatchObject({ code: 'barrier-exists' })
})

test('P8: a filter is tried, and one that cannot be read is refused with its column', async () => {
  const http = await startWithEngine()
  const ask = (body: object) => http.call('POST', '/v1/filters/test', { body: JSON.stringify(body) })
  expect((await ask({ expression: '/a = 1', bodies: ['{"a":1}', '{"a":2}'] })).json).toEqual({ results: [true, false] })
  expect(await ask({ expression: '/a = ', bodies: [] })).toMatchObject({ status: 422, json: { code: 'bad-filter' } })
  expect((await ask({ expression: '/a = ', bodies: [] })).json.column).toBeGreaterThan(0)
})
