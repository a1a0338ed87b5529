import type { WaitingBarrier } from './barriers.ts'
import type { Batch } from './batch.ts'
import type { BarrierOutcome, BatchRest, DeadReason, Timestamp } from './facts.ts'
import type { Queue } from './queue.ts'
import type { Run } from './run.ts'
import type { Turn } from './turn.ts'

/** Messages that one turn deals with when many have to go: others come between (R9), and no commit grows large. */
export const WORK_MAX = 1_000

const REASONS: Partial<Record<BarrierOutcome, DeadReason>> = {
  failed: 'batch-failed',
  cancelled: 'batch-cancelled',
  expired: 'batch-expired',
}

/**
 * Ends batches before they are done (B13): by the deadline of their barrier, by cancel, purge, or a dead letter that
 * fails them. One fact decides; what is left goes in turns; the barrier is released after the last.
 */
export class Endings {
  readonly #queue: Queue

  constructor(queue: Queue) {
    this.#queue = queue
  }

  /** There is something left to be done, now. */
  get isBusy(): boolean {
    return this.#queue.batches.some(batch => batch.isEnding && batch.live > 0)
  }

  end(turn: Turn, now: Timestamp, barrier: WaitingBarrier, outcome: BarrierOutcome, rest?: BatchRest): void {
    const queue = this.#queue
    const batch = queue.batchAt(barrier.batch)
    if (barrier.ended !== undefined) return
    const how = rest ?? barrier.terms.rest ?? queue.options.deadlineRest
    queue.keepBarrier(turn, batch, { ...barrier, ended: { outcome, rest: how } })
    if (how === 'carry') this.carry(batch, queue.batchAt(barrier.batch + 1))
  }

  /** Ends what has a deadline that has passed; a barrier that still gathers gets its place first (B14). */
  expire(turn: Turn, now: Timestamp): void {
    const { barriers } = this.#queue
    if (barriers.nextDeadline > now) return
    for (const gathering of [...barriers.gathering()]) {
      if (gathering.deadlineAt <= now) this.#queue.arrivals.placeGathered(turn, now, gathering)
    }
    for (const barrier of [...barriers.waiting()]) {
      if (barrier.ended === undefined && (barrier.terms.deadlineAt ?? Number.POSITIVE_INFINITY) <= now)
        this.end(turn, now, barrier, 'expired')
    }
  }

  /** A batch has got a dead letter, or a dead letter has got its barrier. */
  deadLettered(turn: Turn, now: Timestamp, batch: Batch): void {
    if (this.#queue.options.onDead !== 'fail' || batch.barrier === undefined) return
    if (batch.dead + batch.expired + batch.dropped > 0) this.end(turn, now, batch.barrier, 'failed')
  }

  /** The rest of a batch joins the next one: it keeps its place and its leases, and is counted there. */
  carry(from: Batch, to: Batch): void {
    const queue = this.#queue
    const count = from.live
    if (count === 0) return
    for (const run of from.groups) run.batch = to
    for (const head of to.groups.join(from.groups)) {
      if (head.dueAt > 0) queue.delayed.take(head)
      else to.ready.take(head, 0, head.count)
    }
    for (const held of queue.heldRuns()) if (held.run.batch === from) held.run.batch = to
    for (const run of queue.delayed) if (run.batch === from) run.batch = to
    to.leased += from.leased
    to.delayed += from.delayed
    from.leased = 0
    from.delayed = 0
    for (let run = from.ready.first; run !== undefined; run = from.ready.first) {
      from.ready.take(run, 0, run.count)
      run.batch = to
      to.ready.add(run, queue.committed)
    }
    from.published -= count
    to.published += count
    to.carried += count
    to.firstPublishedAt ??= from.firstPublishedAt
    from.isDirty = true
    to.isDirty = true
  }

  /** Deals with some of what is left of ended batches. */
  work(turn: Turn, now: Timestamp): void {
    let left = WORK_MAX
    for (const batch of this.#queue.batches) {
      if (batch.isEnding) left = this.#drain(turn, now, batch, left)
    }
  }

  #drain(turn: Turn, now: Timestamp, batch: Batch, max: number): number {
    const queue = this.#queue
    const { ended } = batch.barrier as WaitingBarrier
    const finish = (run: Run) => {
      if (ended?.rest === 'drop') queue.finish(turn, now, run, 'dropped')
      else queue.deadLetter(turn, now, run, REASONS[ended?.outcome ?? 'cancelled'] ?? 'batch-cancelled')
    }
    let left = max
    for (const run of queue.takeLive(turn, batch, max, true)) {
      left -= run.count
      finish(run)
    }
    return left
  }
}
