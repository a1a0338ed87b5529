import { setTimeout as sleep } from 'node:timers/promises'
import { consumedAll, startConsuming } from '../consuming.ts'
import type { Measured } from '../measure.ts'
import { startPublishing } from '../publishing.ts'
import type { Publish } from '../system.ts'
import type { Bench } from './workload.ts'

interface Shape {
  readonly queues: number
  /** Of consumers; the publisher has its own. */
  readonly connections: number
  /** Consumers of each queue, dealt to the connections in turn. */
  readonly consumersEach: number
  readonly barrier?: string
}

/** Publishing to some queues in turn and consuming from them at once; what is counted is consumed. */
export async function steady(bench: Bench, { queues, connections, consumersEach, barrier }: Shape): Promise<Measured> {
  const { connect, load, ledger, measure } = bench
  const publisher = await connect()
  const names = Array.from({ length: queues }, (_, k) => `steady-${k}`)
  for (const name of names) await publisher.declare(name, barrier)
  const connected = await Promise.all(Array.from({ length: connections }, connect))
  const consuming = names.flatMap((name, k) =>
    Array.from({ length: consumersEach }, (_, n) =>
      startConsuming(bench, [connected[(k * consumersEach + n) % connections]!], name),
    ),
  )
  const publishing = startPublishing(bench, inTurn(names.map(name => publisher.publisher(name))))
  await sleep(load.warmupSeconds * 1000)
  const measured = await measure(ledger.consumed)
  await publishing.stop()
  await consumedAll(bench)
  await Promise.all(consuming.map(one => one.stop()))
  return measured
}

function inTurn(publishers: readonly Publish[]): Publish {
  let turn = 0
  return body => {
    const publish = publishers[turn]!
    turn = (turn + 1) % publishers.length
    return publish(body)
  }
}
