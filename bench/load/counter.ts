/** Counts up, and tells when a count is reached. */
export class Counter {
  value = 0
  /** The next count that somebody waits for: the only one that each step looks at. */
  #next = Number.POSITIVE_INFINITY
  readonly #waiting: { readonly count: number; readonly resolve: () => void }[] = []

  add(): void {
    this.value += 1
    if (this.value === this.#next) this.#tell()
  }

  /** Resolves when that many are counted. */
  reached(count: number): Promise<void> {
    return new Promise(resolve => {
      this.#waiting.push({ count, resolve })
      this.#tell()
    })
  }

  #tell(): void {
    const due = this.#waiting.filter(({ count }) => count <= this.value)
    for (const waiter of due) this.#waiting.splice(this.#waiting.indexOf(waiter), 1)[0]?.resolve()
    this.#next = Math.min(...this.#waiting.map(({ count }) => count))
  }
}
