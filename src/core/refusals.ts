/** Every "no" of the queue rules. Listeners map each to a code of their own; a missing one does not compile. */
export type RefusalCode =
  | 'no-such-queue'
  | 'no-such-barrier'
  | 'queue-mismatch'
  | 'queue-in-use'
  | 'queue-deleted'
  | 'queue-full'
  | 'message-too-large'
  | 'not-accepted'
  | 'not-allowed'
  | 'invalid-message'
  | 'invalid-options'
  | 'invalid-request'
  | 'no-dedupe-window'
  | 'too-many-barriers'
  | 'barrier-exists'
  | 'barrier-mismatch'
  | 'bad-filter'
  | 'lease-lost'
  | 'already-settled'
  | 'too-many-subscriptions'
  | 'too-many-queues'
  | 'timed-out'
  | 'server-busy'
  | 'shutting-down'
  | 'producer-taken-over'
  | 'unauthenticated'
  | 'protocol-error'
  | 'disconnected'
  | 'not-released'

/** A command's answer "no". `detail` is a sentence for people; the other fields say what helps. */
export interface Refusal {
  readonly code: RefusalCode
  readonly detail: string
  /** Option or limit that said no, its value, options that differ, column in an expression, … */
  readonly facts?: Readonly<Record<string, string | number | readonly string[]>>
}

export function refuse(code: RefusalCode, detail: string, facts?: Refusal['facts']): Refusal {
  return facts === undefined ? { code, detail } : { code, detail, facts }
}
