import type { BrowseCommand, Refusal } from '../../engine/peer.ts'
import type { Exchange, Reply } from './exchange.ts'
import { present } from './message-json.ts'
import { messagesReply, readPage } from './pages.ts'
import { accepted, badRequest, Problem } from './problem.ts'
import type { Route } from './routes.ts'
import { BOOLEAN, type Content, FILTER, INTEGER, json, object, oneOf, PAGE, query, ref } from './schema.ts'

/** What an operator can do to one message, and what it is then. */
const ACTS = { release: 'released', 'dead-letter': 'dead-lettered', delete: 'deleted' } as const

/* What is in a queue, as an operator sees it and meddles with it. */

const OPERATED: Content = json(object({ sequence: INTEGER, result: oneOf(...Object.values(ACTS)) }))

export const CONTENT_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/queues/{queue}/messages',
    summary: 'Browse the messages of a queue; changes nothing',
    statuses: [200, 400, 404, 422],
    right: ['browse'],
    parameters: [query('state', oneOf('ready', 'leased', 'delayed'), 'Only messages in this state'), FILTER, ...PAGE],
    answers: { 200: json(ref('MessagePage')) },
    handle: browse,
  },
  {
    method: 'DELETE',
    path: '/v1/queues/{queue}/messages',
    summary: 'Purge: cancel the waiting batches, then settle what is ready and delayed, with leased=true all',
    statuses: [200, 400, 404, 503],
    right: ['admin'],
    parameters: [query('leased', BOOLEAN, 'Also what is leased')],
    answers: { 200: json(object({ purged: INTEGER })) },
    handle: purge,
  },
  {
    method: 'POST',
    path: '/v1/queues/{queue}/messages/{sequence}/release',
    summary: 'Take a leased message from its holder; it is ready again',
    statuses: [200, 400, 404, 503],
    right: ['admin'],
    answers: { 200: OPERATED },
    handle: exchange => operate(exchange, 'release'),
  },
  {
    method: 'POST',
    path: '/v1/queues/{queue}/messages/{sequence}/dead-letter',
    summary: 'Move a message to the dead letters',
    statuses: [200, 400, 404, 503],
    right: ['admin'],
    answers: { 200: OPERATED },
    handle: exchange => operate(exchange, 'dead-letter'),
  },
  {
    method: 'DELETE',
    path: '/v1/queues/{queue}/messages/{sequence}',
    summary: 'Delete a message',
    statuses: [200, 400, 404, 503],
    right: ['admin'],
    answers: { 200: OPERATED },
    handle: exchange => operate(exchange, 'delete'),
  },
]

function browse({ connection, path, query }: Exchange): Reply {
  const state = query.oneOf('state', ['ready', 'leased', 'delayed'])
  const filter = query.text('filter')
  const page = readPage(query)
  query.end()
  const command = {
    queue: path['queue']!,
    ...page,
    ...present<Pick<BrowseCommand, 'state' | 'filter'>>({ state, filter }),
  }
  return messagesReply(accepted(connection.peer.browse(command)))
}

async function purge({ connection, path, query }: Exchange): Promise<Reply> {
  const leased = query.boolean('leased') ?? false
  query.end()
  const answer = await connection.ask<{ purged: number } | Refusal>((peer, answered) =>
    peer.purge(path['queue']!, { leased }, answered),
  )
  return { status: 200, json: { purged: accepted(answer).purged } }
}

async function operate({ connection, path, query }: Exchange, act: keyof typeof ACTS): Promise<Reply> {
  const { queue, sequence: text } = path as { queue: string; sequence: string }
  const sequence = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(sequence))
    throw badRequest('a sequence number is a whole number from 1', { parameter: 'sequence' })
  query.end()
  const answer = await connection.ask<'done' | 'unknown' | Refusal>((peer, answered) =>
    peer.operate(queue, sequence, act, answered),
  )
  if (answer === 'done') return { status: 200, json: { sequence, result: ACTS[act] } }
  if (answer !== 'unknown') throw Problem.of(answer)
  const what = act === 'release' ? 'leased message' : 'message'
  throw new Problem('no-such-message', `queue "${queue}" has no ${what} ${sequence}`, { queue, sequence })
}
