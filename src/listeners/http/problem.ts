import { STATUS_CODES } from 'node:http'
import { ProtocolError } from '@sluice/protocol'
import type { Refusal } from '../../engine/peer.ts'
import type { Reply } from './exchange.ts'

/** What only this listener says no to. */
type HttpCode =
  | 'no-such-route'
  | 'no-such-message'
  | 'no-such-token'
  | 'no-such-connection'
  | 'invalid-token'
  | 'token-exists'
  | 'too-many-tokens'
  | 'too-many-streams'
  | 'folder-not-usable'
  | 'method-not-allowed'
  | 'unsupported-media-type'
  | 'request-too-large'
  | 'request-timeout'
  | 'lines-refused'
  | 'too-many-publishes'
  | 'expectation-failed'
  | 'foreign-origin'
  | 'wrong-host'
  | 'internal-error'

export type ProblemCode = Refusal['code'] | HttpCode

/** Status of each refusal: one that is new in the core does not compile until it is here. */
export const STATUS_OF: Readonly<Record<ProblemCode, number>> = {
  'invalid-request': 400,
  'invalid-options': 400,
  unauthenticated: 401,
  'not-allowed': 403,
  'foreign-origin': 403,
  'no-such-queue': 404,
  'no-such-barrier': 404,
  'queue-deleted': 404,
  'no-such-message': 404,
  'no-such-token': 404,
  'no-such-connection': 404,
  'invalid-token': 400,
  'token-exists': 409,
  'too-many-tokens': 429,
  'too-many-streams': 429,
  'folder-not-usable': 409,
  'no-such-route': 404,
  'method-not-allowed': 405,
  'request-timeout': 408,
  'queue-mismatch': 409,
  'queue-in-use': 409,
  'barrier-exists': 409,
  'barrier-mismatch': 409,
  'not-released': 409,
  'lease-lost': 409,
  'already-settled': 409,
  'producer-taken-over': 409,
  'protocol-error': 400,
  'message-too-large': 413,
  'request-too-large': 413,
  'unsupported-media-type': 415,
  'expectation-failed': 417,
  'wrong-host': 421,
  'not-accepted': 422,
  'invalid-message': 422,
  'no-dedupe-window': 422,
  'bad-filter': 422,
  'lines-refused': 422,
  'queue-full': 429,
  'too-many-barriers': 429,
  'too-many-subscriptions': 429,
  'too-many-queues': 429,
  'too-many-publishes': 429,
  'internal-error': 500,
  'server-busy': 503,
  'shutting-down': 503,
  'timed-out': 504,
  disconnected: 503,
}

/** What is worth a try in a second: consumers drain, a disk is freed, a server starts again. */
const RETRY_AFTER_SECONDS = '1'

/** What helps to find the mistake or to go on: `parameter`, `header`, `field`, `line`, `column`, `limit`, `differs`, … */
export type ProblemFacts = Readonly<Record<string, unknown>>

/**
 * Ends a request with an answer other than success. Thrown while untrusted input is read, at any depth, and turned
 * into a reply in one place.
 */
export class Problem extends Error {
  readonly code: ProblemCode
  readonly facts: ProblemFacts
  readonly headers: Readonly<Record<string, string>>

  constructor(
    code: ProblemCode,
    detail: string,
    facts: ProblemFacts = {},
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(detail)
    this.name = 'Problem'
    this.code = code
    this.facts = facts
    this.headers = headers
  }

  static of(refusal: Refusal, facts: ProblemFacts = {}): Problem {
    return new Problem(refusal.code, refusal.detail, { ...refusal.facts, ...facts })
  }

  /** The same, with more that helps. */
  with(facts: ProblemFacts): Problem {
    return new Problem(this.code, this.message, { ...this.facts, ...facts }, this.headers)
  }
}

/** The request says something that cannot be: a value, a name, a form. */
export function badRequest(detail: string, facts?: ProblemFacts): Problem {
  return new Problem('invalid-request', detail, facts)
}

/** `application/problem+json` of RFC 9457; `code` stands for its `type`. */
export function problemReply(problem: Problem): Reply {
  const status = STATUS_OF[problem.code]
  const fixed = { title: STATUS_CODES[status], status, code: problem.code, detail: problem.message }
  const retry = status === 429 || status === 503 ? { 'retry-after': RETRY_AFTER_SECONDS } : {}
  return {
    status,
    headers: { 'content-type': 'application/problem+json', ...retry, ...problem.headers },
    // Twice: first in the text, and not to be replaced by a fact of the same name.
    json: { ...fixed, ...problem.facts, ...fixed },
  }
}

/** Of the answers that may be a refusal, the one that is. */
export function isRefusal(answer: object): answer is Refusal {
  return 'code' in answer && 'detail' in answer
}

/** The answer, if it is none. @throws Problem */
export function accepted<T extends object>(answer: T | Refusal): T {
  if (isRefusal(answer)) throw Problem.of(answer)
  return answer
}

/** Runs an encoder of the protocol; what it does not take is the message's fault. @throws Problem */
export function encoding<T>(encode: () => T): T {
  try {
    return encode()
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    throw new Problem(error.code === 'message-too-large' ? 'message-too-large' : 'invalid-message', error.detail)
  }
}
