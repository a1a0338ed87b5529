/** What a refusal ends, and whether asking again can help. */
export interface RefusalKind {
  readonly scope: 'request' | 'subscription' | 'connection'
  readonly retry: 'never' | 'later'
}

/** Every "no" that a client can hear, on any wire. Codes are for ever: new ones are added at the end. */
export const REFUSALS = {
  'no-such-queue': { scope: 'request', retry: 'never' },
  'no-such-barrier': { scope: 'request', retry: 'never' },
  'queue-mismatch': { scope: 'request', retry: 'never' },
  'queue-in-use': { scope: 'request', retry: 'never' },
  'queue-deleted': { scope: 'subscription', retry: 'never' },
  'queue-full': { scope: 'request', retry: 'later' },
  'message-too-large': { scope: 'request', retry: 'never' },
  'not-accepted': { scope: 'request', retry: 'never' },
  'not-allowed': { scope: 'request', retry: 'never' },
  'invalid-message': { scope: 'request', retry: 'never' },
  'invalid-options': { scope: 'request', retry: 'never' },
  'invalid-request': { scope: 'request', retry: 'never' },
  'no-dedupe-window': { scope: 'request', retry: 'never' },
  'too-many-barriers': { scope: 'request', retry: 'later' },
  'barrier-exists': { scope: 'request', retry: 'never' },
  'barrier-mismatch': { scope: 'request', retry: 'never' },
  'bad-filter': { scope: 'request', retry: 'never' },
  'lease-lost': { scope: 'request', retry: 'never' },
  'already-settled': { scope: 'request', retry: 'never' },
  'too-many-subscriptions': { scope: 'request', retry: 'later' },
  'timed-out': { scope: 'request', retry: 'later' },
  'server-busy': { scope: 'request', retry: 'later' },
  'shutting-down': { scope: 'connection', retry: 'later' },
  unauthenticated: { scope: 'connection', retry: 'never' },
  'unsupported-version': { scope: 'connection', retry: 'never' },
  'protocol-error': { scope: 'connection', retry: 'never' },
  'producer-taken-over': { scope: 'connection', retry: 'never' },
  'too-slow': { scope: 'connection', retry: 'later' },
  'too-many-queues': { scope: 'request', retry: 'later' },
  disconnected: { scope: 'connection', retry: 'later' },
  'not-released': { scope: 'request', retry: 'later' },
} as const

export type RefusalCode = keyof typeof REFUSALS

/** What a code means, if it is known: a server may be newer than its client. */
export function refusalKind(code: string): RefusalKind | undefined {
  return Object.hasOwn(REFUSALS, code) ? REFUSALS[code as RefusalCode] : undefined
}
