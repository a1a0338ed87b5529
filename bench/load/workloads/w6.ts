import { connectConsumers, consumedAll, startConsuming } from '../consuming.ts'
import { microsNow } from '../measure.ts'
import { publishCount } from '../publishing.ts'
import type { Workload } from './workload.ts'

const BACKLOG = 1_000_000

/** A backlog: the memory and the disk that it takes, and the time from the start of the process to the first delivery of it. */
export const w6: Workload = async bench => {
  const { connect, load, ledger, measure, restart, usage } = bench
  const backlog = 'messages' in load.length ? load.length.messages : BACKLOG
  const publisher = await connect()
  await publisher.declare('w6')
  await publishCount(bench, publisher.publisher('w6'), backlog)
  const full = usage()

  const { startedAtMicros, diskBytes } = await restart()
  const connections = await connectConsumers(bench)
  const first = ledger.consumed.reached(1).then(microsNow)
  const measuring = measure(ledger.consumed, { messages: backlog })
  const consuming = startConsuming(bench, connections, 'w6')
  const startMs = ((await first) - startedAtMicros) / 1000
  const measured = await measuring
  await consumedAll(bench)
  await consuming.stop()
  const drainedRssBytes = measured.server.rssBytes
  return { ...measured, startMs, diskBytes, drainedRssBytes, server: { ...measured.server, rssBytes: full.rssBytes } }
}
