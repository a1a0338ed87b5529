import type { BatchHandle, BatchRecord, Queue } from '@sluice/client'
import { count, sleep } from '../shared/processes.ts'
import type { Line } from './queues.ts'
import { say, showProgress } from './screen.ts'

const BARRIER = 'end-of-corpus'
const LOOK_EVERY_MS = 50
/** Far more than any machine needs; a demo that hangs says so. */
const WAIT_MS_MAX = 600_000

/** What is done to it on the way. */
export interface Accidents {
  /** Half of the lines are confirmed. */
  halfPublished(): Promise<void>
  /** Half of the lines are counted. */
  halfCounted(): void
}

/** The batch: publishes all lines, puts the barrier, waits, and shows how far it is. */
export class BatchRun {
  readonly #lines: Queue<Line>
  readonly #corpus: readonly Line[]
  readonly #accidents: Accidents
  #barrier: BatchHandle<Line> | undefined
  readonly #startedMs = performance.now()
  #confirmed = 0
  #counted = 0

  constructor(lines: Queue<Line>, corpus: readonly Line[], accidents: Accidents) {
    this.#lines = lines
    this.#corpus = corpus
    this.#accidents = accidents
  }

  /** @returns the record of the barrier; rejects with BatchError if not every line was acked */
  async run(): Promise<BatchRecord<Line>> {
    const [record] = await Promise.all([this.#load(), this.#watch()])
    return record
  }

  async #load(): Promise<BatchRecord<Line>> {
    await this.#publish()
    const barrier = await this.#lines.barrier({ name: BARRIER, body: { is_eof: 1 } })
    this.#barrier = barrier
    say('barrier', `${BARRIER}   waiting until every line in front of it is counted`)
    const finish = showProgress(
      'count',
      this.#progress(() => this.#counted),
    )
    const record = await barrier.wait({ timeoutMs: WAIT_MS_MAX })
    this.#counted = record.stats.acked
    finish()
    return record
  }

  async #publish(): Promise<void> {
    let accident: Promise<void> | undefined
    const finish = showProgress(
      'publish',
      this.#progress(() => this.#confirmed),
    )
    await this.#lines.publishMany(this.#corpus, {
      onProgress: ({ confirmed }) => {
        this.#confirmed = confirmed
        if (confirmed >= this.#corpus.length / 2) accident ??= this.#accidents.halfPublished()
      },
    })
    await accident
    finish()
  }

  /** Looks how much is counted, before and after the barrier is put. */
  async #watch(): Promise<void> {
    let isHalf = false
    while (this.#counted < this.#corpus.length) {
      const { acked } = this.#barrier ? (await this.#barrier.show()).progress : (await this.#lines.show()).open
      this.#counted = Math.max(this.#counted, acked)
      if (!isHalf && this.#counted >= this.#corpus.length / 2) {
        isHalf = true
        this.#accidents.halfCounted()
      }
      await sleep(LOOK_EVERY_MS)
    }
  }

  #progress(done: () => number): () => { readonly share: number; readonly text: string } {
    const total = this.#corpus.length
    return () => {
      const seconds = (performance.now() - this.#startedMs) / 1_000
      const rate = count(Math.round(done() / Math.max(seconds, 0.001)))
      return { share: done() / total, text: `${count(done())} / ${count(total)}   ${rate}/s   ${seconds.toFixed(1)} s` }
    }
  }
}
