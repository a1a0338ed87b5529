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
  readonly queueId: QueueId
  readonly sequence: Sequence
  readonly batch: BatchNumber
  readonly attempts: number
  readonly publishedAt: Timestamp
  readonly deadAt: Timestamp
  readonly reason: DeadReason
  /** What the consumer said when it rejected the message. */
  readonly detail?: string
  /** What it gets back when it is requeued. */
  readonly priority?: number
  readonly group?: string
}

/** For whose quota messages count: they keep it wherever they go. */
export interface Owned {
  readonly owner: string
  /** What each of them counts. */
  readonly bytes: number
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
  /** Absent: nobody's quota is concerned. */
  readonly owned?: Owned
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

/** From the best to the worst: of a join the worst of its parts wins. */
export const OUTCOMES = ['clean', 'with-dead', 'expired', 'cancelled', 'failed'] as const
export type BarrierOutcome = (typeof OUTCOMES)[number]

/** What happens to the rest of a batch that is ended early. */
export type BatchRest = 'carry' | 'dead-letter' | 'drop'

/** What a forwarded barrier tells of a batch it has closed. */
export interface BatchSummary {
  readonly queue: string
  readonly outcome: BarrierOutcome
  /** Absent of a queue that was deleted before its batch was done. */
  readonly batch?: BatchNumber
  readonly sequence?: Sequence
  readonly stats?: BatchStats
}

/** The parties of a barrier that waited for several of them (B14). */
export interface Parties {
  /** How many there must be. */
  readonly count: number
  /** Those that came, in the order in which they did. */
  readonly arrived: readonly string[]
  /** The sequence numbers that their confirms told, in that order; absent: they are not known any more. */
  readonly sequences?: readonly Sequence[]
  /** Their message records, one after another, in that order. */
  readonly bytes: Uint8Array
}

/** What a publisher may say of a barrier, beside its name. */
export interface BarrierTerms {
  readonly deadlineAt?: Timestamp
  readonly rest?: BatchRest
  /** Queues to which it goes on; without it those of the queue's `forward_barrier`. */
  readonly forward?: readonly string[]
  /** How many parties it is one of where it goes on; without it as many as queues forward there. */
  readonly forwardParties?: number
  /** Of the batches it has closed on its way here. */
  readonly batches?: readonly BatchSummary[]
  readonly parties?: Parties
}

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
  /** Place of the barrier before it, 0 of the first; absent: not known any more. */
  readonly after?: Sequence
  readonly batches?: readonly BatchSummary[]
  readonly parties?: Parties
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
  /** A message of that id was there already, at this place (P5). */
  readonly duplicate?: true
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
      /** Messages below it were there at a stop that was not clean: each may have been delivered (D5). */
      readonly suspectBelow?: Sequence
      /** Nobody has declared it: it is there because another queue names it, or sent it something. */
      readonly implicit?: boolean
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
  /**
   * A dead letter, or one that goes back: out of one queue and into the other, in one fact so that half of it cannot be
   * kept. The journal carries the bytes over; `run` is what the message is there.
   */
  | {
      readonly kind: 'moved'
      readonly queue: QueueId
      readonly sequence: Sequence
      readonly to: QueueId
      readonly toSequence: Sequence
      readonly toBatch: BatchNumber
      readonly at: Timestamp
      readonly run: EnqueuedRun
    }
  /** Counts of a batch that is not released yet; the last one counts. Also keeps the queue's next sequence number: the highest of all rows is right. */
  | {
      readonly kind: 'batchCounted'
      readonly queue: QueueId
      readonly batch: BatchNumber
      readonly nextSequence: Sequence
      readonly stats: BatchStats
      /** Of the dropped, dead letters that nobody keeps; absent: none. */
      readonly unkept?: number
    }
  /** Also what becomes of it while it waits: a new deadline, or the end of its batch. The last one counts. */
  | {
      readonly kind: 'barrierPublished'
      readonly queue: QueueId
      readonly sequence: Sequence
      readonly batch: BatchNumber
      readonly name?: string
      readonly at: Timestamp
      readonly terms?: BarrierTerms
      /** Its batch was ended early, with this outcome (B13). */
      readonly ended?: { readonly outcome: BarrierOutcome; readonly rest: BatchRest }
      readonly bytes: Uint8Array
    }
  /** One of several parties has come; the barrier has no place yet. */
  | {
      readonly kind: 'partyArrived'
      readonly queue: QueueId
      /** Its own; that of the last of all becomes the barrier's. */
      readonly sequence: Sequence
      readonly name: string
      readonly count: number
      readonly party: string
      readonly at: Timestamp
      readonly terms?: BarrierTerms
      readonly bytes: Uint8Array
    }
  /** The barrier has its place: its parties are part of it now. */
  | { readonly kind: 'partiesPlaced'; readonly queue: QueueId; readonly sequences: readonly Sequence[] }
  /** Message id inside the dedupe window. */
  | {
      readonly kind: 'seen'
      readonly queue: QueueId
      readonly id: string
      readonly sequence: Sequence
      readonly batch: BatchNumber
      readonly at: Timestamp
    }
  | { readonly kind: 'unseen'; readonly queue: QueueId; readonly id: string }
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
