import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { TLSSocket } from 'node:tls'

/** A request that a web page of another site may have had sent. */
export interface Foreign {
  readonly code: 'wrong-host' | 'foreign-origin' | 'two-hosts'
  readonly detail: string
}

/**
 * Tells what a web page of another site makes its reader's browser send.
 *
 * A page can post to us without asking, as long as it does not want to read the answer, and can open a WebSocket to
 * any host: such requests carry its `Origin`. And a page can have its own name resolved to our address (DNS
 * rebinding), and is then our origin: such requests carry its name as `Host`. An IP address or `localhost` cannot be
 * taken over like that. Programs send no origin.
 *
 * @param hosts names that are ours too, in lower case; absent: any, unless the request came in on a loopback address
 * @param origins whose pages may as well, as browsers write them (`https://host:port`); `*` is every origin
 */
export function whyForeign(
  request: IncomingMessage,
  hosts: readonly string[] | undefined,
  origins: readonly string[] = [],
): Foreign | undefined {
  const { host = '', origin } = request.headers
  // Node takes the first, what stands in front of us may have taken the last (RFC 9112, 3.2).
  if (hostsNamed(request) > 1) return { code: 'two-hosts', detail: 'a request names one host' }
  const name = host
    .toLowerCase()
    .replace(/:\d*$/, '')
    .replace(/^\[(.*)\]$/, '$1')
  const isChecked = hosts !== undefined || isLoopback(request.socket.localAddress ?? '')
  if (isChecked && !isOwnName(name) && hosts?.includes(name) !== true) {
    const detail = 'the host named is none of this server; the setting "hosts" lists those that are'
    return { code: 'wrong-host', detail }
  }
  if (origin === undefined || origins.includes('*') || origins.includes(origin)) return undefined
  if (isOwnOrigin(origin, host, request.socket instanceof TLSSocket)) return undefined
  return { code: 'foreign-origin', detail: 'pages of other origins may not use this server' }
}

/** From `127.0.0.1`, `::1`, `::ffff:127.0.0.1`. */
export function isLoopback(address: string): boolean {
  return address === '::1' || /^(?:::ffff:)?127\./.test(address)
}

/**
 * Only what browsers write is an origin: with a user, a path or capitals in it, it is made up. Over TLS a page that
 * came without cannot be ours: anybody on the way could have written it. Without TLS both can, since what stands in
 * front of us may be what speaks it.
 */
function isOwnOrigin(origin: string, host: string, isEncrypted: boolean): boolean {
  if (!URL.canParse(origin)) return false
  const { origin: written, host: from, protocol } = new URL(origin)
  if (written !== origin || (protocol !== 'https:' && (protocol !== 'http:' || isEncrypted))) return false
  // The port that goes without saying is left out of an origin, and may be said in a host.
  const own = `${protocol}//${host}`
  return /^[^/?#@\\\s]+$/.test(host) && URL.canParse(own) && new URL(own).host === from
}

function hostsNamed({ rawHeaders }: IncomingMessage): number {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    if (name.length === 4 && name.toLowerCase() === 'host') count += 1
  }
  return count
}

function isOwnName(name: string): boolean {
  return isIP(name) !== 0 || name === 'localhost' || name.endsWith('.localhost')
}
