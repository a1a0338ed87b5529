import type { NativeClock } from './outgoing.ts'

/**
 * Asks a peer for a sign of life every interval and gives it up after two intervals of silence (R9). Any byte is a
 * sign of life: a large message that takes long to arrive is no silence.
 */
export class Heartbeat {
  readonly #clock: NativeClock
  readonly #intervalMs: number
  readonly #ping: () => void
  readonly #silent: () => void
  #heardAt: number
  #cancel: () => void = () => {}

  constructor(clock: NativeClock, intervalMs: number, on: { ping: () => void; silent: () => void }) {
    this.#clock = clock
    this.#intervalMs = intervalMs
    this.#ping = on.ping
    this.#silent = on.silent
    this.#heardAt = clock.now()
    this.#wait()
  }

  heard(): void {
    this.#heardAt = this.#clock.now()
  }

  stop(): void {
    this.#cancel()
  }

  #wait(): void {
    this.#cancel = this.#clock.after(this.#intervalMs, () => {
      if (this.#clock.now() - this.#heardAt >= 2 * this.#intervalMs) return this.#silent()
      this.#ping()
      this.#wait()
    })
  }
}
