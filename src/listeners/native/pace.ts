import { PublishRate } from '../../net/publish-rate.ts'
import type { NativeClock } from './outgoing.ts'

/**
 * Holds a connection to `publish_rate` without a refusal: while it is in debt it is granted nothing and gets no
 * deliveries, since what acks and publishes in a loop needs a delivery for each turn.
 */
export class Pace {
  readonly #clock: NativeClock
  readonly #rate: PublishRate
  readonly #paid: () => void
  #cancel: (() => void) | undefined

  /** @param perSecond messages @param paid it may go on */
  constructor(clock: NativeClock, perSecond: number, paid: () => void) {
    this.#clock = clock
    this.#rate = new PublishRate(perSecond, () => clock.now())
    this.#paid = paid
  }

  take(count: number): void {
    this.#rate.take(count)
    if (this.#cancel === undefined) this.#wait(this.#rate.waitMs)
  }

  get isInDebt(): boolean {
    return this.#rate.waitMs > 0
  }

  end(): void {
    this.#cancel?.()
  }

  /** The wait is read once for each decision: a debt can be paid between two readings, and then nobody would be told. */
  #wait(ms: number): void {
    if (ms === 0) return
    this.#cancel = this.#clock.after(ms, () => {
      this.#cancel = undefined
      const { waitMs } = this.#rate
      if (waitMs > 0) this.#wait(waitMs)
      else this.#paid()
    })
  }
}
