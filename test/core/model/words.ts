import type { BatchRest, DeadReason, Timestamp, TurnNumber } from '../../../src/core/facts.ts'
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
  | ({ readonly kind: 'numbered'; readonly queue: string; readonly pieces: readonly Piece[] } & Numbers)
  | ({ readonly kind: 'subscribe'; readonly queue: string } & Terms & { readonly afterBatch?: number })
  | { readonly kind: 'unsubscribe'; readonly subscription: number; readonly isGone: boolean }
  | ({ readonly kind: 'change'; readonly subscription: number } & Change)
  | {
      readonly kind: 'settle'
      readonly queue: string
      readonly claims: readonly { readonly subscription: number; readonly ranges: readonly Range[] }[]
      readonly how: How
      readonly carried: readonly { readonly queue: string; readonly pieces: readonly Piece[] }[]
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
  | ({ readonly kind: 'barrier'; readonly name?: string; readonly color: number } & BarrierWish)
  | { readonly kind: 'refused'; readonly count: number }

export interface BarrierWish {
  readonly deadlineMs?: number
  readonly rest?: BatchRest
  /** One of so many parties (B14). */
  readonly party?: string
  readonly parties?: number
}

export interface PieceRun {
  readonly count: number
  readonly priority?: number
  readonly group?: string
  readonly delayMs?: number
  readonly ttlMs?: number
}

export interface Numbers {
  readonly producer: string
  readonly number: number
  readonly answeredUpTo: number
}

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

export interface Message {
  readonly sequence: number
  batch: number
  /** Batch that it came into. */
  readonly born: number
  readonly priority: number
  readonly group: string | undefined
  /** Of its group the one that may go out (D15). */
  isHead: boolean
  readonly expiresAt: number
  readonly origin: Origin | undefined
  state: 'ready' | 'delayed' | 'leased'
  dueAt: number
  /** Turn in which its lease or its delay ended. */
  readyIn: TurnNumber
  attempts: number
  /** `no`: nobody can have seen it, so a delivery of it must not say "redelivered". */
  delivered: 'no' | 'maybe'
  /** Turn that brought it; 0: it need not wait for the disk. */
  enqueuedIn: TurnNumber
  /** What came in together while the disk was busy may go out together: the latest turn of that. */
  mayWaitFor: TurnNumber
  lease:
    | { readonly subscription: number; readonly delivery: number; deadline: number; at: number; rests: number }
    | undefined
}

/** Where a dead letter comes from. */
export interface Origin {
  readonly queue: string
  readonly life: number
  readonly sequence: number
  readonly batch: number
  readonly attempts: number
  readonly reason: DeadReason
  /** What it gets back when it is requeued. */
  readonly priority: number
  readonly group: string | undefined
}

export interface Stats {
  published: number
  acked: number
  dead: number
  expired: number
  dropped: number
  carried: number
  /** Of the dropped, dead letters that nobody keeps. */
  unkept: number
  firstPublishedAt?: Timestamp
  lastSettledAt?: Timestamp
}

export interface Barrier {
  readonly sequence: number
  readonly batch: number
  readonly name: string | undefined
  readonly color: number
  readonly publishedAt: Timestamp
  readonly rest: BatchRest | undefined
  /** Outcomes of the batches it has closed on its way here (B15). */
  readonly batches?: readonly string[]
  readonly parties?: {
    readonly count: number
    readonly arrived: readonly string[]
    readonly sequences: readonly number[]
  }
  deadlineAt: Timestamp
  /** Its batch was ended early. */
  ended: { readonly outcome: string; readonly rest: BatchRest } | undefined
}

/** A barrier whose parties are still coming: it has no place, and holds nothing. */
export interface Gathering {
  readonly name: string
  readonly count: number
  deadlineAt: Timestamp
  readonly arrivals: {
    readonly sequence: number
    readonly party: string
    readonly color: number
    readonly rest: BatchRest | undefined
  }[]
}

export interface Record extends Barrier {
  readonly outcome: string
  readonly stats: Stats
  readonly releasedAt: Timestamp
  readonly releasedIn: TurnNumber
}

export interface Subscription {
  readonly id: number
  readonly queue: string
  readonly concurrency: number
  readonly leaseMs: number | undefined
  prefetch: number
  filter: number | undefined
  isStalled: boolean
  next: number
  lastRests: TurnNumber
  /** Deliveries whose lease was lost, and their messages. */
  readonly lost: Map<number, number>
  /** Deliveries of an at-most-once queue whose credit is not back. */
  spent: {
    readonly delivery: number
    readonly sequence: number
    readonly batch: number
    readonly attempts: number
    readonly at: Timestamp
    readonly rests: TurnNumber
  }[]
}

export interface Producer {
  last: number
  usedAt: Timestamp
  readonly answers: Map<number, Answer>
}

export interface Queue {
  readonly name: string
  /** Turn that declared it: tells queues of one name apart. */
  readonly life: number
  options: QueueOptions
  isPaused: boolean
  next: number
  /** Barriers released, ever: number of the batch in turn. */
  released: number
  openedIn: TurnNumber
  /** Turn since the last start that reserved numbers for accepted publishes; 0: none. */
  reservedIn: TurnNumber
  live: Message[]
  /** Of the batches that are not released, the one in turn first. */
  stats: Stats[]
  waiting: Barrier[]
  gathering: Gathering[]
  /** Message ids in the dedupe window, in the order in which they came. */
  seen: { readonly id: string; readonly sequence: number; readonly batch: number; readonly at: Timestamp }[]
  records: Record[]
  readonly producers: Map<string, Producer>
}

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

export function open(queue: Queue): number {
  return queue.released + queue.waiting.length
}

export function statsOf(queue: Queue, batch: number): Stats {
  return queue.stats[batch - queue.released] ?? broken('model', `batch ${batch} is released`)
}

/** What is left of the batch goes, and is not given out any more (B13). */
export function isEnding(queue: Queue, batch: number): boolean {
  const { ended } = queue.waiting[batch - queue.released] ?? {}
  return ended !== undefined && ended.rest !== 'carry'
}

/** What an id was given, while its window is open (P5). */
export function seenAs({ seen, options }: Queue, id: string, now: Timestamp): Queue['seen'][number] | undefined {
  return seen.find(other => other.id === id && other.at + options.dedupeWindowMs > now)
}

export function isBusy(queue: Queue): boolean {
  return queue.live.some(({ batch }) => isEnding(queue, batch))
}

export function sizeOf(piece: Piece): number {
  if (piece.kind === 'barrier') return 1
  return piece.kind === 'refused' ? piece.count : piece.runs.reduce((sum, { count }) => sum + count, 0)
}

/** Queue order within a batch. */
export function isBefore(a: Message, b: Message): boolean {
  return a.priority === b.priority ? a.sequence < b.sequence : a.priority > b.priority
}

export function heldAs(queue: Queue, holder: Subscription, delivery: number): Message | undefined {
  return queue.live.find(({ lease }) => lease?.subscription === holder.id && lease.delivery === delivery)
}

export const NO_STATS: Stats = { published: 0, acked: 0, dead: 0, expired: 0, dropped: 0, carried: 0, unkept: 0 }

export function newQueue(name: string, life: number, options: QueueOptions): Queue {
  const counts = { next: 1, released: 0, openedIn: 0, reservedIn: 0, isPaused: false }
  const lists = { live: [], stats: [{ ...NO_STATS }], waiting: [], gathering: [], seen: [], records: [] }
  return { name, life, options, ...counts, ...lists, producers: new Map() }
}

export type Defined<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>
}

/** Without what is undefined. */
export function defined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as Defined<T>
}
