import { isUtf8 } from 'node:buffer'
import type { Message } from '@sluice/client'

const NEW_LINE = 0x0a
const RETURN = 0x0d
const SPACE = 0x20

/**
 * A body as a line. JSON that was written over several lines is put on one, which changes nothing of what it says;
 * other text keeps its line breaks, and `--json` is there for who needs one line each.
 */
export function lineOf(body: Uint8Array): Uint8Array {
  const trimmed = body.at(-1) === NEW_LINE ? body.subarray(0, -1) : body
  const isOneLine = trimmed.indexOf(NEW_LINE) < 0
  const line = Buffer.alloc(trimmed.length + 1, NEW_LINE)
  line.set(
    isOneLine || !isJson(trimmed)
      ? trimmed
      : trimmed.map(byte => (byte === NEW_LINE || byte === RETURN ? SPACE : byte)),
  )
  return line
}

function isJson(bytes: Uint8Array): boolean {
  try {
    JSON.parse(Buffer.from(bytes).toString())
    return true
  } catch {
    return false
  }
}

/** A message as a JSON document on one line, named as in HTTP. */
export function documentOf(message: Message<Uint8Array>): string {
  const { sequence, batch, attempt, redelivered, properties } = message
  const { messageId, contentType, correlationId, replyTo, priority, group } = properties
  const document = {
    kind: 'message',
    sequence,
    batch,
    attempt,
    redelivered,
    message_id: messageId,
    correlation_id: correlationId,
    reply_to: replyTo,
    content_type: contentType,
    priority,
    group,
    headers: properties.headers,
    ...bodyOf(message.body),
  }
  return `${JSON.stringify(document)}\n`
}

/** Text as `body`, all other bytes as `body_base64`. */
export function bodyOf(body: Uint8Array): { readonly body: string } | { readonly body_base64: string } {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  return isUtf8(bytes) ? { body: bytes.toString() } : { body_base64: bytes.toString('base64') }
}
