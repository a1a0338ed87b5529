import { BatchError, SluiceError } from '@sluice/client'
import { exitCodeOf } from './batch.ts'
import { INTERRUPTED, NOT_FOUND, NOT_REACHABLE, REFUSED, Stop, TIMED_OUT, UNEXPECTED } from './exit.ts'
import { Interrupted } from './interrupt.ts'
import type { Shell } from './io.ts'
import { handshakeAdvice } from './tls.ts'

/** What went wrong, in words for the person who typed the command, and the exit code for the script. */
export interface Explanation {
  readonly exitCode: number
  readonly message: string
  /** What to do next, a line each. */
  readonly next: readonly string[]
}

export function explain(error: unknown, shell: Shell): Explanation {
  if (error instanceof Stop) return error
  if (error instanceof Interrupted) return { exitCode: INTERRUPTED, message: 'interrupted', next: [] }
  if (error instanceof BatchError)
    return { exitCode: exitCodeOf(error.record.outcome), message: error.message, next: [] }
  if (error instanceof SluiceError) return explainCode(error, shell)
  const message = error instanceof Error ? error.message : String(error)
  return { exitCode: UNEXPECTED, message: `unexpected: ${message}`, next: [] }
}

function explainCode(error: SluiceError, shell: Shell): Explanation {
  const handshake = handshakeAdvice(error.cause)
  const advice = handshake === undefined ? (ADVICE[error.code] ?? (() => []))(shell) : [handshake]
  return { exitCode: EXIT_CODES[error.code] ?? REFUSED, message: error.message, next: advice }
}

/** All other codes are refusals: 4. */
const EXIT_CODES: Readonly<Record<string, number>> = {
  'no-such-queue': NOT_FOUND,
  'no-such-barrier': NOT_FOUND,
  'no-such-message': NOT_FOUND,
  'no-such-token': NOT_FOUND,
  'queue-deleted': NOT_FOUND,
  unreachable: NOT_REACHABLE,
  'connection-lost': NOT_REACHABLE,
  closed: NOT_REACHABLE,
  'shutting-down': NOT_REACHABLE,
  'timed-out': TIMED_OUT,
}

const ADVICE: Readonly<Record<string, (shell: Shell) => readonly string[]>> = {
  'no-such-queue': () => ['see which there are: sluice queue list', 'or make it:          sluice queue declare NAME'],
  'no-such-barrier': () => ['see which there are: sluice barrier list QUEUE'],
  unreachable: shell => [
    `is a server running at ${shell.url}? Start one with: sluice serve`,
    'or say where it is with --url or $SLUICE_URL',
  ],
  unauthenticated: () => ['give a token with $SLUICE_TOKEN, $SLUICE_TOKEN_FILE, --token-file or --token'],
  'not-allowed': () => ['give another token, or have this one allow it: sluice token create NAME --allow RIGHT:QUEUE'],
  'no-such-token': () => ['see which there are: sluice token list'],
  'no-dedupe-window': () => [
    'repeated ids are left out by a queue with a dedupe window: sluice queue update NAME --dedupe-window 24h',
  ],
  'barrier-exists': () => ['a barrier name is used once; choose another with --barrier=NAME'],
  'not-released': () => [
    'wait for it: sluice wait QUEUE BARRIER',
    'or see what holds it: sluice barrier holdouts QUEUE BARRIER',
  ],
  'queue-mismatch': () => [
    'see what it is like now: sluice queue show NAME',
    'or change it:            sluice queue update NAME --OPTION VALUE',
  ],
  'bad-filter': () => ['try it: sluice filter test EXPR --body JSON'],
}
