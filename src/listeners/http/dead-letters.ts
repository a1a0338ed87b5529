import type { DeadLetterChoice, Refusal } from '../../engine/peer.ts'
import { readCommand } from './body.ts'
import type { Exchange, Reply } from './exchange.ts'
import { present } from './message-json.ts'
import { messagesReply, readPage } from './pages.ts'
import { accepted, badRequest, Problem } from './problem.ts'
import type { Route } from './routes.ts'
import { FILTER, INTEGER, json, object, PAGE, type Parameter, query, ref, TEXT } from './schema.ts'

/* The dead letters that came from a queue, wherever they are now. */

const CHOICE: readonly Parameter[] = [
  FILTER,
  query('batch', TEXT, 'Name of the barrier of their batch'),
  query('sequence', INTEGER, 'Only the one with this number, as the list tells it'),
]
const SEQUENCE = { min: 1, max: Number.MAX_SAFE_INTEGER }

export const DEAD_LETTER_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/queues/{queue}/dead',
    summary: 'List dead letters that came from this queue, all, by filter, of one batch or one, with origin and reason',
    statuses: [200, 400, 404, 422],
    right: ['browse'],
    parameters: [...CHOICE, ...PAGE],
    answers: { 200: json(ref('MessagePage')) },
    handle: list,
  },
  {
    method: 'POST',
    path: '/v1/queues/{queue}/dead/requeue',
    summary: 'Put dead letters back into this queue: all, by filter, of one batch, or one',
    statuses: [200, 400, 404, 408, 413, 415, 422, 503],
    right: ['admin'],
    parameters: CHOICE,
    body: json(object({}, { filter: TEXT, batch: TEXT, sequence: INTEGER })),
    answers: { 200: json(object({ requeued: INTEGER })) },
    handle: requeue,
  },
  {
    method: 'DELETE',
    path: '/v1/queues/{queue}/dead',
    summary: 'Purge dead letters that came from this queue: all, by filter, of one batch, or one',
    statuses: [200, 400, 404, 422, 503],
    right: ['admin'],
    parameters: CHOICE,
    answers: { 200: json(object({ purged: INTEGER })) },
    handle: purge,
  },
]

function list(exchange: Exchange): Reply {
  const choice = readChoice(exchange)
  const page = readPage(exchange.query)
  exchange.query.end()
  return messagesReply(accepted(exchange.connection.peer.deadLetters({ ...choice, ...page })))
}

/** Which ones is told in the query or in the body, but each thing only once: else one of the two would be ignored. */
async function requeue(exchange: Exchange): Promise<Reply> {
  const inQuery = readChoice(exchange)
  exchange.query.end()
  const command = await readCommand(exchange)
  const inBody = present<Partial<DeadLetterChoice>>({
    filter: command.text('filter'),
    batch: command.text('batch'),
    sequence: command.integer('sequence', SEQUENCE),
  })
  command.end()
  for (const field of ['filter', 'batch', 'sequence'] as const) {
    if (inBody[field] === '') throw command.mistake(field, 'is empty')
    if (inQuery[field] !== undefined && inBody[field] !== undefined)
      throw badRequest(`${field} is given in the query and in the body`, { field })
  }
  const choice = { ...inQuery, ...inBody }
  const answer = await exchange.connection.ask<{ requeued: number } | Refusal>((peer, answered) =>
    peer.requeueDeadLetters(choice, answered),
  )
  const { requeued } = accepted(answer)
  checkFound(choice, requeued)
  return { status: 200, json: { requeued } }
}

async function purge(exchange: Exchange): Promise<Reply> {
  const choice = readChoice(exchange)
  exchange.query.end()
  const answer = await exchange.connection.ask<{ purged: number } | Refusal>((peer, answered) =>
    peer.purgeDeadLetters(choice, answered),
  )
  const { purged } = accepted(answer)
  checkFound(choice, purged)
  return { status: 200, json: { purged } }
}

/** Of many none may be there; one that was named and is not is a mistake. */
function checkFound({ queue, sequence }: DeadLetterChoice, count: number): void {
  if (sequence === undefined || count > 0) return
  const detail = `queue "${queue}" has no dead letter ${sequence}, or none that was asked for`
  throw new Problem('no-such-message', detail, { queue, sequence })
}

function readChoice({ path, query }: Exchange): DeadLetterChoice {
  return present<DeadLetterChoice>({
    queue: path['queue']!,
    filter: query.text('filter'),
    batch: query.text('batch'),
    sequence: query.integer('sequence', SEQUENCE),
  })
}
