import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { type AskingServer, askingServer, temporaryFolder } from '../access/support.ts'

const ALL = [{ queue: '*', rights: ['publish', 'consume', 'barrier', 'browse', 'admin'] }]
const NDJSON = { 'content-type': 'application/x-ndjson' }
/** What a body of 764 bytes counts: its record has 4 more, and 256 are for what is kept beside it. */
const KIB = 1_024
const BODY = 'x'.repeat(764)
/** Over HTTP the content type comes with it, in 30 bytes. */
const TEXT = 'x'.repeat(734)

async function withToken(storedBytesMax: number | string, folder?: string) {
  const server = await askingServer(folder === undefined ? {} : { folder })
  const token = await server.token('loader', ALL, { stored_bytes_max: storedBytesMax })
  for (const queue of ['q', 'r']) await server.call('PUT', `/v1/queues/${queue}`, { token: server.admin, body: {} })
  return { server, token }
}

/** What `loader` has stored, as its operator sees it. */
async function stored({ call, admin }: AskingServer): Promise<unknown> {
  const { json } = await call('GET', '/v1/tokens', { token: admin })
  const tokens = json['tokens'] as { name: string; stored_bytes?: number }[]
  return tokens.find(({ name }) => name === 'loader')?.stored_bytes
}

async function pulled({ call }: AskingServer, token: string, max: number): Promise<object[]> {
  const { json } = await call('POST', `/v1/queues/q/deliveries?max=${max}`, { token })
  const deliveries = json['deliveries'] as { sequence: number; lease_token: string }[]
  return deliveries.map(({ sequence, lease_token }) => ({ sequence, lease_token }))
}

describe('a token with stored_bytes_max', () => {
  test('attack 23: over HTTP is refused beyond it, by each way to publish, and nothing more is stored', async () => {
    const { server, token } = await withToken('4KiB')
    const { call } = server
    const post = (queue: string, body: string, more: { query?: string; headers?: Record<string, string> } = {}) =>
      call('POST', `/v1/queues/${queue}/messages${more.query ?? ''}`, { token, body, headers: more.headers ?? {} })
    expect((await post('q', TEXT)).status).toBe(201)
    expect((await post('r', TEXT)).status).toBe(201)
    const lines = Array.from({ length: 3 }, () => JSON.stringify('x'.repeat(762))).join('\n')
    const some = await post('q', lines, { headers: NDJSON })
    expect(some).toMatchObject({
      status: 422,
      json: { code: 'lines-refused', accepted: 2, refused: [{ line: 3, code: 'queue-full' }] },
    })
    const one = await post('r', TEXT)
    expect(one).toMatchObject({
      status: 429,
      json: { code: 'queue-full', limit: 'stored_bytes_max', stored_bytes_max: 4 * KIB, stored_bytes: 4 * KIB },
    })
    expect(one.headers.get('retry-after')).toBe('1')
    for (const query of ['?confirm=accepted', '?atomic=true'])
      expect((await post('r', '"small"', { query, headers: NDJSON })).status, query).toBeGreaterThan(400)
    const packed = await fetch(new URL('/v1/queues/q/messages', server.url), {
      method: 'POST',
      headers: { ...NDJSON, authorization: `Bearer ${token}`, 'content-encoding': 'gzip' },
      body: gzipSync('"small"\n'),
    })
    expect(packed.status).toBe(422)
    expect(await stored(server)).toBe(4 * KIB)
    // Whoever has no quota is not concerned, and does not count.
    expect((await call('POST', '/v1/queues/q/messages', { token: server.admin, body: TEXT })).status).toBe(201)
    expect(await stored(server)).toBe(4 * KIB)
  })

  test('attack 23: over HTTP gets room back by acks, and an ack that carries too much is refused with what it carries', async () => {
    const { server, token } = await withToken(2 * KIB)
    const { call } = server
    const publish = () => call('POST', '/v1/queues/q/messages', { token, body: TEXT })
    expect([(await publish()).status, (await publish()).status, (await publish()).status]).toEqual([201, 201, 429])
    const deliveries = await pulled(server, token, 2)
    const ack = (count: number) =>
      call('POST', '/v1/queues/q/acks', {
        token,
        body: {
          deliveries: deliveries.slice(0, 1),
          publish: Array.from({ length: count }, () => ({ queue: 'r', body: BODY })),
        },
      })
    expect(await ack(2)).toMatchObject({ status: 429, json: { code: 'queue-full', limit: 'stored_bytes_max' } })
    expect((await call('GET', '/v1/queues/q', { token })).json).toMatchObject({ leased: 2 })
    expect((await ack(1)).status).toBe(200)
    expect(await stored(server)).toBe(2 * KIB)
    await call('POST', '/v1/queues/q/acks', { token, body: { deliveries: deliveries.slice(1) } })
    expect(await stored(server)).toBe(KIB)
    expect((await publish()).status).toBe(201)
  })

  test('attack 23: over the native protocol is refused beyond it, by each way to publish', async () => {
    const { server, token } = await withToken(6 * KIB)
    const client = await server.client(token)
    const q = client.queue<string>('q', { codec: 'text' })
    const r = client.queue<string>('r', { codec: 'text' })
    await q.publish(BODY)
    await r.publish(BODY, { confirm: 'accepted' })
    const code = { code: 'queue-full', retryable: true }
    await expect(
      client.publishAtomic([
        { queue: q, body: BODY.repeat(3) },
        { queue: r, body: BODY.repeat(3) },
      ]),
    ).rejects.toMatchObject(code)
    await expect(q.publishMany([BODY, BODY, BODY, BODY.repeat(2), BODY])).rejects.toMatchObject(code)
    expect(await stored(server)).toBe(6 * KIB)
    await expect(q.publish('')).rejects.toMatchObject(code)
    await expect(r.publish('', { confirm: 'accepted' })).rejects.toMatchObject(code)
    const taking = q.consume({ prefetch: 1, barriers: false })[Symbol.asyncIterator]()
    const taken = (await taking.next()).value!
    await expect(taken.ack({ publish: [{ queue: r, body: BODY.repeat(2) }] })).rejects.toMatchObject(code)
    await taken.ack({ durable: true })
    expect(await stored(server)).toBe(5 * KIB)
    await r.publish(BODY)
  })

  test('attack 23, R1: has as much stored after a restart, dead letters among it, and other terms by a token of its name', async () => {
    const folder = temporaryFolder()
    const before = await withToken(3 * KIB, folder)
    const { call } = before.server
    const publish = (server: AskingServer, token: string, queue = 'q') =>
      server.call('POST', `/v1/queues/${queue}/messages`, { token, body: TEXT })
    for (let k = 0; k < 3; k += 1) expect((await publish(before.server, before.token)).status).toBe(201)
    await call('POST', '/v1/queues/q/rejects', {
      token: before.token,
      body: { deliveries: await pulled(before.server, before.token, 2) },
    })
    await before.server.close()
    const server = await askingServer({ folder })
    expect(await stored(server)).toBe(3 * KIB)
    expect((await publish(server, before.token)).status).toBe(429)
    await server.call('DELETE', '/v1/queues/q/dead', { token: server.admin })
    expect(await stored(server)).toBe(KIB)
    // A smaller quota counts what was stored under the name, and takes none of it away.
    await server.call('DELETE', '/v1/tokens/loader', { token: server.admin })
    const smaller = await server.token('loader', ALL, { stored_bytes_max: KIB })
    expect((await publish(server, smaller)).status).toBe(429)
    await server.call('DELETE', '/v1/tokens/loader', { token: server.admin })
    const without = await server.token('loader', ALL)
    expect((await publish(server, without)).status).toBe(201)
    expect(await stored(server)).toBe(KIB)
    await server.call('DELETE', '/v1/queues/q/messages', { token: server.admin })
    expect(await stored(server)).toBeUndefined()
  })

  test('attack 23: is told of by the metrics, without its name', async () => {
    const { server, token } = await withToken(4 * KIB)
    await server.call('POST', '/v1/queues/q/messages', { token, body: TEXT })
    const answer = await fetch(new URL('/metrics', server.url), {
      headers: { authorization: `Bearer ${server.admin}` },
    })
    expect(await answer.text()).toContain('\nsluice_token_quota_used_ratio 0.25\n')
  })
})
