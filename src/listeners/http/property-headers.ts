import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import type { HeaderValue, MessageProperties } from '@sluice/protocol'
import { parseDuration } from '../../engine/units.ts'
import { present } from './message-json.ts'
import { badRequest } from './problem.ts'
import { DURATION, header, NUMBER, type Parameter, TEXT } from './schema.ts'
import { type TraceHeaders, traceOf } from './trace-context.ts'

const HEADER_PREFIX = 'sluice-header-'

/** Headers that carry a property, beside `Sluice-Header-*`. */
const PROPERTY_HEADERS = [
  'sluice-priority',
  'sluice-delay',
  'sluice-ttl',
  'sluice-group',
  'sluice-barrier',
  'sluice-correlation-id',
  'sluice-reply-to',
] as const

/** The same, for those who read about them; beside these come any `Sluice-Header-NAME`. */
export const PROPERTY_PARAMETERS: readonly Parameter[] = [
  header('Idempotency-Key', TEXT, 'Message id; the queue must have a dedupe_window'),
  header('Sluice-Priority', NUMBER, 'Higher goes first'),
  header('Sluice-Delay', DURATION, 'Out of sight for so long'),
  header('Sluice-Ttl', DURATION, 'Expires after so long'),
  header('Sluice-Group', TEXT, 'One message of a group at a time, in order'),
  header('Sluice-Barrier', TEXT, 'The message is a barrier, of this name'),
  header('Sluice-Correlation-Id', TEXT, 'Kept with the message'),
  header('Sluice-Reply-To', TEXT, 'Kept with the message'),
  header('Traceparent', TEXT, 'W3C trace context: a header of the message too, unless it has one'),
  header('Tracestate', TEXT, 'Kept with it'),
]

/** Properties that a request gives in its headers. */
export interface HeaderProperties {
  /** Without content type and message id, which mean other things for a message than for many. */
  readonly properties: MessageProperties
  readonly contentType?: string
  /** `Idempotency-Key`. */
  readonly messageId?: string
  /** Where the request comes from, for messages that do not say it themselves. */
  readonly trace?: TraceHeaders
}

/**
 * Reads the properties of a publish. Values are UTF-8, as `curl -H 'Sluice-Group: Zürich'` sends them. Names of
 * `Sluice-Header-*` come out in lower case, for that is how proxies pass them on.
 *
 * @throws Problem for a value that cannot be, a header given twice, and a `Sluice-*` header that is unknown: a message
 *   must not be taken without what its publisher said of it (P6)
 */
export function readPropertyHeaders(request: IncomingMessage): HeaderProperties {
  const given = givenHeaders(request.rawHeaders)
  const contentType = request.headers['content-type']
  const trace = traceOf(request)
  // As from most: then the rest would be for nothing.
  if (given.size === 0) return present<HeaderProperties>({ properties: {}, contentType, messageId: undefined, trace })
  for (const name of given.keys()) {
    const known =
      name === 'idempotency-key' || name.startsWith(HEADER_PREFIX) || PROPERTY_HEADERS.some(own => own === name)
    if (!known) throw badRequest(`unknown header ${name}`, { header: name })
  }
  const barrier = given.get('sluice-barrier')
  return present<HeaderProperties>({
    properties: present<MessageProperties>({
      headers: messageHeaders(given),
      correlationId: filled(given, 'sluice-correlation-id'),
      replyTo: filled(given, 'sluice-reply-to'),
      priority: priority(given),
      ttlMs: duration(given, 'sluice-ttl'),
      delayMs: duration(given, 'sluice-delay'),
      group: filled(given, 'sluice-group'),
      // Without a value: a barrier without a name.
      barrier: barrier === undefined ? undefined : barrier === '' ? {} : { name: barrier },
    }),
    contentType,
    messageId: filled(given, 'idempotency-key'),
    trace,
  })
}

/** @param raw names and values in turn */
function givenHeaders(raw: readonly string[]): Map<string, string> {
  const given = new Map<string, string>()
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase()
    if (!name.startsWith('sluice-') && name !== 'idempotency-key') continue
    if (given.has(name)) {
      const times = raw.filter((other, k) => k % 2 === 0 && other.toLowerCase() === name).length
      throw badRequest(`${name} is given ${times} times`, { header: name })
    }
    given.set(name, asUtf8(name, raw[i + 1] ?? ''))
  }
  return given
}

function messageHeaders(given: ReadonlyMap<string, string>): Readonly<Record<string, HeaderValue>> | undefined {
  const headers: Record<string, HeaderValue> = Object.create(null)
  for (const [name, value] of given) {
    if (name.startsWith(HEADER_PREFIX)) headers[name.slice(HEADER_PREFIX.length)] = value
  }
  return Object.keys(headers).length === 0 ? undefined : headers
}

function filled(given: ReadonlyMap<string, string>, name: string): string | undefined {
  const value = given.get(name)
  if (value === '') throw badRequest(`${name} is empty`, { header: name })
  return value
}

function priority(given: ReadonlyMap<string, string>): number | undefined {
  const value = given.get('sluice-priority')
  if (value === undefined) return undefined
  if (/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(value) && Number.isFinite(Number(value))) return Number(value)
  throw badRequest('sluice-priority must be a number', { header: 'sluice-priority' })
}

function duration(given: ReadonlyMap<string, string>, name: string): number | undefined {
  const value = given.get(name)
  if (value === undefined) return undefined
  const ms = parseDuration(value)
  if (typeof ms === 'number') return ms
  throw badRequest(`${name}: ${ms.problem}`, { header: name })
}

/** Node reads headers as Latin-1: the bytes are got back and read as what they are. */
function asUtf8(name: string, value: string): string {
  const bytes = Buffer.from(value, 'latin1')
  if (!isUtf8(bytes)) throw badRequest(`${name} is not UTF-8`, { header: name })
  return bytes.toString('utf8')
}
