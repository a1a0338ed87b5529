import { ByteWriter, encodeMessage, MessageCursor } from '@sluice/protocol'
import type {
  BarrierDelivery,
  Messages,
  PublishAnswer,
  Pulled,
  Refusal,
  SettleAnswer,
  SettleHow,
  TokenSettle,
} from '../../engine/peer.ts'
import { messageTooLarge, readCommand, requestTooLarge } from './body.ts'
import type { Exchange, Reply } from './exchange.ts'
import type { JsonObject } from './json.ts'
import { readMessage, showMessage } from './message-json.ts'
import { accepted, badRequest, encoding, Problem } from './problem.ts'
import type { Route } from './routes.ts'
import {
  BOOLEAN,
  DURATION,
  FILTER,
  INTEGER,
  json,
  listOf,
  object,
  oneOf,
  query,
  ref,
  type Schema,
  TEXT,
} from './schema.ts'
import { traceOf, withTrace } from './trace-context.ts'
import { showOrigin, showRecord } from './views.ts'

/** Most deliveries of one pull. */
const PULL_MAX = 1_000
/** Most pulls of one connection at once. Their answers leave one after another anyway. */
const PULLS_OF_CONNECTION_MAX = 8
/** Most deliveries settled by one request. */
const SETTLE_MAX = 10_000
/** Most bytes of bodies that one ack publishes (P4). */
const CARRIED_BYTES_MAX = 16 * 1024 * 1024
/** The carried bodies in base64, and their JSON. */
const SETTLE_BYTES_MAX = 24 * 1024 * 1024

/** How a request settles: its path, what its answer counts, and what it says beside the deliveries. */
interface Settling {
  readonly path: string
  /** In traces. */
  readonly operation: string
  readonly summary: string
  readonly count: string
  /** What it may say beside the deliveries. */
  readonly fields: Readonly<Record<string, Schema>>
  readonly read: (command: JsonObject) => SettleHow
}

const CARRIED: Schema = listOf(ref('CarriedMessage'))

const SETTLINGS: readonly Settling[] = [
  {
    path: 'acks',
    operation: 'ack',
    summary: 'Ack: done',
    count: 'acked',
    fields: { publish: CARRIED },
    read: () => ({ kind: 'ack' }),
  },
  {
    path: 'nacks',
    operation: 'nack',
    summary: 'Nack: failed, comes back',
    count: 'nacked',
    fields: { delay: DURATION },
    read: readNack,
  },
  {
    path: 'releases',
    operation: 'release',
    summary: 'Release: given back untouched',
    count: 'released',
    fields: {},
    read: () => ({ kind: 'release' }),
  },
  {
    path: 'rejects',
    operation: 'reject',
    summary: 'Reject: to the dead letters',
    count: 'rejected',
    fields: { reason: TEXT },
    read: readReject,
  },
  {
    path: 'extensions',
    operation: 'extend',
    summary: 'Extend the lease',
    count: 'extended',
    fields: { lease: DURATION },
    read: readExtension,
  },
]

export const DELIVERY_ROUTES: readonly Route[] = [
  {
    method: 'POST',
    path: '/v1/queues/{queue}/deliveries',
    summary: 'Pull: up to max deliveries within a time',
    statuses: [200, 400, 404, 422, 429, 503],
    right: ['consume'],
    parameters: [
      query('max', { type: 'integer', minimum: 1, maximum: PULL_MAX, default: 1 }, 'Most deliveries'),
      query('wait', DURATION, 'How long to wait for the first; at most 60s'),
      query('lease', DURATION, 'Lease of these deliveries; at most 12h'),
      FILTER,
      query('after_batch', INTEGER, '`batch` of the answer before: barriers released since come first'),
      query('ack', oneOf('auto'), 'Settles at delivery; there are no lease tokens then'),
    ],
    answers: {
      200: json(object({ deliveries: listOf(ref('Delivery')), batch: INTEGER }, { barriers_missed: INTEGER })),
    },
    operation: { name: 'pull', type: 'receive' },
    handle: pull,
  },
  ...SETTLINGS.map(
    (settling): Route => ({
      method: 'POST',
      path: `/v1/queues/{queue}/${settling.path}`,
      summary: settling.summary,
      statuses: [200, 400, 404, 408, 409, 413, 415, 422, 429, 503],
      right: ['consume'],
      body: json(object({ deliveries: listOf(ref('LeasedDelivery')) }, settling.fields)),
      answers: { 200: json(settled(settling.count)) },
      operation: { name: settling.operation, type: 'settle' },
      handle: exchange => settle(exchange, settling),
    }),
  ),
]

/** @param count what its answer counts */
function settled(count: string): Schema {
  const published = listOf(object({}, { sequence: INTEGER, duplicate: BOOLEAN, code: TEXT, detail: TEXT }))
  return object({ results: listOf(ref('SettleResult')), [count]: INTEGER }, { published })
}

async function pull({ connection, path, query, request }: Exchange): Promise<Reply> {
  const queue = path['queue']!
  const settlesAtDelivery = query.oneOf('ack', ['auto']) !== undefined
  const leaseMs = query.durationMs('lease', { min: '1ms', max: '12h' })
  const filter = query.text('filter')
  const afterBatch = query.integer('after_batch', { min: 0, max: Number.MAX_SAFE_INTEGER })
  const command = {
    queue,
    messagesMax: query.integer('max', { min: 1, max: PULL_MAX }) ?? 1,
    waitMs: query.durationMs('wait', { max: '60s' }) ?? 0,
    ...(leaseMs === undefined ? {} : { leaseMs }),
    ...(filter === undefined ? {} : { filter }),
    ...(afterBatch === undefined ? {} : { afterBatch }),
    settle: settlesAtDelivery ? ('on-delivery' as const) : ('later' as const),
  }
  query.end()
  const { shared } = connection
  if (connection.wire.pulls >= PULLS_OF_CONNECTION_MAX) {
    const facts = { limit: PULLS_OF_CONNECTION_MAX }
    throw new Problem('too-many-subscriptions', 'this connection has all the pulls it may have', facts)
  }
  if (shared.pulls >= shared.pullsMax) {
    throw new Problem('server-busy', 'the server has all the pulls it may have', { limit: 'pulls_max' })
  }
  // A body that nobody reads would stop the reading of the socket, and with it the notice of a hang-up.
  request.resume()
  connection.wire.pulls += 1
  shared.pulls += 1
  const waiting = connection.wait<Pulled | Refusal>((peer, answered) => peer.pull(command, answered))
  const pulled = accepted(
    await waiting.finally(() => {
      connection.wire.pulls -= 1
      shared.pulls -= 1
    }),
  )
  const deliveries = pulled.deliveries.flatMap(delivery => showDeliveries(delivery, settlesAtDelivery))
  const missed = pulled.barriers.filter(barrier => barrier.replayed)
  const released = pulled.barriers.filter(barrier => !barrier.replayed)
  const json = {
    // A barrier comes behind its batch; those that were missed are of batches before (B11).
    deliveries: [...missed.map(showBarrierDelivery), ...deliveries, ...released.map(showBarrierDelivery)],
    batch: pulled.batch,
    barriers_missed: pulled.barriersMissed === 0 ? undefined : pulled.barriersMissed,
  }
  if (settlesAtDelivery || deliveries.length === 0) return { status: 200, json }
  const release: TokenSettle = { queue, deliveries: tokensOf(pulled), how: { kind: 'release' } }
  return { status: 200, json, unsent: () => connection.peer.settleTokens(release, () => {}) }
}

function tokensOf(pulled: Pulled): TokenSettle['deliveries'] {
  return pulled.deliveries.flatMap(({ sequence, count, leaseToken }) =>
    Array.from({ length: count }, (_, index) => ({ sequence: sequence + index, leaseToken })),
  )
}

function showDeliveries(delivery: Pulled['deliveries'][number], isSettled: boolean): readonly object[] {
  const shown: object[] = []
  const cursor = new MessageCursor()
  for (const piece of delivery.bytes) {
    cursor.open(piece)
    while (cursor.next()) {
      shown.push({
        kind: 'message',
        sequence: delivery.sequence + shown.length,
        batch: delivery.batch,
        attempt: delivery.attempt,
        redelivered: delivery.redelivered,
        lease_token: isSettled ? undefined : delivery.leaseToken,
        origin: delivery.origin === undefined ? undefined : showOrigin(delivery.origin),
        ...showMessage(cursor.properties(), cursor.body()),
      })
    }
  }
  return shown
}

function showBarrierDelivery({ record, replayed }: BarrierDelivery): object {
  return { kind: 'barrier', ...showRecord(record), replayed }
}

async function settle(exchange: Exchange, { count, read }: Settling): Promise<Reply> {
  const { connection, path, query } = exchange
  query.end()
  const command = await readCommand(exchange, SETTLE_BYTES_MAX)
  const how = read(command)
  const deliveries = readTokens(command)
  const carried = how.kind === 'ack' ? readCarried(command, exchange) : undefined
  command.end()
  if (carried !== undefined) {
    connection.checkRate()
    for (const { count, bytes } of carried.messages) connection.published(count, bytes.length)
  }
  const answer = await connection.ask<SettleAnswer>((peer, answered) =>
    peer.settleTokens(
      { queue: path['queue']!, deliveries, how, ...(carried && { publish: carried.messages }) },
      answered,
    ),
  )
  const results = answer.results.flatMap(range => Array.from({ length: range.count }, () => range.result))
  const shown = results.map((result, index) => ({ sequence: deliveries[index]?.sequence, result }))
  if (answer.refusal !== undefined) throw Problem.of(answer.refusal, { results: shown })
  const published = answer.published && carried?.places(answer.published)
  return {
    status: 200,
    json: { results: shown, [count]: results.filter(result => result === count).length, published },
  }
}

function readTokens(command: JsonObject): TokenSettle['deliveries'] {
  const objects = command.needed('deliveries', command.objects('deliveries', SETTLE_MAX))
  const tokens = new Set<string>()
  return objects.map(object => {
    const sequence = object.needed('sequence', object.integer('sequence', { min: 1, max: Number.MAX_SAFE_INTEGER }))
    const leaseToken = object.needed('lease_token', object.text('lease_token'))
    object.end()
    const key = `${sequence} ${leaseToken}`
    if (tokens.has(key)) throw object.mistake('lease_token', `of message ${sequence} is named twice`)
    tokens.add(key)
    return { sequence, leaseToken }
  })
}

function readNack(command: JsonObject): SettleHow {
  const delayMs = command.durationMs('delay')
  return delayMs === undefined ? { kind: 'nack' } : { kind: 'nack', delayMs }
}

function readReject(command: JsonObject): SettleHow {
  const reason = command.text('reason')
  return reason === undefined ? { kind: 'reject' } : { kind: 'reject', reason }
}

function readExtension(command: JsonObject): SettleHow {
  return { kind: 'extend', leaseMs: command.needed('lease', command.durationMs('lease')) }
}

/** What an ack publishes: by queue for the engine, and how to tell its answers in the order of the request. */
interface Carried {
  readonly messages: readonly Messages[]
  places(answers: readonly PublishAnswer[]): readonly object[]
}

/** `"publish": [{"queue", "body", …}]`: messages as message-json.ts has them, each with its queue. */
function readCarried(command: JsonObject, { connection, request }: Exchange): Carried | undefined {
  const { frameMessagesMax, messageMax } = connection.engine.limits
  const objects = command.objects('publish', frameMessagesMax)
  if (objects === undefined) return undefined
  const trace = traceOf(request)
  const byQueue = new Map<string, { readonly writer: ByteWriter; readonly indexes: number[] }>()
  let bytes = 0
  for (const [index, object] of objects.entries()) {
    const queue = object.needed('queue', object.text('queue'))
    const { properties, body } = readMessage(object)
    object.end()
    bytes += body.length
    if (body.length > messageMax) throw messageTooLarge(messageMax).with({ field: `publish[${index}]` })
    if (bytes > CARRIED_BYTES_MAX) throw requestTooLarge(CARRIED_BYTES_MAX)
    const group = byQueue.get(queue) ?? { writer: new ByteWriter(Buffer.allocUnsafe), indexes: [] }
    byQueue.set(queue, group)
    encoding(() => encodeMessage(group.writer, withTrace(properties, trace), body))
    group.indexes.push(index)
  }
  if (objects.length === 0) throw badRequest('publish is empty', { field: 'publish' })
  const order = [...byQueue.values()].flatMap(group => group.indexes)
  const messages = [...byQueue].map(([queue, { writer, indexes }]) => ({
    queue,
    bytes: writer.take(),
    count: indexes.length,
  }))
  return { messages, places: answers => inOrder(answers, order) }
}

/**
 * The answers come queue by queue, in the order of the messages; `order` has the place of each in the request. Their
 * indexes begin anew with each queue, and say nothing here.
 */
function inOrder(answers: readonly PublishAnswer[], order: readonly number[]): readonly object[] {
  const each = answers.flatMap(answer => Array.from({ length: answer.count }, (_, i) => showAnswer(answer, i)))
  const places: object[] = []
  for (const [index, place] of order.entries()) places[place] = each[index] ?? {}
  return places
}

function showAnswer(answer: PublishAnswer, i: number): object {
  if ('refusal' in answer) return { code: answer.refusal.code, detail: answer.refusal.detail }
  return { sequence: answer.sequence + i, duplicate: answer.duplicate }
}
