import { expect, test } from 'vitest'
import { startServer } from '../clients/cli-support.ts'
import { example, finished } from './support.ts'

test('D5, P5, A2, A5, B12: attempts are counted, failures retried, the hopeless put aside, duplicates left out', async () => {
  await using server = await startServer()
  const worker = example(server, 'list-worker/worker')
  await worker.says('Waiting')
  const main = await finished(example(server, 'list-worker/main', '--items', '14', '--every-ms', '1'))
  expect(main).toEqual([
    'item-5 is in the queue already, left out',
    'item-10 is in the queue already, left out',
    '12 of 14 messages done, 2 put aside (with-dead)',
  ])

  const done = await finished(worker)
  const expected = Array.from({ length: 14 }, (_, index) => index + 1)
    .filter(number => number % 7 !== 0)
    .map(number => `item-${number} done, attempt ${number % 3 === 0 ? 2 : 1}`)
  expect(done.filter(line => line.includes('done, attempt')).sort()).toEqual(expected.sort())
  for (const attempt of [1, 2, 3]) expect(worker.stderr).toContain(`item-7 failed, attempt ${attempt} of 3`)

  const dead = await finished(example(server, 'list-worker/dead'))
  expect(dead.map(line => line.replace(/, from.*/, ''))).toEqual([
    'item-7: deliveries after 3 attempts',
    'item-14: deliveries after 3 attempts',
  ])
  expect(await finished(example(server, 'list-worker/dead'))).toEqual(dead)
})
