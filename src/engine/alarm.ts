import type { Clock } from './clock.ts'

/** One timer for the next thing that is due. */
export class Alarm {
  readonly #clock: Clock
  readonly #ring: () => void
  #at = Number.POSITIVE_INFINITY
  #cancel: (() => void) | undefined

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock
    this.#ring = ring
  }

  /** Rings at this time instead of the one before; never at `Infinity`. */
  set(at: number): void {
    if (at === this.#at) return
    this.#cancel?.()
    this.#cancel = undefined
    this.#at = at
    if (at === Number.POSITIVE_INFINITY) return
    this.#cancel = this.#clock.at(at, () => {
      this.#at = Number.POSITIVE_INFINITY
      this.#ring()
    })
  }
}
