import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectConsumers, consumedAll, startConsuming } from '../consuming.ts'
import { microsNow, type Percentiles } from '../measure.ts'
import type { Workload } from './workload.ts'

const PER_SECOND = 1_000

/** Latency: a steady trickle, far below what the system can do; from the publish to its confirm, and to its receipt. */
export const w4: Workload = async bench => {
  const { connect, load, ledger, bodies, measure } = bench
  const publisher = await connect()
  await publisher.declare('w4')
  const publish = publisher.publisher('w4')
  const publishedAt: number[] = []
  const receive = createHistogram()
  const confirm = createHistogram()
  let isMeasured = false
  const record = (histogram: RecordableHistogram, number: number) => {
    if (isMeasured) histogram.record(Math.max(1, microsNow() - publishedAt[number]!))
  }
  ledger.onTake = number => record(receive, number)

  const [consumer] = await connectConsumers({ ...bench, load: { ...load, consumers: 1 } })
  const consuming = startConsuming(bench, [consumer!], 'w4')
  const publishOne = async () => {
    // Each its own: several are on their way.
    const write = bodies.writer()
    const number = ledger.nextNumber()
    publishedAt[number] = microsNow()
    await publish(write(number))
    record(confirm, number)
    ledger.confirmed.add()
  }
  const unconfirmed = new Set<Promise<void>>()
  const from = microsNow()
  const timer = setInterval(() => {
    // A late timer catches up: the rate holds, and a stall is felt by all that should have been sent.
    while (ledger.publishedCount < ((microsNow() - from) * PER_SECOND) / 1e6) {
      const publishing = publishOne().finally(() => unconfirmed.delete(publishing))
      unconfirmed.add(publishing)
    }
  }, 1)
  await sleep(load.warmupSeconds * 1000)
  isMeasured = true
  const measured = await measure(ledger.consumed)
  isMeasured = false
  clearInterval(timer)
  await Promise.all(unconfirmed)
  await consumedAll(bench)
  await consuming.stop()
  return { ...measured, latency: { receive: percentiles(receive), confirm: percentiles(confirm) } }
}

function percentiles(histogram: RecordableHistogram): Percentiles {
  const ms = (percentile: number) => histogram.percentile(percentile) / 1000
  return { p50: ms(50), p99: ms(99), p999: ms(99.9) }
}
