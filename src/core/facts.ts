import type { QueueOptions } from './options.ts'

/** Place of a message in its queue: from 1, rising, never used again. */
export type Sequence = number
/** Number of a queue inside one data folder: from 1, never used again, so a queue declared anew is another one. */
export type QueueId = number
/** How many barriers were published to the queue before a message: from 0. A barrier has the number of the batch it closes. */
export type BatchNumber = number
/** Milliseconds since the epoch. */
export type Timestamp = number
/** Number of a turn: one command and all that followed from it. From 1; everything restored rests on turn 0. */
export type TurnNumber = number

/** Why a message left its queue. */
export type SettledReason = 'acked' | 'expired' | 'dead-lettered' | 'dropped' | 'purged'

/** Why a message was moved to the dead letters. */
export type DeadReason =
  | 'deliveries'
  | 'rejected'
  | 'expired'
  | 'overflow'
  | 'batch-failed'
  | 'batch-cancelled'
  | 'batch-expired'

/** What a dead letter tells of where it comes from (A5). */
export interface DeadLetterOrigin {
  readonly queue: string
  readonly sequence: Sequence
  readonly batch: BatchNumber
  readonly attempts: number
  readonly publishedAt: Timestamp
  readonly deadAt: Timestamp
  readonly reason: DeadReason
  /** What the consumer said when it rejected the message. */
  readonly detail?: string
}

/** Messages next to one another that are alike in what the queue must know of them. */
export interface EnqueuedRun {
  readonly count: number
  readonly priority?: number
  readonly group?: string
  /** Out of sight until then. */
  readonly dueAt?: Timestamp
  readonly expiresAt?: Timestamp
  readonly origin?: DeadLetterOrigin
}

/** Counts and times of a batch; `published` counts messages, not the barrier. */
export interface BatchStats {
  readonly published: number
  readonly acked: number
  readonly dead: number
  readonly expired: number
  readonly dropped: number
  readonly carried: number
  readonly firstPublishedAt?: Timestamp
  readonly lastSettledAt?: Timestamp
}

export type BarrierOutcome = 'clean' | 'with-dead' | 'failed' | 'cancelled' | 'expired'

/** What stays of a released barrier (B10). */
export interface BarrierRecord {
  readonly sequence: Sequence
  /** Number of the batch it closed. */
  readonly batch: BatchNumber
  readonly name?: string
  readonly outcome: BarrierOutcome
  readonly stats: BatchStats
  readonly publishedAt: Timestamp
  readonly releasedAt: Timestamp
  /** One message record (`@sluice/protocol`, message.ts): properties and body. */
  readonly bytes: Uint8Array
}

/** Answer that a range of a producer's numbers got, kept until the producer says it has it (P9). */
export interface ProducerAnswer {
  /** First of the producer's numbers, and how many. */
  readonly first: number
  readonly count: number
  /** Sequence and batch number of the first of them; of a refused range 0. */
  readonly sequence: Sequence
  readonly batch: BatchNumber
  /** Code of the refusal, for a refused range. */
  readonly refusal?: string
}

/**
 * What was decided and is kept. All facts of a turn become durable together.
 * Facts are plain data about ranges of sequence numbers; they hold no reference to anything the core changes later.
 */
export type Fact =
  /** First fact of every restore. `start` rises with each start of the server on this data; `clean`: the stop before it was. */
  | { readonly kind: 'started'; readonly start: number; readonly clean: boolean }
  /** Also an update of options: the last one counts. */
  | {
      readonly kind: 'queueDeclared'
      readonly queue: QueueId
      readonly name: string
      readonly options: QueueOptions
      readonly paused: boolean
      readonly at: Timestamp
    }
  /** Everything of that queue goes. */
  | { readonly kind: 'queueDeleted'; readonly queue: QueueId }
  /**
   * Messages `first` … `first + count - 1` came in. `bytes` are their message records one after another, exactly as
   * they came over the wire; the journal owns the buffer from here on. Absent when restored (bodies stay on disk).
   * `runs`, if there, add up to `count`; without it all are plain.
   */
  | {
      readonly kind: 'enqueued'
      readonly queue: QueueId
      readonly first: Sequence
      readonly count: number
      readonly batch: BatchNumber
      readonly at: Timestamp
      readonly runs?: readonly EnqueuedRun[]
      readonly bytes?: Uint8Array
      /** Of a restored range: bytes of the bodies, for the limits; an estimate where a row is partly settled. */
      readonly bodyBytes?: number
    }
  /** May span several `enqueued` ranges. Never names a message twice. */
  | {
      readonly kind: 'settled'
      readonly queue: QueueId
      readonly first: Sequence
      readonly count: number
      readonly reason: SettledReason
    }
  /** Was delivered and came back: `attempts` counted so far (0 is possible: released untouched). The last one counts. */
  | {
      readonly kind: 'returned'
      readonly queue: QueueId
      readonly first: Sequence
      readonly count: number
      readonly attempts: number
      readonly dueAt?: Timestamp
    }
  /** A dead letter: out of one queue and into the other, in one fact so that half of it cannot be kept. The journal carries the bytes over. */
  | {
      readonly kind: 'moved'
      readonly queue: QueueId
      readonly sequence: Sequence
      readonly to: QueueId
      readonly toSequence: Sequence
      readonly toBatch: BatchNumber
      readonly at: Timestamp
      readonly origin: DeadLetterOrigin
    }
  /** Counts of a batch that is not released yet; the last one counts. Also keeps the queue's next sequence number: the highest of all rows is right. */
  | {
      readonly kind: 'batchCounted'
      readonly queue: QueueId
      readonly batch: BatchNumber
      readonly nextSequence: Sequence
      readonly stats: BatchStats
    }
  | {
      readonly kind: 'barrierPublished'
      readonly queue: QueueId
      readonly sequence: Sequence
      readonly batch: BatchNumber
      readonly name?: string
      readonly at: Timestamp
      readonly bytes: Uint8Array
    }
  /** The waiting barrier and the counts of its batch make place for its record. */
  | { readonly kind: 'barrierReleased'; readonly queue: QueueId; readonly record: BarrierRecord }
  /** The record went, to keep at most `barrier_records`. */
  | { readonly kind: 'barrierForgotten'; readonly queue: QueueId; readonly sequence: Sequence }
  /** Last number taken of a producer in a queue, and the answers it may still ask for again. The last one counts. */
  | {
      readonly kind: 'producerTaken'
      readonly producer: string
      readonly queue: QueueId
      readonly last: number
      readonly answers: readonly ProducerAnswer[]
      readonly at: Timestamp
    }
  | { readonly kind: 'producerForgotten'; readonly producer: string; readonly queue: QueueId }
