import type { TurnNumber } from '../core/facts.ts'
import type { Effect } from '../core/turn.ts'

/** What is to be done once a turn is on disk: an effect of the core, or an answer. */
export type Deed = Effect | (() => void)

interface Parked {
  readonly rests: TurnNumber
  readonly deed: Deed
}

/**
 * The only rule that durability needs: a deed is done when the turn it rests on is committed.
 *
 * What rests on the same turn is done in the order in which it was decided. What may be done at once is done soon: after
 * the command that decided it has returned.
 */
export class Gate {
  readonly #perform: (deed: Deed) => void
  readonly #soon: (callback: () => void) => void
  readonly #hurry: (turn: TurnNumber) => void
  #committed: TurnNumber = 0
  #parked: Parked[] = []
  #due: Deed[] = []
  #isScheduled = false

  /**
   * @param soon calls back after what runs now has returned, before anything else happens
   * @param hurry told of a turn that something waits for
   */
  constructor(perform: (deed: Deed) => void, soon: (callback: () => void) => void, hurry: (turn: TurnNumber) => void) {
    this.#perform = perform
    this.#soon = soon
    this.#hurry = hurry
  }

  pass(rests: TurnNumber, deed: Deed): void {
    if (rests > this.#committed) {
      this.#parked.push({ rests, deed })
      this.#hurry(rests)
      return
    }
    this.#due.push(deed)
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#soon(() => this.#doDue())
  }

  /** Everything up to this turn is on disk. */
  open(upTo: TurnNumber): void {
    this.#committed = upTo
    const parked = this.#parked
    this.#parked = parked.filter(({ rests }) => rests > upTo)
    for (const { rests, deed } of parked) if (rests <= upTo) this.#due.push(deed)
    this.#doDue()
  }

  /** A commit failed: nothing that is parked will ever be done. */
  shut(): void {
    this.#parked = []
    this.#due = []
    this.#committed = -1
  }

  #doDue(): void {
    this.#isScheduled = false
    // What is done may decide more, which is done next.
    for (let due = this.#due; due.length > 0; due = this.#due) {
      this.#due = []
      for (const deed of due) this.#perform(deed)
    }
  }
}
