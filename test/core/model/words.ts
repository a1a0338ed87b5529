import type { BatchRest, Timestamp, TurnNumber } from '../../../src/core/facts.ts'
import type { QueueOptions } from '../../../src/core/options.ts'
import type { Turn } from '../../../src/core/turn.ts'

export type Step =
  | { readonly kind: 'declare'; readonly queue: string; readonly options: QueueOptions }
  | { readonly kind: 'delete'; readonly queue: string }
  | {
      readonly kind: 'publish'
      readonly queue: string
      readonly pieces: readonly Piece[]
      readonly isAccepted: boolean
    }
  | ({ readonly kind: 'numbered' } & Part)
  /** `isMissing`: there was one more part, for a queue that is not there. */
  | { readonly kind: 'atomic'; readonly parts: readonly Part[]; readonly isMissing?: boolean }
  | ({ readonly kind: 'subscribe'; readonly queue: string } & Terms & { readonly afterBatch?: number })
  | { readonly kind: 'unsubscribe'; readonly subscription: number; readonly isGone: boolean }
  /** A pull has its answer. `sent`: deliveries with a higher number never went out. `isSettled`: those sent are acked by that. */
  | { readonly kind: 'answer'; readonly subscription: number; readonly sent: number; readonly isSettled: boolean }
  | ({ readonly kind: 'change'; readonly subscription: number } & Change)
  | {
      readonly kind: 'settle'
      readonly queue: string
      readonly claims: readonly { readonly subscription: number; readonly ranges: readonly Range[] }[]
      readonly how: How
      readonly carried: readonly Part[]
    }
  | { readonly kind: 'tick' }
  | { readonly kind: 'requeue'; readonly queue: string; readonly sequences: readonly number[] }
  | { readonly kind: 'pause'; readonly queue: string; readonly isPaused: boolean }
  | { readonly kind: 'update'; readonly queue: string; readonly options: QueueOptions }
  | { readonly kind: 'cancel'; readonly queue: string; readonly barrier: string; readonly rest?: BatchRest }
  | { readonly kind: 'extend'; readonly queue: string; readonly barrier: string; readonly deadlineAt: Timestamp }
  | { readonly kind: 'purge'; readonly queue: string; readonly leased: boolean; readonly below: number }
  | { readonly kind: 'stop' }
  | { readonly kind: 'restart'; readonly isClean: boolean }

export type Piece =
  /** With a message id it is a single one. */
  | { readonly kind: 'messages'; readonly runs: readonly PieceRun[]; readonly id?: string }
  | ({ readonly kind: 'barrier'; readonly name?: string; readonly color: number; readonly id?: string } & BarrierWish)
  /** By the engine, before it came to the core. */
  | {
      readonly kind: 'refused'
      readonly count: number
      readonly code: 'not-accepted' | 'queue-full'
      readonly id?: undefined
    }

export type MessagesPiece = Extract<Piece, { kind: 'messages' }>
export type BarrierPiece = Extract<Piece, { kind: 'barrier' }>

/** What one publish brings to one queue. */
export interface Part {
  readonly queue: string
  readonly pieces: readonly Piece[]
  readonly numbers?: Numbers
}

interface BarrierWish {
  readonly deadlineMs?: number
  readonly rest?: BatchRest
  /** One of so many parties (B14). */
  readonly party?: string
  /** With `forward` and without `party`: of how many it is one where it goes on (B15). */
  readonly parties?: number
  readonly forward?: readonly string[]
}

export interface PieceRun {
  readonly count: number
  readonly priority?: number
  readonly group?: string
  readonly delayMs?: number
  readonly ttlMs?: number
}

/** A producer's own numbers (P9). */
export interface Numbers {
  readonly producer: string
  readonly number: number
  readonly answeredUpTo: number
}

/** Of delivery numbers; with `first` 0 it is everything up to `count` (A3). */
export interface Range {
  readonly first: number
  readonly count: number
}

export interface Terms {
  readonly subscription: number
  readonly prefetch: number
  /** Colours it takes, as bits; absent: everything. */
  readonly filter?: number
  readonly concurrency: number
  readonly leaseMs?: number
  readonly isPull: boolean
}

export interface Change {
  readonly prefetch?: number
  /** `null`: no filter any more. */
  readonly filter?: number | null
  readonly isStalled?: boolean
}

export type How =
  | { readonly kind: 'ack' | 'release' | 'reject' }
  | { readonly kind: 'nack'; readonly delayMs?: number }
  | { readonly kind: 'extend'; readonly leaseMs: number }

/** What the core did. */
export interface Done {
  readonly step: Step
  readonly turn: Turn
  readonly now: Timestamp
  /** What was on disk before. */
  readonly committed: TurnNumber
  readonly answers: readonly Answer[]
}

/** Answer for one message, or for one delivery. */
export type Answer = string

/** Of every body: sums must come out exact. */
export const BODY_BYTES = 10

/** A rule that the core broke. */
export function broken(rule: string, what: string): never {
  throw new Error(`${rule}: ${what}`)
}

export function must(holds: boolean, rule: string, what: () => string): void {
  if (!holds) broken(rule, what())
}

/** What a filter can ask of a message: one of three colours, which its sequence number says. */
export function colorOf(sequence: number): number {
  return (Math.imul(sequence, 2_654_435_761) >>> 9) % 3
}

export function takes(filter: number | undefined, color: number): boolean {
  return filter === undefined || (filter & (1 << color)) !== 0
}

export function sizeOf(piece: Piece): number {
  if (piece.kind === 'barrier') return 1
  return piece.kind === 'refused' ? piece.count : piece.runs.reduce((sum, { count }) => sum + count, 0)
}

export type Defined<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>
}

/** Without what is undefined. */
export function defined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as Defined<T>
}
