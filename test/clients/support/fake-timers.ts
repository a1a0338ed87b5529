import type { Timers } from '@sluice/client'

/** A clock that a test moves. */
export class FakeTimers implements Timers {
  #now = 0
  #planned: { readonly at: number; readonly action: () => void }[] = []

  now(): number {
    return this.#now
  }

  after(ms: number, action: () => void): () => void {
    const plan = { at: this.#now + ms, action }
    this.#planned.push(plan)
    return () => {
      this.#planned = this.#planned.filter(other => other !== plan)
    }
  }

  /** Everything that falls due on the way happens, in order. */
  advance(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      const due = this.#planned.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.#planned = this.#planned.filter(other => other !== due)
      this.#now = due.at
      due.action()
    }
    this.#now = end
  }
}
