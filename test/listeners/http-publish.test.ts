import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { MessageCursor, type MessageProperties } from '@sluice/protocol'
import { expect, test, vi } from 'vitest'
import { FakeEngine, type Http, NO_SUCH_QUEUE, startHttp, until } from './http-support.ts'

const NDJSON = { 'content-type': 'application/x-ndjson' }
const ENVELOPE = { 'content-type': 'application/x-ndjson; profile=envelope' }
const MESSAGES = '/v1/queues/Q/messages'

/** What the engine got, in order. */
function published(engine: FakeEngine): { body: string; properties: MessageProperties | undefined }[] {
  return engine.publishes.flatMap(({ bytes, count }) => {
    const messages: { body: string; properties: MessageProperties | undefined }[] = []
    const cursor = new MessageCursor().open(bytes)
    while (cursor.next())
      messages.push({ body: Buffer.from(cursor.body()).toString(), properties: cursor.properties() })
    expect(messages).toHaveLength(count)
    return messages
  })
}

function bodies(engine: FakeEngine): string[] {
  return published(engine).map(message => message.body)
}

async function start(): Promise<{ engine: FakeEngine; http: Http }> {
  const engine = new FakeEngine()
  return { engine, http: await startHttp(engine) }
}

test('P6: the request body is the message body, byte for byte, and its content type is kept', async () => {
  const { engine, http } = await start()
  const body = randomBytes(1024)
  const answer = await http.call('POST', MESSAGES, { headers: { 'content-type': 'image/png' }, body })
  expect(answer).toMatchObject({ status: 201 })
  expect(answer.json).toEqual({ sequence: 1, duplicate: false })
  const cursor = new MessageCursor().open(engine.publishes[0]!.bytes)
  cursor.next()
  expect(Buffer.from(cursor.body()).equals(body)).toBe(true)
  expect(cursor.properties()).toEqual({ contentType: 'image/png' })
  expect(engine.publishes[0]).toMatchObject({ queue: 'Q', count: 1, confirm: 'durable', dedupe: false })
})

test('P6: a body may be empty, and a message without properties is stored without', async () => {
  const { engine, http } = await start()
  expect((await http.call('POST', MESSAGES)).status).toBe(201)
  expect(published(engine)).toEqual([{ body: '', properties: undefined }])
})

test('P6: properties are given as headers', async () => {
  const { engine, http } = await start()
  const headers = {
    'Sluice-Priority': '-1.5',
    'Sluice-Delay': '30s',
    'Sluice-Ttl': '24h',
    'Sluice-Group': Buffer.from('Zürich').toString('latin1'),
    'Sluice-Correlation-Id': 'c',
    'Sluice-Reply-To': 'R',
    'Sluice-Header-Store': '17',
    'Sluice-Header-__proto__': 'x',
  }
  expect((await http.call('POST', `${MESSAGES}?confirm=accepted`, { headers, body: 'a' })).status).toBe(201)
  expect(engine.publishes[0]!.confirm).toBe('accepted')
  const { headers: own, ...properties } = published(engine)[0]!.properties!
  expect(properties).toEqual({
    priority: -1.5,
    delayMs: 30_000,
    ttlMs: 86_400_000,
    group: 'Zürich',
    correlationId: 'c',
    replyTo: 'R',
  })
  expect(Object.entries(own!)).toEqual([
    ['store', '17'],
    ['__proto__', 'x'],
  ])
})

test('P5: an idempotency key is the message id, and asks for dedupe', async () => {
  const { engine, http } = await start()
  engine.onPublish = () => [{ index: 0, count: 1, sequence: 41, batch: 0, duplicate: true }]
  const answer = await http.call('POST', MESSAGES, { headers: { 'idempotency-key': 'sale-4711' }, body: 'a' })
  expect(answer.json).toEqual({ sequence: 41, duplicate: true })
  expect(engine.publishes[0]!.dedupe).toBe(true)
  expect(published(engine)[0]!.properties).toEqual({ messageId: 'sale-4711' })
})

test('B1: Sluice-Barrier marks the message as a barrier, with a name or without', async () => {
  const { engine, http } = await start()
  await http.call('POST', MESSAGES, { headers: { 'sluice-barrier': 'eof-2026-11-20' } })
  await http.call('POST', MESSAGES, { headers: { 'sluice-barrier': '' } })
  expect(published(engine).map(each => each.properties)).toEqual([
    { barrier: { name: 'eof-2026-11-20' } },
    { barrier: {} },
  ])
})

test.each([
  [{ 'sluice-priority': 'high' }, 400, 'invalid-request', 'sluice-priority'],
  [{ 'sluice-priority': '0x10' }, 400, 'invalid-request', 'sluice-priority'],
  [{ 'sluice-priority': '1e999' }, 400, 'invalid-request', 'sluice-priority'],
  [{ 'sluice-delay': '30' }, 400, 'invalid-request', 'sluice-delay'],
  [{ 'sluice-ttl': '1.5h' }, 400, 'invalid-request', 'sluice-ttl'],
  [{ 'sluice-group': '' }, 400, 'invalid-request', 'sluice-group'],
  [{ 'sluice-group': ['a', 'b'] }, 400, 'invalid-request', 'sluice-group'],
  [{ 'sluice-group': '\xff' }, 400, 'invalid-request', 'sluice-group'],
  [{ 'sluice-prority': '1' }, 400, 'invalid-request', 'sluice-prority'],
  [{ 'idempotency-key': '' }, 400, 'invalid-request', 'idempotency-key'],
  [{ 'content-encoding': 'gzip' }, 415, 'unsupported-media-type', 'content-encoding'],
  [{ 'sluice-group': 'x'.repeat(256) }, 422, 'invalid-message', undefined],
  [{ 'sluice-barrier': '@17' }, 422, 'invalid-message', undefined],
])('P6: a header that cannot be is refused and nothing is published: %j', async (headers, status, code, header) => {
  const { engine, http } = await start()
  const answer = await http.call('POST', MESSAGES, { headers, body: 'a' })
  expect(answer).toMatchObject({ status, json: { code } })
  expect(answer.json.header).toBe(header)
  expect(engine.publishes).toEqual([])
})

test('P8: a message larger than message_max is refused and the option named, also when its length was not told', async () => {
  const { engine, http } = await start()
  const refused = { status: 413, json: { code: 'message-too-large', option: 'message_max', limit: 1024 } }
  expect(await http.call('POST', MESSAGES, { body: 'x'.repeat(1024) })).toMatchObject({ status: 201 })
  expect(
    await http.call('POST', MESSAGES, { headers: { 'content-length': '1025' }, body: 'x'.repeat(1025) }),
  ).toMatchObject(refused)
  const headers = { 'transfer-encoding': 'chunked' }
  expect(await http.call('POST', MESSAGES, { headers, body: ['x'.repeat(1000), 'x'.repeat(1000)] })).toMatchObject(
    refused,
  )
  expect(engine.publishes).toHaveLength(1)
})

test('P8: a refused publish is answered with the status of its refusal', async () => {
  const { engine, http } = await start()
  engine.onPublish = () => [{ index: 0, count: 1, refusal: NO_SUCH_QUEUE }]
  expect(await http.call('POST', MESSAGES, { body: 'a' })).toMatchObject({
    status: 404,
    json: { code: 'no-such-queue', queue: 'Q' },
  })
})

test('R5: under pressure a publish is not read; it goes on when the pressure falls', async () => {
  const { engine, http } = await start()
  engine.pressure = { on: true, reason: 'only 3 MiB of disk are free' }
  const answering = http.call('POST', MESSAGES, { body: 'a' })
  await until(() => engine.outboxes.length === 1)
  expect(engine.publishes).toEqual([])
  engine.pressure = { on: false, reason: '' }
  engine.outboxes[0]!.pressure(false, '')
  expect((await answering).status).toBe(201)
})

test('R5: under pressure that stays a publish is refused server-busy with the reason', async () => {
  const { engine, http } = await start()
  engine.pressure = { on: true, reason: 'only 3 MiB of disk are free' }
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const answering = http.call('POST', MESSAGES, { body: 'a' })
  await until(() => engine.outboxes.length === 1)
  vi.advanceTimersByTime(5_000)
  vi.useRealTimers()
  const answer = await answering
  expect(answer).toMatchObject({ status: 503, json: { code: 'server-busy' } })
  expect(answer.json.detail).toContain('only 3 MiB of disk are free')
  expect(answer.headers['retry-after']).toBe('1')
})

test('R9: a body that stops in the middle is given up after a while, with an answer', async () => {
  const http = await startHttp(new FakeEngine(), { silenceMs: 50 })
  const head = `POST ${MESSAGES} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n`
  expect(await http.raw(`${head}abc`)).toMatch(/^HTTP\/1.1 408 [\s\S]*"code":"request-timeout"/)
})

test('each line of NDJSON is a message, whatever ends it, and blank lines are none', async () => {
  const { engine, http } = await start()
  const answer = await http.call('POST', MESSAGES, { headers: NDJSON, body: '{"a":1}\n \n"b"\r\n\n[ 3 ]\nnull' })
  expect(answer).toMatchObject({ status: 201 })
  expect(answer.json).toEqual({ count: 4, first_sequence: 1, last_sequence: 4 })
  expect(bodies(engine)).toEqual(['{"a":1}', '"b"', '[ 3 ]', 'null'])
  expect(published(engine)[0]!.properties).toBeUndefined()
})

test('NDJSON without a line publishes nothing, and that is no mistake', async () => {
  const { engine, http } = await start()
  const answer = await http.call('POST', MESSAGES, { headers: NDJSON, body: '\n' })
  expect(answer).toMatchObject({ status: 201, json: { count: 0, first_sequence: null, last_sequence: null } })
  expect(engine.publishes).toEqual([])
})

test('NDJSON cut into pieces of one byte gives the same messages', async () => {
  const { engine, http } = await start()
  const text = '{"a":"ü"}\r\n{"b":2}\n{"c":3}'
  const body = [...Buffer.from(text)].map(byte => Buffer.of(byte))
  expect((await http.call('POST', MESSAGES, { headers: NDJSON, body })).json.count).toBe(3)
  expect(bodies(engine)).toEqual(['{"a":"ü"}', '{"b":2}', '{"c":3}'])
})

test('properties of the request are those of every line', async () => {
  const { engine, http } = await start()
  const headers = { ...NDJSON, 'sluice-group': 'g', 'sluice-header-run': '7' }
  await http.call('POST', MESSAGES, { headers, body: '1\n2\n' })
  expect(published(engine).map(each => each.properties)).toMatchObject([
    { group: 'g', headers: { run: '7' } },
    { group: 'g', headers: { run: '7' } },
  ])
})

test('P8: lines that cannot be taken are refused alone, with number, code and detail; the rest is in', async () => {
  const { engine, http } = await start()
  const lines = ['{"a":1}', '{"a":', '"ok"', `"${'x'.repeat(2000)}"`, '\xff', '{"last":true}']
  const answer = await http.call('POST', MESSAGES, { headers: NDJSON, body: Buffer.from(lines.join('\n'), 'latin1') })
  expect(answer).toMatchObject({ status: 422, headers: { 'content-type': 'application/problem+json' } })
  expect(answer.json).toEqual({
    title: 'Unprocessable Entity',
    status: 422,
    code: 'lines-refused',
    detail: '3 lines were refused; the others are kept',
    accepted: 3,
    first_sequence: 1,
    last_sequence: 3,
    refused_count: 3,
    refused: [
      { line: 2, code: 'invalid-message', detail: 'not JSON: the text ends too early' },
      { line: 4, code: 'message-too-large', detail: 'the body is larger than message_max allows, 1KiB' },
      { line: 5, code: 'invalid-message', detail: 'not JSON: the text is not UTF-8' },
    ],
  })
  expect(bodies(engine)).toEqual(['{"a":1}', '"ok"', '{"last":true}'])
})

test('P8: lines that the engine refuses are named by their line, though others were left out before', async () => {
  const { engine, http } = await start()
  const refusal = { code: 'not-accepted' as const, detail: 'the filter does not match' }
  engine.onPublish = () => [
    { index: 2, count: 1, refusal },
    { index: 0, count: 1, sequence: 8, batch: 0, duplicate: false },
    { index: 1, count: 1, sequence: 3, batch: 0, duplicate: true },
  ]
  const { status, json } = await http.call('POST', MESSAGES, { headers: NDJSON, body: '1\n\n{\n2\n3\n' })
  expect(status).toBe(422)
  expect(json).toMatchObject({ accepted: 2, first_sequence: 3, last_sequence: 8, refused_count: 2 })
  expect(json.refused.map((each: { line: number; code: string }) => `${each.line} ${each.code}`)).toEqual([
    '3 invalid-message',
    '5 not-accepted',
  ])
})

test('P8: a refusal that says the same of every line ends the request, with what is in already', async () => {
  const { engine, http } = await start()
  let commands = 0
  engine.onPublish = ({ count }) => {
    commands += 1
    if (commands === 1) return [{ index: 0, count, sequence: 1, batch: 0, duplicate: false }]
    return [{ index: 0, count, refusal: { code: 'queue-deleted', detail: 'gone' } }]
  }
  const body = '1\n'.repeat(250)
  const answer = await http.call('POST', MESSAGES, { headers: NDJSON, body })
  expect(answer).toMatchObject({ status: 404, json: { code: 'queue-deleted', accepted: 100, last_sequence: 100 } })
})

test('of very many refused lines the first thousand are told, and all are counted', async () => {
  const { http } = await start()
  const { json } = await http.call('POST', MESSAGES, { headers: NDJSON, body: 'x\n'.repeat(1_500) })
  expect(json).toMatchObject({ accepted: 0, refused_count: 1_500 })
  expect(json.refused).toHaveLength(1_000)
})

test('P4: an atomic publish is one command, or none at all when a line cannot be taken', async () => {
  const { engine, http } = await start()
  const good = await http.call('POST', `${MESSAGES}?atomic=true`, { headers: NDJSON, body: ['1\n2\n', '3\n'] })
  expect(good.json).toEqual({ count: 3, first_sequence: 1, last_sequence: 3 })
  expect(engine.publishes).toMatchObject([{ count: 3, atomic: true }])
  const bad = await http.call('POST', `${MESSAGES}?atomic=true`, { headers: NDJSON, body: '1\n{\n3\n' })
  expect(bad).toMatchObject({
    status: 422,
    json: { accepted: 0, refused: [{ line: 2 }], detail: '1 line was refused; nothing is kept' },
  })
  expect(engine.publishes).toHaveLength(1)
})

test('P4: an atomic publish beyond its bounds is refused as a whole', async () => {
  const { engine, http } = await start()
  const answer = await http.call('POST', `${MESSAGES}?atomic=true`, { headers: NDJSON, body: '1\n'.repeat(101) })
  expect(answer).toMatchObject({ status: 413, json: { code: 'request-too-large', limit: 100, accepted: 0 } })
  expect(engine.publishes).toEqual([])
})

test('an envelope gives each line its own body and properties', async () => {
  const { engine, http } = await start()
  const lines = [
    { body: 'text', content_type: 'text/plain', headers: { a: 's', b: 1.5, c: true, d: { base64: '/w==' } } },
    { body_base64: Buffer.from('bytes').toString('base64'), message_id: 'm', correlation_id: 'c', reply_to: 'r' },
    { body: '', priority: 5, ttl: '1h', delay: 250, group: 'own' },
    { body: '{}', barrier: { name: 'eof', deadline: '6h', rest: 'carry', parties: 2, party: 'a', forward: ['X'] } },
  ]
  const headers = { ...ENVELOPE, 'sluice-group': 'all' }
  const body = lines.map(line => JSON.stringify(line)).join('\n')
  expect((await http.call('POST', MESSAGES, { headers, body })).json.count).toBe(4)
  expect(published(engine)).toMatchObject([
    {
      body: 'text',
      properties: { contentType: 'text/plain', headers: { a: 's', b: 1.5, c: true, d: Buffer.of(0xff) } },
    },
    { body: 'bytes', properties: { messageId: 'm', correlationId: 'c', replyTo: 'r', group: 'all' } },
    { body: '', properties: { priority: 5, ttlMs: 3_600_000, delayMs: 250, group: 'own' } },
    {
      body: '{}',
      properties: {
        barrier: { name: 'eof', deadlineMs: 21_600_000, rest: 'carry', parties: 2, party: 'a', forward: ['X'] },
      },
    },
  ])
})

test.each([
  ['{"body":"a","x":1}', 'unknown field "x"'],
  ['{"body":1}', 'body must be a text'],
  ['{}', 'body or body_base64 is needed, and only one of them'],
  ['{"body":"a","body_base64":""}', 'body or body_base64 is needed, and only one of them'],
  ['{"body":"a","ttl":"1 h"}', 'ttl "1 h" is not a duration: write 500ms, 30s, 5m, 24h or 7d'],
  ['{"body":"a","ttl":-1}', 'ttl -1 is not a duration: write 500ms, 30s, 5m, 24h or 7d'],
  ['{"body":"a","barrier":{"rest":"keep"}}', 'rest must be carry or dead-letter or drop'],
  ['{"body":"a","barrier":{"nam":"x"}}', 'unknown field "nam"'],
  ['{"body":"a","headers":[]}', 'headers must be an object'],
  ['[1]', 'the body must be a JSON object'],
  ['{"body":"a"', 'not JSON: "," or "}" is missing'],
  [`{"body":"${'x'.repeat(1025)}"}`, 'the body is larger than message_max allows, 1KiB'],
  ['{"body":"a","group":""}', 'group must be text of 1 to 255 bytes, and allowed'],
])('an envelope that cannot be is refused with the reason: %s', async (line, detail) => {
  const { engine, http } = await start()
  const { status, json } = await http.call('POST', MESSAGES, { headers: ENVELOPE, body: `${line}\n{"body":"next"}` })
  expect(status).toBe(422)
  expect(json.refused).toMatchObject([{ line: 1, detail }])
  expect(bodies(engine)).toEqual(['next'])
})

test.each([
  [{ ...NDJSON, 'idempotency-key': 'k' }, '', 400],
  [{ ...NDJSON, 'sluice-barrier': 'b' }, '', 400],
  [{ 'content-type': 'application/x-ndjson; profile=other' }, '', 415],
  [{ ...NDJSON, 'content-encoding': 'br' }, '', 415],
  [NDJSON, '?atomc=true', 400],
  [NDJSON, '?atomic=yes', 400],
  [NDJSON, '?atomic=true&atomic=true', 400],
  [NDJSON, '?confirm=none', 400],
])('NDJSON with %j and "%s" is refused whole', async (headers, query, status) => {
  const { engine, http } = await start()
  expect((await http.call('POST', MESSAGES + query, { headers, body: '1\n' })).status).toBe(status)
  expect(engine.publishes).toEqual([])
})

test('gzip is unpacked, in the content type of NDJSON only', async () => {
  const { engine, http } = await start()
  const lines = Array.from({ length: 5_000 }, (_, index) => JSON.stringify({ index }))
  const body = gzipSync(lines.join('\n'))
  const answer = await http.call('POST', MESSAGES, { headers: { ...NDJSON, 'content-encoding': 'gzip' }, body })
  expect(answer).toMatchObject({ status: 201, json: { count: 5_000 } })
  expect(bodies(engine)).toEqual(lines)
})

test.each([
  ['no gzip at all', Buffer.from('1\n2\n')],
  ['cut short', gzipSync(randomBytes(50_000).toString('hex')).subarray(0, -20)],
])('gzip that is %s is refused', async (_, body) => {
  const { http } = await start()
  const answer = await http.call('POST', MESSAGES, { headers: { ...NDJSON, 'content-encoding': 'gzip' }, body })
  expect(answer).toMatchObject({ status: 400, json: { code: 'invalid-request', header: 'content-encoding' } })
})

test('a gzip bomb is cut off while it unpacks', async () => {
  const { engine, http } = await start()
  const bomb = gzipSync(Buffer.alloc(100 * 2 ** 20, ' '))
  const before = process.memoryUsage().arrayBuffers
  const answer = await http.call('POST', MESSAGES, { headers: { ...NDJSON, 'content-encoding': 'gzip' }, body: bomb })
  expect(answer).toMatchObject({ status: 413, json: { code: 'request-too-large' } })
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 * 2 ** 20)
  expect(engine.publishes).toEqual([])
})

test('NDJSON is committed while it is read, and read no further than a few megabytes ahead of the commits', async () => {
  const { engine, http } = await start()
  engine.limits = { messageMax: 64 * 1024, frameMessagesMax: 100 }
  engine.onPublish = () => 'later'
  const line = `"${'x'.repeat(60_000)}"\n`
  const answering = http.call('POST', MESSAGES, { headers: NDJSON, body: line.repeat(500) })
  await until(() => handed(engine) > 4 * 2 ** 20)
  for (let turn = 0; turn < 100; turn++) await new Promise(resolve => setImmediate(resolve))
  expect(handed(engine)).toBeLessThan(5 * 2 ** 20)
  // Now every command is answered, and the rest comes.
  engine.onPublish = ({ count }) => [{ index: 0, count, sequence: 1, batch: 0, duplicate: false }]
  const waiting = engine.publishes.map(({ count }) => count)
  for (const [index, answered] of engine.later.entries()) {
    answered([{ index: 0, count: waiting[index]!, sequence: 1, batch: 0, duplicate: false }])
  }
  expect(await answering).toMatchObject({ status: 201, json: { count: 500 } })
})

function handed(engine: FakeEngine): number {
  return engine.publishes.reduce((sum, { bytes }) => sum + bytes.length, 0)
}

test('R5: pressure in the middle of NDJSON ends it with what is in and how far it was read', async () => {
  const { engine, http } = await start()
  engine.onPublish = ({ count }) => {
    engine.pressure = { on: true, reason: 'disk' }
    return [{ index: 0, count, sequence: 1, batch: 0, duplicate: false }]
  }
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const answering = http.call('POST', MESSAGES, { headers: NDJSON, body: '1\n2\n'.repeat(2) })
  await until(() => engine.publishes.length === 1)
  await until(() => vi.getTimerCount() > 0)
  vi.advanceTimersByTime(5_000)
  vi.useRealTimers()
  expect(await answering).toMatchObject({
    status: 503,
    json: { code: 'server-busy', accepted: 4, line: 4, last_sequence: 4 },
  })
})

test('what was published of an NDJSON body stays when its client hangs up; the line cut off is none', async () => {
  const { engine, http } = await start()
  const bytes = `POST ${MESSAGES} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\ncontent-length: 100\r\n\r\n1\n2\n3`
  const socket = connect(http.port, '127.0.0.1')
  socket.write(bytes)
  await until(() => engine.publishes.length === 1)
  socket.destroy()
  await until(() => engine.peersClosed === 1)
  expect(bodies(engine)).toEqual(['1', '2'])
})

test('what is held of a body while it is read is let go, however the request ends', async () => {
  const { engine, http } = await start()
  engine.limits = { messageMax: 2 ** 24, frameMessagesMax: 100 }
  const body = Buffer.alloc(2 ** 24)
  for (let turn = 0; turn < 20; turn++) {
    expect((await http.call('POST', MESSAGES, { body })).status).toBe(201)
    expect((await http.call('POST', MESSAGES, { headers: NDJSON, body })).status).toBe(422)
    engine.publishes.length = 0
  }
})
