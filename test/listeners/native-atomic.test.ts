import { describe, expect, test } from 'vitest'
import { Bench, brief, frame, HELLO, publish, request } from './native-support.ts'

const part = (queue: string, number = 1, more = {}) => ({
  queue,
  number,
  answeredUpTo: 0,
  flags: 0,
  count: 1,
  messages: new Uint8Array(4),
  ...more,
})
const atomic = (...parts: ReturnType<typeof part>[]) => frame('publishAtomic', { parts })
const kept = (sequence: number, count = 1) => [{ index: 0, count, sequence, batch: 0, duplicate: false }]

describe('an atomic publish', () => {
  test('P4: is one command to several queues, and each part is confirmed like a publish of its own', () => {
    const bench = Bench.welcomed()
    bench.receive(atomic(part('a', 7), part('b', 1, { count: 2, flags: 4, messages: new Uint8Array(8) })))
    expect(bench.peer.calls).toEqual([['publishAtomic', ['a', 7, 1, false], ['b', 1, 2, true]]])
    expect(bench.frames()).toEqual([])
    bench.peer.atomic[0]!.answered([kept(5), kept(9, 2)])
    expect(brief(bench.frames())).toEqual(['confirm(a 7 1 5 0 false)', 'confirm(b 1 2 9 0 false)'])
  })

  test('P4: a refusal is told of every part, and the connection goes on', () => {
    const bench = Bench.welcomed()
    bench.receive(atomic(part('a'), part('b')))
    const refusal = { code: 'queue-full', detail: 'no', facts: { queue: 'b' } } as const
    bench.peer.atomic[0]!.answered([[{ index: 0, count: 1, refusal }], [{ index: 0, count: 1, refusal }]])
    expect(brief(bench.frames())).toEqual([
      'refused(a 1 1 queue-full no {"queue":"b"})',
      'refused(b 1 1 queue-full no {"queue":"b"})',
    ])
    expect(bench.closedWith).toBe(undefined)
  })

  test.each([
    [2, false],
    [3, true],
  ])('P9: of a client of version %i a refusal uses the numbers: %s', (version, spends) => {
    const bench = new Bench()
    bench.receive(frame('hello', { ...HELLO, version }))
    bench.receive(atomic(part('a'), part('b')))
    expect(bench.peer.atomic[0]!.spends).toBe(spends)
  })

  test('R5: without credit all parts are refused, and later ones of each queue until these come again', () => {
    const bench = Bench.welcomed({ pressure: { on: true, reason: 'disk' } })
    bench.receive(atomic(part('a'), part('b')), publish({ queue: 'b', number: 2 }))
    expect(brief(bench.frames()).filter(line => line.startsWith('refused'))).toEqual([
      'refused(a 1 1 server-busy disk null)',
      'refused(b 1 1 server-busy disk null)',
      'refused(b 2 1 server-busy disk null)',
    ])
    bench.peer.outbox.pressure(false, '')
    bench.frames()
    bench.receive(publish({ queue: 'b', number: 2 }), atomic(part('a'), part('b')), publish({ queue: 'b', number: 2 }))
    expect(bench.peer.calls).toEqual([
      ['publishAtomic', ['a', 1, 1, false], ['b', 1, 1, false]],
      ['publish', 'b', 2, 1],
    ])
  })

  test('of a client that named no producer is refused', () => {
    const bench = new Bench()
    bench.receive(frame('hello', { ...HELLO, producer: '' }))
    bench.frames()
    bench.receive(atomic(part('a'), part('b')))
    expect(brief(bench.frames()).map(line => line.slice(0, 25))).toEqual([
      'refused(a 1 1 not-allowed',
      'refused(b 1 1 not-allowed',
    ])
  })

  test('over a connection of version 1, which has none, is a protocol error', () => {
    const bench = new Bench()
    bench.receive(frame('hello', { ...HELLO, version: 1 }))
    bench.frames()
    bench.receive(atomic(part('a'), part('b')))
    expect(bench.only('goodbye')).toMatchObject({
      code: 'protocol-error',
      detail: 'publishAtomic is of version 2, version 1 is spoken here',
    })
    expect(bench.peer.calls).toEqual([['close']])
  })

  test.each([
    ['no part', [], 'each queue has one part'],
    ['two parts for one queue', [part('a'), part('a', 2)], 'each queue has one part'],
    ['a number of 0', [part('a', 0)], 'publishAtomic.number: numbers start at 1'],
    ['a count of 0', [part('a', 1, { count: 0 })], 'publishAtomic.count: 0'],
    ['a flag that is not dedupe', [part('a', 1, { flags: 1 })], 'publishAtomic.flags: 1'],
    ['too many messages', [part('a', 1, { count: 6_000 }), part('b', 1, { count: 6_000 })], '12000 messages'],
    ['too many bytes', [part('a', 1, { messages: new Uint8Array(2 ** 24 + 1) })], '16777217 bytes'],
  ])('P4: with %s is a protocol error', (_, parts, detail) => {
    const bench = Bench.welcomed()
    bench.receive(atomic(...parts))
    expect(bench.only('goodbye')).toMatchObject({ code: 'protocol-error', detail: expect.stringContaining(detail) })
    expect(bench.peer.calls).toEqual([['close']])
  })
})

describe('what operators ask', () => {
  const view = { name: 'q', paused: true, barriersWaiting: 2 }
  const message = {
    sequence: 4,
    batch: 1,
    state: 'leased',
    attempts: 2,
    redelivered: true,
    publishedAt: 5,
    leaseAgeMs: 7,
    holder: 'ann',
    bytes: Uint8Array.of(1, 0, 0, 0, 0x7b),
  } as const

  /** A peer whose method of that name notes how it was called and gives `answer`, as value or to the callback. */
  function asked(method: string, answer: unknown, frames: Uint8Array) {
    const bench = Bench.welcomed()
    const calls: unknown[][] = []
    Object.assign(bench.peer, {
      [method](...args: unknown[]) {
        const answered = args.at(-1)
        if (typeof answered !== 'function') {
          calls.push(args)
          return answer
        }
        calls.push(args.slice(0, -1))
        answered(answer)
        return undefined
      },
    })
    bench.receive(frames)
    return { calls, response: bench.only('response') }
  }

  test.each([
    ['D14: pause', 'pause', { name: 'q' }, ['q', true]],
    ['D14: resume', 'resume', { name: 'q' }, ['q', false]],
  ])('%s answers with the queue', (_, method, params, call) => {
    const { calls, response } = asked('pause', view, request(1, method, params))
    expect(calls).toEqual([call])
    expect(response).toEqual({ id: 1, refusal: null, result: { name: 'q', paused: true, barriers_waiting: 2 } })
  })

  test('an update hands on the options given, and answers with the queue', () => {
    const { calls, response } = asked('update', view, request(1, 'update', { name: 'q', options: { lease: '5s' } }))
    expect(calls).toEqual([['q', expect.objectContaining({ lease: '5s' })]])
    expect(response.result).toMatchObject({ paused: true })
  })

  test.each([
    ['purge', 'purge', { name: 'q' }, ['q', { leased: false }], { purged: 3 }],
    ['purge', 'purge', { name: 'q', leased: true }, ['q', { leased: true }], { purged: 3 }],
    ['requeueDeadLetters', 'requeue', { queue: 'q', batch: 'b' }, [{ queue: 'q', batch: 'b' }], { requeued: 1 }],
    ['purgeDeadLetters', 'purge-dead', { queue: 'q', filter: 'f' }, [{ queue: 'q', filter: 'f' }], { purged: 1 }],
  ])('A5, A6: %s as %s with %j is answered with how many', (command, method, params, call, answer) => {
    const { calls, response } = asked(command, answer, request(1, method, params))
    expect(calls).toEqual([call])
    expect(response.result).toEqual(answer)
  })

  test('browsing shows messages with their records, and where to go on', () => {
    const params = { queue: 'q', state: 'leased', filter: '/a = 1', after: 3, limit: 5_000 }
    const { calls, response } = asked('browse', { messages: [message], next: 4 }, request(1, 'browse', params))
    expect(calls).toEqual([
      [{ queue: 'q', state: 'leased', filter: '/a = 1', after: 3, limit: 1_000, bytesMax: 2 ** 20 }],
    ])
    expect(response.result).toEqual({
      messages: [
        {
          sequence: 4,
          batch: 1,
          state: 'leased',
          attempts: 2,
          redelivered: true,
          published_at: 5,
          lease_age_ms: 7,
          holder: 'ann',
          message: Buffer.from(message.bytes),
        },
      ],
      next: 4,
    })
  })

  test('a page of dead letters is asked for with at most a MiB of messages', () => {
    const { calls } = asked('deadLetters', { messages: [message] }, request(1, 'dead', { queue: 'q' }))
    expect(calls).toEqual([[expect.objectContaining({ queue: 'q', bytesMax: 2 ** 20 })]])
  })

  test('operating on one message answers whether it was there', () => {
    const params = { queue: 'q', sequence: 7, act: 'dead-letter' }
    const { calls, response } = asked('operate', 'unknown', request(1, 'operate', params))
    expect(calls).toEqual([['q', 7, 'dead-letter']])
    expect(response.result).toEqual({ result: 'unknown' })
  })

  const gathering = {
    name: 'eof',
    sequence: 3,
    batch: 0,
    state: 'gathering',
    publishedAt: 1,
    deadlineAt: 9,
    progress: {},
    parties: { count: 3, arrived: ['s1'] },
  } as const

  test.each([
    ['B13: cancelling', 'cancelBarrier', 'cancel-barrier', { rest: 'drop' }, ['q', 'eof', 'drop']],
    ['B13: cancelling without a rest', 'cancelBarrier', 'cancel-barrier', {}, ['q', 'eof', undefined]],
    ['B13: extending', 'extendBarrier', 'extend-barrier', { deadline_ms: 500 }, ['q', 'eof', 500]],
  ])('%s answers with the barrier', (_, command, method, params, call) => {
    const { calls, response } = asked(command, gathering, request(1, method, { queue: 'q', barrier: 'eof', ...params }))
    expect(calls).toEqual([call])
    expect(response.result).toMatchObject({
      state: 'gathering',
      deadline_at: 9,
      parties: { count: 3, arrived: ['s1'] },
    })
  })

  const record = {
    sequence: 3,
    batch: 0,
    name: 'eof',
    outcome: 'clean',
    stats: {},
    publishedAt: 1,
    releasedAt: 2,
    batches: [{ queue: 'stage-1', outcome: 'clean', stats: { firstPublishedAt: 4 } }],
    parties: { count: 2, arrived: ['s1', 's2'], bytes: new Uint8Array(8) },
    bytes: new Uint8Array(4),
  } as const

  test('B14, B15: a record tells of its parties and of the batches before it', () => {
    const { response } = asked('barrier', { ...gathering, record }, request(1, 'barrier', { queue: 'q', barrier: 'b' }))
    expect(response.result).toMatchObject({
      record: {
        batches: [{ queue: 'stage-1', outcome: 'clean', stats: { first_published_at: 4 } }],
        parties: { count: 2, arrived_count: 2, arrived: ['s1', 's2'], messages: Buffer.alloc(8) },
      },
    })
  })

  test('B14: where barriers are listed, parties are only counted', () => {
    const { response } = asked(
      'barriers',
      { barriers: [gathering, { ...gathering, record }] },
      request(1, 'barriers', { queue: 'q' }),
    )
    const { barriers } = response.result as { barriers: Record<string, { parties?: unknown }>[] }
    expect(barriers.map(({ parties }) => parties)).toEqual([
      { count: 3, arrived_count: 1 },
      { count: 2, arrived_count: 2 },
    ])
    expect(barriers[1]!['record']!.parties).toBe(undefined)
  })

  test('a refusal of the engine is answered as one', () => {
    const refusal = { code: 'no-such-barrier', detail: 'none' }
    for (const [command, method, params] of [
      ['browse', 'browse', { queue: 'q' }],
      ['pause', 'pause', { name: 'q' }],
      ['requeueDeadLetters', 'requeue', { queue: 'q' }],
      ['cancelBarrier', 'cancel-barrier', { queue: 'q', barrier: 'b' }],
    ] as const) {
      expect(asked(command, refusal, request(1, method, params)).response.refusal).toMatchObject(refusal)
    }
  })

  test.each([
    ['browse', { queue: 'q', state: 'gone' }, 'state is not one of ready, leased, delayed'],
    ['purge', { name: 'q', leased: 1 }, 'leased is neither true nor false'],
    ['operate', { queue: 'q', sequence: 1 }, 'act is missing'],
    ['cancel-barrier', { queue: 'q', barrier: 'b', rest: 'keep' }, 'rest is not one of carry, dead-letter, drop'],
    ['extend-barrier', { queue: 'q', barrier: 'b' }, 'deadline_ms is missing'],
  ])('%s with %j is refused as invalid-request', (method, params, detail) => {
    const bench = Bench.welcomed()
    bench.receive(request(1, method, params))
    expect(bench.only('response').refusal).toMatchObject({ code: 'invalid-request', detail })
  })
})
