import { Agent, request } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import type { Doorkeeper, Outbox, Peer, PeerIdentity, Principal } from '../../src/engine/peer.ts'
import { createHttpServer, type HttpOptions } from '../../src/listeners/http/listener.ts'
import { askingServer } from '../access/support.ts'
import { FakeEngine } from './http-support.ts'

/*
 * Who asks: tokens over HTTP, and how many principals one socket can carry.
 */

test('a token is made, listed, used and revoked', async () => {
  const server = await askingServer()
  const as = { token: server.admin }
  const grants = [{ queue: 'orders.*', rights: ['browse', 'publish', 'publish'] }]
  const made = await server.call('POST', '/v1/tokens', { ...as, body: { name: 'a/b c', grants, expires: '1h' } })
  expect(made.status).toBe(201)
  expect(made.json).toEqual({
    name: 'a/b c',
    grants: [{ queue: 'orders.*', rights: ['publish', 'browse'] }],
    created_at: expect.any(String),
    expires_at: expect.any(String),
    has_secret: true,
    secret: expect.stringMatching(/^slc_/),
  })
  const { secret, ...shown } = made.json
  const listed = await server.call('GET', '/v1/tokens', as)
  expect(listed.json['tokens']).toContainEqual(shown)
  expect((await server.call('GET', '/v1/queues', { token: secret as string })).status).toBe(200)
  expect((await server.call('DELETE', `/v1/tokens/${encodeURIComponent('a/b c')}`, as)).status).toBe(204)
  expect((await server.call('GET', '/v1/queues', { token: secret as string })).status).toBe(401)
})

test('attack 23: a token has a quota of stored bytes, in bytes or with a unit, and shows how much of it is used', async () => {
  const server = await askingServer()
  const grants = [{ queue: 'q', rights: ['publish'] }]
  const create = async (name: string, stored_bytes_max: unknown) =>
    await server.call('POST', '/v1/tokens', { token: server.admin, body: { name, grants, stored_bytes_max } })
  expect((await create('a', '10GiB')).json).toMatchObject({ stored_bytes_max: 10 * 2 ** 30, stored_bytes: 0 })
  expect((await create('b', 1)).json).toMatchObject({ stored_bytes_max: 1, stored_bytes: 0 })
  expect(await create('c', '10GB')).toMatchObject({ status: 400, json: { code: 'invalid-request' } })
  for (const wrong of [0, '0', '1024TiB1', -1, 1.5, 2 ** 50 + 1, true, {}])
    expect((await create('c', wrong)).status, String(wrong)).toBe(400)
  const { json } = await server.call('GET', '/v1/tokens', { token: server.admin })
  expect((json['tokens'] as object[])[0]).not.toHaveProperty('stored_bytes')
})

test('what is no token is refused with a code and what is wrong', async () => {
  const server = await askingServer()
  const create = async (body: object) => {
    const { status, json } = await server.call('POST', '/v1/tokens', { token: server.admin, body })
    return [status, json.code]
  }
  const grants = [{ queue: 'q', rights: ['publish'] }]
  expect(await create({ grants })).toEqual([400, 'invalid-token'])
  expect(await create({ name: 'x' })).toEqual([400, 'invalid-token'])
  expect(await create({ name: 'x', grants: [{ queue: 'q', rights: ['root'] }] })).toEqual([400, 'invalid-token'])
  expect(await create({ name: 'x', grants, expires: 'soon' })).toEqual([400, 'invalid-request'])
  expect(await create({ name: 'x', grants, expiry: '1h' })).toEqual([400, 'invalid-request'])
  expect(await create({ name: 'admin', grants })).toEqual([409, 'token-exists'])
  expect((await server.call('DELETE', '/v1/tokens/x', { token: server.admin })).json.code).toBe('no-such-token')
  expect((await server.call('GET', '/v1/tokens', { token: server.admin })).json['tokens']).toHaveLength(1)
})

test('on a server that asks nobody, tokens can be made before it does', async () => {
  const server = await askingServer({ config: { auth: 'none' } })
  const grants = [{ queue: '*', rights: ['admin'] }]
  expect((await server.call('POST', '/v1/tokens', { body: { name: 'ops', grants } })).status).toBe(201)
  expect((await server.call('GET', '/v1/tokens')).json['tokens']).toMatchObject([{ name: 'ops' }])
})

class CountingEngine extends FakeEngine {
  readonly identities: PeerIdentity[] = []
  override attach(identity: PeerIdentity, outbox: Outbox): Peer {
    this.identities.push(identity)
    return super.attach(identity, outbox)
  }
}

async function listening(options: Partial<HttpOptions>) {
  const engine = new CountingEngine()
  const listener = createHttpServer(engine, { version: '1', onBug: error => expect.fail(String(error)), ...options })
  const url = await listener.listen({ host: '127.0.0.1', port: 0 })
  onTestFinished(() => listener.close())
  // One socket for all that follow one another.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  onTestFinished(() => agent.destroy())
  const get = (authorization?: string) =>
    new Promise<number>((resolve, reject) => {
      const headers = authorization === undefined ? {} : { authorization }
      request(`${url}/v1/queues`, { agent, headers }, answer => {
        answer.resume().on('end', () => resolve(answer.statusCode ?? 0))
      })
        .on('error', reject)
        .end()
    })
  return { engine, get }
}

const someone = (name: string): Principal => ({ name, isAdmin: false, may: () => ({}) })

test('a socket carries requests of many principals, each with a peer of its own, and those that rest longest go', async () => {
  const known = new Map<string, Principal>()
  const doorkeeper: Doorkeeper = {
    login({ secret = '' }) {
      const principal = known.get(secret) ?? someone(secret)
      known.set(secret, principal)
      return principal
    },
  }
  const { engine, get } = await listening({ doorkeeper })
  for (let k = 0; k < 40; k += 1) expect(await get(`Bearer t${k}`)).toBe(200)
  expect(await get('Bearer t39')).toBe(200)
  expect(engine.identities.map(({ principal }) => principal?.name)).toEqual(
    Array.from({ length: 40 }, (_, k) => `t${k}`),
  )
  expect(engine.peersClosed).toBeGreaterThanOrEqual(24)
  expect(engine.peersClosed).toBeLessThan(40)
})

test('a client certificate says who it is, unless another way is tried: that one then counts', async () => {
  const logins: unknown[] = []
  const doorkeeper: Doorkeeper = {
    login(login) {
      logins.push(login)
      return login.secret === undefined && login.certificate === 'host-7'
        ? someone('host-7')
        : { code: 'unauthenticated', detail: 'a valid token is needed' }
    },
  }
  const { engine, get } = await listening({ doorkeeper, certificateOf: () => 'host-7' })
  expect(await get()).toBe(200)
  expect(await get('Bearer wrong')).toBe(401)
  expect(await get('Basic eDp5')).toBe(401)
  expect(logins[0]).toMatchObject({ secret: undefined, certificate: 'host-7', address: '127.0.0.1', via: 'http' })
  expect(engine.identities.map(({ principal }) => principal?.name)).toEqual(['host-7'])
})
