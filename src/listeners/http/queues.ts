import type { QueueView, Refusal } from '../../engine/peer.ts'
import { readCommand } from './body.ts'
import type { Exchange, Reply } from './exchange.ts'
import { accepted, Problem } from './problem.ts'
import type { Route } from './routes.ts'
import { type Content, json, listOf, NOTHING, object, ref } from './schema.ts'
import { showQueue } from './views.ts'

const QUEUE: Content = json(ref('Queue'))

export const QUEUE_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/queues',
    summary: 'List all queues',
    statuses: [200, 400],
    right: 'token',
    answers: { 200: json(object({ queues: listOf(ref('Queue')) })) },
    handle: list,
  },
  {
    method: 'GET',
    path: '/v1/queues/{queue}',
    summary: 'Options and state of a queue',
    statuses: [200, 400, 404],
    right: ['publish', 'consume', 'browse', 'barrier', 'admin'],
    answers: { 200: QUEUE },
    handle: show,
  },
  {
    method: 'PUT',
    path: '/v1/queues/{queue}',
    summary: 'Declare a queue, its options as JSON',
    statuses: [200, 201, 400, 408, 409, 413, 415, 422, 429, 503],
    right: ['admin'],
    body: json(ref('QueueOptions')),
    answers: { 200: QUEUE, 201: QUEUE },
    handle: declare,
  },
  {
    method: 'PATCH',
    path: '/v1/queues/{queue}',
    summary: 'Change options of a queue, as JSON; those not given stay',
    statuses: [200, 400, 404, 408, 409, 413, 415, 422, 429, 503],
    right: ['admin'],
    body: json(ref('QueueOptions')),
    answers: { 200: QUEUE },
    handle: update,
  },
  {
    method: 'DELETE',
    path: '/v1/queues/{queue}',
    summary: 'Delete a queue and all that is in it',
    statuses: [204, 400, 404, 409, 503],
    right: ['admin'],
    answers: { 204: NOTHING },
    handle: remove,
  },
  {
    method: 'POST',
    path: '/v1/queues/{queue}/pause',
    summary: 'Stop deliveries and barrier releases, also over a restart',
    statuses: [200, 400, 404, 503],
    right: ['admin'],
    answers: { 200: QUEUE },
    handle: exchange => pause(exchange, true),
  },
  {
    method: 'POST',
    path: '/v1/queues/{queue}/resume',
    summary: 'Let deliveries and barrier releases go on',
    statuses: [200, 400, 404, 503],
    right: ['admin'],
    answers: { 200: QUEUE },
    handle: exchange => pause(exchange, false),
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
  const answer = await exchange.connection.ask<{ created: boolean; queue: QueueView } | Refusal>((peer, answered) =>
    peer.declare(exchange.path['queue']!, options, answered),
  )
  const { created, queue } = accepted(answer)
  return { status: created ? 201 : 200, json: showQueue(queue) }
}

async function update(exchange: Exchange): Promise<Reply> {
  exchange.query.end()
  const options = (await readCommand(exchange)).rest()
  const queue = await exchange.connection.ask<QueueView | Refusal>((peer, answered) =>
    peer.update(exchange.path['queue']!, options, answered),
  )
  return { status: 200, json: showQueue(accepted(queue)) }
}

async function pause({ connection, path, query }: Exchange, isPaused: boolean): Promise<Reply> {
  query.end()
  const queue = await connection.ask<QueueView | Refusal>((peer, answered) =>
    peer.pause(path['queue']!, isPaused, answered),
  )
  return { status: 200, json: showQueue(accepted(queue)) }
}

async function remove({ connection, path, query }: Exchange): Promise<Reply> {
  query.end()
  const refusal = await connection.ask<Refusal | undefined>((peer, answered) =>
    peer.deleteQueue(path['queue']!, answered),
  )
  if (refusal !== undefined) throw Problem.of(refusal)
  return { status: 204 }
}
