import { expect, test } from 'vitest'
import type { NativeClock } from '../../src/listeners/native/outgoing.ts'
import { Pace } from '../../src/listeners/native/pace.ts'
import { PublishRate } from '../../src/net/publish-rate.ts'

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
    const pace = new Pace(clock, new PublishRate({ messages: 20 }, () => clock.now()), () => paid++)
    pace.take(20, 0)
    pace.take(1, 0)
    while (clock.runNext());
    expect({ early, paid, isInDebt: pace.isInDebt }).toEqual({ early, paid: 1, isInDebt: false })
  }
})

test('D11: who finds that another connection of its client has made a debt is told when that is paid', () => {
  const clock = new TickingClock(0, 0)
  const rate = new PublishRate({ bytes: 1_000 }, () => clock.now())
  const told: string[] = []
  const [first, second] = [
    new Pace(clock, rate, () => told.push('first')),
    new Pace(clock, rate, () => told.push('second')),
  ]
  first.take(1, 3_000)
  expect(second.isInDebt).toBe(true)
  while (clock.runNext());
  expect(clock.now()).toBe(2_000)
  expect(told).toEqual(['first', 'second'])
  first.take(1, 3_000)
  expect(second.isInDebt).toBe(true)
  second.end()
  while (clock.runNext());
  expect(told).toEqual(['first', 'second', 'first'])
})
