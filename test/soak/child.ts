import { readFileSync } from 'node:fs'
import { deserialize } from 'node:v8'
import type { Fact } from '../../src/core/facts.ts'
import type { Journal } from '../../src/journal/journal.ts'
import { openLmdbJournal } from '../../src/journal/lmdb/lmdb-journal.ts'
import { compareBody, compareFacts, turnOf } from './compare.ts'
import { Plan, type PlanState } from './plan.ts'
import { scanTable } from './scan.ts'

/*
 * The process that a soak kills: carries a plan out on a journal, a little ahead of the disk, and says on stdout how far
 * the disk is. Bodies are read back all the while, most of them from disk. In the mode `scan` it only looks.
 */

export interface ChildOptions {
  readonly folder: string
  /** A serialized `PlanState` of a turn that was told as committed. */
  readonly planFile: string
  readonly mode: 'load' | 'scan'
  readonly liveMax: number
  readonly bytesPerSecond: number
}

/** Small, so that nearly every body comes from LMDB and not from memory. */
const MEMORY_MAX = 16 * 2 ** 20
const AHEAD_TURNS = 64
const AHEAD_BYTES = 8 * 2 ** 20
const BODIES_READ = 3

const say = (line: string): boolean => process.stdout.write(`${line}\n`)

async function run(): Promise<void> {
  const options = JSON.parse(process.argv[2]!) as ChildOptions
  const state = deserialize(readFileSync(options.planFile)) as PlanState
  const plan = new Plan(state, options)
  const startedAt = performance.now()
  const journal = await openLmdbJournal({ folder: options.folder, memoryMax: MEMORY_MAX })
  const facts: Fact[] = []
  for await (const chunk of journal.restore()) facts.push(...chunk)
  const restoreMs = Math.round(performance.now() - startedAt)
  const kept = turnOf(facts)
  if (kept < state.turn) throw new Error(`turn ${state.turn} was told as committed and only ${kept} is there`)
  plan.skipTo(kept)
  const differences = compareFacts(facts, state)
  for (const difference of differences) say(`wrong ${difference}`)
  say(`restored ${kept} ${restoreMs}`)
  if (differences.length > 0) process.exit(1)
  if (options.mode === 'scan') await scan(journal, state, options.folder)
  else new Load(journal, plan, options).start()
}

async function scan(journal: Journal, { queues }: PlanState, folder: string): Promise<void> {
  let [wrong, count] = [0, 0]
  for (const [id, { live }] of queues) {
    for (const [sequence, message] of live) {
      const difference = compareBody(journal, id, sequence, message)
      if (difference && wrong++ < 20) say(`wrong ${difference}`)
      count++
    }
  }
  await journal.close()
  const rows = await scanTable(folder, queues)
  for (const difference of rows.wrong) say(`wrong ${difference}`)
  say(`scanned ${count} ${rows.count}`)
  process.exit(wrong + rows.wrong.length > 0 ? 1 : 0)
}

class Load {
  readonly #journal: Journal
  readonly #plan: Plan
  readonly #bytesPerSecond: number
  readonly #base: number
  readonly #startedAt = performance.now()
  readonly #publishedBefore: number
  /** Published bytes by turn, of turns on their way to the disk. */
  #ahead = new Map<number, number>()
  #aheadBytes = 0
  #isOver = false
  #isWaiting = false
  #bodiesRead = 0

  constructor(journal: Journal, plan: Plan, { bytesPerSecond }: ChildOptions) {
    this.#journal = journal
    this.#plan = plan
    this.#base = plan.state.turn
    this.#bytesPerSecond = bytesPerSecond
    this.#publishedBefore = plan.state.publishedBytes
  }

  start(): void {
    this.#journal.onCommitted(upTo => {
      for (const [turn, bytes] of this.#ahead) {
        if (turn > upTo) break
        this.#ahead.delete(turn)
        this.#aheadBytes -= bytes
      }
      say(`committed ${this.#base + upTo}`)
      this.#readBack()
      this.#fill()
    })
    this.#journal.onFailed(reason => {
      console.error(`the journal failed: ${reason.code} ${reason.message}`)
      process.exit(1)
    })
    process.on('SIGTERM', () => void this.#stop())
    this.#fill()
  }

  async #stop(): Promise<void> {
    this.#isOver = true
    await this.#journal.close()
    const { rss, heapUsed } = process.memoryUsage()
    say(`closed ${this.#plan.state.turn} ${this.#bodiesRead} ${rss} ${heapUsed}`)
    process.exit(0)
  }

  #fill(): void {
    const { state } = this.#plan
    while (!this.#isOver && this.#ahead.size < AHEAD_TURNS && this.#aheadBytes < AHEAD_BYTES) {
      const seconds = (performance.now() - this.#startedAt) / 1_000
      if (state.publishedBytes - this.#publishedBefore > (seconds + 0.1) * this.#bytesPerSecond) {
        this.#fillLater()
        return
      }
      const before = state.publishedBytes
      const facts = this.#plan.next({ withBodies: true })
      const turn = state.turn - this.#base
      this.#ahead.set(turn, state.publishedBytes - before)
      this.#aheadBytes += state.publishedBytes - before
      this.#journal.append(turn, facts)
    }
  }

  #fillLater(): void {
    if (this.#isWaiting) return
    this.#isWaiting = true
    setTimeout(() => {
      this.#isWaiting = false
      this.#fill()
    }, 20)
  }

  #readBack(): void {
    for (const id of [1, 2, 3]) {
      const queue = this.#plan.state.queues.get(id)
      if (!queue) continue
      for (let reads = 0; reads < BODIES_READ; reads++) {
        // Not the plan's own chance: which bodies are looked at must not change what is planned.
        const sequence = queue.low + Math.floor(Math.random() * (queue.next - queue.low))
        const message = queue.live.get(sequence)
        if (!message) continue
        this.#bodiesRead++
        const difference = compareBody(this.#journal, id, sequence, message)
        if (difference) say(`wrong ${difference}`)
      }
    }
  }
}

run().catch(error => {
  console.error(error)
  process.exitCode = 1
})
