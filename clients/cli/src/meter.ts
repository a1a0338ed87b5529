/** How fast a count that only grows has grown over the last seconds. */
export class Meter {
  readonly #samples: { readonly atMs: number; readonly value: number }[] = []

  /** @returns the rate a second over the last three seconds, or since the first call */
  rate(value: number, nowMs: number): number {
    this.#samples.push({ atMs: nowMs, value })
    while (this.#samples.length > 2 && nowMs - this.#samples[1]!.atMs > 3_000) this.#samples.shift()
    const oldest = this.#samples[0]!
    return nowMs === oldest.atMs ? 0 : ((value - oldest.value) * 1_000) / (nowMs - oldest.atMs)
  }
}
