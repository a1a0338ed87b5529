import { chmodSync, rmSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { Certificates, type TlsFiles } from '../../src/net/certificates.ts'
import { type Issued, LAST_WEEK, PemFiles, TestCa, YESTERDAY } from '../support/certificates.ts'

const ca = new TestCa()

interface Loaded {
  readonly files: PemFiles
  readonly paths: { readonly cert: string; readonly key: string }
  readonly certificates: Certificates
  /** `level event`, in order. */
  readonly told: string[]
  readonly reasons: string[]
  readonly changes: unknown[]
}

function load(issued: Issued = ca.issue(), more: (files: PemFiles) => Partial<TlsFiles> = () => ({})): Loaded {
  const files = new PemFiles()
  const paths = files.pair('server', issued)
  const told: string[] = []
  const reasons: string[] = []
  const certificates = new Certificates({ ...paths, ...more(files) }, (level, event, { reason }) => {
    told.push(`${level} ${event}`)
    if (reason !== undefined) reasons.push(String(reason))
  })
  const changes: unknown[] = []
  certificates.onChange(options => changes.push(options.cert))
  return { files, paths, certificates, told, reasons, changes }
}

describe('files that cannot be used are told with their setting, before anything is opened', () => {
  const good = ca.issue()

  test.each<[string, (files: PemFiles) => Partial<TlsFiles>, RegExp]>([
    ['a certificate that is not there', () => ({ cert: 'nowhere.pem' }), /^tls_cert nowhere\.pem: ENOENT/],
    ['a key that is not there', () => ({ key: 'nowhere.pem' }), /^tls_key nowhere\.pem: ENOENT/],
    [
      'a certificate that is none',
      files => ({ cert: files.put('x', 'x') }),
      /^tls_cert .*x holds no certificate in PEM$/,
    ],
    [
      'a certificate that is broken',
      files => ({ cert: files.put('x', good.cert.replace(/\n[A-Za-z]{4}/, '\nAAAA')) }),
      /^tls_cert .*x: /,
    ],
    ['a key that is none', files => ({ key: files.put('x', good.cert) }), /^tls_key .*x: no private key in PEM/],
    [
      'the key of another',
      files => ({ key: files.put('x', ca.issue().key) }),
      /^tls_key .*x is not the key of tls_cert/,
    ],
    [
      'CAs that are empty',
      files => ({ clientCa: files.put('x', '') }),
      /^tls_client_ca .*x holds no certificate in PEM$/,
    ],
    ['CAs that are none', files => ({ clientCa: files.put('x', good.key) }), /^tls_client_ca .*x holds no certificate/],
    [
      'a list of revoked certificates that is none',
      files => ({ clientCa: files.put('ca', ca.cert), clientCrl: files.put('x', ca.cert) }),
      /^tls_client_crl .*x holds no list in PEM$/,
    ],
  ])('%s', (_, more, message) => {
    expect(() => load(good, more)).toThrow(expect.objectContaining({ code: 'bad-certificate' }))
    expect(() => load(good, more)).toThrow(message)
  })

  test('a key that is too small', () => {
    expect(() => load(ca.issue({ rsa: 1024 }))).toThrow(/^tls_cert .*ee key too small/)
  })
})

describe('new files', () => {
  test('are taken when they are asked for, and told', () => {
    const { files, certificates, told, changes } = load()
    certificates.reload()
    expect(told).toEqual([])
    const renewed = ca.issue()
    files.pair('server', renewed)
    certificates.reload()
    expect(told).toEqual(['info tls-reloaded'])
    expect(changes).toEqual([renewed.cert])
    expect(certificates.options.cert).toBe(renewed.cert)
  })

  test('that are broken leave those before in force, are told once, and taken when they are whole', () => {
    const old = ca.issue()
    const { files, paths, certificates, told, reasons, changes } = load(old)
    const renewed = ca.issue()
    // The moment between the two: the new certificate, and the old key.
    files.put('server.pem', renewed.cert)
    certificates.check()
    certificates.check()
    expect(told).toEqual(['error tls-reload-failed'])
    expect(reasons[0]).toContain(`tls_key ${paths.key} is not the key of tls_cert ${paths.cert}`)
    expect(certificates.options.cert).toBe(old.cert)
    expect(changes).toEqual([])
    files.put('server-key.pem', renewed.key)
    certificates.check()
    expect(told).toEqual(['error tls-reload-failed', 'info tls-reloaded'])
    expect(changes).toEqual([renewed.cert])
  })

  test('that were refused are told again when somebody asks again', () => {
    const { files, certificates, told } = load()
    files.put('server.pem', 'x')
    certificates.reload()
    certificates.reload()
    expect(told).toEqual(['error tls-reload-failed', 'error tls-reload-failed'])
  })

  test('that are gone leave those before in force', () => {
    const { paths, certificates, told, changes } = load()
    rmSync(paths.cert)
    certificates.check()
    certificates.check()
    expect(told).toEqual(['error tls-reload-failed'])
    expect(changes).toEqual([])
  })

  test('that have expired are no better than those that have not', () => {
    const { files, certificates, reasons, changes } = load()
    files.pair('server', ca.issue({ from: LAST_WEEK, to: YESTERDAY }))
    certificates.check()
    expect(reasons[0]).toMatch(/the certificate has expired$/)
    expect(changes).toEqual([])
  })

  test('of the CAs of clients are taken too', () => {
    const { files, certificates, changes } = load(ca.issue(), pem => ({ clientCa: pem.put('ca.pem', ca.cert) }))
    const other = new TestCa('Other')
    files.put('ca.pem', ca.cert + other.cert)
    certificates.check()
    expect(certificates.options.ca).toBe(ca.cert + other.cert)
    expect(changes).toHaveLength(1)
    files.put('ca.pem', '')
    certificates.check()
    expect(certificates.options.ca).toBe(ca.cert + other.cert)
  })

  test('are found by themselves', async () => {
    const { files, certificates, changes } = load()
    certificates.watch(5)
    files.pair('server', ca.issue())
    const deadline = performance.now() + 10_000
    while (changes.length === 0 && performance.now() < deadline) await new Promise(resolve => setTimeout(resolve, 5))
    certificates.stop()
    expect(changes).toHaveLength(1)
  })
})

test('a certificate that soon ends is told of, once a day; one that has ended as an error', () => {
  const soon = load(ca.issue({ to: new Date(Date.now() + 3 * 86_400_000) }))
  soon.certificates.check()
  expect(soon.told).toEqual(['warn tls-certificate-expires'])
  expect(load(ca.issue({ from: LAST_WEEK, to: YESTERDAY })).told).toEqual(['error tls-certificate-expired'])
})

test('a key that every user of the machine can read is told of', () => {
  const { files, paths, certificates, told } = load()
  files.pair('server', ca.issue())
  chmodSync(paths.key, 0o644)
  certificates.check()
  expect(told).toEqual(['info tls-reloaded', 'warn tls-key-readable-by-all'])
})
