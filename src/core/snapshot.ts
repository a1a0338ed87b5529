import type { WaitingBarrier } from './barriers.ts'
import type { Batch } from './batch.ts'
import type { BarrierRecord, BatchNumber, Sequence, Timestamp } from './facts.ts'
import type { QueueOptions } from './options.ts'
import type { Queue } from './queue.ts'
import type { Run } from './run.ts'

/** published = acked + leased + ready + delayed + dead, always (B17). */
export interface Progress {
  readonly published: number
  readonly acked: number
  readonly leased: number
  readonly ready: number
  /** Also what waits for a retry. */
  readonly delayed: number
  /** Dead-lettered, expired and dropped. */
  readonly dead: number
  /** Settled a second over the last seconds, and what is left at that rate; absent while nothing moves. */
  readonly ratePerSecond?: number
  readonly etaMs?: number
}

export interface BarrierView {
  readonly name?: string
  readonly sequence: Sequence
  readonly batch: BatchNumber
  readonly state: 'waiting' | 'released'
  readonly publishedAt: Timestamp
  readonly progress: Progress
  /** Of a released one. */
  readonly record?: BarrierRecord
}

export interface Holdout {
  readonly sequence: Sequence
  readonly state: 'ready' | 'leased' | 'delayed'
  readonly reason:
    | 'ready'
    | 'leased'
    | 'retrying'
    | 'delayed'
    | 'no-subscription-matches'
    | 'no-credit'
    | 'paused'
    | 'dead-letter'
  /** Of the delivery that is out, else of the next one. */
  readonly attempt: number
  /** Who has it: peer and subscription as the core numbers them. */
  readonly holder?: number
  readonly leaseAgeMs?: number
}

export interface QueueView {
  readonly name: string
  readonly options: QueueOptions
  readonly paused: boolean
  /** Live messages by state; barriers are not among them. */
  readonly ready: number
  readonly leased: number
  readonly delayed: number
  /** Of bodies, live. */
  readonly bytes: number
  readonly subscriptions: number
  readonly barriersWaiting: number
  /** Batch number now in turn, and what the open batch holds. */
  readonly batch: BatchNumber
  readonly open: Progress
  /** Since the server started. */
  readonly publishedTotal: number
  readonly ackedTotal: number
}

export function progressOf(batch: Batch, now: Timestamp): Progress {
  const { published, acked, leased, delayed } = batch
  const ratePerSecond = batch.rate.perSecond(now)
  const shape = {
    published,
    acked,
    leased,
    ready: batch.ready.messages,
    delayed,
    dead: batch.dead + batch.expired + batch.dropped,
  }
  return ratePerSecond === undefined
    ? shape
    : { ...shape, ratePerSecond, etaMs: Math.round((batch.live / ratePerSecond) * 1000) }
}

/** Of a released barrier: everything is settled. */
function progressOfRecord(record: BarrierRecord): Progress {
  const { published, acked, dead, expired, dropped } = record.stats
  return { published, acked, leased: 0, ready: 0, delayed: 0, dead: dead + expired + dropped }
}

export function viewBarrier(queue: Queue, barrier: WaitingBarrier | BarrierRecord, now: Timestamp): BarrierView {
  const { sequence, batch, name, publishedAt } = barrier
  const common = { ...(name === undefined ? {} : { name }), sequence, batch, publishedAt }
  if ('releasedAt' in barrier)
    return { ...common, state: 'released', progress: progressOfRecord(barrier), record: barrier }
  return { ...common, state: 'waiting', progress: progressOf(queue.batchAt(batch), now) }
}

export function viewQueue(queue: Queue, now: Timestamp): QueueView {
  let ready = 0
  let delayed = 0
  for (const batch of queue.batches) {
    ready += batch.ready.messages
    delayed += batch.delayed
  }
  return {
    name: queue.name,
    options: queue.options,
    paused: queue.isPaused,
    ready,
    leased: queue.leased,
    delayed,
    bytes: Math.round(queue.bytes),
    subscriptions: queue.consumers.all.size,
    barriersWaiting: queue.barriers.waitingCount,
    batch: queue.head.number,
    open: progressOf(queue.open, now),
    publishedTotal: queue.publishedTotal,
    ackedTotal: queue.ackedTotal,
  }
}

/** The messages that hold a waiting barrier, of its batch, by sequence number: at most `limit` of those behind `after`. */
export function holdouts(
  queue: Queue,
  barrier: WaitingBarrier,
  page: { readonly after: Sequence; readonly limit: number },
  now: Timestamp,
): Holdout[] {
  const batch = queue.batchAt(barrier.batch)
  const found: Holdout[] = []
  const add = (run: Run, describe: (sequence: Sequence) => Holdout) => {
    const from = Math.max(run.first, page.after + 1)
    const upTo = Math.min(run.first + run.count, from + page.limit)
    for (let sequence = from; sequence < upTo; sequence += 1) found.push(describe(sequence))
  }
  for (const held of queue.heldRuns()) {
    const { run, subscription, deliveredAt } = held
    if (run.batch !== batch) continue
    const common = {
      state: 'leased',
      reason: 'leased',
      attempt: run.attempts + 1,
      holder: subscription.peer,
      leaseAgeMs: now - deliveredAt,
    } as const
    add(run, sequence => ({ sequence, ...common }))
  }
  for (const run of queue.delayed) {
    if (run.batch !== batch) continue
    const common = {
      state: 'delayed',
      reason: run.delivered ? 'retrying' : 'delayed',
      attempt: run.attempts + 1,
    } as const
    add(run, sequence => ({ sequence, ...common }))
  }
  let readyFound = 0
  for (const run of batch.ready) {
    if (run.first + run.count <= page.after + 1) continue
    if (readyFound >= page.limit) break
    readyFound += run.count
    add(run, sequence => ({ sequence, state: 'ready', reason: whyReady(queue, sequence), attempt: run.attempts + 1 }))
  }
  return found.sort((a, b) => a.sequence - b.sequence).slice(0, page.limit)
}

function whyReady(queue: Queue, sequence: Sequence): Holdout['reason'] {
  if (queue.isPaused) return 'paused'
  let matches = false
  for (const line of queue.consumers.lines.values()) {
    const takesMessages = [...queue.consumers.all].some(
      subscription => subscription.line === line && subscription.prefetch > 0,
    )
    if (!takesMessages || line.predicate?.matches(sequence) === false) continue
    matches = true
    if (line.heap.size > 0) return 'ready'
  }
  return matches ? 'no-credit' : 'no-subscription-matches'
}
