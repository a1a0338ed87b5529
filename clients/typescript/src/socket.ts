import { SUBPROTOCOL, WEBSOCKET_PATH } from '@sluice/protocol'

/** An open connection that carries whole binary messages, in order. */
export interface Socket {
  /** Takes the bytes over; the caller does not write to them again. */
  send(bytes: Uint8Array): void
  /** Asks the other end for a sign of life, where the platform can (`alive` tells that it came). */
  ping?(): void
  /** Sends what was given, then says goodbye. `closed` follows. */
  close(code?: number, reason?: string): void
  /** Ends the connection without waiting for anybody. */
  terminate(): void
}

/** What a socket tells; nothing after `closed`, which also follows an opening that failed. */
export interface SocketEvents {
  /** A whole message came. */
  received(bytes: Uint8Array): void
  /** The other end answered a ping or sent one. */
  alive(): void
  /**
   * The end.
   *
   * @param cause the error that ended it, if one did
   */
  closed(reason: string, cause?: Error): void
}

/** Opens a connection. @throws (rejects) when the other end cannot be reached. */
export type SocketFactory = (url: string, events: SocketEvents) => Promise<Socket>

/** Largest WebSocket message taken, in bytes: above it any frame of a server, whose `message_max` may be 256 MiB. */
const RECEIVED_BYTES_MAX = 320 * 1024 * 1024

/** PEM for `wss:` and `https:`; in Node only, for a browser has its own. */
export interface TlsOptions {
  /** CAs that the server's certificate may be of, instead of those that come with Node. */
  readonly ca?: Pem | readonly Pem[]
  /** Who we are, to a server that asks for it, with what is between it and the CA. */
  readonly cert?: Pem
  /** Its private key. */
  readonly key?: Pem
}

/** A certificate or key in PEM. */
export type Pem = string | Uint8Array

/**
 * Opens `ws` in Node (it can ping), else the platform's `WebSocket`.
 *
 * @param tls called for each connection, so that renewed certificates are used after a reconnect
 */
export function socketFactory(tls?: TlsOptions | (() => TlsOptions)): SocketFactory {
  if (isNode()) return (url, events) => openNodeSocket(url, events, typeof tls === 'function' ? tls() : tls)
  if (tls !== undefined) throw new TypeError('tls: a browser has its own certificates; the option is for Node')
  return openBrowserSocket
}

/**
 * The address to open: `http:` and `https:` are taken as `ws:` and `wss:`, and the path is the server's own unless one is given.
 *
 * @throws TypeError when it is no URL
 */
export function socketUrl(url: string): string {
  const parsed = new URL(url)
  parsed.protocol = parsed.protocol.replace(/^http/, 'ws')
  if (parsed.pathname === '/' || parsed.pathname === '') parsed.pathname = WEBSOCKET_PATH
  return parsed.href
}

function isNode(): boolean {
  return typeof process === 'object' && typeof process.versions?.node === 'string'
}

async function openNodeSocket(url: string, events: SocketEvents, tls: TlsOptions = {}): Promise<Socket> {
  // Not imported at the top: a browser's bundle must not contain it.
  const { WebSocket } = await import('ws')
  const socket = new WebSocket(url, SUBPROTOCOL, {
    perMessageDeflate: false,
    maxPayload: RECEIVED_BYTES_MAX,
    ...(tls.ca === undefined ? {} : { ca: [tls.ca].flat().map(pemText) }),
    ...(tls.cert === undefined ? {} : { cert: pemText(tls.cert) }),
    ...(tls.key === undefined ? {} : { key: pemText(tls.key) }),
    // Said, so that NODE_TLS_REJECT_UNAUTHORIZED cannot unsay it: a server that nobody has checked gets no token.
    rejectUnauthorized: true,
  })
  return new Promise((resolve, reject) => {
    let failure: Error | undefined
    socket.on('open', () =>
      resolve({
        send: bytes => socket.send(bytes),
        ping: () => socket.ping(),
        close: (code, reason) => socket.close(code, reason),
        terminate: () => socket.terminate(),
      }),
    )
    socket.on('message', data => events.received(data as Buffer))
    socket.on('ping', events.alive)
    socket.on('pong', events.alive)
    // `close` always follows; without a listener an error would end the process.
    socket.on('error', error => {
      failure = error
    })
    socket.on('close', (code, reason) => {
      const why = failure?.message || closeText(code, reason.toString())
      reject(failure ?? new Error(why))
      events.closed(why, failure)
    })
  })
}

function pemText(pem: Pem): string {
  return typeof pem === 'string' ? pem : new TextDecoder().decode(pem)
}

/** The little of the browser's `WebSocket` that is used here. */
interface BrowserSocket {
  binaryType: string
  onopen: (() => void) | null
  onmessage: ((event: { readonly data: ArrayBuffer }) => void) | null
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null
  send(bytes: Uint8Array): void
  close(code?: number, reason?: string): void
}

function openBrowserSocket(url: string, events: SocketEvents): Promise<Socket> {
  const { WebSocket } = globalThis as unknown as { WebSocket: new (url: string, protocol: string) => BrowserSocket }
  const socket = new WebSocket(url, SUBPROTOCOL)
  socket.binaryType = 'arraybuffer'
  return new Promise((resolve, reject) => {
    socket.onopen = () =>
      resolve({
        send: bytes => socket.send(bytes),
        close: (code, reason) => socket.close(code, reason),
        // A browser has nothing harder; whoever terminates does not listen any more.
        terminate: () => socket.close(),
      })
    socket.onmessage = event => events.received(new Uint8Array(event.data))
    socket.onclose = ({ code, reason }) => {
      reject(new Error(closeText(code, reason)))
      events.closed(closeText(code, reason))
    }
  })
}

function closeText(code: number, reason: string): string {
  return reason === '' ? `closed with code ${code}` : `closed with code ${code}: ${reason}`
}
