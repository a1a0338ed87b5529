import { readFileSync } from 'node:fs'
import type { TlsOptions } from '@sluice/client'
import { Stop, USAGE } from './exit.ts'

interface Files {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

/**
 * The certificates named by `--ca`, `--cert`, `--key` or their variables.
 *
 * @returns reads the files each time: a consumer that runs for weeks reconnects with renewed ones; absent if none is named
 */
export function tlsOf(
  options: Files,
  env: Readonly<Record<string, string | undefined>>,
): (() => TlsOptions) | undefined {
  const ca = options.ca ?? (env['SLUICE_CA'] || undefined)
  const cert = options.cert ?? (env['SLUICE_CERT'] || undefined)
  const key = options.key ?? (env['SLUICE_KEY'] || undefined)
  if (ca === undefined && cert === undefined && key === undefined) return undefined
  return () => {
    if (cert === undefined && key !== undefined) throw new Stop(USAGE, '--key is given, and --cert is not.')
    if (key === undefined && cert !== undefined) throw new Stop(USAGE, '--cert is given, and --key is not.')
    return {
      ...(ca === undefined ? {} : { ca: read('--ca', ca) }),
      ...(cert === undefined ? {} : { cert: read('--cert', cert) }),
      ...(key === undefined ? {} : { key: read('--key', key) }),
    }
  }
}

function read(option: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const isGone = (error as NodeJS.ErrnoException).code === 'ENOENT'
    throw new Stop(USAGE, `${option} ${file}: ${isGone ? 'there is no such file' : (error as Error).message}.`)
  }
}

const NO_CA = 'name the CA that its certificate is of: --ca FILE or $SLUICE_CA'
const NO_CERTIFICATE =
  'it wants a certificate of a CA it knows: --cert FILE --key FILE, or $SLUICE_CERT and $SLUICE_KEY'

const ADVICE: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: NO_CA,
  SELF_SIGNED_CERT_IN_CHAIN: NO_CA,
  UNABLE_TO_GET_ISSUER_CERT: NO_CA,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: NO_CA,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: NO_CA,
  CERT_HAS_EXPIRED: 'its certificate has expired: put a new one in its place; the server takes it within a minute',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet: is the clock of this machine right?',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for other names: use one of those in --url',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS there: use ws:// or http://',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'it does not speak TLS there: use ws:// or http://',
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: NO_CERTIFICATE,
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: NO_CERTIFICATE,
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: NO_CERTIFICATE,
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: 'your certificate has expired',
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED: 'your certificate was revoked',
}

/** What to do about a handshake that failed; undefined when something else did. */
export function handshakeAdvice(cause: unknown): string | undefined {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  return typeof code === 'string' && Object.hasOwn(ADVICE, code) ? ADVICE[code] : undefined
}
