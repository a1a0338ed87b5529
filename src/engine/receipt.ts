import { createHash } from 'node:crypto'
import { decodeMessage, MessageCursor } from '@sluice/protocol'
import type { BarrierRecord, BatchStats, BatchSummary } from '../core/facts.ts'

/** What a receipt says, with the names it is hashed under. Times are ISO 8601 in UTC, hashes SHA-256 in hexadecimal. */
export interface ReceiptDocument {
  /** Of this form; another number may mean other fields. */
  readonly receipt: 1
  readonly queue: string
  readonly name?: string
  /** Of the barrier. */
  readonly sequence: number
  readonly batch: number
  /** Places between the barrier before and this one; the first is absent where the barrier before is not known any more. */
  readonly first_sequence?: number
  readonly last_sequence: number
  readonly outcome: string
  readonly counts: Readonly<Record<string, number>>
  readonly first_published_at?: string
  readonly last_settled_at?: string
  /** When the barrier was published. */
  readonly published_at: string
  readonly released_at: string
  /** Of the bytes of the barrier's body. */
  readonly body_sha256: string
  /** Of a barrier of several parties, in the order in which they came. */
  readonly parties?: { readonly count: number; readonly arrived: readonly { party: string; body_sha256: string }[] }
  /** Those that a forwarded barrier has closed before. */
  readonly batches?: readonly object[]
}

/** The record of a released barrier in a form that can be kept elsewhere and compared. */
export interface Receipt {
  readonly document: ReceiptDocument
  /** The document as canonical JSON (RFC 8785): what is hashed, in UTF-8. */
  readonly text: string
  readonly sha256: string
}

/** Costs what the record is long; nothing is counted or hashed for it before it is asked for. */
export function receiptOf(queue: string, record: BarrierRecord): Receipt {
  const { firstPublishedAt, lastSettledAt, ...counts } = record.stats
  const document: ReceiptDocument = {
    receipt: 1,
    queue,
    ...(record.name !== undefined && { name: record.name }),
    sequence: record.sequence,
    batch: record.batch,
    ...(record.after !== undefined && { first_sequence: record.after + 1 }),
    last_sequence: record.sequence - 1,
    outcome: record.outcome,
    counts: countsOf(counts),
    ...(firstPublishedAt !== undefined && { first_published_at: time(firstPublishedAt) }),
    ...(lastSettledAt !== undefined && { last_settled_at: time(lastSettledAt) }),
    published_at: time(record.publishedAt),
    released_at: time(record.releasedAt),
    body_sha256: sha256(decodeMessage(record.bytes).body),
    ...(record.parties !== undefined && { parties: partiesOf(record.parties) }),
    ...(record.batches !== undefined && { batches: record.batches.map(summaryOf) }),
  }
  const text = canonical(document)
  return { document, text, sha256: sha256(text) }
}

function countsOf({ published, acked, dead, expired, dropped, carried }: BatchStats): Readonly<Record<string, number>> {
  return { published, acked, dead, expired, dropped, carried }
}

function partiesOf({
  count,
  arrived,
  bytes,
}: NonNullable<BarrierRecord['parties']>): NonNullable<ReceiptDocument['parties']> {
  const cursor = new MessageCursor().open(bytes)
  return {
    count,
    arrived: arrived.flatMap(party => (cursor.next() ? [{ party, body_sha256: sha256(cursor.body()) }] : [])),
  }
}

function summaryOf({ queue, outcome, batch, sequence, stats }: BatchSummary): object {
  return {
    queue,
    outcome,
    ...(batch !== undefined && { batch }),
    ...(sequence !== undefined && { sequence }),
    ...(stats !== undefined && { counts: countsOf(stats) }),
  }
}

/**
 * RFC 8785 for what a receipt holds: names sorted by UTF-16 code units, no white space, strings and whole numbers as
 * JSON.stringify writes them.
 */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join(',')}}`
}

function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function time(at: number): string {
  return new Date(at).toISOString()
}
