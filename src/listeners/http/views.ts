import { decodeMessage } from '@sluice/protocol'
import type {
  BarrierRecord,
  BarrierView,
  BatchStats,
  DeadLetterOrigin,
  Holdout,
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
    open: showProgress(queue.open),
    published_total: queue.publishedTotal,
    acked_total: queue.ackedTotal,
  }
}

/** A waiting barrier, or a released one with its record. */
export function showBarrier({ name, sequence, batch, state, publishedAt, progress, record }: BarrierView): object {
  return {
    state,
    name,
    sequence,
    batch,
    published_at: time(publishedAt),
    progress: showProgress(progress),
    ...(record === undefined ? {} : showRecord(record)),
  }
}

export function showRecord(record: BarrierRecord): object {
  const { properties, body } = decodeMessage(record.bytes)
  return {
    name: record.name,
    sequence: record.sequence,
    batch: record.batch,
    outcome: record.outcome,
    stats: showStats(record.stats),
    published_at: time(record.publishedAt),
    released_at: time(record.releasedAt),
    ...showMessage(properties, body),
  }
}

export function showHoldout({ sequence, state, reason, attempt, holder, leaseAgeMs }: Holdout): object {
  return { sequence, state, reason, attempt, holder, lease_age_ms: leaseAgeMs }
}

export function showOrigin({ queue, sequence, batch, attempts, deadAt, reason, detail }: DeadLetterOrigin): object {
  return { queue, sequence, batch, attempts, dead_at: time(deadAt), reason, detail }
}

function showProgress({ published, acked, leased, ready, delayed, dead, ratePerSecond, etaMs }: Progress): object {
  return { published, acked, leased, ready, delayed, dead, rate_per_second: ratePerSecond, eta_ms: etaMs }
}

function showStats({ firstPublishedAt, lastSettledAt, ...counts }: BatchStats): object {
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
    leaseMs: ['lease', duration(options.leaseMs)],
    acks: ['acks', options.acks],
    prefetchMax: ['prefetch_max', options.prefetchMax],
    prefetchBytes: ['prefetch_bytes', formatSize(options.prefetchBytes)],
    unackedMax: ['unacked_max', options.unackedMax],
    fairness: ['fairness', options.fairness],
    deliveriesMax: ['deliveries_max', options.deliveriesMax],
    retryDelay: ['retry_delay', showRetryDelay(options.retryDelay)],
    deadLetter: ['dead_letter', options.deadLetter],
    expirationMs: ['expiration', duration(options.expirationMs)],
    messagesMax: ['messages_max', options.messagesMax],
    bytesMax: ['bytes_max', options.bytesMax === undefined ? undefined : formatSize(options.bytesMax)],
    overflow: ['overflow', options.overflow],
    dedupeWindowMs: ['dedupe_window', formatDuration(options.dedupeWindowMs)],
    dedupeMax: ['dedupe_max', options.dedupeMax],
  }
  return Object.fromEntries(Object.values(shown))
}

/** As a duration where it says all. */
function showRetryDelay({ baseMs, factor, maxMs, jitter }: QueueOptions['retryDelay']): unknown {
  if (factor === 1 && !jitter) return formatDuration(baseMs)
  return { base: formatDuration(baseMs), factor, max: formatDuration(maxMs), jitter }
}

function duration(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : formatDuration(ms)
}

function time(at: number | undefined): string | undefined {
  return at === undefined ? undefined : new Date(at).toISOString()
}
