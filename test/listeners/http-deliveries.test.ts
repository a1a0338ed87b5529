import { Agent } from 'node:http'
import { connect } from 'node:net'
import { decodeMessage } from '@sluice/protocol'
import { expect, onTestFinished, test } from 'vitest'
import { FakeEngine, NO_SUCH_QUEUE, RELEASED, record, startHttp, until } from './http-support.ts'

const JSON_TYPE = { 'content-type': 'application/json' }

function delivered(sequence: number, bytes: readonly Uint8Array[], count = bytes.length) {
  const of = { subscription: 1, delivery: 1, queue: 'Q', batch: 2, attempt: 1, redelivered: false }
  return { ...of, sequence, count, bytes, leaseToken: `t${sequence}` }
}

test('a pull answers bodies, properties and lease tokens, and the batch to come back with', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  const answering = http.call('POST', '/v1/queues/Q/deliveries?max=10&wait=20s&lease=1m&filter=/a%3D1&after_batch=1')
  await until(() => engine.pulls.length === 1)
  const { command, answer } = engine.pulls[0]!
  expect(command).toEqual({
    queue: 'Q',
    messagesMax: 10,
    waitMs: 20_000,
    leaseMs: 60_000,
    filter: '/a=1',
    afterBatch: 1,
    settle: 'later',
  })
  answer({
    deliveries: [
      delivered(7, [
        record('{"a":1}', {
          contentType: 'application/json',
          headers: { store: 17, raw: Buffer.from([0]) },
          messageId: 'm7',
        }),
      ]),
      delivered(8, [record(Buffer.from([0xff]))]),
      delivered(9, [record('x', { contentType: 'application/octet-stream', ttlMs: 90_000 })]),
    ],
    barriers: [],
    batch: 2,
    barriersMissed: 0,
  })
  const common = { kind: 'message', batch: 2, attempt: 1, redelivered: false }
  expect((await answering).json).toEqual({
    deliveries: [
      {
        ...common,
        sequence: 7,
        lease_token: 't7',
        content_type: 'application/json',
        headers: { store: 17, raw: { base64: 'AA==' } },
        message_id: 'm7',
        body: '{"a":1}',
      },
      { ...common, sequence: 8, lease_token: 't8', body_base64: '/w==' },
      {
        ...common,
        sequence: 9,
        lease_token: 't9',
        content_type: 'application/octet-stream',
        ttl: '90s',
        body_base64: 'eA==',
      },
    ],
    batch: 2,
  })
})

test('B7: a barrier comes last in the answer of a pull, and has no lease token', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  const answering = http.call('POST', '/v1/queues/Q/deliveries')
  await until(() => engine.pulls.length === 1)
  engine.pulls[0]!.answer({
    deliveries: [delivered(3, [record('last')])],
    barriers: [{ subscription: 1, queue: 'Q', record: RELEASED, replayed: false }],
    batch: 1,
    barriersMissed: 0,
  })
  const { json } = await answering
  expect(json.deliveries.map((each: { kind: string }) => each.kind)).toEqual(['message', 'barrier'])
  expect(json.deliveries[1]).toEqual({
    kind: 'barrier',
    name: 'eof',
    sequence: 4,
    batch: 0,
    outcome: 'with-dead',
    stats: {
      published: 3,
      acked: 2,
      dead: 1,
      expired: 0,
      dropped: 0,
      carried: 0,
      last_settled_at: '2026-11-20T01:00:00.000Z',
    },
    published_at: '2026-11-20T00:00:00.000Z',
    released_at: '2026-11-20T02:00:00.000Z',
    barrier: { name: 'eof' },
    body: '{"is_eof":1}',
    replayed: false,
  })
})

test('B11: barriers that were missed come first, and those that are gone are counted', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  const answering = http.call('POST', '/v1/queues/Q/deliveries?after_batch=0')
  await until(() => engine.pulls.length === 1)
  const barriers = [{ subscription: 1, queue: 'Q', record: RELEASED, replayed: true }]
  engine.pulls[0]!.answer({ deliveries: [delivered(5, [record('next')])], barriers, batch: 1, barriersMissed: 2 })
  const { json } = await answering
  expect(json.deliveries.map((each: { kind: string }) => each.kind)).toEqual(['barrier', 'message'])
  expect(json).toMatchObject({ batch: 1, barriers_missed: 2 })
})

test('a pull with ack=auto is settled as it is handed out and has no tokens', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  const answering = http.call('POST', '/v1/queues/Q/deliveries?ack=auto')
  await until(() => engine.pulls.length === 1)
  expect(engine.pulls[0]!.command).toEqual({ queue: 'Q', messagesMax: 1, waitMs: 0, settle: 'on-delivery' })
  engine.pulls[0]!.answer({ deliveries: [delivered(1, [record('a')])], barriers: [], batch: 0, barriersMissed: 0 })
  expect((await answering).json.deliveries[0].lease_token).toBeUndefined()
})

test('messages that lie together come out one by one, numbered on', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  const answering = http.call('POST', '/v1/queues/Q/deliveries?max=3')
  await until(() => engine.pulls.length === 1)
  const pieces = [Buffer.concat([record('a'), record('b')]), record('c')]
  engine.pulls[0]!.answer({ deliveries: [delivered(5, pieces, 3)], barriers: [], batch: 0, barriersMissed: 0 })
  const { json } = await answering
  expect(json.deliveries.map((each: { sequence: number; body: string }) => `${each.sequence} ${each.body}`)).toEqual([
    '5 a',
    '6 b',
    '7 c',
  ])
})

test('D6: a pull whose client hangs up while it waits is cancelled and holds nothing', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  const hangUp = new AbortController()
  const answering = http.call('POST', '/v1/queues/Q/deliveries?wait=60s', { signal: hangUp.signal })
  await until(() => engine.pulls.length === 1)
  hangUp.abort()
  await expect(answering).rejects.toThrow('aborted')
  await until(() => engine.cancelled === 1 && engine.peersClosed === 1)
  expect(engine.settles).toEqual([])
})

test('D6: what a pull took is released when the client hangs up before the answer has left', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  const hangUp = new AbortController()
  const answering = http.call('POST', '/v1/queues/Q/deliveries?wait=60s', { signal: hangUp.signal })
  await until(() => engine.pulls.length === 1)
  // The answer is too large for the buffers of a client that does not read it.
  const body = Buffer.alloc(64 * 2 ** 20, 'x')
  engine.pulls[0]!.answer({ deliveries: [delivered(1, [record(body)])], barriers: [], batch: 0, barriersMissed: 0 })
  hangUp.abort()
  await expect(answering).rejects.toThrow()
  await until(() => engine.settles.length === 1)
  expect(engine.settles).toEqual([
    { queue: 'Q', deliveries: [{ sequence: 1, leaseToken: 't1' }], how: { kind: 'release' } },
  ])
})

test('R9: a client that does not read its answer is cut, and what it pulled is released', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine, { silenceMs: 50 })
  const socket = connect(http.port, '127.0.0.1').pause()
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {})
  socket.write('POST /v1/queues/Q/deliveries HTTP/1.1\r\nhost: localhost\r\n\r\n')
  await until(() => engine.pulls.length === 1)
  const body = Buffer.alloc(64 * 2 ** 20, 'x')
  engine.pulls[0]!.answer({ deliveries: [delivered(1, [record(body)])], barriers: [], batch: 0, barriersMissed: 0 })
  await until(() => engine.peersClosed === 1)
  expect(engine.settles).toMatchObject([{ how: { kind: 'release' }, deliveries: [{ sequence: 1 }] }])
})

test('a long poll outlasts the silence that a body may have', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine, { silenceMs: 20 })
  // The first answer has set the socket's timer; the poll comes over the same connection.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  onTestFinished(() => agent.destroy())
  await http.call('GET', '/livez', { agent })
  const answering = http.call('POST', '/v1/queues/Q/deliveries?wait=60s', { agent })
  await until(() => engine.pulls.length === 1)
  await new Promise(resolve => setTimeout(resolve, 100))
  engine.pulls[0]!.answer({ deliveries: [], barriers: [], batch: 0, barriersMissed: 0 })
  expect((await answering).json.deliveries).toEqual([])
  expect(engine.outboxes).toHaveLength(1)
})

test('an answer that has left is not taken back when the connection ends later', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  const answering = http.call('POST', '/v1/queues/Q/deliveries', { headers: { connection: 'close' } })
  await until(() => engine.pulls.length === 1)
  engine.pulls[0]!.answer({ deliveries: [delivered(1, [record('a')])], barriers: [], batch: 0, barriersMissed: 0 })
  expect((await answering).status).toBe(200)
  await until(() => engine.peersClosed === 1)
  expect(engine.settles).toEqual([])
})

test('A3: deliveries are settled by their lease tokens, and each gets its result', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  engine.onSettle = () => ({
    results: [
      { first: 0, count: 2, result: 'acked' },
      { first: 2, count: 1, result: 'lease-lost' },
    ],
  })
  const deliveries = [1, 2, 3].map(sequence => ({ sequence, lease_token: `t${sequence}` }))
  const answer = await http.call('POST', '/v1/queues/Q/acks', {
    headers: JSON_TYPE,
    body: JSON.stringify({ deliveries }),
  })
  expect(answer).toMatchObject({ status: 200 })
  expect(answer.json).toEqual({
    results: [
      { sequence: 1, result: 'acked' },
      { sequence: 2, result: 'acked' },
      { sequence: 3, result: 'lease-lost' },
    ],
    acked: 2,
  })
  expect(engine.settles[0]).toMatchObject({
    queue: 'Q',
    how: { kind: 'ack' },
    deliveries: [{ leaseToken: 't1' }, {}, {}],
  })
})

test.each([
  ['nacks', { delay: '5s' }, { kind: 'nack', delayMs: 5_000 }, 'nacked'],
  ['nacks', {}, { kind: 'nack' }, 'nacked'],
  ['releases', {}, { kind: 'release' }, 'released'],
  ['rejects', { reason: 'no store 17' }, { kind: 'reject', reason: 'no store 17' }, 'rejected'],
  ['extensions', { lease: 30_000 }, { kind: 'extend', leaseMs: 30_000 }, 'extended'],
] as const)('A2: %s with %j', async (path, fields, how, result) => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  engine.onSettle = () => ({ results: [{ first: 0, count: 1, result }] })
  const body = JSON.stringify({ deliveries: [{ sequence: 1, lease_token: 't1' }], ...fields })
  const { json } = await http.call('POST', `/v1/queues/Q/${path}`, { body })
  expect(engine.settles[0]!.how).toEqual(how)
  expect(json).toEqual({ results: [{ sequence: 1, result }], [result]: 1 })
})

test('A4: an ack carries publishes, and tells in their order where they went', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  engine.onSettle = () => ({
    results: [{ first: 0, count: 1, result: 'acked' }],
    published: [
      { index: 0, count: 2, sequence: 10, batch: 0, duplicate: false },
      { index: 2, count: 1, sequence: 3, batch: 0, duplicate: true },
    ],
  })
  const publish = [
    { queue: 'A', body: 'a1', headers: { n: 1 } },
    { queue: 'B', body: 'b1', message_id: 'id' },
    { queue: 'A', body_base64: 'YTI' },
  ]
  const body = JSON.stringify({ deliveries: [{ sequence: 1, lease_token: 't1' }], publish })
  const { json } = await http.call('POST', '/v1/queues/Q/acks', { body })
  expect(engine.settles[0]!.publish?.map(({ queue, count }) => `${queue} ${count}`)).toEqual(['A 2', 'B 1'])
  expect(decodeMessage(engine.settles[0]!.publish![1]!.bytes)).toMatchObject({ properties: { messageId: 'id' } })
  expect(json.published).toEqual([
    { sequence: 10, duplicate: false },
    { sequence: 3, duplicate: true },
    { sequence: 11, duplicate: false },
  ])
})

test('A4: an ack whose publish is refused does nothing and says which and why', async () => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  engine.onSettle = () => ({ results: [{ first: 0, count: 1, result: 'unknown' }], refusal: NO_SUCH_QUEUE })
  const body = JSON.stringify({ deliveries: [{ sequence: 1, lease_token: 't1' }], publish: [{ queue: 'Q', body: '' }] })
  expect(await http.call('POST', '/v1/queues/Q/acks', { body })).toMatchObject({
    status: 404,
    json: { code: 'no-such-queue', queue: 'Q', results: [{ sequence: 1, result: 'unknown' }] },
  })
})

test.each([
  ['{}', 'deliveries'],
  ['{"deliveries":{}}', 'deliveries'],
  ['{"deliveries":[{"sequence":0,"lease_token":"t"}]}', 'deliveries[0].sequence'],
  ['{"deliveries":[{"sequence":1}]}', 'deliveries[0].lease_token'],
  ['{"deliveries":[{"sequence":1,"lease_token":"t","x":1}]}', 'deliveries[0].x'],
  ['{"deliveries":[{"sequence":1,"lease_token":"t"},{"sequence":1,"lease_token":"t"}]}', 'deliveries[1].lease_token'],
  ['{"deliveries":[],"publish":[{"queue":"Q","body":"a","body_base64":"YQ=="}]}', 'publish[0].body'],
  ['{"deliveries":[],"publish":[{"queue":"Q","body_base64":"*"}]}', 'publish[0].body_base64'],
  ['{"deliveries":[],"publish":[{"queue":"Q","body":"a","ttl":"soon"}]}', 'publish[0].ttl'],
  ['{"deliveries":[],"publish":[{"queue":"Q","body":"a","headers":{"h":null}}]}', 'publish[0].headers.h'],
  ['{"deliveries":[],"delay":"1s"}', 'delay'],
])('a settle that cannot be is refused with the field: %s', async (body, field) => {
  const engine = new FakeEngine()
  const http = await startHttp(engine)
  expect(await http.call('POST', '/v1/queues/Q/acks', { body })).toMatchObject({
    status: 400,
    json: { code: 'invalid-request', field },
  })
  expect(engine.settles).toEqual([])
})
