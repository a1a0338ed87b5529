import type { BatchNumber, BatchRest, Sequence, Timestamp } from './facts.ts'
import type { Refusal } from './refusals.ts'

/** Messages next to one another in a publish that are alike; what is absent is plain. */
export interface IncomingRun {
  readonly count: number
  /** Of all their bodies. */
  readonly bodyBytes: number
  /** Of each record: they are of one length, so that what an owner has stored is exact. There where the publish has one. */
  readonly recordBytes?: number
  readonly priority?: number
  readonly group?: string
  readonly delayMs?: number
  readonly ttlMs?: number
}

/** What a publisher says of a barrier. */
export interface IncomingBarrier {
  readonly name?: string
  readonly deadlineMs?: number
  readonly rest?: BatchRest
  readonly forward?: readonly string[]
  /** With `party`: how many there must be. With `forward` and without `party`: how many it is one of over there. */
  readonly parties?: number
  readonly party?: string
}

/** A stretch of a publish, as the engine has read it: `index` counts the messages of the command from 0. */
export type Incoming =
  | {
      readonly kind: 'messages'
      readonly index: number
      readonly count: number
      /** Their records, one after another, as they came. */
      readonly bytes: Uint8Array
      readonly runs: readonly IncomingRun[]
      /** Message id, of a stretch of one, on a queue with a dedupe window. */
      readonly id?: string
    }
  | {
      readonly kind: 'barrier'
      readonly index: number
      readonly count: 1
      readonly bytes: Uint8Array
      readonly barrier: IncomingBarrier
      /** Message id, on a queue with a dedupe window. */
      readonly id?: string
    }
  | { readonly kind: 'refused'; readonly index: number; readonly count: number; readonly refusal: Refusal }

export type IncomingMessages = Extract<Incoming, { kind: 'messages' }>

/** Who publishes, where it is limited what he may have stored. */
export interface Owner {
  /** The same over restarts. */
  readonly name: string
  readonly storedBytesMax: number
}

/** One answer for messages next to one another. */
export type PublishAnswer =
  | {
      readonly index: number
      readonly count: number
      /** Of the first; the others follow. */
      readonly sequence: Sequence
      readonly batch: BatchNumber
      readonly duplicate: boolean
      /** May be told before it is on disk: it was asked for as `accepted`, and its numbers are reserved. */
      readonly isEarly?: boolean
    }
  | { readonly index: number; readonly count: number; readonly refusal: Refusal }

/** A publish to one queue. */
export interface Publish {
  readonly incoming: readonly Incoming[]
  readonly now: Timestamp
  /** May be delivered before it is on disk (D12). */
  readonly isAccepted?: boolean
  readonly isAtomic?: boolean
  readonly owner?: Owner | undefined
  /** Whether all of it fits was asked before, of the whole command at once. */
  readonly isJudged?: boolean
}
