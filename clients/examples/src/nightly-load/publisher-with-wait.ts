/*
 * The same night with `wait()`: put a barrier behind what was published, wait, know.
 *
 * Simpler than the version with a filter: no expression, no subscription, no loop; the answer is the record of the batch,
 * and an outcome that is not clean is an error. It answers as well from another process, later, or after a restart.
 *
 *   node clients/examples/dist/nightly-load/publisher-with-wait.js --day 2026-11-20 store-*.csv
 */
import { parseArgs } from 'node:util'
import { connect } from '@sluice/client'
import { URL_OPTION } from '../shared/url.ts'
import { openQueues, readSales, runPredictiveAnalytics } from './sales.ts'

const today = new Date().toISOString().slice(0, 10)
const { values, positionals: files } = parseArgs({
  options: { url: URL_OPTION, day: { type: 'string', default: today } },
  allowPositionals: true,
})

// #region publisher
await using client = await connect(values.url, { name: 'nightly-publisher' })
const { sales, inventory } = await openQueues(client)

const { count } = await sales.publishMany(readSales(files))
const day = await sales.barrier({ name: `eof-${values.day}`, body: { is_eof: 1 } })
console.log(`${count} sales published. Waiting for the consumers to finish ...`)

const { outcome, stats } = await day.wait()

console.log(`Done for the day: ${stats.acked} sales, ${outcome}. Starting predictive analytics.`)
await runPredictiveAnalytics(inventory)
// #endregion
