import { setTimeout as sleep } from 'node:timers/promises'
import type { Connection, ConsumeOptions } from './system.ts'
import type { Bench } from './workloads/workload.ts'

/** When nothing arrives for so long, nothing will: what was confirmed needs no flush to be delivered. */
const STALL_MS = 3_000
const LOOK_MS = 100
/** What comes twice comes soon after: nobody's lease has run out. */
const REPEATS_MS = 100

/** Consumers that take messages until they are stopped. */
export interface Consuming {
  /** Resolves when all their acks are with the server. */
  stop(): Promise<void>
}

export function connectConsumers({ connect, load }: Bench): Promise<Connection[]> {
  return Promise.all(Array.from({ length: load.consumers }, connect))
}

/** A consumer on each connection, from now on. */
export function startConsuming(
  { ledger, bodies, load: { prefetch } }: Bench,
  connections: readonly Connection[],
  queue: string,
  options: Pick<ConsumeOptions, 'isAwaited'> = {},
): Consuming {
  const received = (body: unknown): void => ledger.take(bodies.read(body))
  const consumers = connections.map(connection => connection.consume(queue, { ...options, prefetch, received }))
  return {
    async stop() {
      await Promise.all(consumers.map(consumer => consumer.stop()))
    },
  }
}

/** Resolves when everything published so far was consumed, or nothing arrives any more: the ledger then tells what is missing. */
export async function consumedAll({ ledger }: Bench): Promise<void> {
  const all = ledger.consumed.reached(ledger.publishedCount).then(() => true)
  let before = -1
  for (let quietMs = 0; quietMs < STALL_MS; quietMs += LOOK_MS) {
    if (await Promise.race([all, sleep(LOOK_MS, false)])) break
    if (ledger.consumed.value !== before) quietMs = 0
    before = ledger.consumed.value
  }
  await sleep(REPEATS_MS)
}
