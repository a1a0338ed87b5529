import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { Problem } from './problem.ts'

/**
 * Refuses what a web page of another site makes its reader's browser send.
 *
 * A page can post to us without asking, as long as it does not want to read the answer: such requests carry its
 * `Origin`. And a page can have its own name resolved to our address (DNS rebinding), and is then our origin: such
 * requests carry its name as `Host`. An IP address or `localhost` cannot be taken over like that.
 *
 * @param hosts names that are ours too; absent: any, unless the request came in on a loopback address
 * @throws Problem `wrong-host`, `foreign-origin`
 */
export function checkSource(request: IncomingMessage, hosts: readonly string[] | undefined): void {
  const host = (request.headers.host ?? '').toLowerCase()
  const name = host.replace(/:\d*$/, '').replace(/^\[(.*)\]$/, '$1')
  const isChecked = hosts !== undefined || isLoopback(request.socket.localAddress ?? '')
  if (isChecked && !isOwnName(name) && hosts?.includes(name) !== true) {
    const detail = 'the host named is none of this server; the option "hosts" lists those that are'
    throw new Problem('wrong-host', detail, { header: 'host' })
  }
  const { origin } = request.headers
  if (origin !== undefined && hostOf(origin) !== host) {
    throw new Problem('foreign-origin', 'pages of other origins may not use this server', { header: 'origin' })
  }
}

function isOwnName(name: string): boolean {
  return isIP(name) !== 0 || name === 'localhost' || name.endsWith('.localhost')
}

function isLoopback(address: string): boolean {
  return address === '::1' || /^(?:::ffff:)?127\./.test(address)
}

function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined
}
