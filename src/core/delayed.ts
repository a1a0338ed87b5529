import type { Timestamp } from './facts.ts'
import { Ordered } from './ordered.ts'
import { compareDue, type Run } from './run.ts'

/** Runs out of sight until their time: published with a delay, or waiting for a retry. */
export class Delayed {
  readonly #runs = new Ordered<Run>(compareDue)

  get nextAt(): Timestamp {
    return this.#runs.first?.dueAt ?? Number.POSITIVE_INFINITY
  }

  add(run: Run): void {
    run.batch.delayed += run.count
    this.#runs.add(run)
  }

  /** Takes out the next one whose time has come. */
  due(now: Timestamp): Run | undefined {
    const run = this.#runs.first
    if (run === undefined || run.dueAt > now) return undefined
    this.#runs.delete(run)
    run.batch.delayed -= run.count
    run.dueAt = 0
    return run
  }

  [Symbol.iterator](): Iterator<Run> {
    return this.#runs[Symbol.iterator]()
  }
}
