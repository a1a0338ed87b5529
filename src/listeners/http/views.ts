import { decodeMessage, MessageCursor } from '@sluice/protocol'
import type {
  BarrierRecord,
  BarrierView,
  BatchStats,
  DeadLetterOrigin,
  Holdout,
  MessageView,
  Progress,
  QueueOptions,
  QueueView,
} from '../../engine/peer.ts'
import { formatDuration, formatSize } from '../../engine/units.ts'
import { showMessage } from './message-json.ts'

/*
 * What the engine shows, as JSON: names in snake_case, points in time as ISO 8601, options as the configuration file
 * has them, so that what is shown can be declared again.
 */

/** Names of parties that a barrier in a list has. */
const NAMES_MAX = 100

export function showQueue(queue: QueueView): object {
  return {
    name: queue.name,
    options: showOptions(queue.options),
    paused: queue.paused,
    ready: queue.ready,
    leased: queue.leased,
    delayed: queue.delayed,
    bytes: queue.bytes,
    subscriptions: queue.subscriptions,
    barriers_waiting: queue.barriersWaiting,
    batch: queue.batch,
    open: queue.open && showProgress(queue.open),
    published_total: queue.publishedTotal,
    acked_total: queue.ackedTotal,
  }
}

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

/** As it stands in its queue. */
export function showMessageView(message: MessageView): object {
  const { properties, body } = decodeMessage(message.bytes)
  return {
    sequence: message.sequence,
    batch: message.batch,
    state: message.state,
    attempts: message.attempts,
    redelivered: message.redelivered,
    published_at: time(message.publishedAt),
    due_at: time(message.dueAt),
    expires_at: time(message.expiresAt),
    holder: message.holder,
    lease_age_ms: message.leaseAgeMs,
    origin: message.origin === undefined ? undefined : showOrigin(message.origin),
    ...showMessage(properties, body),
  }
}

export function showHoldout(holdout: Holdout): object {
  const { sequence, state, reason, attempt, holder, leaseAgeMs, deadLetter } = holdout
  return { sequence, state, reason, attempt, holder, lease_age_ms: leaseAgeMs, dead_letter: deadLetter }
}

export function showOrigin(origin: DeadLetterOrigin): object {
  const { queue, sequence, batch, attempts, publishedAt, deadAt, reason, detail } = origin
  return {
    queue,
    sequence,
    batch,
    attempts,
    published_at: time(publishedAt),
    dead_at: time(deadAt),
    reason,
    detail,
  }
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

function showOptions(options: QueueOptions): object {
  const shown: { readonly [K in keyof QueueOptions]-?: readonly [name: string, value: unknown] } = {
    semantics: ['semantics', options.semantics],
    barrier: ['barrier', options.barrier],
    barriersMax: ['barriers_max', options.barriersMax],
    barrierRecords: ['barrier_records', options.barrierRecords],
    onDead: ['on_dead', options.onDead],
    deadlineRest: ['deadline_rest', options.deadlineRest],
    forwardBarrier: ['forward_barrier', options.forwardBarrier],
    filter: ['filter', options.filter],
    priority: ['priority', options.priority],
    group: ['group', options.group],
    leaseMs: ['lease', orNone(options.leaseMs, formatDuration)],
    acks: ['acks', options.acks],
    prefetchMax: ['prefetch_max', options.prefetchMax],
    prefetchBytes: ['prefetch_bytes', formatSize(options.prefetchBytes)],
    unackedMax: ['unacked_max', orNone(options.unackedMax)],
    fairness: ['fairness', options.fairness],
    deliveriesMax: ['deliveries_max', orNone(options.deliveriesMax)],
    retryDelay: ['retry_delay', showRetryDelay(options.retryDelay)],
    deadLetter: ['dead_letter', options.deadLetter],
    expirationMs: ['expiration', orNone(options.expirationMs, formatDuration)],
    messagesMax: ['messages_max', orNone(options.messagesMax)],
    bytesMax: ['bytes_max', orNone(options.bytesMax, formatSize)],
    overflow: ['overflow', options.overflow],
    dedupeWindowMs: ['dedupe_window', formatDuration(options.dedupeWindowMs)],
    dedupeMax: ['dedupe_max', options.dedupeMax],
  }
  return Object.fromEntries(Object.values(shown))
}

/** As a duration where it says all; without `max` there is none. */
function showRetryDelay({ baseMs, factor, maxMs, jitter }: QueueOptions['retryDelay']): unknown {
  const isBounded = maxMs < Number.MAX_SAFE_INTEGER
  if (factor === 1 && !jitter && !isBounded) return formatDuration(baseMs)
  return { base: formatDuration(baseMs), factor, max: isBounded ? formatDuration(maxMs) : undefined, jitter }
}

function orNone<T>(value: T | undefined, format: (value: T) => unknown = same => same): unknown {
  return value === undefined ? 'none' : format(value)
}

export function time(at: number | undefined): string | undefined {
  return at === undefined ? undefined : new Date(at).toISOString()
}
