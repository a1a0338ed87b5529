import type {
  ClientRow,
  ConsumerRow,
  Lane,
  OpenBatch,
  OverviewHoldout,
  QueueRow,
  ReleasedBatch,
} from '../../engine/peer.ts'
import { showProgress, showStats, time } from './views.ts'

/* Rows of the dashboard as JSON, named like the views of single queues and barriers. */

export function showOpenBatch(batch: OpenBatch): object {
  const { isPaused, isHead, publishedAt, firstPublishedAt, deadlineAt, progress, holdouts, ...rest } = batch
  return {
    ...rest,
    paused: isPaused,
    is_head: isHead,
    published_at: time(publishedAt),
    first_published_at: time(firstPublishedAt),
    deadline_at: time(deadlineAt),
    progress: showProgress(progress),
    holdouts: holdouts?.map(showOverviewHoldout),
  }
}

function showOverviewHoldout({ leasedAt, deadLetter, ...rest }: OverviewHoldout): object {
  return { ...rest, leased_at: time(leasedAt), dead_letter: deadLetter }
}

export function showReleased({ queue, record }: ReleasedBatch): object {
  const { publishedAt, releasedAt, stats, batches, ...rest } = record
  return {
    ...rest,
    queue,
    stats: showStats(stats),
    published_at: time(publishedAt),
    released_at: time(releasedAt),
    batches: batches?.map(({ queue: from, sequence, outcome }) => ({ queue: from, sequence, outcome })),
  }
}

export function showQueueRow({ name, isPaused, rights, counts }: QueueRow): object {
  const { barriersWaiting, published, acked, ...others } = counts ?? {}
  return {
    name,
    paused: isPaused,
    rights,
    ...others,
    barriers_waiting: barriersWaiting,
    published_total: published,
    acked_total: acked,
  }
}

export function showConsumer({ leasedAt, isPull, isStalled, ...rest }: ConsumerRow): object {
  return { ...rest, leased_at: time(leasedAt), is_pull: isPull, is_stalled: isStalled }
}

export function showLane({ queue, released, open }: Lane): object {
  return { queue, released: released.map(showReleased), open: open.map(showOpenBatch) }
}

export function showClient({ since, ...client }: ClientRow): object {
  return { ...client, since: time(since) }
}
