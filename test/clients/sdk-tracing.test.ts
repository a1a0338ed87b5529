import { createHook } from 'node:async_hooks'
import * as api from '@opentelemetry/api'
import {
  BatchError,
  type ConnectOptions,
  type Headers,
  type OpenTelemetryApi,
  openTelemetry,
  PermanentError,
  type PublishOptions,
  RefusedError,
  worker,
} from '@sluice/client'
import { describe, expect, test } from 'vitest'
import { recordSpans, type Spans, traceparentOf } from '../support/spans.ts'
import { barrierRecord, bodiesOf, type FakeConnection, FakeServer, quiet, records } from './support/fake-server.ts'

const FOREIGN = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const FOREIGN_TRACE = FOREIGN.slice(3, 35)
const FOREIGN_SPAN = FOREIGN.slice(36, 52)

async function traced(options: ConnectOptions = {}) {
  const spans = recordSpans()
  const { client, connection } = await new FakeServer().connect({ tracing: openTelemetry(api), ...options })
  return { spans, client, connection, queue: client.queue<unknown>('sales') }
}

async function publishedOn(connection: FakeConnection) {
  const frame = await connection.next('publish')
  return { frame, messages: bodiesOf(frame.messages) }
}

const headersOf = async (connection: FakeConnection) =>
  (await publishedOn(connection)).messages.map(({ properties }) => ({ ...properties?.headers }))

describe('publishing', () => {
  test('a publish is a span of a producer within that of the program, and the message carries it', async () => {
    const { spans, client, connection, queue } = await traced({ name: 'till' })
    const publishing = spans.tracer.startActiveSpan('sell', span => {
      const published = queue.publish({ store: 17 }, { messageId: 'sale-1', correlationId: 'day', priority: 3 })
      span.end()
      return published
    })
    const { frame, messages } = await publishedOn(connection)
    expect(spans.names()).toEqual(['sell'])
    connection.confirm(frame, 41)
    expect(await publishing).toEqual({ sequence: 41, duplicate: false })

    const span = spans.of('publish sales')
    expect(span).toMatchObject({ kind: 'PRODUCER', parent: spans.of('sell').id, links: [], isError: false })
    expect(span.attributes).toEqual({
      'messaging.system': 'sluice',
      'messaging.operation.name': 'publish',
      'messaging.operation.type': 'send',
      'messaging.destination.name': 'sales',
      'messaging.message.id': '41',
      'messaging.message.conversation_id': 'day',
      'messaging.sluice.message_id': 'sale-1',
      'messaging.client.id': 'till',
      'server.address': 'fake',
    })
    expect(messages).toMatchObject([{ body: { store: 17 }, properties: { messageId: 'sale-1', priority: 3 } }])
    expect({ ...messages[0]?.properties?.headers }).toEqual({ traceparent: traceparentOf(span) })
    await client.close()
  })

  test('baggage travels too', async () => {
    const { connection, queue } = await traced()
    const baggage = api.propagation.createBaggage({ night: { value: '2026-11-20' } })
    api.context.with(api.propagation.setBaggage(api.context.active(), baggage), () => void queue.publish(1))
    expect(await headersOf(connection)).toMatchObject([{ baggage: 'night=2026-11-20' }])
  })

  test('a trace that the program gives stays as it is, and the span is linked to it', async () => {
    const { spans, connection, queue } = await traced()
    const given = { traceparent: FOREIGN, store: 17 }
    // The state of another one does not belong to it.
    const other = { traceparent: FOREIGN.replace('0af7', '1af7'), tracestate: 'a=1' }
    const active = api.propagation.extract(api.ROOT_CONTEXT, other)
    const publishing = api.context.with(active, () => queue.publish(1, { headers: given }))
    const { frame, messages } = await publishedOn(connection)
    expect({ ...messages[0]?.properties?.headers }).toEqual({ traceparent: FOREIGN, store: 17 })
    connection.confirm(frame)
    await publishing
    const above = { kind: 'CLIENT', trace: other.traceparent.slice(3, 35) }
    expect(spans.of('publish sales')).toMatchObject({ ...above, links: [FOREIGN_SPAN], parent: FOREIGN_SPAN })
  })

  test('what the program gave is not changed, and its headers go before those of a trace', async () => {
    const { connection, queue } = await traced()
    const options: PublishOptions = Object.freeze({ headers: Object.freeze({ store: 17, baggage: 'mine' }) })
    const baggage = api.propagation.createBaggage({ night: { value: '2026-11-20' } })
    api.context.with(api.propagation.setBaggage(api.context.active(), baggage), () => void queue.publish(1, options))
    expect(await headersOf(connection)).toEqual([
      { traceparent: expect.stringMatching(/^00-/), store: 17, baggage: 'mine' },
    ])
    expect(options).toEqual({ headers: { store: 17, baggage: 'mine' } })
  })

  test('no message is refused because of a trace: where there is no room for it the message goes without', async () => {
    const { connection, queue } = await traced()
    const many = Object.fromEntries(Array.from({ length: 128 }, (_, n) => [`h${n}`, n]))
    const large = { text: 'x'.repeat(64 * 1024 - 30) }
    for (const headers of [many, large]) void queue.publish(1, { headers })
    expect(await headersOf(connection)).toEqual([many, large])
  })

  test('a refusal is an error of the span, by its code', async () => {
    const { spans, connection, queue } = await traced()
    const publishing = queue.publish(1)
    connection.refuse((await publishedOn(connection)).frame, 'queue-full')
    await expect(publishing).rejects.toThrow(RefusedError)
    expect(spans.of('publish sales')).toMatchObject({
      isError: true,
      attributes: { 'error.type': 'queue-full' },
      exceptions: ['queue-full: no'],
    })
  })

  test('a stream is one span with its count, and all of its messages carry it', async () => {
    const { spans, connection, queue } = await traced()
    const options = (_: unknown, n: number) => (n === 1 ? { headers: { traceparent: FOREIGN } } : undefined)
    const publishing = queue.publishMany([1, 2, 3], { options })
    const { frame, messages } = await publishedOn(connection)
    connection.confirm(frame)
    expect(await publishing).toEqual({ count: 3 })
    expect(spans.names()).toEqual(['publish sales'])
    const span = spans.of('publish sales')
    expect(span).toMatchObject({ kind: 'PRODUCER', attributes: { 'messaging.batch.message_count': 3 } })
    const own = traceparentOf(span)
    expect(messages.map(({ properties }) => properties?.headers?.['traceparent'])).toEqual([own, FOREIGN, own])
  })

  test('an atomic publish is one span, with a queue only if there is one', async () => {
    const { spans, client, connection } = await traced()
    for (const other of ['audit', 'sales']) {
      const publishing = client.publishAtomic([
        { queue: 'sales', body: 1 },
        { queue: other, body: 2 },
      ])
      const frame = await connection.next('publishAtomic')
      connection.confirmAll(frame)
      await publishing
      const carried = frame.parts.flatMap(({ messages }) => bodiesOf(messages)).map(one => one.properties?.headers)
      expect(carried.map(headers => headers?.['traceparent'])).toEqual(
        Array(2).fill(traceparentOf(spans.of(other === 'audit' ? 'publish' : 'publish sales'))),
      )
    }
    expect(spans.ended.map(span => span.attributes['messaging.batch.message_count'])).toEqual([2, 2])
  })

  test('a trace that fails never reaches the program', async () => {
    const fails = () => {
      throw new Error('no trace today')
    }
    const broken: OpenTelemetryApi = {
      ...api,
      trace: { ...api.trace, getTracer: () => ({ startSpan: fails }) } as never,
    }
    const { client, connection } = await new FakeServer().connect({ tracing: openTelemetry(broken) })
    const publishing = client.queue('q').publish(1)
    const { frame, messages } = await publishedOn(connection)
    expect(messages[0]?.properties).toBeUndefined()
    connection.confirm(frame)
    expect(await publishing).toMatchObject({ sequence: 1 })
    const bodies: unknown[] = []
    worker(client.queue('q'), ({ body }) => void bodies.push(body))
    connection.deliver(1, 1, ['a'])
    await connection.next('settle')
    expect(bodies).toEqual(['a'])
  })
})

describe('without tracing', () => {
  test('a message has no more than it was given, also while an SDK is registered', async () => {
    recordSpans()
    const { client, connection } = await new FakeServer().connect()
    void client.queue('q').publish(1)
    expect((await publishedOn(connection)).messages).toEqual([{ body: 1, properties: undefined }])
  })

  test('a publish makes the one promise that it gives back', async () => {
    const { client, connection } = await new FakeServer().connect()
    const queue = client.queue('q')
    void queue.publish(0)
    await connection.next('publish')
    let promises = 0
    const count = (_: number, type: string) => {
      if (type === 'PROMISE') promises += 1
    }
    const hook = createHook({ init: count }).enable()
    for (let n = 0; n < 100; n++) void queue.publish(n)
    hook.disable()
    expect(promises).toBe(100)
  })
})

describe('barriers', () => {
  test('a barrier is a span of a producer, and its message carries it', async () => {
    const { spans, connection, queue } = await traced()
    const publishing = queue.barrier({ name: 'eof' })
    const { frame, messages } = await publishedOn(connection)
    connection.confirm(frame, 9)
    await publishing
    const span = spans.of('barrier sales')
    expect(span).toMatchObject({
      kind: 'PRODUCER',
      attributes: {
        'messaging.operation.name': 'barrier',
        'messaging.sluice.barrier.name': 'eof',
        'messaging.message.id': '9',
      },
    })
    expect(messages).toMatchObject([
      { properties: { barrier: { name: 'eof' }, headers: { traceparent: traceparentOf(span) } } },
    ])
  })

  test('a wait tells the outcome and the counts; one that is not accepted is an error', async () => {
    const { spans, connection, queue } = await traced()
    for (const outcome of ['clean', 'with-dead'] as const) {
      const waiting = queue.batch('eof').wait()
      const { id } = await connection.request('wait')
      connection.answer(id, barrierRecord({ outcome }))
      if (outcome === 'clean') await waiting
      else await expect(waiting).rejects.toThrow(BatchError)
    }
    const [clean, dead] = spans.ended
    expect(clean).toMatchObject({
      name: 'wait sales',
      kind: 'CLIENT',
      isError: false,
      attributes: { 'messaging.sluice.barrier.name': 'eof', 'messaging.sluice.batch.outcome': 'clean' },
    })
    expect(Object.keys(clean?.attributes ?? {})).toContain('messaging.sluice.batch.acked')
    expect(dead).toMatchObject({
      isError: true,
      attributes: { 'messaging.sluice.batch.outcome': 'with-dead', 'error.type': 'batch-with-dead' },
    })
  })
})

describe('consuming', () => {
  async function working(handler: Parameters<typeof worker<unknown, unknown>>[1], output = false) {
    const { spans, client, connection, queue } = await traced()
    const more = output ? { output: client.queue('results') } : {}
    // Where a worker is begun has nothing to do with what its messages belong to.
    spans.tracer.startActiveSpan('start-up', span => {
      worker(queue, handler, { ...more, onError: () => {} })
      span.end()
    })
    const { subscription } = await connection.next('subscribe')
    let delivery = 0
    const deliver = (headers?: Headers) => {
      delivery += 1
      const messages = records([{ store: 17 }], headers && { headers })
      connection.deliver(subscription, delivery, ['x'], { messages, attempt: 2 })
    }
    return { spans, connection, deliver }
  }

  test('a handler runs in a span of a consumer, within the trace that the message carries', async () => {
    const { spans, connection, deliver } = await working(async () => {
      await quiet()
      inner(spans)
    })
    deliver({ traceparent: FOREIGN })
    await connection.next('settle')
    const span = spans.of('process sales')
    expect(span).toMatchObject({
      kind: 'CONSUMER',
      trace: FOREIGN_TRACE,
      parent: FOREIGN_SPAN,
      isError: false,
      attributes: {
        'messaging.operation.type': 'process',
        'messaging.message.id': '101',
        'messaging.sluice.attempt': 2,
        'messaging.sluice.batch.number': 0,
      },
    })
    expect(spans.of('inner')).toMatchObject({ trace: FOREIGN_TRACE, parent: span.id })
  })

  test('a message without a trace begins one, whatever the worker was begun in', async () => {
    const { spans, connection, deliver } = await working(() => {})
    deliver()
    await connection.next('settle')
    expect(spans.of('process sales').parent).toBeUndefined()
    expect(spans.of('process sales').trace).not.toBe(spans.of('start-up').trace)
  })

  test.for([
    ['nack', new Error('try later'), 'Error'],
    ['reject', new PermanentError('not a jpeg'), 'PermanentError'],
  ] as const)('a handler that fails is an error of its span: %s', async ([how, error, type]) => {
    const { spans, connection, deliver } = await working(() => {
      throw error
    })
    deliver()
    expect(await connection.next('settle')).toMatchObject({ how })
    expect(spans.of('process sales')).toMatchObject({
      isError: true,
      attributes: { 'error.type': type },
      exceptions: [error.message],
    })
  })

  test('headers that are no text, or no trace, do no harm', async () => {
    const { spans, connection, deliver } = await working(() => {})
    const tracestate = new Uint8Array([1])
    for (const headers of [
      { traceparent: 7, tracestate },
      { traceparent: FOREIGN, baggage: 5 },
    ]) {
      deliver(headers)
      expect(await connection.next('settle')).toMatchObject({ how: 'ack' })
    }
    expect(spans.ended.slice(1).map(({ parent, isError }) => [parent, isError])).toEqual([
      [undefined, false],
      [FOREIGN_SPAN, false],
    ])
  })

  test('A4: what a worker puts out is within its span, and carries on the trace', async () => {
    const { spans, connection, deliver } = await working(() => ({ rows: 1 }), true)
    deliver({ traceparent: FOREIGN })
    const settle = await connection.next('settle')
    connection.settled(settle.request, 'acked', 1)
    await quiet()
    const span = spans.of('publish results')
    expect(span).toMatchObject({
      kind: 'PRODUCER',
      trace: FOREIGN_TRACE,
      parent: spans.of('process sales').id,
      isError: false,
      attributes: { 'messaging.sluice.acked.queue': 'sales', 'messaging.sluice.acked.message.id': '101' },
    })
    const [carried] = settle.publish.flatMap(({ messages }) => bodiesOf(messages))
    expect(carried?.properties?.headers?.['traceparent']).toBe(traceparentOf(span))
  })

  test('in a loop what an ack carries goes on with the trace of its message, or with the span of the program', async () => {
    const { spans, connection, queue } = await traced()
    const loop = queue.consume()
    connection.deliver(1, 1, ['x'], { messages: records([1], { headers: { traceparent: FOREIGN } }) })
    connection.deliver(1, 2, ['x'], { messages: records([2], { headers: { traceparent: FOREIGN } }) })
    const publish = [{ queue: 'results', body: 1 }]
    for (const isWithin of [false, true]) {
      const { value: message } = await loop.next()
      if (message?.kind !== 'message') throw new Error('a message was delivered')
      const ack = () => message.ack({ publish })
      const acking = isWithin
        ? spans.tracer.startActiveSpan('mine', span => {
            span.end()
            return ack()
          })
        : ack()
      const settle = await connection.next('settle')
      connection.settled(settle.request, 'acked', message.delivery)
      await acking
    }
    expect(spans.ended.map(({ name, parent }) => [name, parent])).toEqual([
      ['publish results', FOREIGN_SPAN],
      ['mine', undefined],
      ['publish results', spans.of('mine').id],
    ])
  })
})

function inner({ tracer }: Spans): void {
  tracer.startActiveSpan('inner', span => span.end())
}
