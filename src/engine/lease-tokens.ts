import type { Queue } from '../core/queue.ts'
import type { Subscription } from '../core/subscription.ts'
import type { Principal } from './principal.ts'

/** Pulls whose leases are remembered after they hold nothing any more, so that a late ack learns what became of it. */
const REMEMBERED_MAX = 10_000

interface Given {
  readonly queue: Queue
  readonly subscription: Subscription
  /** Who pulled: a token can be guessed, and is nothing in the hands of another. */
  readonly principal: Principal | undefined
}

/** Names deliveries of pulls to the outside, and finds them again. */
export class LeaseTokens {
  readonly #start: number
  readonly #subscriptions = new Map<number, Given>()
  #newest = 0

  /** @param start number of this start of the server: tokens of an earlier one are lost with its leases (A3) */
  constructor(start: number) {
    this.#start = start
  }

  add(queue: Queue, subscription: Subscription, principal: Principal | undefined): void {
    this.#newest = subscription.id
    this.#subscriptions.set(subscription.id, { queue, subscription, principal })
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

  /** What somebody has pulled and not settled. */
  *of(principal: Principal): Generator<Given, void, undefined> {
    for (const given of this.#subscriptions.values())
      if (given.principal === principal && given.subscription.held.size > 0) yield given
  }

  /** The delivery that a token names, or why it names none. */
  read(
    token: string,
    queue: Queue,
    by: Principal | 'anyone' | undefined,
  ): { readonly subscription: Subscription; readonly delivery: number } | 'unknown' | 'lease-lost' | 'already-settled' {
    const match = /^(\d{1,15})\.(\d{1,15})\.(\d{1,15})$/.exec(token)
    if (match === null) return 'unknown'
    const [start, id, delivery] = match.slice(1).map(Number) as [number, number, number]
    if (start !== this.#start) return start < this.#start ? 'lease-lost' : 'unknown'
    const found = this.#subscriptions.get(id)
    if (found === undefined) return id <= this.#newest ? 'already-settled' : 'unknown'
    if (by !== 'anyone' && found.principal !== by) return 'unknown'
    return found.queue === queue ? { subscription: found.subscription, delivery } : 'unknown'
  }
}
