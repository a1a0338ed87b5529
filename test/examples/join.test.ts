import { expect, test } from 'vitest'
import { startServer } from '../clients/cli-support.ts'
import { example, finished } from './support.ts'

test('B15, B14, A4, P6: 24 MB of text, over one, two and three queues, give the same count', async () => {
  await using server = await startServer({ durable: true })
  const [text, ...runs] = await finished(example(server, 'join/join', '--megabytes', '24'))
  const [, times] = /occurs ([\d,]+) times/.exec(text!)!
  expect(runs.map(line => line.replace(/, [\d.]+ s$/, ''))).toEqual([
    `1 queue, 2 messages: ${times} times`,
    `2 queues, 2 messages: ${times} times`,
    `3 queues, 3 messages: ${times} times`,
  ])
  const [, , last] = JSON.parse((await server.run(['barrier', 'list', 'word-counts', '--json'])).stdout)
  expect(last).toMatchObject({ outcome: 'clean', parties: { count: 3, missing: 0 } })
  expect([...last.parties.arrived].sort()).toEqual(['words-1', 'words-2', 'words-3'])
})
