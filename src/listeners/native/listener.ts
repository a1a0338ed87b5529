import type { IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { SUBPROTOCOL } from '@sluice/protocol'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Doorkeeper, Engine } from '../../engine/peer.ts'
import type { PublishRates } from '../../net/publish-rate.ts'
import type { SendBuffers } from '../../net/send-buffers.ts'
import { NativeConnection, payloadBytesMax } from './connection.ts'
import { Heartbeat } from './heartbeat.ts'
import type { NativeClock } from './outgoing.ts'
import { isNativePath, reject, whyRejected } from './upgrade.ts'

/** Bytes that may come in before the hello is accepted; the frame in them is at most 4 KiB. */
const BYTES_BEFORE_HELLO_MAX: number = 64 * 1024
/** Time for a peer to answer a close before its socket is cut, in ms. */
const CLOSE_MS = 2_000
/** A message of many fragments costs memory for each (CVE-2026-48779); clients that split at all split in few. */
const FRAGMENTS_MAX = 64
const BUFFERED_CHUNKS_MAX = 8_192
/** @types/ws does not know this option yet. */
const NOT_IN_TYPES: object = { closeTimeout: CLOSE_MS }
const CONNECTIONS_MAX_DEFAULT = 10_000

export interface NativeListenerOptions {
  /** Named in the welcome, such as `sluice/0.1.0`. */
  readonly serverName?: string
  /** Names of this server, as in net/source.ts. */
  readonly hosts?: readonly string[]
  /** Origins beside the server's own whose pages may connect; `*` lets all. */
  readonly origins?: readonly string[]
  /** Absent: all may come in, and nobody is asked who he is. */
  readonly doorkeeper?: Doorkeeper
  /** The name in the client certificate of a socket, if TLS has verified one. */
  readonly certificateOf?: (socket: Socket) => string | undefined
  readonly connectionsMax?: number
  /** For a client that does not ask for one, in ms. */
  readonly heartbeatMs?: number
  /** Publish bytes of a connection that may wait for their answer. */
  readonly windowBytes?: number
  /** How fast a principal, or without one each connection, may publish; default as fast as it can. */
  readonly rates?: PublishRates
  /** What waits to be sent, by all connections of the server. */
  readonly sendBuffers?: SendBuffers
  readonly clock?: NativeClock
  /** Told of what a client did to its socket. Default: nobody. */
  readonly onSocketError?: (error: Error, address: string) => void
}

export interface NativeListener {
  /** Says goodbye to all and waits until they are gone, two seconds at most. The HTTP server stays as it is. */
  close(): Promise<void>
  connections(): number
}

const systemClock: NativeClock = {
  now: () => performance.now(),
  after(ms, task) {
    const timer = setTimeout(task, ms)
    return () => clearTimeout(timer)
  },
  soon: task => void setImmediate(task),
}

/** Serves the native protocol on `/v1/ws` of an HTTP server. */
export function attachNative(server: Server, engine: Engine, options: NativeListenerOptions = {}): NativeListener {
  const sockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: payloadBytesMax(engine),
    maxFragments: FRAGMENTS_MAX,
    maxBufferedChunks: BUFFERED_CHUNKS_MAX,
    ...NOT_IN_TYPES,
    handleProtocols: () => SUBPROTOCOL,
  })
  const connections = new Set<NativeConnection>()
  let allGone: (() => void) | undefined
  const rules = {
    hosts: options.hosts,
    origins: options.origins ?? [],
    hasRoom: () => connections.size < (options.connectionsMax ?? CONNECTIONS_MAX_DEFAULT),
  }

  function open(socket: WebSocket, wire: Socket, address: string): void {
    const connection = connect({ socket, wire, address, engine, options })
    connections.add(connection)
    socket.on('close', () => {
      connections.delete(connection)
      if (connections.size === 0) allGone?.()
    })
  }

  function onUpgrade(request: IncomingMessage, wire: Duplex, head: Buffer): void {
    // Without a listener an error of a socket, a reset for example, ends the process.
    wire.on('error', error => {
      options.onSocketError?.(error, request.socket.remoteAddress ?? '')
      wire.destroy()
    })
    if (!isNativePath(request.url)) {
      if (server.listenerCount('upgrade') === 1) reject(wire, { status: 404, reason: 'there is nothing to upgrade to' })
      return
    }
    const rejection = allGone === undefined ? whyRejected(request, rules) : SHUTTING_DOWN
    if (rejection !== undefined) {
      reject(wire, rejection)
      return
    }
    const { remoteAddress, remotePort } = request.socket
    sockets.handleUpgrade(request, wire, head, socket => open(socket, request.socket, `${remoteAddress}:${remotePort}`))
  }

  server.on('upgrade', onUpgrade)
  return {
    connections: () => connections.size,
    async close() {
      server.off('upgrade', onUpgrade)
      const gone = new Promise<void>(resolve => {
        allGone = resolve
      })
      for (const connection of connections) connection.end({ code: 'shutting-down', detail: 'the server stops' })
      if (connections.size > 0) await gone
    },
  }
}

const SHUTTING_DOWN = { status: 503, reason: 'the server stops' } as const

interface Parts {
  readonly socket: WebSocket
  /** What the WebSocket runs over. */
  readonly wire: Socket
  readonly address: string
  readonly engine: Engine
  readonly options: NativeListenerOptions
}

/** Ties a connection to its socket. */
export function connect({ socket, wire, address, engine, options }: Parts): NativeConnection {
  const clock = options.clock ?? systemClock
  const { doorkeeper, certificateOf } = options
  const certificate = certificateOf?.(wire)
  const remote = wire.remoteAddress ?? 'unknown'
  let heartbeat: Heartbeat | undefined
  let bytesBeforeHello = 0
  // First of all: a bad WebSocket frame is an 'error', and one without a listener ends the process.
  socket.on('error', error => {
    options.onSocketError?.(error, address)
    // ws answers with a close and waits for the peer's: what it held need not wait for that.
    connection.closed()
  })
  wire.setNoDelay(true)

  const written = () => connection.written()
  const connection: NativeConnection = new NativeConnection({
    engine,
    clock,
    address,
    serverName: options.serverName ?? 'sluice',
    ...(options.heartbeatMs !== undefined && { heartbeatMs: options.heartbeatMs }),
    ...(options.windowBytes !== undefined && { windowBytes: options.windowBytes }),
    ...(options.rates !== undefined && { rates: options.rates }),
    ...(options.sendBuffers !== undefined && { sendBuffers: options.sendBuffers }),
    ...(doorkeeper !== undefined && {
      login: (secret: string) =>
        doorkeeper.login({ secret: secret || undefined, certificate, address: remote, via: 'native' }),
    }),
    socket: {
      send: bytes => socket.send(bytes, written),
      buffered: () => socket.bufferedAmount,
      close(code, reason) {
        if (reason === 'too-slow') socket.terminate()
        else socket.close(code, reason)
      },
    },
    welcomed(heartbeatMs) {
      const silent = () => socket.terminate()
      heartbeat = new Heartbeat(clock, heartbeatMs, { ping: () => socket.ping(), silent })
    },
  })

  wire.on('data', (chunk: Buffer) => {
    heartbeat?.heard()
    if (heartbeat !== undefined) return
    bytesBeforeHello += chunk.length
    if (bytesBeforeHello > BYTES_BEFORE_HELLO_MAX) socket.terminate()
  })
  socket.on('message', (data: Buffer, isBinary: boolean) => {
    if (isBinary) connection.receive(data)
    else connection.receiveText()
  })
  socket.on('close', () => {
    heartbeat?.stop()
    connection.closed()
  })
  return connection
}
