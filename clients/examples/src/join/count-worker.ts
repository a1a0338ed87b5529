/*
 * Counts how often `more` occurs in the texts of a queue (`copier-mq-receive.py`), until the queue's end.
 * The count goes out with the ack, in one commit: a worker that dies has counted nothing, or all of the text.
 *
 *   node clients/examples/dist/join/count-worker.js words-1
 */
import { parseArgs } from 'node:util'
import { connect, type Message, worker } from '@sluice/client'
import { ready } from '../shared/processes.ts'
import { URL_OPTION } from '../shared/url.ts'
import { countOf, openWords, RESULTS } from './words.ts'

const { values, positionals } = parseArgs({ options: { url: URL_OPTION }, allowPositionals: true })

await using client = await connect(values.url, { name: `count-${positionals[0]}` })
const words = await openWords(client, positionals[0] ?? 'words-1')

// #region worker
await using counting = worker(words, countMore, {
  output: client.queue<number>(RESULTS),
  until: 'barrier',
})
ready()
await counting.done
// #endregion

function countMore({ body: text }: Message<string>): number {
  return countOf(text, 'more')
}
