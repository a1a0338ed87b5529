import type { PublishRate } from '../../net/publish-rate.ts'
import type { NativeClock } from './outgoing.ts'

/**
 * Holds a connection to `publish_rate` and `publish_bytes_rate` without a refusal: while its client is in debt it is
 * granted nothing and gets no deliveries, since what acks and publishes in a loop needs a delivery for each turn.
 */
export class Pace {
  readonly #clock: NativeClock
  readonly #rate: PublishRate
  readonly #paid: () => void
  #cancel: (() => void) | undefined
  #isOver = false

  /** @param rate perhaps of several connections of one client @param paid it may go on */
  constructor(clock: NativeClock, rate: PublishRate, paid: () => void) {
    this.#clock = clock
    this.#rate = rate
    this.#paid = paid
  }

  take(count: number, bytes: number): void {
    this.#rate.take(count, bytes)
    this.#waitFor(this.#rate.waitMs)
  }

  /** Whoever is told that it is will be told when it is not: the debt may be another connection's of the same client. */
  get isInDebt(): boolean {
    const { waitMs } = this.#rate
    this.#waitFor(waitMs)
    return waitMs > 0
  }

  end(): void {
    this.#isOver = true
    this.#cancel?.()
  }

  /** The wait is read once for each decision: a debt can be paid between two readings, and then nobody would be told. */
  #waitFor(ms: number): void {
    if (ms === 0 || this.#cancel !== undefined || this.#isOver) return
    this.#cancel = this.#clock.after(ms, () => {
      this.#cancel = undefined
      const { waitMs } = this.#rate
      if (waitMs > 0) this.#waitFor(waitMs)
      else this.#paid()
    })
  }
}
