/** Counts up, and tells when a count is reached. */
export class Counter {
  value = 0
  #awaited = Number.POSITIVE_INFINITY
  #resolve: () => void = () => {}

  add(): void {
    this.value += 1
    if (this.value === this.#awaited) this.#resolve()
  }

  /** Resolves when that many are counted. One may wait at a time. */
  reached(count: number): Promise<void> {
    return new Promise(resolve => {
      if (this.value >= count) return resolve()
      this.#awaited = count
      this.#resolve = resolve
    })
  }
}
