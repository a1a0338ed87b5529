import type { Publish } from './system.ts'
import type { Bench } from './workloads/workload.ts'

/** Publishing that goes on. */
export interface Publishing {
  /** Takes no new message. Resolves when all are confirmed. */
  stop(): Promise<void>
}

/** Publishes from now on, with as many unconfirmed as the window lets. */
export function startPublishing(bench: Bench, publish: Publish): Publishing {
  let stopped = false
  // Awaited only by `stop`: a refused publish before that ends the process, and with it the run.
  const all = fillWindow(bench, publish, () => stopped)
  return {
    stop() {
      stopped = true
      return all
    },
  }
}

/** Publishes so many messages; resolves when all are confirmed. */
export function publishCount(bench: Bench, publish: Publish, count: number): Promise<void> {
  const end = bench.ledger.publishedCount + count
  return fillWindow(bench, publish, () => bench.ledger.publishedCount === end)
}

/** Each lane publishes its next message when its last one is confirmed. */
async function fillWindow(bench: Bench, publish: Publish, isDone: () => boolean): Promise<void> {
  const { ledger, bodies, load } = bench
  const lane = async (): Promise<void> => {
    const write = bodies.writer()
    while (!isDone()) {
      await publish(write(ledger.nextNumber()))
      ledger.confirmed.add()
    }
  }
  await Promise.all(Array.from({ length: load.window }, lane))
}
