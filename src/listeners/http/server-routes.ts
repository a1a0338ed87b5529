import { PROTOCOL_VERSION } from '@sluice/protocol'
import type { Exchange, Reply } from './exchange.ts'
import { Problem } from './problem.ts'
import type { Route } from './routes.ts'
import { json, object, oneOf, ref, TEXT } from './schema.ts'

/* How the server is: for machines that start and watch it, and for those who run it. */

/** Who knows how the server is. */
export interface Reporting {
  readonly contentType: string
  metrics(streams: number): Promise<string>
  facts(): Promise<object>
}

export const SERVER_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/livez',
    summary: 'The process answers',
    statuses: [200, 400],
    right: 'none',
    answers: { 200: json(object({ status: oneOf('live') })) },
    handle: livez,
  },
  {
    method: 'GET',
    path: '/readyz',
    summary: 'The server serves, or why not',
    statuses: [200, 400, 503],
    right: 'none',
    answers: { 200: json(object({ status: oneOf('ready') })) },
    handle: readyz,
  },
  {
    method: 'GET',
    path: '/metrics',
    summary: 'What the server counts, in the text format of Prometheus',
    statuses: [200, 400, 404],
    right: 'server',
    answers: { 200: { 'text/plain': TEXT } },
    handle: metrics,
  },
  {
    method: 'GET',
    path: '/v1/server',
    summary: 'Facts about the server; with admin on * also how it is',
    statuses: [200, 400],
    right: 'token',
    answers: { 200: json(ref('Server')) },
    handle: server,
  },
  {
    method: 'GET',
    path: '/v1/openapi.json',
    summary: 'All this, as OpenAPI 3.1',
    statuses: [200, 400],
    right: 'token',
    answers: { 200: json({ type: 'object', additionalProperties: true }) },
    handle: description,
  },
]

function livez({ query }: Exchange): Reply {
  query.end()
  return { status: 200, json: { status: 'live' } }
}

function readyz({ connection, query }: Exchange): Reply {
  query.end()
  const { ready, reason } = connection.engine.readiness()
  if (!ready) throw new Problem('server-busy', `not ready: ${reason ?? 'no reason is known'}`)
  return { status: 200, json: { status: 'ready' } }
}

/** They count the messages of everybody, and name the queues. */
async function metrics({ connection, query }: Exchange): Promise<Reply> {
  query.end()
  const refusal = connection.peer.mayAdminister()
  if (refusal !== undefined) throw Problem.of(refusal)
  const { reporting, streams } = connection.shared
  if (reporting === undefined) throw new Problem('no-such-route', 'this server measures nothing')
  return {
    status: 200,
    text: await reporting.metrics(streams.open),
    headers: { 'content-type': reporting.contentType },
  }
}

/** What a client must know of any server; how this one is doing only for those who administer it. */
async function server({ connection, query }: Exchange): Promise<Reply> {
  query.end()
  const { limits, pressure, start } = connection.engine
  const { reporting, version } = connection.shared
  const isOperator = connection.peer.mayAdminister() === undefined
  return {
    status: 200,
    json: {
      name: 'sluice',
      version,
      protocol_version: PROTOCOL_VERSION,
      start,
      limits: { message_max: limits.messageMax, frame_messages_max: limits.frameMessagesMax },
      publishing: pressure.on ? { stopped: pressure.reason } : 'open',
      ...(isOperator ? await reporting?.facts() : {}),
    },
  }
}

function description({ connection, query }: Exchange): Reply {
  query.end()
  return { status: 200, json: connection.shared.description() }
}
