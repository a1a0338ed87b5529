import { constants, createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { createSecureContext, type SecureContextOptions } from 'node:tls'

/** PEM files, relative to the working directory. */
export interface TlsFiles {
  /** Our certificate, then those between it and the CA. */
  readonly cert: string
  /** Its private key, not encrypted. */
  readonly key: string
  /** CAs of client certificates; given, a client without a certificate of theirs does not get in. */
  readonly clientCa?: string
  /** Revoked certificates of these CAs. With one, every CA needs its list, and a list that is out of date revokes all. */
  readonly clientCrl?: string
}

/** The files cannot be used; `message` names the setting and the file. */
export class CertificateError extends Error {
  readonly code = 'bad-certificate'

  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'CertificateError'
  }
}

/** Something an operator should know; `event` is stable. */
export type Report = (
  level: 'info' | 'warn' | 'error',
  event: string,
  facts: Readonly<Record<string, string | number>>,
) => void

/** TLS 1.3 as OpenSSL has it; of TLS 1.2 what has forward secrecy and authenticates what it encrypts. */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  // Keys of 112 bits of security at least: RSA of 2,048, no SHA-1.
  '@SECLEVEL=2',
].join(':')

const CHECK_MS = 60_000
const DAY_MS = 86_400_000
/** How long before the end of the certificate an operator is told, once a day. */
const EXPIRES_SOON_MS = 14 * DAY_MS

interface Loaded {
  /** All that was read: what is the same is not loaded again. */
  readonly text: string
  readonly options: SecureContextOptions
  readonly subject: string
  /** ms since 1970. */
  readonly validTo: number
}

/**
 * The certificates of a server, as they are on disk now. New ones count for handshakes to come; connections that are
 * open stay as they are. Files that cannot be used leave those before in force.
 */
export class Certificates {
  readonly #files: TlsFiles
  readonly #report: Report
  readonly #listeners: ((options: SecureContextOptions) => void)[] = []
  #loaded: Loaded
  /** What was refused last: it is reported once, not every minute. */
  #refused = ''
  #toldOfExpiryAt = 0
  #timer: NodeJS.Timeout | undefined

  /** @throws CertificateError */
  constructor(files: TlsFiles, report: Report) {
    this.#files = files
    this.#report = report
    this.#loaded = load(files, readAll(files))
    this.#tellOfExpiry()
    this.#tellOfReadableKey()
  }

  /** Clients must have a certificate. */
  get areClientsChecked(): boolean {
    return this.#files.clientCa !== undefined
  }

  /** For `tls.createServer`. */
  get options(): SecureContextOptions {
    return this.#loaded.options
  }

  onChange(listener: (options: SecureContextOptions) => void): void {
    this.#listeners.push(listener)
  }

  /** Looks at the files every minute: symbolic links that are turned round, as by Kubernetes or certbot, are no event to watch for. */
  watch(everyMs: number = CHECK_MS): void {
    this.#timer ??= setInterval(() => this.check(), everyMs)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Loads the files if they have changed. */
  check(): void {
    this.#tellOfExpiry()
    let text = ''
    try {
      const read = readAll(this.#files)
      text = textOf(read)
      if (text === this.#loaded.text || text === this.#refused) return
      const loaded = load(this.#files, read)
      const isWorse = loaded.validTo <= Date.now() && this.#loaded.validTo > Date.now()
      if (isWorse) throw new CertificateError(`tls_cert ${this.#files.cert}: the certificate has expired`)
      this.#loaded = loaded
      this.#refused = ''
      this.#toldOfExpiryAt = 0
    } catch (error) {
      const reason = (error as Error).message
      // Files that cannot be read have no text: the reason stands for it.
      const what = text || reason
      if (what !== this.#refused) this.#report('error', 'tls-reload-failed', { reason })
      this.#refused = what
      return
    }
    for (const listener of this.#listeners) listener(this.#loaded.options)
    const { subject, validTo } = this.#loaded
    this.#report('info', 'tls-reloaded', { subject, valid_to: new Date(validTo).toISOString() })
    this.#tellOfExpiry()
    this.#tellOfReadableKey()
  }

  /** The same when somebody asked for it: what was refused before is tried, and reported, again. */
  reload(): void {
    this.#refused = ''
    this.check()
  }

  #tellOfExpiry(): void {
    const now = Date.now()
    const { subject, validTo } = this.#loaded
    if (validTo - now > EXPIRES_SOON_MS || now - this.#toldOfExpiryAt < DAY_MS) return
    this.#toldOfExpiryAt = now
    const facts = { subject, valid_to: new Date(validTo).toISOString() }
    if (validTo <= now) this.#report('error', 'tls-certificate-expired', facts)
    else this.#report('warn', 'tls-certificate-expires', facts)
  }

  #tellOfReadableKey(): void {
    const { mode } = statSync(this.#files.key)
    if (process.platform !== 'win32' && (mode & 0o004) !== 0)
      this.#report('warn', 'tls-key-readable-by-all', { file: this.#files.key })
  }
}

type Texts = { readonly [K in keyof TlsFiles]: string }

function readAll({ cert, key, clientCa, clientCrl }: TlsFiles): Texts {
  return {
    cert: read('tls_cert', cert),
    key: read('tls_key', key),
    ...(clientCa === undefined ? {} : { clientCa: read('tls_client_ca', clientCa) }),
    ...(clientCrl === undefined ? {} : { clientCrl: read('tls_client_crl', clientCrl) }),
  }
}

function textOf(read: Texts): string {
  return JSON.stringify(read)
}

function read(setting: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new CertificateError(`${setting} ${file}: ${(cause as Error).message}`, { cause })
  }
}

function load(files: TlsFiles, read: Texts): Loaded {
  const certificate = certificatesIn('tls_cert', files.cert, read.cert)[0]!
  const key = privateKey(files.key, read.key)
  if (!certificate.checkPrivateKey(key))
    throw new CertificateError(`tls_key ${files.key} is not the key of tls_cert ${files.cert}`)
  // An empty list would be none to Node, and then any public CA of the world names our clients.
  if (read.clientCa !== undefined) certificatesIn('tls_client_ca', files.clientCa ?? '', read.clientCa)
  if (read.clientCrl !== undefined && !read.clientCrl.includes('-----BEGIN X509 CRL-----'))
    throw new CertificateError(`tls_client_crl ${files.clientCrl} holds no list in PEM`)
  const options: SecureContextOptions = {
    cert: read.cert,
    key: read.key,
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    honorCipherOrder: true,
    // A session taken up again is not asked for its certificate: one revoked meanwhile would still get in.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | (read.clientCa === undefined ? 0 : constants.SSL_OP_NO_TICKET),
    ...(read.clientCa === undefined ? {} : { ca: read.clientCa }),
    ...(read.clientCrl === undefined ? {} : { crl: read.clientCrl }),
  }
  try {
    createSecureContext(options)
  } catch (cause) {
    throw new CertificateError(`tls_cert ${files.cert}: ${(cause as Error).message}`, { cause })
  }
  const validTo = Date.parse(certificate.validTo)
  return { text: textOf(read), options, subject: subjectOf(certificate), validTo }
}

/** An empty subject is missing, against what the types say: the names are then in the other field. */
function subjectOf(certificate: X509Certificate): string {
  const { subject, subjectAltName }: { subject?: string; subjectAltName?: string | undefined } = certificate
  return (subject || subjectAltName || 'no name').replaceAll('\n', ', ')
}

function certificatesIn(setting: string, file: string, pem: string): readonly X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g)
  if (blocks === null) throw new CertificateError(`${setting} ${file} holds no certificate in PEM`)
  try {
    return blocks.map(block => new X509Certificate(block))
  } catch (cause) {
    throw new CertificateError(`${setting} ${file}: ${(cause as Error).message}`, { cause })
  }
}

function privateKey(file: string, pem: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch (cause) {
    throw new CertificateError(`tls_key ${file}: no private key in PEM, or an encrypted one`, { cause })
  }
}
