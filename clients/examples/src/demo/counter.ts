/*
 * One of the demo's workers: counts the words of a line. The counts go out with the ack, in one commit, so each line
 * counts exactly once, whatever is killed when. That is all a worker has to be.
 */
import { parseArgs } from 'node:util'
import { connect, type Message, worker } from '@sluice/client'
import { wordsOf } from '../shared/brown.ts'
import { ready } from '../shared/processes.ts'
import { URL_OPTION } from '../shared/url.ts'
import { COUNTS, type Counts, LINES, type Line } from './queues.ts'

const { values } = parseArgs({ options: { url: URL_OPTION } })

await using client = await connect(values.url, { name: `counter-${process.pid}` })
await using counting = worker(client.queue<Line>(LINES), countWords, {
  output: client.queue<Counts>(COUNTS),
  until: 'barrier',
})
ready()
await counting.done

function countWords({ body, redelivered }: Message<Line>): Counts {
  const words: Record<string, number> = Object.create(null)
  for (const word of wordsOf(body.text)) words[word] = (words[word] ?? 0) + 1
  return { words, redelivered, by: process.pid }
}
