import { type Misread, parseDuration, parseSize } from '../engine/units.ts'
import type { Address, ServerConfig } from './config.ts'

/** One setting of the server: how it is called, read and filled in. */
export interface Setting<T> {
  /** Key in the file; `SLUICE_` and this in capitals is its variable. */
  readonly key: string
  /** Takes what TOML gives and is strict: `"true"` is no boolean. */
  readonly parse: (value: unknown) => T | Misread
  /** Makes of the text of a variable or flag what the file would hold; absent: the text itself. */
  readonly fromText?: (text: string) => unknown
  /** Absent: the setting is left out unless given. */
  readonly fallback?: T
}

export type Settings = Omit<ServerConfig, 'queues' | 'webhooks'>

/** All settings of a server but its queues and webhooks. */
export const SETTINGS: { readonly [K in keyof Settings]-?: Setting<NonNullable<Settings[K]>> } = {
  data: { key: 'data', parse: text, fallback: './sluice-data' },
  memory: { key: 'memory', parse: boolean, fromText: booleanText, fallback: false },
  listen: { key: 'listen', parse: address, fallback: { host: '127.0.0.1', port: 7420 } },
  tlsCert: { key: 'tls_cert', parse: text },
  tlsKey: { key: 'tls_key', parse: text },
  tlsClientCa: { key: 'tls_client_ca', parse: text },
  tlsClientCrl: { key: 'tls_client_crl', parse: text },
  hosts: { key: 'hosts', parse: hostNames, fromText: list },
  origins: { key: 'origins', parse: origins, fromText: list },
  auth: { key: 'auth', parse: oneOf('none', 'tokens'), fallback: 'none' },
  allowUnauthenticatedNetwork: {
    key: 'allow_unauthenticated_network',
    parse: boolean,
    fromText: booleanText,
    fallback: false,
  },
  messageMax: { key: 'message_max', parse: sizeIn('1KiB', '256MiB'), fallback: 16 * 2 ** 20 },
  memoryMax: { key: 'memory_max', parse: sizeIn('1MiB', '1TiB'), fallback: 256 * 2 ** 20 },
  diskFreeMin: { key: 'disk_free_min', parse: parseSize },
  autoCreate: { key: 'auto_create', parse: boolean, fromText: booleanText, fallback: false },
  heartbeatMs: { key: 'heartbeat', parse: durationIn('5s', '120s'), fallback: 20_000 },
  drainMs: { key: 'drain', parse: durationIn('0', '1h'), fallback: 10_000 },
  connectionsMax: { key: 'connections_max', parse: count, fromText: number, fallback: 10_000 },
  connectionsPerAddress: { key: 'connections_per_address', parse: count, fromText: number, fallback: 1_000 },
  queuesMax: { key: 'queues_max', parse: count, fromText: number, fallback: 10_000 },
  pullsMax: { key: 'pulls_max', parse: count, fromText: number, fallback: 10_000 },
  publishRate: { key: 'publish_rate', parse: count, fromText: number },
  publishBytesRate: { key: 'publish_bytes_rate', parse: sizeIn('1KiB', '1TiB') },
  sendBuffersMax: { key: 'send_buffers_max', parse: sizeIn('1MiB', '1TiB') },
  streamsMax: { key: 'streams_max', parse: count, fromText: number, fallback: 1_000 },
  metricsQueuesMax: { key: 'metrics_queues_max', parse: count, fromText: number, fallback: 200 },
  tracing: { key: 'tracing', parse: oneOf('auto', 'on', 'off'), fallback: 'auto' },
}

/** What a `[[webhook]]` table may hold. There is no variable or flag for any of it. */
export const WEBHOOK_SETTINGS: {
  readonly queue: Setting<string>
  readonly url: Setting<URL>
  readonly secret: Setting<Uint8Array>
  readonly secretFile: Setting<string>
  readonly concurrency: Setting<number>
  readonly timeoutMs: Setting<number>
} = {
  queue: { key: 'queue', parse: text },
  url: { key: 'url', parse: webhookUrl },
  secret: { key: 'secret', parse: signingSecret },
  secretFile: { key: 'secret_file', parse: text },
  concurrency: { key: 'concurrency', parse: countUpTo(100), fallback: 4 },
  timeoutMs: { key: 'timeout', parse: durationIn('1s', '5m'), fallback: 10_000 },
}

/** Options of a queue, as the specification names them, beside `name`. */
export const QUEUE_OPTIONS: readonly string[] = [
  'semantics',
  'barrier',
  'barriers_max',
  'barrier_records',
  'on_dead',
  'deadline_rest',
  'forward_barrier',
  'announce',
  'filter',
  'priority',
  'group',
  'lease',
  'acks',
  'prefetch_max',
  'prefetch_bytes',
  'unacked_max',
  'fairness',
  'deliveries_max',
  'retry_delay',
  'dead_letter',
  'expiration',
  'messages_max',
  'bytes_max',
  'overflow',
  'dedupe_window',
  'dedupe_max',
]

function text(value: unknown): string | Misread {
  return typeof value === 'string' && value !== '' ? value : { problem: 'must be a text' }
}

function texts(value: unknown): readonly string[] | Misread {
  if (Array.isArray(value) && value.every(item => typeof item === 'string' && item !== '')) return value
  return { problem: 'must be a list of texts' }
}

function oneOf<T extends string>(...values: readonly T[]): (value: unknown) => T | Misread {
  const known = values.map(value => JSON.stringify(value)).join(' or ')
  return value => (values.includes(value as T) ? (value as T) : { problem: `must be ${known}` })
}

/** As requests are compared with them: in lower case, without a port. */
function hostNames(value: unknown): readonly string[] | Misread {
  const names = texts(value)
  if ('problem' in names) return names
  const wrong = names.find(name => !/^[^\s/:@[\]]+$/.test(name))
  if (wrong !== undefined) return { problem: `must be names without port, and "${wrong}" is none` }
  return names.map(name => name.toLowerCase())
}

/** As browsers write them, for they are compared as text. */
function origins(value: unknown): readonly string[] | Misread {
  const given = texts(value)
  if ('problem' in given) return given
  const wrong = given.find(origin => origin !== '*' && (!URL.canParse(origin) || new URL(origin).origin !== origin))
  if (wrong === undefined) return given
  const meant = URL.canParse(wrong) ? new URL(wrong).origin : 'null'
  const hint = meant === 'null' ? 'such as https://ops.example' : `as browsers write it, "${meant}"`
  return { problem: `must be origins, ${hint}, and "${wrong}" is none` }
}

function boolean(value: unknown): boolean | Misread {
  return typeof value === 'boolean' ? value : { problem: 'must be true or false' }
}

function count(value: unknown): number | Misread {
  return Number.isSafeInteger(value) && (value as number) > 0
    ? (value as number)
    : { problem: 'must be a number from 1' }
}

function countUpTo(most: number): (value: unknown) => number | Misread {
  return value => {
    const given = count(value)
    return typeof given === 'number' && given <= most ? given : { problem: `must be a number from 1 to ${most}` }
  }
}

/** Often a secret itself, so an error does not repeat it. */
function webhookUrl(value: unknown): URL | Misread {
  if (typeof value !== 'string' || !URL.canParse(value))
    return { problem: 'must be a URL, such as https://hooks.example/sluice' }
  const url = new URL(value)
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return { problem: 'must begin with https:// or http://' }
  if (url.username !== '' || url.password !== '')
    return { problem: 'must have no user and password: whoever is called is sure of us by the signature' }
  return url.hash === '' ? url : { problem: 'must have no fragment (#): it would not be sent' }
}

/** Base64 behind `whsec_`, as Standard Webhooks 1.0.0 writes keys: 24 to 64 bytes. An error does not repeat it. */
export function signingSecret(value: unknown): Uint8Array | Misread {
  const misread = {
    problem: 'must be whsec_ and 24 to 64 bytes in base64, as of: echo whsec_$(openssl rand -base64 32)',
  }
  if (typeof value !== 'string' || !/^whsec_[A-Za-z0-9+/]+={0,2}$/.test(value)) return misread
  const key = Buffer.from(value.slice('whsec_'.length), 'base64')
  return key.length >= 24 && key.length <= 64 ? key : misread
}

/** `127.0.0.1:7420`, `[::1]:7420`, `localhost:0`. */
function address(value: unknown): Address | Misread {
  const misread = { problem: 'must be HOST:PORT, such as 127.0.0.1:7420 or [::1]:7420' }
  if (typeof value !== 'string') return misread
  const [, bracketed, plain, digits] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]/]+)):(\d{1,5})$/.exec(value) ?? []
  const host = bracketed ?? plain
  const port = Number(digits)
  return host === undefined || port > 65_535 ? misread : { host, port }
}

function sizeIn(least: string, most: string): (value: unknown) => number | Misread {
  return within(parseSize, least, most)
}

function durationIn(least: string, most: string): (value: unknown) => number | Misread {
  return within(parseDuration, least, most)
}

function within(parse: (value: unknown) => number | Misread, least: string, most: string) {
  return (value: unknown): number | Misread => {
    const amount = parse(value)
    if (typeof amount !== 'number') return amount
    const fits = amount >= (parse(least) as number) && amount <= (parse(most) as number)
    return fits ? amount : { problem: `must be from ${least} to ${most}` }
  }
}

function booleanText(given: string): unknown {
  return given === 'true' ? true : given === 'false' ? false : given
}

function number(given: string): unknown {
  return /^\d+$/.test(given) ? Number(given) : given
}

function list(given: string): unknown {
  return given.split(',').map(item => item.trim())
}
