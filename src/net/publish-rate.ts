/** Who is remembered: beyond it whoever was seen longest ago begins anew. */
const REMEMBERED_MAX = 10_000

/** What a client may publish in a second; absent: as much as it can. */
export interface PublishLimits {
  readonly messages?: number
  /** Of message records: bodies, and what is said about them. */
  readonly bytes?: number
}

/**
 * A token bucket of one second's worth. What has come is always taken, and may leave a debt: a frame of many messages
 * cannot be taken by halves. Whoever is in debt waits until it is paid, so the rate holds over any longer time.
 */
class Bucket {
  readonly #perSecond: number
  #level: number
  #at: number

  constructor(perSecond: number, now: number) {
    this.#perSecond = perSecond
    this.#level = perSecond
    this.#at = now
  }

  take(amount: number, now: number): void {
    this.#fill(now)
    this.#level -= amount
  }

  waitMs(now: number): number {
    this.#fill(now)
    return this.#level >= 0 ? 0 : Math.ceil((-this.#level / this.#perSecond) * 1_000)
  }

  #fill(now: number): void {
    this.#level = Math.min(this.#perSecond, this.#level + ((now - this.#at) / 1_000) * this.#perSecond)
    this.#at = now
  }
}

/** How fast one client publishes, in messages and in bytes. */
export class PublishRate {
  readonly #now: () => number
  readonly #messages: Bucket | undefined
  readonly #bytes: Bucket | undefined

  /** @param now milliseconds, monotonic */
  constructor({ messages, bytes }: PublishLimits, now: () => number) {
    this.#now = now
    this.#messages = messages === undefined ? undefined : new Bucket(messages, now())
    this.#bytes = bytes === undefined ? undefined : new Bucket(bytes, now())
  }

  take(count: number, bytes: number): void {
    const now = this.#now()
    this.#messages?.take(count, now)
    this.#bytes?.take(bytes, now)
  }

  /** How long nothing more may come; 0: it may. */
  get waitMs(): number {
    return this.#debt.waitMs
  }

  /** The setting that holds it, of the two the one that holds it longer. */
  get limit(): 'publish_rate' | 'publish_bytes_rate' {
    return this.#debt.limit
  }

  get #debt(): { readonly waitMs: number; readonly limit: 'publish_rate' | 'publish_bytes_rate' } {
    const now = this.#now()
    const [messages, bytes] = [this.#messages?.waitMs(now) ?? 0, this.#bytes?.waitMs(now) ?? 0]
    if (bytes > messages) return { waitMs: bytes, limit: 'publish_bytes_rate' }
    return { waitMs: messages, limit: 'publish_rate' }
  }
}

/** A rate for each client by a name: one client can have many connections, and over HTTP a new one for each request. */
export class PublishRates {
  readonly limits: PublishLimits
  readonly #now: () => number
  readonly #rates = new Map<string, PublishRate>()

  constructor(limits: PublishLimits, now: () => number = () => performance.now()) {
    this.limits = limits
    this.#now = now
  }

  of(key: string): PublishRate {
    const rate = this.#rates.get(key) ?? new PublishRate(this.limits, this.#now)
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

  /** One that is the same wherever he comes from; a name is no address. */
  ofPrincipal(name: string): PublishRate {
    return this.of(`principal ${name}`)
  }

  /** For one connection alone. */
  fresh(): PublishRate {
    return new PublishRate(this.limits, this.#now)
  }
}
