import { connect } from 'node:net'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { Hold } from '../../src/listeners/http/body.ts'
import type { Exchange } from '../../src/listeners/http/exchange.ts'
import { findJsonFault } from '../../src/listeners/http/json-text.ts'
import { LineSplitter } from '../../src/listeners/http/line-splitter.ts'
import { processorTime } from '../support/processor.ts'
import { FakeEngine, type Http, startHttp, until } from './http-support.ts'

const MESSAGES = '/v1/queues/Q/messages'

async function start(): Promise<{ engine: FakeEngine; http: Http }> {
  const engine = new FakeEngine()
  return { engine, http: await startHttp(engine) }
}

test('an unknown path is no route, and a known one with another method tells those it has', async () => {
  const { http } = await start()
  for (const path of [
    '/',
    '/v1',
    '/v1/queues/',
    '/v1/queues/Q/',
    '/v1//queues',
    '/v1/queues/Q/messages/',
    '/V1/queues',
    '/v1/openapi',
  ]) {
    expect(await http.call('GET', path), path).toMatchObject({ status: 404, json: { code: 'no-such-route' } })
  }
  const wrong = await http.call('POST', '/v1/queues/Q')
  expect(wrong).toMatchObject({
    status: 405,
    json: { code: 'method-not-allowed', allowed: ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE'] },
  })
  expect(wrong.headers.allow).toBe('GET, HEAD, PUT, PATCH, DELETE')
  for (const method of ['GET', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND']) {
    expect((await http.call(method, '/v1/queues/Q/acks')).status, method).toBe(405)
  }
})

test('nothing is allowed to other origins, to be sniffed or to be kept', async () => {
  const { http } = await start()
  for (const path of ['/livez', '/nowhere', '/v1/queues/%zz']) {
    const { headers } = await http.call('GET', path)
    expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' })
    expect(headers['access-control-allow-origin']).toBeUndefined()
    expect(headers['set-cookie']).toBeUndefined()
  }
})

test.each([
  ['/v1/queues/%', 'path'],
  ['/v1/queues/%ff', 'path'],
  ['/v1/queues/%c3%28/messages', 'path'],
  [`/v1/queues/${'x'.repeat(256)}`, 'parameter'],
  [`/v1/queues/${'%C3%BC'.repeat(128)}`, 'parameter'],
  ['/v1/queues/a%0Ab', 'parameter'],
  ['/v1/queues/a%00', 'parameter'],
  ['/v1/queues/Q?x=%zz', 'parameter'],
  ['/v1/queues/Q?x=1', 'parameter'],
  ['/v1/queues/Q/barriers/eof?wait=61s', 'parameter'],
  ['/v1/queues/Q/barriers/eof?wait=', 'parameter'],
  ['/v1/queues/Q/barriers/eof?wait=1', 'parameter'],
  ['/v1/queues/Q/barriers/eof/holdouts?limit=0', 'parameter'],
  ['/v1/queues/Q/barriers/eof/holdouts?limit=1e3', 'parameter'],
])('a target that cannot be is refused with its place: %s', async (path, place) => {
  const { http } = await start()
  const answer = await http.call('GET', path)
  expect(answer).toMatchObject({ status: 400, json: { code: 'invalid-request' } })
  expect(answer.json).toHaveProperty(place)
})

test.each([
  'max=0',
  'max=1001',
  'max=-1',
  'max=ten',
  'max=1&max=2',
  'wait=2m',
  'wait=20',
  'lease=13h',
  'lease=0',
  'filter=',
  'after_batch=x',
  'ack=yes',
  'prefetch=1',
])('a pull with ?%s is refused and names the parameter', async query => {
  const { engine, http } = await start()
  const answer = await http.call('POST', `/v1/queues/Q/deliveries?${query}`)
  expect(answer).toMatchObject({ status: 400, json: { parameter: query.split('=')[0] } })
  expect(engine.pulls).toEqual([])
})

test('a name in the path may hold any character, percent-encoded', async () => {
  const { engine, http } = await start()
  await http.call('PUT', `/v1/queues/${encodeURIComponent('a/b ü?#%')}`)
  await http.call('PUT', '/v1/queues/a+b')
  expect(engine.declared.map(({ name }) => name)).toEqual(['a/b ü?#%', 'a+b'])
})

test.each([
  ['{', 1, 2],
  ['{\n "a": 1,\n}', 3, 1],
  ['{"a":01}', 1, 6],
  ['{"a":"\t"}', 1, 7],
  ['{"a":"\\x"}', 1, 7],
  ['{"a":nul}', 1, 6],
  ['{} {}', 1, 4],
  ["{'a':1}", 1, 2],
  [`{"a":${'['.repeat(70)}${']'.repeat(70)}}`, 1, 69],
])('JSON that is none is refused with line and column: %j', async (body, line, column) => {
  const { engine, http } = await start()
  const answer = await http.call('PUT', '/v1/queues/Q', { body })
  expect(answer).toMatchObject({ status: 400, json: { code: 'invalid-request', line, column } })
  expect(engine.declared).toEqual([])
})

test('JSON that would keep a parser busy is refused in no time', async () => {
  const { http } = await start()
  const keys = `{${Array.from({ length: 50_000 }, (_, key) => `"${key}":0`).join()}}`
  const deep = '['.repeat(500_000)
  const spent = processorTime()
  for (const body of [keys, deep, `{"a":${deep}`]) {
    expect((await http.call('PUT', '/v1/queues/Q', { body })).status).toBe(400)
  }
  expect(spent()).toBeLessThan(1_000)
})

test('names that mean something to JavaScript are names like any other', async () => {
  const { engine, http } = await start()
  const body = '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"lease":"1s"}'
  await http.call('PUT', '/v1/queues/Q', { body })
  expect(Object.keys(engine.declared[0]!.options)).toEqual(['__proto__', 'constructor', 'lease'])
  expect(Object.getPrototypeOf(engine.declared[0]!.options)).toBeNull()
  await http.call('GET', '/v1/queues/Q?__proto__=1')
  expect(({} as { polluted?: number }).polluted).toBeUndefined()
})

test('a command larger than its limit is refused, and one that is no JSON by its type too', async () => {
  const { engine, http } = await start()
  const large = `{"a":"${'x'.repeat(2 ** 20)}"}`
  expect(await http.call('PUT', '/v1/queues/Q', { body: large })).toMatchObject({
    status: 413,
    json: { code: 'request-too-large', limit: 2 ** 20 },
  })
  for (const type of [
    'application/x-www-form-urlencoded',
    'text/plain',
    'multipart/form-data; boundary=x',
    'application/jsonp',
  ]) {
    const answer = await http.call('PUT', '/v1/queues/Q', { headers: { 'content-type': type }, body: '{}' })
    expect(answer, type).toMatchObject({
      status: 415,
      json: { code: 'unsupported-media-type', header: 'content-type' },
    })
  }
  const packed = { 'content-type': 'application/json', 'content-encoding': 'gzip' }
  expect((await http.call('PUT', '/v1/queues/Q', { headers: packed, body: '{}' })).status).toBe(415)
  expect(engine.declared).toEqual([])
})

test('a client still sending what is refused gets the answer, and then the connection is closed', async () => {
  const { http } = await start()
  const answer = await http.call('POST', MESSAGES, {
    headers: { 'content-length': String(20 * 2 ** 20) },
    body: Buffer.alloc(20 * 2 ** 20),
  })
  expect(answer).toMatchObject({ status: 413, headers: { connection: 'close' }, json: { code: 'message-too-large' } })
})

test('an answer is not lost because its client reads it only after all is sent', async () => {
  const { http } = await start()
  let isClosed = false
  http.listener.server.on('connection', served => served.on('close', () => (isClosed = true)))
  const socket = connect(http.port, '127.0.0.1').pause()
  socket.write(`POST ${MESSAGES} HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${30 * 2 ** 20}\r\n\r\n`)
  socket.write(Buffer.alloc(30 * 2 ** 20))
  await until(() => isClosed)
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk)
  expect(Buffer.concat(chunks).toString()).toMatch(/^HTTP\/1\.1 413 [\s\S]*message-too-large/)
})

test.each([
  [
    'both lengths',
    `POST ${MESSAGES} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /livez HTTP/1.1\r\n\r\n`,
  ],
  [
    'two lengths',
    `POST ${MESSAGES} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef`,
  ],
  ['a length that is none', `POST ${MESSAGES} HTTP/1.1\r\nhost: localhost\r\ncontent-length: +5\r\n\r\nabcde`],
  [
    'a coding that hides chunked',
    `POST ${MESSAGES} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
  ],
  ['a space before the colon', 'GET /livez HTTP/1.1\r\nhost: localhost\r\ncontent-length : 0\r\n\r\n'],
  ['a folded header', 'GET /livez HTTP/1.1\r\nhost: localhost\r\nx: a\r\n\tb\r\n\r\n'],
  ['no host', 'GET /livez HTTP/1.1\r\n\r\n'],
  [
    'a target that is an address',
    'GET http://evil.example/livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n',
  ],
  ['the beginning of TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
  ['AMQP', 'AMQP\x00\x00\x09\x01'],
])('bytes with %s are answered 400, once, and the connection is closed', async (_, bytes) => {
  const { engine, http } = await start()
  const text = await http.raw(bytes)
  expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 400'])
  expect(text.toLowerCase()).toContain('connection: close')
  expect(engine.publishes).toEqual([])
})

test('headers beyond their limit are answered 431', async () => {
  const { http } = await start()
  const text = await http.raw(`GET /livez HTTP/1.1\r\nhost: localhost\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`)
  expect(text).toMatch(/^HTTP\/1\.1 431 /)
})

test('a body with a broken chunk is no message', async () => {
  const { engine, http } = await start()
  await http.raw(
    `POST ${MESSAGES} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n`,
  )
  expect(engine.publishes).toEqual([])
})

test('100 Continue is sent when the body is wanted, and not when it is refused', async () => {
  const { http } = await start()
  const head = `POST ${MESSAGES} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nexpect: 100-continue\r\n`
  expect(await http.raw(`${head}content-length: 2000\r\n\r\n`)).toMatch(/^HTTP\/1\.1 413 /)
  expect(await http.raw(`${head}content-length: 1\r\n\r\na`)).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 201 /)
  const other = await http.raw('GET /livez HTTP/1.1\r\nhost: localhost\r\nexpect: a miracle\r\n\r\n')
  expect(other).toMatch(/^HTTP\/1\.1 417 [\s\S]*"code":"expectation-failed"/)
})

test('a host that is not ours is refused on loopback, for a name can be made to resolve to us', async () => {
  const { http } = await start()
  for (const host of ['localhost', 'localhost:7420', '127.0.0.1:1', '[::1]:7420', 'a.localhost']) {
    expect((await http.call('GET', '/livez', { headers: { host } })).status, host).toBe(200)
  }
  for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example:7420']) {
    expect((await http.call('GET', '/livez', { headers: { host } })).status, host).toBe(421)
  }
  const named = await startHttp(new FakeEngine(), { hosts: ['queue.example.com'] })
  expect((await named.call('GET', '/livez', { headers: { host: 'Queue.Example.com:7420' } })).status).toBe(200)
  expect((await named.call('GET', '/livez', { headers: { host: 'evil.example' } })).json.code).toBe('wrong-host')
})

test('a page of another origin can neither publish nor read', async () => {
  const { engine, http } = await start()
  const host = 'localhost:7420'
  for (const origin of [
    'http://evil.example',
    'null',
    'http://localhost',
    'http://localhost:7421',
    'https://localhost:7420.evil.example',
    'x',
  ]) {
    const headers = { host, origin, 'content-type': 'text/plain' }
    expect(await http.call('POST', MESSAGES, { headers, body: 'a' }), origin).toMatchObject({
      status: 403,
      json: { code: 'foreign-origin' },
    })
  }
  expect(engine.publishes).toEqual([])
  expect((await http.call('POST', MESSAGES, { headers: { host, origin: 'http://localhost:7420' } })).status).toBe(201)
})

test('R9: a client that asks and asks without waiting for answers is cut', async () => {
  const { engine, http } = await start()
  const socket = connect(http.port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {})
  socket.write('POST /v1/queues/Q/deliveries?wait=60s HTTP/1.1\r\nhost: localhost\r\n\r\n'.repeat(100))
  await until(() => engine.peersClosed === 1)
  expect(engine.pulls.length).toBeLessThanOrEqual(64)
  expect(engine.cancelled).toBe(engine.pulls.length)
})

test('a mistake of ours is answered 500 without a word about it, and reported', async () => {
  const { engine, http } = await start()
  engine.onQueue = () => {
    throw new Error('secret')
  }
  const answer = await http.call('GET', '/v1/queues/Q')
  expect(answer).toMatchObject({ status: 500, json: { code: 'internal-error' } })
  expect(JSON.stringify(answer.json)).not.toContain('secret')
  expect(http.bugs.splice(0)).toMatchObject([{ message: 'secret' }])
})

test('bodies that are read at once hold no more than a bound together', () => {
  const shared = { intakeBytes: 0 }
  const exchange = { connection: { shared } } as unknown as Exchange
  const holds = Array.from({ length: 17 }, () => new Hold(exchange))
  for (const hold of holds.slice(0, 16)) hold.set(16 * 2 ** 20)
  expect(() => holds[16]!.set(1)).toThrow(expect.objectContaining({ code: 'server-busy' }))
  holds[0]!.set(0)
  holds[16]!.set(1)
  for (const hold of holds) hold.set(0)
  expect(shared.intakeBytes).toBe(0)
})

test('what is JSON to us is JSON to JSON.parse, and the other way round', () => {
  const limits = { depthMax: 100, membersMax: 1_000 }
  const agrees = (text: string): void => {
    let isJson = true
    try {
      JSON.parse(text)
    } catch {
      isJson = false
    }
    expect(findJsonFault(Buffer.from(text), limits) === undefined, text).toBe(isJson)
  }
  fc.assert(fc.property(fc.json({ maxDepth: 5 }), agrees))
  // One character changed, lost or doubled: most are broken, some are not.
  const broken = fc.tuple(
    fc.json({ maxDepth: 3 }),
    fc.nat(),
    fc.constantFrom('', '"', '{', ']', ',', ':', '0', '-', '.', 'e', '\\', ' ', '\u0001'),
  )
  fc.assert(
    fc.property(broken, ([text, at, put]) =>
      agrees(text.slice(0, at % text.length) + put + text.slice((at % text.length) + 1)),
    ),
    { numRuns: 2_000 },
  )
  fc.assert(fc.property(fc.string({ unit: fc.constantFrom(...'{}[],:"\\0123.eE+-truefalsn u') }), agrees), {
    numRuns: 2_000,
  })
})

test('lines are the same however their bytes are cut', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'bb', '\n', '\r\n', '\r', '12345678') })
  fc.assert(
    fc.property(text, fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1 }), (whole, sizes) => {
      const splitter = new LineSplitter(8)
      const lines: (string | undefined)[] = []
      const bytes = Buffer.from(whole)
      for (let at = 0, turn = 0; at < bytes.length; turn++) {
        const size = sizes[turn % sizes.length]!
        for (const line of splitter.push(bytes.subarray(at, at + size)))
          lines.push(line.bytes && Buffer.from(line.bytes).toString())
        expect(splitter.heldBytes).toBeLessThanOrEqual(9)
        at += size
      }
      const last = splitter.end()
      if (last !== undefined) lines.push(last.bytes && Buffer.from(last.bytes).toString())
      const expected = whole.split('\n').map(line => line.replace(/\r$/, ''))
      if (whole === '' || whole.endsWith('\n')) expected.pop()
      expect(lines).toEqual(expected.map(line => (line.length > 8 ? undefined : line)))
    }),
    { numRuns: 1_000 },
  )
})
