import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { ask, Native, Raw, startVictim, until, type Victim } from './support.ts'

/** An honest client, which must not notice anything. */
async function isServed(victim: Victim, localAddress?: string): Promise<void> {
  const started = performance.now()
  const answer = await ask(victim, 'GET', '/livez', localAddress === undefined ? {} : { localAddress })
  expect(answer.status).toBe(200)
  expect(performance.now() - started).toBeLessThan(2_000)
}

async function declare(victim: Victim, queue: string, options: object = {}): Promise<void> {
  const headers = { 'content-type': 'application/json' }
  const answer = await ask(victim, 'PUT', `/v1/queues/${queue}`, { headers, body: JSON.stringify(options) })
  expect(answer.status).toBe(201)
}

const UPGRADE =
  'GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n' +
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: sluice.v1\r\n\r\n'

describe('what is too large, or never ends', () => {
  test('attack 11: a frame that says it has 100 MiB is cut at its head, and nothing is kept for it', async () => {
    const victim = await startVictim()
    const native = await Native.welcomed(victim.url)
    const before = process.memoryUsage().arrayBuffers
    native.socket.send(Buffer.alloc(18 * 2 ** 20))
    expect(await native.closed).toBe(1009)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 2 ** 20)
    await isServed(victim)
  })

  test('attack 11: frames that lie about their length end their connection alone', async () => {
    const victim = await startVictim()
    const other = await Native.welcomed(victim.url)
    for (const hex of [
      'ffffffff7f', // a frame of 2 GiB in nine bytes
      '10000000', // a length, and nothing behind it
      '05000000410000ffff', // a text of 64 KiB in it
      '0400000041ffffffff', // a count that cannot be
    ]) {
      const native = await Native.welcomed(victim.url)
      native.socket.send(Buffer.from(hex, 'hex'))
      expect(await native.closed, hex).toBe(1002)
    }
    other.send('request', { id: 1, method: 'ping', params: {} })
    await other.next('response')
  })

  test('attack 11: a message of endless fragments is cut', async () => {
    const victim = await startVictim()
    const native = await Native.welcomed(victim.url)
    for (let i = 0; i < 200; i++) native.socket.send('x', { binary: true, fin: false })
    expect(await native.closed).toBe(1008)
  })

  test('attack 11: no compression is agreed on, so nothing can unpack', async () => {
    const victim = await startVictim()
    const native = new Native(victim.url, { perMessageDeflate: true })
    await once(native.socket, 'open')
    expect(native.socket.extensions).toBe('')
    // A frame that says it is packed all the same.
    const raw = new Raw(victim.port)
    raw.socket.write(UPGRADE)
    await until(() => raw.text.includes('\r\n\r\n'))
    raw.socket.write(Buffer.from('c28400000000cafebabe', 'hex'))
    await raw.closed
  })

  test('attack 11: gzip that unpacks to a thousand times its size is cut', async () => {
    const victim = await startVictim()
    await declare(victim, 'q')
    const headers = { 'content-type': 'application/x-ndjson', 'content-encoding': 'gzip' }
    const body = gzipSync(Buffer.alloc(64 * 2 ** 20, ' '))
    const answer = await ask(victim, 'POST', '/v1/queues/q/messages', { headers, body })
    expect(answer).toMatchObject({ status: 413 })
  })

  test('attack 11: one byte at a time means the same, and costs nobody else anything', async () => {
    const victim = await startVictim()
    await declare(victim, 'q')
    const raw = new Raw(victim.port)
    raw.socket.setNoDelay(true)
    const bytes =
      'POST /v1/queues/q/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc'
    for (const byte of bytes) {
      raw.socket.write(byte)
      await new Promise(resolve => setImmediate(resolve))
    }
    await isServed(victim)
    await raw.closed
    expect(raw.text).toMatch(/^HTTP\/1\.1 201 /)
  })
})

describe('what never says what it wants', () => {
  test('attack 11: silence, headers in drops and an upgrade without a hello are cut after five seconds', async () => {
    const victim = await startVictim()
    const started = performance.now()
    const silent = new Raw(victim.port)
    const slow = new Raw(victim.port)
    slow.socket.write('GET /livez HTTP/1.1\r\nhost: localhost\r\n')
    const drops = setInterval(() => slow.socket.write('x: y\r\n'), 200)
    const mute = new Native(victim.url)
    await isServed(victim)
    await Promise.all([silent.closed, slow.closed, mute.closed])
    clearInterval(drops)
    // The listener looks every second.
    expect(performance.now() - started).toBeLessThan(9_000)
    expect(performance.now() - started).toBeGreaterThan(4_000)
  })

  test('attack 11: before the hello only little is taken, and only a hello', async () => {
    const victim = await startVictim()
    const large = new Native(victim.url)
    await once(large.socket, 'open')
    large.socket.send(Buffer.alloc(128 * 1024))
    expect(await large.closed).toBe(1006)
    const early = new Native(victim.url)
    await once(early.socket, 'open')
    early.send('request', { id: 1, method: 'queues', params: {} })
    expect(await early.next('goodbye')).toMatchObject({ code: 'protocol-error' })
    expect(await early.closed).toBe(1002)
  })

  test('attack 16: headers of more than 16 KiB, and a target of as much, are refused', async () => {
    const victim = await startVictim()
    const long = 'x'.repeat(20_000)
    expect(await Raw.exchange(victim.port, `GET /livez HTTP/1.1\r\nhost: localhost\r\nx: ${long}\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 431 /,
    )
    expect(await Raw.exchange(victim.port, `GET /livez?${long} HTTP/1.1\r\nhost: localhost\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 431 /,
    )
    await isServed(victim)
  })
})

describe('too many of them', () => {
  /** 127.0.0.1 is this machine, every other address of loopback a stranger. */
  const strangers = { isLoopback: (address: string) => address === '127.0.0.1' }

  async function connectAll(victim: Victim, count: number, localAddress: string): Promise<readonly Raw[]> {
    const all = Array.from({ length: count }, () => new Raw(victim.port, { localAddress }))
    await Promise.all(
      all.map(raw => new Promise(resolve => raw.socket.once('connect', resolve).once('close', resolve))),
    )
    return all
  }

  const isOpen = ({ socket }: Raw) => socket.readyState === 'open'

  test('attack 12: an address gets so many connections, and the next are closed; others are served', async () => {
    const victim = await startVictim({ connectionsPerAddress: 50 }, strangers)
    const idle = await connectAll(victim, 80, '127.0.0.2')
    await until(() => idle.filter(isOpen).length === 50)
    await isServed(victim, '127.0.0.3')
    await isServed(victim)
    expect(victim.logged).toContainEqual({
      event: 'connection-refused',
      facts: expect.objectContaining({ address: '127.0.0.2', limit: 'connections_per_address' }),
    })
    // A flood is not answered with a flood of log lines.
    expect(victim.logged.filter(({ event }) => event === 'connection-refused').length).toBeLessThanOrEqual(2)
    for (const { socket } of idle) socket.destroy()
    const again = () =>
      ask(victim, 'GET', '/livez', { localAddress: '127.0.0.2' }).then(
        ({ status }) => status === 200,
        () => false,
      )
    await untilAnswered(again)
  })

  test('attack 12: when strangers have all they may have, this machine still gets in', async () => {
    const victim = await startVictim({ connectionsMax: 100, connectionsPerAddress: 1_000 }, strangers)
    const idle = await connectAll(victim, 150, '127.0.0.2')
    await until(() => idle.filter(isOpen).length === 90)
    await expect(ask(victim, 'GET', '/livez', { localAddress: '127.0.0.3' })).rejects.toThrow()
    await isServed(victim)
    const native = await Native.welcomed(victim.url)
    expect(native.socket.readyState).toBe(1)
  })

  test('attack 12: WebSockets count among them, until they are closed', async () => {
    const victim = await startVictim({ connectionsPerAddress: 3 }, strangers)
    const natives = await Promise.all([1, 2, 3].map(() => Native.welcomed(victim.url, { localAddress: '127.0.0.2' })))
    await expect(ask(victim, 'GET', '/livez', { localAddress: '127.0.0.2' })).rejects.toThrow()
    natives[0]?.socket.close()
    await natives[0]?.closed
    const again = () =>
      ask(victim, 'GET', '/livez', { localAddress: '127.0.0.2' }).then(
        ({ status }) => status === 200,
        () => false,
      )
    await untilAnswered(again)
  })

  test('attack 12: a connection gets so many subscriptions, and the rest are refused', async () => {
    const victim = await startVictim()
    await declare(victim, 'q')
    const native = await Native.welcomed(victim.url)
    const none = { queue: 'q', prefetch: 1, concurrency: 1, leaseMs: 0, filter: '', afterBatch: 0 }
    for (let subscription = 1; subscription <= 1_001; subscription++)
      native.send('subscribe', { ...none, subscription })
    expect(await native.next('cancelled')).toMatchObject({ subscription: 1_001, code: 'too-many-subscriptions' })
  })

  test('attack 12: pulls that wait are bounded, of a connection and of all', async () => {
    const victim = await startVictim({ pullsMax: 5 })
    await declare(victim, 'q')
    const pull = 'POST /v1/queues/q/deliveries?wait=60s HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n'
    const waiting = new Raw(victim.port)
    waiting.socket.write(pull.repeat(5))
    await until(() => waiting.socket.bytesWritten >= pull.length * 5)
    await untilAnswered(async () => (await ask(victim, 'POST', '/v1/queues/q/deliveries')).status === 503)
    const refused = await ask(victim, 'POST', '/v1/queues/q/deliveries?wait=60s')
    expect(refused).toMatchObject({ status: 503, json: { code: 'server-busy', limit: 'pulls_max' } })
    expect(refused.headers['retry-after']).toBe('1')
    waiting.socket.destroy()
    await untilAnswered(async () => (await ask(victim, 'POST', '/v1/queues/q/deliveries')).status === 200)

    // Nine on one connection: eight wait, and the ninth is answered behind them.
    const roomy = await startVictim()
    await declare(roomy, 'q')
    const short = pull.replace('60s', '300ms')
    const many = new Raw(roomy.port)
    many.socket.write(short.repeat(9))
    await until(() => many.text.match(/HTTP\/1\.1 \d+/g)?.length === 9)
    expect(many.text.match(/HTTP\/1\.1 429/g)).toHaveLength(1)
    expect(many.text).toContain('"code":"too-many-subscriptions"')
  })
})

async function untilAnswered(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!(await isSo())) if (performance.now() > deadline) throw new Error('what was waited for did not happen')
}

describe('those who do not read', () => {
  test('attack 27: consumers that do not read are cut at the common bound, and whoever reads goes on', async () => {
    const victim = await startVictim({ sendBuffersMax: 4 * 2 ** 20, messageMax: 2 ** 20 })
    await declare(victim, 'q')
    await declare(victim, 'good')
    // Under a megabyte each, which is no reason to stop: many of them are.
    const body = Buffer.alloc(900 * 1024)
    for (let i = 0; i < 60; i++) await ask(victim, 'POST', '/v1/queues/q/messages', { body })
    await ask(victim, 'POST', '/v1/queues/good/messages', { body: 'x' })
    const subscribe = { subscription: 1, prefetch: 10, concurrency: 1, leaseMs: 0, filter: '', afterBatch: 0 }
    const mute = await Promise.all(
      Array.from({ length: 12 }, async () => {
        const native = await Native.welcomed(victim.url)
        native.socket.pause()
        native.send('subscribe', { ...subscribe, queue: 'q' })
        return native
      }),
    )
    const reader = await Native.welcomed(victim.url)
    reader.send('subscribe', { ...subscribe, queue: 'good' })
    expect(await reader.next('deliver')).toMatchObject({ sequence: 1 })
    // What the kernel takes is no burden of the server's: those are cut to which it could not pass on what they were given.
    const connected = async () => {
      const { json } = await ask(victim, 'GET', '/v1/connections')
      return (json as { connections: readonly unknown[] }).connections.length
    }
    await until(async () => (await connected()) < 13)
    let cut = 0
    for (const { socket, closed } of mute) {
      void closed.then(() => (cut += 1))
      socket.resume()
    }
    await until(() => cut > 0)
    expect(cut).toBeLessThan(12)
    reader.send('request', { id: 1, method: 'ping', params: {} })
    await reader.next('response')
  })

  test('attack 27: a client that acks and publishes in a loop goes no faster than publish_rate', async () => {
    const victim = await startVictim({ publishRate: 20 })
    await declare(victim, 'q')
    const native = await Native.welcomed(victim.url)
    const messages = Buffer.from('010000000078', 'hex').subarray(0, 5)
    native.send('publish', { queue: 'q', number: 1, answeredUpTo: 0, flags: 0, count: 1, messages })
    await native.next('confirm')
    const subscribe = { subscription: 1, prefetch: 1, concurrency: 1, leaseMs: 0, filter: '', afterBatch: 0 }
    native.send('subscribe', { ...subscribe, queue: 'q' })
    const settle = { subscription: 1, how: 'ack' as const, valueMs: 0, reason: '' }
    const started = performance.now()
    let turns = 0
    while (performance.now() - started < 3_000) {
      const { delivery } = await native.next('deliver')
      turns += 1
      const publish = [{ queue: 'q', count: 1, messages }]
      native.send('settle', { ...settle, request: turns, deliveries: [{ first: delivery, count: 1 }], publish })
    }
    // Twenty at once, then twenty a second, and a delivery that was on its way.
    const seconds = (performance.now() - started) / 1_000
    expect(turns).toBeLessThanOrEqual(20 + 20 * seconds + 2)
    expect(turns).toBeGreaterThan(30)
  })

  test('attack 23: HTTP says 429 and when to come again, however many connections are used; an ack that carries too', async () => {
    const victim = await startVictim({ publishRate: 5 })
    await declare(victim, 'q')
    const lines = { 'content-type': 'application/x-ndjson' }
    const body = '1\n'.repeat(20)
    expect(await ask(victim, 'POST', '/v1/queues/q/messages', { headers: lines, body })).toMatchObject({ status: 201 })
    const refused = await ask(victim, 'POST', '/v1/queues/q/messages', { body: 'x' })
    expect(refused).toMatchObject({ status: 429, json: { code: 'too-many-publishes', limit: 'publish_rate' } })
    expect(Number(refused.headers['retry-after'])).toBeGreaterThanOrEqual(2)
    expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(3)
    expect((await ask(victim, 'POST', '/v1/queues/q/barriers?name=eof')).status).toBe(429)
    expect((await ask(victim, 'POST', '/v1/queues/q/messages', { headers: lines, body })).status).toBe(429)
    const { json } = await ask(victim, 'POST', '/v1/queues/q/deliveries')
    const [{ sequence, lease_token }] = json.deliveries
    const ack = { deliveries: [{ sequence, lease_token }], publish: [{ queue: 'q', body: 'x' }] }
    const headers = { 'content-type': 'application/json' }
    expect((await ask(victim, 'POST', '/v1/queues/q/acks', { headers, body: JSON.stringify(ack) })).status).toBe(429)
    // What was refused was not done: the lease is still there, and an ack without a publish is nobody's burden.
    const { publish: _, ...plain } = ack
    const acked = await ask(victim, 'POST', '/v1/queues/q/acks', { headers, body: JSON.stringify(plain) })
    expect(acked).toMatchObject({ status: 200, json: { acked: 1 } })
  })

  test('attack 23: bytes are limited like messages, of one token wherever it publishes, and without a confirm too', async () => {
    const victim = await startVictim({ publishBytesRate: 65_536, auth: 'tokens' })
    const file = victim.logged.find(({ event }) => event === 'admin-token-written')?.facts['file']
    const token = readFileSync(String(file), 'utf8').trim()
    const headers = { authorization: `Bearer ${token}` }
    for (const [name, options] of Object.entries({ q: {}, once: { semantics: 'at-most-once' } }))
      await ask(victim, 'PUT', `/v1/queues/${name}`, {
        headers: { ...headers, 'content-type': 'application/json' },
        body: JSON.stringify(options),
      })
    const publish = (path: string, body: string) => ask(victim, 'POST', path, { headers, body })
    expect((await publish('/v1/queues/q/messages', 'x')).status).toBe(201)
    const started = performance.now()
    expect((await publish('/v1/queues/once/messages?confirm=none', 'x'.repeat(200_000))).status).toBe(202)
    const refused = await publish('/v1/queues/q/messages', 'x')
    expect(refused).toMatchObject({ status: 429, json: { code: 'too-many-publishes', limit: 'publish_bytes_rate' } })
    expect(Number(refused.headers['retry-after'])).toBeGreaterThanOrEqual(2)
    // The debt is the token's: natively it is granted nothing until that is paid.
    const native = new Native(victim.url)
    await once(native.socket, 'open')
    native.send('hello', { version: 1, name: 'test', producer: 'a'.repeat(32), token, heartbeatMs: 0 })
    const { granted: first } = await native.next('welcome')
    const messages = Buffer.concat([Buffer.alloc(4), Buffer.alloc(33_000, 'x')])
    messages.writeUInt32LE(33_000)
    for (let number = 1; number <= 2; number++)
      native.send('publish', { queue: 'q', number, answeredUpTo: 0, flags: 0, count: 1, messages })
    let granted = first
    while (granted <= first) granted = (await native.next('flow')).granted
    // 266,000 bytes in all, of which a second's were free.
    expect(performance.now() - started).toBeGreaterThan(2_900)
  })

  test('attack 23: a publisher is pushed back by credit, not refused', async () => {
    const victim = await startVictim({ publishRate: 100 })
    await declare(victim, 'q')
    const native = await Native.welcomed(victim.url)
    const one = Buffer.concat([Buffer.from('64000000', 'hex'), Buffer.alloc(100, 'x')])
    const count = 150
    const messages = Buffer.concat(Array.from({ length: count }, () => one))
    const started = performance.now()
    // All of it is within the first window; what they owe delays the next grant.
    for (let frame = 0; frame < 3; frame++) {
      native.send('publish', { queue: 'q', number: 1 + frame * count, answeredUpTo: 0, flags: 0, count, messages })
    }
    let granted = 0
    while (granted <= 64 * 1024) granted = (await native.next('flow')).granted
    expect(performance.now() - started).toBeGreaterThan(3_000)
    expect(native.frames.map(({ name }) => name)).not.toContain('refused')
  })
})
