import { connect } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ask, Native, Raw, startVictim, type Victim } from './support.ts'

/** Origins of pages that are not the server's own, which is at `localhost:PORT`. */
const FOREIGN: readonly [string, (port: number) => string][] = [
  ['another site', () => 'https://evil.example'],
  ['nowhere: a sandboxed frame, a file, a redirect', () => 'null'],
  ['the same host at another port', port => `http://localhost:${port + 1}`],
  ['the same host at the port that goes without saying', () => 'http://localhost'],
  ['a name that begins like ours', port => `http://localhost.evil.example:${port}`],
  ['a name that ends like ours', port => `http://evil-localhost:${port}`],
  ['a subdomain of ours', port => `http://sub.localhost:${port}`],
  ['our name as the user of another', port => `http://localhost:${port}@evil.example`],
  ['our name with a user', port => `http://evil@localhost:${port}`],
  ['our name with a path', port => `http://localhost:${port}/`],
  ['our name in capitals', port => `HTTP://LOCALHOST:${port}`],
  ['our name behind a backslash', port => `http://evil.example\\@localhost:${port}`],
  ['another scheme', port => `ftp://localhost:${port}`],
  ['an extension of the browser', () => 'chrome-extension://abcdefghijklmnop'],
  ['two origins', port => `http://localhost:${port} https://evil.example`],
  ['nothing', () => ''],
]

describe('a page of another origin', () => {
  test.each(FOREIGN)('attack 2: does not open the WebSocket: %s', async (_, originAt) => {
    const victim = await startVictim()
    const origin = originAt(victim.port)
    const host = `localhost:${victim.port}`
    expect(await upgrade(victim, { host, origin })).toBe(403)
    expect(await upgrade(victim, { host, origin: `http://${host}` })).toBe(101)
  })

  test.each(FOREIGN)('attack 2: neither posts nor reads: %s', async (_, originAt) => {
    const victim = await startVictim()
    const headers = { host: `localhost:${victim.port}`, origin: originAt(victim.port) }
    for (const method of ['GET', 'POST']) {
      const answer = await ask(victim, method, '/v1/queues', { headers })
      expect(answer).toMatchObject({ status: 403, json: { code: 'foreign-origin' } })
      expect(answer.headers['access-control-allow-origin']).toBeUndefined()
    }
  })

  test('attack 2: is let in over WebSocket when it is named, and nowhere else; its neighbours are not', async () => {
    const victim = await startVictim({ origins: ['https://ops.example', 'http://127.0.0.1:3000'] })
    const host = `127.0.0.1:${victim.port}`
    expect(await upgrade(victim, { host, origin: 'https://ops.example' })).toBe(101)
    expect(await upgrade(victim, { host, origin: 'http://127.0.0.1:3000' })).toBe(101)
    for (const origin of [
      'http://ops.example',
      'https://ops.example:8443',
      'https://ops.example.evil',
      'https://a.ops.example',
      'null',
    ])
      expect(await upgrade(victim, { host, origin }), origin).toBe(403)
    const answer = await ask(victim, 'GET', '/v1/queues', { headers: { host, origin: 'https://ops.example' } })
    expect(answer.status).toBe(403)
  })

  test('attack 2: there is no cookie that a browser could send along', async () => {
    const victim = await startVictim()
    const { headers } = await ask(victim, 'GET', '/v1/queues', { headers: { cookie: 'session=1' } })
    expect(headers['set-cookie']).toBeUndefined()
  })

  test('attack 2: a program sends no origin, and is let in', async () => {
    const victim = await startVictim()
    expect(await upgrade(victim, { host: `127.0.0.1:${victim.port}` })).toBe(101)
    expect(await new Native(victim.url).upgradeStatus()).toBe(101)
  })
})

describe('a name that somebody has made to resolve to us', () => {
  const hosts = (port: number) => [
    `evil.example:${port}`,
    'evil.example',
    `localhost.evil.example:${port}`,
    `127.0.0.1.evil.example:${port}`,
    `127.0.0.1:${port}@evil.example`,
    `evil.example#127.0.0.1:${port}`,
    `[::1].evil.example:${port}`,
    `localhost\\.evil.example:${port}`,
    '',
  ]

  test('attack 3: is no host of ours over HTTP, though the page is then of the same origin', async () => {
    const victim = await startVictim()
    // The client of Node puts its own in the place of an empty one.
    for (const host of hosts(victim.port).filter(name => name !== '')) {
      const answer = await ask(victim, 'GET', '/v1/queues', { headers: { host, origin: `http://${host}` } })
      expect(answer.status, host).toBe(421)
      expect(answer.json.code).toBe('wrong-host')
    }
  })

  test('attack 3: is none at the upgrade either', async () => {
    const victim = await startVictim()
    for (const host of hosts(victim.port)) {
      expect(await upgrade(victim, { host, origin: `http://${host}` }), host).toBe(421)
      expect(await upgrade(victim, { host }), host).toBe(421)
    }
  })

  test('attack 3: is ours when "hosts" names it, and no other is then', async () => {
    const victim = await startVictim({ hosts: ['queue.example'] })
    const own = `queue.example:${victim.port}`
    expect(await upgrade(victim, { host: own, origin: `http://${own}` })).toBe(101)
    expect((await ask(victim, 'GET', '/livez', { headers: { host: own } })).status).toBe(200)
    expect(await upgrade(victim, { host: `evil.example:${victim.port}` })).toBe(421)
  })

  test('attack 3: does not hide behind a second host', async () => {
    const victim = await startVictim()
    const bytes = 'GET /livez HTTP/1.1\r\nHost: localhost\r\nhOST: evil.example\r\nConnection: close\r\n\r\n'
    expect(await Raw.exchange(victim.port, bytes)).toMatch(/^HTTP\/1\.1 400 /)
    const upgrading = bytes.replace('/livez', '/v1/ws').replace('Connection: close', UPGRADE)
    expect(await Raw.exchange(victim.port, upgrading)).toMatch(/^HTTP\/1\.1 400 /)
  })
})

const UPGRADE =
  'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n' +
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: sluice.v1'

/** Status of an upgrade with headers that a client library would not send. */
function upgrade({ port }: Victim, headers: { readonly host: string; readonly origin?: string }): Promise<number> {
  const socket = connect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`GET /v1/ws HTTP/1.1\r\n${lines.join('')}${UPGRADE}\r\n\r\n`)
  return new Promise((resolve, reject) => {
    socket.on('error', reject)
    socket.once('data', chunk => resolve(Number(/^HTTP\/1\.1 (\d+)/.exec(chunk.toString())?.[1])))
  })
}
