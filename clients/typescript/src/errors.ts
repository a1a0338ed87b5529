import type { BatchRecord } from './batch.ts'
import { type ErrorCode, isRetryable } from './error-codes.ts'

/** What helps beside the code: the option or limit that said no, options that differ, the column in an expression, … */
export type ErrorFacts = Readonly<Record<string, unknown>>

/** Every error of this package but `PermanentError`. Compare `code`, not `message`; all there are is in `ERROR_CODES`. */
export class SluiceError extends Error {
  readonly code: ErrorCode
  /** The same call may succeed later. */
  readonly retryable: boolean
  readonly facts: ErrorFacts

  constructor(
    code: ErrorCode,
    detail: string,
    { facts = {}, cause }: { readonly facts?: ErrorFacts | undefined; readonly cause?: unknown } = {},
  ) {
    super(`${code}: ${detail}`, cause === undefined ? undefined : { cause })
    this.name = new.target.name
    this.code = code
    this.retryable = isRetryable(code)
    this.facts = facts
  }
}

/** The server said no. `code` is the refusal's; nothing was done. */
export class RefusedError extends SluiceError {
  constructor(code: string, detail: string, facts?: ErrorFacts, cause?: unknown) {
    super(code as ErrorCode, detail, { facts, cause })
  }
}

/** `unreachable`, `connection-lost` or `closed`. */
export class ConnectionError extends SluiceError {
  constructor(code: 'unreachable' | 'connection-lost' | 'closed', detail: string, cause?: unknown) {
    super(code, detail, { cause })
  }
}

/** `timed-out`: the time given has passed. What was awaited may still happen. */
export class TimeoutError extends SluiceError {
  constructor(detail: string, facts?: ErrorFacts) {
    super('timed-out', detail, { facts })
  }
}

/** A barrier was released, with an outcome that `wait()` was not told to accept. */
export class BatchError extends SluiceError {
  /** What `wait()` would have resolved with. */
  readonly record: BatchRecord<unknown>

  constructor(record: BatchRecord<unknown>) {
    const { name, outcome, stats } = record
    const detail = `batch ${name} ended ${outcome}: ${stats.acked} of ${stats.published} acked, ${stats.dead} dead`
    super(`batch-${outcome as Exclude<typeof outcome, 'clean'>}`, detail, { facts: { name, outcome } })
    this.record = record
  }
}

/** Throw it in a worker's handler: the message can never succeed and is dead-lettered at once, with the text as reason. */
export class PermanentError extends Error {
  override readonly name: string = 'PermanentError'
}

/** The error for a refusal as it comes over the wire; what is not a map of that shape becomes `protocol-error`. */
export function refusedError(refusal: unknown): RefusedError {
  const { code, detail, facts, ...rest } = (refusal ?? {}) as Record<string, unknown>
  if (typeof code !== 'string') return new RefusedError('protocol-error', 'the server refused without a code')
  return new RefusedError(code, typeof detail === 'string' ? detail : '', { ...rest, ...(facts as ErrorFacts | null) })
}
