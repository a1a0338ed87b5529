import type { Gathering, WaitingBarrier } from '../core/barriers.ts'
import type { Batch } from '../core/batch.ts'
import type { BarrierRecord, Timestamp } from '../core/facts.ts'
import type { Queue } from '../core/queue.ts'
import { holdouts, progressOf } from '../core/snapshot.ts'
import type { Subscription } from '../core/subscription.ts'
import type { ConsumerRow, OpenBatch, OverviewHoldout, ReleasedBatch } from './overviewing.ts'
import type { Right } from './principal.ts'

/** Holdouts that a row shows. */
const HOLDOUTS_SHOWN = 3
/** Above so many that are out, or delayed, or consumers, looking for them costs more than a row is worth. */
const HOLDOUTS_LOOK_MAX = 1_000

interface Seen {
  readonly queue: Queue
  readonly rights: readonly Right[]
  readonly now: Timestamp
  nameOf(peer: number): string | undefined
}

function commonOf({ queue, rights }: Seen, batch: Batch) {
  return {
    queue: queue.name,
    isPaused: queue.isPaused,
    rights,
    subscriptions: queue.consumers.all.size,
    isHead: batch === queue.head,
    batch: batch.number,
    ...(batch.firstPublishedAt === undefined ? {} : { firstPublishedAt: batch.firstPublishedAt }),
  }
}

export function viewWaiting(seen: Seen, barrier: WaitingBarrier): OpenBatch {
  const { queue, now } = seen
  const batch = queue.batchAt(barrier.batch)
  const { deadlineAt, parties, forward } = barrier.terms
  const isQuick =
    queue.leased <= HOLDOUTS_LOOK_MAX &&
    batch.delayed <= HOLDOUTS_LOOK_MAX &&
    queue.consumers.all.size <= HOLDOUTS_LOOK_MAX
  return {
    ...commonOf(seen, batch),
    state: 'waiting',
    ...(barrier.name === undefined ? {} : { name: barrier.name }),
    sequence: barrier.sequence,
    publishedAt: barrier.publishedAt,
    ...(deadlineAt === undefined ? {} : { deadlineAt }),
    ...(parties === undefined ? {} : { parties: { count: parties.count, arrived: parties.arrived.length } }),
    forward: forward ?? queue.options.forwardBarrier,
    progress: progressOf(batch, now),
    behind: liveAfter(queue, batch),
    ...(batch === queue.head && isQuick
      ? { holdouts: holdoutsOf(seen, barrier, { after: 0, limit: HOLDOUTS_SHOWN }) }
      : {}),
  }
}

export function viewGatheringBatch(seen: Seen, gathering: Gathering): OpenBatch {
  const { queue, now } = seen
  const { name, count, startedAt, arrivals, deadlineAt } = gathering
  return {
    ...commonOf(seen, queue.open),
    state: 'gathering',
    name,
    publishedAt: startedAt,
    ...(deadlineAt === Number.POSITIVE_INFINITY ? {} : { deadlineAt }),
    parties: { count, arrived: arrivals.length },
    forward: arrivals[0]?.terms.forward ?? queue.options.forwardBarrier,
    progress: progressOf(queue.open, now),
    behind: 0,
  }
}

export function viewOpen(seen: Seen): OpenBatch {
  const { queue, now } = seen
  return {
    ...commonOf(seen, queue.open),
    state: 'open',
    forward: queue.options.forwardBarrier,
    progress: progressOf(queue.open, now),
    behind: 0,
  }
}

export function viewReleased(queue: string, record: BarrierRecord): ReleasedBatch {
  const { bytes: _b, parties: _p, ...rest } = record
  return { queue, record: rest }
}

function holdoutsOf(
  { queue, now, nameOf }: Seen,
  barrier: WaitingBarrier,
  page: { readonly after: number; readonly limit: number },
): readonly OverviewHoldout[] {
  return holdouts(queue, barrier, page, now).map(({ holder, leaseAgeMs, ...rest }) => {
    const name = holder === undefined ? undefined : nameOf(holder)
    return {
      ...rest,
      ...(name === undefined ? {} : { holder: name }),
      ...(leaseAgeMs === undefined ? {} : { leasedAt: now - leaseAgeMs }),
    }
  })
}

export function viewConsumer(subscription: Subscription, name: string): ConsumerRow {
  // What somebody is entitled to stands behind the filter that he wishes; that is his token's, and not shown.
  const filter = subscription.predicate?.text.split('\u0000')[0]
  let leasedAt: Timestamp | undefined
  for (const held of subscription.held) {
    leasedAt = held.deliveredAt
    break
  }
  return {
    name,
    prefetch: subscription.prefetch,
    used: subscription.used,
    ...(leasedAt === undefined ? {} : { leasedAt }),
    ...(filter === undefined || filter === '' ? {} : { filter }),
    isPull: subscription.isPull,
    isStalled: subscription.isStalled,
  }
}

/** Messages of the batches behind this one. */
function liveAfter(queue: Queue, batch: Batch): number {
  let live = 0
  for (const later of queue.batches) if (later.number > batch.number) live += later.live
  return live
}
