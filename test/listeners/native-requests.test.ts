import { REQUESTS_PENDING_MAX } from '@sluice/protocol'
import { describe, expect, test } from 'vitest'
import { Bench, brief, publish, RECORD, request, settle } from './native-support.ts'

describe('settling', () => {
  test('each way to settle becomes its command', () => {
    const bench = Bench.welcomed()
    bench.receive(
      settle({}),
      settle({ how: 'nack' }),
      settle({ how: 'nack', valueMs: 1 }),
      settle({ how: 'release' }),
      settle({ how: 'reject', reason: 'bad' }),
      settle({ how: 'extend', valueMs: 30_000 }),
    )
    expect(bench.peer.settled.map(({ command }) => command.how)).toEqual([
      { kind: 'ack' },
      { kind: 'nack' },
      { kind: 'nack', delayMs: 0 },
      { kind: 'release' },
      { kind: 'reject', reason: 'bad' },
      { kind: 'extend', leaseMs: 30_000 },
    ])
    expect(bench.frames()).toEqual([])
  })

  test('A1: an answer comes when it was asked for, with what became of each delivery', () => {
    const bench = Bench.welcomed()
    bench.receive(settle({ request: 4, deliveries: [{ first: 1, count: 3 }] }))
    bench.peer.settled[0]!.answered!({
      results: [
        { first: 1, count: 2, result: 'acked' },
        { first: 3, count: 1, result: 'already-settled' },
      ],
    })
    expect(bench.only('settled')).toEqual({
      request: 4,
      results: [
        { first: 1, count: 2, result: 'acked' },
        { first: 3, count: 1, result: 'already-settled' },
      ],
      refusal: null,
      published: null,
    })
  })

  test('A4: an ack carries messages to any queues, and is told where they went', () => {
    const bench = Bench.welcomed()
    bench.receive(settle({ request: 4, publish: [{ queue: 'out', count: 1, messages: new Uint8Array(4) }] }))
    expect(bench.peer.settled[0]!.command.publish).toEqual([{ queue: 'out', count: 1, bytes: Buffer.alloc(4) }])
    bench.peer.settled[0]!.answered!({
      results: [{ first: 1, count: 1, result: 'acked' }],
      published: [{ index: 0, count: 1, sequence: 8, batch: 2, duplicate: false }],
    })
    expect(bench.only('settled').published).toEqual([{ sequence: 8, batch: 2, count: 1, duplicate: false }])
  })
})

describe('requests', () => {
  test('a declare hands options on as they are and answers in snake_case', () => {
    const bench = Bench.welcomed()
    bench.receive(request(1, 'declare', { name: 'q', options: { lease: '30s' } }))
    expect(bench.peer.calls).toEqual([['declare', 'q', { lease: '30s' }]])
    expect(bench.only('response')).toEqual({
      id: 1,
      refusal: null,
      result: { created: true, queue: { name: 'q', lease_ms: 5 } },
    })
  })

  test('queues are listed by name, page by page', () => {
    const bench = Bench.welcomed()
    bench.peer.queueViews = ['c', 'a', 'b'].map(name => ({ name }))
    bench.receive(request(1, 'queues', { limit: 2 }), request(2, 'queues', { after: 'b' }))
    expect(brief(bench.frames())).toEqual([
      'response(1 null {"queues":[{"name":"a"},{"name":"b"}],"more":true})',
      'response(2 null {"queues":[{"name":"c"}]})',
    ])
  })

  test('a refusal is answered as one', () => {
    const bench = Bench.welcomed()
    bench.receive(request(1, 'queue', { name: 'x' }))
    expect(brief(bench.frames())).toEqual(['response(1 {"code":"no-such-queue","detail":"no x","facts":null} null)'])
  })

  test.each([
    ['no such method', request(1, 'toString'), 'there is no method toString'],
    ['a parameter missing', request(1, 'queue'), 'name is missing'],
    ['a parameter of another type', request(1, 'queue', { name: 1 }), 'name is not a text'],
    [
      'a number below 0',
      request(1, 'wait', { queue: 'q', barrier: 'b', timeout_ms: -1 }),
      'timeout_ms is not an integer from 0',
    ],
    ['an unknown parameter', request(1, 'queue', { name: 'q', nmae: 1 }), 'nmae is no parameter of this method'],
    ['options that are no map', request(1, 'declare', { name: 'q', options: [] }), 'options is not a map'],
  ])('%s is refused as invalid-request, and the connection goes on', (_, bytes, detail) => {
    const bench = Bench.welcomed()
    bench.receive(bytes)
    expect(bench.only('response').refusal).toMatchObject({ code: 'invalid-request', detail })
    expect(bench.closedWith).toBe(undefined)
  })

  test('a ping is answered when all that was sent before it has been taken', () => {
    const bench = Bench.welcomed()
    bench.receive(publish({}), request(1, 'ping'))
    expect(brief(bench.frames())).toEqual(['response(1 null {})'])
    expect(bench.peer.published).toHaveLength(1)
  })

  test('B10: a wait is answered with the record and the body once the barrier is released', () => {
    const bench = Bench.welcomed()
    bench.receive(request(1, 'wait', { queue: 'q', barrier: 'eof' }))
    expect(bench.peer.calls).toEqual([['waitForBarrier', 'q', 'eof', undefined]])
    expect(bench.frames()).toEqual([])
    bench.peer.waits[0]!.answered(RECORD as never)
    expect(bench.only('response').result).toMatchObject({
      name: 'eof',
      released_at: 6,
      body: Buffer.from(RECORD.bytes),
    })
  })

  test('a wait that is cancelled is not answered any more', () => {
    const bench = Bench.welcomed()
    bench.receive(request(1, 'wait', { queue: 'q', barrier: 'eof' }), request(2, 'cancel', { id: 1 }))
    expect(bench.peer.waits[0]!.cancelled).toBe(true)
    bench.peer.waits[0]!.answered(RECORD as never)
    expect(brief(bench.frames())).toEqual(['response(2 null {})'])
  })

  test('an id that still waits for its answer cannot be used again', () => {
    const bench = Bench.welcomed()
    bench.receive(request(1, 'wait', { queue: 'q', barrier: 'eof' }), settle({ request: 1 }))
    expect(bench.only('goodbye').detail).toBe('request 1 still waits for its answer')
  })

  test('at most 10,000 requests wait; more are refused server-busy', () => {
    const bench = Bench.welcomed()
    for (let id = 1; id <= REQUESTS_PENDING_MAX; id++) bench.receive(request(id, 'wait', { queue: 'q', barrier: 'b' }))
    bench.receive(request(20_000, 'ping'), settle({ request: 20_001 }))
    expect(brief(bench.frames()).map(line => line.slice(0, 40))).toEqual([
      'response(20000 {"code":"server-busy","de',
      'settled(20001 [] {"code":"server-busy","',
    ])
  })
})
