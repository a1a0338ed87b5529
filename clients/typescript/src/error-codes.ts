import { REFUSALS, type RefusalCode } from '@sluice/protocol'

/** What an error code says, whatever the sentence beside it. */
export interface ErrorKind {
  /** Who says so: the server, of which the codes are on every wire, or the SDK alone. */
  readonly from: 'server' | 'sdk'
  /** Whether the same call may succeed later. */
  readonly retry: 'never' | 'later'
}

/**
 * Every `code` of a SluiceError: those of the server, and the SDK's own. A server that is newer than its client may say others.
 *
 * - `unreachable`: no server answered at the first connect, or not within the attempts that `backoff.attemptsMax` allows.
 * - `connection-lost`: the connection went while an answer was awaited that must not be asked for twice. Outcome unknown.
 * - `closed`: the client was closed, by the program or by a refusal of the server's (then in `cause`).
 * - `batch-incomplete`: a publish before the barrier was refused, so the barrier was not published.
 * - `batch-with-dead`, `batch-failed`, `batch-cancelled`, `batch-expired`: a barrier was released with that outcome.
 */
export type ErrorCode =
  | RefusalCode
  | 'unreachable'
  | 'connection-lost'
  | 'closed'
  | 'batch-incomplete'
  | 'batch-with-dead'
  | 'batch-failed'
  | 'batch-cancelled'
  | 'batch-expired'

const OWN: Readonly<Record<Exclude<ErrorCode, RefusalCode>, ErrorKind['retry']>> = {
  unreachable: 'later',
  'connection-lost': 'later',
  closed: 'never',
  'batch-incomplete': 'never',
  'batch-with-dead': 'never',
  'batch-failed': 'never',
  'batch-cancelled': 'never',
  'batch-expired': 'never',
}

/** All codes of this version: those of the server in the order in which they came, then the SDK's own. */
export const ERROR_CODES: Readonly<Record<ErrorCode, ErrorKind>> = Object.fromEntries([
  ...Object.entries(REFUSALS).map(([code, { retry }]) => [code, { from: 'server', retry }]),
  ...Object.entries(OWN).map(([code, retry]) => [code, { from: 'sdk', retry }]),
])

/** Of a code that is not known: that it is pointless to try again. */
export function isRetryable(code: string): boolean {
  return Object.hasOwn(ERROR_CODES, code) && ERROR_CODES[code as ErrorCode].retry === 'later'
}
