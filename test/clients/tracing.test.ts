import * as api from '@opentelemetry/api'
import { connect, openTelemetry, worker } from '@sluice/client'
import { expect, onTestFinished, test } from 'vitest'
import { ConfigError, type ServerConfig } from '../../src/config/config.ts'
import { virtualClock } from '../../src/engine/clock.ts'
import { jsonLog, silentLog } from '../../src/observe/log.ts'
import { findTracing, Tracing } from '../../src/observe/tracing.ts'
import { startServer } from '../../src/server.ts'
import { startTracing } from '../../src/tracing.ts'
import { CONFIG } from '../access/support.ts'
import { recordSpans, type Seen, traceparentOf } from '../support/spans.ts'

const FOREIGN = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const FOREIGN_TRACE = FOREIGN.slice(3, 35)
const FOREIGN_SPAN = FOREIGN.slice(36, 52)

async function tracedServer(config: Partial<ServerConfig> = {}) {
  const log: string[] = []
  const all: ServerConfig = { ...CONFIG, auth: 'none', drainMs: 0, tracing: 'auto', ...config }
  const server = await startServer(all, { log: jsonLog(line => log.push(line)) })
  onTestFinished(() => server.close())
  const client = await connect(server.url, { tracing: openTelemetry(api) })
  onTestFinished(() => client.close())
  const post = (path: string, body = '', headers: Record<string, string> = {}) =>
    fetch(`${server.url}/v1/queues/${path}`, { method: 'POST', body, headers })
  return { server, client, post, log: () => log.map(line => JSON.parse(line).event) }
}

test('a night is one trace, from the publisher through the server to the workers, with its batch as a span', async () => {
  const spans = recordSpans()
  const { client, log } = await tracedServer()
  expect(log()).toContain('tracing')
  const sales = client.queue<number>('sales')
  await sales.declare({ deliveriesMax: 1 })
  const working = worker(
    sales,
    ({ body }) => {
      if (body === 3) throw new Error('no such item')
      return body
    },
    { until: 'barrier', output: client.queue('results'), onError: () => {} },
  )
  await client.queue('results').declare()
  await spans.tracer.startActiveSpan('night', async span => {
    await sales.publishMany([1, 2, 3])
    await sales.publish(4)
    const day = await sales.barrier({ name: 'eof' })
    await day.wait({ accept: ['with-dead'] })
    span.end()
  })
  await working.done
  await client.flush()

  const night = spans.of('night')
  expect(new Set(spans.ended.map(({ trace }) => trace))).toEqual(new Set([night.trace]))
  const named = (name: string) => spans.ended.filter(span => span.name === name)
  const [stream, one] = named('publish sales') as [Seen, Seen]
  expect([stream.parent, one.parent]).toEqual([night.id, night.id])
  expect(named('process sales').map(({ parent, isError }) => [parent, isError])).toEqual([
    [stream.id, false],
    [stream.id, false],
    [stream.id, true],
    [one.id, false],
  ])
  expect(named('publish results').map(({ parent }) => parent)).toEqual(
    named('process sales')
      .filter(({ isError }) => !isError)
      .map(({ id }) => id),
  )
  const barrier = spans.of('barrier sales')
  const batch = spans.of('batch sales')
  expect(batch).toMatchObject({
    kind: 'INTERNAL',
    parent: barrier.id,
    isError: true,
    attributes: {
      'messaging.system': 'sluice',
      'messaging.destination.name': 'sales',
      'messaging.message.id': '5',
      'messaging.sluice.barrier.name': 'eof',
      'messaging.sluice.batch.outcome': 'with-dead',
      'messaging.sluice.batch.published': 4,
      'messaging.sluice.batch.acked': 3,
      'messaging.sluice.batch.dead': 1,
      'messaging.sluice.batch.expired': 0,
      'error.type': 'batch-with-dead',
    },
  })
  expect(batch.attributes['messaging.sluice.batch.first_published_at']).toBeLessThanOrEqual(batch.from)
  expect(batch.to).toBeGreaterThanOrEqual(batch.from)
  expect(spans.of('wait sales')).toMatchObject({
    parent: night.id,
    links: [barrier.id],
    attributes: { 'messaging.sluice.batch.outcome': 'with-dead', 'messaging.sluice.batch.acked': 3 },
  })
})

test('the span of a batch begins when its barrier is published and ends when it is released, also hours later', async () => {
  const spans = recordSpans()
  const clock = virtualClock()
  const config = { ...CONFIG, auth: 'none', tracing: 'auto' } as const
  const server = await startServer(config, { log: silentLog, clock })
  onTestFinished(() => server.close())
  const client = await connect(server.url)
  onTestFinished(() => client.close())
  const sales = client.queue('sales')
  await sales.declare()
  await sales.publish(1)
  const day = await sales.barrier({ name: 'eof' })
  clock.advance(6 * 3_600_000)
  await worker(sales, () => {}, { until: 'barrier' }).done
  const { publishedAt, releasedAt } = await day.wait()
  expect(releasedAt - publishedAt).toBe(6 * 3_600_000)
  const { from, to, parent } = spans.of('batch sales')
  expect({ from, to, parent }).toEqual({ from: publishedAt, to: releasedAt, parent: undefined })
})

test('a trace that comes in over HTTP goes out natively, and the request is a span of it', async () => {
  const spans = recordSpans()
  const { client, post } = await tracedServer()
  const sales = client.queue('sales')
  await sales.declare()
  const headers = { traceparent: FOREIGN, tracestate: 'a=1', 'content-type': 'application/json' }
  expect((await post('sales/messages', '1', headers)).status).toBe(201)
  expect((await post('sales/barriers?name=eof', '', headers)).status).toBe(201)
  const seen: unknown[] = []
  await worker(sales, message => void seen.push({ ...message.headers }), { until: 'barrier' }).done

  expect(seen).toEqual([{ traceparent: FOREIGN, tracestate: 'a=1' }])
  const above = { trace: FOREIGN_TRACE, parent: FOREIGN_SPAN }
  expect(spans.of('POST /v1/queues/{queue}/messages')).toMatchObject({
    ...above,
    kind: 'SERVER',
    isError: false,
    attributes: {
      'http.request.method': 'POST',
      'http.route': '/v1/queues/{queue}/messages',
      'http.response.status_code': 201,
      'url.path': '/v1/queues/sales/messages',
      'messaging.operation.type': 'send',
      'messaging.destination.name': 'sales',
      'messaging.message.id': '1',
    },
  })
  expect(spans.of('process sales')).toMatchObject(above)
  expect(spans.of('batch sales')).toMatchObject({
    ...above,
    isError: false,
    attributes: { 'messaging.sluice.batch.outcome': 'clean', 'messaging.sluice.batch.acked': 1 },
  })
})

test('a pull and its acks are spans; what was refused says why, and is no error of the server', async () => {
  const spans = recordSpans()
  const { client, post } = await tracedServer()
  await client.queue('sales').declare()
  await client.queue('sales').publish(1)
  const pulled = (await (await post('sales/deliveries?max=5&lease=30s')).json()) as { deliveries: object[] }
  const [{ sequence, lease_token, headers }] = pulled.deliveries as [Record<string, unknown>]
  expect(headers).toEqual({ traceparent: traceparentOf(spans.of('publish sales')) })
  const json = { 'content-type': 'application/json' }
  await post('sales/acks', JSON.stringify({ deliveries: [{ sequence, lease_token }] }), json)
  await post('nowhere/messages', '1')
  expect(spans.of('POST /v1/queues/{queue}/deliveries').attributes).toMatchObject({
    'messaging.operation.type': 'receive',
    'messaging.batch.message_count': 1,
  })
  expect(spans.of('POST /v1/queues/{queue}/acks').attributes).toMatchObject({ 'messaging.operation.type': 'settle' })
  expect(spans.ended.at(-1)).toMatchObject({
    isError: false,
    attributes: { 'http.response.status_code': 404, 'error.type': 'no-such-queue' },
  })
})

test('B14: the parties of a barrier are linked to the span of its batch', async () => {
  const spans = recordSpans()
  const { client } = await tracedServer()
  const sales = client.queue('sales')
  await sales.declare()
  for (const party of ['north', 'south']) await sales.barrier({ name: 'eof', parties: 2, party })
  await sales.batch('eof').wait()
  const ids = spans.ended.filter(({ name }) => name === 'barrier sales').map(({ id }) => id)
  expect(spans.of('batch sales')).toMatchObject({ parent: ids[1], links: ids })
})

test('headers of a barrier that are no text, or no trace, do no harm', async () => {
  const spans = recordSpans()
  const { client, post } = await tracedServer()
  await client.queue('sales').declare()
  const all = [
    { traceparent: 'nonsense', baggage: ';;=,' },
    { traceparent: FOREIGN, baggage: 5 },
  ]
  const lines = all.map((headers, n) => JSON.stringify({ body: '', headers, barrier: { name: `${n}` } }))
  await post('sales/messages', lines.join('\n'), { 'content-type': 'application/x-ndjson; profile=envelope' })
  await client.queue('sales').batch('1').wait()
  const batches = spans.ended.filter(({ name }) => name === 'batch sales')
  expect(batches.map(({ parent }) => parent)).toEqual([undefined, FOREIGN_SPAN])
})

test('a stop hands on what the SDK holds', async () => {
  const spans = recordSpans()
  const { server } = await tracedServer()
  await server.close()
  expect(spans.flushes).toBe(1)
})

test('with tracing = "off" the server makes no span, though an SDK is registered', async () => {
  const spans = recordSpans()
  const { client, post, log } = await tracedServer({ tracing: 'off' })
  await client.queue('sales').declare()
  await post('sales/messages', '1', { traceparent: FOREIGN })
  expect(spans.ended).toEqual([])
  expect(log()).not.toContain('tracing')
})

test('without an SDK the server starts without traces, unless it is told to have them', async () => {
  expect(await findTracing()).toBe('no-sdk')
  expect(await startTracing('auto', silentLog)).toBeUndefined()
  await expect(startServer({ ...CONFIG, tracing: 'on' }, { log: silentLog })).rejects.toThrow(ConfigError)
})

test('without the package the server starts without traces, unless it is told to have them', async () => {
  // What Node says of a package that is not there.
  const missing = 'sluice-no-such-package'
  const find = () => findTracing(() => import(/* @vite-ignore */ missing))
  expect(await find().catch((error: NodeJS.ErrnoException) => error.code)).toBe('no-package')
  expect(await startTracing('auto', silentLog, find)).toBeUndefined()
  await expect(startTracing('on', silentLog, find)).rejects.toThrow('@opentelemetry/api is not installed')
})

test('a package that cannot be loaded is told of, and the server starts without traces', async () => {
  const log: string[] = []
  const find = () => Promise.reject(new SyntaxError('half a file'))
  expect(
    await startTracing(
      'auto',
      jsonLog(line => log.push(line)),
      find,
    ),
  ).toBeUndefined()
  expect(JSON.parse(log[0] ?? '')).toMatchObject({ event: 'tracing-unavailable', reason: 'half a file' })
})

test('a trace that fails never reaches the server', async () => {
  recordSpans()
  const fails = (): never => {
    throw new Error('no trace today')
  }
  const provider = { getTracer: () => ({ startSpan: fails, startActiveSpan: fails }) }
  const broken = { ...api, trace: { ...api.trace, getTracerProvider: () => provider, getTracer: provider.getTracer } }
  const tracing = await findTracing(async () => broken as never)
  if (!(tracing instanceof Tracing)) throw new Error('it was found')
  const facts = { operation: { name: 'publish', type: 'send' }, method: 'POST', route: '/', path: '/' }
  tracing.begin({ ...facts, scheme: 'http', queue: 'q', headers: {} }).end({ status: 201 })
  const batch = { queue: 'q', name: 'eof', sequence: 1, batch: 0, outcome: 'clean', counts: {} }
  tracing.batch({ ...batch, publishedAt: 1, releasedAt: 2, headers: {}, parties: [] })
  await tracing.flush()
})

test('the span of a request is within that of another instrumentation, and not beside it', async () => {
  const spans = recordSpans()
  const tracing = await findTracing()
  if (!(tracing instanceof Tracing)) throw new Error('it was found')
  const facts = { operation: { name: 'publish', type: 'send' }, method: 'POST', route: '/', path: '/', scheme: 'http' }
  spans.tracer.startActiveSpan('POST', span => {
    tracing
      .begin({ ...facts, queue: 'q', headers: { traceparent: FOREIGN } })
      .end({ status: 500, code: 'internal-error' })
    span.end()
  })
  expect(spans.of('POST /')).toMatchObject({ kind: 'INTERNAL', parent: spans.of('POST').id, isError: true })
})
