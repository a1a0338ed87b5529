import type { Sequence, TurnNumber } from './facts.ts'
import { Ordered } from './ordered.ts'
import { compareRuns, cutBack, cutFront, joined, type Run } from './run.ts'

/** Ready runs of a queue by when they expire; those that never do are not in it. */
export type Expiring = Ordered<Run>

export function compareExpiry(a: Run, b: Run): number {
  return a.expiresAt - b.expiresAt || a.first - b.first
}

/** Of all batches of a queue, what is ready or waits in a group: it can be pushed out (A7). */
export interface Movable {
  messages: number
  /** Bytes of their bodies. */
  bytes: number
}

/** What may go out next in a batch: runs in queue order, joined where they are alike, so a plain backlog is one run. */
export class Ready {
  readonly #runs = new Ordered<Run>(compareRuns)
  readonly #expiring: Expiring
  readonly #movable: Movable
  #messages = 0
  #bytes = 0

  constructor(expiring: Expiring, movable: Movable) {
    this.#expiring = expiring
    this.#movable = movable
  }

  get messages(): number {
    return this.#messages
  }

  /** Bytes of their bodies. */
  get bytes(): number {
    return this.#bytes
  }

  get first(): Run | undefined {
    return this.#runs.first
  }

  /** Puts it in its place: new messages behind, returned ones where they were (D4). */
  add(run: Run, committed: TurnNumber): void {
    this.#count(run.count, run.bytes)
    const before = this.#runs.before(run)
    if (before !== undefined) {
      // What came in since the last commit joins the backlog only once it is on disk itself.
      const earlier = before.turn > 0 && before.turn <= committed ? this.#runs.before(before) : undefined
      if (earlier !== undefined && joined(earlier, before, committed)) {
        this.#remove(before)
        if (joined(earlier, run, committed)) return
      } else if (joined(before, run, committed)) return
    }
    this.#insert(run)
  }

  #insert(run: Run): void {
    this.#runs.add(run)
    if (run.expiresAt !== Number.POSITIVE_INFINITY) this.#expiring.add(run)
  }

  #remove(run: Run): void {
    this.#runs.delete(run)
    if (run.expiresAt !== Number.POSITIVE_INFINITY) this.#expiring.delete(run)
  }

  /** Priorities of what is here, the highest first: one look at each. */
  *priorities(): Generator<number, void, undefined> {
    for (let run = this.#runs.first; run !== undefined; ) {
      const { priority } = run
      yield priority
      run = this.#runs.ceiling({ priority, first: Number.POSITIVE_INFINITY } as Run)
    }
  }

  /** The one with the lowest sequence number, whatever its priority. */
  get oldest(): Run | undefined {
    let oldest: Run | undefined
    for (const priority of this.priorities()) {
      const first = this.#runs.ceiling({ priority, first: 0 } as Run)
      if (first !== undefined && (oldest === undefined || first.first < oldest.first)) oldest = first
    }
    return oldest
  }

  /** The run that holds this message, whatever its priority. */
  find(sequence: Sequence): Run | undefined {
    for (const priority of this.priorities()) {
      const found = this.#runs.before({ priority, first: sequence + 1 } as Run)
      if (found !== undefined && found.priority === priority && found.first + found.count > sequence) return found
    }
    return undefined
  }

  /** First run that does not come before this place in the queue order. */
  ceiling(probe: Run): Run | undefined {
    return this.#runs.ceiling(probe)
  }

  before(probe: Run): Run | undefined {
    return this.#runs.before(probe)
  }

  /** Takes `count` messages of a run of this list, from the message `offset` on. */
  take(run: Run, offset: number, count: number): Run {
    const taken = this.#cut(run, offset, count)
    this.#count(-taken.count, -taken.bytes)
    return taken
  }

  #count(messages: number, bytes: number): void {
    this.#messages += messages
    this.#bytes += bytes
    this.#movable.messages += messages
    this.#movable.bytes += bytes
  }

  #cut(run: Run, offset: number, count: number): Run {
    if (offset > 0) {
      const back = cutBack(run, offset)
      if (back.count === count) return back
      const middle = cutFront(back, count)
      this.#insert(back)
      return middle
    }
    if (run.count === count) {
      this.#remove(run)
      return run
    }
    // What is left begins later: it keeps its place among the ready runs, but not among those that expire.
    const expires = run.expiresAt !== Number.POSITIVE_INFINITY
    if (expires) this.#expiring.delete(run)
    const front = cutFront(run, count)
    if (expires) this.#expiring.add(run)
    return front
  }

  [Symbol.iterator](): Iterator<Run> {
    return this.#runs[Symbol.iterator]()
  }

  from(probe: Run): Iterable<Run> {
    return this.#runs.from(probe)
  }
}
