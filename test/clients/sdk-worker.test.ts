import { type Message, PermanentError, type WorkerOptions, worker } from '@sluice/client'
import { describe, expect, test } from 'vitest'
import { barrierRecord, bodiesOf, FakeServer, quiet, records } from './support/fake-server.ts'

/** A handler that ends when the test says so. */
function heldHandler() {
  const running = new Map<number, { finish(result?: unknown): void; fail(error: unknown): void }>()
  const handler = (message: Message<number>) =>
    new Promise<unknown>((resolve, reject) => running.set(message.body, { finish: resolve, fail: reject }))
  return { running, handler }
}

async function working(handler: (message: Message<number>) => unknown, options: WorkerOptions<unknown> = {}) {
  const { client, connection } = await new FakeServer().connect()
  const warnings: unknown[] = []
  client.addEventListener('warning', event => warnings.push(event.detail))
  const working = worker(client.queue<number>('q'), handler, options)
  const { subscription } = await connection.next('subscribe')
  return { client, connection, worker: working, subscription, warnings }
}

describe('worker', () => {
  test('runs as many handlers as it may, acks each that returns, and tells the server how many it runs', async () => {
    const { running, handler } = heldHandler()
    const { connection, subscription } = await working(handler, { concurrency: 2, prefetch: 1 })
    expect(connection.all('subscribe')[0]).toMatchObject({ concurrency: 2, prefetch: 2 })
    connection.deliver(subscription, 1, [1, 2, 3])
    await quiet()
    expect([...running.keys()]).toEqual([1, 2])
    running.get(2)!.finish()
    expect(await connection.next('settle')).toMatchObject({ how: 'ack', deliveries: [{ first: 2, count: 1 }] })
    await quiet()
    expect([...running.keys()]).toEqual([1, 2, 3])
  })

  test('a throw nacks, a PermanentError rejects with its text, and both are told of', async () => {
    const { connection, subscription, warnings } = await working(({ body }) => {
      throw body === 1 ? new Error('try later') : new PermanentError('not a jpeg')
    })
    connection.deliver(subscription, 1, [1, 2])
    expect(await connection.next('settle')).toMatchObject({ how: 'nack', deliveries: [{ first: 1, count: 1 }] })
    expect(await connection.next('settle')).toMatchObject({ how: 'reject', reason: 'not a jpeg' })
    expect(warnings).toMatchObject([
      { code: 'handler-failed', detail: 'try later', sequence: 101 },
      { detail: 'not a jpeg' },
    ])
  })

  test('a body that is none of the codec is rejected', async () => {
    const { connection, subscription } = await working(({ body }) => body)
    connection.deliver(subscription, 1, [new Uint8Array([0x7b])])
    expect(await connection.next('settle')).toMatchObject({ how: 'reject' })
  })

  test('a handler that settles its message itself has the last word', async () => {
    const { connection, subscription } = await working(message => message.release())
    connection.deliver(subscription, 1, [1])
    await quiet()
    expect(connection.all('settle').map(({ how }) => how)).toEqual(['release'])
  })

  test('A4: a return value is published to the output in one commit with the ack, and the next message is begun meanwhile', async () => {
    const { client, connection } = await new FakeServer().connect()
    const begun: number[] = []
    await using working = worker(
      client.queue<number>('q'),
      ({ body }) => {
        begun.push(body)
        return body === 3 ? undefined : { twice: 2 * body }
      },
      { output: client.queue<{ twice: number }>('out') },
    )
    connection.deliver(1, 1, [1, 2, 3])
    const first = await connection.next('settle')
    expect(first.publish.map(({ queue, messages }) => [queue, bodiesOf(messages)[0]!.body])).toEqual([
      ['out', { twice: 2 }],
    ])
    const second = await connection.next('settle')
    expect(begun).toEqual([1, 2, 3])
    connection.settled(first.request, 'acked', 1)
    connection.settled(second.request, 'acked', 2)
    expect(await connection.next('settle')).toMatchObject({
      request: 0,
      how: 'ack',
      deliveries: [{ first: 3, count: 1 }],
    })
    expect(working.done).toBeInstanceOf(Promise)
  })

  test('A4: a refused output is told of, and its message nacked', async () => {
    const { client, connection } = await new FakeServer().connect()
    const errors: unknown[] = []
    const options = { output: client.queue<number>('out'), onError: (error: unknown) => void errors.push(error) }
    await using _ = worker(client.queue<number>('q'), ({ body }) => body, options)
    connection.deliver(1, 1, [1])
    const { request } = await connection.next('settle')
    connection.tell('settled', { request, results: [], refusal: { code: 'not-accepted', detail: '' }, published: null })
    expect(await connection.next('settle')).toMatchObject({ how: 'nack' })
    expect(errors).toMatchObject([{ code: 'not-accepted' }])
  })

  test('until a barrier: done resolves with it, and what came behind is given back', async () => {
    const handled: number[] = []
    const barriers: string[] = []
    const { connection, worker, subscription } = await working(({ body }) => void handled.push(body), {
      until: 'barrier',
      onBarrier: ({ name }) => void barriers.push(name),
    })
    connection.deliver(subscription, 1, [1])
    connection.releaseBarrier(subscription)
    connection.deliver(subscription, 2, [2])
    expect(await worker.done).toMatchObject({ kind: 'barrier', name: 'eof', outcome: 'clean' })
    expect([handled, barriers]).toEqual([[1], ['eof']])
    expect(await connection.next('unsubscribe')).toEqual({ subscription })
  })

  test('until a barrier by name passes others by, and ends at once if it was released before', async () => {
    const { connection, worker, subscription } = await working(() => {}, { until: 'eof-2' })
    const { id } = await connection.request('barrier')
    connection.tell('response', { id, refusal: { code: 'no-such-barrier', detail: '' }, result: null })
    connection.releaseBarrier(subscription)
    connection.releaseBarrier(subscription, { name: 'eof-2' })
    expect(await worker.done).toMatchObject({ name: 'eof-2' })

    const late = await working(() => {}, { until: 'eof-1' })
    late.connection.answer((await late.connection.request('barrier')).id, { state: 'released', progress: {} })
    const record = { ...barrierRecord({ name: 'eof-1', outcome: 'failed' }), body: records([1]) }
    late.connection.answer((await late.connection.request('wait')).id, record)
    expect(await late.worker.done).toMatchObject({ kind: 'barrier', name: 'eof-1', outcome: 'failed', replayed: true })
  })

  test('D10: an abort stops the taking, lets running handlers finish and gives back the rest', async () => {
    const stop = new AbortController()
    const { running, handler } = heldHandler()
    const { connection, worker, subscription } = await working(handler, { signal: stop.signal })
    connection.deliver(subscription, 1, [1, 2, 3])
    await quiet()
    stop.abort()
    expect(await connection.next('settle')).toMatchObject({ how: 'release', deliveries: [{ first: 2, count: 2 }] })
    await quiet()
    expect(connection.all('unsubscribe')).toEqual([])
    running.get(1)!.finish()
    expect(await worker.done).toBeUndefined()
    await quiet()
    expect(connection.all('settle').at(-1)).toMatchObject({ how: 'ack', deliveries: [{ first: 1, count: 1 }] })
    expect(connection.all('unsubscribe')).toHaveLength(1)
    expect([...running.keys()]).toEqual([1])
  })

  test('what ends the subscription rejects done', async () => {
    const { connection, worker, subscription } = await working(() => {})
    connection.tell('cancelled', { subscription, code: 'queue-deleted', detail: '', facts: null })
    await expect(worker.done).rejects.toMatchObject({ code: 'queue-deleted' })
    await worker.stop()
  })

  test('D7: a handler whose message was lost meanwhile has nothing to settle, and the loss is told once', async () => {
    const { running, handler } = heldHandler()
    const { client, connection, subscription } = await working(handler, { concurrency: 2 })
    const lost: unknown[] = []
    client.addEventListener('lease-lost', ({ detail }) => lost.push(detail.sequence))
    connection.deliver(subscription, 1, [1, 2])
    await quiet()
    connection.tell('leaseLost', { subscription, first: 1, count: 2 })
    running.get(1)!.finish()
    running.get(2)!.fail(new Error('aborted'))
    await quiet()
    expect(connection.all('settle')).toEqual([])
    expect(lost).toEqual([101, 102])
  })
})
