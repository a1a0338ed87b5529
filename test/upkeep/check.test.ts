import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openTable } from '../../src/journal/lmdb/lmdb-table.ts'
import { numberedKey, queueRange } from '../../src/journal/table/keys.ts'
import { encodeRow } from '../../src/journal/table/row-codec.ts'
import type { Table, Write } from '../../src/journal/table/table.ts'
import { clientOf, newFolder, serverOn, built as sluice } from './support.ts'

/** Data of a server that has stopped. */
async function stopped(): Promise<string> {
  const data = newFolder()
  const server = await serverOn(data)
  const client = await clientOf(server)
  for (const name of ['orders', 'sales']) {
    const queue = client.queue(name)
    await queue.declare({})
    await queue.publishMany(Array.from({ length: 50 }, (_, n) => ({ name, n })))
    await queue.barrier({ name: 'eod' })
  }
  await client.close()
  await server.close()
  return data
}

async function changed(data: string, change: (table: Table) => readonly Write[]): Promise<void> {
  const table = await openTable(data)
  await new Promise<void>((resolve, reject) =>
    table.write(change(table), failure => (failure ? reject(failure) : resolve())),
  )
  await table.close()
}

test('R8: a check reads every row, and counts what is in each queue', async () => {
  const data = await stopped()
  const { exitCode, stdout } = await sluice(['server', 'check', '--data', data, '--json'])
  expect(exitCode).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({
    format: 1,
    damage: [],
    damaged_count: 0,
    queues: [
      { queue: 'orders', messages: 50, barriers: 1 },
      { queue: 'sales', messages: 50, barriers: 1 },
    ],
  })
})

test('R8: a row that does not hold what its checksum says is told with its place, and the others are counted', async () => {
  const data = await stopped()
  await changed(data, table => {
    const { from, to } = queueRange(2)
    return table
      .entries(from, to, 1_000)
      .filter(({ key }) => key[5] === 6)
      .map(({ key, value }) => {
        const spoilt = Buffer.from(value)
        const last = spoilt.length - 1
        spoilt[last] = (spoilt[last] ?? 0) ^ 1
        return { key, value: spoilt }
      })
  })
  const { exitCode, stderr, stdout } = await sluice(['server', 'check', '--data', data])
  expect(exitCode).toBe(1)
  expect(stderr).toMatch(/message row 1 of queue 2 .*does not hold what its checksum says/)
  expect(stderr).toContain('sluice server restore BACKUP')
  expect(stdout).toContain('orders\t50')
})

test('R8: rows that are whole and do not fit together are told', async () => {
  const data = await stopped()
  await changed(data, () => {
    const key = numberedKey(1, 5, 7_000)
    return [{ key, value: encodeRow(key, undefined, Buffer.of(1)) }]
  })
  const { exitCode, stderr } = await sluice(['server', 'check', '--data', data])
  expect(exitCode).toBe(1)
  expect(stderr).toContain('but not the messages of row 7000')
})

test('R8: a file whose pages are broken is told, by a check and by a start', async () => {
  const data = await stopped()
  const file = join(data, 'data.mdb')
  const bytes = readFileSync(file)
  // All but the two pages that say how the file begins.
  for (let at = 2 * 4_096; at < bytes.length; at += 1) bytes[at] = (at * 31) & 0xff
  writeFileSync(file, bytes)
  const { exitCode, stderr } = await sluice(['server', 'check', '--data', data])
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 1, stderr: expect.stringMatching(/damaged|cannot be read/) })
  // Nor does a server take it for a new folder.
  const start = await sluice(['serve', '--data', data, '--listen', '127.0.0.1:0'])
  expect(start).toMatchObject({ exitCode: 1, stdout: '', stderr: expect.stringMatching(/damaged|cannot be read/) })
})

test('data in use, no data, and data of a newer format are refused with what to do', async () => {
  const data = newFolder()
  const server = await serverOn(data)
  const inUse = await sluice(['server', 'check', '--data', data])
  expect(inUse).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('sluice server backup DIR') })
  await server.close()

  const empty = join(newFolder(), 'empty')
  mkdirSync(empty)
  expect(await sluice(['server', 'check', '--data', empty])).toMatchObject({
    exitCode: 4,
    stderr: expect.stringContaining('data.mdb is not there'),
  })
  expect(readdirSync(empty)).toEqual([])
  expect(existsSync(join(empty, 'never'))).toBe(false)

  await changed(data, () => [{ key: Buffer.of(1), value: encodeRow(Buffer.of(1), { format: 2 }) }])
  const newer = await sluice(['server', 'check', '--data', data])
  expect(newer.exitCode).toBe(1)
  expect(newer.stderr).toContain('format 2, written by a newer version of Sluice; this one reads up to 1')
})

test('a configuration is printed with the origin of each value, as a file that says the same', async () => {
  const folder = newFolder()
  const file = join(folder, 'sluice.toml')
  writeFileSync(
    file,
    'data = "/srv/sluice"\nmessage_max = 1048576\n\n[[queue]]\nname = "a"\nretry_delay = { base = "1s" }\n',
  )
  const env = { SLUICE_HEARTBEAT: '30s' }
  const { exitCode, stdout } = await sluice(['server', 'check', '--config', file], env)
  expect(exitCode).toBe(0)
  expect(stdout).toMatch(new RegExp(`^data = "/srv/sluice" +# ${file}:1:1$`, 'm'))
  expect(stdout).toMatch(new RegExp(`^message_max = "1MiB" +# ${file}:2:1$`, 'm'))
  expect(stdout).toMatch(/^heartbeat = "30s" +# SLUICE_HEARTBEAT$/m)
  expect(stdout).toMatch(/^listen = "127.0.0.1:7420" +# default$/m)
  expect(stdout).toContain('retry_delay = { base = "1s" }')

  const again = join(folder, 'again.toml')
  writeFileSync(again, stdout)
  const second = await sluice(['server', 'check', '--config', again, '--json'])
  const settings = (text: string) =>
    (JSON.parse(text) as { settings: { key: string; value: unknown }[] }).settings.map(({ key, value }) => [key, value])
  const first = await sluice(['server', 'check', '--config', file, '--json'], env)
  expect(settings(second.stdout)).toEqual(settings(first.stdout))
})

test('all that is wrong with a configuration is told at once, where it can be: what is said of queues and certificates too', async () => {
  const folder = newFolder()
  const file = join(folder, 'sluice.toml')
  writeFileSync(
    file,
    `listen = "0.0.0.0:7420"\ntls_client_ca = "${folder}/none.pem"\n[[queue]]\nname = "a"\nlease = "tomorrow"\n`,
  )
  const contrary = await sluice(['server', 'check', '--config', file])
  expect(contrary).toMatchObject({ exitCode: 2, stderr: expect.stringContaining(`${file}:2:1: tls_client_ca`) })
  writeFileSync(file, 'listen = "0.0.0.0:7420"\n[[queue]]\nname = "a"\nlease = "tomorrow"\n')
  const { exitCode, stderr, stdout } = await sluice(['server', 'check', '--config', file])
  expect(exitCode).toBe(2)
  expect(stderr).toContain('0.0.0.0 can be reached from other machines')
  expect(stderr).toContain(`${file}:4:1: queue "a": lease: "tomorrow" is not a duration`)
  expect(stdout).toBe('')
})

test('one check at a time', async () => {
  expect(await sluice(['server', 'check', '--config', 'a', '--data', 'b'])).toMatchObject({ exitCode: 2 })
})
