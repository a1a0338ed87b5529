import { timeAfter } from './durations.ts'
import type { Timestamp } from './facts.ts'
import type { Queue } from './queue.ts'
import { isSpent, retryDelayMs } from './retry.ts'
import { cutFront, type Run } from './run.ts'
import type { Held, Subscription } from './subscription.ts'
import type { Turn } from './turn.ts'

/** How messages come back that somebody has had: one by one, with a lease, with a subscription. */
export class Returns {
  readonly #queue: Queue

  constructor(queue: Queue) {
    this.#queue = queue
  }

  /** Takes a held run back from its subscription; it is in no place then. */
  takeBack(held: Held): void {
    const queue = this.#queue
    const { subscription, run } = held
    subscription.held.delete(held)
    if (held.deadline !== Number.POSITIVE_INFINITY) queue.leases.delete(held)
    subscription.bytes -= run.bytes
    subscription.isHeavy = false
    if (!subscription.isPull) subscription.used -= run.count
    if (held.isSpent) run.batch.spent -= run.count
    else {
      run.batch.leased -= run.count
      queue.leased -= run.count
    }
    if (subscription.isPull && subscription.held.size === 0) queue.pulls.delete(subscription)
  }

  /** Its lease is gone, and its holder is told: never before the delivery itself. */
  loseLease(turn: Turn, held: Held): void {
    const { subscription, delivery, run, rests } = held
    this.takeBack(held)
    subscription.rememberLost(delivery, run.count, run.first)
    // Of what it was never sent it need not hear.
    const count = Math.min(run.count, subscription.unsentFrom - delivery)
    if (count > 0) turn.perform({ kind: 'lease-lost', rests, subscription, first: delivery, count })
    this.#queue.consumers.changed(subscription)
  }

  /** An attempt failed: it counts, and the messages come back, or go to the dead letters when no attempt is left. */
  fail(turn: Turn, now: Timestamp, run: Run, delayMs: number | undefined): void {
    const { options } = this.#queue
    run.attempts += 1
    if (isSpent(options, run.attempts)) this.#queue.deadLetter(turn, now, run, 'deliveries')
    else this.giveBack(turn, now, run, delayMs ?? retryDelayMs(options.retryDelay, run.attempts, chanceOf(run)))
  }

  /** Puts messages back that somebody has had, with the attempts they have. */
  giveBack(turn: Turn, now: Timestamp, run: Run, delayMs: number): void {
    const queue = this.#queue
    run.delivered = true
    if (run.expiresAt <= now) {
      queue.deadLetter(turn, now, run, 'expired')
      return
    }
    run.dueAt = delayMs > 0 ? Math.min(timeAfter(now, delayMs), run.expiresAt) : 0
    const { first, count, attempts, dueAt } = run
    turn.keep({ kind: 'returned', queue: queue.id, first, count, attempts, ...(dueAt > 0 ? { dueAt } : {}) })
    queue.put(run, now)
  }

  /** Leases that have run out. */
  expire(turn: Turn, now: Timestamp): void {
    const { leases } = this.#queue
    for (let held = leases.first; held !== undefined && held.deadline <= now; held = leases.first) {
      this.#queue.settling.cutUnsent(held.subscription)
      this.loseLease(turn, held)
      if (held.isSpent) continue
      // What waited for a full socket all the time was no attempt (D6).
      if (isUnsent(held)) this.#queue.place(turn, held.run, now)
      else this.fail(turn, now, held.run, 0)
    }
  }

  /** Ends a subscription: everything it holds is ready again, in its place. `isGone`: its connection ended (D6, D10). */
  unsubscribe(turn: Turn, now: Timestamp, subscription: Subscription, isGone: boolean): void {
    const queue = this.#queue
    subscription.isClosed = true
    queue.consumers.delete(subscription)
    let counted = isGone ? subscription.concurrency : 0
    queue.settling.cutUnsent(subscription)
    for (let held = subscription.held.first; held !== undefined; held = subscription.held.first) {
      const { run } = held
      this.takeBack(held)
      if (held.isSpent) continue
      if (held.rests > queue.committed || isUnsent(held)) {
        // As if nobody had had it.
        queue.place(turn, run, now)
        continue
      }
      if (counted > 0) {
        const tried = run.count > counted ? cutFront(run, counted) : run
        counted -= tried.count
        this.fail(turn, now, tried, 0)
        if (tried === run) continue
      }
      this.giveBack(turn, now, run, 0)
    }
  }

  /**
   * A pull has its answer: it gets no more, and what it holds stays until it is settled or its lease runs out. What is
   * numbered behind `sent` never went out and goes back as if nobody had had it.
   */
  closePull(turn: Turn, now: Timestamp, subscription: Subscription, sent: number): void {
    const queue = this.#queue
    subscription.isClosed = true
    queue.consumers.delete(subscription)
    // At most once: nothing is to be settled, and a pull has no use for credit, so it is back with the answer (B18).
    for (const held of [...subscription.held]) if (held.isSpent) this.takeBack(held)
    for (const held of queue.settling.pieces(subscription, sent + 1, subscription.next - sent - 1)) {
      this.takeBack(held)
      queue.place(turn, held.run, now)
    }
    if (subscription.held.size > 0) queue.pulls.add(subscription)
  }
}

/** Of a piece that `cutUnsent` has left: nothing of it was written to a socket. */
export function isUnsent({ delivery, subscription }: Held): boolean {
  return delivery >= subscription.unsentFrom
}

/** A number in [0, 1) that spreads retries, the same for the same message and attempt: the core knows no chance. */
function chanceOf(run: Run): number {
  return ((Math.imul(run.first, 2_654_435_761) + Math.imul(run.attempts, 40_503)) >>> 0) / 2 ** 32
}
