import { BatchError, connect } from '@sluice/client'
import { describe, expect, test } from 'vitest'
import { backoffMs } from '../../clients/typescript/src/backoff.ts'
import { socketUrl } from '../../clients/typescript/src/socket.ts'
import { barrierRecord, FakeServer, quiet, records } from './support/fake-server.ts'

const record = (more = {}) => ({ ...barrierRecord(more), body: records([{ eof: true }]) })

describe('connecting', () => {
  test('connect() greets with version, name, producer and token', async () => {
    const { connection } = await new FakeServer().connect({ name: 'nightly', token: 'secret' })
    expect(connection.all('hello')).toEqual([
      { version: 3, name: 'nightly', producer: 'ab'.repeat(16), token: 'secret', heartbeatMs: 0 },
    ])
  })

  test('connect() rejects when nobody can be reached at first, and does not try again', async () => {
    const server = new FakeServer()
    server.isReachable = false
    await expect(server.connect()).rejects.toMatchObject({ code: 'unreachable', retryable: true })
    server.isReachable = true
    server.timers.advance(60_000)
    await quiet()
    expect(server.connections).toEqual([])
  })

  test('connect() to a port where nobody listens says unreachable, through a real socket', async () => {
    await expect(connect('ws://127.0.0.1:1')).rejects.toMatchObject({ code: 'unreachable' })
  })

  test('connect() rejects when the server does not greet in time, or says no', async () => {
    const silent = new FakeServer()
    const never = connect('ws://fake', { socket: () => new Promise(() => {}), timers: silent.timers })
    silent.timers.advance(10_000)
    await expect(never).rejects.toMatchObject({ code: 'unreachable' })

    const server = new FakeServer()
    const refused = connect('ws://fake', {
      timers: server.timers,
      socket: async (url, events) => {
        const socket = await server.socket(url, events)
        const { connections } = server
        return {
          ...socket,
          close: () => {},
          terminate: () => {},
          send: () =>
            connections[0]!.tell('goodbye', { code: 'unauthenticated', detail: 'no such token', facts: null }),
        }
      },
    })
    await expect(refused).rejects.toMatchObject({ code: 'unauthenticated' })
  })

  test('an address may be given as http, and without a path', () => {
    expect(['http://h:1', 'wss://h/', 'ws://h/other'].map(socketUrl)).toEqual([
      'ws://h:1/v1/ws',
      'wss://h/v1/ws',
      'ws://h/other',
    ])
  })
})

describe('reconnecting', () => {
  test('waits grow to a bound, and each is a random share of it, from half to all', () => {
    const waits = [1, 2, 3, 9].map(attempt => [backoffMs(attempt, {}, () => 0), backoffMs(attempt, {}, () => 1)])
    expect(waits).toEqual([
      [50, 100],
      [100, 200],
      [200, 400],
      [5_000, 10_000],
    ])
  })

  test('tries until the server is there again, and tells of each step', async () => {
    const server = new FakeServer()
    const { client, connection } = await server.connect()
    const told: unknown[] = []
    client.addEventListener('status', event => told.push(event.detail.status))
    client.addEventListener('reconnecting', ({ detail }) => told.push([detail.attempt, detail.delayMs]))
    client.addEventListener('reconnected', event => told.push(event.detail))
    server.isReachable = false
    connection.cut()
    server.timers.advance(100)
    await quiet()
    server.isReachable = true
    const next = server.nextConnection()
    server.timers.advance(200)
    await next
    await quiet()
    expect(told).toEqual(['reconnecting', [1, 100], [2, 200], 'connected', { attempts: 2 }])
  })

  test('gives up after the attempts allowed, and is closed with the reason', async () => {
    const server = new FakeServer()
    const { client, connection } = await server.connect({ backoff: { attemptsMax: 1 } })
    const published = client.queue('q').publish(1)
    published.catch(() => {})
    server.isReachable = false
    connection.cut()
    server.timers.advance(100)
    await expect(published).rejects.toMatchObject({ code: 'unreachable' })
    expect(client.status).toBe('closed')
    await expect(client.queue('q').publish(2)).rejects.toThrow()
    await expect(client.queue('q').show()).rejects.toMatchObject({ code: 'closed', cause: { code: 'unreachable' } })
    await client.close()
  })

  test('a goodbye that passes is waited out, one that does not ends the client', async () => {
    for (const code of ['shutting-down', 'producer-taken-over']) {
      const { client, connection } = await new FakeServer().connect()
      connection.tell('goodbye', { code, detail: '', facts: null })
      expect(client.status).toBe(code === 'shutting-down' ? 'reconnecting' : 'closed')
    }
  })

  test('R9: a silent server is asked for a sign of life, and left after two heartbeats without one', async () => {
    const server = new FakeServer()
    const { client, connection } = await server.connect()
    await quiet()
    server.timers.advance(20_000)
    expect(connection.pings).toBe(1)
    connection.alive()
    server.timers.advance(40_000)
    expect([client.status, connection.pings]).toEqual(['connected', 2])
    server.timers.advance(20_000)
    expect(client.status).toBe('reconnecting')
  })

  test('bytes that are no frame of the protocol end the client', async () => {
    const { client, connection } = await new FakeServer().connect()
    const closed: unknown[] = []
    client.addEventListener('status', event => closed.push(event.detail))
    connection.tell('confirm', { queue: 'q', number: 1, count: 1, sequence: 1, batch: 0, duplicate: false })
    expect(client.status).toBe('connected')
    connection.garbage(Uint8Array.of(1, 0, 0, 0, 200))
    expect(closed).toMatchObject([{ status: 'closed', error: { code: 'protocol-error' } }])
  })

  test('questions are asked again over the next connection, but not a delete', async () => {
    const server = new FakeServer()
    const { client, connection } = await server.connect()
    const declared = client.queue('q').declare({ leaseMs: 5 })
    const deleted = client.queue('r').delete()
    deleted.catch(() => {})
    await connection.request('delete')
    const again = await server.reconnect(connection)
    await expect(deleted).rejects.toMatchObject({ code: 'connection-lost' })
    again.answer((await again.request('declare')).id, { created: false, queue: { name: 'q' } })
    expect((await declared).created).toBe(false)
  })
})

describe('ending', () => {
  test('close() sends what was published and acked, rejects what is pending and ends the loops', async () => {
    const { client, connection } = await new FakeServer().connect()
    const deliveries = client.queue('q').consume()
    const next = deliveries.next()
    const published = client.queue('q').publish(1)
    published.catch(() => {})
    const waiting = client.queue('q').batch('eof').wait()
    waiting.catch(() => {})
    await client.close()
    expect(connection.all('publish')).toHaveLength(1)
    expect(connection.isClosed).toBe(true)
    await expect(published).rejects.toMatchObject({ code: 'closed' })
    await expect(waiting).rejects.toMatchObject({ code: 'closed' })
    expect(await next).toEqual({ value: undefined, done: true })
    await client.close()
  })

  test('await using closes', async () => {
    const { client, connection } = await new FakeServer().connect()
    {
      await using scoped = client
      expect(scoped.status).toBe('connected')
    }
    expect(connection.isClosed).toBe(true)
  })

  test('flush() waits for every answer, then has the server say that it took the rest', async () => {
    const { client, connection } = await new FakeServer().connect()
    void client.queue('q').publish(1)
    let flushed = false
    const flushing = client.flush().then(() => {
      flushed = true
    })
    const frame = await connection.next('publish')
    await quiet()
    expect(flushed).toBe(false)
    connection.confirm(frame)
    await flushing
    expect(connection.all('request').map(({ method }) => method)).toEqual(['ping'])
  })
})

describe('queues', () => {
  test('options go out in snake_case, durations without their suffix', async () => {
    const { client, connection } = await new FakeServer().connect()
    void client.queue('q').declare({
      leaseMs: 60_000,
      deliveriesMax: 5,
      retryDelay: { baseMs: 1, factor: 2 },
      forwardBarrier: ['r'],
      announce: 's',
    })
    const options = {
      lease: 60_000,
      deliveries_max: 5,
      retry_delay: { base: 1, factor: 2 },
      forward_barrier: ['r'],
      announce: 's',
    }
    expect((await connection.request('declare')).params).toEqual({ name: 'q', options })
  })

  test('a mismatch names what differs', async () => {
    const { client, connection } = await new FakeServer().connect()
    const declared = client.queue('q').declare({ leaseMs: 1 })
    const { id } = await connection.request('declare')
    const refusal = { code: 'queue-mismatch', detail: 'lease', facts: { differs: ['lease'] } }
    connection.tell('response', { id, refusal, result: null })
    await expect(declared).rejects.toMatchObject({ code: 'queue-mismatch', facts: { differs: ['lease'] } })
  })
})

describe('waiting for a batch', () => {
  test('B10: wait() resolves with the record of a clean batch', async () => {
    const { client, connection } = await new FakeServer().connect()
    const waiting = client.queue('q').batch('eof').wait()
    const { id, params } = await connection.request('wait')
    expect(params).toEqual({ queue: 'q', barrier: 'eof' })
    connection.answer(id, record())
    expect(await waiting).toMatchObject({
      name: 'eof',
      sequence: 9,
      outcome: 'clean',
      body: { eof: true },
      publishedAt: 10,
      releasedAt: 20,
    })
  })

  test('B12: any other outcome rejects with the record, unless it is accepted', async () => {
    for (const outcome of ['with-dead', 'failed', 'cancelled', 'expired'] as const) {
      const { client, connection } = await new FakeServer().connect()
      const batch = client.queue('q').batch('eof')
      const waiting = batch.wait()
      connection.answer((await connection.request('wait')).id, record({ outcome }))
      const error = await waiting.catch((reason: unknown) => reason)
      expect(error).toBeInstanceOf(BatchError)
      expect(error).toMatchObject({ code: `batch-${outcome}`, record: { outcome, stats: { published: 3 } } })

      const accepting = batch.wait({ accept: [outcome] })
      connection.answer((await connection.request('wait')).id, record({ outcome }))
      expect((await accepting).outcome).toBe(outcome)
    }
  })

  test('B10: wait() goes on over a new connection, with the time that is left', async () => {
    const server = new FakeServer()
    const { client, connection } = await server.connect()
    const waiting = client.queue('q').batch('eof').wait({ timeoutMs: 1_000 })
    expect((await connection.request('wait')).params['timeout_ms']).toBe(1_000)
    const again = await server.reconnect(connection)
    const { id, params } = await again.request('wait')
    expect(params['timeout_ms']).toBe(900)
    again.answer(id, record())
    expect((await waiting).name).toBe('eof')
  })

  test('wait() ends with its time or its signal, also without a server, and takes the question back', async () => {
    const server = new FakeServer()
    const { client, connection } = await server.connect()
    const stop = new AbortController()
    const aborted = client.queue('q').batch('eof').wait({ signal: stop.signal })
    const { id } = await connection.request('wait')
    stop.abort(new Error('enough'))
    await expect(aborted).rejects.toThrow('enough')
    expect((await connection.request('cancel')).params).toEqual({ id })

    const late = client.queue('q').batch('eof').wait({ timeoutMs: 50 })
    server.isReachable = false
    connection.cut()
    server.timers.advance(50)
    await expect(late).rejects.toMatchObject({ name: 'TimeoutError', code: 'timed-out' })
  })

  test('B17: wait() tells progress at intervals, also while nobody has published the barrier', async () => {
    const server = new FakeServer()
    const { client, connection } = await server.connect()
    const told: unknown[] = []
    const waiting = client
      .queue('q')
      .batch('eof')
      .wait({ onProgress: progress => told.push(progress), progressMs: 10 })
    const refusal = { code: 'no-such-barrier', detail: '' }
    connection.tell('response', { id: (await connection.request('barrier')).id, refusal, result: null })
    await quiet()
    server.timers.advance(10)
    const progress = { published: 4, acked: 1, leased: 1, ready: 2, delayed: 0, dead: 0, eta_ms: 7 }
    connection.answer((await connection.request('barrier')).id, { state: 'waiting', progress })
    await quiet()
    expect(told).toEqual([{ published: 4, acked: 1, leased: 1, ready: 2, delayed: 0, dead: 0, etaMs: 7 }])
    connection.answer(connection.all('request').find(({ method }) => method === 'wait')!.id, record())
    await waiting
  })

  test('B17: progress() ends with the release, holdouts() tells what holds', async () => {
    const server = new FakeServer()
    const { client, connection } = await server.connect()
    const batch = client.queue('q').batch('eof')
    const seen: number[] = []
    const watching = (async () => {
      for await (const { acked } of batch.progress({ progressMs: 10 })) seen.push(acked)
    })()
    for (const [state, acked] of [
      ['waiting', 1],
      ['released', 2],
    ] as const) {
      connection.answer((await connection.request('barrier')).id, { state, progress: { acked } })
      await quiet()
      server.timers.advance(10)
    }
    await watching
    expect(seen).toEqual([1, 2])

    const holdouts = batch.holdouts({ limit: 5 })
    const { id, params } = await connection.request('holdouts')
    expect(params).toEqual({ queue: 'q', barrier: 'eof', limit: 5 })
    connection.answer(id, {
      holdouts: [{ sequence: 3, state: 'leased', reason: 'leased', attempt: 1, lease_age_ms: 12 }],
    })
    expect(await holdouts).toEqual([{ sequence: 3, state: 'leased', reason: 'leased', attempt: 1, leaseAgeMs: 12 }])
  })
})
