import { PROTOCOL_VERSION } from '@sluice/protocol'
import type { Exchange, Reply } from './exchange.ts'
import { Problem } from './problem.ts'
import type { Route } from './routes.ts'

export const HEALTH_ROUTES: readonly Route[] = [
  { method: 'GET', path: '/livez', summary: 'The process answers', statuses: [200, 400], isOpen: true, handle: livez },
  {
    method: 'GET',
    path: '/readyz',
    summary: 'The server serves, or why not',
    statuses: [200, 400, 503],
    isOpen: true,
    handle: readyz,
  },
  { method: 'GET', path: '/v1/server', summary: 'Facts about the server', statuses: [200, 400], handle: server },
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

function server({ connection, query }: Exchange): Reply {
  query.end()
  const { limits, pressure, start } = connection.engine
  return {
    status: 200,
    json: {
      name: 'sluice',
      version: connection.shared.version,
      protocol_version: PROTOCOL_VERSION,
      start,
      limits: { message_max: limits.messageMax, frame_messages_max: limits.frameMessagesMax },
      publishing: pressure.on ? { stopped: pressure.reason } : 'open',
    },
  }
}
