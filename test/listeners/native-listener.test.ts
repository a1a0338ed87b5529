import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect as connectTcp, type Socket } from 'node:net'
import { decodeFrames, type FrameFrom, type FrameName, type Frames } from '@sluice/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { attachNative, type NativeListener, type NativeListenerOptions } from '../../src/listeners/native/listener.ts'
import { FakeEngine, frame, HELLO, publish, TestClock } from './native-support.ts'

let server: Server
let engine: FakeEngine
let listener: NativeListener
let errors: Error[]
let port: number

async function start(options: NativeListenerOptions = {}): Promise<void> {
  server = createServer((_request, response) => response.end('http'))
  engine = new FakeEngine()
  errors = []
  listener = attachNative(server, engine.asEngine(), { onSocketError: error => void errors.push(error), ...options })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
}

async function stop(): Promise<void> {
  await listener.close()
  server.closeAllConnections()
  server.close()
}

/** A client of `ws` that keeps the frames it gets. */
class Client {
  readonly socket: WebSocket
  readonly frames: FrameFrom<'server'>[] = []
  readonly closed: Promise<readonly [number, string]>

  constructor(options: { origin?: string; protocol?: string; path?: string; autoPong?: boolean } = {}) {
    const { protocol = 'sluice.v1', path = '/v1/ws', ...rest } = options
    this.socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocol === '' ? [] : [protocol], rest)
    this.socket.on('error', () => {})
    this.socket.on('message', (data: Buffer) => this.frames.push(...decodeFrames(data, 'server')))
    this.closed = once(this.socket, 'close').then(([code, reason]) => [code, String(reason)] as const)
  }

  static async welcomed(): Promise<Client> {
    const client = new Client()
    await once(client.socket, 'open')
    client.socket.send(frame('hello', HELLO))
    await client.next('welcome')
    return client
  }

  async next<N extends FrameName>(name: N): Promise<Frames[N]> {
    for (;;) {
      const found = this.frames.findIndex(one => one.name === name)
      if (found >= 0) return this.frames.splice(found, 1)[0]!.fields as unknown as Frames[N]
      await once(this.socket, 'message')
    }
  }

  async ping(id: number): Promise<void> {
    this.socket.send(frame('request', { id, method: 'ping', params: {} }))
    await this.next('response')
  }
}

/** Status of an upgrade that is refused. */
async function refused(client: Client): Promise<number> {
  const [, response] = await once(client.socket, 'unexpected-response')
  return response.statusCode
}

/** A client below WebSocket: the bytes of frames are its own. */
async function raw(): Promise<Socket> {
  const socket = connectTcp(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write(
    'GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n' +
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: sluice.v1\r\n\r\n',
  )
  await once(socket, 'data')
  return socket
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise(resolve => setImmediate(resolve))
}

describe('a native listener', () => {
  beforeEach(() => start())
  afterEach(() => stop())

  test('takes a publish and confirms it', async () => {
    const client = await Client.welcomed()
    client.socket.send(publish({ messages: new Uint8Array(4) }))
    await until(() => engine.peers[0]?.published.length === 1)
    engine.peers[0]!.published[0]!.answered([{ index: 0, count: 1, sequence: 7, batch: 0, duplicate: false }])
    expect(await client.next('confirm')).toMatchObject({ queue: 'q', number: 1, sequence: 7 })
    expect(listener.connections()).toBe(1)
  })

  test('keeps what it handed to the engine untouched by what comes later', async () => {
    const client = await Client.welcomed()
    for (let number = 1; number <= 200; number++) {
      const messages = Buffer.alloc(1_004, number)
      messages.writeUInt32LE(1_000)
      client.socket.send(publish({ number, messages }))
    }
    await until(() => engine.peers[0]!.published.length === 200)
    for (const { command } of engine.peers[0]!.published) {
      expect(command.bytes.subarray(4).every(byte => byte === command.number)).toBe(true)
    }
  })

  test('takes a message in fragments, and a large one', async () => {
    const client = await Client.welcomed()
    const bytes = Buffer.from(publish({ messages: new Uint8Array(1024 * 1024) }))
    for (let at = 0; at < bytes.length; at += 100_000) {
      const end = Math.min(at + 100_000, bytes.length)
      client.socket.send(bytes.subarray(at, end), { fin: end === bytes.length })
    }
    await client.ping(1)
    expect(engine.peers[0]!.published[0]!.command.bytes).toHaveLength(1024 * 1024)
  })

  test('closes the peer when the socket is gone, however it went', async () => {
    const client = await Client.welcomed()
    client.socket.terminate()
    await until(() => listener.connections() === 0)
    expect(engine.peers[0]!.calls).toEqual([['close']])
  })

  test('says goodbye with the reason before it closes', async () => {
    const client = await Client.welcomed()
    client.socket.send(Buffer.from('01000000ff', 'hex'))
    expect(await client.next('goodbye')).toMatchObject({ code: 'protocol-error' })
    expect(await client.closed).toEqual([1002, 'protocol-error'])
  })

  test('R9: garbage of one client neither stops the server nor disturbs another', async () => {
    const neighbour = await Client.welcomed()
    const garbage = [
      'ffffffffffff',
      '828100000000',
      '8180',
      'c1',
      '82ff7fffffffffffffff00000000',
      '0980',
      '89fe0100',
      '88817f',
    ]
    for (const [i, hex] of garbage.entries()) {
      const socket = await raw()
      socket.write(Buffer.from(hex, 'hex'))
      socket.end()
      await once(socket, 'close')
      await neighbour.ping(i + 1)
    }
    await until(() => listener.connections() === 1)
    expect(errors.length).toBeGreaterThan(0)
  })

  test('R9: a message of a thousand fragments is cut', async () => {
    const client = await Client.welcomed()
    for (let i = 0; i < 1_000; i++) client.socket.send('', { binary: true, fin: false })
    expect((await client.closed)[0]).toBe(1008)
  })

  test('a message beyond what the server takes is cut before it is held', async () => {
    const client = await Client.welcomed()
    client.socket.send(new Uint8Array(18 * 1024 * 1024))
    expect((await client.closed)[0]).toBe(1009)
  })

  test('more than 64 KiB before the hello are cut, whatever they are', async () => {
    const client = new Client()
    await once(client.socket, 'open')
    client.socket.send(new Uint8Array(1024 * 1024))
    expect((await client.closed)[0]).toBe(1006)
    expect(engine.peers).toEqual([])
  })

  test('other requests of the HTTP server are none of its business', async () => {
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('http')
  })

  test.each<[string, ConstructorParameters<typeof Client>[0], number]>([
    ['another path', { path: '/v1/queues' }, 404],
    ['a path that only begins like it', { path: '/v1/wsx' }, 404],
    ["a stranger's page", { origin: 'https://evil.example' }, 403],
    ['a page from nowhere', { origin: 'null' }, 403],
    ['no sub-protocol', { protocol: '' }, 400],
    ['another sub-protocol', { protocol: 'sluice.v9' }, 400],
  ])('refuses an upgrade of %s', async (_, options, status) => {
    expect(await refused(new Client(options))).toBe(status)
  })

  test('takes pages of its own host', async () => {
    const client = new Client({ origin: `http://127.0.0.1:${port}` })
    await once(client.socket, 'open')
    expect(client.socket.protocol).toBe('sluice.v1')
  })

  test('says goodbye to all when it closes, and takes nobody any more', async () => {
    const client = await Client.welcomed()
    const mute = await raw()
    await listener.close()
    expect(await client.next('goodbye')).toMatchObject({ code: 'shutting-down' })
    expect(await client.closed).toEqual([1001, 'shutting-down'])
    expect(listener.connections()).toBe(0)
    mute.destroy()
  })
})

describe('a native listener with options', () => {
  afterEach(() => stop())

  test('takes pages of origins that are named', async () => {
    await start({ origins: ['https://ops.example'] })
    const client = new Client({ origin: 'https://ops.example' })
    await once(client.socket, 'open')
    expect(await refused(new Client({ origin: 'https://ops.example.evil' }))).toBe(403)
  })

  test('has no room for more connections than it may have', async () => {
    await start({ connectionsMax: 1 })
    await Client.welcomed()
    expect(await refused(new Client())).toBe(503)
  })

  test('R9: a peer that is silent for two heartbeats is cut, one that answers is not', async () => {
    const clock = new TestClock()
    await start({ clock: Object.assign(clock, { soon: (task: () => void) => void setImmediate(task) }) })
    const [alive, silent] = [await Client.welcomed(), await Client.welcomed()]
    silent.socket.pause()
    for (let interval = 0; interval < 3; interval++) {
      const pinged = once(alive.socket, 'ping')
      clock.pass(20_000)
      await pinged
      await alive.ping(interval + 1)
    }
    await until(() => listener.connections() === 1)
    expect(alive.socket.readyState).toBe(WebSocket.OPEN)
    silent.socket.terminate()
  })

  test('D11: a client that does not read stops its own deliveries alone, and gets more when it reads again', async () => {
    await start()
    const [neighbour, slow] = [await Client.welcomed(), await Client.welcomed()]
    slow.socket.pause()
    const { outbox } = engine.peers[1]!
    const place = { subscription: 1, queue: 'q', delivery: 1, sequence: 1, count: 1, batch: 0 }
    let delivered = 0
    while (!outbox.isFull()) {
      outbox.deliver({ ...place, attempt: 1, redelivered: false, bytes: [new Uint8Array(64 * 1024)] })
      delivered += 64 * 1024
      await new Promise(resolve => setImmediate(resolve))
    }
    await neighbour.ping(1)
    slow.socket.resume()
    await until(() => engine.peers[1]!.calls.some(call => call[0] === 'drained'))
    expect(delivered).toBeLessThan(64 * 1024 * 1024)
    expect(outbox.isFull()).toBe(false)
  })
})
