import {
  BARRIER_BODY_BYTES_MAX,
  BARRIER_FORWARDS_MAX,
  BARRIER_PARTIES_MAX,
  type BarrierProperties,
  type MessageProperties,
} from '@sluice/protocol'
import type { BarrierRecord, BarrierView, BatchRest, Refusal } from '../../engine/peer.ts'
import { contentEncoding, readBody } from './body.ts'
import type { Exchange, Reply } from './exchange.ts'
import { present } from './message-json.ts'
import { readPage } from './pages.ts'
import { accepted, badRequest, isRefusal, Problem } from './problem.ts'
import { PROPERTY_PARAMETERS, readPropertyHeaders } from './property-headers.ts'
import { publishOne } from './publish.ts'
import type { Route } from './routes.ts'
import {
  BOOLEAN,
  type Content,
  DURATION,
  INTEGER,
  json,
  listOf,
  object,
  oneOf,
  PAGE,
  query,
  ref,
  TEXT,
} from './schema.ts'
import { withTrace } from './trace-context.ts'
import { showBarrier, showBarrierInList, showHoldout, showRecord } from './views.ts'

const STATES = ['gathering', 'waiting', 'released'] as const
const RESTS: readonly BatchRest[] = ['carry', 'dead-letter', 'drop']

const BARRIER: Content = json(ref('Barrier'))

export const BARRIER_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/queues/{queue}/barriers',
    summary: 'List the barriers that wait and the records of those released, by sequence number, page by page',
    statuses: [200, 400, 404],
    right: ['consume', 'browse', 'barrier', 'admin'],
    parameters: [
      query('state', oneOf(...STATES), 'Only barriers in this state'),
      query('bodies', BOOLEAN, 'Records with their bodies'),
      ...PAGE,
    ],
    answers: { 200: json(object({ barriers: listOf(ref('Barrier')) }, { next: INTEGER })) },
    handle: list,
  },
  {
    method: 'POST',
    path: '/v1/queues/{queue}/barriers',
    summary: 'Publish a barrier; the body is its body',
    statuses: [201, 400, 403, 404, 408, 409, 413, 415, 422, 429, 503],
    right: ['barrier'],
    parameters: [
      ...PROPERTY_PARAMETERS.filter(({ name }) => name !== 'Sluice-Barrier'),
      query('name', TEXT, 'Its name, once in this queue as long as it waits or is on record'),
      query('deadline', DURATION, 'When its batch is ended early'),
      query('rest', oneOf(...RESTS), 'What becomes of the rest then'),
      query('parties', INTEGER, 'It waits for so many parties'),
      query('party', TEXT, 'Name of this one'),
      query('forward', listOf(TEXT), 'Queues to which it goes on; may be given more than once'),
    ],
    body: { '*/*': {} },
    answers: { 201: json(object({ sequence: INTEGER, batch: INTEGER, duplicate: BOOLEAN }, { name: TEXT })) },
    operation: { name: 'barrier', type: 'send' },
    handle: publish,
  },
  {
    method: 'GET',
    path: '/v1/queues/{queue}/barriers/{barrier}',
    summary: 'Record or progress of a barrier, by name or @sequence; with wait, a long poll until it is released',
    statuses: [200, 400, 404, 503],
    right: ['consume', 'browse', 'barrier', 'admin'],
    parameters: [query('wait', DURATION, 'A long poll until it is released; at most 60s')],
    answers: { 200: BARRIER },
    handle: show,
  },
  {
    method: 'GET',
    path: '/v1/queues/{queue}/barriers/{barrier}/receipt',
    summary: 'The record of a released barrier in a form that can be kept elsewhere, with its SHA-256',
    statuses: [200, 400, 403, 404, 409],
    right: ['consume', 'browse', 'barrier', 'admin'],
    answers: { 200: json(object({ receipt: ref('Receipt'), sha256: TEXT })) },
    handle: receipt,
  },
  {
    method: 'GET',
    path: '/v1/queues/{queue}/barriers/{barrier}/holdouts',
    summary: 'The messages that hold a barrier, in queue order',
    statuses: [200, 400, 404],
    right: ['browse', 'barrier', 'admin'],
    parameters: PAGE,
    answers: { 200: json(object({ holdouts: listOf(ref('Holdout')) })) },
    handle: holdouts,
  },
  {
    method: 'POST',
    path: '/v1/queues/{queue}/barriers/{barrier}/cancel',
    summary: 'End the batch of a barrier early, as cancelled',
    statuses: [200, 400, 404, 409, 503],
    right: ['admin'],
    parameters: [query('rest', oneOf(...RESTS), 'What becomes of the rest of its batch')],
    answers: { 200: BARRIER },
    handle: cancel,
  },
  {
    method: 'POST',
    path: '/v1/queues/{queue}/barriers/{barrier}/extend',
    summary: 'Give a barrier a new deadline: so long from now',
    statuses: [200, 400, 404, 409, 503],
    right: ['admin'],
    parameters: [{ ...query('deadline', DURATION, 'So long from now'), required: true }],
    answers: { 200: BARRIER },
    handle: extend,
  },
]

function list({ connection, path, query }: Exchange): Reply {
  const page = readPage(query)
  const state = query.oneOf('state', STATES)
  const bodies = query.boolean('bodies') ?? false
  query.end()
  const command = { queue: path['queue']!, bodies, ...page, ...(state === undefined ? {} : { state }) }
  const { barriers, next } = accepted(connection.peer.barriers(command))
  return { status: 200, json: { barriers: barriers.map(barrier => showBarrierInList(barrier, bodies)), next } }
}

async function publish(exchange: Exchange): Promise<Reply> {
  const { connection, path, query, request } = exchange
  const { properties: own, trace, contentType, messageId } = readPropertyHeaders(request)
  const given = withTrace(own, trace)
  if (given.barrier !== undefined)
    throw badRequest('the name of the barrier is the parameter name here', { header: 'sluice-barrier' })
  const forward = query.filledTexts('forward', BARRIER_FORWARDS_MAX)
  const barrier = present<BarrierProperties>({
    name: query.text('name'),
    deadlineMs: query.durationMs('deadline'),
    rest: query.oneOf('rest', RESTS),
    parties: query.integer('parties', { min: 1, max: BARRIER_PARTIES_MAX }),
    party: query.text('party'),
    forward: forward.length === 0 ? undefined : forward,
  })
  query.end()
  contentEncoding(exchange, [])
  connection.checkRate()
  await connection.admission()
  const body = await readBody(exchange, BARRIER_BODY_BYTES_MAX, barrierTooLarge)
  const properties = present<MessageProperties>({ ...given, contentType, messageId, barrier } as MessageProperties)
  const command = { queue: path['queue']!, dedupe: messageId !== undefined }
  const { sequence, batch, duplicate } = await publishOne(exchange, command, { properties, body })
  return { status: 201, json: { name: barrier.name, sequence, batch, duplicate } }
}

function barrierTooLarge(limit: number): Problem {
  return new Problem('message-too-large', `the body of a barrier has at most ${limit} bytes`, { limit })
}

/** When the time of `wait` is over the answer is the progress so far: the poll is repeated, nothing went wrong. */
async function show({ connection, path, query }: Exchange): Promise<Reply> {
  const { queue, barrier } = path as { queue: string; barrier: string }
  const waitMs = query.durationMs('wait', { max: '60s' })
  query.end()
  if (waitMs === undefined) return { status: 200, json: showBarrier(accepted(connection.peer.barrier(queue, barrier))) }
  const answer = await connection.wait<BarrierRecord | Refusal>((peer, answered) =>
    peer.waitForBarrier(queue, barrier, waitMs, answered),
  )
  if (isRefusal(answer) && answer.code !== 'timed-out') throw Problem.of(answer)
  const view = connection.peer.barrier(queue, barrier)
  // A queue may keep no records: then what was waited for is gone again, and still the answer.
  if (isRefusal(view) && !isRefusal(answer)) return { status: 200, json: { state: 'released', ...showRecord(answer) } }
  return { status: 200, json: showBarrier(accepted(view)) }
}

function receipt({ connection, path, query }: Exchange): Reply {
  const { queue, barrier } = path as { queue: string; barrier: string }
  query.end()
  const { document, sha256 } = accepted(connection.peer.receipt(queue, barrier))
  return { status: 200, json: { receipt: document, sha256 } }
}

function holdouts({ connection, path, query }: Exchange): Reply {
  const { queue, barrier } = path as { queue: string; barrier: string }
  const page = readPage(query)
  query.end()
  const found = accepted(connection.peer.holdouts(queue, barrier, page))
  return { status: 200, json: { holdouts: found.map(showHoldout) } }
}

async function cancel({ connection, path, query }: Exchange): Promise<Reply> {
  const { queue, barrier } = path as { queue: string; barrier: string }
  const rest = query.oneOf('rest', RESTS)
  query.end()
  const view = await connection.ask<BarrierView | Refusal>((peer, answered) =>
    peer.cancelBarrier(queue, barrier, rest, answered),
  )
  return { status: 200, json: showBarrier(accepted(view)) }
}

async function extend({ connection, path, query }: Exchange): Promise<Reply> {
  const { queue, barrier } = path as { queue: string; barrier: string }
  const deadlineMs = query.needed('deadline', query.durationMs('deadline'))
  query.end()
  const view = await connection.ask<BarrierView | Refusal>((peer, answered) =>
    peer.extendBarrier(queue, barrier, deadlineMs, answered),
  )
  return { status: 200, json: showBarrier(accepted(view)) }
}
