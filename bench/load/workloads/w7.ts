import { connectConsumers, consumedAll, startConsuming } from '../consuming.ts'
import { Counter } from '../counter.ts'
import { publishCount } from '../publishing.ts'
import type { Workload } from './workload.ts'

const MESSAGES = 100_000
const WARMUP_MESSAGES = 20_000

/** The job: a batch published, worked on by four, and known to be done; from the first publish to knowing. */
export const w7: Workload = async bench => {
  const { connect, load, measure } = bench
  const messages = 'messages' in load.length ? load.length.messages : MESSAGES
  const publisher = await connect()
  const workers = await connectConsumers(bench)
  const job = async (queue: string, count: number) => {
    await publisher.declare(queue)
    const consuming = startConsuming(bench, workers, queue, { isAwaited: true })
    return {
      async run() {
        await publishCount(bench, publisher.publisher(queue), count)
        await publisher.done(queue, count)
      },
      async end() {
        await consumedAll(bench)
        await consuming.stop()
      },
    }
  }
  const warmup = await job('warmup', Math.min(messages, WARMUP_MESSAGES))
  await warmup.run()
  await warmup.end()

  const measured = await job('w7', messages)
  const done = new Counter()
  const measuring = measure(done, { messages: 1 })
  await measured.run()
  done.add()
  const figures = await measuring
  await measured.end()
  return { ...figures, messages }
}
