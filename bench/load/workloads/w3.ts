import { setTimeout as sleep } from 'node:timers/promises'
import { connectConsumers, consumedAll, startConsuming } from '../consuming.ts'
import { startPublishing } from '../publishing.ts'
import type { Workload } from './workload.ts'

/** Steady: the publisher of W1 and the consumers of W2 at once; what is counted is consumed. */
export const w3: Workload = async bench => {
  const { connect, load, ledger, measure } = bench
  const publisher = await connect()
  await publisher.declare('w3')
  const consuming = startConsuming(bench, await connectConsumers(bench), 'w3')
  const publishing = startPublishing(bench, publisher.publisher('w3'))
  await sleep(load.warmupSeconds * 1000)
  const measured = await measure(ledger.consumed)
  await publishing.stop()
  await consumedAll(bench)
  await consuming.stop()
  return measured
}
