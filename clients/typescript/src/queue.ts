import { type MessageProperties, PUBLISH_FLAGS, toSnakeCase, type ValueMap } from '@sluice/protocol'
import { type BarriersOptions, type BarriersPage, BatchHandle, type BatchProgress, batchView } from './batch.ts'
import { type BrowseOptions, DeadLetters, type MessagePage, messagePage } from './browsing.ts'
import { type Codec, type CodecName, codecOf, issuesText, type SchemaResult, type StandardSchema } from './codecs.ts'
import { InvalidMessageError, type Message } from './delivery.ts'
import { RefusedError } from './errors.ts'
import type { Lane, Published, PublishWaiter } from './lane.ts'
import { MessageHandle } from './one-message.ts'
import type {
  BarrierOptions,
  ConsumeOptions,
  PublishManyOptions,
  PublishOptions,
  QueueOptions,
  QueueUpdate,
  UnconfirmedOptions,
} from './options.ts'
import { type AddOne, publishMany } from './publish-many.ts'
import { queueView, type Session } from './session.ts'
import { Subscription } from './subscription.ts'
import { deferred } from './timers.ts'
import type { Carry } from './tracing.ts'

const CONFIRM_FLAGS = { durable: 0, accepted: PUBLISH_FLAGS.accepted, none: PUBLISH_FLAGS.unconfirmed } as const
/** First version of the protocol that has publishes without a confirm. */
const UNCONFIRMED_VERSION = 3

/**
 * A queue as it is now. Counts are of live messages, without barriers, and `NaN` for a token that sees only some of them;
 * sizes in bytes.
 */
export interface QueueView {
  readonly name: string
  /** With every default filled in. */
  readonly options: QueueOptions
  readonly paused: boolean
  readonly ready: number
  readonly leased: number
  readonly delayed: number
  readonly bytes: number
  readonly subscriptions: number
  readonly barriersWaiting: number
  /** Number of the batch in turn. */
  readonly batch: number
  /** The batch that no barrier closes yet. */
  readonly open: BatchProgress
  readonly publishedTotal: number
  readonly ackedTotal: number
}

/** What bodies of a queue are. */
export interface BodyOptions<T, Input = T> {
  /** Default `json`. */
  readonly codec?: CodecName | Codec<T>
  /**
   * Any Standard Schema (Zod, Valibot, ArkType, …). What is published must fit it and goes out as given; what is consumed
   * is what it makes of the body. It is asked wherever a body of this queue is published: `publish`, `publishMany`,
   * `publishAtomic`, `ack({ publish })`, a worker's `output`. Barriers, browsing and dead letters are not asked for theirs.
   */
  readonly schema?: StandardSchema<Input, T>
  /**
   * What becomes of a message that comes and does not fit. `reject` (the default): it goes to the dead letters with what
   * the schema found as the reason, a `warning` says so, and the next one comes. `throw`: it is handed out all the same,
   * and asking for its `body` throws the InvalidMessageError; it is the program's to settle.
   */
  readonly invalid?: 'reject' | 'throw'
}

/** A queue's name with the type of its bodies: nothing is sent before a method is called. */
export class Queue<T = unknown, Input = T> {
  readonly name: string
  /** @internal */
  readonly session: Session
  readonly #lane: Lane
  /** Dead letters that came from this queue. */
  readonly dead: DeadLetters<T>
  readonly #codec: Codec<T>
  readonly #schema: StandardSchema<Input, T>['~standard'] | undefined
  readonly #invalid: 'reject' | 'throw'

  /** @internal */
  constructor(session: Session, name: string, options: BodyOptions<T, Input>) {
    this.name = name
    this.session = session
    this.#lane = session.publisher.lane(name)
    this.#codec = codecOf(options.codec)
    this.dead = new DeadLetters<T>(session, name, this.#codec)
    this.#schema = options.schema?.['~standard']
    this.#invalid = options.invalid ?? 'reject'
  }

  /**
   * Makes sure that the queue is there. A queue that is there already is compared in the options given.
   *
   * @throws RefusedError `queue-mismatch` with the options that differ, `invalid-options`, `bad-filter`, …
   */
  async declare(options: QueueOptions = {}): Promise<{ readonly created: boolean; readonly queue: QueueView }> {
    const params = { name: this.name, options: wireOptions(options) }
    const { created, queue } = (await this.session.request('declare', () => params)) as ValueMap
    if (created) this.#lane.restart()
    return { created: created === true, queue: queueView(queue) }
  }

  /**
   * Changes the options given; the others stay. `null` takes an option away.
   *
   * @throws RefusedError `no-such-queue`, `queue-mismatch` (`semantics` never changes), `invalid-options`, `bad-filter`
   */
  async update(options: QueueUpdate): Promise<QueueView> {
    const params = { name: this.name, options: wireOptions(options) }
    return queueView(await this.session.request('update', () => params))
  }

  /** Stops deliveries and releases of barriers; everything else goes on. Survives a restart (D14). */
  async pause(): Promise<QueueView> {
    return queueView(await this.session.request('pause', () => ({ name: this.name })))
  }

  /** Deliveries and releases go on. */
  async resume(): Promise<QueueView> {
    return queueView(await this.session.request('resume', () => ({ name: this.name })))
  }

  /**
   * Ends the waiting batches as cancelled, then drops what is ready and delayed, and what is leased too if asked (A6). How
   * many messages.
   *
   * @throws ConnectionError `connection-lost`: it is unknown whether it happened
   */
  async purge({ leased = false }: { readonly leased?: boolean } = {}): Promise<number> {
    const params = { name: this.name, leased }
    const { purged } = (await this.session.request('purge', () => params, { again: false })) as ValueMap
    return purged as number
  }

  /** A page of the messages there are, by sequence number. Takes no lease and changes nothing. @throws RefusedError `bad-filter` */
  async browse(options: BrowseOptions = {}): Promise<MessagePage<T>> {
    return messagePage(await this.session.request('browse', () => ({ queue: this.name, ...options })), this.#codec)
  }

  /** A page of the barriers that are on record, waiting, or waiting for parties; of parties only how many. */
  async barriers(options: BarriersOptions = {}): Promise<BarriersPage<T>> {
    const params = { queue: this.name, ...options }
    const { barriers, next } = (await this.session.request('barriers', () => params)) as ValueMap
    const page = { barriers: (barriers as readonly ValueMap[]).map(barrier => batchView(barrier, this.#codec)) }
    return typeof next === 'number' ? { ...page, next } : page
  }

  /** One message by its sequence number, to release, dead-letter or delete it, whoever has it. */
  message(sequence: number): MessageHandle {
    return new MessageHandle(this.session, this.name, sequence)
  }

  /** @throws RefusedError `no-such-queue` */
  show(): Promise<QueueView> {
    return this.session.queueView(this.name)
  }

  /**
   * Deletes the queue and everything in it.
   *
   * @throws RefusedError `no-such-queue`, `queue-in-use`; ConnectionError `connection-lost`: it is unknown whether it happened
   */
  async delete(): Promise<void> {
    await this.session.request('delete', () => ({ name: this.name }), { again: false })
    this.#lane.restart()
  }

  /**
   * Publishes a message. Resolves once it is as durable as asked; survives reconnects without loss or duplicate. What is
   * published in one tick travels together: publish many without waiting for each, or use `publishMany`.
   *
   * @throws (rejects) RefusedError; InvalidMessageError: it does not fit the schema; ConnectionError `closed`
   */
  publish(body: Input, options?: PublishOptions): Promise<Published>
  /**
   * On an at-most-once queue, without a confirm: resolves when it is sent, which waits for a connection and for credit, and
   * is not sent again. What the server refuses is told as a `warning`, and to the next barrier.
   */
  publish(body: Input, options: UnconfirmedOptions): Promise<undefined>
  publish(body: Input, options?: PublishOptions | UnconfirmedOptions): Promise<Published | undefined>
  publish(body: Input, options?: PublishOptions | UnconfirmedOptions): Promise<Published | undefined> {
    const { tracing } = this.session
    if (tracing === undefined) return this.#publish(body, options)
    const sending = { operation: 'publish', queue: this.name, properties: options } as const
    return tracing.publish(sending, carry => this.#publish(body, carry(options)))
  }

  /**
   * Publishes everything that comes, no faster than it is confirmed. Resolves when all of it is.
   *
   * @throws (rejects) the first refusal, unless `onRefused` is given; what the source throws; the signal's reason
   */
  publishMany(
    bodies: Iterable<Input> | AsyncIterable<Input>,
    options: PublishManyOptions<Input> = {},
  ): Promise<{ readonly count: number }> {
    const { tracing, publisher } = this.session
    const add: AddOne<Input> = (...one) => this.#add(...one)
    if (tracing === undefined) return publishMany(publisher, add, bodies, options)
    return tracing.publish({ operation: 'publish', queue: this.name, messages: 'unknown' }, carry => {
      const carried = (body: Input, index: number) => carry(options.options?.(body, index))
      return publishMany(publisher, add, bodies, { ...options, options: carried })
    })
  }

  /**
   * Publishes a barrier behind everything published before. Waits until all that this client published to the queue is
   * confirmed; what is published after this call comes behind the barrier, also without waiting for it. `B` is the type
   * of its body.
   *
   * @throws SluiceError `batch-incomplete`: an earlier publish was refused, so there is no barrier (unless `force`); the next
   *   call starts with a clean slate. RefusedError `barrier-exists`, `barrier-mismatch`, `too-many-barriers`, `not-allowed`, …
   */
  barrier<B = T>(options: BarrierOptions = {}): Promise<BatchHandle<B>> {
    const { tracing } = this.session
    if (tracing === undefined) return this.#barrier<B>(options)
    const sending = { operation: 'barrier', queue: this.name, barrier: options.name } as const
    return tracing.publish(sending, carry => this.#barrier<B>(options, carry))
  }

  /** A barrier by its name, or `@` and its sequence number; from anywhere, at any time. `B` is the type of its body. */
  batch<B = T>(name: string): BatchHandle<B> {
    return new BatchHandle<B>(this.session, this.name, name, this.#codec as unknown as Codec<B>)
  }

  /** Messages, and barriers when everything before them is done. Starts at once; leaving the loop gives back what is not settled. */
  consume(options: ConsumeOptions & { readonly barriers: false }): Subscription<T, Message<T>>
  consume(options?: ConsumeOptions): Subscription<T>
  consume(options: ConsumeOptions = {}): Subscription<T> {
    const accept = this.#schema && ((message: Message<T>) => this.#accept(message))
    return new Subscription<T>(this.session, this.name, this.#codec, options, accept)
  }

  /** A body as bytes, in the codec of this queue. @throws what the codec throws */
  encode(body: Input): Uint8Array {
    return this.#codec.encode(body as unknown as T)
  }

  /** Whether a body fits the schema. @throws InvalidMessageError (or rejects with it) */
  check(body: Input): undefined | Promise<undefined> {
    if (this.#schema === undefined) return undefined
    const checking = this.#outputOf(body)
    return checking instanceof Promise ? checking.then(() => undefined) : undefined
  }

  #publish(body: Input, options: PublishOptions | UnconfirmedOptions | undefined): Promise<Published | undefined> {
    const waiter = deferred<Published | undefined>()
    void this.#add(body, options, waiter)
    return waiter.promise
  }

  async #barrier<B>(options: BarrierOptions, carry?: Carry): Promise<BatchHandle<B>> {
    const { name, body, deadlineMs, deadlineRest: rest, parties, party, forward: queues, force = false } = options
    const forward = queues?.map(queue => (typeof queue === 'string' ? queue : queue.name))
    const given = Object.entries({ name, deadlineMs, rest, parties, party, forward }).filter(
      entry => entry[1] !== undefined,
    )
    const own: MessageProperties = { barrier: Object.fromEntries(given) }
    const properties = carry?.(own) ?? own
    const bytes = body === undefined ? new Uint8Array(0) : this.#codec.encode(body as T)
    if (this.#lane.validating.size > 0) await Promise.allSettled(this.#lane.validating)
    const { sequence } = await this.#lane.barrier(bytes, properties, force)
    // Of a party it is the party's own: the barrier gets the last one's.
    const known = party === undefined ? sequence : undefined
    return new BatchHandle<B>(
      this.session,
      this.name,
      name ?? `@${sequence}`,
      this.#codec as unknown as Codec<B>,
      known,
    )
  }

  /** Never throws nor rejects: what is wrong with a body is told to its waiter. */
  #add(
    body: Input,
    options: PublishOptions | UnconfirmedOptions | undefined,
    waiter: PublishWaiter,
    chunk?: number,
  ): void | Promise<void> {
    try {
      const checking = this.check(body)
      if (checking !== undefined) return this.#addLater(checking, body, options, waiter, chunk)
      this.#addNow(body, options, waiter, chunk)
    } catch (error) {
      waiter.reject(this.#lane.refuse(error))
    }
  }

  async #addLater(
    checking: Promise<unknown>,
    body: Input,
    options: PublishOptions | UnconfirmedOptions | undefined,
    waiter: PublishWaiter,
    chunk: number | undefined,
  ): Promise<void> {
    const adding = checking.then(() => this.#addNow(body, options, waiter, chunk))
    // A barrier that is called meanwhile waits for it.
    this.#lane.validating.add(adding)
    try {
      await adding
    } catch (error) {
      waiter.reject(this.#lane.refuse(error))
    }
    this.#lane.validating.delete(adding)
  }

  #addNow(
    body: Input,
    options: PublishOptions | UnconfirmedOptions | undefined,
    waiter: PublishWaiter,
    chunk: number | undefined,
  ): void {
    const bytes = this.encode(body)
    if (options === undefined) this.#lane.add(bytes, undefined, 0, waiter, chunk)
    else {
      const { dedupe, confirm, ...properties } = options
      const flags = (dedupe ? PUBLISH_FLAGS.dedupe : 0) | (confirm === undefined ? 0 : CONFIRM_FLAGS[confirm])
      if (confirm === 'none' && this.session.publisher.version < UNCONFIRMED_VERSION)
        throw new RefusedError('unsupported-version', 'the server is older than publishing without a confirm')
      this.#lane.add(bytes, properties, flags, waiter, chunk)
    }
  }

  /** What a schema makes of a body. @throws InvalidMessageError (or rejects with it) */
  #outputOf(body: unknown): T | Promise<T> {
    const result = this.#schema?.validate(body)
    if (result === undefined) return body as T
    return result instanceof Promise ? result.then(outputOf) : outputOf(result)
  }

  /** @returns whether the message is handed out; one that is not has been settled */
  async #accept(message: Message<T>): Promise<boolean> {
    try {
      message.body = await this.#outputOf(message.body)
      return true
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown))
      if (this.#invalid === 'throw') {
        message.refuseBody(error)
        return true
      }
      const { queue, sequence } = message
      const isInvalid = error instanceof InvalidMessageError
      const code = isInvalid ? 'invalid-message' : 'handler-failed'
      this.session.emit('warning', { code, detail: error.message, queue, sequence, error })
      // A schema that failed to say anything may do so the next time: nothing is known of the message.
      await (isInvalid ? message.reject(error.message) : message.nack())
      return false
    }
  }
}

function outputOf<T>(result: SchemaResult<T>): T {
  if (result.issues) throw new InvalidMessageError(issuesText(result.issues), result.issues, result.issues)
  return result.value
}

/** Options as the wire has them: `leaseMs: 60_000` is `lease = 60000`, at every depth, and `null` is `none`. */
function wireOptions(options: object): ValueMap {
  const given = Object.entries(options).filter(entry => entry[1] !== undefined)
  const renamed = given.map(([key, value]): [string, unknown] => [
    key.replace(/Ms$/, ''),
    typeof value === 'object' && value !== null && !Array.isArray(value) ? wireOptions(value) : (value ?? 'none'),
  ])
  return toSnakeCase(Object.fromEntries(renamed))
}
