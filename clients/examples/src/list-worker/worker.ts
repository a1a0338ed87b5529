/*
 * The worker of "Distributed Computations with Python and Redis". A handler that throws has failed: the queue counts the
 * attempt, brings the item back after a pause, and after three attempts puts it aside with the reason.
 *
 * Items that were pushed twice do not come twice: the queue leaves them out by their ids, however many workers there are.
 *
 *   node clients/examples/dist/list-worker/worker.js
 */
import { parseArgs } from 'node:util'
import { connect, type Message, worker } from '@sluice/client'
import { ready } from '../shared/processes.ts'
import { URL_OPTION } from '../shared/url.ts'
import { ATTEMPTS_MAX, type Item, openItems } from './items.ts'

const { values } = parseArgs({ options: { url: URL_OPTION } })

await using client = await connect(values.url, { name: `worker-${process.pid}` })
const items = await openItems(client)

// #region worker
await using working = worker(items, handle, { until: 'barrier', onError: report })
// #endregion
console.log('Waiting for items')
ready()
await working.done

// #region handler
function handle({ body: item, attempt }: Message<Item>): void {
  if (attempt <= item.failures) throw new Error(`${item.id} failed`)
  console.log(`${item.id} done, attempt ${attempt}`)
}
// #endregion

function report(error: unknown, { attempt }: Message): void {
  console.error(`${(error as Error).message}, attempt ${attempt} of ${ATTEMPTS_MAX}`)
}
