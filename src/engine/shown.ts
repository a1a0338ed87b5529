import { isUtf8 } from 'node:buffer'
import {
  type BarrierProperties,
  decodeMessage,
  type HeaderValue,
  MessageCursor,
  type MessageProperties,
} from '@sluice/protocol'
import type { BarrierRecord, BarrierView, BatchStats, Progress } from './peer.ts'
import { formatDuration } from './units.ts'

/*
 * Messages and barriers as JSON: names in snake_case, points in time as ISO 8601. Here and not in a listener, because the
 * server says the same of a barrier in the message that announces it.
 */

/** Types whose bodies are text, though their names do not begin with `text/`. */
const TEXT_TYPES =
  /^(?:text\/.+|application\/(?:json|x-ndjson|xml|x-www-form-urlencoded|javascript|yaml|toml)|.+\+(?:json|xml))$/

const textDecoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** Names of parties that a barrier in a list has. */
const NAMES_MAX = 100

/** A barrier whose parties gather, a waiting one, or a released one with its record. */
export function showBarrier(barrier: BarrierView): object {
  const { name, sequence, batch, state, publishedAt, progress, deadlineAt, parties, record } = barrier
  return {
    state,
    name,
    sequence,
    batch,
    published_at: time(publishedAt),
    deadline_at: time(deadlineAt),
    progress: progress && showProgress(progress),
    parties: parties === undefined ? undefined : showParties(parties),
    ...(record === undefined ? {} : showRecord(record)),
  }
}

/** Without what the parties said, in a list that could be a thousand times 1 MiB; without bodies unless asked. */
export function showBarrierInList({ record, parties: gathering, ...barrier }: BarrierView, bodies: boolean): object {
  const parties = record?.parties ?? gathering
  return {
    ...showBarrier(barrier),
    ...(record === undefined ? {} : bodies ? showRecord(record) : showRecordAlone(record)),
    parties:
      parties === undefined ? undefined : { ...showParties(parties), arrived: parties.arrived.slice(0, NAMES_MAX) },
  }
}

export function showRecord(record: BarrierRecord): object {
  const { properties, body } = decodeMessage(record.bytes)
  return {
    ...showRecordAlone(record),
    parties: record.parties === undefined ? undefined : showParties(record.parties, record.parties.bytes),
    ...showMessage(properties, body),
  }
}

/** Without its message, and without its parties. */
function showRecordAlone(record: BarrierRecord): object {
  return {
    name: record.name,
    sequence: record.sequence,
    batch: record.batch,
    outcome: record.outcome,
    stats: record.stats && showStats(record.stats),
    published_at: time(record.publishedAt),
    released_at: time(record.releasedAt),
    batches: record.batches?.map(showSummary),
  }
}

/** Who came and how many are missing; of a record also what each of them said. */
function showParties({ count, arrived }: { count: number; arrived: readonly string[] }, bytes?: Uint8Array): object {
  return {
    count,
    missing: Math.max(0, count - arrived.length),
    arrived,
    messages: bytes === undefined ? undefined : showPartyMessages(arrived, bytes),
  }
}

function showPartyMessages(arrived: readonly string[], bytes: Uint8Array): readonly object[] {
  const cursor = new MessageCursor().open(bytes)
  return arrived.flatMap(party =>
    cursor.next() ? [{ party, ...showMessage(cursor.properties(), cursor.body()) }] : [],
  )
}

function showSummary({ stats, ...summary }: NonNullable<BarrierRecord['batches']>[number]): object {
  return { ...summary, stats: stats === undefined ? undefined : showStats(stats) }
}

export function showProgress({
  published,
  acked,
  leased,
  ready,
  delayed,
  dead,
  ratePerSecond,
  etaMs,
}: Progress): object {
  return { published, acked, leased, ready, delayed, dead, rate_per_second: ratePerSecond, eta_ms: etaMs }
}

export function showStats({ firstPublishedAt, lastSettledAt, ...counts }: BatchStats): object {
  return { ...counts, first_published_at: time(firstPublishedAt), last_settled_at: time(lastSettledAt) }
}

export function time(at: number | undefined): string | undefined {
  return at === undefined ? undefined : new Date(at).toISOString()
}

/**
 * The fields of a message. `body` is a text when the bytes are UTF-8 and the content type is absent or says text (`text/*`,
 * JSON, XML, forms); else `body_base64` has the bytes. So a consumer who knows what is published knows which one comes.
 */
export function showMessage(properties: MessageProperties | undefined, body: Uint8Array): object {
  const { contentType, headers, messageId, correlationId, replyTo, priority, ttlMs, delayMs, group, barrier } =
    properties ?? {}
  return {
    content_type: contentType,
    headers: headers === undefined ? undefined : showHeaders(headers),
    message_id: messageId,
    correlation_id: correlationId,
    reply_to: replyTo,
    priority,
    ttl: ttlMs === undefined ? undefined : formatDuration(ttlMs),
    delay: delayMs === undefined ? undefined : formatDuration(delayMs),
    group,
    barrier: barrier === undefined ? undefined : showBarrierProperties(barrier),
    ...showBody(contentType, body),
  }
}

function showBody(contentType: string | undefined, body: Uint8Array): object {
  const type = contentType?.split(';')[0]?.trim().toLowerCase()
  const isText = (type === undefined || TEXT_TYPES.test(type)) && isUtf8(body)
  if (isText) return { body: textDecoder.decode(body) }
  return { body_base64: Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('base64') }
}

function showHeaders(headers: Readonly<Record<string, HeaderValue>>): object {
  const shown: Record<string, unknown> = Object.create(null)
  for (const [name, value] of Object.entries(headers)) {
    shown[name] = value instanceof Uint8Array ? { base64: Buffer.from(value).toString('base64') } : value
  }
  return shown
}

function showBarrierProperties({ name, deadlineMs, rest, parties, party, forward }: BarrierProperties): object {
  return {
    name,
    deadline: deadlineMs === undefined ? undefined : formatDuration(deadlineMs),
    rest,
    parties,
    party,
    forward,
  }
}
