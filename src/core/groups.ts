import { Ordered } from './ordered.ts'
import type { Run } from './run.ts'

interface Group {
  /** Ready, delayed or leased, like any message. */
  head: Run
  /** By sequence number. */
  readonly waiting: Ordered<Run>
}

/** The groups of a batch: of each the head may go out, and the others wait behind it (D15). Runs of groups are of one message. */
export class Groups {
  readonly #groups = new Map<string, Group>()
  /** Messages that wait behind a head. */
  messages = 0

  /** Takes a message of a group in. @returns true when it is the head now, and goes where heads go */
  enter(run: Run): boolean {
    const name = run.group as string
    const group = this.#groups.get(name)
    run.isHead = group === undefined
    if (group === undefined) this.#groups.set(name, { head: run, waiting: new Ordered((a, b) => a.first - b.first) })
    else this.#wait(group, run)
    return run.isHead
  }

  #wait(group: Group, run: Run): void {
    group.waiting.add(run)
    this.messages += run.count
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

  head(name: string): Run | undefined {
    return this.#groups.get(name)?.head
  }

  /** Takes one out that waits. */
  take(run: Run): void {
    if (this.#groups.get(run.group as string)?.waiting.delete(run) === true) this.messages -= run.count
  }

  /**
   * All groups of an earlier batch join those of this one, in front.
   *
   * @returns heads of this batch that have to wait now: whoever has them in a list takes them out
   */
  join(earlier: Groups): Run[] {
    const demoted: Run[] = []
    for (const [name, { head, waiting }] of earlier.#groups) {
      const group = this.#groups.get(name)
      if (group === undefined) {
        this.#groups.set(name, { head, waiting })
        for (const run of waiting) this.messages += run.count
        continue
      }
      group.head.isHead = false
      demoted.push(group.head)
      this.#wait(group, group.head)
      group.head = head
      for (const run of waiting) this.#wait(group, run)
    }
    earlier.#groups.clear()
    earlier.messages = 0
    return demoted
  }

  /** Everything that waits, group by group. */
  *[Symbol.iterator](): Generator<Run, void, undefined> {
    for (const { waiting } of this.#groups.values()) yield* waiting
  }
}
