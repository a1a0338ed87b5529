import { Duplex } from 'node:stream'
import { ByteWriter, encodeMessage } from '@sluice/protocol'
import { expect } from 'vitest'
import { virtualClock } from '../../src/engine/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import { Pressure } from '../../src/engine/pressure.ts'
import { memoryJournal } from '../../src/journal/memory.ts'
import { mediaType } from '../../src/listeners/http/body.ts'
import { checkJsonBody, parseJsonObject } from '../../src/listeners/http/json.ts'
import { createHttpServer } from '../../src/listeners/http/listener.ts'
import { readMessage, showMessage } from '../../src/listeners/http/message-json.ts'
import { Parameters } from '../../src/listeners/http/parameters.ts'
import { Problem } from '../../src/listeners/http/problem.ts'
import { readPropertyHeaders } from '../../src/listeners/http/property-headers.ts'
import { ROUTES } from '../../src/listeners/http/routes.ts'
import type { Random } from '../support/random.ts'
import { damage, damageText, randomBytes, split } from './bytes.ts'
import { someJson, writeJson } from './filter-trees.ts'
import { fuzz, outcomeOf, printable, same } from './harness.ts'

const isProblem = (error: unknown): boolean => error instanceof Problem
const reached = { taken: 0, refused: 0, messages: 0, statuses: new Map<string, number>() }

const NAMES = ['a', 'limit', 'wait', '__proto__', 'constructor', 'é', '%C3%A9', '%', '%2', '%zz', '%00', '', '+']
const VALUES = [
  '1',
  'true',
  'false',
  '30s',
  '',
  '%F0%9F%98%80',
  '%ff',
  'x',
  '-1',
  '1e3',
  '9'.repeat(16),
  '9'.repeat(400),
]

fuzz<string>({
  title: 'any query is parameters, or refused with the name of the one that is wrong',
  crafted: {
    'ten thousand parameters': 'a=1&'.repeat(10_000),
    'one name ten thousand times': 'limit=1&'.repeat(7_000),
  },
  make: random => {
    const pairs = Array.from(
      { length: random.below(5) },
      () => `${random.of(NAMES)}${random.of(['=', '=', '', '=='])}${random.of(VALUES)}`,
    )
    const query = pairs.join(random.of(['&', '&', '&&', ';']))
    return random.chance(0.3) ? damageText(query, random, [...NAMES, ...VALUES, '&', '=', '?']) : query
  },
  run: query => {
    const outcome = outcomeOf(() => {
      const parameters = new Parameters(query)
      parameters.integer('limit', { min: 1, max: 1_000 })
      parameters.durationMs('wait', { max: '1h' })
      parameters.boolean('a')
      parameters.texts('constructor')
      parameters.end()
    }, isProblem)
    reached['error' in outcome ? 'refused' : 'taken']++
  },
  show: printable,
  reached: () => {
    expect(reached.taken).toBeGreaterThan(20)
    expect(reached.refused).toBeGreaterThan(20)
  },
})

function isJsonText(body: Uint8Array): boolean {
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body))
    return true
  } catch {
    return false
  }
}

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))

fuzz<Uint8Array>({
  title: 'P8: a line is taken as JSON exactly if another reader of JSON takes it, up to its depth',
  crafted: {
    'depth 1,000': bytesOf('['.repeat(1_000) + ']'.repeat(1_000)),
    'nested without end': bytesOf('['.repeat(60_000)),
    'objects without end': bytesOf('{"a":'.repeat(12_000)),
    'numeric keys': bytesOf(`{${Array.from({ length: 5_000 }, (_, i) => `"${i}":0`).join(',')}}`),
    escapes: bytesOf(`"${'\\u0000'.repeat(10_000)}"`),
  },
  make: random => {
    if (random.chance(0.1)) return randomBytes(random, random.below(40))
    const bytes = bytesOf(writeJson(someJson(random), random))
    return random.chance(0.4) ? bytes : damage(bytes, random)
  },
  run: body => {
    const outcome = outcomeOf(() => checkJsonBody(body), isProblem)
    const isTooDeep = 'error' in outcome && outcome.error.includes('nested deeper')
    if (!isTooDeep) same('error' in outcome, !isJsonText(body))
  },
  show: body => printable(Buffer.from(body).toString()),
})

const ENVELOPE = {
  body: ['x', '', 'é', 7, null],
  body_base64: ['eA==', 'eA', '!', ''],
  content_type: ['text/plain', '', 'x'.repeat(300)],
  headers: [{}, { a: 'b' }, { a: 1, b: true, c: { base64: 'AA==' } }, { a: null }, []],
  message_id: ['m', ''],
  priority: [0, -1.5, '1', Number.POSITIVE_INFINITY],
  ttl: ['30s', 0, 'x', 1e20],
  delay: ['1ms', -1],
  group: ['g', ''],
  barrier: [{}, { name: 'eof' }, { name: '@x' }, { parties: 2, party: 'p' }, { forward: ['q'] }, { rest: 'x' }, 7],
  nonsense: [1],
} as const

fuzz<Uint8Array>({
  title: 'P6, P8: any envelope is a message or refused with the field that is wrong; what is taken is shown as it came',
  share: 0.5,
  crafted: {
    'the prototype as a header': bytesOf('{"body":"","headers":{"__proto__":"x"}}'),
    'a key twice': bytesOf('{"body":"a","body":"b"}'),
    'no object': bytesOf('[]'),
    '1,001 members': bytesOf(`{${Array.from({ length: 1_001 }, (_, i) => `"k${i}":0`).join(',')}}`),
  },
  make: random => {
    const envelope: Record<string, unknown> = {}
    if (random.chance(0.8)) envelope['body'] = random.of(ENVELOPE.body)
    for (const [name, values] of Object.entries(ENVELOPE))
      if (random.chance(0.15)) envelope[name] = random.of(values as never)
    const bytes = bytesOf(JSON.stringify(envelope))
    return random.chance(0.2) ? damage(bytes, random) : bytes
  },
  run: body => {
    const outcome = outcomeOf(() => {
      const object = parseJsonObject(body)
      const message = readMessage(object)
      object.end()
      return message
    }, isProblem)
    if ('error' in outcome) return
    const { properties, body: bytes } = outcome.value
    try {
      encodeMessage(new ByteWriter(), properties, bytes)
    } catch (error) {
      // Too long a text, say: `encoding` makes a problem of it.
      if ((error as { code?: unknown }).code !== 'invalid-message') throw error
      return
    }
    reached.messages++
    const shown = JSON.stringify(showMessage(properties, bytes))
    const again = readMessage(parseJsonObject(bytesOf(shown)))
    same(JSON.stringify(showMessage(again.properties, again.body)), shown)
  },
  show: body => printable(Buffer.from(body).toString()),
  reached: () => expect(reached.messages).toBeGreaterThan(20),
})

const HEADER_NAMES = [
  'sluice-priority',
  'sluice-delay',
  'sluice-ttl',
  'sluice-group',
  'sluice-barrier',
  'sluice-header-a',
  'sluice-header-__proto__',
  'sluice-nonsense',
  'idempotency-key',
  'content-type',
  'x',
]
const HEADER_VALUES = [
  '',
  '1',
  '-1.5e3',
  '1e999',
  'NaN',
  '30s',
  'eof',
  '@x',
  'Z\u00c3\u00bcrich',
  '\u00ff',
  'text/plain; profile="x',
  'application/x-ndjson;profile=envelope',
  ';;=;',
  '"'.repeat(100),
]

fuzz<Readonly<Record<string, readonly string[]>>>({
  title: 'P6: any headers are properties, or refused with the name of the one that is wrong',
  make: random => {
    const given: Record<string, string[]> = Object.create(null)
    for (let count = random.below(4); count > 0; count--)
      given[random.of(HEADER_NAMES)] = Array.from({ length: random.of([1, 1, 1, 2]) }, () => random.of(HEADER_VALUES))
    return given
  },
  run: headersDistinct => {
    const headers = Object.fromEntries(Object.entries(headersDistinct).map(([name, [value]]) => [name, value]))
    const rawHeaders = Object.entries(headersDistinct).flatMap(([name, values]) =>
      values.flatMap(value => [name, value]),
    )
    outcomeOf(() => readPropertyHeaders({ headers, headersDistinct, rawHeaders } as never), isProblem)
    mediaType(headers['content-type'] ?? '')
  },
  show: headers => printable(JSON.stringify(headers)),
})

/** What a server sees of a connection, without one. */
class FakeSocket extends Duplex {
  readonly remoteAddress = '127.0.0.1'
  readonly remotePort = 5
  readonly localAddress = '127.0.0.1'
  answered = ''
  // What `node:http` asks of a socket.
  setTimeout = (): this => this
  setNoDelay = (): this => this
  setKeepAlive = (): this => this
  ref = (): this => this
  unref = (): this => this
  destroySoon = (): void => void this.end(() => this.destroy())

  override _read(): void {}
  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.answered += chunk.toString('latin1')
    done()
  }
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
/** Turns of the loop after which what has not come will not: nothing waits here but for commits, which take one. */
const QUIET_TURNS = 6

/** All that a new server answers to these bytes. */
async function answersTo(pieces: readonly Uint8Array[]): Promise<string> {
  const clock = virtualClock()
  const options = { messageMax: 1_024, frameMessagesMax: 100, autoCreate: true, pressure: new Pressure(clock) }
  const failed = (reason: Error): void => {
    throw reason
  }
  const engine = new Engine({ journal: memoryJournal(), clock, ...options, onFatal: failed })
  await engine.open()
  const bugs: unknown[] = []
  const { server } = createHttpServer(engine, { version: '0', onBug: bug => bugs.push(bug) })
  const socket = new FakeSocket()
  socket.on('error', () => {})
  server.emit('connection', socket)
  for (const piece of pieces) {
    if (piece.length > 0) socket.push(piece)
    await turn()
  }
  for (let quiet = 0, seen = 0; quiet < QUIET_TURNS; quiet = socket.answered.length === seen ? quiet + 1 : 0) {
    seen = socket.answered.length
    await turn()
  }
  socket.destroy()
  await turn()
  await engine.close()
  server.close()
  if (bugs.length > 0) throw bugs[0]
  return socket.answered.replaceAll(/^(date: ).*$/gim, '$1')
}

const PATHS = ROUTES.map(({ path }) => path)
const REQUEST_PIECES = [
  '\r\n',
  '\r\n\r\n',
  ' ',
  ':',
  'HTTP/1.1',
  'HTTP/9.9',
  '\0',
  '%2F',
  '..',
  '?',
  'Content-Length: 5',
  'Transfer-Encoding: chunked',
  '0\r\n\r\n',
  'GET',
  'Host: evil',
  'Expect: 100-continue',
  'Connection: close',
]

function someRequest(random: Random): string {
  const route = random.of(ROUTES)
  const method = random.chance(0.85) ? route.method : random.of(['GET', 'PUT', 'OPTIONS', 'CONNECT', 'NONSENSE'])
  const path = random
    .of(random.chance(0.8) ? [route.path] : PATHS)
    .replaceAll(/\{[^}]*\}/g, () => random.of(['q', 'q', 'eof', '1', '%2e%2e', '%00', 'é', '']))
  const query = random.chance(0.3)
    ? `?${random.of(['wait=0', 'max=1', 'limit=5', 'atomic=true', 'x=1', 'confirm=accepted', 'dedupe=true'])}`
    : ''
  const type = random.of([
    'application/json',
    'application/x-ndjson',
    'application/x-ndjson; profile=envelope',
    'text/plain',
  ])
  const body = random.of([
    '',
    '{}',
    '{"a":1}',
    '{"a":1}\n{"a":2}\n',
    '{"body":"x"}\n{"body":7}\n\n{"body":"y"}',
    '[',
    '{"expression":"/a = 1","bodies":["{}"]}',
    '{"deliveries":[]}',
    '{"lease":"30s"}',
  ])
  const length = random.chance(0.95) ? Buffer.byteLength(body) : random.of([0, 1, 5_000, -1])
  const isChunked = random.chance(0.15)
  const framing = isChunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${length}`
  const content = isChunked
    ? `${body === '' ? '' : `${Buffer.byteLength(body).toString(16)}\r\n${body}\r\n`}0\r\n\r\n`
    : body
  const more = random.chance(0.2)
    ? `${random.of(HEADER_NAMES)}: ${random.of(HEADER_VALUES.filter(value => value !== '\u00ff'))}\r\n`
    : ''
  return `${method} ${path}${query} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${type}\r\n${framing}\r\n${more}\r\n${content}`
}

const bodyOf = (answered: string): string => answered.slice(answered.indexOf('\r\n\r\n'))
const statusOf = (answered: string): string => /^HTTP\/1\.1 (\d+)/.exec(answered)?.[1] ?? 'none'

fuzz<string>({
  title: 'any bytes sent to the HTTP port are answered by a status of ours or cut off, the same however they are split',
  share: 0.02,
  crafted: {
    'both lengths':
      'POST /v1/queues/q/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / ',
    'two lengths':
      'POST /v1/queues/q/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!',
    'a header of 20 KiB': `GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
    'no host': 'GET /healthz HTTP/1.1\r\n\r\n',
    'another host': 'GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n',
    'an absolute target': 'GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n',
    'TLS to a plain port': '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    'a RESP command': '*1\r\n$4\r\nPING\r\n',
    'a chunk of 4 GiB':
      'POST /v1/queues/q/messages HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n',
    'eighty requests at once': 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(80),
  },
  make: random => {
    const requests = Array.from({ length: random.of([1, 1, 1, 2]) }, () => someRequest(random)).join('')
    return random.chance(0.6) ? requests : damageText(requests, random, REQUEST_PIECES)
  },
  run: async (text, random) => {
    const bytes = Buffer.from(text)
    const whole = await answersTo([bytes])
    const parts = split(bytes, random)
    const inParts = await answersTo(parts.length > 150 ? [bytes.subarray(0, 7), bytes.subarray(7)] : parts)
    // Of two in one piece, a body that is too long for example, the first may have no answer yet when the parser comes to
    // what is wrong with the second: then the connection is cut, or 400 is all that is said.
    const isBroken = [whole, inParts].some(answered => ['none', '400'].includes(statusOf(answered)))
    const isOne = text.split(' HTTP/').length === 2 && !isBroken
    if (isOne) same(statusOf(inParts), statusOf(whole), 'the status of the answer')
    // Whether the connection stays open depends on how much of the request had come.
    if (isOne && statusOf(whole)[0] === '2') same(bodyOf(inParts), bodyOf(whole), 'the answer')
    same(statusOf(whole) !== '500', true, 'no bug is answered')
    reached.statuses.set(statusOf(whole), (reached.statuses.get(statusOf(whole)) ?? 0) + 1)
  },
  show: printable,
  reached: () => {
    for (const status of ['200', '201', '400', '404']) expect(reached.statuses.get(status), status).toBeGreaterThan(2)
  },
})
