import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { worker } from '@sluice/client'
import { expect, test } from 'vitest'
import { memoryJournal } from '../../src/journal/memory.ts'
import { silentLog } from '../../src/observe/log.ts'
import { Backups } from '../../src/upkeep/backup.ts'
import { clientOf, newFolder, serverOn, sluice } from './support.ts'

const RING = 50

/** A server with a little of everything, and a backup of it. */
async function backedUp(): Promise<{ readonly base: string; readonly backup: string; readonly url: string }> {
  const base = newFolder()
  const server = await serverOn(join(base, 'data'))
  const client = await clientOf(server)
  const sales = client.queue('sales')
  await sales.declare({})
  await sales.publishMany(Array.from({ length: 100 }, (_, n) => ({ n, pad: 'x'.repeat(500) })))
  const backup = join(base, 'backup')
  expect(await sluice(['server', 'backup', backup], { SLUICE_URL: server.url })).toMatchObject({ exitCode: 0 })
  return { base, backup, url: server.url }
}

test('R8: a backup taken under load is the data as after one commit, with all that was confirmed before it', {
  timeout: 60_000,
}, async () => {
  const base = newFolder()
  const server = await serverOn(join(base, 'data'))
  const client = await clientOf(server)
  const [left, right, day] = [client.queue('left'), client.queue('right'), client.queue('day')]
  for (const queue of [left, right]) await queue.declare({})
  await day.declare({ dedupeWindowMs: 3_600_000 })
  const done = await day.barrier({ name: 'released', body: { day: 1 } })
  await done.wait()
  await day.publish({ kept: true }, { messageId: 'once', dedupe: true })
  await day.barrier({ name: 'waiting', body: { day: 2 } })

  // What is acked is published again in the same commit: there are fifty at any moment, on ever other pages.
  const ring = client.queue<{ pad: string }>('ring')
  await ring.declare({})
  await ring.publishMany(Array.from({ length: RING }, () => ({ pad: 'o'.repeat(3_000) })))
  await client.queue('ballast').declare({})
  await client.queue('ballast').publishMany(Array.from({ length: 2_000 }, () => 'b'.repeat(8_000)))
  const turning = worker(ring, message => message.body, { concurrency: 25, output: ring, prefetch: RING })

  // Each pair is one commit: a copy of two moments would have more in one queue than in the other.
  let confirmed = 0
  let isOver = false
  const publisher = async (): Promise<void> => {
    while (!isOver) {
      const pad = 'x'.repeat(2_000)
      const body = { pad }
      await client.publishAtomic(Array.from({ length: 40 }, (_, n) => ({ queue: n % 2 === 0 ? left : right, body })))
      confirmed += 20
    }
  }
  const publishers = [publisher(), publisher(), publisher(), publisher()]
  const backups: { readonly folder: string; readonly before: number }[] = []
  for (let k = 0; k < 4; k += 1) {
    await expect.poll(() => confirmed, { timeout: 20_000 }).toBeGreaterThan((k + 1) * 400)
    const before = confirmed
    const folder = join(base, `backup-${k}`)
    expect(await sluice(['server', 'backup', folder], { SLUICE_URL: server.url })).toMatchObject({ exitCode: 0 })
    backups.push({ folder, before })
  }
  isOver = true
  await Promise.all(publishers)
  await turning.stop()

  for (const { folder, before } of backups) {
    const data = `${folder}-restored`
    const { exitCode, stdout, stderr } = await sluice(['server', 'restore', folder, '--data', data, '--json'])
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 })
    const { queues } = JSON.parse(stdout) as { queues: { queue: string; messages: number }[] }
    const count = (name: string) => queues.find(({ queue }) => queue === name)?.messages ?? Number.NaN
    expect(count('left')).toBe(count('right'))
    expect(count('ring')).toBe(RING)
    expect(count('left')).toBeGreaterThanOrEqual(before)
    expect(count('left')).toBeLessThanOrEqual(confirmed)
  }

  const last = await serverOn(`${backups.at(-1)?.folder}-restored`)
  const reader = await clientOf(last)
  expect((await reader.queue('left').show()).ready).toBe((await reader.queue('right').show()).ready)
  expect(await reader.queue('day').batch('released').show()).toMatchObject({ record: { outcome: 'clean' } })
  expect(await reader.queue('day').batch('waiting').show()).toMatchObject({ state: 'waiting' })
  expect(await reader.queue('day').publish({ again: true }, { messageId: 'once', dedupe: true })).toMatchObject({
    duplicate: true,
  })
  expect((await reader.queue('left').publish({ next: true })).sequence).toBeGreaterThan(backups.at(-1)?.before ?? 0)
})

test('what was settled in part and what came back are in a backup as they were', async () => {
  const base = newFolder()
  const server = await serverOn(join(base, 'data'))
  const client = await clientOf(server)
  const queue = client.queue<{ n: number }>('q')
  await queue.declare({})
  await queue.publishMany(Array.from({ length: 10 }, (_, n) => ({ n })))
  let seen = 0
  for await (const message of queue.consume({ prefetch: 10 })) {
    if (message.kind === 'barrier') break
    if (message.sequence % 2 === 0) await message.ack({ durable: true })
    else await message.nack({ delayMs: 3_600_000 })
    seen += 1
    if (seen === 10) break
  }
  await client.flush()
  await expect.poll(async () => (await queue.show()).delayed).toBe(5)
  await sluice(['server', 'backup', join(base, 'backup')], { SLUICE_URL: server.url })
  await sluice(['server', 'restore', join(base, 'backup'), '--data', join(base, 'restored')])
  const again = await clientOf(await serverOn(join(base, 'restored')))
  expect(await again.queue('q').show()).toMatchObject({ ready: 0, delayed: 5 })
})

test('tokens go with the data', async () => {
  const base = newFolder()
  const server = await serverOn(join(base, 'data'), { auth: 'tokens' })
  const secret = readFileSync(join(base, 'data', 'admin.token'), 'utf8').trim()
  const asked = { SLUICE_URL: server.url, SLUICE_TOKEN: secret }
  await sluice(['token', 'create', 'reader', '--allow', 'browse:*'], asked)
  expect(await sluice(['server', 'backup', join(base, 'backup')], asked)).toMatchObject({ exitCode: 0 })
  await sluice(['server', 'restore', join(base, 'backup'), '--data', join(base, 'restored')])
  const restored = await serverOn(join(base, 'restored'), { auth: 'tokens' })
  const { stdout } = await sluice(['token', 'list', '--json'], { SLUICE_URL: restored.url, SLUICE_TOKEN: secret })
  expect(stdout).toContain('"reader"')
  expect(existsSync(join(base, 'restored', 'admin.token'))).toBe(false)
  expect(statSync(join(base, 'restored', 'tokens.json')).mode & 0o777).toBe(0o600)
  expect(statSync(join(base, 'restored', 'data.mdb')).mode & 0o777).toBe(0o600)
})

test('a token that is not an administrator takes no backup', async () => {
  const base = newFolder()
  const server = await serverOn(join(base, 'data'), { auth: 'tokens' })
  const secret = readFileSync(join(base, 'data', 'admin.token'), 'utf8').trim()
  const { stdout } = await sluice(['token', 'create', 'some', '--allow', 'admin:sales', '--json'], {
    SLUICE_URL: server.url,
    SLUICE_TOKEN: secret,
  })
  const { secret: other } = JSON.parse(stdout) as { secret: string }
  const folder = join(base, 'backup')
  const refused = await sluice(['server', 'backup', folder], { SLUICE_URL: server.url, SLUICE_TOKEN: other })
  expect(refused).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('not-allowed') })
  expect(existsSync(folder)).toBe(false)
})

test('a server that asks nobody who he is writes backups only for its own machine', async () => {
  const data = newFolder()
  const backups = new Backups({
    data,
    journal: memoryJournal(),
    log: silentLog,
    version: '0',
    isOpen: true,
    now: () => 0,
  })
  const folder = join(data, 'backup')
  expect(await backups.take({ principal: undefined, address: '192.0.2.7' }, folder)).toMatchObject({
    code: 'not-allowed',
  })
  expect(await backups.take({ principal: undefined, address: '::ffff:192.0.2.7' }, folder)).toMatchObject({
    code: 'not-allowed',
  })
  expect(existsSync(folder)).toBe(false)
})

test('one backup at a time; a disk without room is told before anything is written', async () => {
  const data = newFolder()
  writeFileSync(join(data, 'data.mdb'), Buffer.alloc(4_096))
  let finish: (() => void) | undefined
  const journal = {
    ...memoryJournal(),
    copyTo: (file: string) =>
      new Promise<void>(resolve => {
        finish = () => {
          writeFileSync(file, 'copy')
          resolve()
        }
      }),
  }
  const terms = { data, journal, log: silentLog, version: '0', isOpen: true, now: () => 0 }
  const by = { principal: undefined, address: '127.0.0.1' }
  const backups = new Backups({ ...terms, freeMin: 1 })
  const first = backups.take(by, join(data, 'first'))
  expect(await backups.take(by, join(data, 'second'))).toMatchObject({ code: 'server-busy' })
  await expect.poll(() => finish).toBeDefined()
  finish?.()
  expect(await first).toMatchObject({ bytes: 4 })

  const full = await new Backups({ ...terms, freeMin: 2 ** 50 }).take(by, join(data, 'deep', 'third'))
  expect(full).toMatchObject({ code: 'folder-not-usable', detail: expect.stringContaining('choose another disk') })
  expect(existsSync(join(data, 'deep'))).toBe(false)
})

test('a folder that is relative, or not empty, and a server that keeps nothing are refused, each with what to do', async () => {
  const { base, backup, url } = await backedUp()
  const again = await sluice(['server', 'backup', backup], { SLUICE_URL: url })
  expect(again).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('is not empty') })
  const post = (at: string, folder: unknown) =>
    fetch(`${at}/v1/server/backup`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ folder }),
    })
  for (const folder of ['relative', 7, null, '/tmp/nul\0']) expect((await post(url, folder)).status).toBe(400)
  const memory = await serverOn('none', { memory: 'true' })
  expect(await (await post(memory.url, join(base, 'm'))).json()).toMatchObject({
    code: 'invalid-request',
    detail: expect.stringContaining('--memory'),
  })
})

test('a backup that is not whole is not restored, and leaves no data behind', async () => {
  const { base, backup } = await backedUp()
  const cases: readonly (readonly [string, (folder: string) => void, number, string])[] = [
    [
      'no manifest',
      folder => writeFileSync(join(folder, 'backup.json.old'), ''),
      3,
      'backup.json, which is written last',
    ],
    ['not JSON', folder => writeFileSync(join(folder, 'backup.json'), '{'), 1, 'not JSON'],
    ['a newer version', folder => replace(folder, '"version": 1', '"version": 2'), 4, 'this one reads up to 1'],
    ['a name that leads away', folder => replace(folder, 'data.mdb', '../x'), 1, 'does not say'],
    ['one byte turned', flipByte, 1, 'is not as it was'],
    [
      'cut short',
      folder => writeFileSync(join(folder, 'data.mdb'), readFileSync(join(folder, 'data.mdb')).subarray(0, -1)),
      1,
      'is not as it was',
    ],
  ]
  for (const [name, spoil, exitCode, words] of cases) {
    const folder = join(base, name.replaceAll(' ', '-'))
    mkdirSync(folder)
    for (const file of readdirSync(backup))
      if (name !== 'no manifest' || file !== 'backup.json') copyFileSync(join(backup, file), join(folder, file))
    spoil(folder)
    const data = `${folder}-data`
    const answer = await sluice(['server', 'restore', folder, '--data', data])
    expect({ name, ...answer }).toMatchObject({ name, exitCode, stderr: expect.stringContaining(words) })
    expect(existsSync(join(data, 'data.mdb'))).toBe(false)
    expect(existsSync(data) ? readdirSync(data).filter(file => file.includes('restoring')) : []).toEqual([])
  }
})

function replace(folder: string, from: string, to: string): void {
  const file = join(folder, 'backup.json')
  writeFileSync(file, readFileSync(file, 'utf8').replace(from, to))
}

function flipByte(folder: string): void {
  const file = join(folder, 'data.mdb')
  const bytes = readFileSync(file)
  const at = bytes.length >> 1
  bytes[at] = (bytes[at] ?? 0) ^ 1
  writeFileSync(file, bytes)
}

test('nothing is restored over a server that runs, nor over anything else', async () => {
  const { base, backup } = await backedUp()
  const inUse = await sluice(['server', 'restore', backup, '--data', join(base, 'data')])
  expect(inUse).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('in use by another server') })
  const other = join(base, 'other')
  mkdirSync(other)
  writeFileSync(join(other, 'mine'), 'mine')
  const notEmpty = await sluice(['server', 'restore', backup, '--data', other])
  expect(notEmpty).toMatchObject({ exitCode: 4, stderr: expect.stringContaining(`mv ${other} ${other}.old`) })
  expect(readFileSync(join(other, 'mine'), 'utf8')).toBe('mine')
})

test('what is restored is as small as it can be', async () => {
  const base = newFolder()
  const server = await serverOn(join(base, 'data'))
  const client = await clientOf(server)
  const queue = client.queue('q')
  await queue.declare({})
  await queue.publishMany(Array.from({ length: 500 }, () => 'x'.repeat(10_000)))
  await sluice(['queue', 'purge', 'q', '--yes'], { SLUICE_URL: server.url })
  await sluice(['server', 'backup', join(base, 'backup')], { SLUICE_URL: server.url })
  await sluice(['server', 'restore', join(base, 'backup'), '--data', join(base, 'restored')])
  expect(statSync(join(base, 'backup', 'data.mdb')).size).toBeGreaterThan(4_000_000)
  expect(statSync(join(base, 'restored', 'data.mdb')).size).toBeLessThan(200_000)
})
