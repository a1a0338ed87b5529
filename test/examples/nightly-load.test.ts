import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { startServer } from '../clients/cli-support.ts'
import { example, finished } from './support.ts'

const STORES = 12
const SALES = 400
const folder = mkdtempSync(join(tmpdir(), 'sluice-sales-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** A file of sales for each store, and what was sold in all. */
function writeSales(): { files: string[]; sold: string[] } {
  const sold = new Map<string, number>()
  const files = Array.from({ length: STORES }, (_, store) => {
    const lines = Array.from({ length: SALES }, (_, sale) => {
      const [item, quantity] = [`spatula-${(store + sale) % 7}`, (sale % 5) + 1]
      sold.set(item, (sold.get(item) ?? 0) + quantity)
      return `${store},${item},${quantity}\n`
    })
    const file = join(folder, `store-${store}.csv`)
    writeFileSync(file, lines.join(''))
    return file
  })
  return { files, sold: [...sold].sort().map(([item, quantity]) => `${item} ${quantity}`) }
}

test.each([
  ['B1, B5, D8: with a filter subscription of prefetch 0 on /is_eof = 1', 'publisher-with-filter'],
  ['B2, B10: with wait()', 'publisher-with-wait'],
])('%s the publisher of the nightly load begins its analytics when all is loaded', async (_, publisher) => {
  await using server = await startServer({ durable: true })
  const { files, sold } = writeSales()
  const consumers = [1, 2, 3].map(() => example(server, 'nightly-load/consumer'))
  await Promise.all(consumers.map(consumer => consumer.says('connected')))

  const lines = await finished(example(server, `nightly-load/${publisher}`, ...files))
  expect(lines[0]).toBe(`${STORES * SALES} sales published. Waiting for the consumers to finish ...`)
  expect(lines[1]).toContain('Starting predictive analytics.')
  expect(lines.slice(2)).toEqual(sold)

  const ends = (await Promise.all(consumers.map(finished))).map(lines => lines.at(-1)!)
  const processed = ends.map(line => Number(/: (\d+) sales, end of file received, exiting/.exec(line)![1]))
  expect(processed.reduce((a, b) => a + b)).toBe(STORES * SALES)
})

test('D6, A4, B2: a consumer killed half way loses no sale and counts none twice', async () => {
  await using server = await startServer({ durable: true })
  const { files, sold } = writeSales()
  const [doomed, other] = [example(server, 'nightly-load/consumer'), example(server, 'nightly-load/consumer')]
  await Promise.all([doomed.says('connected'), other.says('connected')])
  const publishing = example(server, 'nightly-load/publisher-with-wait', ...files)
  await publishing.says('sales published')
  doomed.child.kill('SIGKILL')
  expect((await finished(publishing)).slice(2)).toEqual(sold)
  await finished(other)
})
