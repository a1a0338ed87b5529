import { setTimeout as sleep } from 'node:timers/promises'
import { connectConsumers, consumedAll, startConsuming } from '../consuming.ts'
import type { Measured } from '../measure.ts'
import { startPublishing } from '../publishing.ts'
import type { Bench, Workload } from './workload.ts'

/** Publish: one connection, a window of unconfirmed messages, every one confirmed as durable. */
export const w1: Workload = bench => publishing(bench)

export async function publishing(bench: Bench, barrier?: string): Promise<Measured> {
  const { connect, load, ledger, measure } = bench
  const publisher = await connect()
  await publisher.declare('w1', barrier)
  const going = startPublishing(bench, publisher.publisher('w1'))
  await sleep(load.warmupSeconds * 1000)
  const measured = await measure(ledger.confirmed)
  await going.stop()

  // Not part of the figures: a confirm is believed only when the message comes out again.
  const consuming = startConsuming(bench, await connectConsumers(bench), 'w1')
  await consumedAll(bench)
  await consuming.stop()
  return measured
}
