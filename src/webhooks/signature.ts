import { createHash, createHmac } from 'node:crypto'

/** What may stand in a header and in front of a full stop: what is signed must be readable in one way only. */
const ID = /^[\w-]{1,128}$/

/**
 * `webhook-signature` of Standard Webhooks 1.0.0: for each key `v1,` and the base64 of HMAC-SHA256 over
 * `id.timestamp.body`, separated by spaces.
 *
 * @param timestamp of the attempt, in seconds since the epoch
 */
export function signatureOf(
  secrets: readonly Uint8Array[],
  { id, timestamp, body }: { readonly id: string; readonly timestamp: number; readonly body: Uint8Array },
): string {
  return secrets
    .map(secret => {
      const signed = createHmac('sha256', secret).update(`${id}.${timestamp}.`).update(body)
      return `v1,${signed.digest('base64')}`
    })
    .join(' ')
}

/**
 * `webhook-id`: the same at every attempt, and after a restart. The message id, if it is letters, digits, `_` and `-`;
 * of another its hash, for a publisher chooses it; else the place of the message.
 */
export function webhookId(messageId: string | undefined, place: string): string {
  if (messageId === undefined) return `msg_${place}`
  return ID.test(messageId) ? messageId : `msg_${createHash('sha256').update(messageId).digest('base64url')}`
}
