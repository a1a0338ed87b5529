import type { Gathering, WaitingBarrier } from './barriers.ts'
import { type Batch, byNumber } from './batch.ts'
import type { BarrierOutcome, BatchRest, DeadReason, Sequence, Timestamp } from './facts.ts'
import type { Queue } from './queue.ts'
import { type Refusal, refuse } from './refusals.ts'
import type { Run } from './run.ts'
import type { Turn } from './turn.ts'

/** Messages that one turn deals with when many have to go: others come between (R9), and no commit grows large. */
export const WORK_MAX = 1_000

const REASONS: Partial<Record<BarrierOutcome, DeadReason>> = {
  failed: 'batch-failed',
  cancelled: 'batch-cancelled',
  expired: 'batch-expired',
}

/** What of a batch goes, and how far. */
interface Wanted {
  readonly leased: boolean
  /** Only what came before this sequence number. */
  readonly below: Sequence
}

const ALL: Wanted = { leased: true, below: Number.POSITIVE_INFINITY }

/**
 * Ends batches before they are done (B13): by the deadline of their barrier, by cancel, purge, or a dead letter that
 * fails them. One fact decides; what is left goes in turns; the barrier is released after the last.
 */
export class Endings {
  readonly #queue: Queue
  /** Of the batches that were ended those of which something may be left: nothing comes to one that is empty. */
  readonly #ending = new Set<Batch>()

  constructor(queue: Queue) {
    this.#queue = queue
  }

  /** There is something left to be done, now. */
  get isBusy(): boolean {
    for (const batch of this.#ending) {
      if (batch.live > 0) return true
      this.#ending.delete(batch)
    }
    return false
  }

  /** Its end was decided before a restart, perhaps. */
  restored(batch: Batch): void {
    if (batch.isEnding) this.#ending.add(batch)
  }

  end(turn: Turn, barrier: WaitingBarrier, outcome: BarrierOutcome, rest?: BatchRest): void {
    const queue = this.#queue
    const batch = queue.batchAt(barrier.batch)
    if (barrier.ended !== undefined) return
    const how = rest ?? barrier.terms.rest ?? queue.options.deadlineRest
    queue.keepBarrier(turn, batch, { ...barrier, ended: { outcome, rest: how } })
    if (how === 'carry') this.#carry(batch, this.heir(queue.batchAt(barrier.batch + 1)))
    else this.#ending.add(batch)
  }

  /** Where messages of this batch are now: in the next that was not itself carried on. A restart finds them by this too. */
  heir(batch: Batch): Batch {
    let heir = batch
    while (heir.barrier?.ended?.rest === 'carry') heir = this.#queue.batchAt(heir.number + 1)
    return heir
  }

  /** Ends what has a deadline that has passed; a barrier that still gathers gets its place first (B14). */
  expire(turn: Turn, now: Timestamp): void {
    const { barriers } = this.#queue
    if (barriers.nextDeadline > now) return
    for (const gathering of [...barriers.gathering()]) {
      if (gathering.deadlineAt <= now) this.#queue.placing.placeGathered(turn, now, gathering)
    }
    for (const barrier of [...barriers.waiting()]) {
      if (barrier.ended === undefined && (barrier.terms.deadlineAt ?? Number.POSITIVE_INFINITY) <= now)
        this.end(turn, barrier, 'expired')
    }
  }

  /** Ends the batch of a barrier as cancelled; one that still gathers gets its place first. */
  cancel(turn: Turn, now: Timestamp, name: string, rest: BatchRest | undefined): Refusal | undefined {
    const barrier = this.#unreleased(name)
    if ('code' in barrier) return barrier
    if ('arrivals' in barrier) {
      this.end(turn, this.#queue.placing.placeGathered(turn, now, barrier), 'cancelled', rest)
      return undefined
    }
    if (barrier.ended !== undefined) return alreadyEnded(barrier)
    this.end(turn, barrier, 'cancelled', rest)
    return undefined
  }

  /** Gives a barrier that waits or gathers another deadline, before that has passed. */
  extend(turn: Turn, now: Timestamp, name: string, deadlineAt: Timestamp): Refusal | undefined {
    const queue = this.#queue
    const barrier = this.#unreleased(name)
    if ('code' in barrier) return barrier
    if ('arrivals' in barrier) {
      queue.placing.setDeadline(turn, now, barrier, deadlineAt)
      return undefined
    }
    if (barrier.ended !== undefined) return alreadyEnded(barrier)
    queue.keepBarrier(turn, queue.batchAt(barrier.batch), { ...barrier, terms: { ...barrier.terms, deadlineAt } })
    return undefined
  }

  #unreleased(name: string): WaitingBarrier | Gathering | Refusal {
    const { barriers, name: queueName } = this.#queue
    const barrier = barriers.gatheringOf(name) ?? barriers.find(name)
    if (barrier === undefined) return refuse('no-such-barrier', `queue "${queueName}" has no barrier "${name}"`)
    if (!('releasedAt' in barrier)) return barrier
    const { releasedAt } = barrier
    return refuse('barrier-exists', `barrier "${name}" was released at ${new Date(releasedAt).toISOString()}`, {
      released_at: releasedAt,
    })
  }

  /**
   * A batch with a dead letter fails, if the queue wants that. Decided at the end of a turn, when every message is in its
   * place again: the rest must be whole to be carried.
   */
  failBatches(turn: Turn): void {
    const { dirty, options } = this.#queue
    if (options.onDead !== 'fail') return
    for (const { barrier, dead, expired, unkept } of [...dirty].sort(byNumber)) {
      if (barrier === undefined || barrier.ended !== undefined) continue
      // What else was dropped was not wanted any more: purged, deleted, or pushed out by choice.
      if (dead + expired + unkept > 0) this.end(turn, barrier, 'failed')
    }
  }

  /** The rest of a batch joins the next one: it keeps its place and its leases, and is counted there. */
  #carry(from: Batch, to: Batch): void {
    const queue = this.#queue
    const count = from.live
    if (count === 0) return
    for (const run of from.groups) run.batch = to
    for (const head of to.groups.join(from.groups)) {
      if (head.dueAt > 0) queue.delayed.take(head)
      else to.ready.take(head, 0, head.count)
      // A head that steps back expires where those that wait do.
      if (head.expiresAt !== Number.POSITIVE_INFINITY) queue.expiring.add(head)
    }
    for (const held of queue.heldRuns()) if (!held.isSpent && held.run.batch === from) held.run.batch = to
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
    to.firstPublishedAt = earliest(to.firstPublishedAt, from.firstPublishedAt)
    from.isDirty = true
    to.isDirty = true
    if (to.isEnding) this.#ending.add(to)
  }

  /** Deals with some of what is left of ended batches. @returns how much more one turn may deal with */
  work(turn: Turn, now: Timestamp): number {
    let left = WORK_MAX
    for (const batch of [...this.#ending].sort(byNumber)) {
      if (left === 0) break
      for (const run of this.#takeLive(turn, batch, left, ALL)) {
        left -= run.count
        this.#discard(turn, now, batch, run)
      }
    }
    return left
  }

  #discard(turn: Turn, now: Timestamp, batch: Batch, run: Run): void {
    const { outcome, rest } = (batch.barrier as WaitingBarrier).ended ?? { outcome: 'cancelled', rest: 'drop' }
    if (rest === 'drop') this.#queue.finish(turn, now, run, 'dropped')
    else this.#queue.deadLetter(turn, now, run, REASONS[outcome] ?? 'batch-cancelled')
  }

  /**
   * Empties the queue of what came before `below` (A6): the waiting batches end as cancelled and are dropped, in order;
   * then what is ready and delayed goes, and what is leased too if that is wished. Some in one turn. Behind the last of
   * it the barriers end whose parties were gathering: as they hold nothing, what is still there is carried on.
   */
  purge(turn: Turn, now: Timestamp, wanted: Wanted): { readonly count: number; readonly isDone: boolean } {
    const queue = this.#queue
    for (const barrier of [...queue.barriers.waiting()]) {
      if (barrier.sequence < wanted.below) this.end(turn, barrier, 'cancelled', 'drop')
    }
    let left = this.work(turn, now)
    for (const batch of queue.batches) {
      if (batch.isEnding || left === 0) continue
      for (const run of this.#takeLive(turn, batch, left, wanted)) {
        left -= run.count
        queue.finish(turn, now, run, 'purged')
      }
    }
    if (left > 0) {
      for (const gathering of [...queue.barriers.gathering()]) {
        if ((gathering.arrivals[0]?.sequence ?? 0) >= wanted.below) continue
        this.end(turn, queue.placing.placeGathered(turn, now, gathering), 'cancelled', 'carry')
      }
    }
    return { count: WORK_MAX - left, isDone: left > 0 }
  }

  /** Takes up to `max` messages of a batch out of their places: ready, waiting, delayed, and if wished leased ones. */
  #takeLive(turn: Turn, batch: Batch, max: number, { leased, below }: Wanted): Run[] {
    const queue = this.#queue
    const taken: Run[] = []
    let left = max
    const countOf = (run: Run) => Math.min(run.count, left, below - run.first)
    const takeFrom = (runs: Iterable<Run>, take: (run: Run, count: number) => Run) => {
      // Found first, taken then: a list must not change while it is looked through.
      const found: Run[] = []
      let room = left
      for (const run of runs) {
        if (room <= 0) break
        if (run.batch !== batch || run.first >= below) continue
        found.push(run)
        room -= countOf(run)
      }
      for (const run of found) {
        const count = countOf(run)
        if (count <= 0) return
        left -= count
        taken.push(take(run, count))
      }
    }
    takeFrom(batch.ready, (run, count) => batch.ready.take(run, 0, count))
    takeFrom(batch.groups, run => {
      queue.takeWaiting(run)
      return run
    })
    takeFrom(queue.delayed, (run, count) => queue.delayed.takePart(run, 0, count))
    if (!leased) return taken
    for (const { run, subscription, delivery, isSpent } of [...queue.heldRuns()]) {
      if (isSpent || run.batch !== batch || run.first >= below || left === 0) continue
      const count = countOf(run)
      left -= count
      for (const piece of queue.settling.pieces(subscription, delivery, count)) {
        queue.loseLease(turn, piece)
        taken.push(piece.run)
      }
    }
    return taken
  }
}

function alreadyEnded({ name, ended }: WaitingBarrier): Refusal {
  return refuse('invalid-request', `the batch of barrier "${name ?? ''}" was ended already: ${ended?.outcome}`)
}

function earliest(a: Timestamp | undefined, b: Timestamp | undefined): Timestamp | undefined {
  return a === undefined || (b !== undefined && b < a) ? b : a
}
