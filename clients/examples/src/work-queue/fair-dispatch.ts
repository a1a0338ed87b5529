/*
 * "Fair dispatching" of RabbitMQ's tutorial, part 2, seen and measured: every odd task is heavy, every even one light, and
 * there are two workers. Dealt out in turn as they come, one worker gets all the heavy ones; with `prefetch: 1` each takes
 * the next task when it is free.
 *
 * Simpler: a barrier behind the tasks tells when the last one is done.
 *
 *   node clients/examples/dist/work-queue/fair-dispatch.js [--dot-ms 50]
 */
import { parseArgs } from 'node:util'
import { type Client, connect, worker } from '@sluice/client'
import { URL_OPTION } from '../shared/url.ts'
import { work } from './tasks.ts'

const TASKS = 10
const { values } = parseArgs({ options: { url: URL_OPTION, 'dot-ms': { type: 'string', default: '50' } } })

await using client = await connect(values.url, { name: 'fair-dispatch' })
await dispatch(client, 'round robin, prefetch 100', { fairness: 'round-robin', prefetch: 100 })
await dispatch(client, 'fair, prefetch 1', { fairness: 'proportional', prefetch: 1 })

async function dispatch(
  client: Client,
  title: string,
  { fairness, prefetch }: { readonly fairness: 'round-robin' | 'proportional'; readonly prefetch: number },
): Promise<void> {
  const tasks = client.queue<string>(`tasks-${fairness}`, { codec: 'text' })
  await tasks.declare({ fairness })
  const dotsDone = [0, 0]
  await using _first = startWorker(0)
  await using _second = startWorker(1)

  const startedMs = performance.now()
  // #region wait
  for (let task = 1; task <= TASKS; task++) await tasks.publish(task % 2 === 1 ? 'heavy........' : 'light.')
  await (await tasks.barrier()).wait()
  // #endregion
  const seconds = (performance.now() - startedMs) / 1_000
  console.log(
    `${title.padEnd(26)} worker 1: ${dotsDone[0]} dots   worker 2: ${dotsDone[1]} dots   ${seconds.toFixed(2)} s`,
  )

  function startWorker(number: 0 | 1) {
    return worker(
      tasks,
      async ({ body }) => {
        await work(body, Number(values['dot-ms']))
        dotsDone[number]! += body.split('.').length - 1
      },
      { prefetch },
    )
  }
}
