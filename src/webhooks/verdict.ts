/** How a request ended. */
export type Answer =
  | { readonly kind: 'answered'; readonly status: number; readonly retryAfter: string | undefined }
  | { readonly kind: 'timeout' }
  /** `code`: of the error, such as `ECONNREFUSED`. */
  | { readonly kind: 'unreachable'; readonly code: string }

/** Why a message was not taken: `rejected` for good; for now by its `status`, a `timeout`, or because nobody was there. */
export type FailureReason = 'rejected' | 'status' | 'timeout' | 'unreachable'

export type Verdict =
  | { readonly kind: 'delivered' }
  | { readonly kind: 'rejected'; readonly status: number }
  /** `afterMs`: the receiver wants nothing sooner. */
  | { readonly kind: 'failed'; readonly reason: Exclude<FailureReason, 'rejected'>; readonly afterMs?: number }

/** Statuses of 400 to 499 that are about the moment and not about the message. */
const FOR_NOW: readonly number[] = [408, 409, 425, 429]
/** `Retry-After: 0` is no invitation to spin, and one of years none to wait for ever. */
const AFTER_MS_MIN = 1_000
const AFTER_MS_MAX = 3_600_000

/** What an answer says of a message: taken, never to be taken, or to be tried again. A redirect is not followed. */
export function verdictOf(answer: Answer, now: number): Verdict {
  if (answer.kind !== 'answered') return { kind: 'failed', reason: answer.kind }
  const { status } = answer
  if (status >= 200 && status <= 299) return { kind: 'delivered' }
  if (status >= 400 && status <= 499 && !FOR_NOW.includes(status)) return { kind: 'rejected', status }
  const afterMs = retryAfterMs(answer.retryAfter, now)
  return { kind: 'failed', reason: 'status', ...(afterMs === undefined ? {} : { afterMs }) }
}

/** Seconds, or a date (RFC 9110, 10.2.3); undefined when it is neither. */
function retryAfterMs(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined
  const ms = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - now
  return Number.isNaN(ms) ? undefined : Math.min(AFTER_MS_MAX, Math.max(AFTER_MS_MIN, ms))
}
