/*
 * "Coordinated Batch Processing with Python and RabbitMQ": a text of tens of MB is split over one, two and three queues as
 * single large messages, the word `more` is counted in each, and the counts are joined in a results queue.
 *
 * Simpler: the joiner keeps no state of who has answered. A barrier in each queue goes on to the results, where it counts
 * once all have come. A count is published in the commit of its ack, so all counts stand before that one barrier.
 * A message has at most 16 MiB (`message_max`), so a share that is larger goes as several.
 *
 *   node clients/examples/dist/join/join.js [--megabytes 45]
 */
import { randomUUID } from 'node:crypto'
import { parseArgs } from 'node:util'
import { connect } from '@sluice/client'
import { count, start } from '../shared/processes.ts'
import { URL_OPTION } from '../shared/url.ts'
import { countOf, largeText, openWords, RESULTS, split } from './words.ts'

const MESSAGE_BYTES_MAX = 15 * 1_048_576
const { values } = parseArgs({ options: { url: URL_OPTION, megabytes: { type: 'string', default: '45' } } })

await using client = await connect(values.url, { name: 'join' })
const results = client.queue<number>(RESULTS)
await results.declare()
const text = largeText(Number(values.megabytes) * 1_000_000)
console.log(`${values.megabytes} MB of text, "more" occurs ${count(countOf(text, 'more'))} times`)

for (const queues of [1, 2, 3]) {
  const startedMs = performance.now()
  const { messages, total } = await countIn(queues)
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1)
  console.log(
    `${queues} ${queues === 1 ? 'queue' : 'queues'}, ${messages} messages: ${count(total)} times, ${seconds} s`,
  )
}

// #region join
async function countIn(queues: number): Promise<{ readonly messages: number; readonly total: number }> {
  const shares = split(text, queues).map(share => split(share, Math.ceil(share.length / MESSAGE_BYTES_MAX)))
  const end = { name: `end-of-${randomUUID()}`, forward: [results], parties: queues }
  const sending = shares.map(async (texts, index) => {
    const words = await openWords(client, `words-${index + 1}`)
    await start(new URL('./count-worker.js', import.meta.url), ['--url', values.url, words.name])
    await words.publishMany(texts)
    await words.barrier(end)
  })
  await Promise.all(sending)
  let total = 0
  for await (const message of results.consume()) {
    if (message.kind === 'barrier') break
    total += message.body
    await message.ack()
  }
  return { messages: shares.flat().length, total }
}
// #endregion
