import type { Batch } from './batch.ts'
import type { SettledReason, Timestamp } from './facts.ts'
import type { Queue } from './queue.ts'
import type { Held, Subscription } from './subscription.ts'
import type { Turn } from './turn.ts'

export type SettleHow =
  | { readonly kind: 'ack' }
  | { readonly kind: 'nack'; readonly delayMs?: number }
  | { readonly kind: 'release' }
  | { readonly kind: 'reject'; readonly reason?: string }
  | { readonly kind: 'extend'; readonly leaseMs: number }

/** Deliveries of one subscription, by ranges of their numbers, and what becomes of them. */
export interface Settle {
  readonly deliveries: readonly { readonly first: number; readonly count: number }[]
  readonly how: SettleHow
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
    const results: SettleResult[] = []
    for (const { first, count } of settle.deliveries) {
      let at = first
      for (const held of this.pieces(subscription, first, count)) {
        if (held.delivery > at) results.push(...subscription.fates(at, held.delivery - at))
        const { delivery } = held
        const size = held.run.count
        this.#settlePiece(turn, now, held, settle.how)
        results.push({ first: delivery, count: size, result: DONE[settle.how.kind] })
        at = delivery + size
      }
      if (at < first + count) results.push(...subscription.fates(at, first + count - at))
    }
    this.#queue.consumers.changed(subscription)
    return results
  }

  /** What a subscription holds of these deliveries, cut to them. */
  pieces(subscription: Subscription, first: number, count: number): Held[] {
    return subscription.pieces(first, count, back => {
      if (back.deadline !== Number.POSITIVE_INFINITY) this.#queue.leases.add(back)
    })
  }

  #settlePiece(turn: Turn, now: Timestamp, held: Held, how: SettleHow): void {
    const queue = this.#queue
    if (how.kind === 'extend') {
      this.#extend(held, now + how.leaseMs)
      return
    }
    queue.takeBack(held)
    const { run } = held
    switch (how.kind) {
      case 'ack':
        settled(turn, now, queue, run.batch, run.first, run.count, 'acked')
        break
      case 'nack':
        queue.fail(turn, now, run, how.delayMs)
        break
      case 'release':
        queue.giveBack(turn, now, run, 0)
        break
      case 'reject':
        queue.reject(turn, now, run, how.reason)
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
}

/** Messages leave the queue for good. */
export function settled(
  turn: Turn,
  now: Timestamp,
  queue: Queue,
  batch: Batch,
  first: number,
  count: number,
  reason: SettledReason,
): void {
  if (reason === 'acked') {
    batch.countSettled(now, count, 'acked')
    queue.ackedTotal += count
  } else batch.countSettled(now, count, reason === 'expired' ? 'expired' : 'dropped')
  turn.keep({ kind: 'settled', queue: queue.id, first, count, reason })
}
