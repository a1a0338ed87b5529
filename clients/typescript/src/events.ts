import type { LinkStatus } from './link.ts'

/** What a client tells beside its answers, by event type; an event carries it as `detail`. */
export interface ClientEvents {
  /** `error`: why a client that was not closed by the program is. */
  readonly status: { readonly status: LinkStatus; readonly error?: Error }
  /** The connection is gone or an attempt failed; the next one starts after `delayMs`. `attempt` counts from 1. */
  readonly reconnecting: { readonly attempt: number; readonly delayMs: number; readonly error: Error }
  /** Everything unanswered was sent again, every subscription goes on. */
  readonly reconnected: { readonly attempts: number }
  /**
   * A message that was handed out is not its holder's any more. Without `sequence`: it was settled here meanwhile, and
   * that came too late to count.
   */
  readonly 'lease-lost': { readonly queue: string; readonly sequence?: number; readonly attempt?: number }
  /** So many barriers were released while the client was away, and the server has no record of them any more. */
  readonly 'barriers-missed': { readonly queue: string; readonly count: number }
  readonly warning: Warning
}

/**
 * - `publishing-held`: the server grants no credit now, for the reason in `detail`; publishes wait.
 * - `invalid-message`: a message did not fit the queue's schema and was rejected.
 * - `publish-refused`: messages that were published without a confirm were refused.
 * - `handler-failed`: a worker's handler, or a schema, threw; the message was nacked or rejected.
 */
export interface Warning {
  readonly code: 'publishing-held' | 'invalid-message' | 'publish-refused' | 'handler-failed'
  readonly detail: string
  readonly queue?: string
  readonly sequence?: number
  /** How many messages. */
  readonly count?: number
  readonly error?: unknown
}

/** An event of a client. */
export class ClientEvent<K extends keyof ClientEvents> extends Event {
  declare readonly type: K
  readonly detail: ClientEvents[K]

  constructor(type: K, detail: ClientEvents[K]) {
    super(type)
    this.detail = detail
  }
}
