import type { Sequence, TurnNumber } from './facts.ts'

/** Sequence numbers that are reserved at a time: how many an unclean start may skip. */
const RESERVED = 100_000

/**
 * Sequence numbers that no crash can give again, although the messages that get them are not on disk yet. Somebody is
 * told the number of an `accepted` message before its commit; so that goes only below a mark that is on disk (P3).
 */
export class Reservation {
  /** Numbers below it are reserved on disk. */
  #granted: Sequence = 0
  #asked: { readonly below: Sequence; readonly turn: TurnNumber } | undefined

  /** What has to be kept as the next number. */
  below(next: Sequence): Sequence {
    return Math.max(next, this.#granted, this.#asked?.below ?? 0)
  }

  /** Whether numbers up to before `end` may be told now; asks for more when they run out. */
  covers(end: Sequence, turn: TurnNumber, committed: TurnNumber): boolean {
    if (this.#asked !== undefined && this.#asked.turn <= committed) {
      this.#granted = this.#asked.below
      this.#asked = undefined
    }
    if (this.#asked === undefined && this.#granted - end < RESERVED / 2) this.#asked = { below: end + RESERVED, turn }
    return end <= this.#granted
  }

  /** At a clean stop: the next start goes on without a gap. */
  giveBack(): void {
    this.#granted = 0
    this.#asked = undefined
  }
}
