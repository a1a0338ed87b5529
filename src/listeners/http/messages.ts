import { contentEncoding, gunzip, mediaType, messageTooLarge, readBody, readChunks } from './body.ts'
import type { Exchange, Reply } from './exchange.ts'
import { LinesPublish } from './lines.ts'
import { badRequest, Problem } from './problem.ts'
import { type HeaderProperties, PROPERTY_PARAMETERS, readPropertyHeaders } from './property-headers.ts'
import { publishOne, publishUnconfirmed } from './publish.ts'
import type { Route } from './routes.ts'
import { BOOLEAN, json, object, oneOf, query, ref } from './schema.ts'
import { withTrace } from './trace-context.ts'

const NDJSON = 'application/x-ndjson'

export const MESSAGE_ROUTES: readonly Route[] = [
  {
    method: 'POST',
    path: '/v1/queues/{queue}/messages',
    summary: 'Publish one message, or with application/x-ndjson many; for a barrier the right is barrier',
    statuses: [201, 202, 400, 404, 408, 409, 413, 415, 422, 429, 503],
    right: ['publish'],
    parameters: [
      ...PROPERTY_PARAMETERS,
      query(
        'confirm',
        oneOf('durable', 'accepted', 'none'),
        'When it is answered: on disk (the default), taken, or not at all',
      ),
      query('atomic', BOOLEAN, 'Of many lines: all or none'),
      query('dedupe', BOOLEAN, 'Of many lines: go by the message_id of each'),
    ],
    body: { '*/*': {}, 'application/x-ndjson': {}, 'application/x-ndjson; profile=envelope': ref('Message') },
    answers: { 201: json({ anyOf: [ref('Published'), ref('PublishedLines')] }), 202: json(object({})) },
    operation: { name: 'publish', type: 'send' },
    handle: publish,
  },
]

/** The body is the message's, byte for byte, unless the content type says that it holds many. */
function publish(exchange: Exchange): Promise<Reply> {
  const given = readPropertyHeaders(exchange.request)
  const { type, parameters } = mediaType(given.contentType ?? '')
  if (type === NDJSON) return publishLines(exchange, given, parameters.get('profile'))
  return publishMessage(exchange, given)
}

async function publishMessage(exchange: Exchange, given: HeaderProperties): Promise<Reply> {
  const { connection, path, query } = exchange
  const { messageMax } = connection.engine.limits
  const { contentType, messageId } = given
  const confirm = query.oneOf('confirm', ['durable', 'accepted', 'none']) ?? 'durable'
  query.end()
  contentEncoding(exchange, [])
  connection.checkRate()
  if (connection.engine.pressure.on) await connection.admission()
  const body = await readBody(exchange, messageMax, messageTooLarge)
  const properties = {
    ...withTrace(given.properties, given.trace),
    ...(contentType === undefined ? {} : { contentType }),
    ...(messageId === undefined ? {} : { messageId }),
  }
  const dedupe = messageId !== undefined
  if (confirm === 'none') {
    await publishUnconfirmed(exchange, { queue: path['queue']!, dedupe }, { properties, body })
    return { status: 202, json: {} }
  }
  const { sequence, duplicate } = await publishOne(
    exchange,
    { queue: path['queue']!, confirm, dedupe },
    { properties, body },
  )
  return { status: 201, json: { sequence, duplicate } }
}

function publishLines(exchange: Exchange, given: HeaderProperties, profile: string | undefined): Promise<Reply> {
  const { path, query } = exchange
  if (profile !== undefined && profile !== 'envelope') {
    throw new Problem('unsupported-media-type', `unknown profile "${profile}"; there is "envelope"`, {
      header: 'content-type',
    })
  }
  if (given.messageId !== undefined) {
    throw badRequest('idempotency-key names one message; lines of an envelope have message_id', {
      header: 'idempotency-key',
    })
  }
  if (given.properties.barrier !== undefined) {
    throw badRequest('sluice-barrier marks one message; lines of an envelope have barrier', {
      header: 'sluice-barrier',
    })
  }
  const confirm = query.oneOf('confirm', ['durable', 'accepted']) ?? 'durable'
  const atomic = query.boolean('atomic') ?? false
  const dedupe = query.boolean('dedupe') ?? false
  if (dedupe && profile !== 'envelope') {
    throw badRequest('dedupe goes by message_id, which only lines of profile=envelope have', { parameter: 'dedupe' })
  }
  query.end()
  const isPacked = contentEncoding(exchange, ['gzip']) === 'gzip'
  const chunks = readChunks(exchange)
  const publishing = new LinesPublish(exchange, {
    queue: path['queue']!,
    confirm,
    atomic,
    dedupe,
    envelope: profile === 'envelope',
    properties: given.properties,
    trace: given.trace,
  })
  return publishing.run(isPacked ? gunzip(chunks) : chunks)
}
