import type { Timestamp } from './facts.ts'

/** Seconds that the rate looks back. */
const SECONDS = 10

/** How many a second, over the last ten seconds. */
export class Rate {
  readonly #counts = new Float64Array(SECONDS)
  #second = 0
  #since = 0

  add(now: Timestamp, count: number): void {
    this.#turnTo(now)
    const at = this.#second % SECONDS
    this.#counts[at] = (this.#counts[at] ?? 0) + count
  }

  /** Undefined while nothing moved. */
  perSecond(now: Timestamp): number | undefined {
    this.#turnTo(now)
    const sum = this.#counts.reduce((total, count) => total + count, 0)
    if (sum === 0) return undefined
    const seconds = Math.min(SECONDS, Math.max(1, (now - this.#since) / 1000))
    return sum / seconds
  }

  #turnTo(now: Timestamp): void {
    const second = Math.floor(now / 1000)
    if (this.#since === 0) this.#since = now
    // A clock set back leaves the buckets as they are; one set forward empties them.
    const steps = Math.min(SECONDS, second - this.#second)
    for (let step = 0; step < steps; step += 1) this.#counts[(second - step) % SECONDS] = 0
    if (steps > 0) this.#second = second
  }
}
