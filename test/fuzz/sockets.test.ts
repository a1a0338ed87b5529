import { connect } from 'node:net'
import { afterAll, beforeAll, expect } from 'vitest'
import { virtualClock } from '../../src/engine/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import { Pressure } from '../../src/engine/pressure.ts'
import { memoryJournal } from '../../src/journal/memory.ts'
import { createHttpServer, type HttpListener } from '../../src/listeners/http/listener.ts'
import type { Random } from '../support/random.ts'
import { fuzz, printable, same } from './harness.ts'

/** Beyond it a connection is one that nobody answers and nobody closes. */
const SILENT_MS = 10_000
const PIECES_MAX = 40
/** What looks like a request, and is only a body. */
const HIDDEN = 'GET /v1/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n'

interface Sent {
  readonly text: string
  /** Of the answer; undefined: it is no request, and what stands behind it is none either. */
  readonly status: string | undefined
}

let listener: HttpListener
let engine: Engine
let port = 0
const bugs: unknown[] = []
const reached = new Map<string, number>()

beforeAll(async () => {
  const clock = virtualClock()
  const pressure = new Pressure(clock)
  const limits = { messageMax: 64 * 1_024, frameMessagesMax: 100, autoCreate: false }
  const onFatal = (reason: Error): void => void bugs.push(reason)
  engine = new Engine({ journal: memoryJournal(), clock, ...limits, pressure, onFatal })
  await engine.open()
  engine.declare('q', { semantics: 'at-most-once', messages_max: 1_000, overflow: 'drop-oldest' })
  listener = createHttpServer(engine, { version: '0', onBug: bug => bugs.push(bug) })
  port = Number(new URL(await listener.listen({ host: '127.0.0.1', port: 0 })).port)
})

afterAll(async () => {
  await listener.close()
  await engine.close()
})

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

/** All that the listener answers to these pieces, until it closes. The client says that it has sent everything. */
async function answersTo(pieces: readonly Uint8Array[]): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).setNoDelay()
  let answered = ''
  let isReset = false
  socket.on('error', () => (isReset = true))
  socket.setEncoding('latin1').on('data', (text: string) => (answered += text))
  const closed = new Promise<void>(resolve => socket.once('close', () => resolve()))
  const ended = new Promise<void>(resolve => socket.once('end', () => resolve()))
  for (const piece of pieces) {
    if (socket.destroyed || isReset) break
    socket.write(piece)
    await turn()
  }
  socket.end()
  const timer = setTimeout(() => socket.destroy(new Error('silent')), SILENT_MS)
  const began = performance.now()
  await Promise.race([ended, closed])
  clearTimeout(timer)
  socket.destroy()
  if (performance.now() - began >= SILENT_MS) throw new Error('neither answered nor closed')
  return answered
}

/** The statuses of all answers, one after another. @throws when there are bytes that are no answer */
function statusesOf(answered: string): string[] {
  const statuses: string[] = []
  for (let rest = answered; rest !== ''; ) {
    const head = /^HTTP\/1\.1 (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n/.exec(rest)
    if (head === null) throw new Error(`no HTTP answer: ${printable(rest.slice(0, 200))}`)
    const [all, status = '', headers = ''] = head
    // Of Node itself, which says nothing more.
    const isChunked = /^transfer-encoding: chunked\r$/im.test(headers)
    const length = isChunked ? '0\r\n\r\n'.length : Number(/^content-length: (\d+)\r$/im.exec(headers)?.[1] ?? 0)
    if (rest.length < all.length + length) throw new Error(`an answer that is cut: ${printable(rest.slice(0, 200))}`)
    rest = rest.slice(all.length + length)
    if (status !== '100') statuses.push(status)
  }
  return statuses
}

// ── requests ───────────────────────────────────────────────────────────────────────────────────────────────────────

function chunked(body: string, random: Random): string {
  let content = ''
  for (let at = 0; at < body.length; ) {
    const size = Math.min(body.length - at, random.between(1, 40))
    const hex = random.chance(0.5) ? size.toString(16) : size.toString(16).toUpperCase()
    const zeros = random.chance(0.1) ? '000' : ''
    const extension = random.chance(0.1) ? ';a=b;c="d"' : ''
    content += `${zeros}${hex}${extension}\r\n${body.slice(at, at + size)}\r\n`
    at += size
  }
  return `${content}0\r\n${random.chance(0.1) ? 'X-Trailer: 1\r\n' : ''}\r\n`
}

const BODIES = ['', 'x', HIDDEN, `0\r\n\r\n${HIDDEN}`, '\r\n\r\n', 'x'.repeat(5_000)]

function soundRequest(random: Random): Sent {
  const before = random.chance(0.05) ? '\r\n' : ''
  const [method, path, status] = random.of([
    ['GET', '/livez', '200'],
    ['GET', '/v1/queues/q', '200'],
    ['GET', '/v1/nothing', '404'],
    ['DELETE', '/livez', '405'],
    ['POST', '/v1/queues/q/messages', '201'],
    ['POST', '/v1/queues/q/messages', '201'],
    ['POST', '/v1/queues/none/messages', '404'],
  ] as const)
  const head = `${before}${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${random.chance(0.2) ? 'X: y\r\n' : ''}`
  if (method !== 'POST') return { text: `${head}\r\n`, status }
  const body = random.of(BODIES)
  const text = random.chance(0.5)
    ? `${head}Transfer-Encoding: chunked\r\n\r\n${chunked(body, random)}`
    : `${head}Content-Length: ${body.length}\r\n\r\n${body}`
  return { text, status }
}

const POST = 'POST /v1/queues/q/messages HTTP/1.1\r\nHost: localhost\r\n'
const GET = 'GET /livez HTTP/1.1\r\nHost: localhost\r\n'

/** What two readers could take for different requests, or none: each ends the connection. */
const BROKEN: Readonly<Record<string, string>> = {
  'both lengths': `${POST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  'both lengths, the other way round': `${POST}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`,
  'two lengths': `${POST}Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy`,
  'a list of lengths': `${POST}Content-Length: 2, 2\r\n\r\nxy`,
  'a length with a sign': `${POST}Content-Length: +2\r\n\r\nxy`,
  'a negative length': `${POST}Content-Length: -2\r\n\r\nxy`,
  'a length in hex': `${POST}Content-Length: 0x2\r\n\r\nxy`,
  'a length beyond all numbers': `${POST}Content-Length: 99999999999999999999999\r\n\r\nxy`,
  'a chunk of no size': `${POST}Transfer-Encoding: chunked\r\n\r\n\r\nxy`,
  'a chunk of a negative size': `${POST}Transfer-Encoding: chunked\r\n\r\n-2\r\nxy\r\n0\r\n\r\n`,
  'a chunk with 0x': `${POST}Transfer-Encoding: chunked\r\n\r\n0x2\r\nxy\r\n0\r\n\r\n`,
  'a chunk that is longer than it says': `${POST}Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n`,
  'a chunk whose size overflows': `${POST}Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\nxy\r\n0\r\n\r\n`,
  'chunks that are not the last encoding': `${POST}Transfer-Encoding: chunked, identity\r\n\r\n2\r\nxy\r\n0\r\n\r\n`,
  'another encoding': `${POST}Transfer-Encoding: xchunked\r\n\r\n2\r\nxy\r\n0\r\n\r\n`,
  'a blank before a colon': `${POST}Content-Length : 2\r\n\r\nxy`,
  'a header without a colon': `${GET}nonsense\r\n\r\n`,
  'a folded header': `${GET}X: a\r\n b\r\n\r\n`,
  'a header with NUL': `${GET}X: a\0b\r\n\r\n`,
  'a header with a return': `${GET}X: a\rY: b\r\n\r\n`,
  'a name with a blank': `${GET}X Y: b\r\n\r\n`,
  'no host': 'GET /livez HTTP/1.1\r\n\r\n',
  'a version of the future': 'GET /livez HTTP/9.9\r\nHost: localhost\r\n\r\n',
  'no version': 'GET /livez\r\n\r\n',
  'no method': ' /livez HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'a method of ours that is none': 'get /livez HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'headers of 20 KiB': `${GET}X: ${'x'.repeat(20_000)}\r\n\r\n`,
  'HTTP/2 without an upgrade': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
}

function someRequests(random: Random): Sent[] {
  const requests = Array.from({ length: random.between(1, 4) }, () => soundRequest(random))
  if (random.chance(0.5)) return requests
  const [name, text] = random.of(Object.entries(BROKEN))
  reached.set(name, (reached.get(name) ?? 0) + 1)
  requests.splice(random.below(requests.length + 1), 0, { text, status: undefined })
  return requests
}

/** The same bytes cut anywhere. */
function split(bytes: Uint8Array, random: Random): Uint8Array[] {
  const places = Array.from({ length: random.between(1, PIECES_MAX) }, () => random.below(bytes.length + 1))
  const sorted = [0, ...places.sort((a, b) => a - b), bytes.length]
  return sorted.slice(1).map((end, k) => bytes.subarray(sorted[k], end))
}

/** Of what is no request; behind it the connection is closed, for whoever reads on answers what somebody has hidden there. */
const REFUSALS: ReadonlySet<string> = new Set(['400', '421', '431'])

function judge(requests: readonly Sent[], answered: string): void {
  const statuses = statusesOf(answered)
  const broken = requests.findIndex(({ status }) => status === undefined)
  const wanted = (broken < 0 ? requests : requests.slice(0, broken)).map(({ status }) => status)
  if (broken < 0) {
    same(statuses.join(), wanted.join(), 'the statuses')
    return
  }
  // What came before in the same piece may have no answer yet when the parser comes to it: then it gets none.
  const isRefused = REFUSALS.has(statuses.at(-1) ?? '')
  const before = isRefused ? statuses.slice(0, -1) : statuses
  same(before.join(), wanted.slice(0, before.length).join(), 'the statuses before what is broken')
}

fuzz<readonly Sent[]>({
  title: 'attack 16: over real sockets requests are answered one by one, and behind broken framing nothing is',
  share: 0.005,
  crafted: Object.fromEntries(
    Object.entries(BROKEN).map(([name, text]) => [
      name,
      [
        { text, status: undefined },
        { text: HIDDEN, status: '404' },
      ],
    ]),
  ),
  make: someRequests,
  run: async (requests, random) => {
    const bytes = Buffer.from(requests.map(({ text }) => text).join(''), 'latin1')
    judge(requests, await answersTo([bytes]))
    judge(requests, await answersTo(split(bytes, random)))
    if (bugs.length > 0) throw bugs[0]
  },
  show: requests => printable(requests.map(({ text }) => text).join('')),
  reached: () => expect(reached.size).toBeGreaterThan(5),
})
