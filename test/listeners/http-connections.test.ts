import { Agent } from 'node:http'
import { connect } from '@sluice/client'
import { expect, onTestFinished, test } from 'vitest'
import type { AuditEntry, Principal } from '../../src/engine/principal.ts'
import type { HttpOptions } from '../../src/listeners/http/listener.ts'
import { attachNative } from '../../src/listeners/native/listener.ts'
import { type Http, openEngine, startHttp, until } from './http-support.ts'

/*
 * Who is connected, by HTTP and natively, and what an operator can do about it.
 */

interface Started extends Http {
  readonly audited: AuditEntry[]
}

async function startBoth(options: Partial<HttpOptions> = {}): Promise<Started> {
  const audited: AuditEntry[] = []
  const onAudit = (entry: AuditEntry): number => audited.push(entry)
  const engine = await openEngine({ messageMax: 1024 * 1024, autoCreate: true, onAudit })
  const http = await startHttp(engine, options)
  const native = attachNative(http.listener.server, engine)
  onTestFinished(() => native.close())
  return { ...http, audited }
}

/** Calls over one kept-alive connection. */
function agent(): Agent {
  const kept = new Agent({ keepAlive: true, maxSockets: 1 })
  onTestFinished(() => kept.destroy())
  return kept
}

test('native and HTTP connections are listed with name, address, subscriptions, credit used and bytes buffered', async () => {
  const http = await startBoth()
  await using client = await connect(`ws://127.0.0.1:${http.port}`, { name: 'worker-7' })
  const queue = client.queue('Q')
  await queue.publish('a')
  await queue.publish('b')
  const messages = queue.consume({ prefetch: 10 })
  const first = await messages.next()
  const { json } = await http.call('GET', '/v1/connections')
  expect(json.connections).toEqual([
    {
      id: expect.any(Number),
      name: 'worker-7',
      protocol: 'native',
      address: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      since: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      subscriptions: 1,
      pulls: 0,
      credit_used: 2,
      buffered_bytes: 0,
    },
    expect.objectContaining({ protocol: 'http', subscriptions: 0, pulls: 0, credit_used: 0 }),
  ])
  expect(first.done).toBe(false)
})

test('a pull that waits is seen, and cutting its connection ends it', async () => {
  const http = await startBoth()
  await http.call('PUT', '/v1/queues/Q')
  const pull = http.call('POST', '/v1/queues/Q/deliveries?wait=60s').then(
    () => 'answered',
    () => 'cut',
  )
  let id = 0
  while (id === 0) {
    const { json } = await http.call('GET', '/v1/connections')
    id = json.connections.find((each: { pulls: number }) => each.pulls === 1)?.id ?? 0
  }
  expect((await http.call('DELETE', `/v1/connections/${id}`)).status).toBe(204)
  expect(await pull).toBe('cut')
  expect((await http.call('DELETE', `/v1/connections/${id}`)).json.code).toBe('no-such-connection')
  expect(http.audited).toContainEqual(expect.objectContaining({ act: 'disconnect' }))
})

test('D6: what a connection held that is cut is ready at once, and an SDK client comes back by itself', async () => {
  const http = await startBoth()
  await using client = await connect(`ws://127.0.0.1:${http.port}`, { name: 'stuck' })
  const queue = client.queue('Q')
  await queue.publish('a')
  const messages = queue.consume({ prefetch: 1 })
  await messages.next()
  const stuck = async () => {
    const { json } = await http.call('GET', '/v1/connections')
    return json.connections.find(({ name }: { name: string }) => name === 'stuck')?.id
  }
  const before = await stuck()
  expect((await http.call('DELETE', `/v1/connections/${before}`)).status).toBe(204)
  let after: number | undefined
  while (after === undefined || after === before) after = await stuck()
  await queue.publish('b')
  expect((await http.call('GET', '/v1/queues/Q')).json).toMatchObject({ published_total: 2 })
})

test('who cuts his own connection gets the answer first', async () => {
  const http = await startBoth()
  const kept = agent()
  const { json } = await http.call('GET', '/v1/connections', { agent: kept })
  const [{ id }] = json.connections
  const answer = await http.call('DELETE', `/v1/connections/${id}`, { agent: kept })
  expect(answer).toMatchObject({ status: 204, headers: { connection: 'close' } })
  await until(() => Object.keys(kept.sockets).length === 0 && Object.keys(kept.freeSockets).length === 0)
})

test('connections are for those who may administer the whole server', async () => {
  const holder = (name: string, isAdmin: boolean): Principal => ({ name, isAdmin, may: () => ({}) })
  const holders = [holder('admin', true), holder('some', false)]
  const http = await startBoth({
    doorkeeper: {
      login: ({ secret }) => holders.find(({ name }) => name === secret) ?? { code: 'unauthenticated', detail: 'who?' },
    },
  })
  const as = (name: string) => ({ headers: { authorization: `Bearer ${name}` } })
  expect((await http.call('GET', '/v1/connections', as('some'))).status).toBe(403)
  expect((await http.call('DELETE', '/v1/connections/1', as('some'))).status).toBe(403)
  const { json } = await http.call('GET', '/v1/connections', as('admin'))
  expect(json.connections.map(({ principal }: { principal: string }) => principal)).toContain('admin')
})

test('a connection has a number', async () => {
  const http = await startBoth()
  for (const id of ['0', '-1', 'x', '1.5', '99999999999999999'])
    expect((await http.call('DELETE', `/v1/connections/${id}`)).status).toBe(400)
  expect((await http.call('DELETE', '/v1/connections/123456')).status).toBe(404)
})
