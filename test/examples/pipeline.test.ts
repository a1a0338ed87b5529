import { expect, test } from 'vitest'
import { startServer } from '../clients/cli-support.ts'
import { example, finished } from './support.ts'

test('B15, A4, B7: a thousand items and the one barrier behind them pass two stages, and come out complete', async () => {
  await using server = await startServer()
  const lines = await finished(example(server, 'pipeline/pipeline'))
  expect(lines[0]).toBe('Results: length 1000, order okay: true')
  expect(lines[1]).toMatch(/^Processing took [\d.]+ seconds$/)
})

test('B15: it runs again on the queues that are there, and the barrier stands in each of them as released', async () => {
  await using server = await startServer()
  for (let run = 0; run < 2; run++) {
    const lines = await finished(example(server, 'pipeline/pipeline', '--items', '50'))
    expect(lines[0]).toBe('Results: length 50, order okay: true')
  }
  for (const queue of ['todo', 'tokens', 'results']) {
    const barriers = JSON.parse((await server.run(['barrier', 'list', queue, '--json'])).stdout)
    expect(barriers).toMatchObject([1, 2].map(() => ({ state: 'released', outcome: 'clean', stats: { acked: 50 } })))
  }
})
