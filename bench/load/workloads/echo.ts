import { setTimeout as sleep } from 'node:timers/promises'
import { startPublishing } from '../publishing.ts'
import type { Workload } from './workload.ts'

/** The bare baseline: the loop of W1, where the confirm is the message itself coming back. Nothing is kept, so nothing consumed. */
export const echo: Workload = async bench => {
  const { connect, load, ledger, measure } = bench
  const connection = await connect()
  const publishing = startPublishing(bench, connection.publisher(''))
  await sleep(load.warmupSeconds * 1000)
  const measured = await measure(ledger.confirmed)
  await publishing.stop()
  for (let number = 0; number < ledger.publishedCount; number++) ledger.take(number)
  return measured
}
