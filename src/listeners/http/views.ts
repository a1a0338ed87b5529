import { decodeMessage } from '@sluice/protocol'
import type { DeadLetterOrigin, Holdout, MessageView, QueueOptions, QueueView } from '../../engine/peer.ts'
import { showMessage, showProgress, time } from '../../engine/shown.ts'
import { formatDuration, formatSize } from '../../engine/units.ts'

export { showBarrier, showBarrierInList, showProgress, showRecord, showStats, time } from '../../engine/shown.ts'

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
    open: queue.open && showProgress(queue.open),
    published_total: queue.publishedTotal,
    acked_total: queue.ackedTotal,
  }
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

function showOptions(options: QueueOptions): object {
  const shown: { readonly [K in keyof QueueOptions]-?: readonly [name: string, value: unknown] } = {
    semantics: ['semantics', options.semantics],
    barrier: ['barrier', options.barrier],
    barriersMax: ['barriers_max', options.barriersMax],
    barrierRecords: ['barrier_records', options.barrierRecords],
    onDead: ['on_dead', options.onDead],
    deadlineRest: ['deadline_rest', options.deadlineRest],
    forwardBarrier: ['forward_barrier', options.forwardBarrier],
    announce: ['announce', options.announce],
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
