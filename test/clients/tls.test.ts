import { readFileSync } from 'node:fs'
import { connect as connectTls } from 'node:tls'
import { connect } from '@sluice/client'
import { afterEach, describe, expect, onTestFinished, test } from 'vitest'
import { type Issued, LAST_WEEK, PemFiles, TestCa, YESTERDAY } from '../support/certificates.ts'
import { type ServerChild, startServer } from './cli-support.ts'

const ca = new TestCa()
let server: ServerChild | undefined

afterEach(async () => {
  await server?.[Symbol.asyncDispose]()
  server = undefined
})

interface Secured {
  readonly server: ServerChild
  readonly files: PemFiles
  /** Path of the CA's certificate. */
  readonly ca: string
}

/** `sluice serve --config` with a certificate, and if asked one that wants certificates. */
async function secured({ wantsClients = false, issued = ca.issue() } = {}): Promise<Secured> {
  const files = new PemFiles()
  const { cert, key } = files.pair('server', issued)
  const caPath = files.put('ca.pem', ca.cert)
  const clients = wantsClients ? `tls_client_ca = ${JSON.stringify(caPath)}\n` : ''
  const config = files.put(
    'sluice.toml',
    `tls_cert = ${JSON.stringify(cert)}\ntls_key = ${JSON.stringify(key)}\n${clients}`,
  )
  server = await startServer({ config })
  return { server, files, ca: caPath }
}

/** Serial number of the certificate that a new connection is shown. */
async function serialOf(url: string): Promise<string> {
  const { port } = new URL(url)
  const socket = connectTls({ port: Number(port), host: '127.0.0.1', ca: ca.cert })
  onTestFinished(() => void socket.destroy())
  await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject))
  const serial = socket.getPeerCertificate().serialNumber.toLowerCase()
  socket.destroy()
  return serial
}

const serial = ({ serial }: Issued) => serial.toString('hex')

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error('what was waited for did not happen')
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

describe('sluice serve with a certificate', () => {
  test('is ready on https, and the SDK and every command reach it by --ca or $SLUICE_CA', async () => {
    const { server, ca: caPath } = await secured()
    expect(server.url).toMatch(/^wss:\/\/127\.0\.0\.1:\d+$/)
    expect(await server.sluice(['queue', 'declare', 'q', '--ca', caPath])).toMatchObject({ exitCode: 0 })
    const published = await server.run(['publish', 'q', '{"n":1}', '--barrier=eof', '--ca', caPath])
    expect(published).toMatchObject({ exitCode: 0 })
    const consumed = await server.run(['consume', 'q', '--until-barrier', '--ca', caPath])
    expect(consumed).toMatchObject({ exitCode: 0, stdout: '{"n":1}\n' })
    const client = await connect(server.url, { tls: { ca: ca.cert } })
    expect(await client.queue('q').publish({ n: 2 })).toMatchObject({ sequence: 3 })
    await client.close()
    const over = await connect(server.url.replace('wss', 'https'), { tls: { ca: [Buffer.from(ca.cert)] } })
    await over.close()
  })

  test('is not talked to by whoever does not know its CA: what is wrong is said, with what to do', async () => {
    const { server, files } = await secured()
    await expect(connect(server.url)).rejects.toMatchObject({ code: 'unreachable' })
    const other = files.put('other.pem', new TestCa('Other').cert)
    for (const args of [
      ['queue', 'list'],
      ['publish', 'q', '1'],
      ['queue', 'list', '--ca', other],
    ]) {
      const { exitCode, stderr } = await server.run(args)
      expect(exitCode).toBe(5)
      expect(stderr).toContain('--ca FILE or $SLUICE_CA')
    }
    const plain = await server.run(['queue', 'list', '--url', server.url.replace('wss', 'ws')])
    expect(plain.exitCode).toBe(5)
  })

  test('is not talked to although NODE_TLS_REJECT_UNAUTHORIZED says that nothing matters', async () => {
    const { server } = await secured({ issued: new TestCa('Other').issue() })
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
    onTestFinished(() => void delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'])
    await expect(connect(server.url, { tls: { ca: ca.cert } })).rejects.toMatchObject({ code: 'unreachable' })
    expect(await server.sluice(['queue', 'list'])).toMatchObject({ exitCode: 5 })
  })

  test('its certificate must be in time and for its name', async () => {
    const expired = await secured({ issued: ca.issue({ from: LAST_WEEK, to: YESTERDAY }) })
    const late = await expired.server.run(['queue', 'list', '--ca', expired.ca])
    expect(late).toMatchObject({ exitCode: 5, stderr: expect.stringContaining('certificate has expired') })
    await expired.server[Symbol.asyncDispose]()
    const named = await secured({ issued: ca.issue({ dns: ['queue.example'], ip: [] }) })
    const wrong = await named.server.run(['publish', 'q', '1', '--ca', named.ca])
    expect(wrong).toMatchObject({ exitCode: 5, stderr: expect.stringContaining('is for other names') })
  })

  test('takes new certificates at SIGHUP, and cuts nobody', async () => {
    const first = ca.issue()
    const { server, files } = await secured({ issued: first })
    const client = await connect(server.url, { tls: { ca: ca.cert } })
    let lost = 0
    client.addEventListener('reconnecting', () => {
      lost += 1
    })
    const queue = client.queue('q')
    await queue.declare()
    expect(await serialOf(server.url)).toBe(serial(first))

    const second = ca.issue()
    files.pair('server', second)
    server.hangUp()
    await until(() => server.log.includes('"tls-reloaded"'))
    expect(await serialOf(server.url)).toBe(serial(second))
    await queue.publish(1)

    files.put('server.pem', 'broken')
    server.hangUp()
    await until(() => server.log.includes('"tls-reload-failed"'))
    const line = server.log.split('\n').find(text => text.includes('tls-reload-failed')) ?? '{}'
    expect(JSON.parse(line)).toMatchObject({ level: 'error', reason: expect.stringContaining('holds no certificate') })
    expect(await serialOf(server.url)).toBe(serial(second))
    await queue.publish(2)
    expect(lost).toBe(0)
    await client.close()
  })

  test('with files that cannot be used says so, and does not start', async () => {
    const files = new PemFiles()
    const config = files.put('sluice.toml', 'tls_cert = "nowhere.pem"\ntls_key = "nowhere-key.pem"\n')
    await expect(startServer({ config })).rejects.toThrow(/^the server did not start: .*tls_cert nowhere\.pem: ENOENT/)
  })
})

describe('sluice serve that asks for certificates', () => {
  test('is reached with --cert and --key, and by the SDK with tls.cert and tls.key', async () => {
    const { server, files, ca: caPath } = await secured({ wantsClients: true })
    const { cert, key } = files.pair('ann', ca.issue({ name: 'ann', dns: [], ip: [] }))
    const mine = ['--ca', caPath, '--cert', cert, '--key', key]
    expect(await server.run(['queue', 'declare', 'q', ...mine])).toMatchObject({ exitCode: 0 })
    expect(await server.run(['publish', 'q', '1', ...mine])).toMatchObject({ exitCode: 0 })
    const read = () => ({ ca: ca.cert, cert: readFileSync(cert), key: readFileSync(key) })
    const client = await connect(server.url, { tls: read })
    await client.close()
  })

  test('says to whoever has none what is missing', async () => {
    const { server, ca: caPath } = await secured({ wantsClients: true })
    await expect(connect(server.url, { tls: { ca: ca.cert } })).rejects.toMatchObject({ code: 'unreachable' })
    const { exitCode, stderr } = await server.run(['queue', 'list', '--ca', caPath])
    expect(exitCode).toBe(5)
    expect(stderr).toContain('--cert FILE --key FILE')
  })

  test('a file that is not there, or a certificate without its key, is a mistake in the command', async () => {
    const { server, ca: caPath } = await secured({ wantsClients: true })
    for (const [args, said] of [
      [['--ca', 'nowhere.pem'], '--ca nowhere.pem: there is no such file.'],
      [['--cert', caPath], '--cert is given, and --key is not.'],
      [['--key', caPath], '--key is given, and --cert is not.'],
    ] as const) {
      for (const command of [
        ['queue', 'list'],
        ['publish', 'q', '1'],
      ]) {
        const { exitCode, stderr } = await server.run([...command, ...args])
        expect(exitCode).toBe(2)
        expect(stderr).toContain(said)
      }
    }
  })
})
