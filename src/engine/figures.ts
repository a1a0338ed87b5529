import type { Timestamp } from '../core/facts.ts'
import type { Queue } from '../core/queue.ts'
import { viewQueue } from '../core/snapshot.ts'
import type { Engine } from './engine.ts'
import type { Totals } from './tally.ts'

/** A queue as it is now, or several together. */
export interface QueueFigures {
  readonly ready: number
  readonly leased: number
  readonly delayed: number
  /** Of bodies. */
  readonly bytes: number
  readonly subscriptions: number
  readonly barriersWaiting: number
  /** Age of the barrier that waits longest; of several queues the oldest. */
  readonly oldestBarrierMs: number
  /** How long nothing of the batch in turn has been settled while its barrier waits; of several queues the longest. */
  readonly heldMs: number
}

export interface Figures {
  readonly totals: Totals
  readonly queues: ReadonlyMap<string, QueueFigures>
  /** Of the queues that are not named, and how many they are. */
  readonly others: QueueFigures
  readonly othersCount: number
  readonly subscriptions: number
  /** By protocol. */
  readonly connections: ReadonlyMap<string, number>
  /** Not yet taken by the sockets of all. */
  readonly bufferedBytes: number
  readonly watchers: number
  readonly unflushedMs: number
}

const NONE: QueueFigures = {
  ready: 0,
  leased: 0,
  delayed: 0,
  bytes: 0,
  subscriptions: 0,
  barriersWaiting: 0,
  oldestBarrierMs: 0,
  heldMs: 0,
}

/** @param named most queues that are named, those declared first; the others are added up */
export function figuresOf(engine: Engine, named: number): Figures {
  const now = engine.clock.now()
  const queues = new Map<string, QueueFigures>()
  let others = NONE
  let othersCount = 0
  let subscriptions = 0
  for (const queue of engine.broker.queues()) {
    const figures = figuresOfQueue(queue, now)
    subscriptions += figures.subscriptions
    if (queues.size < named) queues.set(queue.name, figures)
    else {
      others = together(others, figures)
      othersCount += 1
    }
  }
  const connections = new Map<string, number>()
  let bufferedBytes = 0
  for (const { identity, outbox } of engine.parties.values()) {
    const { protocol = 'unknown' } = identity
    connections.set(protocol, (connections.get(protocol) ?? 0) + 1)
    bufferedBytes += outbox.bufferedBytes?.() ?? 0
  }
  return {
    totals: engine.tally,
    queues,
    others,
    othersCount,
    subscriptions,
    connections,
    bufferedBytes,
    watchers: engine.follows.watchers,
    unflushedMs: engine.tally.unflushedMs(now),
  }
}

function figuresOfQueue(queue: Queue, now: Timestamp): QueueFigures {
  const { ready, leased, delayed, bytes, subscriptions, barriersWaiting } = viewQueue(queue, now)
  const { barrier, lastSettledAt } = queue.head
  const publishedAt = barrier?.publishedAt ?? now
  return {
    ready,
    leased,
    delayed,
    bytes,
    subscriptions,
    barriersWaiting,
    oldestBarrierMs: now - publishedAt,
    heldMs: barrier === undefined ? 0 : now - Math.max(publishedAt, lastSettledAt ?? 0),
  }
}

function together(a: QueueFigures, b: QueueFigures): QueueFigures {
  return {
    ready: a.ready + b.ready,
    leased: a.leased + b.leased,
    delayed: a.delayed + b.delayed,
    bytes: a.bytes + b.bytes,
    subscriptions: a.subscriptions + b.subscriptions,
    barriersWaiting: a.barriersWaiting + b.barriersWaiting,
    oldestBarrierMs: Math.max(a.oldestBarrierMs, b.oldestBarrierMs),
    heldMs: Math.max(a.heldMs, b.heldMs),
  }
}
