import type { SocketFactory } from '@sluice/client'
import { type ConnectionWatch, connectionWatch } from './connection-watch.ts'
import type { FaultPoints } from './fault-points.ts'
import type { Life, Loop } from './loop.ts'
import type { Random } from './random.ts'

/** What one end sends: a WebSocket message, or a control frame. */
type Item =
  | { readonly kind: 'message'; readonly bytes: Uint8Array }
  | { readonly kind: 'ping' | 'pong' }
  | { readonly kind: 'close'; readonly code: number; readonly reason: string }

/** How long an end waits for the other's close, in ms. */
const CLOSE_MS = 2_000
const HEAD_BYTES = 6

type Listener = (...args: readonly never[]) => void

/** Of one kind of event each; what of `EventEmitter` the server's side uses. */
class Events {
  readonly #listeners = new Map<string, Listener[]>()

  on(event: string, listener: Listener): this {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener])
    return this
  }

  emit(event: string, ...args: readonly unknown[]): void {
    for (const listener of this.#listeners.get(event) ?? []) listener(...(args as never[]))
  }
}

/**
 * One way of a connection: bytes in order, each message after the one before. A message whose last byte does not get
 * through is lost whole, and everything after it.
 */
class Way {
  readonly #loop: Loop
  readonly #random: Random
  readonly #arrive: (item: Item) => void
  readonly #latencyMs: number
  readonly #bytesPerMs: number
  #sentBytes = 0
  #leftAt = 0
  #arrivedAt = 0
  /** Nothing arrives before. */
  #stalledUntil = 0
  /** Bytes of the stream that get through. */
  #endsAt = Number.POSITIVE_INFINITY
  buffered = 0
  isCut = false
  /** Called when the first byte is lost. */
  broken: () => void = () => {}

  constructor(loop: Loop, random: Random, speed: number, arrive: (item: Item) => void) {
    this.#loop = loop
    this.#random = random
    this.#arrive = arrive
    this.#latencyMs = random.int(0, 12)
    this.#bytesPerMs = random.chance(0.1) ? random.int(2, 20) * speed : 10_000 * speed
  }

  send(item: Item, sent: () => void = () => {}): void {
    const { now } = this.#loop
    const size = HEAD_BYTES + (item.kind === 'message' ? item.bytes.length : 0)
    this.#sentBytes += size
    this.#loop.trace(`${item.kind} ${size}`)
    const isLost = this.isCut || this.#sentBytes > this.#endsAt
    this.buffered += size
    this.#leftAt = Math.max(now, this.#leftAt, this.#stalledUntil) + Math.floor(size / this.#bytesPerMs)
    const arrival = this.#leftAt + this.#random.int(0, this.#latencyMs)
    this.#arrivedAt = Math.max(this.#arrivedAt, arrival)
    this.#loop.at(this.#leftAt, () => {
      this.buffered -= size
      if (!this.isCut) sent()
    })
    this.#loop.at(this.#arrivedAt, () => {
      if (this.isCut) return
      if (isLost) this.broken()
      else this.#arrive(item)
    })
  }

  /** Nothing moves for a while. */
  stall(ms: number): void {
    this.#stalledUntil = Math.max(this.#stalledUntil, this.#loop.now + ms)
  }

  /** Only so many more bytes get through. */
  cutAfter(bytes: number): void {
    this.#endsAt = Math.min(this.#endsAt, this.#sentBytes + bytes)
  }
}

/** A connection between a client and the server. */
class Connection {
  readonly client: Life
  readonly server: Life
  readonly #network: Network
  readonly #up: Way
  readonly #down: Way
  readonly #random: Random
  /** The server's WebSocket and the socket below it, as the listener sees them. */
  readonly socket: Events
  readonly wire: Events
  readonly #watch: ConnectionWatch
  #clientEvents: Parameters<SocketFactory>[1]
  #isClientOpen = true
  #isServerOpen = true

  constructor(
    network: Network,
    ends: { client: Life; server: Life; watch: ConnectionWatch },
    clientEvents: Parameters<SocketFactory>[1],
  ) {
    const { loop, random, speed, points } = network
    this.#network = network
    this.#random = random
    this.client = ends.client
    this.server = ends.server
    this.#watch = ends.watch
    this.#clientEvents = clientEvents
    this.#up = new Way(loop, random, speed, item => this.#atServer(item))
    this.#down = new Way(loop, random, speed, item => this.#atClient(item))
    this.#up.broken = () => this.cut()
    this.#down.broken = () => this.cut()
    const down = this.#down
    this.wire = Object.assign(new Events(), { setNoDelay: () => {} })
    this.socket = Object.assign(new Events(), {
      send: (bytes: Uint8Array, sent: () => void) => {
        if (!this.#isServerOpen || !this.server.isAlive) return
        const frames = this.#watch.sent(bytes)
        if (!frames.every(name => points.pass(this.server, `send:${name}`))) return
        down.send({ kind: 'message', bytes }, () => {
          if (this.#isServerOpen && frames.every(name => points.pass(this.server, `sent:${name}`))) this.#sent(sent)
        })
      },
      ping: () => {
        if (this.#isServerOpen && this.server.isAlive) down.send({ kind: 'ping' })
      },
      close: (code: number, reason: string) => this.#serverCloses(code, reason),
      terminate: () => this.#serverTerminates(),
    })
    Object.defineProperty(this.socket, 'bufferedAmount', { get: () => down.buffered })
  }

  #sent(sent: () => void): void {
    if (this.server.isAlive && this.#isServerOpen) sent()
  }

  // ── the client's end ───────────────────────────────────────────────────────────────────────────────────────────

  get clientSocket(): Awaited<ReturnType<SocketFactory>> {
    return {
      send: bytes => this.#clientSends({ kind: 'message', bytes }),
      ping: () => this.#clientSends({ kind: 'ping' }),
      close: (code = 1000, reason = '') => {
        this.#network.ended(this)
        this.#clientSends({ kind: 'close', code, reason })
        this.#network.loop.after(CLOSE_MS, () => this.clientGone('no answer to the close'))
      },
      terminate: () => {
        this.#network.ended(this)
        this.clientGone('terminated')
        this.#network.loop.after(1, () => this.serverGone())
      },
    }
  }

  #clientSends(item: Item): void {
    if (this.#isClientOpen && this.client.isAlive) this.#up.send(item)
  }

  #atClient(item: Item): void {
    if (!this.#isClientOpen || !this.client.isAlive) return
    if (item.kind === 'message') {
      this.#network.tapped(this, item.bytes)
      this.#clientEvents.received(item.bytes)
    } else if (item.kind === 'close') {
      this.clientGone(`closed with code ${item.code}: ${item.reason}`)
      this.#up.send({ kind: 'close', code: item.code, reason: item.reason })
    } else {
      this.#clientEvents.alive()
      if (item.kind === 'ping') this.#clientSends({ kind: 'pong' })
    }
  }

  clientGone(why: string): void {
    if (!this.#isClientOpen) return
    this.#isClientOpen = false
    this.#network.ended(this)
    if (this.client.isAlive) this.#clientEvents.closed(why)
  }

  // ── the server's end ───────────────────────────────────────────────────────────────────────────────────────────

  #atServer(item: Item): void {
    if (!this.#isServerOpen || !this.server.isAlive) return
    this.wire.emit('data', Buffer.alloc(HEAD_BYTES))
    if (item.kind === 'message') {
      const frames = this.#watch.received(item.bytes)
      this.server.guard(() => this.socket.emit('message', Buffer.from(item.bytes), true))
      for (const name of frames) this.#network.points.pass(this.server, `received:${name}`)
    } else if (item.kind === 'ping') this.#down.send({ kind: 'pong' })
    else if (item.kind === 'close') {
      this.#down.send({ kind: 'close', code: item.code, reason: item.reason })
      this.serverGone()
    }
  }

  #serverCloses(code: number, reason: string): void {
    if (!this.#isServerOpen || !this.server.isAlive) return
    this.#network.ended(this)
    this.#down.send({ kind: 'close', code, reason })
    this.server.after(CLOSE_MS, () => this.serverGone())
  }

  #serverTerminates(): void {
    if (!this.server.isAlive) return
    this.#network.ended(this)
    this.server.soon(() => this.serverGone())
    this.#network.loop.after(this.#random.int(0, 50), () => this.clientGone('reset by peer'))
  }

  serverGone(): void {
    if (!this.#isServerOpen) return
    this.#isServerOpen = false
    this.#network.gone(this)
    this.#network.ended(this)
    if (this.server.isAlive) this.socket.emit('close')
  }

  // ── what happens to it ─────────────────────────────────────────────────────────────────────────────────────────

  /** Broken: each end notices soon, or only by the silence. */
  cut(
    how: 'both' | 'client' | 'server' | 'none' = this.#random.pick(['both', 'both', 'client', 'server', 'none']),
  ): void {
    if (this.#up.isCut) return
    this.#network.loop.trace(`cut ${how}`)
    this.#up.isCut = true
    this.#down.isCut = true
    const { loop } = this.#network
    if (how === 'both' || how === 'client')
      loop.after(this.#random.int(0, 40), () => this.clientGone('connection reset'))
    if (how === 'both' || how === 'server') loop.after(this.#random.int(0, 40), () => this.serverGone())
  }

  /**
   * The server's process is gone: its kernel still sends what it was given and says so, or the connection is reset, or
   * the machine went with it and nobody says anything.
   */
  serverDied(how: ServerDeath): void {
    this.#isServerOpen = false
    if (how === 'sent') {
      this.#up.isCut = true
      this.#down.send({ kind: 'close', code: 1006, reason: 'the process is gone' })
    } else this.cut(how === 'silent' ? 'none' : 'client')
  }

  disturb(): void {
    const way = this.#random.pick([this.#up, this.#down])
    const how = this.#random.weighted({ cut: 3, cutAt: 4, stall: 4 })
    if (how === 'cut') this.cut()
    else if (how === 'cutAt') way.cutAfter(this.#random.int(0, 400))
    else way.stall(this.#random.chance(0.7) ? this.#random.int(50, 3_000) : this.#random.int(5_000, 30_000))
  }
}

export type ServerDeath = 'sent' | 'reset' | 'silent'

export interface NetworkEvents {
  /** A connection is over for one of its ends, or will be. */
  ended(client: Life): void
  /** A message is about to be read by a client. */
  tapped(client: Life, bytes: Uint8Array): void
}

/** Whoever takes connections. */
export interface Accepting {
  readonly life: Life
  accept(socket: object, wire: object): void
  acceptHttp(socket: object): void
}

/** All connections of a world. */
export class Network {
  readonly loop: Loop
  readonly random: Random
  readonly speed: number
  readonly points: FaultPoints
  readonly #events: NetworkEvents
  readonly #connections = new Set<Connection>()
  readonly #over = new WeakSet<Connection>()
  server: Accepting | undefined
  /** New connections fail. */
  isPartitioned = false

  /** @param speed what messages are larger than usual, connections are faster */
  constructor(parts: { loop: Loop; random: Random; points: FaultPoints }, speed: number, events: NetworkEvents) {
    this.loop = parts.loop
    this.random = parts.random
    this.points = parts.points
    this.speed = speed
    this.#events = events
  }

  /** How a client opens connections. */
  factory(client: Life, door: 'native' | 'http' = 'native'): SocketFactory {
    return async (_url, events) => {
      await client.sleep(this.random.int(0, 20))
      const { server } = this
      if (server === undefined || this.isPartitioned) throw new Error('connection refused')
      const watch = connectionWatch(this.points, door)
      const connection = new Connection(this, { client, server: server.life, watch }, events)
      this.#connections.add(connection)
      if (door === 'http') server.acceptHttp(connection.socket)
      else server.accept(connection.socket, connection.wire)
      return connection.clientSocket
    }
  }

  ended(connection: Connection): void {
    if (this.#over.has(connection)) return
    this.#over.add(connection)
    this.#events.ended(connection.client)
  }

  gone(connection: Connection): void {
    this.#connections.delete(connection)
  }

  /** What comes after the server has ended a connection says nothing of what holds now. */
  tapped(connection: Connection, bytes: Uint8Array): void {
    if (!this.#over.has(connection)) this.#events.tapped(connection.client, bytes)
  }

  /** Something happens to one of the connections. */
  disturb(): void {
    const open = [...this.#connections]
    if (open.length > 0) this.random.pick(open).disturb()
  }

  /** A client's process is gone; its kernel tells the server, or the machine went with it. */
  clientDied(client: Life, isSilent: boolean): void {
    for (const connection of this.#connections)
      if (connection.client === client) connection.cut(isSilent ? 'none' : 'server')
  }

  serverDied(server: Life, how: ServerDeath): void {
    for (const connection of this.#connections) {
      if (connection.server !== server) continue
      this.#connections.delete(connection)
      this.ended(connection)
      connection.serverDied(how)
    }
  }
}
