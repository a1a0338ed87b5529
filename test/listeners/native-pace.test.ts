import { expect, test } from 'vitest'
import type { NativeClock } from '../../src/listeners/native/outgoing.ts'
import { Pace } from '../../src/listeners/native/pace.ts'

/** Reading it takes time, and a timer ends up to a millisecond early: as with the real ones. */
class TickingClock implements NativeClock {
  #now = 0
  readonly #perReading: number
  readonly #early: number
  readonly #tasks: { readonly at: number; readonly task: () => void }[] = []

  constructor(perReading: number, early: number) {
    this.#perReading = perReading
    this.#early = early
  }

  now(): number {
    this.#now += this.#perReading
    return this.#now
  }

  after(ms: number, task: () => void): () => void {
    const planned = { at: this.#now + ms - this.#early, task }
    this.#tasks.push(planned)
    return () => this.#tasks.splice(this.#tasks.indexOf(planned), 1)
  }

  soon(task: () => void): void {
    this.after(0, task)
  }

  /** @returns false: nothing is planned */
  runNext(): boolean {
    const next = this.#tasks.shift()
    if (next === undefined) return false
    this.#now = Math.max(this.#now, next.at)
    next.task()
    return true
  }
}

test('D11: a debt that is paid between two looks at the clock is told as well', () => {
  for (let early = 0; early < 1; early += 0.003) {
    const clock = new TickingClock(0.01, early)
    let paid = 0
    const pace = new Pace(clock, 20, () => paid++)
    pace.take(20)
    pace.take(1)
    while (clock.runNext());
    expect({ early, paid, isInDebt: pace.isInDebt }).toEqual({ early, paid: 1, isInDebt: false })
  }
})
