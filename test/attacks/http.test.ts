import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { PemFiles } from '../support/certificates.ts'
import { ask, Native, Raw, startVictim } from './support.ts'

const JSON_TYPE = { 'content-type': 'application/json' }
const HOST = 'host: localhost\r\n'

describe('a request that is two to somebody in between', () => {
  const smuggled = 'DELETE /v1/queues/q HTTP/1.1\r\nhost: localhost\r\n\r\n'

  test.each<[string, string]>([
    ['both lengths', `content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`],
    ['two lengths', `content-length: 1\r\ncontent-length: ${smuggled.length}\r\n\r\n${smuggled}`],
    ['a list of lengths', `content-length: 1, ${smuggled.length}\r\n\r\n${smuggled}`],
    ['a length with a sign', `content-length: +1\r\n\r\nx${smuggled}`],
    ['a length in hex', `content-length: 0x1\r\n\r\nx${smuggled}`],
    ['a negative length', `content-length: -1\r\n\r\n${smuggled}`],
    ['chunked that is not last', `transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n${smuggled}`],
    ['a coding nobody knows', `transfer-encoding: xchunked\r\n\r\n0\r\n\r\n${smuggled}`],
    ['a blank in front of the colon', `transfer-encoding : chunked\r\n\r\n0\r\n\r\n${smuggled}`],
    ['a folded line', `x: y\r\n transfer-encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`],
    ['a chunk size that is none', `transfer-encoding: chunked\r\n\r\n0x0\r\n\r\n${smuggled}`],
    ['a chunk that lies', `transfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n${smuggled}`],
    ['a bare line feed', `content-length: 0\n\n${smuggled}`],
  ])('attack 16: %s: it is refused, nothing behind it is carried out, and the connection ends', async (_, rest) => {
    const victim = await startVictim()
    await ask(victim, 'PUT', '/v1/queues/q', { headers: JSON_TYPE, body: '{}' })
    const text = await Raw.exchange(victim.port, `POST /v1/queues/q/messages HTTP/1.1\r\n${HOST}${rest}`)
    expect(text).not.toContain('HTTP/1.1 2')
    expect((text.match(/HTTP\/1\.1 \d+/g) ?? []).length).toBeLessThanOrEqual(1)
    const { status, json } = await ask(victim, 'GET', '/v1/queues/q')
    expect({ status, ready: json.ready }).toEqual({ status: 200, ready: 0 })
  })
})

describe('what a page of another site can have sent without asking', () => {
  test.each([
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'text/plain',
    'text/plain;application/json',
  ])('attack 16: a form of type %s is no command', async type => {
    const victim = await startVictim()
    await ask(victim, 'PUT', '/v1/queues/q', { headers: JSON_TYPE, body: '{}' })
    const body = '{"deliveries":[]}'
    const headers = { 'content-type': type }
    for (const [method, path] of [
      ['POST', '/v1/queues/q/acks'],
      ['POST', '/v1/queues/q/dead/requeue'],
      ['POST', '/v1/filters/test'],
    ] as const) {
      expect((await ask(victim, method, path, { headers, body })).status, path).toBe(415)
    }
    // What takes no body looks at none: a browser says where its page is from, and that is what stops it.
    const page = { ...headers, origin: 'https://evil.example' }
    expect((await ask(victim, 'POST', '/v1/queues/q/pause', { headers: page, body })).status).toBe(403)
    expect((await ask(victim, 'GET', '/v1/queues/q')).json.paused).toBe(false)
  })

  test('attack 16: nothing changes by GET, and no header makes another method of it', async () => {
    const victim = await startVictim()
    await ask(victim, 'PUT', '/v1/queues/q', { headers: JSON_TYPE, body: '{}' })
    const headers = { 'x-http-method-override': 'DELETE', 'x-method-override': 'DELETE', 'x-http-method': 'DELETE' }
    expect((await ask(victim, 'GET', '/v1/queues/q', { headers })).status).toBe(200)
    expect((await ask(victim, 'POST', '/v1/queues/q', { headers })).status).toBe(405)
    expect((await ask(victim, 'GET', '/v1/queues/q?_method=DELETE')).status).toBe(400)
    for (const suffix of ['pause', 'acks', 'deliveries', 'dead/requeue'])
      expect((await ask(victim, 'GET', `/v1/queues/q/${suffix}`)).status, suffix).toBe(405)
    for (const method of ['TRACE', 'OPTIONS', 'PROPFIND', 'delete'])
      expect(
        (await Raw.exchange(victim.port, `${method} /v1/queues/q HTTP/1.1\r\n${HOST}connection: close\r\n\r\n`)).slice(
          9,
          12,
        ),
      ).toMatch(/40[05]/)
    expect((await ask(victim, 'GET', '/v1/queues/q')).status).toBe(200)
  })

  test('attack 16: an answer is never taken for a page, kept, or read by another origin', async () => {
    const victim = await startVictim()
    const body = '<script>alert(1)</script>'
    await ask(victim, 'PUT', '/v1/queues/q', { headers: JSON_TYPE, body: '{}' })
    await ask(victim, 'POST', '/v1/queues/q/messages', { headers: { 'content-type': 'text/html' }, body })
    for (const path of ['/v1/queues/q/messages', `/v1/queues/${encodeURIComponent(body)}`, '/nowhere<b>']) {
      const { headers } = await ask(victim, 'GET', path.replaceAll('<', '%3C').replaceAll('>', '%3E'))
      expect(headers['content-type']).toMatch(/^application\/(problem\+)?json$/)
      expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' })
      expect(Object.keys(headers).filter(name => name.startsWith('access-control'))).toEqual([])
    }
  })
})

describe('names that mean something to JavaScript', () => {
  const CANARY = ['polluted', 'isAdmin']
  afterEach(() => {
    for (const name of CANARY) expect(({} as Record<string, unknown>)[name]).toBeUndefined()
    expect(Object.keys(Object.prototype)).toEqual([])
  })

  const evil =
    '{"__proto__":{"polluted":1},"constructor":{"prototype":{"isAdmin":true}},"toString":1,"hasOwnProperty":1}'

  test('attack 25: in JSON, queries, headers and paths are names like any other', async () => {
    const victim = await startVictim()
    expect((await ask(victim, 'PUT', '/v1/queues/q', { headers: JSON_TYPE, body: evil })).status).toBe(400)
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      expect((await ask(victim, 'GET', `/v1/queues?${name}=1`)).status, name).toBe(400)
      expect((await ask(victim, 'GET', `/v1/queues/${name}`)).json.code).toBe('no-such-queue')
      expect((await ask(victim, 'PUT', `/v1/queues/${name}`, { headers: JSON_TYPE, body: '{}' })).status).toBe(201)
      const headers = { 'content-type': 'application/json', [`sluice-header-${name}`]: '1' }
      const posted = await ask(victim, 'POST', `/v1/queues/${name}/messages`, { headers, body: evil })
      expect(posted.status).toBe(201)
      const { json } = await ask(victim, 'POST', `/v1/queues/${name}/deliveries`)
      // Over HTTP names of headers are in lower case.
      expect(Object.entries(json.deliveries[0].headers)).toEqual([[name.toLowerCase(), '1']])
    }
    const lines = { 'content-type': 'application/x-ndjson; profile=envelope' }
    const line = `{"body":"x","headers":${evil}}`
    expect([201, 422]).toContain(
      (await ask(victim, 'POST', '/v1/queues/toString/messages', { headers: lines, body: line })).status,
    )
  })

  test('attack 25: in native parameters too', async () => {
    const victim = await startVictim()
    const native = await Native.welcomed(victim.url)
    const params = Object.create(null)
    params.name = '__proto__'
    params.options = JSON.parse('{"__proto__":{"polluted":1}}')
    native.send('request', { id: 1, method: 'declare', params })
    expect(await native.next('response')).toMatchObject({ refusal: { code: 'invalid-options' } })
    for (const [id, method] of ['__proto__', 'constructor', 'toString', 'hasOwnProperty'].entries()) {
      native.send('request', { id: id + 2, method, params: {} })
      expect(await native.next('response')).toMatchObject({ refusal: { code: 'invalid-request' } })
    }
  })

  test('attack 25: in a configuration file are mistakes', () => {
    const files = new PemFiles()
    const file = join(files.folder, 'sluice.toml')
    for (const toml of [
      '[__proto__]\npolluted = 1\n',
      'constructor = { prototype = { isAdmin = true } }\n',
      '[[queue]]\nname = "q"\n__proto__ = { polluted = 1 }\n',
      '[[queue]]\nname = "q"\nconstructor.prototype.isAdmin = true\n',
      '[[queue]]\nname = "q"\ntoString = 1\n',
    ]) {
      writeFileSync(file, toml)
      expect(() => loadConfig({ file }), toml).toThrow(expect.objectContaining({ code: 'bad-config' }))
    }
  })
})
