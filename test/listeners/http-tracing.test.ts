import { MessageCursor, type MessageProperties } from '@sluice/protocol'
import { expect, test } from 'vitest'
import type { RequestTracing, TracedEnd, TracedRequest } from '../../src/listeners/http/tracing.ts'
import { FakeEngine, NO_SUCH_QUEUE, startHttp, until } from './http-support.ts'

const MESSAGES = '/v1/queues/Q/messages'
const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const OTHER = '00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const traceparent = { traceparent: TRACE }

function headersIn(bytes: Uint8Array): MessageProperties['headers'][] {
  const headers: MessageProperties['headers'][] = []
  const cursor = new MessageCursor().open(bytes)
  while (cursor.next()) {
    const own = cursor.properties()?.headers
    headers.push(own && { ...own })
  }
  return headers
}

const published = ({ publishes }: FakeEngine) => publishes.flatMap(({ bytes }) => headersIn(bytes))

/** Writes down what it is told. */
class Written implements RequestTracing {
  readonly begun: TracedRequest[] = []
  readonly ended: TracedEnd[] = []

  begin(request: TracedRequest) {
    this.begun.push(request)
    return { end: (end: TracedEnd) => void this.ended.push(end) }
  }
}

async function start() {
  const engine = new FakeEngine()
  const tracing = new Written()
  return { engine, tracing, http: await startHttp(engine, { tracing }) }
}

test('the trace of a request is that of the message it publishes', async () => {
  const { engine, http } = await start()
  const headers = { traceparent: TRACE, tracestate: 'a=1', 'sluice-header-store': '17' }
  await http.call('POST', MESSAGES, { headers, body: 'a' })
  await http.call('POST', '/v1/queues/Q/barriers?name=eof', { headers: traceparent })
  expect(published(engine)).toEqual([{ traceparent: TRACE, tracestate: 'a=1', store: '17' }, traceparent])
})

test('a message that says its own trace keeps it', async () => {
  const { engine, http } = await start()
  const headers = { traceparent: TRACE, tracestate: 'a=1', 'sluice-header-traceparent': OTHER }
  await http.call('POST', MESSAGES, { headers, body: 'a' })
  expect(published(engine)).toEqual([{ traceparent: OTHER }])
})

test.for([
  ['cut short', TRACE.slice(0, -3)],
  ['of zeros', `00-${'0'.repeat(32)}-b7ad6b7169203331-01`],
  ['of version ff', TRACE.replace('00-', 'ff-')],
  ['of capital letters', TRACE.toUpperCase()],
  ['given twice', [TRACE, OTHER]],
] as const)('a trace that is none is none, and the message is taken: %s', async ([, given]) => {
  const { engine, http } = await start()
  const headers = { traceparent: given as string | string[], tracestate: 'a=1' }
  expect((await http.call('POST', MESSAGES, { headers, body: 'a' })).status).toBe(201)
  expect(published(engine)).toEqual([undefined])
})

test('the state of a trace in several headers is one; one that is longer than a message must carry is left out', async () => {
  const { engine, http } = await start()
  for (const tracestate of [['a=1', 'b=2'], `a=${'x'.repeat(600)}`]) {
    await http.call('POST', MESSAGES, { headers: { ...traceparent, tracestate }, body: 'a' })
  }
  expect(published(engine)).toEqual([{ ...traceparent, tracestate: 'a=1,b=2' }, traceparent])
})

test('a message without room for a trace goes without', async () => {
  const { engine, http } = await start()
  const many = Object.fromEntries(Array.from({ length: 127 }, (_, n) => [`sluice-header-h${n}`, '']))
  const { status } = await http.call('POST', MESSAGES, { headers: { ...traceparent, ...many }, body: 'a' })
  expect(status).toBe(201)
  expect(Object.keys(published(engine)[0] ?? {})).toHaveLength(127)
  const text = 'x'.repeat(64 * 1024 - 30)
  const envelope = JSON.stringify({ body: 'a', headers: { text } })
  const type = { 'content-type': 'application/x-ndjson; profile=envelope' }
  engine.publishes.length = 0
  engine.limits.messageMax = 2 ** 20
  expect((await http.call('POST', MESSAGES, { headers: { ...traceparent, ...type }, body: envelope })).status).toBe(201)
  expect(published(engine)).toEqual([{ text }])
})

test('each line has the trace of its request; one of an envelope that says another has that', async () => {
  const { engine, http } = await start()
  const body = '{"n":1}\n{"n":2}\n'
  await http.call('POST', MESSAGES, { headers: { ...traceparent, 'content-type': 'application/x-ndjson' }, body })
  const envelopes = [{}, { headers: { store: 17 } }, { headers: { traceparent: OTHER } }]
  const lines = envelopes.map(own => `${JSON.stringify({ body: 'a', ...own })}\n`).join('')
  const type = { 'content-type': 'application/x-ndjson; profile=envelope' }
  await http.call('POST', MESSAGES, { headers: { ...traceparent, ...type }, body: lines })
  expect(published(engine)).toEqual([
    traceparent,
    traceparent,
    traceparent,
    { ...traceparent, store: 17 },
    { traceparent: OTHER },
  ])
})

test('A4: what an ack publishes has the trace of the request, or its own', async () => {
  const { engine, http } = await start()
  const publish = [
    { queue: 'R', body: 'a' },
    { queue: 'R', body: 'b', headers: { traceparent: OTHER } },
  ]
  const body = JSON.stringify({ deliveries: [{ sequence: 1, lease_token: 't' }], publish })
  const headers = { ...traceparent, 'content-type': 'application/json' }
  await http.call('POST', '/v1/queues/Q/acks', { headers, body })
  expect(engine.settles[0]?.publish?.flatMap(({ bytes }) => headersIn(bytes))).toEqual([
    traceparent,
    { traceparent: OTHER },
  ])
})

test('a trace is told of publishes, pulls and settles: route, queue, headers and what came of it', async () => {
  const { tracing, http } = await start()
  await http.call('POST', `${MESSAGES}?confirm=durable`, { headers: traceparent, body: 'a' })
  await http.call('POST', MESSAGES, { headers: { 'content-type': 'application/x-ndjson' }, body: '1\n2\n3\n' })
  await http.call('POST', '/v1/queues/Q/barriers?name=eof')
  await http.send('POST', '/v1/queues/Q/acks', { deliveries: [{ sequence: 1, lease_token: 't' }] })
  expect(tracing.begun[0]).toMatchObject({
    operation: { name: 'publish', type: 'send' },
    method: 'POST',
    route: '/v1/queues/{queue}/messages',
    path: MESSAGES,
    scheme: 'http',
    queue: 'Q',
    headers: traceparent,
  })
  expect(tracing.begun.map(({ operation }) => Object.values(operation).join(' '))).toEqual([
    'publish send',
    'publish send',
    'barrier send',
    'ack settle',
  ])
  expect(tracing.ended).toEqual([
    { status: 201, sequence: 1 },
    { status: 201, messages: 3 },
    { status: 201, sequence: 5 },
    { status: 200, messages: 1 },
  ])
})

test('a trace is told why a request was refused, and that a client has hung up', async () => {
  const { engine, tracing, http } = await start()
  engine.onPublish = () => [{ index: 0, count: 1, refusal: NO_SUCH_QUEUE }]
  await http.call('POST', MESSAGES, { body: 'a' })
  const hanging = new AbortController()
  const pull = http.call('POST', '/v1/queues/Q/deliveries?wait=20s', { signal: hanging.signal }).catch(() => {})
  await until(() => engine.pulls.length === 1)
  hanging.abort()
  await pull
  await until(() => tracing.ended.length === 2)
  expect(tracing.begun.map(({ operation }) => operation.name)).toEqual(['publish', 'pull'])
  expect(tracing.ended).toEqual([{ status: 404, code: 'no-such-queue' }, {}])
})

test('what has nothing to do with messages is in no trace', async () => {
  const { tracing, http } = await start()
  for (const path of ['/livez', '/metrics', '/v1/queues', '/v1/queues/Q', '/v1/queues/Q/barriers/eof', '/nowhere'])
    await http.call('GET', path)
  expect(tracing.begun).toEqual([])
})
