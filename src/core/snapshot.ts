import type { Gathering, WaitingBarrier } from './barriers.ts'
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
  /** `gathering`: its parties are still coming, and it has no place and holds nothing (B14). */
  readonly state: 'gathering' | 'waiting' | 'released'
  readonly publishedAt: Timestamp
  readonly progress: Progress
  readonly deadlineAt?: Timestamp
  readonly parties?: { readonly count: number; readonly arrived: readonly string[] }
  /** Of a released one. */
  readonly record?: BarrierRecord
}

export interface Holdout {
  readonly sequence: Sequence
  /** `dead`: a dead letter that holds, by `on_dead = "hold"`. */
  readonly state: 'ready' | 'leased' | 'delayed' | 'dead'
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
  /** Where a dead letter is now; `sequence` is the one that it had. */
  readonly deadLetter?: { readonly queue: string; readonly sequence: Sequence }
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
    // Also what waits behind the head of its group.
    ready: batch.ready.messages + batch.groups.messages,
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
  const { deadlineAt, parties } = barrier.terms
  return {
    ...common,
    state: 'waiting',
    progress: progressOf(queue.batchAt(batch), now),
    ...(deadlineAt === undefined ? {} : { deadlineAt }),
    ...(parties === undefined ? {} : { parties: { count: parties.count, arrived: parties.arrived } }),
  }
}

/** Of a barrier whose parties are still coming: the number of the party that came last, and the open batch. */
export function viewGathering(queue: Queue, gathering: Gathering, now: Timestamp): BarrierView {
  const { name, count, startedAt, arrivals, deadlineAt } = gathering
  return {
    name,
    sequence: arrivals[arrivals.length - 1]?.sequence ?? 0,
    batch: queue.open.number,
    publishedAt: startedAt,
    state: 'gathering',
    progress: progressOf(queue.open, now),
    ...(deadlineAt === Number.POSITIVE_INFINITY ? {} : { deadlineAt }),
    parties: { count, arrived: arrivals.map(({ party }) => party) },
  }
}

export function viewQueue(queue: Queue, now: Timestamp): QueueView {
  let ready = 0
  let delayed = 0
  for (const batch of queue.batches) {
    ready += batch.ready.messages + batch.groups.messages
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
  let delayed = 0
  for (const run of queue.delayed.from(page.after + 1)) {
    if (run.batch !== batch) continue
    if (delayed >= page.limit) break
    delayed += run.count
    const common = {
      state: 'delayed',
      reason: run.delivered ? 'retrying' : 'delayed',
      attempt: run.attempts + 1,
    } as const
    add(run, sequence => ({ sequence, ...common }))
  }
  for (const run of readyAfter(batch, page)) {
    add(run, sequence => ({ sequence, state: 'ready', reason: whyReady(queue, sequence), attempt: run.attempts + 1 }))
  }
  const waitingReason = queue.isPaused ? 'paused' : 'ready'
  let waiting = 0
  for (const run of batch.groups) {
    if (run.first <= page.after) continue
    if (waiting === page.limit) break
    waiting += 1
    add(run, sequence => ({ sequence, state: 'ready', reason: waitingReason, attempt: run.attempts + 1 }))
  }
  if (queue.options.onDead === 'hold' && barrier.ended === undefined) {
    for (const { queue: name, run } of queue.deadLettersOf(batch)) {
      const { sequence = 0, attempts = 0 } = run.origin ?? {}
      if (sequence <= page.after) continue
      const deadLetter = { queue: name, sequence: run.first }
      found.push({ sequence, state: 'dead', reason: 'dead-letter', attempt: attempts, deadLetter })
    }
  }
  return found.sort((a, b) => a.sequence - b.sequence).slice(0, page.limit)
}

/** Ready runs with messages behind `after`: of each priority as many as a page can show. */
function* readyAfter(
  { ready }: Batch,
  { after, limit }: { readonly after: Sequence; readonly limit: number },
): Generator<Run, void, undefined> {
  for (const priority of ready.priorities()) {
    const probe = { priority, first: after + 1 } as Run
    const before = ready.before(probe)
    let count = 0
    if (before !== undefined && before.priority === priority && before.first + before.count > after + 1) {
      count = before.first + before.count - after - 1
      yield before
    }
    for (const run of ready.from(probe)) {
      if (run.priority !== priority || count >= limit) break
      count += run.count
      yield run
    }
  }
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
