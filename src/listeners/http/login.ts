import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Doorkeeper, Principal } from '../../engine/peer.ts'
import { isRefusal, Problem } from './problem.ts'
import type { Wire } from './wire.ts'

/** How a listener finds out who asks. */
export interface LoginRules {
  /** Absent: nobody is asked who he is. */
  readonly doorkeeper?: Doorkeeper
  /** The name in the client certificate of a socket, if TLS has verified one. */
  readonly certificateOf?: (socket: Socket) => string | undefined
}

/**
 * Who sends a request: each says so anew, with `Authorization: Bearer`.
 *
 * @throws Problem `unauthenticated`, the same for a token that is absent, wrong, expired or revoked; `server-busy` while
 *   the address is blocked
 */
export function principalOf(request: IncomingMessage, wire: Wire, rules: LoginRules): Principal | undefined {
  const { doorkeeper, certificateOf } = rules
  if (doorkeeper === undefined) return undefined
  const [, secret] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? []
  // Whoever shows something else than a token is not judged by his certificate: what he shows is wrong.
  const shown = secret ?? (request.headers.authorization === undefined ? undefined : 'none')
  const login = { secret: shown, certificate: certificateOf?.(request.socket), address: wire.address, via: 'http' }
  const answer = doorkeeper.login(login, principal => wire.isInside(principal))
  if (!isRefusal(answer)) return answer
  if (answer.code === 'unauthenticated') throw unauthenticated(answer.detail)
  const seconds = answer.facts?.['retry_after_s']
  throw new Problem(answer.code, answer.detail, answer.facts, { 'retry-after': String(seconds ?? 1) })
}

/** RFC 6750, 3: the scheme to use, and nothing of what was wrong. */
export function unauthenticated(detail: string): Problem {
  return new Problem('unauthenticated', detail, {}, { 'www-authenticate': 'Bearer realm="sluice"' })
}
