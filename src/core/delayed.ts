import type { Timestamp } from './facts.ts'
import { Ordered } from './ordered.ts'
import { compareDue, cutFront, type Run } from './run.ts'

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

  /** Takes one out before its time. */
  take(run: Run): void {
    if (this.#runs.delete(run)) run.batch.delayed -= run.count
  }

  /** Takes `count` messages of a run out before their time, from the message `offset` on. */
  takePart(run: Run, offset: number, count: number): Run {
    this.take(run)
    if (offset > 0) this.add(cutFront(run, offset))
    if (run.count === count) return run
    const part = cutFront(run, count)
    this.add(run)
    return part
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
