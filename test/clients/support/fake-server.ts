import { type Client, type ConnectOptions, connect, type Socket, type SocketEvents } from '@sluice/client'
import {
  ByteWriter,
  type ClientFrameName,
  countMessages,
  decodeFrames,
  encodeFrame,
  encodeMessage,
  type FrameFrom,
  type FrameInputs,
  type Frames,
  MessageCursor,
  type MessageProperties,
  PROTOCOL_VERSION,
  type ServerFrameName,
  type ValueMap,
} from '@sluice/protocol'
import { FakeTimers } from './fake-timers.ts'

/** The end of a test's script: speaks the protocol over sockets in memory and does nothing that it is not told to. */
export class FakeServer {
  readonly timers: FakeTimers = new FakeTimers()
  readonly connections: FakeConnection[] = []
  /** False: nobody answers. */
  isReachable = true
  /** False: a hello is not answered. */
  isGreeting = true
  welcome: Frames['welcome'] = {
    version: PROTOCOL_VERSION,
    start: 1,
    heartbeatMs: 20_000,
    granted: 2 ** 40,
    messageMax: 16 * 1024 * 1024,
    frameMessagesMax: 10_000,
    server: 'fake',
  }
  /** Lease that the view of every queue shows. */
  leaseMs: number | undefined
  #waiting: (() => void)[] = []

  readonly socket = async (_url: string, events: SocketEvents): Promise<Socket> => {
    if (!this.isReachable) throw new Error('nobody is there')
    const connection = new FakeConnection(this, events)
    this.connections.push(connection)
    for (const tell of this.#waiting.splice(0)) tell()
    return connection
  }

  /** A client whose clock stands still and whose chance is none: the first wait is 100 ms. */
  async connect(options: ConnectOptions = {}): Promise<{ client: Client; connection: FakeConnection }> {
    const client = await connect('ws://fake', {
      producer: 'ab'.repeat(16),
      socket: this.socket,
      timers: this.timers,
      random: () => 1,
      ...options,
    })
    return { client, connection: this.connections.at(-1)! }
  }

  /** The connection that comes after those there are. */
  async nextConnection(): Promise<FakeConnection> {
    const count = this.connections.length
    while (this.connections.length === count) await new Promise<void>(resolve => this.#waiting.push(resolve))
    return this.connections.at(-1)!
  }

  /** Cuts a connection and lets the client come back at once. */
  async reconnect(connection: FakeConnection): Promise<FakeConnection> {
    const next = this.nextConnection()
    connection.cut()
    this.timers.advance(100)
    const opened = await next
    await opened.next('hello')
    return opened
  }
}

type ClientFrame = FrameFrom<'client'>

export class FakeConnection implements Socket {
  /** Frames by the WebSocket message they came in. */
  readonly packets: ClientFrame[][] = []
  readonly frames: ClientFrame[] = []
  isClosed = false
  pings = 0
  readonly #server: FakeServer
  readonly #events: SocketEvents
  readonly #seen = new Map<ClientFrameName, number>()
  #waiting: (() => void)[] = []

  constructor(server: FakeServer, events: SocketEvents) {
    this.#server = server
    this.#events = events
  }

  // What the client does with its socket.

  send(bytes: Uint8Array): void {
    const frames = [...decodeFrames(bytes, 'client')]
    this.packets.push(frames)
    for (const frame of frames) this.#came(frame)
  }

  ping(): void {
    this.pings += 1
  }

  close(): void {
    this.isClosed = true
    queueMicrotask(() => this.#events.closed('closed'))
  }

  terminate(): void {
    this.isClosed = true
  }

  // What a test does.

  tell<N extends ServerFrameName>(name: N, fields: FrameInputs[N]): void {
    const writer = new ByteWriter()
    encodeFrame(writer, name, fields)
    this.#events.received(writer.take())
  }

  /** Bytes that no server would send. */
  garbage(bytes: Uint8Array): void {
    this.#events.received(bytes)
  }

  alive(): void {
    this.#events.alive()
  }

  /** The connection breaks. */
  cut(): void {
    this.isClosed = true
    this.#events.closed('cut')
  }

  /** The next frame of that name that no call has given yet; waits for it. */
  async next<N extends ClientFrameName>(name: N): Promise<Frames[N]> {
    const seen = this.#seen.get(name) ?? 0
    this.#seen.set(name, seen + 1)
    for (;;) {
      const found = this.all(name)[seen]
      if (found !== undefined) return found
      await new Promise<void>(resolve => this.#waiting.push(resolve))
    }
  }

  /** The next request by that name. */
  async request(method: string): Promise<{ readonly id: number; readonly params: ValueMap }> {
    for (;;) {
      const request = await this.next('request')
      if (request.method === method) return request
    }
  }

  all<N extends ClientFrameName>(name: N): Frames[N][] {
    return this.frames.filter(frame => frame.name === name).map(frame => frame.fields as unknown as Frames[N])
  }

  answer(id: number, result: ValueMap): void {
    this.tell('response', { id, refusal: null, result })
  }

  confirm({ queue, number, count }: Frames['publish'], sequence: number = number): void {
    this.tell('confirm', { queue, number, count, sequence, batch: 0, duplicate: false })
  }

  /** Each part under its own numbers. */
  confirmAll({ parts }: Frames['publishAtomic']): void {
    for (const part of parts) this.confirm(part)
  }

  refuse({ queue, number, count }: Frames['publish'], code: string, facts: ValueMap | null = null): void {
    this.tell('refused', { queue, number, count, code, detail: 'no', facts })
  }

  /** Delivers bodies in JSON, the first under that number; sequence numbers are 100 more. */
  deliver(
    subscription: number,
    delivery: number,
    bodies: readonly unknown[],
    more: Partial<Frames['deliver']> = {},
  ): void {
    this.tell('deliver', {
      subscription,
      delivery,
      sequence: 100 + delivery,
      count: bodies.length,
      batch: 0,
      attempt: 1,
      redelivered: false,
      origin: null,
      messages: records(bodies),
      ...more,
    })
  }

  releaseBarrier(subscription: number, more: ValueMap = {}, replayed = false): void {
    this.tell('barrier', { subscription, replayed, record: barrierRecord(more), message: records([{ eof: true }]) })
  }

  settled(request: number, result: Frames['settled']['results'][number]['result'], first = 1, count = 1): void {
    this.tell('settled', { request, results: [{ first, count, result }], refusal: null, published: null })
  }

  #came(frame: ClientFrame): void {
    this.frames.push(frame)
    if (frame.name === 'hello' && this.#server.isGreeting) this.tell('welcome', this.#server.welcome)
    if (frame.name === 'request' && frame.fields.method === 'ping') this.answer(frame.fields.id, {})
    if (frame.name === 'request' && frame.fields.method === 'queue') {
      this.answer(frame.fields.id, { name: 'q', options: { lease_ms: this.#server.leaseMs }, open: {} })
    }
    for (const tell of this.#waiting.splice(0)) tell()
  }
}

/** Bodies in JSON as message records; bytes stay what they are. */
export function records(bodies: readonly unknown[], properties?: MessageProperties): Uint8Array {
  const writer = new ByteWriter()
  for (const body of bodies) {
    encodeMessage(
      writer,
      properties,
      body instanceof Uint8Array ? body : new TextEncoder().encode(JSON.stringify(body)),
    )
  }
  return writer.take()
}

/** What `records` was made of, with the properties of each. */
export function bodiesOf(
  messages: Uint8Array,
): { readonly body: unknown; readonly properties: MessageProperties | undefined }[] {
  const cursor = new MessageCursor().open(messages)
  const bodies = []
  for (let left = countMessages(messages); left > 0; left--) {
    cursor.next()
    const text = new TextDecoder().decode(cursor.body())
    bodies.push({ body: text === '' ? undefined : JSON.parse(text), properties: cursor.properties() })
  }
  return bodies
}

export function barrierRecord(more: ValueMap = {}): ValueMap {
  const stats = { published: 3, acked: 3, dead: 0, expired: 0, dropped: 0, carried: 0, first_published_at: 5 }
  return { sequence: 9, batch: 0, name: 'eof', outcome: 'clean', stats, published_at: 10, released_at: 20, ...more }
}

/** Lets the ends of this tick's promises and frames pass: what is not sent by then is not going to be. */
export async function quiet(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise<void>(resolve => setImmediate(resolve))
}
