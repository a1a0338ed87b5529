import {
  BARRIER_FORWARDS_MAX,
  BARRIER_PARTIES_MAX,
  type BarrierProperties,
  type HeaderValue,
  type MessageProperties,
} from '@sluice/protocol'
import type { JsonObject } from './json.ts'

export { showMessage } from '../../engine/shown.ts'

/*
 * A message as JSON, the same in and out (engine/shown.ts writes it):
 *
 *   {"body": "…" or "body_base64": "…", "content_type", "headers": {…}, "message_id", "correlation_id", "reply_to",
 *    "priority", "ttl", "delay", "group", "barrier": {"name", "deadline", "rest", "parties", "party", "forward"}}
 *
 * Durations are texts such as "30s". A header is a text, a number, true, false, or bytes as {"base64": "…"}.
 */

/** Reads the fields of a message; others are left for the caller to read or refuse. @throws Problem */
export function readMessage(object: JsonObject): { properties: MessageProperties; body: Uint8Array } {
  const text = object.text('body')
  const bytes = object.base64('body_base64')
  if ((text === undefined) === (bytes === undefined)) {
    throw object.mistake('body', 'or body_base64 is needed, and only one of them')
  }
  const properties = present<MessageProperties>({
    contentType: object.text('content_type'),
    headers: readHeaders(object.object('headers')),
    messageId: object.text('message_id'),
    correlationId: object.text('correlation_id'),
    replyTo: object.text('reply_to'),
    priority: object.number('priority'),
    ttlMs: object.durationMs('ttl'),
    delayMs: object.durationMs('delay'),
    group: object.text('group'),
    barrier: readBarrier(object.object('barrier')),
  })
  return { properties, body: bytes ?? Buffer.from(text ?? '') }
}

function readHeaders(object: JsonObject | undefined): Readonly<Record<string, HeaderValue>> | undefined {
  if (object === undefined) return undefined
  const headers: Record<string, HeaderValue> = Object.create(null)
  for (const name of object.names) headers[name] = readHeader(object, name)
  return headers
}

function readHeader(object: JsonObject, name: string): HeaderValue {
  const value = object.peek(name)
  if (typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value))
    return object.take(name) as HeaderValue
  const wrapped = object.object(name)
  const bytes = wrapped?.base64('base64')
  wrapped?.end()
  if (bytes === undefined) throw object.mistake(name, 'must be a text, a number, true, false or {"base64": …}')
  return bytes
}

function readBarrier(object: JsonObject | undefined): BarrierProperties | undefined {
  if (object === undefined) return undefined
  const barrier = present<BarrierProperties>({
    name: object.text('name'),
    deadlineMs: object.durationMs('deadline'),
    rest: object.oneOf('rest', ['carry', 'dead-letter', 'drop']),
    parties: object.integer('parties', { min: 1, max: BARRIER_PARTIES_MAX }),
    party: object.text('party'),
    forward: object.texts('forward', BARRIER_FORWARDS_MAX),
  })
  object.end()
  return barrier
}

/** The same without what is undefined: where the types tell absent from undefined. */
export function present<T extends object>(fields: { readonly [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T
}
