/** A peer gets so many bytes even when little is left, so that its deliveries never stop for good. */
const SHARE_MIN: number = 64 * 1024

interface Account {
  bytes: number
  readonly cut: () => void
}

/** One peer's part in what waits to be sent. */
export interface SendAccount {
  /** What waits for this peer now. */
  set(bytes: number): void
  /** The peer is gone. */
  leave(): void
}

/**
 * What waits to be sent, by all peers together: a thousand that are a little slow must not fill the memory that one
 * could not.
 *
 * As the sum grows the share of each shrinks, so that deliveries to whoever reads slowest stop first. Where that does
 * not help, because of answers and of single large messages, the fullest peers are cut until the sum is below the
 * limit: whoever reads what it is sent holds little, and stays.
 */
export class SendBuffers {
  readonly #bytesMax: number
  readonly #soon: (task: () => void) => void
  readonly #accounts = new Set<Account>()
  #bytes = 0
  #isCutting = false

  /** @param soon calls back when what runs now has returned */
  constructor(bytesMax: number, soon: (task: () => void) => void = task => void setImmediate(task)) {
    this.#bytesMax = bytesMax
    this.#soon = soon
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Most bytes that may wait for one peer before its deliveries stop. */
  get share(): number {
    return Math.max(SHARE_MIN, this.#bytesMax - this.#bytes)
  }

  /** @param cut ends the peer at once; called never from inside `set` */
  join(cut: () => void): SendAccount {
    const account: Account = { bytes: 0, cut }
    this.#accounts.add(account)
    return {
      set: bytes => {
        if (this.#accounts.has(account)) this.#change(account, bytes)
      },
      leave: () => {
        if (this.#accounts.delete(account)) this.#change(account, 0)
      },
    }
  }

  #change(account: Account, bytes: number): void {
    this.#bytes += bytes - account.bytes
    account.bytes = bytes
    if (this.#bytes <= this.#bytesMax || this.#isCutting) return
    this.#isCutting = true
    this.#soon(() => {
      this.#isCutting = false
      this.#cutFullest()
    })
  }

  #cutFullest(): void {
    if (this.#bytes <= this.#bytesMax) return
    for (const account of [...this.#accounts].sort((a, b) => b.bytes - a.bytes)) {
      if (this.#bytes <= this.#bytesMax) return
      account.cut()
      // What it held is freed by its end, which may take a turn to be told.
      this.#accounts.delete(account)
      this.#bytes -= account.bytes
      account.bytes = 0
    }
  }
}
