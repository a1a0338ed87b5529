/** Runs work at several places at once, and no more. Once closed, or after a failure, no new work begins. */
export class Crew {
  readonly #places: number
  readonly #onFailure: () => void
  readonly #running = new Set<Promise<void>>()
  #isClosed = false
  #failure: { readonly error: unknown } | undefined

  /** @param onFailure called when work has failed, so that nobody waits for more of it */
  constructor(places: number, onFailure: () => void) {
    this.#places = places
    this.#onFailure = onFailure
  }

  /** Resolves once the work has a place and has begun; with false if it will not begin. */
  async start(work: () => Promise<void>): Promise<boolean> {
    while (this.#running.size >= this.#places) await Promise.race(this.#running)
    if (this.#isClosed || this.#failure !== undefined) return false
    const running = work()
      .catch((error: unknown) => {
        this.#failure ??= { error }
        this.#onFailure()
      })
      .finally(() => this.#running.delete(running))
    this.#running.add(running)
    return true
  }

  close(): void {
    this.#isClosed = true
  }

  /** Resolves when nothing runs any more; rejects if anything failed. */
  async finished(): Promise<void> {
    while (this.#running.size > 0) await Promise.race(this.#running)
    if (this.#failure !== undefined) throw this.#failure.error
  }
}
