/*
 * The nightly file load of 60East's "Scaled-Out Batch Processing with AMPS Queue Barriers": the publisher as it is there.
 * It publishes a line a message, then one message with `is_eof`, which the queue's barrier expression makes a barrier;
 * a subscription whose filter matches only that one tells when all is done.
 *
 * Simpler: prefetch 0 says that this subscription takes no work. `publisher-with-wait.ts` needs no subscription at all.
 *
 *   node clients/examples/dist/nightly-load/publisher-with-filter.js store-*.csv
 */
import { parseArgs } from 'node:util'
import { connect } from '@sluice/client'
import { URL_OPTION } from '../shared/url.ts'
import { openQueues, readSales, runPredictiveAnalytics } from './sales.ts'

const { values, positionals: files } = parseArgs({ options: { url: URL_OPTION }, allowPositionals: true })

await using client = await connect(values.url, { name: 'nightly-publisher' })
const { sales, inventory } = await openQueues(client)

// #region publisher
const endOfFile = sales.consume({ filter: '/is_eof = 1', prefetch: 0 })
const { count } = await sales.publishMany(readSales(files))
await client.queue('NIGHTLY_SALES_DATA').publish({ is_eof: 1 })
console.log(`${count} sales published. Waiting for the consumers to finish ...`)

for await (const _ of endOfFile) break
// #endregion

console.log('Done for the day! Starting predictive analytics.')
await runPredictiveAnalytics(inventory)
