import { ByteWriter, decodeMessage, encodeMessage } from '@sluice/protocol'
import type { BatchSummary } from '../core/facts.ts'

/** Header of a forwarded barrier that tells of the batches it has closed, as JSON (B15). */
const HEADER = 'sluice-batches'
/** Longest text of that header, in characters; beyond it statistics go first, then the earliest batches. */
const HEADER_LENGTH_MAX = 32_000

/** The record of a barrier as it goes on: its name and body, and what is known of the batches it has closed. */
export function forwardedRecord(bytes: Uint8Array, batches: readonly BatchSummary[]): Uint8Array {
  const { properties = {}, body } = decodeMessage(bytes)
  const { barrier: _, ...rest } = properties
  const writer = new ByteWriter()
  encodeMessage(writer, { ...rest, headers: { ...rest.headers, [HEADER]: summariesAsText(batches) } }, body)
  return writer.take()
}

function summariesAsText(batches: readonly BatchSummary[]): string {
  const whole = JSON.stringify(batches.map(snakeCased))
  if (whole.length <= HEADER_LENGTH_MAX) return whole
  const short = batches.map(({ queue, outcome }) => ({ queue, outcome }))
  while (JSON.stringify(short).length > HEADER_LENGTH_MAX) short.shift()
  return JSON.stringify(short)
}

function snakeCased({ stats, ...summary }: BatchSummary): object {
  if (stats === undefined) return summary
  const { firstPublishedAt, lastSettledAt, ...counts } = stats
  return {
    ...summary,
    stats: {
      ...counts,
      ...(firstPublishedAt === undefined ? {} : { first_published_at: firstPublishedAt }),
      ...(lastSettledAt === undefined ? {} : { last_settled_at: lastSettledAt }),
    },
  }
}
