import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { SUBPROTOCOL, WEBSOCKET_PATH } from '@sluice/protocol'
import { type Foreign, whyForeign } from '../../net/source.ts'

/** An upgrade request that is turned down: status and a line for people. */
export interface Rejection {
  readonly status: 400 | 403 | 404 | 421 | 503
  readonly reason: string
}

export interface UpgradeRules {
  /** Names of this server; see net/source.ts. */
  readonly hosts: readonly string[] | undefined
  /** Origins beside the server's own whose pages may connect, as `https://host:port`; `*` lets all. */
  readonly origins: readonly string[]
  /** Whether one more connection can be taken. */
  hasRoom(): boolean
}

const TEXTS: Readonly<Record<Rejection['status'], string>> = {
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  421: 'Misdirected Request',
  503: 'Service Unavailable',
}

export function isNativePath(url: string | undefined): boolean {
  return url === WEBSOCKET_PATH || url?.startsWith(`${WEBSOCKET_PATH}?`) === true
}

const STATUSES: Readonly<Record<Foreign['code'], Rejection['status']>> = {
  'wrong-host': 421,
  'foreign-origin': 403,
  'two-hosts': 400,
}

/** @returns why a request for the native path may not become a connection. */
export function whyRejected(request: IncomingMessage, rules: UpgradeRules): Rejection | undefined {
  const foreign = whyForeign(request, rules.hosts, rules.origins)
  if (foreign !== undefined) return { status: STATUSES[foreign.code], reason: foreign.detail }
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map(name => name.trim())
  if (!offered.includes(SUBPROTOCOL)) return { status: 400, reason: `the sub-protocol ${SUBPROTOCOL} must be offered` }
  if (!rules.hasRoom()) return { status: 503, reason: 'the server has all connections it may have' }
  return undefined
}

export function reject(socket: Duplex, { status, reason }: Rejection): void {
  socket.once('finish', () => socket.destroy())
  const head = `HTTP/1.1 ${status} ${TEXTS[status]}\r\nConnection: close\r\nContent-Type: text/plain\r\n`
  socket.end(`${head}Content-Length: ${Buffer.byteLength(reason)}\r\n\r\n${reason}`)
}
