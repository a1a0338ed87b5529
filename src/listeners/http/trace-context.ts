import type { IncomingMessage } from 'node:http'
import { HEADERS_MAX, type HeaderValue, type MessageProperties, utf8Length } from '@sluice/protocol'

/** What W3C Trace Context says in headers, of requests and of messages alike. */
export interface TraceHeaders {
  readonly traceparent: string
  readonly tracestate?: string
}

/** Version, trace, span and flags; later versions may say more behind them. All zeros mean nothing. */
const TRACEPARENT =
  /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[\x20-\x7e]{0,200})?$/
/** So much must be passed on, says the standard; more is left out. */
const TRACESTATE = /^[\x20-\x7e]{1,512}$/
/** Most bytes of headers to which a trace is added: with all else that is said of a message they are below its limit. */
const HEADERS_BYTES_MAX: number = 32 * 1024

/** The trace that a request belongs to. One that cannot be is none: it never makes a request a bad one. */
export function traceOf({ headersDistinct }: IncomingMessage): TraceHeaders | undefined {
  const [traceparent, second] = headersDistinct['traceparent'] ?? []
  if (traceparent === undefined || second !== undefined || !TRACEPARENT.test(traceparent)) return undefined
  const tracestate = headersDistinct['tracestate']?.join(',')
  return tracestate !== undefined && TRACESTATE.test(tracestate) ? { traceparent, tracestate } : { traceparent }
}

/** A message of a request with its trace, unless it says its own, or has no room for it: none is refused because of a trace. */
export function withTrace(properties: MessageProperties, trace: TraceHeaders | undefined): MessageProperties {
  if (trace === undefined) return properties
  const { headers = {} } = properties
  if ('traceparent' in headers || !hasRoom(headers)) return properties
  return { ...properties, headers: { ...trace, ...headers } }
}

function hasRoom(headers: Readonly<Record<string, HeaderValue>>): boolean {
  const entries = Object.entries(headers)
  if (entries.length + 2 > HEADERS_MAX) return false
  let bytes = 0
  for (const [name, value] of entries) bytes += utf8Length(name) + sizeOf(value)
  return bytes <= HEADERS_BYTES_MAX
}

function sizeOf(value: HeaderValue): number {
  if (typeof value === 'string') return utf8Length(value)
  return value instanceof Uint8Array ? value.length : 8
}
