import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import { connect as connectTcp } from 'node:net'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Issued, LAST_WEEK, PemFiles, TestCa, YESTERDAY } from '../support/certificates.ts'
import { ask, Native, Raw, startVictim, until, type Victim } from './support.ts'

const ca = new TestCa()

interface Secured {
  readonly victim: Victim
  readonly files: PemFiles
}

async function startSecured(
  server: Issued = ca.issue(),
  clients: { ca?: string; crl?: string } = {},
): Promise<Secured> {
  const files = new PemFiles()
  const { cert, key } = files.pair('server', server)
  const victim = await startVictim({
    tlsCert: cert,
    tlsKey: key,
    ...(clients.ca === undefined ? {} : { tlsClientCa: files.put('ca.pem', clients.ca) }),
    ...(clients.crl === undefined ? {} : { tlsClientCrl: files.put('crl.pem', clients.crl) }),
  })
  return { victim, files }
}

/** Asks for `/livez`; the first line of the answer, or the code of what went wrong. */
async function livez({ port }: Victim, options: ConnectionOptions = {}): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', ca: ca.cert, ...options })
  onTestFinished(() => void socket.destroy())
  let text = ''
  let failure = ''
  socket.setEncoding('latin1').on('data', chunk => {
    text += chunk
  })
  socket.on('error', (error: NodeJS.ErrnoException) => {
    failure ||= error.code ?? error.message
  })
  socket.write('GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n')
  await new Promise(resolve => socket.once('close', resolve))
  return text.split('\r\n')[0] || failure || 'closed'
}

const OK = 'HTTP/1.1 200 OK'

describe('a server with a certificate', () => {
  test('attack 18: plain bytes to the TLS port are cut, and the others are served', async () => {
    const { victim } = await startSecured()
    expect(victim.url).toBe(`https://127.0.0.1:${victim.port}`)
    for (const bytes of [
      'GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n',
      'AMQP\x00\x00\x09\x01',
      '*1\r\n$4\r\nPING\r\n',
    ]) {
      expect(await Raw.exchange(victim.port, bytes)).not.toContain('200')
    }
    expect(await livez(victim)).toBe(OK)
    expect(victim.logged).toContainEqual({
      event: 'tls-handshake-failed',
      facts: { address: '127.0.0.1', reason: 'ERR_SSL_HTTP_REQUEST' },
    })
  })

  test('attack 18: TLS to a plain port is closed on its first bytes', async () => {
    const victim = await startVictim()
    const socket = connect({ port: victim.port, host: '127.0.0.1', ca: ca.cert })
    const [error] = await once(socket, 'error')
    expect(error.code).toMatch(/^ERR_SSL_|EPROTO/)
    expect(await ask(victim, 'GET', '/livez')).toMatchObject({ status: 200 })
  })

  test.each<[string, ConnectionOptions]>([
    ['TLS 1.1', { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' }],
    ['TLS 1.0', { minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: 'DEFAULT:@SECLEVEL=0' }],
    ['no forward secrecy', { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' }],
    ['no authenticated encryption', { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA' }],
  ])('attack 28: there is no downgrade: %s', async (_, options) => {
    const { victim } = await startSecured()
    expect(await livez(victim, options)).toMatch(/^ERR_SSL_|^EPROTO/)
    expect(await livez(victim, { maxVersion: 'TLSv1.2' })).toBe(OK)
  })

  test.each<[string, () => Issued, string]>([
    ['has expired', () => ca.issue({ from: LAST_WEEK, to: YESTERDAY }), 'CERT_HAS_EXPIRED'],
    ['is of another CA', () => new TestCa('Other').issue(), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    ['is for another name', () => ca.issue({ dns: ['evil.example'], ip: [] }), 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ])('attack 28: a client does not go on with a server whose certificate %s', async (_, issue, code) => {
    const { victim } = await startSecured(issue())
    expect(await livez(victim)).toBe(code)
  })

  test('attack 11: a handshake that does not go on is cut after five seconds, and disturbs nobody', async () => {
    const { victim } = await startSecured()
    const started = performance.now()
    const slow = Array.from({ length: 20 }, () => new Raw(victim.port))
    // The beginning of a client hello, and then nothing.
    for (const { socket } of slow) socket.write(Buffer.from('1603010200010001fc0303', 'hex'))
    expect(await livez(victim)).toBe(OK)
    await Promise.all(slow.map(raw => raw.closed))
    expect(performance.now() - started).toBeGreaterThan(4_000)
    expect(performance.now() - started).toBeLessThan(9_000)
  })

  test('attack 2: over TLS a page of the same host that came without TLS is foreign', async () => {
    const { victim } = await startSecured()
    const from = (origin: string) => new Native(victim.url, { origin, ca: ca.cert }).upgradeStatus()
    expect(await from(`https://127.0.0.1:${victim.port}`)).toBe(101)
    expect(await from(`http://127.0.0.1:${victim.port}`)).toBe(403)
  })
})

describe('a server that asks for certificates', () => {
  const start = (crl?: string) => startSecured(ca.issue(), { ca: ca.cert, ...(crl === undefined ? {} : { crl }) })

  test('attack 28: a client of its CA comes in', async () => {
    const { victim } = await start()
    const { cert, key } = ca.issue({ name: 'nightly-loader', dns: [], ip: [] })
    expect(await livez(victim, { cert, key })).toBe(OK)
    const native = await Native.welcomed(victim.url, { cert, key, ca: ca.cert })
    expect(native.socket.readyState).toBe(1)
  })

  test.each<[string, () => Issued | undefined]>([
    ['none', () => undefined],
    ['one that has expired', () => ca.issue({ name: 'ann', from: LAST_WEEK, to: YESTERDAY })],
    ['one that is not valid yet', () => ca.issue({ name: 'ann', from: new Date(Date.now() + 3_600_000) })],
    ['one of another CA', () => new TestCa('Other').issue({ name: 'ann' })],
    ['one of another CA of the same name', () => new TestCa().issue({ name: 'ann' })],
    ['one with a key of 1,024 bits', () => ca.issue({ name: 'ann', rsa: 1024 })],
  ])('attack 28: a client with %s fails in the handshake, over HTTP and WebSocket', async (_, issue) => {
    const { victim } = await start()
    const issued = issue()
    // What our own end would not even send.
    const given = issued && { cert: issued.cert, key: issued.key, ciphers: 'DEFAULT:@SECLEVEL=0' }
    expect(await livez(victim, given)).not.toContain('HTTP')
    expect(await livez(victim, { ...given, maxVersion: 'TLSv1.2' })).not.toContain('HTTP')
    const native = new Native(victim.url, { ...given, ca: ca.cert })
    expect(await native.closed).toBe(1006)
    expect(victim.logged.map(({ event }) => event)).toContain('tls-handshake-failed')
  })

  test('attack 28: a certificate is good without the key that belongs to it for nobody', async () => {
    const { victim } = await start()
    const { cert } = ca.issue({ name: 'ann' })
    const { key } = ca.issue({ name: 'ann' })
    expect(() => connect({ port: victim.port, cert, key })).toThrow(/key values mismatch/)
  })

  test('attack 28: a certificate on the list of revoked ones does not come in, the others do', async () => {
    const [good, stolen] = [ca.issue({ name: 'good' }), ca.issue({ name: 'stolen' })]
    const { victim } = await start(ca.revoke(stolen))
    expect(await livez(victim, { cert: good.cert, key: good.key })).toBe(OK)
    expect(await livez(victim, { cert: stolen.cert, key: stolen.key })).not.toContain('HTTP')
  })

  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'attack 28: %s: a session cannot be taken up again without the certificate being looked at',
    async maxVersion => {
      const { victim } = await start()
      const { cert, key } = ca.issue({ name: 'ann' })
      const open = (session?: Buffer): TLSSocket => {
        const socket = connect({
          port: victim.port,
          host: '127.0.0.1',
          ca: ca.cert,
          maxVersion,
          ...(session === undefined ? { cert, key } : { session }),
        })
        onTestFinished(() => void socket.destroy())
        return socket.on('error', () => {})
      }
      const first = open()
      let session: Buffer | undefined
      first.on('session', given => {
        session = given
      })
      first.write('GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n')
      await once(first, 'data')
      session ??= first.getSession()
      const again = open(session)
      let text = ''
      again.on('data', chunk => {
        text += chunk
      })
      again.write('GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n')
      await new Promise(resolve => again.once('close', resolve))
      expect(text).toBe('')
    },
  )

  test('attack 28: a connection that sends nothing is no way round the handshake', async () => {
    const { victim } = await start()
    const socket = connectTcp(victim.port, '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    await once(socket, 'close')
    await until(() => victim.logged.some(({ facts }) => facts['reason'] === 'ERR_TLS_HANDSHAKE_TIMEOUT'))
  })
})

describe('a server that asks for certificates and tokens', () => {
  interface Shown {
    readonly cert?: string
    readonly key?: string
    readonly token?: string
    readonly body?: object
  }

  function asked(
    { port }: Victim,
    method: string,
    path: string,
    shown: Shown,
  ): Promise<{ status: number; text: string }> {
    const { cert, key, token, body } = shown
    const headers = {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    }
    const options = { host: '127.0.0.1', port, method, path, headers, agent: false as const, ca: ca.cert }
    return new Promise((resolve, reject) => {
      const sent = request({ ...options, ...(cert && { cert }), ...(key && { key }) }, response => {
        let text = ''
        response.on('data', chunk => {
          text += chunk
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
      })
      sent.on('error', reject)
      sent.end(body === undefined ? undefined : JSON.stringify(body))
    })
  }

  async function start(): Promise<{ victim: Victim; admin: string; of: (name: string) => Issued }> {
    const files = new PemFiles()
    const { cert, key } = files.pair('server', ca.issue())
    const victim = await startVictim({
      auth: 'tokens',
      tlsCert: cert,
      tlsKey: key,
      tlsClientCa: files.put('ca.pem', ca.cert),
    })
    const file = victim.logged.find(({ event }) => event === 'admin-token-written')?.facts['file']
    const admin = readFileSync(String(file), 'utf8').trim()
    return { victim, admin, of: name => ca.issue({ name, dns: [], ip: [] }) }
  }

  test('attack 28: a certificate is as good as the entry of its name, over every door; of no entry it is nobody', async () => {
    const { victim, admin, of } = await start()
    const [ann, bob] = [of('ann'), of('bob')]
    const grants = [{ queue: 'q', rights: ['publish', 'admin'] }]
    const made = await asked(victim, 'POST', '/v1/tokens', {
      ...bob,
      token: admin,
      body: { name: 'ann', grants, has_secret: false },
    })
    expect(made).toMatchObject({ status: 201 })
    expect(await asked(victim, 'PUT', '/v1/queues/q', { ...ann, body: {} })).toMatchObject({ status: 201 })
    expect((await asked(victim, 'PUT', '/v1/queues/other', { ...ann, body: {} })).status).not.toBe(201)
    expect((await asked(victim, 'GET', '/v1/queues/q', bob)).status).toBe(401)
    // Who shows a token is judged by that alone.
    expect((await asked(victim, 'GET', '/v1/queues/q', { ...ann, token: 'wrong' })).status).toBe(401)

    const native = await Native.welcomed(victim.url, { cert: ann.cert, key: ann.key, ca: ca.cert })
    native.send('request', { id: 1, method: 'queue', params: { name: 'q' } })
    expect(await native.next('response')).toMatchObject({ refusal: null })
    const stranger = new Native(victim.url, { cert: bob.cert, key: bob.key, ca: ca.cert })
    await once(stranger.socket, 'open')
    stranger.send('hello', { version: 1, name: 'ann', producer: '', token: '', heartbeatMs: 0 })
    expect(await stranger.next('goodbye')).toMatchObject({ code: 'unauthenticated' })
  })

  test('attack 28: a certificate whose names are odd is nobody, whatever entries there are', async () => {
    const { victim, admin, of } = await start()
    const body = { name: 'ann', grants: [{ queue: '*', rights: ['browse'] }], has_secret: false }
    expect((await asked(victim, 'POST', '/v1/tokens', { ...of('x'), token: admin, body })).status).toBe(201)
    expect((await asked(victim, 'GET', '/v1/queues', of('ann'))).status).toBe(200)
    for (const name of ['ann ', ' ann', 'Ann', 'ann\u0000', 'ann\u0000.evil.example', 'ann\nroot', '*', ''])
      expect((await asked(victim, 'GET', '/v1/queues', of(name))).status, JSON.stringify(name)).toBe(401)
  })
})
