/**
 * Those who rest go on one at a time, each when others had their turn: a hundred of them at once would keep all waiting
 * as one alone must not (R9).
 */
export class Rests {
  readonly #later: (callback: () => void) => void
  readonly #resting: (() => void)[] = []
  #turn = 0
  #isTurning = false

  /** @param later calls back when others had their turn */
  constructor(later: (callback: () => void) => void) {
    this.#later = later
  }

  /** Number of this turn of the loop, as far as somebody asked: the same until others had theirs. */
  get turn(): number {
    if (!this.#isTurning) {
      this.#isTurning = true
      this.#later(() => {
        this.#isTurning = false
        this.#turn += 1
      })
    }
    return this.#turn
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
