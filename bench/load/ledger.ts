import { Counter } from './counter.ts'

const SHOWN_MAX = 5

/**
 * Knows of every message, by its number, whether it was published and how often it was consumed. Counts and sums would miss a
 * loss that a duplicate makes up for; a byte for each message misses nothing and costs a few nanoseconds.
 */
export class Ledger {
  readonly confirmed: Counter = new Counter()
  readonly consumed: Counter = new Counter()
  /** Called for each message of ours that is received, if given. */
  onTake: ((number: number) => void) | undefined
  #nextNumber = 0
  #times = new Uint8Array(1 << 20)
  #foreign = 0

  get publishedCount(): number {
    return this.#nextNumber
  }

  /** Numbers from 0, one for each message that is published. */
  nextNumber(): number {
    if (this.#nextNumber === this.#times.length) this.#grow()
    return this.#nextNumber++
  }

  /** A message was received. @param number −1 for a body that nobody published */
  take(number: number): void {
    if (number < 0 || number >= this.#nextNumber) this.#foreign += 1
    else {
      this.#times[number]! += 1
      this.onTake?.(number)
    }
    this.consumed.add()
  }

  /** @returns what is wrong, in words: nothing, if every published message was confirmed, and consumed exactly once */
  problems(): string[] {
    const lost: number[] = []
    const repeated: number[] = []
    for (let number = 0; number < this.#nextNumber; number++) {
      if (this.#times[number] === 0) lost.push(number)
      if (this.#times[number]! > 1) repeated.push(number)
    }
    const unconfirmed = this.#nextNumber - this.confirmed.value
    return [
      ...(unconfirmed === 0 ? [] : [`${unconfirmed} not confirmed`]),
      ...(lost.length === 0 ? [] : [`${lost.length} lost (${some(lost)})`]),
      ...(repeated.length === 0 ? [] : [`${repeated.length} consumed more than once (${some(repeated)})`]),
      ...(this.#foreign === 0 ? [] : [`${this.#foreign} received that nobody published`]),
    ]
  }

  #grow(): void {
    const times = new Uint8Array(this.#times.length * 2)
    times.set(this.#times)
    this.#times = times
  }
}

function some(numbers: readonly number[]): string {
  return numbers.slice(0, SHOWN_MAX).join(', ') + (numbers.length > SHOWN_MAX ? ', …' : '')
}
