/*
 * "Parallel feeding and reading from queues": a thousand items go through two stages, ten workers for the tokens and five
 * for the results; the results come out complete and in order.
 *
 * Simpler: no sentinel for each worker, no join, no close. One barrier, put behind the items, passes through all stages,
 * however many workers each has: released in one queue it goes on to the next, behind everything that was made of it.
 *
 *   node clients/examples/dist/pipeline/pipeline.js [--items 1000]
 */
import { parseArgs } from 'node:util'
import { connect, type Message, worker } from '@sluice/client'
import { sleep } from '../shared/processes.ts'
import { URL_OPTION } from '../shared/url.ts'

const TOKEN_MS_MAX = 10
const RESULT_MS_MAX = 5
const TOKEN_WORKERS = 10
const RESULT_WORKERS = 5

interface Step {
  readonly item: number
  readonly value: string
}

const { values } = parseArgs({ options: { url: URL_OPTION, items: { type: 'string', default: '1000' } } })
const items = Number(values.items)

await using client = await connect(values.url, { name: 'pipeline' })
// #region stages
const todo = client.queue<number>('todo')
const tokens = client.queue<Step>('tokens')
const results = client.queue<Step>('results')
// A queue that another one names is there from then on: "results" needs no declare of its own.
await todo.declare({ forwardBarrier: ['tokens'] })
await tokens.declare({ forwardBarrier: ['results'] })
// #endregion

const startedMs = performance.now()
// #region run
await using _tokenWorkers = worker(todo, getToken, { concurrency: TOKEN_WORKERS, output: tokens })
await using _resultWorkers = worker(tokens, getResult, { concurrency: RESULT_WORKERS, output: results })

const run = results.consume()
await todo.publishMany(Array.from({ length: items }, (_, item) => item))
await todo.barrier()

const got: string[] = []
for await (const result of run) {
  if (result.kind === 'barrier') break
  got[result.body.item] = result.body.value
  await result.ack()
}
// #endregion
const expected = Array.from({ length: items }, (_, item) => `result_${item}`)
const isRight = got.length === items && got.every((value, item) => value === expected[item])
console.log(`Results: length ${got.length}, order okay: ${isRight}`)
console.log(`Processing took ${((performance.now() - startedMs) / 1_000).toFixed(2)} seconds`)

// #region handlers
async function getToken({ body: item }: Message<number>): Promise<Step> {
  await sleep(Math.random() * TOKEN_MS_MAX)
  return { item, value: `token_${item}` }
}

async function getResult({ body: { item, value } }: Message<Step>): Promise<Step> {
  await sleep(Math.random() * RESULT_MS_MAX)
  return { item, value: value.replace('token', 'result') }
}
// #endregion
