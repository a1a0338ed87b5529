import type { ConnectionView } from '../../engine/peer.ts'
import type { Exchange, Reply } from './exchange.ts'
import { accepted, badRequest, Problem } from './problem.ts'
import type { Route } from './routes.ts'
import { json, listOf, NOTHING, object, ref } from './schema.ts'

/* Who is connected, by whatever protocol. */

export const CONNECTION_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/connections',
    summary: 'List the connections of clients, native ones and those of HTTP',
    statuses: [200, 400],
    right: 'server',
    answers: { 200: json(object({ connections: listOf(ref('Connection')) })) },
    handle: list,
  },
  {
    method: 'DELETE',
    path: '/v1/connections/{connection}',
    summary: 'Cut a connection: what it holds returns at once, and an SDK client connects again',
    statuses: [204, 400, 404],
    right: 'server',
    answers: { 204: NOTHING },
    handle: disconnect,
  },
]

function list({ connection, query }: Exchange): Reply {
  query.end()
  return { status: 200, json: { connections: accepted(connection.peer.connections()).map(showConnection) } }
}

function disconnect({ connection, path, query }: Exchange): Reply {
  const text = path['connection']!
  const id = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(id)) throw badRequest('a connection has a number from 1', { parameter: 'connection' })
  query.end()
  const { peer } = connection
  const isOwn = id === peer.id
  // Its own goes when it has the answer.
  const answer = isOwn ? (peer.mayAdminister() ?? 'done') : peer.disconnect(id)
  if (answer === 'done') return { status: 204, ...(isOwn ? { headers: { connection: 'close' } } : {}) }
  if (answer !== 'unknown') throw Problem.of(answer)
  throw new Problem('no-such-connection', `there is no connection ${id}`, { connection: id })
}

function showConnection(view: ConnectionView): object {
  const { id, name, protocol, address, principal, since, subscriptions, pulls, creditUsed, bufferedBytes } = view
  return {
    id,
    name,
    protocol,
    address,
    principal,
    since: new Date(since).toISOString(),
    subscriptions,
    pulls,
    credit_used: creditUsed,
    buffered_bytes: bufferedBytes,
  }
}
