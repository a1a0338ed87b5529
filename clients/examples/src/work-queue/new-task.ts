/*
 * `new_task.py` of RabbitMQ's tutorial, part 2: puts a task into the queue.
 *
 * Simpler: nothing is to be said about durability. A publish that has returned is on disk, written and flushed.
 *
 *   node clients/examples/dist/work-queue/new-task.js A very hard task.....
 */
import { parseArgs } from 'node:util'
import { connect } from '@sluice/client'
import { URL_OPTION } from '../shared/url.ts'
import { openTasks } from './tasks.ts'

const { values, positionals } = parseArgs({ options: { url: URL_OPTION }, allowPositionals: true })
const task = positionals.join(' ') || 'Hello World!'

// #region publish
await using client = await connect(values.url, { name: 'new-task' })
const tasks = await openTasks(client)
await tasks.publish(task)
// #endregion
console.log(` [x] Sent '${task}'`)
