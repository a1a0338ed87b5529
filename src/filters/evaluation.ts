import { STEPS_MAX, TEXT_BYTES_MAX } from './limits.ts'
import type { FilterSubject } from './subject.ts'
import type { Value } from './values.ts'

/** A compiled expression or part of one. */
export type Evaluate = (evaluation: Evaluation) => Value

/** Thrown when an evaluation costs too much; made once, since a stack trace would cost more than the evaluation. */
const GAVE_UP = new Error('This evaluation takes more than a filter may spend.')

/** One run of a filter over one message: what it reads and what it may still spend. Used again for the next message. */
export class Evaluation {
  subject!: FilterSubject
  /** The values of the body's fields that the expression names, each at the place the compiler gave it. */
  readonly fields: Value[] = []
  #stepsLeft = STEPS_MAX

  begin(subject: FilterSubject): void {
    this.subject = subject
    this.#stepsLeft = STEPS_MAX
  }

  /** Steps paid for since `begin`. */
  get spent(): number {
    return STEPS_MAX - this.#stepsLeft
  }

  /** Pays for work that grows with the message. @throws when the evaluation has spent all it may */
  spend(steps: number): void {
    this.#stepsLeft -= steps
    if (this.#stepsLeft < 0) throw GAVE_UP
  }

  /** Lets a text of `length` bytes through and pays for reading it once. @throws when it is too long */
  spendOnText(length: number): void {
    this.checkText(length)
    this.spend(length)
  }

  /** Pays for a search for `sought` in `text`: the engine may look at a byte again for each byte sought, 64 at a time. */
  spendOnSearch(text: string, sought: string): void {
    this.spendOnText(text.length)
    this.spend(text.length * (sought.length >>> 6))
  }

  /** @throws when a text that long is more than a function may build */
  checkText(length: number): void {
    if (length > TEXT_BYTES_MAX) throw GAVE_UP
  }
}
