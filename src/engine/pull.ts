import type { BatchNumber } from '../core/facts.ts'
import type { Queue } from '../core/queue.ts'
import type { Refusal } from '../core/refusals.ts'
import type { Subscription } from '../core/subscription.ts'
import type { BarrierDelivery, Delivery, Pulled } from './peer.ts'

/** A pull in progress: a subscription that is answered once. */
export class Pull {
  readonly queue: Queue
  readonly #answered: (answer: Pulled | Refusal) => void
  readonly #finish: (pull: Pull) => void
  readonly #soon: (callback: () => void) => void
  readonly #max: number
  /** Batch number from which on it is to get barriers. */
  readonly #since: BatchNumber
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
    since: BatchNumber
    answered: (answer: Pulled | Refusal) => void
    finish: (pull: Pull) => void
    soon: (callback: () => void) => void
  }) {
    this.queue = terms.queue
    this.#max = terms.messagesMax
    this.#since = terms.since
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

  /** Nobody waits for it any more. @returns false when it was over before */
  cancel(): boolean {
    if (this.isDone) return false
    this.isDone = true
    this.cancelTimer?.()
    return true
  }

  finish(): void {
    if (this.cancel()) this.#finish(this)
  }

  answer(answer: Pulled | Refusal): void {
    this.#answered(answer)
  }

  /**
   * Batch number to be given back with the next pull: of the first barrier that is still to come. That is one behind the
   * answer's last, and also one that is released and on its way to the disk: it could not be sent yet, and a crash may undo
   * its release.
   */
  get batch(): BatchNumber {
    const { barriers, head, committed } = this.queue
    const last = this.barriers[this.barriers.length - 1]
    const from = last === undefined ? this.#since : last.record.batch + 1
    for (const { record, turn } of barriers.since(from, head.number).records) {
      if (turn > committed || this.subscription.predicate?.matchesBarrier(record) !== false) return record.batch
    }
    return head.number
  }
}
