import { MemoryTable } from '../../src/journal/memory.ts'
import { DEFINITIONS, QUEUE_CONTENTS, queueOf } from '../../src/journal/table/keys.ts'
import type { Table, Write } from '../../src/journal/table/table.ts'
import type { Life, Loop } from './loop.ts'
import type { Random } from './random.ts'

/** More than any run leaves. */
const KEYS_MAX = 10 ** 6

/** One transaction on its way to the disk. */
interface InFlight {
  readonly writes: readonly Write[]
}

/** Is told what is written. */
export interface TableWatch {
  /** A transaction has left, and will be there in so many ms. */
  began(writes: readonly Write[], ms: number): void
  /** It is on the disk, and its process is not told yet. */
  done(writes: readonly Write[]): void
}

/**
 * The disk below the journal, as far as LMDB lets one see of it with the settings that the server uses (one batch at a
 * time, no overlapping sync): a transaction is there wholly or not at all, and after `done` it is. What is in flight at
 * a crash, or failed, may be there at the next start or not. Below that promise, a bit of a row may flip.
 */
export class SimulatedDisk {
  readonly #loop: Loop
  readonly #random: Random
  readonly #rows = new MemoryTable()
  readonly #keys = new Map<string, Uint8Array>()
  #inFlight: InFlight | undefined
  /** Longest commit, in ms. */
  slowMs = 3
  /** Commits that are to fail. */
  failures = 0
  freeBytes = 10 ** 12
  commits = 0

  constructor(loop: Loop, random: Random) {
    this.#loop = loop
    this.#random = random
  }

  /** The table of one process. */
  open(life: Life, watch: TableWatch): Table {
    return {
      get: key => this.#rows.get(key),
      keys: (from, to, countMax) => this.#rows.keys(from, to, countMax),
      entries: (from, to, countMax) => this.#rows.entries(from, to, countMax),
      write: (writes, done) => this.#write(writes, { life, watch, done }),
      close: async () => {},
    }
  }

  /** The process is gone: what was in flight got through, or not. */
  crash(): void {
    if (this.#inFlight !== undefined && this.#random.chance(0.5)) this.#apply(this.#inFlight.writes)
    this.#inFlight = undefined
  }

  /** Turns over a bit of some row. @returns puts it right again, or undefined if there is nothing to damage */
  damage(): (() => void) | undefined {
    if (this.#keys.size === 0) return undefined
    const key = this.#random.pick([...this.#keys.values()])
    const value = this.#rows.get(key) as Uint8Array
    const bad = Uint8Array.from(value)
    const at = this.#random.int(0, bad.length - 1)
    bad[at] = (bad[at] as number) ^ (1 << this.#random.int(0, 7))
    this.#rows.apply([{ key, value: bad }])
    return () => {
      if (isSame(this.#rows.get(key), bad)) this.#rows.apply([{ key, value }])
    }
  }

  #write(writes: readonly Write[], { life, watch, done }: Writing): void {
    if (!life.isAlive) return
    if (this.#inFlight !== undefined) throw new Error('a second commit while one is in flight')
    const inFlight: InFlight = { writes }
    this.#inFlight = inFlight
    const isFailing = this.failures > 0
    if (isFailing) this.failures -= 1
    const ms = this.#random.int(0, this.slowMs)
    watch.began(writes, ms)
    life.after(ms, () => {
      if (this.#inFlight !== inFlight) return
      this.#inFlight = undefined
      this.commits += 1
      this.#loop.trace(`commit ${writes.length}`)
      if (!isFailing || this.#random.chance(0.5)) this.#apply(writes)
      if (!isFailing) watch.done(writes)
      if (!life.isAlive) return
      done(isFailing ? new Error('EIO, simulated') : undefined)
    })
  }

  /** Queues of which rows are there, and no definition. */
  get orphans(): readonly number[] {
    const defined = new Set([...this.#rows.keys(DEFINITIONS.from, DEFINITIONS.to, KEYS_MAX)].map(queueOf))
    const found = new Set([...this.#rows.keys(QUEUE_CONTENTS.from, QUEUE_CONTENTS.to, KEYS_MAX)].map(queueOf))
    return [...found].filter(queue => !defined.has(queue))
  }

  #apply(writes: readonly Write[]): void {
    this.#rows.apply(writes)
    for (const { key, value } of writes) {
      const name = Buffer.from(key).toString('latin1')
      if (value === undefined) this.#keys.delete(name)
      else this.#keys.set(name, key)
    }
  }
}

/** Whose write it is. */
interface Writing {
  readonly life: Life
  readonly watch: TableWatch
  readonly done: (failure?: Error) => void
}

function isSame(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && Buffer.compare(a, b) === 0
}
