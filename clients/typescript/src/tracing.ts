import type { BatchRecord } from './batch.ts'
import type { Message } from './delivery.ts'
import type { Headers } from './options.ts'

/** Who follows what clients do, such as `openTelemetry(api)`; one may serve several. */
export interface Tracing {
  /** Called once for each client. @param about its name and the URL of its server */
  client(about: { readonly name: string; readonly url: string }): ClientTracing
}

/**
 * What a client tells while it works. Each call gets the work, does it at once, once and whatever becomes of the trace,
 * and gives back what came of it. Without tracing none of this is called, and nothing is made for it.
 */
export interface ClientTracing {
  /**
   * A publish, of one message or several, or of a barrier.
   *
   * @param send publishes; what it gives to `carry` goes out with the trace
   */
  publish<T>(sending: Sending, send: (carry: Carry) => Promise<T>): Promise<T>
  /** A handler's work on a message. */
  process<T>(message: Message, handle: () => T): Promise<Awaited<T>>
  /** The wait for a barrier. */
  wait<T>(waiting: Waiting, wait: () => Promise<BatchRecord<T>>): Promise<BatchRecord<T>>
}

/** What is published by one call. */
export interface Sending {
  readonly operation: 'publish' | 'barrier'
  /** Absent: several. */
  readonly queue: string | undefined
  /** What is said of the message, where it is one. */
  readonly properties?: Carrying | undefined
  /** How many there are, where a call takes many; `unknown`: they are told by what comes of it. */
  readonly messages?: number | 'unknown'
  /** Name of the barrier. */
  readonly barrier?: string | undefined
  /** The message whose ack carries them. */
  readonly acked?: Message
}

/** A wait for a barrier of a queue. */
export interface Waiting {
  readonly queue: string
  readonly barrier: string
}

/** The part of what is said of a message that a trace may look at. */
export interface Carrying {
  readonly headers?: Headers
  readonly messageId?: string
  readonly correlationId?: string
}

/** Adds headers to what is said of a message, in a copy; those that the program gave stay as they are. */
export type Carry = <P extends Carrying | undefined>(properties: P) => P
