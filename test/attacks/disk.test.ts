import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startServer } from '../clients/cli-support.ts'
import { ask, Native, startVictim, type Victim } from './support.ts'

const JSON_TYPE = { 'content-type': 'application/json' }

const declare = (victim: Victim, queue: string, options: object = {}) =>
  ask(victim, 'PUT', `/v1/queues/${queue}`, { headers: JSON_TYPE, body: JSON.stringify(options) })

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'sluice-disk-'))
  onTestFinished(() => rmSync(made, { recursive: true, force: true }))
  return made
}

describe('a publisher that would fill the disk', () => {
  test('attack 23: meets the bytes and messages of its queue, and of the queue of its dead letters', async () => {
    const victim = await startVictim()
    await declare(victim, 'dead', { bytes_max: '1KiB', overflow: 'drop-oldest' })
    await declare(victim, 'q', { bytes_max: '4KiB', dead_letter: 'dead', deliveries_max: 1 })
    await declare(victim, 'few', { messages_max: 3 })
    const statuses = []
    for (let i = 0; i < 6; i++) {
      statuses.push((await ask(victim, 'POST', '/v1/queues/q/messages', { body: Buffer.alloc(1_000) })).status)
    }
    expect(statuses).toEqual([201, 201, 201, 201, 429, 429])
    for (let i = 0; i < 3; i++) expect((await ask(victim, 'POST', '/v1/queues/few/messages')).status).toBe(201)
    expect(await ask(victim, 'POST', '/v1/queues/few/messages')).toMatchObject({
      status: 429,
      json: { code: 'queue-full' },
    })
    const { json } = await ask(victim, 'POST', '/v1/queues/q/deliveries?max=4')
    const deliveries = json.deliveries.map((each: { sequence: number; lease_token: string }) => ({
      sequence: each.sequence,
      lease_token: each.lease_token,
    }))
    const rejected = await ask(victim, 'POST', '/v1/queues/q/rejects', {
      headers: JSON_TYPE,
      body: JSON.stringify({ deliveries }),
    })
    expect(rejected.status).toBe(200)
    expect((await ask(victim, 'GET', '/v1/queues/dead')).json.ready).toBeLessThanOrEqual(1)
  })

  test('attack 23: finds so many queues and no more, however it asks for them', async () => {
    const victim = await startVictim({ queuesMax: 4, autoCreate: true })
    expect((await declare(victim, 'a', { dead_letter: 'a.dead' })).status).toBe(201)
    // Three and four, and a fifth that is only named.
    expect((await declare(victim, 'b', { forward_barrier: ['c', 'd'] })).json).toMatchObject({
      code: 'too-many-queues',
      limit: 'queues_max',
      queues_max: 4,
    })
    expect((await declare(victim, 'b')).status).toBe(201)
    const patched = await ask(victim, 'PATCH', '/v1/queues/b', {
      headers: JSON_TYPE,
      body: JSON.stringify({ forward_barrier: ['c', 'd'] }),
    })
    expect(patched).toMatchObject({ status: 429, json: { code: 'too-many-queues' } })
    expect((await ask(victim, 'POST', '/v1/queues/c/messages', { body: 'x' })).status).toBe(201)
    expect((await declare(victim, 'd')).status).toBe(429)
    expect(await ask(victim, 'POST', '/v1/queues/d/messages', { body: 'x' })).toMatchObject({
      status: 404,
      json: { code: 'no-such-queue', limit: 'queues_max' },
    })
    const barrier = await ask(victim, 'POST', '/v1/queues/b/barriers?name=eof&forward=d')
    expect(barrier).toMatchObject({ status: 429, json: { code: 'too-many-queues' } })
    const native = await Native.welcomed(victim.url)
    native.send('request', { id: 1, method: 'declare', params: { name: 'd', options: {} } })
    expect(await native.next('response')).toMatchObject({ refusal: { code: 'too-many-queues' } })
    // What is there is declared again, changed and used as before; a deleted one makes room.
    expect((await declare(victim, 'b')).status).toBe(200)
    expect((await ask(victim, 'POST', '/v1/queues/b/barriers?name=eof&forward=c')).status).toBe(201)
    expect((await ask(victim, 'DELETE', '/v1/queues/c')).status).toBe(204)
    expect((await declare(victim, 'd')).status).toBe(201)
  })

  test('attack 23: does not make the memory of message ids grow without end', async () => {
    const victim = await startVictim()
    await declare(victim, 'q', { dedupe_window: '1h', dedupe_max: 10, messages_max: 1, overflow: 'drop-oldest' })
    const publish = (id: number) =>
      ask(victim, 'POST', '/v1/queues/q/messages', { headers: { 'idempotency-key': `id-${id}` }, body: 'x' })
    const statuses = []
    for (let id = 0; id < 12; id++) statuses.push((await publish(id)).status)
    expect(statuses).toEqual([...Array.from({ length: 10 }, () => 201), 503, 503])
    // Nothing that was promised to be known is forgotten for it.
    expect((await publish(0)).json).toMatchObject({ duplicate: true })
  })

  test('attack 23: stops in time for the acks, which need room too', async () => {
    const data = join(folder(), 'data')
    // More than any disk has: it is full from the start.
    const victim = await startVictim({ memory: false, data, diskFreeMin: 2 ** 50 })
    await declare(victim, 'q')
    const refused = await ask(victim, 'POST', '/v1/queues/q/messages', { body: 'x' })
    expect(refused).toMatchObject({ status: 503, json: { code: 'server-busy' } })
    expect(refused.headers['retry-after']).toBeDefined()
    expect((await ask(victim, 'GET', '/v1/queues/q')).status).toBe(200)
  }, 20_000)
})

describe('the data folder', () => {
  test('attack 24: and what is in it are for the user of the server alone', async () => {
    await using server = await startServer({ durable: true })
    await server.run(['queue', 'declare', 'q'])
    await server.run(['publish', 'q', '1'])
    const data = server.folder ?? ''
    expect(statSync(data).mode & 0o077).toBe(0)
    const files = readdirSync(data)
    expect(files.length).toBeGreaterThan(0)
    for (const file of files) expect(statSync(join(data, file)).mode & 0o077, file).toBe(0)
  })

  test('attack 24: that everybody may write is told of', async () => {
    const data = join(folder(), 'open')
    const umask = process.umask(0)
    mkdirSync(data, { mode: 0o777 })
    process.umask(umask)
    const victim = await startVictim({ memory: false, data })
    expect(victim.logged).toContainEqual({ event: 'data-folder-writable-by-all', facts: { data } })
    const tight = await startVictim({ memory: false, data: join(folder(), 'new') })
    expect(tight.logged.map(({ event }) => event)).not.toContain('data-folder-writable-by-all')
  })

  test('attack 24: with a link in it is refused: the server would write where the link leads', async () => {
    const outside = join(folder(), 'target')
    writeFileSync(outside, 'mine')
    const data = join(folder(), 'data')
    mkdirSync(data, { mode: 0o700 })
    symlinkSync(outside, join(data, 'data.mdb'))
    await expect(startVictim({ memory: false, data })).rejects.toMatchObject({ code: 'unusable-folder' })
    expect(statSync(outside).size).toBe(4)
    unlinkSync(join(data, 'data.mdb'))
    await startVictim({ memory: false, data })
  })

  test('attack 24: that another server has is refused; a lock that nobody holds locks nobody out', async () => {
    const data = join(folder(), 'data')
    mkdirSync(data, { mode: 0o700 })
    writeFileSync(join(data, 'lock-7'), 'planted')
    const first = await startVictim({ memory: false, data })
    await expect(startVictim({ memory: false, data })).rejects.toMatchObject({ code: 'locked' })
    expect((await ask(first, 'GET', '/livez')).status).toBe(200)
  })
})
