/**
 * Those who rest go on one at a time, each when others had their turn: a hundred of them at once would keep all waiting
 * as one alone must not (R9).
 */
export class Rests {
  readonly #later: (callback: () => void) => void
  readonly #resting: (() => void)[] = []

  /** @param later calls back when others had their turn */
  constructor(later: (callback: () => void) => void) {
    this.#later = later
  }

  /** Calls back when those who rest already have gone on, and others had their turn. */
  rest(goOn: () => void): void {
    this.#resting.push(goOn)
    if (this.#resting.length === 1) this.#later(() => this.#next())
  }

  #next(): void {
    const goOn = this.#resting.shift()
    if (this.#resting.length > 0) this.#later(() => this.#next())
    goOn?.()
  }
}
