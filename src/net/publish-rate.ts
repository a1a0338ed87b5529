/** Who is remembered: beyond it whoever was seen longest ago begins anew. */
const REMEMBERED_MAX = 10_000

/**
 * A token bucket of one second's worth. What has come is always taken, and may leave a debt: a frame of many messages
 * cannot be taken by halves. Whoever is in debt waits until it is paid, so the rate holds over any longer time.
 */
export class PublishRate {
  readonly #perSecond: number
  readonly #now: () => number
  #level: number
  #at: number

  /** @param perSecond messages @param now milliseconds, monotonic */
  constructor(perSecond: number, now: () => number) {
    this.#perSecond = perSecond
    this.#now = now
    this.#level = perSecond
    this.#at = now()
  }

  take(count: number): void {
    this.#fill()
    this.#level -= count
  }

  /** How long nothing more may come; 0: it may. */
  get waitMs(): number {
    this.#fill()
    return this.#level >= 0 ? 0 : Math.ceil((-this.#level / this.#perSecond) * 1_000)
  }

  #fill(): void {
    const now = this.#now()
    this.#level = Math.min(this.#perSecond, this.#level + ((now - this.#at) / 1_000) * this.#perSecond)
    this.#at = now
  }
}

/** A rate for each client by a name: over HTTP every request can be a connection of its own. */
export class PublishRates {
  readonly #perSecond: number
  readonly #now: () => number
  readonly #rates = new Map<string, PublishRate>()

  constructor(perSecond: number, now: () => number = () => performance.now()) {
    this.#perSecond = perSecond
    this.#now = now
  }

  of(key: string): PublishRate {
    const rate = this.#rates.get(key) ?? new PublishRate(this.#perSecond, this.#now)
    // A map keeps the order in which its keys came.
    this.#rates.delete(key)
    this.#rates.set(key, rate)
    if (this.#rates.size > REMEMBERED_MAX) {
      for (const oldest of this.#rates.keys()) {
        this.#rates.delete(oldest)
        break
      }
    }
    return rate
  }
}
