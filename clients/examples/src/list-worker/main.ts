/*
 * "Distributed Computations with Python and Redis": the main app pushes items to a queue, workers take them.
 *
 * Simpler: attempts are counted by the queue and not in the item, what fails too often is put aside by the queue and not
 * by a second list, the crash of a worker loses nothing, so no list of items in work is kept, and what is pushed twice is
 * left out by the queue.
 *
 *   node clients/examples/dist/list-worker/main.js [--items 20] [--every-ms 100]
 */
import { parseArgs } from 'node:util'
import { connect } from '@sluice/client'
import { sleep } from '../shared/processes.ts'
import { URL_OPTION } from '../shared/url.ts'
import { type Item, openItems } from './items.ts'

const { values } = parseArgs({
  options: {
    url: URL_OPTION,
    items: { type: 'string', default: '20' },
    'every-ms': { type: 'string', default: '100' },
  },
})

await using client = await connect(values.url, { name: 'main' })
const items = await openItems(client)

for (let number = 1; number <= Number(values.items); number++) {
  await push(itemOf(number))
  // Every fifth item is pushed twice: the sender was not sure that the first one had gone.
  if (number % 5 === 0) await push(itemOf(number))
  await sleep(Number(values['every-ms']))
}

// #region wait
const { outcome, stats } = await (await items.barrier()).wait({ accept: ['with-dead'] })
console.log(`${stats.acked} of ${stats.published} messages done, ${stats.dead} put aside (${outcome})`)
// #endregion

// #region push
async function push(item: Item): Promise<void> {
  const { duplicate } = await items.publish(item, { messageId: item.id, dedupe: true })
  if (duplicate) console.log(`${item.id} is in the queue already, left out`)
}
// #endregion

/** Every third item fails once, every seventh always. */
function itemOf(number: number): Item {
  const failures = number % 7 === 0 ? Number.MAX_SAFE_INTEGER : number % 3 === 0 ? 1 : 0
  return { id: `item-${number}`, text: `some work ${number}`, failures }
}
