import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { jsonLog } from '../../src/observe/log.ts'
import { type RunningServer, startServer } from '../../src/server.ts'
import { startServer as startChild } from '../clients/cli-support.ts'
import { TestCa } from '../support/certificates.ts'
import { isSigned, KEY, Receiver, SECRET, until } from './support.ts'

/*
 * A whole server from a configuration file, on disk.
 */

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-webhooks-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

interface Started {
  readonly server: RunningServer
  readonly log: string[]
  call(method: string, path: string, body?: string): Promise<Response>
}

async function start(folder: string, url: URL, settings = ''): Promise<Started> {
  const file = join(folder, 'sluice.toml')
  writeFileSync(join(folder, 'hook.key'), `${SECRET}\n`)
  writeFileSync(
    file,
    `data = "${folder}/data"\nlisten = "127.0.0.1:0"\ndisk_free_min = "1MiB"\ndrain = "0s"
${settings}
[[queue]]\nname = "nightly"\nannounce = "alerts"
[[queue]]\nname = "alerts"\nretry_delay = "100ms"
[[webhook]]\nqueue = "alerts"\nurl = "${url.href}"\nsecret_file = "${folder}/hook.key"\n`,
  )
  const log: string[] = []
  const server = await startServer(loadConfig({ file }).config, { log: jsonLog(line => log.push(line)) })
  onTestFinished(() => server.close().catch(() => {}))
  const headers = { 'content-type': 'application/json' }
  const call = (method: string, path: string, body?: string) =>
    fetch(`${server.url}/v1/queues/${path}`, { method, headers, ...(body === undefined ? {} : { body }) })
  return { server, log, call }
}

test('B20: a batch with its barrier: the receiver gets one record, signed, and what HTTP shows of it', async () => {
  const receiver = await Receiver.start(204)
  const { server, call, log } = await start(newFolder(), receiver.url)
  for (const body of ['{"store":1}', '{"store":2}']) await call('POST', 'nightly/messages', body)
  await call('POST', 'nightly/barriers?name=eof', '{"is_eof":1}')
  await call('POST', 'nightly/deliveries?max=10&ack=auto')
  const shown = (await (await call('GET', 'nightly/barriers/eof?wait=10s')).json()) as object
  const [request] = await receiver.gets(1)
  expect(isSigned(request!, KEY)).toBe(true)
  expect(request?.headers).toMatchObject({
    'content-type': 'application/json',
    'webhook-id': expect.stringMatching(/^barrier_[a-z0-9]+-\d+-3$/),
    'sluice-queue': 'alerts',
  })
  expect(JSON.parse(request?.body ?? '')).toEqual({ queue: 'nightly', ...shown })
  expect(shown).toMatchObject({ outcome: 'clean', stats: { published: 2, acked: 2 } })
  const metrics = async () => (await fetch(`${server.url}/metrics`)).text()
  while (!(await metrics()).includes('sluice_webhook_delivered_total{queue="alerts"} 1\n'))
    expect(receiver.received).toHaveLength(1)
  expect(await metrics()).toContain('sluice_webhook_failed_total{queue="alerts",reason="rejected"} 0\n')
  expect(log.join('')).not.toContain('webhook-failed')
  const { connections } = (await (await fetch(`${server.url}/v1/connections`)).json()) as { connections: object[] }
  expect(connections).toContainEqual(
    expect.objectContaining({ protocol: 'webhook', name: `webhook to ${receiver.url.origin}`, principal: 'webhook' }),
  )
})

test('a server that stops in the middle goes on after its start with the same id: at least once', async () => {
  const receiver = await Receiver.start(() => {}, 500, 204)
  const folder = newFolder()
  const first = await start(folder, receiver.url)
  await first.call('POST', 'nightly/barriers?name=eof', '')
  await receiver.gets(1)
  await first.server.drain()
  await first.server.close()
  const second = await start(folder, receiver.url)
  await until(() => receiver.received.length === 3)
  const { received } = receiver
  expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
  // The stop was no attempt.
  expect(received.map(({ headers }) => headers['sluice-attempt'])).toEqual(['1', '1', '2'])
  expect(received.every(request => isSigned(request))).toBe(true)
  await until(() => second.log.some(line => line.includes('webhook-failed')))
})

test('neither key nor path nor body is in the log', async () => {
  const receiver = await Receiver.start(500, 400)
  const { log, call } = await start(newFolder(), receiver.url)
  await call('POST', 'nightly/barriers?name=confidential', 'confidential')
  await call('GET', 'nightly/barriers/confidential?wait=10s')
  await receiver.gets(2)
  await until(() => log.some(line => line.includes('webhook-failed')))
  const failed = JSON.parse(log.find(line => line.includes('webhook-failed')) ?? '{}')
  expect(failed).toMatchObject({ level: 'warn', queue: 'alerts', reason: 'status', status: 500, attempt: 1 })
  for (const secret of [SECRET, SECRET.slice(6), KEY.toString(), 'team=7', '/hook?', 'confidential'])
    expect(log.join(''), secret).not.toContain(secret)
})

test('no request names an address to call', async () => {
  const receiver = await Receiver.start(204)
  const { server, call } = await start(newFolder(), receiver.url)
  for (const option of ['url', 'webhook', 'announce_url'])
    expect((await call('PUT', 'other', JSON.stringify({ [option]: receiver.url.href }))).status).toBe(400)
  // The name of a queue, whatever it looks like.
  expect((await call('PUT', 'other', JSON.stringify({ announce: receiver.url.href }))).status).toBe(201)
  await call('POST', 'other/barriers?name=eof', '')
  await call('GET', 'other/barriers/eof?wait=10s')
  await server.close()
  expect(receiver.received).toEqual([])
})

test('where tokens are asked for the webhook needs none', async () => {
  const receiver = await Receiver.start(204)
  const folder = newFolder()
  const { server } = await start(folder, receiver.url, 'auth = "tokens"')
  const url = `${server.url}/v1/queues/nightly/barriers?name=eof`
  expect((await fetch(url, { method: 'POST' })).status).toBe(401)
  const authorization = `Bearer ${readFileSync(join(folder, 'data', 'admin.token'), 'utf8').trim()}`
  expect((await fetch(url, { method: 'POST', headers: { authorization } })).status).toBe(201)
  await receiver.gets(1)
})

test('a receiver with a certificate of an own authority is called with NODE_EXTRA_CA_CERTS', async () => {
  const ca = new TestCa()
  const receiver = await Receiver.startTls(ca.issue(), 204)
  const folder = newFolder()
  writeFileSync(join(folder, 'ca.pem'), ca.cert)
  const config = join(folder, 'sluice.toml')
  writeFileSync(config, `[[webhook]]\nqueue = "alerts"\nurl = "${receiver.url.href}"\nsecret = "${SECRET}"`)
  vi.stubEnv('NODE_EXTRA_CA_CERTS', join(folder, 'ca.pem'))
  onTestFinished(() => void vi.unstubAllEnvs())
  await using server = await startChild({ config })
  expect((await server.run(['publish', 'alerts', 'hello'])).exitCode).toBe(0)
  const [request] = await receiver.gets(1)
  expect([request?.body, isSigned(request!)]).toEqual(['hello', true])
})
