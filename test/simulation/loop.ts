import type { Timers } from '@sluice/client'
import type { Clock } from '../../src/engine/clock.ts'
import type { NativeClock } from '../../src/listeners/native/outgoing.ts'

interface Entry {
  readonly at: number
  readonly order: number
  task: (() => void) | undefined
}

/** Events after which Node's own loop gets a turn, for whoever watches the run from outside, such as a time-out. */
const BREATH_EVENTS = 4_096

/** Events of one moment, of which there are some hundred: beyond it somebody asks again and again for something to happen now. */
const MOMENT_EVENTS_MAX = 20_000

/** When every run begins, in ms since the epoch. */
export const START: number = Date.UTC(2026, 0, 1)

/**
 * The event loop of a simulated world: time jumps from one event to the next. Between two events all promises that can
 * settle do, as in Node.
 */
export class Loop {
  now: number = START
  /** Events that ran. */
  events = 0
  #eventsNow = 0
  #order = 0
  #hash = 0x811c9dc5
  readonly #heap: Entry[] = []
  readonly #bugs: string[] = []

  /** What was thrown and not caught: a bug of the server, the SDK or the simulation. */
  get bugs(): readonly string[] {
    return this.#bugs
  }

  bug(error: unknown): void {
    this.#bugs.push(error instanceof Error ? (error.stack ?? error.message) : String(error))
  }

  /** Stands for everything that happened so far. */
  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0')
  }

  trace(text: string): void {
    let hash = this.#hash ^ this.now
    for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
    this.#hash = hash
  }

  at(time: number, task: () => void): () => void {
    const entry: Entry = { at: Math.max(time, this.now), order: this.#order, task }
    this.#order += 1
    this.#push(entry)
    return () => {
      entry.task = undefined
    }
  }

  after(ms: number, task: () => void): () => void {
    return this.at(this.now + Math.max(0, Math.ceil(ms)), task)
  }

  sleep(ms: number): Promise<void> {
    return new Promise(resolve => void this.after(ms, resolve))
  }

  /** Until it holds. @returns false if there was too little time, or nothing more to happen */
  async run(until: () => boolean, ms: number): Promise<boolean> {
    const end = this.now + ms
    while (!until()) {
      const next = this.#heap[0]
      if (next === undefined || next.at > end) {
        this.now = end
        return false
      }
      this.#pop()
      const { task } = next
      if (task === undefined) continue
      this.#eventsNow = next.at > this.now ? 0 : this.#eventsNow + 1
      if (this.#eventsNow > MOMENT_EVENTS_MAX) this.bug(new Error(`time stands still at ${next.at - START} ms`))
      this.now = next.at
      this.events += 1
      try {
        task()
      } catch (error) {
        this.bug(error)
      }
      // A tick comes when no promise is left that can settle, and costs a tenth of a turn of Node's loop.
      await new Promise<void>(this.events % BREATH_EVENTS === 0 ? setImmediate : process.nextTick)
      if (this.#bugs.length > 0) return false
    }
    return true
  }

  #push(entry: Entry): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(entry)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (isBefore(heap[parent] as Entry, entry)) break
      heap[at] = heap[parent] as Entry
      at = parent
    }
    heap[at] = entry
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop() as Entry
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Entry, heap[child] as Entry)) child += 1
      if (isBefore(last, heap[child] as Entry)) break
      heap[at] = heap[child] as Entry
      at = child
    }
    heap[at] = last
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}

/** One process of the world: what it asked for happens only while it lives. */
export class Life {
  isAlive = true
  readonly #loop: Loop

  constructor(loop: Loop) {
    this.#loop = loop
  }

  end(): void {
    this.isAlive = false
  }

  /** What is thrown once the process has ended is nobody's. */
  guard(task: () => void): void {
    if (!this.isAlive) return
    try {
      task()
    } catch (error) {
      if (this.isAlive) throw error
    }
  }

  readonly after = (ms: number, task: () => void): (() => void) => this.#loop.after(ms, () => this.guard(task))

  readonly soon = (task: () => void): void => void this.after(0, task)

  /** Never resolves for one that has died. */
  readonly sleep = (ms: number): Promise<void> => new Promise(resolve => void this.after(ms, resolve))

  /** Of a process that was started when the wall clock was so many ms ahead of the world's time. */
  clockAhead(ms: number): Clock {
    const now = () => this.#loop.now + ms
    return { now, at: (time, callback) => this.after(time - now(), callback) }
  }

  /** Of a listener's connections, or of a client. */
  get timers(): NativeClock & Timers {
    return { now: () => this.#loop.now - START, after: this.after, soon: this.soon }
  }
}
