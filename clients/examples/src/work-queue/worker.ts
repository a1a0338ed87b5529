/*
 * `worker.py` of RabbitMQ's tutorial, part 2: takes a task, works a second for each of its dots, acks.
 *
 * Simpler: acks are on and there is nothing to switch off; a worker that is killed gives its task to the next one; after
 * a restart of the server the loop goes on by itself. `prefetch: 1` is fair dispatch: a task at a time.
 *
 *   node clients/examples/dist/work-queue/worker.js [--prefetch 1] [--dot-ms 1000]
 */
import { parseArgs } from 'node:util'
import { connect } from '@sluice/client'
import { ready } from '../shared/processes.ts'
import { URL_OPTION } from '../shared/url.ts'
import { openTasks, work } from './tasks.ts'

const { values } = parseArgs({
  options: {
    url: URL_OPTION,
    prefetch: { type: 'string', default: '1' },
    'dot-ms': { type: 'string', default: '1000' },
  },
})

await using client = await connect(values.url, { name: `worker-${process.pid}` })
const tasks = await openTasks(client)
console.log(' [*] Waiting for messages. To exit press CTRL+C')
ready()

// #region worker
for await (const task of tasks.consume({ prefetch: Number(values.prefetch), barriers: false })) {
  console.log(` [x] Received '${task.body}'${task.redelivered ? ' (again)' : ''}`)
  await work(task.body, Number(values['dot-ms']))
  await task.ack()
  console.log(' [x] Done')
}
// #endregion
