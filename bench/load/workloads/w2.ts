import { connectConsumers, consumedAll, startConsuming } from '../consuming.ts'
import type { Measured } from '../measure.ts'
import { publishCount } from '../publishing.ts'
import type { Bench, Workload } from './workload.ts'

const BACKLOG = 200_000
const WARMUP_BACKLOG = 50_000

/** Drain: a backlog of ready messages, consumers on connections of their own, an ack for each message. */
export const w2: Workload = bench =>
  drain(bench, 'messages' in bench.load.length ? bench.load.length.messages : BACKLOG)

export async function drain(bench: Bench, backlog: number): Promise<Measured> {
  const { connect, ledger, measure } = bench
  const publisher = await connect()
  const connections = await connectConsumers(bench)

  await publisher.declare('warmup')
  await publishCount(bench, publisher.publisher('warmup'), Math.min(backlog, WARMUP_BACKLOG))
  const warming = startConsuming(bench, connections, 'warmup')
  await consumedAll(bench)
  await warming.stop()

  await publisher.declare('w2')
  await publishCount(bench, publisher.publisher('w2'), backlog)
  const measuring = measure(ledger.consumed, { messages: backlog })
  const consuming = startConsuming(bench, connections, 'w2')
  const measured = await measuring
  await consumedAll(bench)
  await consuming.stop()
  return measured
}
