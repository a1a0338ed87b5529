import type { Batch } from './batch.ts'
import { timeAfter } from './durations.ts'
import type { Sequence, Timestamp } from './facts.ts'
import type { Queue } from './queue.ts'
import type { Run } from './run.ts'
import type { Fate, Held, Subscription } from './subscription.ts'
import type { Turn } from './turn.ts'

export type SettleHow =
  | { readonly kind: 'ack' }
  | { readonly kind: 'nack'; readonly delayMs?: number }
  | { readonly kind: 'release' }
  | { readonly kind: 'reject'; readonly reason?: string }
  /** New deadline: now plus this. */
  | { readonly kind: 'extend'; readonly leaseMs: number }

/**
 * Deliveries of one subscription, by ranges of their numbers, and what becomes of them. A range with `first` 0 is
 * everything up to `count` that is still held, and no more: what was lost meanwhile nobody has vouched for, also where a
 * late ack of it would count (D7).
 */
export interface Settle {
  readonly deliveries: readonly { readonly first: number; readonly count: number }[]
  readonly how: SettleHow
}

/** Deliveries of one subscription. */
export interface Claim {
  readonly subscription: Subscription
  readonly deliveries: Settle['deliveries']
}

export interface SettleResult {
  readonly first: number
  readonly count: number
  readonly result:
    | 'acked'
    | 'nacked'
    | 'released'
    | 'rejected'
    | 'extended'
    | 'already-settled'
    | 'lease-lost'
    | 'unknown'
}

const DONE = { ack: 'acked', nack: 'nacked', release: 'released', reject: 'rejected', extend: 'extended' } as const

/** The ends of a delivery: ack, nack, release, reject; and the one that puts the end off, extend. */
export class Settling {
  readonly #queue: Queue

  constructor(queue: Queue) {
    this.#queue = queue
  }

  settle(turn: Turn, now: Timestamp, subscription: Subscription, settle: Settle): SettleResult[] {
    const results = settle.deliveries.flatMap(({ first, count }) =>
      this.#settleRange(turn, now, subscription, { first, count }, settle.how),
    )
    this.#queue.consumers.changed(subscription)
    return results
  }

  #settleRange(
    turn: Turn,
    now: Timestamp,
    subscription: Subscription,
    { first, count }: { readonly first: number; readonly count: number },
    how: SettleHow,
  ): SettleResult[] {
    if (first === 0) return this.#settleUpTo(turn, now, subscription, count, how)
    const results: SettleResult[] = []
    const end = first + count
    let at = first
    for (const held of this.pieces(subscription, first, count)) {
      if (held.delivery > at) {
        results.push(...this.#unheld(turn, now, subscription, at, held.delivery - at, how))
        // An ack of a lost delivery may have taken its message out of a later one of these (D7): they are looked up anew.
        if (this.#queue.options.acks === 'any') {
          const rest = { first: held.delivery, count: end - held.delivery }
          return [...results, ...this.#settleRange(turn, now, subscription, rest, how)]
        }
      }
      const { delivery, isSpent } = held
      const size = held.run.count
      this.#settlePiece(turn, now, held, how)
      results.push({ first: delivery, count: size, result: isSpent ? 'already-settled' : DONE[how.kind] })
      at = delivery + size
    }
    if (at < end) results.push(...this.#unheld(turn, now, subscription, at, end - at, how))
    return results
  }

  #settleUpTo(turn: Turn, now: Timestamp, subscription: Subscription, last: number, how: SettleHow): SettleResult[] {
    return this.pieces(subscription, 1, last).map(held => {
      const { delivery, isSpent } = held
      const { count } = held.run
      this.#settlePiece(turn, now, held, how)
      return { first: delivery, count, result: isSpent ? 'already-settled' : DONE[how.kind] }
    })
  }

  /** What a subscription holds of these deliveries, cut to them. */
  pieces(subscription: Subscription, first: number, count: number): Held[] {
    return subscription.pieces(first, count, this.#follow)
  }

  /** Cuts what is held where it stops having been sent, so that each piece was or was not. */
  cutUnsent(subscription: Subscription): void {
    if (subscription.unsentFrom < subscription.next) subscription.cutAt(subscription.unsentFrom, this.#follow)
  }

  readonly #follow = (back: Held): void => {
    if (back.deadline !== Number.POSITIVE_INFINITY) this.#queue.leases.add(back)
  }

  /** The first of these deliveries that is not held any more; undefined when all are. */
  firstUnheld(subscription: Subscription, first: number, count: number): Fate | undefined {
    let at = first
    for (const held of this.pieces(subscription, first, count)) {
      if (held.delivery > at) break
      at = held.delivery + held.run.count
    }
    return at >= first + count ? undefined : subscription.fates(at, first + count - at)[0]
  }

  /** The earliest batch of these deliveries: work that makes work stays in it (B16). */
  earliestBatch(claims: readonly Claim[]): Batch | undefined {
    let earliest: Batch | undefined
    for (const { subscription, deliveries } of claims) {
      for (const { first, count } of deliveries) {
        for (const { run } of this.pieces(subscription, first, count)) {
          if (earliest === undefined || run.batch.number < earliest.number) earliest = run.batch
        }
      }
    }
    return earliest
  }

  /** What of these deliveries counts for an owner, in bytes; what is named twice counts once. */
  storedBy(owner: string, claims: readonly Claim[]): number {
    const pieces = new Set<Held>()
    for (const { subscription, deliveries } of claims) {
      for (const { first, count } of deliveries)
        for (const held of this.pieces(subscription, first, count)) pieces.add(held)
    }
    // Only now: a later range may have cut what an earlier one found.
    let bytes = 0
    for (const { run, isSpent } of pieces) {
      if (!isSpent && run.owned?.owner === owner) bytes += run.owned.bytes * run.count
    }
    return bytes
  }

  #settlePiece(turn: Turn, now: Timestamp, held: Held, how: SettleHow): void {
    const queue = this.#queue
    if (how.kind === 'extend') {
      this.#extend(held, timeAfter(now, how.leaseMs))
      return
    }
    queue.returns.takeBack(held)
    if (held.isSpent) return
    const { run } = held
    switch (how.kind) {
      case 'ack':
        queue.finish(turn, now, run, 'acked')
        break
      case 'nack':
        queue.returns.fail(turn, now, run, how.delayMs)
        break
      case 'release':
        queue.giveBack(turn, now, run, 0)
        break
      case 'reject':
        run.attempts += 1
        queue.deadLetter(turn, now, run, 'rejected', how.reason)
        break
    }
  }

  /** A delivery without a deadline gets none by this: it is safe as long as its connection lives. */
  #extend(held: Held, deadline: Timestamp): void {
    if (held.deadline === Number.POSITIVE_INFINITY) return
    this.#queue.leases.delete(held)
    held.deadline = deadline
    this.#queue.leases.add(held)
  }

  #unheld(
    turn: Turn,
    now: Timestamp,
    subscription: Subscription,
    first: number,
    count: number,
    how: SettleHow,
  ): SettleResult[] {
    const fates = subscription.fates(first, count)
    if (this.#queue.options.acks !== 'any' || how.kind !== 'ack') return fates
    return fates.flatMap((fate): SettleResult[] => {
      if (fate.result !== 'lease-lost') return [fate]
      // Whoever has done the work may say so, as long as nobody else has (D7).
      return Array.from({ length: fate.count }, (_, k) => {
        const sequence = subscription.lostSequence(fate.first + k)
        const run = sequence === undefined ? undefined : this.takeOut(turn, sequence)
        if (run === undefined) return { first: fate.first + k, count: 1, result: 'already-settled' }
        this.#queue.finish(turn, now, run, 'acked')
        return { first: fate.first + k, count: 1, result: 'acked' }
      })
    })
  }

  /** Takes one live message out of wherever it is; whoever has its lease is told. */
  takeOut(turn: Turn, sequence: Sequence): Run | undefined {
    const queue = this.#queue
    for (const batch of queue.batches) {
      const ready = batch.ready.find(sequence)
      if (ready !== undefined) return batch.ready.take(ready, sequence - ready.first, 1)
      const waiting = batch.groups.find(sequence)
      if (waiting === undefined) continue
      queue.takeWaiting(waiting)
      return waiting
    }
    const delayed = queue.delayed.find(sequence)
    if (delayed !== undefined) return queue.delayed.takePart(delayed, sequence - delayed.first, 1)
    const held = this.leaseOf(sequence)
    if (held === undefined) return undefined
    queue.loseLease(turn, held)
    return held.run
  }

  /** The live run that one message is part of, wherever it is. */
  find(sequence: Sequence): Run | undefined {
    for (const { ready, groups } of this.#queue.batches) {
      const run = ready.find(sequence) ?? groups.find(sequence)
      if (run !== undefined) return run
    }
    const delayed = this.#queue.delayed.find(sequence)
    if (delayed !== undefined) return delayed
    for (const { run, isSpent } of this.#queue.heldRuns()) if (!isSpent && isIn(run, sequence)) return run
    return undefined
  }

  /** The lease of one message, cut to it. */
  leaseOf(sequence: Sequence): Held | undefined {
    for (const { run, subscription, delivery, isSpent } of this.#queue.heldRuns()) {
      if (isSpent || !isIn(run, sequence)) continue
      return this.pieces(subscription, delivery + (sequence - run.first), 1)[0]
    }
    return undefined
  }
}

function isIn(run: Run, sequence: Sequence): boolean {
  return sequence >= run.first && sequence < run.first + run.count
}
