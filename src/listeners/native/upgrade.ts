import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { SUBPROTOCOL, WEBSOCKET_PATH } from '@sluice/protocol'

/** An upgrade request that is turned down: status and a line for people. */
export interface Rejection {
  readonly status: 400 | 403 | 404 | 503
  readonly reason: string
}

export interface UpgradeRules {
  /** Origins beside the server's own whose pages may connect, as `https://host:port`; `*` lets all. */
  readonly origins: readonly string[]
  /** Whether one more connection can be taken. */
  hasRoom(): boolean
}

const TEXTS: Readonly<Record<Rejection['status'], string>> = {
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  503: 'Service Unavailable',
}

export function isNativePath(url: string | undefined): boolean {
  return url === WEBSOCKET_PATH || url?.startsWith(`${WEBSOCKET_PATH}?`) === true
}

/** @returns why a request for the native path may not become a connection. */
export function whyRejected(request: IncomingMessage, rules: UpgradeRules): Rejection | undefined {
  if (!isOriginAllowed(request, rules.origins)) return { status: 403, reason: 'this origin may not connect' }
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map(name => name.trim())
  if (!offered.includes(SUBPROTOCOL)) return { status: 400, reason: `the sub-protocol ${SUBPROTOCOL} must be offered` }
  if (!rules.hasRoom()) return { status: 503, reason: 'the server has all connections it may have' }
  return undefined
}

/**
 * A browser lets any page open a WebSocket to any host and only tells where the page is from; so it is here that a
 * stranger's page is kept from a queue that its visitor can reach. Programs send no origin.
 */
function isOriginAllowed({ headers }: IncomingMessage, allowed: readonly string[]): boolean {
  const { origin, host } = headers
  if (origin === undefined || allowed.includes('*') || allowed.includes(origin)) return true
  return URL.canParse(origin) && new URL(origin).host === host
}

export function reject(socket: Duplex, { status, reason }: Rejection): void {
  socket.once('finish', () => socket.destroy())
  const head = `HTTP/1.1 ${status} ${TEXTS[status]}\r\nConnection: close\r\nContent-Type: text/plain\r\n`
  socket.end(`${head}Content-Length: ${Buffer.byteLength(reason)}\r\n\r\n${reason}`)
}
