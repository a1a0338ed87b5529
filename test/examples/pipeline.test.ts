import { expect, test } from 'vitest'
import { startServer } from '../clients/cli-support.ts'
import { example, finished } from './support.ts'

test('A4, B2, B7: a thousand items pass two stages, and come out complete and in order', async () => {
  await using server = await startServer()
  const lines = await finished(example(server, 'pipeline/pipeline'))
  expect(lines[0]).toBe('Results: length 1000, order okay: true')
  expect(lines[1]).toMatch(/^Processing took [\d.]+ seconds$/)
})
