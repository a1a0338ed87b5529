import type { BarrierRecord, BatchSummary, QueueId, Sequence, Timestamp } from './facts.ts'
import type { Numbering } from './numbering.ts'
import type { IncomingRun, Publish, PublishAnswer } from './publishing.ts'
import type { Queue } from './queue.ts'
import type { Refusal } from './refusals.ts'
import type { SettleResult } from './settling.ts'

/** A publish carried by an ack. */
export interface CarriedPublish {
  readonly queue: Queue
  readonly publish: Publish
}

/** One queue's part of an atomic publish. */
export interface AtomicPart {
  readonly queue: Queue
  readonly publish: Publish
  readonly count: number
  readonly numbering: Numbering | undefined
}

/** The answer to a settle, claim by claim; with a refusal nothing was done. */
export interface SettleAnswer {
  readonly results: readonly (readonly SettleResult[])[]
  readonly refusal?: Refusal
  readonly published?: readonly PublishAnswer[]
}

/** What the core needs of messages and does not keep. */
export interface Lookup {
  /** When a live message came in. */
  readonly publishedAt: (queue: QueueId, sequence: Sequence) => Timestamp | undefined
  /** The record of a barrier as it goes on: with its name, and what is known of the batches it has closed. */
  readonly forwarded: (bytes: Uint8Array, batches: readonly BatchSummary[]) => Uint8Array
  /** The one message that tells the queue `to` of a barrier that `from` has released, as a message record. */
  readonly announcement: (
    from: Queue,
    record: BarrierRecord,
    to: Queue,
  ) => { readonly bytes: Uint8Array; readonly run: IncomingRun }
}
