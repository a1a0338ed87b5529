import type { BatchNumber } from '../core/facts.ts'
import type { Queue } from '../core/queue.ts'
import type { Refusal } from '../core/refusals.ts'
import type { Subscription } from '../core/subscription.ts'
import type { BarrierDelivery, Delivery, Pulled } from './peer.ts'

/** Lease of a pull where neither it nor the queue says one, in ms. */
export const PULL_LEASE_MS_DEFAULT = 30_000
/** Longest lease of a pull, in ms: 12 h. */
export const PULL_LEASE_MS_MAX: number = 12 * 3_600_000
/** Pulls whose leases are remembered after they hold nothing any more, so that a late ack learns what became of it. */
const REMEMBERED_MAX = 10_000

/** A pull in progress: a subscription that is answered once. */
export class Pull {
  readonly queue: Queue
  readonly #answered: (answer: Pulled | Refusal) => void
  readonly #finish: (pull: Pull) => void
  readonly #soon: (callback: () => void) => void
  readonly #max: number
  readonly deliveries: Delivery[] = []
  readonly barriers: BarrierDelivery[] = []
  subscription!: Subscription
  missed = 0
  isDone = false
  cancelTimer: (() => void) | undefined
  /** Deliveries with a number above it never went out. */
  sent = 0
  #isFinishing = false

  constructor(terms: {
    queue: Queue
    messagesMax: number
    answered: (answer: Pulled | Refusal) => void
    finish: (pull: Pull) => void
    soon: (callback: () => void) => void
  }) {
    this.queue = terms.queue
    this.#max = terms.messagesMax
    this.#answered = terms.answered
    this.#finish = terms.finish
    this.#soon = terms.soon
  }

  deliver(delivery: Delivery): void {
    this.deliveries.push(delivery)
    this.sent = delivery.delivery + delivery.count - 1
    if (this.sent >= this.#max) this.finish()
    else this.#finishSoon()
  }

  /** A barrier comes last in an answer: nothing behind it is taken along. */
  barrier(barrier: BarrierDelivery): void {
    this.barriers.push(barrier)
    if (barrier.replayed) this.#finishSoon()
    else this.finish()
  }

  /** What comes in the same breath goes out in the same answer. */
  #finishSoon(): void {
    if (this.#isFinishing) return
    this.#isFinishing = true
    this.#soon(() => this.finish())
  }

  finish(): void {
    if (this.isDone) return
    this.isDone = true
    this.cancelTimer?.()
    this.#finish(this)
  }

  answer(answer: Pulled | Refusal): void {
    this.#answered(answer)
  }

  /** Batch number to be given back with the next pull: what came after the answer's last barrier is still to come. */
  get batch(): BatchNumber {
    const last = this.barriers[this.barriers.length - 1]
    return last === undefined ? this.queue.head.number : last.record.batch + 1
  }
}

/** Names deliveries of pulls to the outside, and finds them again. */
export class LeaseTokens {
  readonly #start: number
  readonly #subscriptions = new Map<number, { readonly queue: Queue; readonly subscription: Subscription }>()
  #newest = 0

  /** @param start number of this start of the server: tokens of an earlier one are lost with its leases (A3) */
  constructor(start: number) {
    this.#start = start
  }

  add(queue: Queue, subscription: Subscription): void {
    this.#newest = subscription.id
    this.#subscriptions.set(subscription.id, { queue, subscription })
    if (this.#subscriptions.size <= REMEMBERED_MAX) return
    for (const [id, { subscription: old }] of this.#subscriptions) {
      if (this.#subscriptions.size <= REMEMBERED_MAX) break
      if (old.held.size === 0) this.#subscriptions.delete(id)
      else break
    }
  }

  write(subscription: Subscription, delivery: number): string {
    return `${this.#start}.${subscription.id}.${delivery}`
  }

  /** The delivery that a token names, or why it names none. */
  read(
    token: string,
    queue: Queue,
  ): { readonly subscription: Subscription; readonly delivery: number } | 'unknown' | 'lease-lost' | 'already-settled' {
    const match = /^(\d{1,15})\.(\d{1,15})\.(\d{1,15})$/.exec(token)
    if (match === null) return 'unknown'
    const [start, id, delivery] = match.slice(1).map(Number) as [number, number, number]
    if (start !== this.#start) return start < this.#start ? 'lease-lost' : 'unknown'
    const found = this.#subscriptions.get(id)
    if (found === undefined) return id <= this.#newest ? 'already-settled' : 'unknown'
    return found.queue === queue ? { subscription: found.subscription, delivery } : 'unknown'
  }
}
