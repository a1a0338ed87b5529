/*
 * The consumer of the nightly load. Start as many as there is work for, on as many machines; each ends with the day.
 *
 * Simpler: the inventory's update goes out with the ack, in one commit, so that a consumer that dies half way neither
 * loses a sale nor counts one twice; and nobody looks for `is_eof` in the data, for a barrier comes as what it is.
 *
 *   node clients/examples/dist/nightly-load/consumer.js
 */
import { parseArgs } from 'node:util'
import { connect, type Message, worker } from '@sluice/client'
import { ready } from '../shared/processes.ts'
import { URL_OPTION } from '../shared/url.ts'
import { type InventoryRow, openQueues, type Sale } from './sales.ts'

const { values } = parseArgs({ options: { url: URL_OPTION } })
const name = `consumer-${process.pid}`

await using client = await connect(values.url, { name })
const { sales, inventory } = await openQueues(client)
let processed = 0

// #region consumer
await using loading = worker(sales, updateInventory, { output: inventory, until: 'barrier' })
// #endregion
console.log(`${name}: connected`)
ready()
await loading.done
console.log(`${name}: ${processed} sales, end of file received, exiting`)

// #region handler
function updateInventory({ body: sale }: Message<Sale>): InventoryRow {
  processed += 1
  return { item: sale.item, quantity: sale.quantity }
}
// #endregion
