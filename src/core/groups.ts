import { Ordered } from './ordered.ts'
import type { Movable } from './ready.ts'
import type { Run } from './run.ts'

interface Group {
  /** Ready, delayed or leased, like any message. */
  head: Run
  readonly waiting: Ordered<Run>
}

function bySequence(a: Run, b: Run): number {
  return a.first - b.first
}

/** What was carried from an earlier batch comes before what came into a later one: so it does after a restart too. */
export function inGroupOrder(a: Run, b: Run): number {
  return a.born - b.born || a.first - b.first
}

/** The groups of a batch: of each the head may go out, and the others wait behind it (D15). Runs of groups are of one message. */
export class Groups {
  readonly #groups = new Map<string, Group>()
  /** What waits, of all groups: the oldest is the first that a full queue lets go. */
  readonly #waiting = new Ordered<Run>(bySequence)
  readonly #movable: Movable
  #bytes = 0

  constructor(movable: Movable) {
    this.#movable = movable
  }

  /** Messages that wait behind a head. */
  get messages(): number {
    return this.#waiting.size
  }

  /** Bytes of their bodies. */
  get bytes(): number {
    return this.#bytes
  }

  /** The oldest that waits. */
  get first(): Run | undefined {
    return this.#waiting.first
  }

  /** The one that waits and has this number. */
  find(sequence: number): Run | undefined {
    const run = this.#waiting.ceiling({ first: sequence } as Run)
    return run?.first === sequence ? run : undefined
  }

  /** Takes a message of a group in. @returns true when it is the head now, and goes where heads go */
  enter(run: Run): boolean {
    const name = run.group as string
    const group = this.#groups.get(name)
    run.isHead = group === undefined
    if (group === undefined) this.#groups.set(name, { head: run, waiting: new Ordered(inGroupOrder) })
    else this.#wait(group, run)
    return run.isHead
  }

  #wait(group: Group, run: Run): void {
    group.waiting.add(run)
    this.#waiting.add(run)
    this.#bytes += run.bytes
    this.#movable.messages += 1
    this.#movable.bytes += run.bytes
  }

  /** The head is gone for good. @returns the one that follows it */
  next(name: string): Run | undefined {
    const group = this.#groups.get(name)
    const run = group?.waiting.first
    if (group === undefined || run === undefined) {
      this.#groups.delete(name)
      return undefined
    }
    this.take(run)
    run.isHead = true
    group.head = run
    return run
  }

  /** Takes one out that waits. */
  take(run: Run): void {
    if (this.#groups.get(run.group as string)?.waiting.delete(run) !== true) return
    this.#waiting.delete(run)
    this.#bytes -= run.bytes
    this.#movable.messages -= 1
    this.#movable.bytes -= run.bytes
  }

  /**
   * All groups of an earlier batch join those of this one, in front.
   *
   * @returns heads of this batch that have to wait now: whoever has them in a list takes them out
   */
  join(earlier: Groups): Run[] {
    const demoted: Run[] = []
    for (const [name, { head, waiting }] of earlier.#groups) {
      let group = this.#groups.get(name)
      if (group === undefined) {
        group = { head, waiting: new Ordered(inGroupOrder) }
        this.#groups.set(name, group)
      } else {
        group.head.isHead = false
        demoted.push(group.head)
        this.#wait(group, group.head)
        group.head = head
      }
      for (const run of waiting) this.#wait(group, run)
    }
    this.#movable.messages -= earlier.messages
    this.#movable.bytes -= earlier.bytes
    earlier.#groups.clear()
    for (let run = earlier.#waiting.first; run !== undefined; run = earlier.#waiting.first) earlier.#waiting.delete(run)
    earlier.#bytes = 0
    return demoted
  }

  /** What waits from this sequence number on, in order; nothing must change meanwhile. */
  from(sequence: number): Iterable<Run> {
    return this.#waiting.from({ first: sequence } as Run)
  }

  /** Everything that waits, by sequence number. */
  [Symbol.iterator](): Iterator<Run> {
    return this.#waiting[Symbol.iterator]()
  }
}
