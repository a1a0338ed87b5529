import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/*
 * Certificates for tests, made on the spot: X.509 v3 (RFC 5280) in DER, as much of it as the tests need, signed with
 * ECDSA on P-256. What reads them is OpenSSL.
 */

const DAY_MS = 86_400_000
const ECDSA_WITH_SHA256 = der(0x30, objectId(1, 2, 840, 10045, 4, 3, 2))

export interface Issued {
  /** PEM. */
  readonly cert: string
  /** PEM. */
  readonly key: string
  readonly serial: Buffer
}

export interface Wanted {
  /** Common name; absent: an empty subject. */
  readonly name?: string
  readonly dns?: readonly string[]
  readonly ip?: readonly string[]
  readonly uris?: readonly string[]
  /** From yesterday unless said otherwise. */
  readonly from?: Date
  /** In thirty days unless said otherwise. */
  readonly to?: Date
  /** Bits of an RSA key; default a key on P-256. */
  readonly rsa?: number
}

export class TestCa {
  readonly cert: string
  readonly #key: KeyObject
  readonly #name: string

  constructor(name = 'Test CA') {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    this.#key = privateKey
    this.#name = name
    const isCa = extension([2, 5, 29, 19], der(0x30, der(0x01, Buffer.from([0xff]))), true)
    this.cert = this.#issue({ name }, publicKey, [isCa]).cert
  }

  /** For a server at 127.0.0.1 and `localhost` unless said otherwise, and for clients. */
  issue(wanted: Wanted = {}): Issued {
    const { publicKey, privateKey } =
      wanted.rsa === undefined
        ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
        : generateKeyPairSync('rsa', { modulusLength: wanted.rsa })
    const { dns = ['localhost'], ip = ['127.0.0.1'], uris = [] } = wanted
    const names = [
      ...dns.map(name => der(0x82, Buffer.from(name))),
      ...uris.map(uri => der(0x86, Buffer.from(uri))),
      ...ip.map(address => der(0x87, Buffer.from(address.split('.').map(Number)))),
    ]
    const extensions = names.length === 0 ? [] : [extension([2, 5, 29, 17], der(0x30, ...names), false)]
    const { cert, serial } = this.#issue(wanted, publicKey, extensions)
    return { cert, serial, key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
  }

  /** The list of revoked certificates, in PEM. */
  revoke(...revoked: readonly Issued[]): string {
    const entries = revoked.map(({ serial }) => der(0x30, integer(serial), time(new Date())))
    const list = der(
      0x30,
      integer(Buffer.from([1])),
      ECDSA_WITH_SHA256,
      nameOf(this.#name),
      time(new Date(Date.now() - DAY_MS)),
      time(new Date(Date.now() + 30 * DAY_MS)),
      ...(entries.length === 0 ? [] : [der(0x30, ...entries)]),
    )
    return pem('X509 CRL', this.#signed(list))
  }

  #issue({ name, from, to }: Wanted, publicKey: KeyObject, extensions: readonly Buffer[]): Omit<Issued, 'key'> {
    const serial = Buffer.concat([Buffer.from([1]), randomBytes(8)])
    const body = der(
      0x30,
      der(0xa0, integer(Buffer.from([2]))),
      integer(serial),
      ECDSA_WITH_SHA256,
      nameOf(this.#name),
      der(0x30, time(from ?? new Date(Date.now() - DAY_MS)), time(to ?? new Date(Date.now() + 30 * DAY_MS))),
      nameOf(name),
      publicKey.export({ type: 'spki', format: 'der' }),
      ...(extensions.length === 0 ? [] : [der(0xa3, der(0x30, ...extensions))]),
    )
    return { cert: pem('CERTIFICATE', this.#signed(body)), serial }
  }

  #signed(body: Buffer): Buffer {
    return der(0x30, body, ECDSA_WITH_SHA256, der(0x03, Buffer.from([0]), sign('sha256', body, this.#key)))
  }
}

/** Files in a folder of their own, gone with the test; written again as a whole, as renewals do. */
export class PemFiles {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'sluice-tls-'))

  constructor() {
    onTestFinished(() => rmSync(this.folder, { recursive: true, force: true }))
  }

  put(name: string, text: string): string {
    const path = join(this.folder, name)
    writeFileSync(`${path}.new`, text, { mode: 0o600 })
    renameSync(`${path}.new`, path)
    return path
  }

  /** `NAME.pem` and `NAME-key.pem`. */
  pair(name: string, { cert, key }: Issued): { readonly cert: string; readonly key: string } {
    return { cert: this.put(`${name}.pem`, cert), key: this.put(`${name}-key.pem`, key) }
  }
}

export const YESTERDAY: Date = new Date(Date.now() - DAY_MS)
export const LAST_WEEK: Date = new Date(Date.now() - 7 * DAY_MS)

function der(tag: number, ...content: readonly Buffer[]): Buffer {
  const bytes = Buffer.concat(content)
  const { length } = bytes
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), bytes])
}

/** @param bytes big-endian, the first below 0x80 */
function integer(bytes: Buffer): Buffer {
  return der(0x02, bytes)
}

function objectId(first: number, second: number, ...rest: readonly number[]): Buffer {
  const bytes = rest.flatMap(arc => {
    const digits = [arc & 0x7f]
    for (let left = arc >> 7; left > 0; left >>= 7) digits.unshift((left & 0x7f) | 0x80)
    return digits
  })
  return der(0x06, Buffer.from([first * 40 + second, ...bytes]))
}

function nameOf(common: string | undefined): Buffer {
  if (common === undefined) return der(0x30)
  return der(0x30, der(0x31, der(0x30, objectId(2, 5, 4, 3), der(0x0c, Buffer.from(common)))))
}

/** GeneralizedTime is for years from 2050 on only, and OpenSSL takes UTCTime for all before. */
function time(at: Date): Buffer {
  return der(0x17, Buffer.from(`${at.toISOString().slice(2, 19).replace(/[-T:]/g, '')}Z`))
}

function extension(id: readonly [number, number, ...number[]], value: Buffer, isCritical: boolean): Buffer {
  const critical = isCritical ? [der(0x01, Buffer.from([0xff]))] : []
  return der(0x30, objectId(...id), ...critical, der(0x04, value))
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
