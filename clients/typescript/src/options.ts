import type { HeaderValue, MessageProperties } from '@sluice/protocol'
import type { BackoffOptions } from './backoff.ts'
import type { SocketFactory, TlsOptions } from './socket.ts'
import type { Timers } from './timers.ts'
import type { Tracing } from './tracing.ts'

/** How a client connects, and what it holds at once. */
export interface ConnectOptions {
  /** Shown to operators. Default `sdk`. */
  readonly name?: string
  /** Secret of a token, for a server with `auth = "tokens"`. Default: none. */
  readonly token?: string
  /**
   * Who publishes: 32 hex digits, by default random (P9). One connection at a time may use it: a second one ends the first
   * with `producer-taken-over`.
   */
  readonly producer?: string
  /** Deliveries that each subscription may have unsettled at once, 0 … 65,535. Default 100. */
  readonly prefetch?: number
  /**
   * Publishes that may be on their way without a confirm: default 10,000 messages (at most 50,000) and 4 MiB. What is published beyond it
   * waits here, in memory; `publishMany` waits for room instead.
   */
  readonly window?: { readonly messages?: number; readonly bytes?: number }
  readonly backoff?: BackoffOptions
  /** Time from the first step of a connection until the server has greeted, in ms. Default 10,000. */
  readonly connectTimeoutMs?: number
  /** Silence after which a sign of life is asked for, 5,000 … 120,000 ms. Default: the server's. */
  readonly heartbeatMs?: number
  /** Certificates, in Node; a function is asked for each connection, so that renewed ones are used. Default: the CAs of Node. */
  readonly tls?: TlsOptions | (() => TlsOptions)
  /** Who follows publishes, handlers and waits: `openTelemetry(api)`. Default nobody. */
  readonly tracing?: Tracing
  /** Opens the connection; default WebSocket. */
  readonly socket?: SocketFactory
  /** For tests. */
  readonly timers?: Timers
  /** For tests: numbers from 0 to below 1. */
  readonly random?: () => number
}

/** What is said of a message beside its body. */
export interface PublishOptions extends Omit<MessageProperties, 'barrier'> {
  /** Name of the message: a repetition within the queue's dedupe window is confirmed as duplicate and enqueues nothing. */
  readonly messageId?: string
  /** Insist on dedupe: refused `no-dedupe-window` on a queue that has none. */
  readonly dedupe?: boolean
  /** When the promise resolves: `durable` (default) when the message is on disk, `accepted` when it is on its way there. */
  readonly confirm?: 'durable' | 'accepted'
}

/** On at-most-once queues only: resolves when the message is sent, and nobody says what became of it. A refusal is a `warning`. */
export interface UnconfirmedOptions extends Omit<PublishOptions, 'confirm'> {
  readonly confirm: 'none'
}

/** How many are published at once, and who hears of it. */
export interface PublishManyOptions<T> {
  /** Most messages in one frame, and how often progress is told, 1 … 10,000. Default 500. */
  readonly chunk?: number
  /** Stops taking more; the promise rejects with its reason. What was taken is still published. */
  readonly signal?: AbortSignal
  /** How many bodies so far, told whenever `chunk` more are answered, and at the end. */
  readonly onProgress?: (progress: {
    readonly taken: number
    readonly confirmed: number
    readonly refused: number
  }) => void
  /** Properties of each message. */
  readonly options?: (body: T, index: number) => PublishOptions | UnconfirmedOptions | undefined
  /**
   * Called for each message that was refused, and the others go on. Without it the first refusal stops the taking and the
   * promise rejects with it once all that was taken is answered.
   */
  readonly onRefused?: (refused: { readonly index: number; readonly error: Error }) => void
}

/** What is said of a barrier. */
export interface BarrierOptions {
  /** Used once per queue; default: the barrier is known as `@` and its sequence number. */
  readonly name?: string
  /** At most 64 KiB, in the queue's codec; default none. */
  readonly body?: unknown
  /** The batch ends with outcome `expired` if it is not done so long after the publish, in ms. */
  readonly deadlineMs?: number
  /** What then happens to the rest; default the queue's `deadlineRest`. */
  readonly deadlineRest?: 'carry' | 'dead-letter' | 'drop'
  /** How many parties must publish this barrier before it has a place (B14). */
  readonly parties?: number
  /** Name of this one. */
  readonly party?: string
  /** Queues to which the released barrier goes on. */
  readonly forward?: readonly (string | { readonly name: string })[]
  /** Publish it although an earlier publish was refused. */
  readonly force?: boolean
}

/** What a consumer gets, and how much at once. */
export interface ConsumeOptions {
  /** Deliveries that may be unsettled at once, 0 … the queue's `prefetchMax`; 0 gets barriers only. Default the client's. */
  readonly prefetch?: number
  /** Only messages (and barriers) that match. */
  readonly filter?: string
  /** How long a message may stay unsettled, in ms; default the queue's. */
  readonly leaseMs?: number
  /** Ends the loop, as `break` does, also a `next()` that waits. */
  readonly signal?: AbortSignal
  /** How many messages are worked on at once: only so many count as attempts if this process dies (D6). Default 1. */
  readonly concurrency?: number
  /** False: messages only. Default true. */
  readonly barriers?: boolean
}

/** Options of a queue; those not given keep the server's default. Durations in ms, sizes in bytes. `docs/guarantees.md` tells what each does. */
export interface QueueOptions {
  readonly semantics?: 'at-least-once' | 'at-most-once'
  readonly barrier?: string
  readonly barriersMax?: number
  readonly barrierRecords?: number
  readonly onDead?: 'count' | 'hold' | 'fail'
  readonly deadlineRest?: 'carry' | 'dead-letter' | 'drop'
  readonly forwardBarrier?: readonly string[]
  /** Queue into which the record of each released barrier is published, in the commit of its release. */
  readonly announce?: string
  readonly filter?: string
  /** An expression, or `property`. */
  readonly priority?: string
  /** An expression, or `property`. */
  readonly group?: string
  readonly leaseMs?: number
  readonly acks?: 'holder' | 'any'
  readonly prefetchMax?: number
  readonly prefetchBytes?: number
  readonly unackedMax?: number
  readonly fairness?: 'proportional' | 'round-robin' | 'fast'
  readonly deliveriesMax?: number
  readonly retryDelayMs?: number
  readonly retryDelay?: {
    readonly baseMs: number
    readonly factor?: number
    readonly maxMs?: number
    readonly jitter?: boolean
  }
  /** Name of a queue, or `drop`. */
  readonly deadLetter?: string
  readonly expirationMs?: number
  readonly messagesMax?: number
  readonly bytesMax?: number
  readonly overflow?: 'refuse' | 'drop-oldest' | 'dead-letter-oldest'
  readonly dedupeWindowMs?: number
  readonly dedupeMax?: number
}

/** Options to change; `null` takes one away that has `none`. */
export type QueueUpdate = { readonly [K in keyof QueueOptions]: QueueOptions[K] | null }

/** Headers of a message, by name. */
export type Headers = Readonly<Record<string, HeaderValue>>
