import { HELLO_DEADLINE_MS, MESSAGE_FRAMES_MAX, PROTOCOL_VERSION, SUBSCRIPTIONS_MAX } from '@sluice/protocol'
import { describe, expect, test } from 'vitest'
import { fromHex } from '../protocol/samples.ts'
import { Bench, brief, frame, HELLO, message, publish, RECORD, settle, subscribe } from './native-support.ts'

const ENDED = { code: 'queue-deleted', detail: 'gone' } as const

describe('hello', () => {
  test('a hello is answered by a welcome with what the server allows', () => {
    const bench = new Bench()
    bench.receive(frame('hello', HELLO))
    expect(brief(bench.frames())).toEqual(['welcome(3 3 20000 4194304 1048576 10000 test)'])
    expect(bench.peer.identity).toEqual({
      name: 'ann',
      producer: 'a'.repeat(32),
      address: '127.0.0.1:5',
      protocol: 'native',
    })
  })

  test('a client without name or producer is shown by its address and cannot publish', () => {
    const bench = new Bench()
    bench.receive(frame('hello', { ...HELLO, name: '', producer: '' }), publish({}))
    expect(bench.peer.identity).toEqual({ name: '127.0.0.1:5', address: '127.0.0.1:5', protocol: 'native' })
    expect(brief(bench.frames())[1]).toBe('refused(q 1 1 not-allowed the hello named no producer null)')
    expect(bench.peer.published).toEqual([])
  })

  test.each([
    [1, 5_000],
    [30_000, 30_000],
    [9_999_999, 120_000],
  ])('of heartbeats of %i ms asked for, %i ms are given', (heartbeatMs, given) => {
    const bench = new Bench()
    bench.receive(frame('hello', { ...HELLO, heartbeatMs }))
    expect(bench.only('welcome').heartbeatMs).toBe(given)
  })

  test('a client that is newer is answered in the version that the server speaks', () => {
    const bench = new Bench()
    bench.receive(frame('hello', { ...HELLO, version: 9 }))
    expect(bench.only('welcome').version).toBe(PROTOCOL_VERSION)
  })

  test('a version too old is refused with the versions that are spoken', () => {
    const bench = new Bench()
    bench.receive(frame('hello', { ...HELLO, version: 0 }))
    expect(bench.only('goodbye')).toMatchObject({
      code: 'unsupported-version',
      facts: { oldest: 1, newest: PROTOCOL_VERSION },
    })
    expect(bench.closedWith).toEqual([1002, 'unsupported-version'])
  })

  test('a token that is not valid is refused, and no peer is attached', () => {
    const bench = new Bench({
      login: token =>
        token === 'secret'
          ? { name: 'ann', isAdmin: false, may: () => undefined }
          : { code: 'unauthenticated', detail: 'a valid token is needed' },
    })
    bench.receive(frame('hello', { ...HELLO, token: 'guess' }))
    expect(bench.only('goodbye').code).toBe('unauthenticated')
    expect(bench.closedWith).toEqual([1008, 'unauthenticated'])
    expect(bench.engine.peers).toEqual([])
  })

  test('a connection that says nothing for 5 s is closed', () => {
    const bench = new Bench()
    bench.clock.pass(HELLO_DEADLINE_MS - 1)
    expect(bench.closedWith).toBe(undefined)
    bench.clock.pass(1)
    expect(bench.only('goodbye')).toMatchObject({ code: 'protocol-error', detail: 'no hello within 5000 ms' })
    expect(bench.closedWith).toEqual([1002, 'protocol-error'])
  })

  test('a welcomed connection has no deadline any more', () => {
    const bench = Bench.welcomed()
    bench.clock.pass(10 * HELLO_DEADLINE_MS)
    expect(bench.closedWith).toBe(undefined)
    expect(bench.clock.timers).toBe(0)
  })

  test('frames above 4 KiB are taken after the hello only, in the same message too', () => {
    const large = publish({ messages: new Uint8Array(8_000) })
    const early = new Bench()
    early.receive(large, frame('hello', HELLO))
    expect(early.only('goodbye').detail).toMatch(/publish: \d+ bytes, at most 4096 are taken now/)
    const late = new Bench()
    late.receive(frame('hello', HELLO), large)
    expect(late.peer.published).toHaveLength(1)
  })
})

describe('whatever is wrong in what a client sends ends its connection with protocol-error', () => {
  const wrong: readonly (readonly [string, Uint8Array, RegExp])[] = [
    ['garbage', fromHex('deadbeefdeadbeef'), /does not come from a client/],
    ['a frame cut short', publish({}).subarray(0, 12), /publish: .* announced/],
    ['a hello for the second time', frame('hello', HELLO), /second time/],
    ['a frame of the server', frame('flow', { granted: 1, reason: '' }), /type 75 does not come from a client/],
    ['a publish of number 0', publish({ number: 0 }), /start at 1/],
    ['a publish of nothing', publish({ count: 0 }), /publish.count: 0/],
    ['a publish of more than a frame may hold', publish({ count: 10_001 }), /publish.count: 10001/],
    ['a publish with an unknown flag', publish({ flags: 16 }), /publish.flags: 16/],
    ['a numbered publish without a confirm', publish({ flags: 8 }), /publish.number: without a confirm/],
    ['a settle of no deliveries in a range', settle({ deliveries: [{ first: 1, count: 0 }] }), /is no range/],
    [
      'an ack that carries messages up to a delivery',
      settle({
        deliveries: [{ first: 0, count: 1 }],
        publish: [{ queue: 'r', count: 1, messages: new Uint8Array(4) }],
      }),
      /settle\.publish: an ack that carries messages names/,
    ],
    ['a range beyond all numbers', settle({ deliveries: [{ first: 2 ** 52, count: 2 ** 52 }] }), /is no range/],
    ['an extend by nothing', settle({ how: 'extend' }), /an extend needs a lease/],
    [
      'a nack that carries messages',
      settle({ how: 'nack', publish: [{ queue: 'q', count: 1, messages: new Uint8Array(4) }] }),
      /only an ack carries/,
    ],
    ['a request with id 0', frame('request', { id: 0, method: 'ping', params: {} }), /start at 1/],
    [
      'params above 1 MiB',
      frame('request', { id: 1, method: 'x', params: { a: 'a'.repeat(2 ** 20) } }),
      /at most 1048576/,
    ],
    ['a subscription number that does not rise', message(subscribe({}), subscribe({})), /must rise/],
    [
      'too many frames in a message',
      message(...new Array(MESSAGE_FRAMES_MAX + 1).fill(frame('unsubscribe', { subscription: 1 }))),
      /more than 16384 frames/,
    ],
  ]

  test.each(wrong)('%s', (_, bytes, detail) => {
    const bench = Bench.welcomed()
    bench.receive(bytes)
    const goodbye = bench.frames().at(-1)
    expect(goodbye).toMatchObject({ name: 'goodbye', fields: { code: 'protocol-error' } })
    expect(goodbye?.name === 'goodbye' && goodbye.fields.detail).toMatch(detail)
    expect(bench.closedWith).toEqual([1002, 'protocol-error'])
    expect(bench.peer.calls.at(-1)).toEqual(['close'])
  })

  test('anything but a hello at first', () => {
    const bench = new Bench()
    bench.receive(frame('unsubscribe', { subscription: 1 }))
    expect(bench.only('goodbye').detail).toBe('unsubscribe before hello')
  })

  test.each(['short', 'A'.repeat(32), 'g'.repeat(32), `${'a'.repeat(32)}\n`])('a producer id that is %j', producer => {
    const bench = new Bench()
    bench.receive(frame('hello', { ...HELLO, producer }))
    expect(bench.only('goodbye').code).toBe('protocol-error')
  })

  test('a message of text', () => {
    const bench = Bench.welcomed()
    bench.connection.receiveText()
    expect(bench.closedWith).toEqual([1002, 'protocol-error'])
  })

  test('frames before the broken one are carried out, nothing after it is', () => {
    const bench = Bench.welcomed()
    bench.receive(publish({}), fromHex('01000000 ff'), publish({ number: 2 }))
    bench.receive(publish({ number: 3 }))
    expect(bench.peer.calls).toEqual([['publish', 'q', 1, 1], ['close']])
  })

  test('the peer is closed once, however often the connection ends', () => {
    const bench = Bench.welcomed()
    bench.receive(fromHex('00000000 00'))
    bench.connection.end({ code: 'shutting-down', detail: '' })
    bench.connection.closed()
    expect(bench.peer.calls).toEqual([['close']])
  })
})

describe('publishing', () => {
  test('P3: the frames of a message are carried out in order, whatever they are', () => {
    const bench = Bench.welcomed()
    bench.receive(
      publish({ count: 2 }),
      subscribe({}),
      settle({}),
      publish({ number: 3 }),
      frame('unsubscribe', { subscription: 1 }),
    )
    expect(bench.peer.calls.map(call => call[0])).toEqual(['publish', 'subscribe', 'settle', 'publish', 'unsubscribe'])
  })

  test('flags become the wishes of a command, and the bytes are the received ones', () => {
    const bench = Bench.welcomed()
    const bytes = publish({ number: 5, answeredUpTo: 4, flags: 1 | 2 | 4, count: 1 })
    bench.connection.receive(bytes)
    const { command } = bench.peer.published[0]!
    expect(command).toMatchObject({ number: 5, answeredUpTo: 4, confirm: 'accepted', atomic: true, dedupe: true })
    expect(command.bytes.buffer).toBe(bytes.buffer)
  })

  test('confirms of a tick go out as one frame for each run of a queue', () => {
    const bench = Bench.welcomed()
    bench.receive(publish({ count: 2 }), publish({ number: 3 }), publish({ queue: 'r' }), publish({ number: 4 }))
    const [a, b, r, c] = bench.peer.published
    a!.answered([{ index: 0, count: 2, sequence: 10, batch: 0, duplicate: false }])
    b!.answered([{ index: 0, count: 1, sequence: 12, batch: 0, duplicate: false }])
    r!.answered([{ index: 0, count: 1, sequence: 1, batch: 7, duplicate: true }])
    c!.answered([{ index: 0, count: 1, sequence: 14, batch: 0, duplicate: false }])
    expect(brief(bench.frames())).toEqual([
      'confirm(q 1 3 10 0 false)',
      'confirm(q 4 1 14 0 false)',
      'confirm(r 1 1 1 7 true)',
    ])
  })

  test('a run of confirms ends where the next is of another batch, or a duplicate', () => {
    const bench = Bench.welcomed()
    bench.receive(publish({ count: 3 }))
    bench.peer.published[0]!.answered([
      { index: 0, count: 1, sequence: 10, batch: 0, duplicate: false },
      { index: 1, count: 1, sequence: 11, batch: 1, duplicate: false },
      { index: 2, count: 1, sequence: 12, batch: 1, duplicate: true },
    ])
    expect(brief(bench.frames())).toEqual([
      'confirm(q 1 1 10 0 false)',
      'confirm(q 2 1 11 1 false)',
      'confirm(q 3 1 12 1 true)',
    ])
  })

  test('a tick becomes one WebSocket message', () => {
    const bench = Bench.welcomed()
    bench.receive(publish({}), frame('request', { id: 1, method: 'ping', params: {} }))
    bench.peer.published[0]!.answered([{ index: 0, count: 1, sequence: 1, batch: 0, duplicate: false }])
    bench.clock.tick()
    expect(bench.sent).toHaveLength(1)
  })

  test('P8: a refusal names the messages it is for, and what helps', () => {
    const bench = Bench.welcomed()
    bench.receive(publish({ number: 7, count: 3 }))
    bench.peer.published[0]!.answered([
      { index: 0, count: 1, sequence: 1, batch: 0, duplicate: false },
      { index: 1, count: 2, refusal: { code: 'queue-full', detail: 'full', facts: { limit: 1 } } },
    ])
    expect(brief(bench.frames())).toEqual(['refused(q 8 2 queue-full full {"limit":1})', 'confirm(q 7 1 1 0 false)'])
  })
})

describe('subscriptions', () => {
  test('what has no neutral value is told to the engine, the rest is left to it', () => {
    const bench = Bench.welcomed()
    bench.peer.subscribeAnswer = { batch: 4, barriersMissed: 1 }
    bench.receive(
      subscribe({ prefetch: 0, concurrency: 0 }),
      subscribe({ subscription: 5, leaseMs: 9, filter: '/a = 1', afterBatch: 1, concurrency: 8 }),
    )
    expect(bench.peer.calls).toEqual([
      ['subscribe', { subscription: 1, queue: 'q', prefetch: 0, concurrency: 1 }],
      [
        'subscribe',
        { subscription: 5, queue: 'q', prefetch: 10, concurrency: 8, leaseMs: 9, filter: '/a = 1', afterBatch: 0 },
      ],
    ])
    expect(brief(bench.frames())).toEqual(['subscribed(1 4 1)', 'subscribed(5 4 1)'])
  })

  test('a refused subscribe is answered by cancelled', () => {
    const bench = Bench.welcomed()
    bench.peer.subscribeAnswer = { code: 'bad-filter', detail: 'what?', facts: { column: 3 } }
    bench.receive(subscribe({}))
    expect(brief(bench.frames())).toEqual(['cancelled(1 bad-filter what? {"column":3})'])
  })

  test('a connection has at most 1,000 subscriptions', () => {
    const bench = Bench.welcomed()
    for (let i = 1; i <= SUBSCRIPTIONS_MAX + 1; i++) bench.receive(subscribe({ subscription: i }))
    expect(bench.frames().at(-1)).toMatchObject({ name: 'cancelled', fields: { code: 'too-many-subscriptions' } })
    bench.receive(frame('unsubscribe', { subscription: 1 }), subscribe({ subscription: 2_000 }))
    expect(brief(bench.frames())).toEqual(['subscribed(2000 0 0)'])
  })

  test('an unsubscribe that crosses a cancel is nothing', () => {
    const bench = Bench.welcomed()
    bench.receive(subscribe({}))
    bench.peer.outbox.cancelled(1, ENDED)
    bench.receive(frame('unsubscribe', { subscription: 1 }))
    expect(brief(bench.frames())).toEqual(['subscribed(1 0 0)', 'cancelled(1 queue-deleted gone null)'])
    expect(bench.peer.calls).toHaveLength(1)
  })

  test('D13: prefetch and filter change in place; a refusal leaves the subscription as it was', () => {
    const bench = Bench.welcomed()
    const change = { subscription: 1, prefetch: 5, filter: '', hasFilter: false }
    bench.receive(
      frame('resubscribe', { ...change, request: 0 }),
      frame('resubscribe', { ...change, request: 1, hasFilter: true }),
      frame('resubscribe', { ...change, request: 2, filter: '/a', hasFilter: true }),
    )
    bench.peer.resubscribeAnswer = { code: 'bad-filter', detail: 'what?' }
    bench.receive(frame('resubscribe', { ...change, request: 3 }))
    expect(bench.peer.calls.map(call => call[2])).toEqual([
      { prefetch: 5 },
      { prefetch: 5, filter: null },
      { prefetch: 5, filter: '/a' },
      { prefetch: 5 },
    ])
    expect(brief(bench.frames())).toEqual([
      'response(1 null {})',
      'response(2 null {})',
      'response(3 {"code":"bad-filter","detail":"what?","facts":null} null)',
    ])
  })
})

describe('deliveries', () => {
  test('a delivery goes out with its records as the journal has them, in pieces or not', () => {
    const bench = Bench.welcomed()
    const pieces = [Uint8Array.of(1, 0, 0, 0, 0x61), Uint8Array.of(0, 0, 0, 0)]
    const place = { subscription: 1, queue: 'q', delivery: 1, sequence: 5, count: 2, batch: 0 }
    bench.peer.outbox.deliver({ ...place, attempt: 1, redelivered: false, bytes: pieces })
    expect(brief(bench.frames())).toEqual(['deliver(1 1 5 2 0 1 false null 010000006100000000)'])
  })

  test('A5: a dead letter tells where it comes from', () => {
    const bench = Bench.welcomed()
    const origin = {
      queue: 'q',
      queueId: 8,
      sequence: 1,
      batch: 0,
      attempts: 3,
      publishedAt: 1,
      deadAt: 2,
      reason: 'rejected',
    } as const
    const place = { subscription: 1, queue: 'q.dead', delivery: 1, sequence: 5, count: 1, batch: 0 }
    bench.peer.outbox.deliver({ ...place, attempt: 1, redelivered: false, bytes: [new Uint8Array(4)], origin })
    expect(bench.only('deliver').origin).toEqual({
      queue: 'q',
      sequence: 1,
      batch: 0,
      attempts: 3,
      published_at: 1,
      dead_at: 2,
      reason: 'rejected',
    })
  })

  test('B12: a barrier carries its outcome and its statistics', () => {
    const bench = Bench.welcomed()
    bench.peer.outbox.barrier({ subscription: 1, queue: 'q', record: RECORD, replayed: true })
    const { record, message, replayed } = bench.only('barrier')
    expect(record).toEqual({
      sequence: 9,
      batch: 2,
      name: 'eof',
      outcome: 'clean',
      stats: { published: 8, acked: 8, dead: 0, expired: 0, dropped: 0, carried: 0, first_published_at: 1 },
      published_at: 5,
      released_at: 6,
    })
    expect([[...message], replayed]).toEqual([[1, 0, 0, 0, 0x7b], true])
  })

  test('D7: a lost lease is told, and so is the end of a subscription', () => {
    const bench = Bench.welcomed()
    bench.peer.outbox.leaseLost(1, { first: 3, count: 2 })
    bench.peer.outbox.cancelled(1, ENDED)
    expect(brief(bench.frames())).toEqual(['leaseLost(1 3 2)', 'cancelled(1 queue-deleted gone null)'])
  })

  test('P9: a connection that the engine ends says why and closes', () => {
    const bench = Bench.welcomed()
    bench.peer.outbox.closed({ code: 'producer-taken-over', detail: 'a newer connection has this producer' })
    expect(bench.only('goodbye').code).toBe('producer-taken-over')
    expect(bench.closedWith).toEqual([1008, 'producer-taken-over'])
  })
})
