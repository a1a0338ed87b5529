import type {
  BatchNumber,
  BatchRest,
  BatchStats,
  BarrierRecord as CoreBarrierRecord,
  DeadLetterOrigin,
  Sequence,
  Timestamp,
} from '../core/facts.ts'
import type { QueueOptions } from '../core/options.ts'
import type { PublishAnswer } from '../core/publishing.ts'
import type { Refusal } from '../core/refusals.ts'
import type { SettleResult as Settled, SettleHow } from '../core/settling.ts'
import type {
  BarrierView as CoreBarrierView,
  Holdout as CoreHoldout,
  QueueView as CoreQueueView,
  Progress,
} from '../core/snapshot.ts'
import type { Overview } from './overviewing.ts'
import type { Principal } from './principal.ts'
import type { Receipt } from './receipt.ts'

export type {
  ClientRow,
  ConsumerRow,
  Lane,
  OpenBatch,
  Overview,
  OverviewChoice,
  OverviewHoldout,
  QueueRow,
  ReleasedBatch,
} from './overviewing.ts'
export type { AuditEntry, Doorkeeper, Principal } from './principal.ts'
export type { Receipt } from './receipt.ts'
export type {
  BatchNumber,
  BatchRest,
  BatchStats,
  DeadLetterOrigin,
  Progress,
  PublishAnswer,
  QueueOptions,
  Refusal,
  Sequence,
  SettleHow,
}

/** A released barrier. `stats` are kept from those who may not see every message: they would count the others. */
export type BarrierRecord = Omit<CoreBarrierRecord, 'stats'> & { readonly stats?: BatchStats }
/** `progress` likewise. */
export type BarrierView = Omit<CoreBarrierView, 'progress' | 'record'> & {
  readonly progress?: Progress
  readonly record?: BarrierRecord
}
type Count = 'ready' | 'leased' | 'delayed' | 'bytes' | 'barriersWaiting' | 'open' | 'publishedTotal' | 'ackedTotal'
/** A queue; its counts are kept from those who may not see every message. */
export type QueueView = Omit<CoreQueueView, Count> & Partial<Pick<CoreQueueView, Count>>

/** A message that holds a barrier; `holder` is the name of the peer that has it. */
export type Holdout = Omit<CoreHoldout, 'holder'> & { readonly holder?: string }

/** A subscription's number within its peer, chosen by the listener; not used again while the peer lives. */
export type SubscriptionId = number
/** Deliveries of a subscription are numbered from 1 (A3). */
export type DeliveryNumber = number

/** Numbers next to one another: `first` … `first + count - 1`. */
export interface Range {
  readonly first: number
  readonly count: number
}

/** Messages for one queue, as message records one after another (`@sluice/protocol`, message.ts). */
export interface Messages {
  readonly queue: string
  /** The engine owns this buffer from now on; nobody writes to it again. */
  readonly bytes: Uint8Array
  /** How many records `bytes` holds; checked by the engine, which refuses the whole as `invalid-message` if it is not so. */
  readonly count: number
}

export interface PublishCommand extends Messages {
  /**
   * Default `durable`. `none`, on at-most-once queues alone: answered soon, with what was refused and nothing else, which
   * may be nothing. Such a publish has no number.
   */
  readonly confirm?: 'durable' | 'accepted' | 'none'
  /** Kept whole or not at all. */
  readonly atomic?: boolean
  /** Asks for dedupe by message id; refused `no-dedupe-window` on a queue that has no window. */
  readonly dedupe?: boolean
  /** Producer's number of the first message; each further message has the next one (P9). Only for peers with a producer. */
  readonly number?: number
  /** Every number up to this one has been answered at the producer's end. */
  readonly answeredUpTo?: number
}

export interface SubscribeCommand {
  readonly subscription: SubscriptionId
  readonly queue: string
  /** Most deliveries out at once, 0 … the queue's `prefetch_max`; 0 gets barriers only. */
  readonly prefetch: number
  readonly filter?: string
  /** How many deliveries the consumer works on at once; default 1. Only those count as attempts when it dies (D6). */
  readonly concurrency?: number
  /** Lease of this subscription's deliveries; default the queue's. */
  readonly leaseMs?: number
  /** The batch number the consumer was in: barriers released since come first, marked as replayed (B11). */
  readonly afterBatch?: BatchNumber
}

export interface Subscribed {
  /** Batch number now in turn. */
  readonly batch: BatchNumber
  /** Records of barriers released since `afterBatch` that are gone. */
  readonly barriersMissed: number
}

/** Messages next to one another in the queue, alike in everything named here. */
export interface Delivery {
  readonly subscription: SubscriptionId
  /** Delivery number of the first. */
  readonly delivery: DeliveryNumber
  readonly queue: string
  readonly sequence: Sequence
  readonly count: number
  readonly batch: BatchNumber
  readonly attempt: number
  readonly redelivered: boolean
  /** Message records one after another, in one or more pieces; the journal's, never to be written to. */
  readonly bytes: readonly Uint8Array[]
  readonly origin?: DeadLetterOrigin
}

export interface BarrierDelivery {
  readonly subscription: SubscriptionId
  readonly queue: string
  readonly record: BarrierRecord
  /** It was released while the consumer was away (B11). */
  readonly replayed: boolean
}

/** What a listener must offer for each peer. Called in order, never from inside a call of the peer's. */
export interface Outbox {
  deliver(delivery: Delivery): void
  barrier(delivery: BarrierDelivery): void
  /** The lease of these deliveries is gone; a later settle of them is refused. */
  leaseLost(subscription: SubscriptionId, deliveries: Range): void
  /** The subscription has ended, not by the peer's wish. */
  cancelled(subscription: SubscriptionId, why: Refusal): void
  /** The peer must go; `close()` has been done. */
  closed(why: Refusal): void
  /** True: nothing more is delivered until the listener calls `peer.drained()` (D11). Asked after each delivery. */
  isFull(): boolean
  /** Publishers may send (again), or must stop (R5). */
  pressure(on: boolean, reason: string): void
  /** Not yet taken by the socket; absent: none ever. */
  bufferedBytes?(): number
}

export interface SettleCommand {
  readonly subscription: SubscriptionId
  /** A range with `first` 0: everything up to delivery `count` that is still held (A3). An ack that carries messages has none. */
  readonly deliveries: readonly Range[]
  readonly how: SettleHow
  /** Carried by an ack: settled and published in one commit or not at all (A4). */
  readonly publish?: readonly Messages[]
}

export type SettleResult = Settled['result']

/** In the order of the deliveries named. `refusal`: nothing was done, and why (A4). */
export interface SettleAnswer {
  readonly results: readonly (Range & { readonly result: SettleResult })[]
  readonly refusal?: Refusal
  /** Where the carried messages went. */
  readonly published?: readonly PublishAnswer[]
}

/** "Up to n within t" on top of credit; its leases belong to time, not to the peer. */
export interface PullCommand {
  readonly queue: string
  readonly messagesMax: number
  readonly waitMs: number
  /** Default: the queue's lease, else 30 s. At most 12 h. */
  readonly leaseMs?: number
  readonly filter?: string
  readonly afterBatch?: BatchNumber
  /** `on-delivery`: settled as it is handed out (`?ack=auto`). */
  readonly settle?: 'later' | 'on-delivery'
}

export interface Pulled {
  readonly deliveries: readonly (Delivery & { readonly leaseToken: string })[]
  /** At most one, behind all deliveries. */
  readonly barriers: readonly BarrierDelivery[]
  /** To be given back as `afterBatch`. */
  readonly batch: BatchNumber
  readonly barriersMissed: number
}

export interface TokenSettle {
  readonly queue: string
  /** One token may be named once. */
  readonly deliveries: readonly { readonly sequence: Sequence; readonly leaseToken: string }[]
  readonly how: SettleHow
  readonly publish?: readonly Messages[]
}

/** `@17` is the barrier with sequence number 17 (B1). */
export type BarrierName = string

/** A message as it stands in the queue; nothing is changed by looking (browse). */
export interface MessageView {
  readonly sequence: Sequence
  readonly batch: BatchNumber
  readonly state: 'ready' | 'leased' | 'delayed'
  /** Counted attempts that ended. */
  readonly attempts: number
  readonly redelivered: boolean
  readonly publishedAt: Timestamp
  readonly dueAt?: Timestamp
  readonly expiresAt?: Timestamp
  /** Name of the peer that holds it, and since when. */
  readonly holder?: string
  readonly leaseAgeMs?: number
  readonly origin?: DeadLetterOrigin
  /** One message record. */
  readonly bytes: Uint8Array
}

/** Which part of a list. A page can be short, or empty, and yet not the last: it has `next` then. */
export interface PageCommand {
  readonly after?: Sequence
  /** At most 1,000. */
  readonly limit: number
  /** Bytes of messages with which a page ends; default 8 MiB. One message always fits. */
  readonly bytesMax?: number
}

export interface BrowseCommand extends PageCommand {
  readonly queue: string
  readonly state?: 'ready' | 'leased' | 'delayed'
  readonly filter?: string
}

export interface BarriersCommand extends PageCommand {
  readonly queue: string
  readonly state?: BarrierView['state']
  /** Whether the bodies of released ones are looked at; then they count as bytes of the page. */
  readonly bodies?: boolean
}

/** By sequence number. */
export interface BarriersPage {
  readonly barriers: readonly BarrierView[]
  /** Where to go on; absent when this was the last page. */
  readonly next?: Sequence
}

/** Which dead letters of a queue: all, or those that match, those of one batch, or one. */
export interface DeadLetterChoice {
  readonly queue: string
  readonly filter?: string
  /** Name of the barrier that closed, or will close, their batch. */
  readonly batch?: BarrierName
  /** Only the one with this number, that of the queue it is in now. */
  readonly sequence?: Sequence
}

/** Looks on at a queue, from outside: no subscription, no lease, and nothing waits for it. */
export interface FollowCommand {
  readonly queue: string
  /** Batch number of the last barrier that was heard of, -1 of none: those released since come first. */
  readonly after?: BatchNumber
  /** Also copies of what is delivered. */
  readonly isWatching?: boolean
}

/** What was delivered to somebody else. */
export interface DeliveryCopy
  extends Pick<Delivery, 'sequence' | 'count' | 'batch' | 'attempt' | 'redelivered' | 'bytes'> {
  /** Name of who got it. */
  readonly peer: string
}

/** Called as it happens; must take it at once or let it go. */
export interface Follower {
  /** On disk, in the order of the batches. */
  barrier(record: BarrierRecord): void
  copy(copy: DeliveryCopy): void
  /** The queue is gone. */
  ended(why: Refusal): void
}

export interface Followed {
  /** Batch number of the barrier released last, -1 of none. */
  readonly lastBatch: BatchNumber
  /** Released since `after`. */
  readonly records: readonly BarrierRecord[]
  /** Records of barriers released since `after` that are gone. */
  readonly barriersMissed: number
  cancel(): void
}

/** A party as an operator sees it. */
export interface ConnectionView {
  readonly id: number
  readonly name: string
  readonly protocol: string
  readonly address?: string
  readonly principal?: string
  readonly since: Timestamp
  readonly subscriptions: number
  /** Pulls that wait for their answer. */
  readonly pulls: number
  /** Deliveries that its subscriptions and waiting pulls have now. */
  readonly creditUsed: number
  /** Of what it is sent, not yet taken by its socket. */
  readonly bufferedBytes: number
}

/**
 * One connected party, whatever its protocol: the listeners' door to the engine.
 *
 * Commands are carried out at once and in order (P3); `answered` callbacks come later, after the commit they rest on,
 * in the order of their commits. A refusal that needs no commit may be answered before earlier accepted commands are.
 * A peer that is closed answers nothing more.
 */
export interface Peer {
  readonly id: number
  readonly name: string
  /**
   * Called once; all messages of the command get exactly one answer, but for `confirm: 'none'`.
   *
   * @param kept called once when all of it is on disk or refused: what was not answered must still not pile up
   */
  publish(command: PublishCommand, answered: (answers: readonly PublishAnswer[]) => void, kept?: () => void): void
  /**
   * Messages for several queues, kept whole or not at all (P4): at most 10,000 messages and 16 MiB. With a producer each
   * part has its number. Answers part by part, in order; if one message is refused, all are, with that refusal.
   *
   * @param spends a refusal uses the numbers of all parts whose queues are there, so that more can be sent ahead. Else one
   *   that is not about a message uses none
   */
  publishAtomic(
    parts: readonly PublishCommand[],
    answered: (answers: readonly (readonly PublishAnswer[])[]) => void,
    spends?: boolean,
  ): void
  subscribe(command: SubscribeCommand): Subscribed | Refusal
  /** New prefetch or filter, in place (D13). */
  resubscribe(
    subscription: SubscriptionId,
    change: { readonly prefetch?: number; readonly filter?: string | null },
  ): Refusal | undefined
  unsubscribe(subscription: SubscriptionId): void
  /** Without `answered` nothing is answered, and a refusal is silent but for `leaseLost`. */
  settle(command: SettleCommand, answered?: (answer: SettleAnswer) => void): void
  pull(command: PullCommand, answered: (answer: Pulled | Refusal) => void): { cancel(): void }
  settleTokens(command: TokenSettle, answered: (answer: SettleAnswer) => void): void
  declare(
    name: string,
    options: QueueOptionsInput,
    answered: (answer: { readonly created: boolean; readonly queue: QueueView } | Refusal) => void,
  ): void
  /** Options given are changed, the others stay. `semantics` never changes (`queue-mismatch`). */
  update(name: string, options: QueueOptionsInput, answered: (answer: QueueView | Refusal) => void): void
  /** Stops, or lets go on, deliveries and barrier releases; survives a restart (D14). */
  pause(name: string, isPaused: boolean, answered: (answer: QueueView | Refusal) => void): void
  /** Ends the waiting batches as cancelled, then settles what is ready and delayed, and what is leased if asked (A6). */
  purge(
    name: string,
    how: { readonly leased: boolean },
    answered: (answer: { readonly purged: number } | Refusal) => void,
  ): void
  browse(command: BrowseCommand): { readonly messages: readonly MessageView[]; readonly next?: Sequence } | Refusal
  /** What an operator does to one message; `unknown` when it is not there, or not leased for a `release`. */
  operate(
    queue: string,
    sequence: Sequence,
    act: 'release' | 'dead-letter' | 'delete',
    answered: (answer: 'done' | 'unknown' | Refusal) => void,
  ): void
  /** Dead letters that came from this queue, in its dead-letter queue. */
  deadLetters(
    choice: DeadLetterChoice & PageCommand,
  ): { readonly messages: readonly MessageView[]; readonly next?: Sequence } | Refusal
  /** Back to their origin with a new sequence number, in their batch while its barrier waits (B16). */
  requeueDeadLetters(
    choice: DeadLetterChoice,
    answered: (answer: { readonly requeued: number } | Refusal) => void,
  ): void
  purgeDeadLetters(choice: DeadLetterChoice, answered: (answer: { readonly purged: number } | Refusal) => void): void
  /** Ends the barrier's batch early with outcome `cancelled` (B13). `rest` absent: the barrier's own, else the queue's. */
  cancelBarrier(
    queue: string,
    name: BarrierName,
    rest: BatchRest | undefined,
    answered: (answer: BarrierView | Refusal) => void,
  ): void
  /** New deadline: now plus this. */
  extendBarrier(
    queue: string,
    name: BarrierName,
    deadlineMs: number,
    answered: (answer: BarrierView | Refusal) => void,
  ): void
  /** Which of the messages that are ready an expression matches; at most 10,000 are looked at. */
  testFilter(expression: string, queue: string): FilterTestResult | Refusal
  deleteQueue(name: string, answered: (answer: Refusal | undefined) => void): void
  queues(): readonly QueueView[]
  queue(name: string): QueueView | Refusal
  barriers(command: BarriersCommand): BarriersPage | Refusal
  barrier(queue: string, name: BarrierName): BarrierView | Refusal
  /** Of a released barrier, as long as its record is kept; `not-released`. Only for who may see every message of the queue. */
  receipt(queue: string, name: BarrierName): Receipt | Refusal
  holdouts(
    queue: string,
    name: BarrierName,
    page: { readonly after?: Sequence; readonly limit: number },
  ): readonly Holdout[] | Refusal
  /**
   * Answers once when the barrier is released, also if it was before, and also for a name nobody has published yet
   * (B10); `timed-out` after `timeoutMs`.
   */
  waitForBarrier(
    queue: string,
    name: BarrierName,
    timeoutMs: number | undefined,
    answered: (answer: BarrierRecord | Refusal) => void,
  ): { cancel(): void }
  /** Until it is cancelled or the queue is gone. Copies need the right to browse. */
  follow(command: FollowCommand, follower: Follower): Followed | Refusal
  /** Why it may not administer the server as a whole, if it may not. */
  mayAdminister(): Refusal | undefined
  /** All parties of the server. Only for who may administer all of it. */
  connections(): readonly ConnectionView[] | Refusal
  /** Ends a party: all it held returns at once. Only for who may administer all of the server. */
  disconnect(id: number): 'done' | 'unknown' | Refusal
  /** The server as a whole, in pages; made for those who look again and again. */
  readonly overview: Overview
  /** The listener can take deliveries again after `isFull()`. */
  drained(): void
  /** Everything it held returns at once, except leases of pulls (D6). */
  close(): void
}

/** Options as people give them: `snake_case`, durations as `30s`, sizes as `64KiB` or bytes. Only those given. */
export type QueueOptionsInput = Readonly<Record<string, unknown>>

/** How a listener introduces a party. */
export interface PeerIdentity {
  /** Shown to operators; the client's own name, or its address. */
  readonly name: string
  /** Random id of an SDK client, 32 hex digits; a second peer with the same one ends the first (P9). */
  readonly producer?: string
  /** Where it comes from, and by what protocol; for operators. */
  readonly address?: string
  readonly protocol?: string
  /** Who it is. Without one it may do everything, or nothing at all where the server wants to know who comes. */
  readonly principal?: Principal | undefined
}

export interface FilterTestResult {
  readonly tested: number
  readonly matched: number
  readonly first: readonly Sequence[]
}

/** What the listeners get from the server. */
export interface Engine {
  attach(identity: PeerIdentity, outbox: Outbox): Peer
  /** Rises with every start of the server on this data. */
  readonly start: number
  readonly limits: { readonly messageMax: number; readonly frameMessagesMax: number }
  /** Ready to serve; else a reason. */
  readiness(): { readonly ready: boolean; readonly reason?: string }
  testFilter(expression: string, bodies: readonly Uint8Array[]): readonly boolean[] | Refusal
  readonly pressure: { readonly on: boolean; readonly reason: string }
}
