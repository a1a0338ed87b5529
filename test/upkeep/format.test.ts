import { copyFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openTable } from '../../src/journal/lmdb/lmdb-table.ts'
import { encodeRow } from '../../src/journal/table/row-codec.ts'
import { eachKey } from '../../src/journal/table/table.ts'
import { formatOf } from '../../src/journal/table/table-journal.ts'
import { clientOf, newFolder, serverOn, built as sluice } from './support.ts'

const FIXTURES = join(import.meta.dirname, '..', 'fixtures')
const FORMATS = readdirSync(FIXTURES).filter(name => name.startsWith('format-'))

/** Data as an old version wrote them, to be changed. */
function dataOf(format: string): string {
  const data = newFolder()
  copyFileSync(join(FIXTURES, format, 'data.mdb'), join(data, 'data.mdb'))
  return data
}

describe.each(FORMATS)('R8: data of %s', format => {
  test('have a row of every kind, or they would prove little', async () => {
    const table = await openTable(dataOf(format))
    const kinds = new Set([...eachKey(table, Buffer.of(6), Buffer.of(7))].map(key => key[5]))
    await table.close()
    expect([...kinds].sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  test('are whole to a check', async () => {
    expect(await sluice(['server', 'check', '--data', dataOf(format)])).toMatchObject({ exitCode: 0 })
  })

  test('are opened as they were left: messages, attempts, delays, barriers, records, parties, ids, producers', async () => {
    const data = dataOf(format)
    const server = await serverOn(data)
    const client = await clientOf(server)
    const sales = client.queue<{ n: number }>('sales')
    expect(await sales.show()).toMatchObject({ ready: 8, delayed: 2, leased: 0, barriersWaiting: 1 })
    const { messages } = await sales.browse({ limit: 100 })
    const shown = messages.map(({ sequence, state, attempts, body, headers }) => [
      sequence,
      state,
      attempts,
      body?.n,
      headers?.['shop'],
    ])
    expect(shown).toEqual([
      [4, 'delayed', 1, 3, 'Ærø'],
      [5, 'ready', 0, 4, 'Ærø'],
      [6, 'ready', 0, 5, 'Ærø'],
      [7, 'ready', 0, 6, 'Ærø'],
      [8, 'ready', 0, 7, 'Ærø'],
      [9, 'ready', 0, 8, 'Ærø'],
      [10, 'ready', 0, 9, 'Ærø'],
      [11, 'ready', 0, 10, 'Ærø'],
      [12, 'delayed', 0, 11, undefined],
      [14, 'ready', 0, 12, undefined],
    ])
    expect(await sales.batch('first-day').show()).toMatchObject({
      state: 'released',
      record: { outcome: 'clean', body: { day: 1 } },
    })
    expect(await sales.batch('second-day').show()).toMatchObject({ state: 'waiting', sequence: 13 })
    expect(await client.queue('sales.dead').show()).toMatchObject({ ready: 1 })
    expect(await client.queue('stores').batch('all').show()).toMatchObject({
      state: 'gathering',
      parties: { count: 3, arrived: ['store-1', 'store-2'] },
    })
    expect(await client.queue('paused').show()).toMatchObject({
      paused: true,
      ready: 1,
      options: { group: '/customer' },
    })
    expect(await client.queue('rows').show()).toMatchObject({ ready: 3 })
    expect(await sales.publish({ n: 1 }, { messageId: 'sale-1' })).toEqual({ sequence: 2, duplicate: true })
    // The number of a queue that is gone is not given again, and no sequence number is.
    expect((await sales.publish({ n: 13 })).sequence).toBeGreaterThan(14)
    await client.close()
    await server.close()
    expect(await sluice(['server', 'check', '--data', data])).toMatchObject({ exitCode: 0 })
  })
})

test('R8: there are data of the format that is written today', async () => {
  const data = newFolder()
  await (await serverOn(data)).close()
  const table = await openTable(data)
  expect(FORMATS).toContain(`format-${formatOf(table)}`)
  await table.close()
})

test('R8: a server does not touch data of a newer format, and says which version to take', async () => {
  const data = newFolder()
  const row = { key: Buffer.of(1), value: encodeRow(Buffer.of(1), { format: 99 }) }
  const table = await openTable(data)
  await new Promise<void>((resolve, reject) => table.write([row], failure => (failure ? reject(failure) : resolve())))
  await table.close()
  const { exitCode, stderr, stdout } = await sluice(['serve', '--data', data, '--listen', '127.0.0.1:0'])
  expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' })
  expect(stderr).toContain(
    'sluice: the data are in format 99, written by a newer version of Sluice; this one reads up to 1: start that version again, or a newer one',
  )
  const again = await openTable(data)
  expect([...eachKey(again, Buffer.of(0), Buffer.of(255))]).toHaveLength(1)
  await again.close()
})
