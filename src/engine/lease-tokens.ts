import type { Queue } from '../core/queue.ts'
import type { Subscription } from '../core/subscription.ts'

/** Pulls whose leases are remembered after they hold nothing any more, so that a late ack learns what became of it. */
const REMEMBERED_MAX = 10_000

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
