import type { Sequence, Timestamp } from './facts.ts'
import { Ordered } from './ordered.ts'
import { compareDue, cutFront, type Run } from './run.ts'

function bySequence(a: Run, b: Run): number {
  return a.first - b.first
}

/** Runs out of sight until their time: published with a delay, or waiting for a retry. */
export class Delayed {
  readonly #runs = new Ordered<Run>(compareDue)
  /** The same by sequence number: a page, or an operator, looks for one of a million. */
  readonly #bySequence = new Ordered<Run>(bySequence)

  get nextAt(): Timestamp {
    return this.#runs.first?.dueAt ?? Number.POSITIVE_INFINITY
  }

  add(run: Run): void {
    run.batch.delayed += run.count
    this.#runs.add(run)
    this.#bySequence.add(run)
  }

  /** Takes one out before its time. */
  take(run: Run): void {
    if (!this.#runs.delete(run)) return
    this.#bySequence.delete(run)
    run.batch.delayed -= run.count
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
    this.take(run)
    run.dueAt = 0
    return run
  }

  /** The run that holds this message. */
  find(sequence: Sequence): Run | undefined {
    const run = this.#bySequence.before({ first: sequence + 1 } as Run)
    return run !== undefined && run.first + run.count > sequence ? run : undefined
  }

  /** Runs with messages from this one on, by sequence number; nothing must change meanwhile. */
  *from(sequence: Sequence): Generator<Run, void, undefined> {
    const straddling = this.#bySequence.before({ first: sequence } as Run)
    if (straddling !== undefined && straddling.first + straddling.count > sequence) yield straddling
    yield* this.#bySequence.from({ first: sequence } as Run)
  }

  [Symbol.iterator](): Iterator<Run> {
    return this.#runs[Symbol.iterator]()
  }
}
