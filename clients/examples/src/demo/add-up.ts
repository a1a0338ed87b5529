import type { Queue } from '@sluice/client'
import type { WordCounts } from './plain-count.ts'
import type { Counts } from './queues.ts'

export interface Total {
  readonly words: WordCounts
  /** Lines counted, and how many of them had been with another worker before. */
  readonly lines: number
  readonly redelivered: number
  /** Lines by worker process. */
  readonly byWorker: ReadonlyMap<number, number>
}

/** Adds up what is in the results queue. It is complete: each count came in the commit that acked its line. */
export async function addUp(counts: Queue<Counts>): Promise<Total> {
  const words: WordCounts = new Map()
  const byWorker = new Map<number, number>()
  let lines = 0
  let redelivered = 0
  const results = counts.consume({ prefetch: 2_000 })
  await counts.barrier()
  for await (const result of results) {
    if (result.kind === 'barrier') break
    const { body } = result
    for (const [word, times] of Object.entries(body.words)) words.set(word, (words.get(word) ?? 0) + times)
    byWorker.set(body.by, (byWorker.get(body.by) ?? 0) + 1)
    lines += 1
    if (body.redelivered) redelivered += 1
    await result.ack()
  }
  return { words, lines, redelivered, byWorker }
}
