import { decodeMessageProperties, type MessageCursor, type MessageProperties } from '@sluice/protocol'
import type { BatchRecord } from './batch.ts'
import type { Codec, SchemaIssue } from './codecs.ts'
import { PermanentError, RefusedError, SluiceError } from './errors.ts'
import type { Headers, PublishOptions } from './options.ts'
import { checkBodies } from './outgoing.ts'

/** What an ack came to: `lease-lost` means that the message was, or will be, given to another consumer. */
export type AckResult = 'acked' | 'already-settled' | 'lease-lost'

/** The part of a queue that is needed to publish to it; every `Queue` is one. */
export interface OutputQueue<R = never> {
  readonly name: string
  /** A body as bytes, in the codec of the queue. */
  readonly encode: (body: R) => Uint8Array
  /** Whether it may be published; absent: whatever can be encoded may. @throws InvalidMessageError (or rejects with it) */
  readonly check?: (body: R) => undefined | Promise<undefined>
}

/** A message that an ack brings with it. */
export interface Outgoing extends Omit<PublishOptions, 'dedupe' | 'confirm'> {
  /** A queue, whose codec then says how the body becomes bytes; or its name: then it is JSON, and a Uint8Array stays what it is. */
  readonly queue: string | OutputQueue
  readonly body: unknown
}

/** Where a dead letter comes from (A5). Times in ms since the epoch. */
export interface DeadLetterOrigin {
  readonly queue: string
  readonly sequence: number
  readonly batch: number
  readonly attempts: number
  readonly publishedAt: number
  readonly deadAt: number
  readonly reason:
    | 'deliveries'
    | 'rejected'
    | 'expired'
    | 'overflow'
    | 'batch-failed'
    | 'batch-cancelled'
    | 'batch-expired'
  /** What the consumer said when it rejected the message. */
  readonly detail?: string
}

/** A barrier that was released: everything before it in its queue is done. It needs no ack. */
export interface Barrier<T = unknown> extends BatchRecord<T> {
  readonly kind: 'barrier'
  /** Name of the queue. */
  readonly queue: string
  /** It was released while this consumer was away. */
  readonly replayed: boolean
}

/** The getter of the body stays one: it must not be called before the program asks for it. @internal */
export function asBarrier<T>(record: BatchRecord<T>, queue: string, replayed: boolean): Barrier<T> {
  const barrier = { kind: 'barrier', queue, replayed }
  return Object.defineProperties(barrier, Object.getOwnPropertyDescriptors(record)) as unknown as Barrier<T>
}

/** What a consumer is handed. */
export type Delivery<T = unknown> = Message<T> | Barrier

/** What a message needs of its subscription. @internal */
export interface Holder {
  readonly queue: string
  ack(message: Message): void
  ackDurably(message: Message): Promise<AckResult>
  ackThrough(message: Message, isDurable: boolean): Promise<AckResult> | undefined
  ackAndPublish(message: Message, outgoing: readonly Outgoing[]): Promise<AckResult>
  nack(message: Message, valueMs: number): void
  release(message: Message): void
  reject(message: Message, reason: string): void
  extend(message: Message, leaseMs: number): void
  /** The program settles what it does not hold any more. */
  late(message: Message): void
}

/** What a run of deliveries has in common. @internal */
export interface DeliveryRun {
  readonly bytes: Uint8Array
  readonly batch: number
  readonly attempt: number
  readonly redelivered: boolean
  readonly origin: DeadLetterOrigin | undefined
}

/** `held`: the program's to settle. `settled`: it did. `lost`: the lease went before. */
export type MessageState = 'held' | 'settled' | 'lost'

/** Nothing in the everyday loop waits for the disk, nor for a promise of its own. */
const ON_ITS_WAY: Promise<void> = Promise.resolve()
const NO_HEADERS: Headers = Object.freeze({})
const UNREAD = Symbol('unread')

/** A message handed out: to be settled by exactly one of `ack`, `nack`, `release` and `reject`. */
export class Message<T = unknown> {
  readonly kind = 'message' as const
  /** Its place in its queue. */
  readonly sequence: number
  /** Number within its subscription and connection. @internal */
  readonly delivery: number
  /** @internal */
  state: MessageState = 'held'
  readonly #run: DeliveryRun
  readonly #holder: Holder
  readonly #codec: Codec<T>
  readonly #start: number
  readonly #bodyStart: number
  readonly #bodyEnd: number
  #body: T | typeof UNREAD = UNREAD
  #bodyError: Error | undefined
  #properties: MessageProperties | undefined
  #lease: AbortController | undefined

  /** @internal @param cursor stands at its record now, and will go on */
  constructor(
    holder: Holder,
    codec: Codec<T>,
    run: DeliveryRun,
    delivery: number,
    sequence: number,
    cursor: MessageCursor,
  ) {
    this.#holder = holder
    this.#codec = codec
    this.#run = run
    this.delivery = delivery
    this.sequence = sequence
    this.#start = cursor.propertiesStart
    this.#bodyStart = cursor.bodyStart
    this.#bodyEnd = cursor.bodyEnd
  }

  /** Name of the queue. */
  get queue(): string {
    return this.#holder.queue
  }

  /** Number of the batch it belongs to. */
  get batch(): number {
    return this.#run.batch
  }

  /** Attempts that ended, and this one: from 1. */
  get attempt(): number {
    return this.#run.attempt
  }

  /** It was, or after a crash may have been, delivered before. */
  get redelivered(): boolean {
    return this.#run.redelivered
  }

  /** Of a dead letter. */
  get origin(): DeadLetterOrigin | undefined {
    return this.#run.origin
  }

  /**
   * Decoded when first asked for; with a schema it is what that makes of it.
   *
   * @throws InvalidMessageError if the bytes are none of the queue's codec, or (`invalid: 'throw'`) do not fit the schema
   */
  get body(): T {
    if (this.#bodyError !== undefined) throw this.#bodyError
    if (this.#body !== UNREAD) return this.#body
    try {
      this.#body = this.#codec.decode(this.bytes)
    } catch (error) {
      throw new InvalidMessageError(
        `body of message ${this.sequence} of ${this.queue}: ${(error as Error).message}`,
        error,
      )
    }
    return this.#body
  }

  /** What a schema made of the body. @internal */
  set body(body: T) {
    this.#body = body
  }

  /** Asking for the body throws this. @internal */
  refuseBody(error: Error): void {
    this.#bodyError = error
  }

  /** The body as it came: a view, valid as long as it is referred to. */
  get bytes(): Uint8Array {
    return this.#run.bytes.subarray(this.#bodyStart, this.#bodyEnd)
  }

  /** Decoded when first asked for. */
  get properties(): MessageProperties {
    this.#properties ??=
      this.#start === this.#bodyStart ? {} : decodeMessageProperties(this.#run.bytes, this.#start, this.#bodyStart)
    return this.#properties
  }

  get headers(): Headers {
    return this.properties.headers ?? NO_HEADERS
  }

  get messageId(): string | undefined {
    return this.properties.messageId
  }

  /** Nothing more can be done with it: it was settled here, or its lease is lost. */
  get isSettled(): boolean {
    return this.state !== 'held'
  }

  /** Aborted when the lease is lost, also with the connection: another consumer may have the message by now. */
  get leaseSignal(): AbortSignal {
    this.#lease ??= new AbortController()
    if (this.state === 'lost') this.#lease.abort(leaseLost(this))
    return this.#lease.signal
  }

  /** Done: the message leaves the queue. Resolves at once, when the ack is on its way; free to call for every message. */
  ack(): Promise<void>
  /**
   * Done, with `publish` together or not at all. Resolves after their commit.
   *
   * @throws (rejects) InvalidMessageError: one does not fit the schema of its queue, nothing happened. SluiceError: `lease-lost` or `already-settled`, nothing was published; RefusedError, nothing happened
   *   and the message is still held; `connection-lost`, it is unknown whether it happened and is never tried again
   */
  ack(options: { readonly publish: readonly Outgoing[] }): Promise<'acked'>
  /** Done, and with it every message handed out before it by this subscription that is not settled yet. */
  ack(options: { readonly upTo: true }): Promise<void>
  /** The same, once the commit says so. @throws (rejects) `connection-lost`: it is unknown whether it happened */
  ack(options: { readonly upTo: true; readonly durable: true }): Promise<AckResult>
  /** Done, once the commit says so. @throws (rejects) `connection-lost`: it is unknown whether it happened */
  ack(options: { readonly durable: true }): Promise<AckResult>
  ack(options?: {
    readonly durable?: boolean
    readonly upTo?: boolean
    readonly publish?: readonly Outgoing[]
  }): Promise<unknown> {
    if (options?.publish) return this.#ackAndPublish(options.publish, options.upTo === true)
    if (options?.upTo) return this.#ackUpTo(options.durable === true)
    if (options?.durable) return this.#ackDurably()
    if (this.#settle()) this.#holder.ack(this)
    return ON_ITS_WAY
  }

  /** Failed: the attempt counts, and the message comes back after `delayMs` (default the queue's `retryDelay`) or is dead-lettered. */
  nack({ delayMs }: { readonly delayMs?: number } = {}): Promise<void> {
    if (this.#settle()) this.#holder.nack(this, delayMs === undefined ? 0 : Math.ceil(delayMs) + 1)
    return ON_ITS_WAY
  }

  /** Gives it back untouched: no attempt counts, its place stays. */
  release(): Promise<void> {
    if (this.#settle()) this.#holder.release(this)
    return ON_ITS_WAY
  }

  /** It can never succeed: dead-lettered at once. */
  reject(reason = ''): Promise<void> {
    if (this.#settle()) this.#holder.reject(this, reason)
    return ON_ITS_WAY
  }

  /** Moves the lease's deadline to so many ms from now. */
  extend(leaseMs: number): Promise<void> {
    if (this.state === 'held') this.#holder.extend(this, Math.ceil(leaseMs))
    return ON_ITS_WAY
  }

  /** The lease is gone. @internal */
  lose(): void {
    this.state = 'lost'
    this.#lease?.abort(leaseLost(this))
  }

  #settle(): boolean {
    if (this.state === 'lost') this.#holder.late(this)
    if (this.state !== 'held') return false
    this.state = 'settled'
    return true
  }

  async #ackDurably(): Promise<AckResult> {
    if (this.#settle()) return this.#holder.ackDurably(this)
    return this.state === 'lost' ? 'lease-lost' : 'already-settled'
  }

  async #ackUpTo(isDurable: boolean): Promise<AckResult | undefined> {
    // Of another connection the numbers mean other messages.
    if (!this.#settle()) return this.state === 'lost' ? 'lease-lost' : 'already-settled'
    return this.#holder.ackThrough(this, isDurable)
  }

  async #ackAndPublish(outgoing: readonly Outgoing[], isUpTo: boolean): Promise<'acked'> {
    if (isUpTo) throw new RefusedError('invalid-request', 'an ack that carries messages names one delivery (A4)')
    const checking = checkBodies(outgoing)
    if (checking !== undefined) await checking
    if (this.state === 'lost') this.#holder.late(this)
    const result = this.state === 'held' ? await this.#holder.ackAndPublish(this, outgoing) : this.state
    if (result === 'acked') return result
    const code = result === 'lost' || result === 'lease-lost' ? 'lease-lost' : 'already-settled'
    throw new SluiceError(code, `message ${this.sequence} of ${this.queue} is not held any more, nothing was published`)
  }
}

/** A body that is none of the queue's codec, or that its schema refuses. Can never succeed, so a worker rejects the message. */
export class InvalidMessageError extends PermanentError {
  override readonly name: string = 'InvalidMessageError'
  /** What the schema found, each with the path to it in the body; empty when the bytes are none of the codec. */
  readonly issues: readonly SchemaIssue[]

  constructor(detail: string, cause: unknown, issues: readonly SchemaIssue[] = []) {
    super(detail, { cause })
    this.issues = issues
  }
}

function leaseLost(message: Message): SluiceError {
  return new SluiceError('lease-lost', `the lease of message ${message.sequence} of ${message.queue} is gone`)
}
