import { type Frames, MessageCursor, toCamelCase, type ValueMap } from '@sluice/protocol'
import { batchRecord } from './batch.ts'
import type { Codec } from './codecs.ts'
import {
  type AckResult,
  asBarrier,
  type Barrier,
  type DeadLetterOrigin,
  type Delivery,
  type DeliveryRun,
  Message,
  type Outgoing,
} from './delivery.ts'
import { ConnectionError, refusedError, type SluiceError } from './errors.ts'
import type { ConsumeOptions } from './options.ts'
import { encodeOutgoing, sendingOf } from './outgoing.ts'
import type { Session } from './session.ts'
import { ackResult, Settles } from './settles.ts'
import { deferred } from './timers.ts'

/** Deliveries next to one another that wait here. */
interface Run extends DeliveryRun {
  readonly cursor: MessageCursor
  /** Number, sequence number and count of those that are still here. */
  delivery: number
  sequence: number
  left: number
  /** When their leases began anew. */
  renewedAt: number
}

/** Whether a message may be handed out; one that may not has been settled. */
export type Accept<T> = (message: Message<T>) => Promise<boolean>

interface NextWaiter<D> {
  resolve(result: IteratorResult<D, undefined>): void
  reject(error: unknown): void
}

/** First version of the protocol that knows everything up to a delivery. */
const UP_TO_VERSION = 3
/** A lease is renewed after this share of it; twice that can be lost to a slow connection before one runs out. */
const RENEW_SHARE = 1 / 3
/** What waited here for less than this share of its lease is handed out without a renewal of its own. */
const WHOLE_SHARE = 1 / 20

/**
 * What a consumer gets, in order: an async iterator that never holds more than its prefetch. Leaving the loop gives back
 * what is not settled. Across a reconnect it goes on by itself: what waited here is discarded and comes again, barriers
 * missed meanwhile come as `replayed`, and the messages handed out before are lost to their holder (`lease-lost`).
 */
export class Subscription<T = unknown, D = Delivery<T>>
  implements AsyncIterableIterator<D, undefined>, AsyncDisposable
{
  readonly queue: string
  readonly #id: number
  readonly #session: Session
  readonly #codec: Codec<T>
  #options: ConsumeOptions
  readonly #accept: Accept<T> | undefined
  readonly #settles: Settles
  readonly #buffer: (Run | Barrier)[] = []
  readonly #waiting: NextWaiter<D>[] = []
  /** Handed out and not settled, by delivery number. */
  readonly #held = new Map<number, Message>()
  /** Waiting here, but the lease is gone: not handed out. */
  readonly #lostHere = new Set<number>()
  readonly #idle = deferred<void>()
  /** The batch the program is in, told after a reconnect so that no barrier is missed (B11). */
  #batch: number | undefined
  #leaseMs: number
  #cancelRenewal: (() => void) | undefined
  /** `stopping`: nothing more is handed out, what is held can still be settled. */
  #state: 'open' | 'stopping' | 'closed' = 'open'
  #failure: SluiceError | undefined
  readonly #abort = (): void => void this.return()

  /** @internal */
  constructor(session: Session, queue: string, codec: Codec<T>, options: ConsumeOptions, accept?: Accept<T>) {
    this.#accept = accept
    this.queue = queue
    this.#session = session
    this.#codec = codec
    this.#options = options
    this.#id = session.register(this)
    this.#settles = new Settles(session.link, this.#id)
    this.#leaseMs = options.leaseMs ?? 0
    if (options.signal?.aborted) this.#finish()
    else this.#start()
  }

  /** The next delivery, as soon as there is one. @throws (rejects) RefusedError once, when the server ended the subscription */
  next(): Promise<IteratorResult<D, undefined>> {
    return this.#accept === undefined ? this.#next() : this.#nextAccepted(this.#accept)
  }

  /** Ends the subscription and gives back what is not settled, untouched (D10). */
  return(): Promise<IteratorResult<D, undefined>> {
    if (this.#state !== 'closed') {
      // The acks of this tick go first: behind the unsubscribe they would be of no use.
      this.#settles.flush()
      this.#session.link.write('unsubscribe', { subscription: this.#id })
      this.#finish()
    }
    return Promise.resolve({ value: undefined, done: true })
  }

  /**
   * Takes no more and gives back what waits here; the loop ends. What was handed out can still be settled. Resolves, and
   * the subscription ends, once all of it is.
   */
  stop(): Promise<void> {
    if (this.#state === 'open') {
      this.#state = 'stopping'
      for (const item of this.#buffer) {
        if ('cursor' in item && item.left > 0) this.#settles.add('release', item.delivery, item.left)
      }
      this.#discard()
      // Leaves before the releases, which would otherwise come straight back.
      const subscription = this.#id
      this.#session.link.write('resubscribe', { request: 0, subscription, prefetch: 0, filter: '', hasFilter: false })
      this.#session.gatherSettles(this)
      this.#endNexts()
      this.#settled()
    }
    return this.#idle.promise
  }

  /**
   * Another prefetch, another filter (`''`: none), in place: what is held, or waits here, stays (D13). Resolves when it
   * is so, also over reconnects.
   *
   * @throws (rejects) RefusedError `bad-filter`, `invalid-request`: then all is as it was; ConnectionError `closed`
   */
  async change(change: { readonly prefetch?: number; readonly filter?: string }): Promise<void> {
    if (this.#state !== 'open') throw new ConnectionError('closed', `the subscription of ${this.queue} has ended`)
    await this.#session.link.ask(request => {
      const prefetch = change.prefetch ?? this.#options.prefetch ?? this.#session.prefetch
      const filter = { filter: change.filter ?? '', hasFilter: change.filter !== undefined }
      this.#session.link.write('resubscribe', { request, subscription: this.#id, prefetch, ...filter })
    })
    this.#options = { ...this.#options, ...change }
  }

  /** Acks everything handed out up to this message, itself included, that is not settled yet. On its way at once, as `ack()`. */
  ackUpTo(message: Message<T>): Promise<void> {
    return message.ack({ upTo: true })
  }

  /** Messages handed out and not settled. */
  get heldCount(): number {
    return this.#held.size
  }

  /** Itself. */
  [Symbol.asyncIterator](): this {
    return this
  }

  /** As `return()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  // What messages ask of their subscription.

  /** @internal */
  ack(message: Message): void {
    this.#settles.ack(message.delivery)
    this.#leave(message)
  }

  /** @internal */
  nack(message: Message, valueMs: number): void {
    this.#settle('nack', message, valueMs)
  }

  /** @internal */
  release(message: Message): void {
    this.#settle('release', message)
  }

  /** @internal */
  reject(message: Message, reason: string): void {
    this.#settle('reject', message, 0, reason)
  }

  /** @internal */
  extend(message: Message, leaseMs: number): void {
    this.#settles.add('extend', message.delivery, 1, leaseMs)
    this.#session.gatherSettles(this)
  }

  /** @internal */
  ackDurably(message: Message): Promise<AckResult> {
    const result = this.#settles.ackDurably(message.delivery)
    this.#leave(message)
    return result
  }

  /** @internal */
  ackThrough({ delivery: last }: Message, isDurable: boolean): Promise<AckResult> | undefined {
    const isKnown = this.#session.publisher.version >= UP_TO_VERSION
    for (const [delivery, held] of this.#held) {
      if (delivery > last) break
      held.state = 'settled'
      this.#held.delete(delivery)
      if (!isKnown && delivery < last) this.#settles.ack(delivery)
    }
    this.#settling()
    if (isKnown) return this.#settles.ackUpTo(last, isDurable)
    return isDurable ? this.#settles.ackDurably(last) : this.#settles.ack(last)
  }

  /** @internal */
  ackAndPublish(message: Message, outgoing: readonly Outgoing[]): Promise<AckResult> {
    const { tracing } = this.#session
    if (tracing === undefined) return this.#ackAndPublish(message, outgoing)
    const sending = { ...sendingOf(outgoing), acked: message }
    return tracing.publish(sending, carry => this.#ackAndPublish(message, outgoing.map(carry)))
  }

  #ackAndPublish(message: Message, outgoing: readonly Outgoing[]): Promise<AckResult> {
    const { promise, resolve, reject } = deferred<AckResult>()
    const publish = encodeOutgoing(outgoing, this.#session.publisher.carriedBytesMax)
    const request = this.#session.link.awaitSettled({
      answered: ({ results, refusal, published }) => {
        const refused = refusal ?? (Array.isArray(published) ? null : published)
        // Nothing happened then, and the message is still held.
        if (refused !== null) return reject(refusedError(refused))
        const result = ackResult(results[0]?.result ?? 'unknown')
        if (message.state === 'held') message.state = 'settled'
        this.#leave(message)
        resolve(result)
      },
      lost: reject,
    })
    this.#session.link.write('settle', {
      request,
      subscription: this.#id,
      how: 'ack',
      valueMs: 0,
      reason: '',
      deliveries: [{ first: message.delivery, count: 1 }],
      publish,
    })
    return promise
  }

  /** @internal */
  late(message: Message): void {
    this.#session.leaseLost(message)
  }

  // What the session tells.

  /** @internal Asks for deliveries; again after a reconnect, whose deliveries are numbered anew. */
  subscribe(): void {
    const { prefetch = this.#session.prefetch, concurrency = 1, leaseMs = 0, filter = '' } = this.#options
    const afterBatch = this.#batch === undefined ? 0 : this.#batch + 1
    const subscription = this.#id
    this.#session.link.write('subscribe', {
      subscription,
      queue: this.queue,
      prefetch,
      concurrency,
      leaseMs,
      filter,
      afterBatch,
    })
  }

  /** @internal */
  subscribed({ batch, barriersMissed }: Frames['subscribed']): void {
    // Not raised after a reconnect: barriers that are on their way have not been seen yet.
    this.#batch ??= batch
    if (barriersMissed > 0) this.#session.emit('barriers-missed', { queue: this.queue, count: barriersMissed })
  }

  /** @internal */
  delivered(frame: Frames['deliver']): void {
    if (this.#state !== 'open') return
    const { messages, delivery, sequence, count, batch, attempt, redelivered, origin } = frame
    const cursor = new MessageCursor().open(messages)
    const renewedAt = this.#session.settings.timers.now()
    this.#buffer.push({
      bytes: messages,
      cursor,
      delivery,
      sequence,
      left: count,
      batch,
      attempt,
      redelivered,
      origin: origin === null ? undefined : (toCamelCase(origin as ValueMap) as unknown as DeadLetterOrigin),
      renewedAt,
    })
    this.#serve()
  }

  /** @internal */
  released({ replayed, record, message }: Frames['barrier']): void {
    if (this.#state !== 'open') return
    this.#buffer.push(asBarrier(batchRecord(record, this.#codec, message), this.queue, replayed))
    this.#serve()
  }

  /** @internal */
  leaseLost({ first, count }: Frames['leaseLost']): void {
    for (let delivery = first; delivery < first + count; delivery++) {
      const message = this.#held.get(delivery)
      if (message !== undefined) this.#lose(message)
      else if (delivery >= this.#firstHere()) this.#lostHere.add(delivery)
      // Settled by the program, but too late: it must not believe that this counted.
      else this.#session.emit('lease-lost', { queue: this.queue })
    }
    this.#settled()
  }

  /** @internal The server ended it. */
  cancelled({ code, detail, facts }: Frames['cancelled']): void {
    // Only the connection has ended, or is about to: the next one subscribes again.
    if (code === 'shutting-down') this.lost()
    else this.#fail(refusedError({ code, detail, facts }))
  }

  /** @internal The connection is gone, and every lease with it (D6). */
  lost(): void {
    this.#discard()
    this.#settles.drop()
    for (const message of [...this.#held.values()]) this.#lose(message)
    this.#settled()
  }

  /** @internal For good: the program closed the client (no error), or the client could not go on. */
  ended(error: SluiceError): void {
    this.lost()
    if (error.code === 'closed') this.#finish()
    else this.#fail(error)
  }

  /** @internal */
  flush(): void {
    this.#settles.flush()
  }

  #start(): void {
    this.#options.signal?.addEventListener('abort', this.#abort, { once: true })
    this.subscribe()
    if (this.#options.leaseMs === undefined) void this.#learnLease()
  }

  #next(): Promise<IteratorResult<D, undefined>> {
    const delivery = this.#waiting.length === 0 ? this.#take() : undefined
    if (delivery !== undefined) return Promise.resolve({ value: delivery, done: false })
    if (this.#failure !== undefined) {
      const failure = this.#failure
      this.#failure = undefined
      return Promise.reject(failure)
    }
    if (this.#state !== 'open') return Promise.resolve({ value: undefined, done: true })
    const waiter = deferred<IteratorResult<D, undefined>>()
    this.#waiting.push(waiter)
    return waiter.promise
  }

  async #nextAccepted(accept: Accept<T>): Promise<IteratorResult<D, undefined>> {
    for (;;) {
      const result = await this.#next()
      if (result.done || !(result.value instanceof Message) || (await accept(result.value))) return result
    }
  }

  /** Number of the first delivery that waits here; those before it were handed out. */
  #firstHere(): number {
    for (const item of this.#buffer) if ('cursor' in item && item.left > 0) return item.delivery
    return Number.POSITIVE_INFINITY
  }

  #take(): D | undefined {
    for (let head = this.#buffer[0]; head !== undefined; head = this.#buffer[0]) {
      if (!('cursor' in head)) {
        this.#buffer.shift()
        this.#batch = Math.max(this.#batch ?? 0, head.batch + 1)
        if (this.#options.barriers !== false) return head as D
      } else if (head.left === 0) this.#buffer.shift()
      else {
        const message = this.#takeMessage(head)
        if (message !== undefined) return message as D
      }
    }
    return undefined
  }

  #takeMessage(run: Run): Message<T> | undefined {
    const { cursor, delivery, sequence } = run
    cursor.next()
    run.delivery += 1
    run.sequence += 1
    run.left -= 1
    if (this.#lostHere.size > 0 && this.#lostHere.delete(delivery)) return undefined
    const message = new Message<T>(this, this.#codec, run, delivery, sequence, cursor)
    if (this.#batch === undefined || run.batch > this.#batch) this.#batch = run.batch
    this.#held.set(delivery, message)
    if (this.#leaseMs > 0 && this.#session.settings.timers.now() - run.renewedAt > this.#leaseMs * WHOLE_SHARE) {
      this.extend(message, this.#leaseMs)
    }
    return message
  }

  #serve(): void {
    while (this.#waiting.length > 0) {
      const delivery = this.#take()
      if (delivery === undefined) return
      this.#waiting.shift()!.resolve({ value: delivery, done: false })
    }
    this.#planRenewal()
  }

  #settle(how: 'nack' | 'release' | 'reject', message: Message, valueMs = 0, reason = ''): void {
    this.#settles.add(how, message.delivery, 1, valueMs, reason)
    this.#leave(message)
  }

  #leave(message: Message): void {
    this.#held.delete(message.delivery)
    this.#settling()
  }

  #settling(): void {
    this.#session.gatherSettles(this)
    if (this.#state === 'stopping') this.#settled()
  }

  #lose(message: Message): void {
    this.#held.delete(message.delivery)
    message.lose()
    this.#session.leaseLost(message)
  }

  /** Stopped, and nothing is held any more. */
  #settled(): void {
    if (this.#state === 'stopping' && this.#held.size === 0) void this.return()
  }

  /** What waits here keeps its lease, so that the program gets every message with the whole of it (D7). */
  #planRenewal(): void {
    if (this.#leaseMs === 0 || this.#cancelRenewal !== undefined || this.#buffer.length === 0) return
    const { timers } = this.#session.settings
    this.#cancelRenewal = timers.after(this.#leaseMs * RENEW_SHARE, () => {
      this.#cancelRenewal = undefined
      for (const item of this.#buffer) {
        if (!('cursor' in item) || item.left === 0) continue
        item.renewedAt = timers.now()
        this.#settles.add('extend', item.delivery, item.left, this.#leaseMs)
        this.#session.gatherSettles(this)
      }
      this.#planRenewal()
    })
  }

  async #learnLease(): Promise<void> {
    const view = await this.#session.queueView(this.queue).catch(() => undefined)
    this.#leaseMs = view?.options.leaseMs ?? 0
    this.#planRenewal()
  }

  #discard(): void {
    this.#buffer.length = 0
    this.#lostHere.clear()
    this.#cancelRenewal?.()
    this.#cancelRenewal = undefined
  }

  #fail(error: SluiceError): void {
    if (this.#state === 'closed') return
    const waiter = this.#waiting.shift()
    if (waiter === undefined) this.#failure = error
    else waiter.reject(error)
    this.#finish()
  }

  #finish(): void {
    this.#state = 'closed'
    this.#session.unregister(this.#id)
    this.#options.signal?.removeEventListener('abort', this.#abort)
    this.#discard()
    for (const message of this.#held.values()) message.lose()
    this.#held.clear()
    this.#endNexts()
    this.#idle.resolve()
  }

  #endNexts(): void {
    for (const waiter of this.#waiting.splice(0)) waiter.resolve({ value: undefined, done: true })
  }
}
