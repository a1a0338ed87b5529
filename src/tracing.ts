import { decodeMessage, MessageCursor } from '@sluice/protocol'
import { ConfigError } from './config/config.ts'
import type { BarrierRecord } from './core/facts.ts'
import type { Log } from './observe/log.ts'
import { findTracing, type Missing, type Tracing } from './observe/tracing.ts'

const MISSING: Readonly<Record<Missing, string>> = {
  'no-package': 'the package @opentelemetry/api is not installed beside sluice',
  'no-sdk': 'no OpenTelemetry SDK is registered in this process, as by node --import ./otel.js',
}

/**
 * What the setting `tracing` comes to.
 *
 * @param find for tests
 * @throws ConfigError where traces are asked for and nobody would get them
 */
export async function startTracing(
  wish: 'auto' | 'on' | 'off',
  log: Log,
  find: () => Promise<Tracing | Missing> = findTracing,
): Promise<Tracing | undefined> {
  if (wish === 'off') return undefined
  let found: Tracing | Missing
  try {
    found = await find()
  } catch (error) {
    if (wish === 'on') throw new ConfigError([`tracing: ${(error as Error).message}`], { cause: error })
    log.warn('tracing-unavailable', { reason: (error as Error).message })
    return undefined
  }
  if (typeof found !== 'string') log.info('tracing')
  else if (wish === 'on') throw new ConfigError([`tracing: ${MISSING[found]}`])
  return typeof found === 'string' ? undefined : found
}

/** Tells of a barrier that was released, on disk. */
export function traceBatch(tracing: Tracing, queue: string, record: BarrierRecord): void {
  const { firstPublishedAt, lastSettledAt, ...counts } = record.stats
  tracing.batch({
    queue,
    name: record.name ?? `@${record.sequence}`,
    sequence: record.sequence,
    batch: record.batch,
    outcome: record.outcome,
    counts,
    publishedAt: record.publishedAt,
    releasedAt: record.releasedAt,
    ...(firstPublishedAt === undefined ? {} : { firstPublishedAt }),
    ...(lastSettledAt === undefined ? {} : { lastSettledAt }),
    headers: decodeMessage(record.bytes).properties?.headers ?? {},
    parties: record.parties === undefined ? [] : headersOf(record.parties.bytes),
  })
}

function headersOf(bytes: Uint8Array): Readonly<Record<string, unknown>>[] {
  const headers: Readonly<Record<string, unknown>>[] = []
  const cursor = new MessageCursor().open(bytes)
  while (cursor.next()) headers.push(cursor.properties()?.headers ?? {})
  return headers
}
