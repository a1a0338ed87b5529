import type { QueueView, Refusal } from '../../engine/peer.ts'
import { readCommand } from './body.ts'
import type { Exchange, Reply } from './exchange.ts'
import { accepted, Problem } from './problem.ts'
import type { Route } from './routes.ts'
import { showQueue } from './views.ts'

export const QUEUE_ROUTES: readonly Route[] = [
  { method: 'GET', path: '/v1/queues', summary: 'List all queues', statuses: [200, 400], handle: list },
  {
    method: 'GET',
    path: '/v1/queues/{queue}',
    summary: 'Options and state of a queue',
    statuses: [200, 400, 404],
    handle: show,
  },
  {
    method: 'PUT',
    path: '/v1/queues/{queue}',
    summary: 'Declare a queue, its options as JSON',
    statuses: [200, 201, 400, 408, 409, 413, 415, 422, 429, 503],
    handle: declare,
  },
  {
    method: 'DELETE',
    path: '/v1/queues/{queue}',
    summary: 'Delete a queue and all that is in it',
    statuses: [204, 400, 404, 409, 503],
    handle: remove,
  },
]

function list({ connection, query }: Exchange): Reply {
  query.end()
  return { status: 200, json: { queues: connection.peer.queues().map(showQueue) } }
}

function show({ connection, path, query }: Exchange): Reply {
  query.end()
  return { status: 200, json: showQueue(accepted(connection.peer.queue(path['queue']!))) }
}

/** Only the options given are compared with a queue that is there: the engine judges them all. */
async function declare(exchange: Exchange): Promise<Reply> {
  exchange.query.end()
  const options = (await readCommand(exchange)).rest()
  const answer = await exchange.connection.wait<{ created: boolean; queue: QueueView } | Refusal>((peer, answered) => {
    peer.declare(exchange.path['queue']!, options, answered)
    return undefined
  })
  const { created, queue } = accepted(answer)
  return { status: created ? 201 : 200, json: showQueue(queue) }
}

async function remove({ connection, path, query }: Exchange): Promise<Reply> {
  query.end()
  const refusal = await connection.wait<Refusal | undefined>((peer, answered) => {
    peer.deleteQueue(path['queue']!, answered)
    return undefined
  })
  if (refusal !== undefined) throw Problem.of(refusal)
  return { status: 204 }
}
