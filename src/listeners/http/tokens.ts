import type { Principal } from '../../engine/peer.ts'
import { readCommand } from './body.ts'
import type { Exchange, Reply } from './exchange.ts'
import { Problem } from './problem.ts'
import type { Route } from './routes.ts'
import { BOOLEAN, DURATION, json, listOf, NOTHING, object, ref, SIZE, TEXT } from './schema.ts'

/** What an entry allows on queues whose name matches. */
interface Grant {
  readonly queue: string
  readonly rights: readonly string[]
  readonly filter?: string
}

interface Token {
  readonly name: string
  readonly grants: readonly Grant[]
  /** ms since the epoch. */
  readonly createdAt: number
  readonly expiresAt?: number
  /** Bytes. */
  readonly storedBytesMax?: number
  readonly storedBytes: number
  readonly hasSecret: boolean
}

interface TokenRefusal {
  readonly code: 'not-allowed' | 'invalid-token' | 'token-exists' | 'too-many-tokens' | 'no-such-token'
  readonly detail: string
  readonly facts?: Readonly<Record<string, string | number>>
}

interface Asker {
  readonly principal: Principal | undefined
  readonly address: string
}

/** Where tokens are made and taken away. It judges whether the asker may. */
export interface TokenDesk {
  list(by: Asker): readonly Token[] | TokenRefusal
  create(
    by: Asker,
    token: {
      readonly name: unknown
      readonly grants: unknown
      readonly expiresInMs?: number | undefined
      readonly storedBytesMax?: number | undefined
      readonly hasSecret?: boolean | undefined
    },
  ): { readonly token: Token; readonly secret?: string } | TokenRefusal
  revoke(by: Asker, name: string): 'revoked' | TokenRefusal
}

export const TOKEN_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/tokens',
    summary: 'List the tokens, without secrets',
    statuses: [200, 400, 404],
    right: 'server',
    answers: { 200: json(object({ tokens: listOf(ref('Token')) })) },
    handle: list,
  },
  {
    method: 'POST',
    path: '/v1/tokens',
    summary: 'Make a token; its secret is in the answer, this once',
    statuses: [201, 400, 404, 408, 409, 413, 415, 429],
    right: 'server',
    body: json(
      object(
        { name: TEXT, grants: listOf(ref('Grant')) },
        { expires: DURATION, stored_bytes_max: SIZE, has_secret: BOOLEAN },
      ),
    ),
    answers: { 201: json(ref('Token')) },
    handle: create,
  },
  {
    method: 'DELETE',
    path: '/v1/tokens/{token}',
    summary: 'Revoke a token: who is in by it is cut',
    statuses: [204, 400, 404],
    right: 'server',
    answers: { 204: NOTHING },
    handle: revoke,
  },
]

function list(exchange: Exchange): Reply {
  exchange.query.end()
  const tokens = granted(deskOf(exchange).list(askerOf(exchange)))
  return { status: 200, json: { tokens: tokens.map(showToken) } }
}

async function create(exchange: Exchange): Promise<Reply> {
  exchange.query.end()
  const command = await readCommand(exchange)
  const wish = {
    name: command.take('name'),
    grants: command.take('grants'),
    expiresInMs: command.durationMs('expires'),
    storedBytesMax: command.size('stored_bytes_max'),
    hasSecret: command.boolean('has_secret'),
  }
  command.end()
  const { token, secret } = granted(deskOf(exchange).create(askerOf(exchange), wish))
  return { status: 201, json: { ...showToken(token), secret } }
}

function revoke(exchange: Exchange): Reply {
  exchange.query.end()
  const answer = deskOf(exchange).revoke(askerOf(exchange), exchange.path['token']!)
  if (answer !== 'revoked') granted(answer)
  return { status: 204 }
}

function granted<T extends object>(answer: T | TokenRefusal): T {
  if (!('code' in answer && 'detail' in answer)) return answer
  throw new Problem(answer.code, answer.detail, answer.facts)
}

function deskOf({ connection }: Exchange): TokenDesk {
  const { tokens } = connection.shared
  if (tokens === undefined) throw new Problem('no-such-route', 'this server has no tokens')
  return tokens
}

function askerOf({ connection }: Exchange): Asker {
  return { principal: connection.principal, address: connection.wire.address }
}

function showToken({ name, grants, createdAt, expiresAt, storedBytesMax, storedBytes, hasSecret }: Token): object {
  return {
    name,
    grants,
    created_at: new Date(createdAt).toISOString(),
    expires_at: expiresAt === undefined ? undefined : new Date(expiresAt).toISOString(),
    stored_bytes_max: storedBytesMax,
    // Of a token that never had a quota there is nothing to tell.
    stored_bytes: storedBytesMax === undefined && storedBytes === 0 ? undefined : storedBytes,
    has_secret: hasSecret,
  }
}
