import { type FrameFrom, type Frames, toCamelCase, type Value, type ValueMap } from '@sluice/protocol'
import { progressOf } from './batch.ts'
import type { Message } from './delivery.ts'
import { type ConnectionError, refusedError, type SluiceError } from './errors.ts'
import type { ClientEvents } from './events.ts'
import { Link, type LinkSettings, type LinkUser, type RequestOptions } from './link.ts'
import type { ConnectOptions } from './options.ts'
import { Publisher } from './publisher.ts'
import type { QueueView } from './queue.ts'
import type { Subscription } from './subscription.ts'
import type { ClientTracing } from './tracing.ts'

// biome-ignore lint/suspicious/noExplicitAny: subscriptions of any body
type AnySubscription = Subscription<any, any>

type SubscriptionFrame = Extract<FrameFrom<'server'>, { readonly fields: { readonly subscription: number } }>

/** Says something to whoever listens to the client. */
export type Emit = <K extends keyof ClientEvents>(type: K, detail: ClientEvents[K]) => void

/** The inside of a client: one link, and everything that goes over it and must go on over the next one. */
export class Session implements LinkUser {
  readonly link: Link
  readonly publisher: Publisher
  readonly settings: LinkSettings
  /** Default of new subscriptions. */
  readonly prefetch: number
  readonly emit: Emit
  /** Absent: nobody traces, and nothing is done for it. */
  readonly tracing: ClientTracing | undefined
  readonly #subscriptions = new Map<number, AnySubscription>()
  /** Those that have settled something in this tick. */
  readonly #settling = new Set<AnySubscription>()
  #lastSubscription = 0
  #attempts = 0
  #flowReason = ''

  constructor(settings: LinkSettings, options: ConnectOptions, emit: Emit) {
    this.settings = settings
    this.prefetch = options.prefetch ?? 100
    this.emit = emit
    this.tracing = options.tracing?.client({ name: settings.name, url: settings.url })
    this.link = new Link(settings, this)
    this.publisher = new Publisher(this.link, options.window)
  }

  request(method: string, params: () => ValueMap, options?: RequestOptions): Promise<Value> {
    return this.link.request(method, params, options)
  }

  async queueView(name: string): Promise<QueueView> {
    return queueView(await this.request('queue', () => ({ name })))
  }

  register(subscription: AnySubscription): number {
    this.#lastSubscription += 1
    this.#subscriptions.set(this.#lastSubscription, subscription)
    return this.#lastSubscription
  }

  unregister(id: number): void {
    this.#subscriptions.delete(id)
  }

  gatherSettles(subscription: AnySubscription): void {
    this.#settling.add(subscription)
    this.link.schedule()
  }

  leaseLost({ queue, sequence, attempt }: Message): void {
    this.emit('lease-lost', { queue, sequence, attempt })
  }

  /** Everything published is answered, and everything settled so far was taken by the server. */
  async flush(): Promise<void> {
    await this.publisher.settled()
    this.link.flush()
    await this.request('ping', () => ({}))
  }

  /** Every subscription hands out nothing more; resolves once all that was handed out is settled. */
  async stopConsuming(): Promise<void> {
    await Promise.all([...this.#subscriptions.values()].map(subscription => subscription.stop()))
  }

  /** Messages handed out and not settled. */
  get heldCount(): number {
    let count = 0
    for (const subscription of this.#subscriptions.values()) count += subscription.heldCount
    return count
  }

  // What the link tells.

  gather(): void {
    for (const subscription of this.#settling) subscription.flush()
    this.#settling.clear()
    this.publisher.gather()
  }

  welcomed(welcome: Frames['welcome'], again: boolean): void {
    this.publisher.resume(welcome)
    if (again) for (const subscription of this.#subscriptions.values()) subscription.subscribe()
    this.emit('status', { status: 'connected' })
    if (again) this.emit('reconnected', { attempts: this.#attempts })
  }

  received({ name, fields }: FrameFrom<'server'>): void {
    if (name === 'confirm') this.publisher.lane(fields.queue).confirmed(fields)
    else if (name === 'refused') this.#refused(fields)
    else if (name === 'flow') this.#flow(fields)
    else if ('subscription' in fields) this.#tell({ name, fields } as SubscriptionFrame)
  }

  lost(error: ConnectionError, attempt: number, delayMs: number): void {
    this.#attempts = attempt
    this.#settling.clear()
    for (const subscription of [...this.#subscriptions.values()]) subscription.lost()
    if (attempt === 1) this.emit('status', { status: 'reconnecting' })
    this.emit('reconnecting', { attempt, delayMs, error })
  }

  ended(error: SluiceError): void {
    this.publisher.end(error)
    for (const subscription of [...this.#subscriptions.values()]) subscription.ended(error)
    this.emit('status', { status: 'closed', ...(error.code === 'closed' ? {} : { error }) })
  }

  #tell({ name, fields }: SubscriptionFrame): void {
    // One that ended here may still be told what was on its way.
    const subscription = this.#subscriptions.get(fields.subscription)
    if (subscription === undefined) return
    if (name === 'deliver') subscription.delivered(fields)
    else if (name === 'barrier') subscription.released(fields)
    else if (name === 'subscribed') subscription.subscribed(fields)
    else if (name === 'leaseLost') subscription.leaseLost(fields)
    else subscription.cancelled(fields)
  }

  #refused(fields: Frames['refused']): void {
    const { queue, number, count, code, detail } = fields
    const lane = this.publisher.lane(queue)
    if (number > 0) {
      lane.refused(fields)
      return
    }
    // Of a publish without a confirm: nobody waits for it.
    const error = lane.refuse(refusedError(fields), count)
    this.emit('warning', { code: 'publish-refused', detail: `${code}: ${detail}`, queue, count, error })
  }

  #flow({ granted, reason }: Frames['flow']): void {
    this.publisher.flow(granted)
    if (reason !== '' && reason !== this.#flowReason) this.emit('warning', { code: 'publishing-held', detail: reason })
    this.#flowReason = reason
  }
}

/** Counts for a token that sees only some messages. */
const NOT_TOLD = {
  ready: Number.NaN,
  leased: Number.NaN,
  delayed: Number.NaN,
  bytes: Number.NaN,
  barriersWaiting: Number.NaN,
  publishedTotal: Number.NaN,
  ackedTotal: Number.NaN,
}

/** A queue view as it comes over the wire. */
export function queueView(value: Value | undefined): QueueView {
  const { options, open, ...rest } = toCamelCase(value as ValueMap)
  const counts = open === undefined ? NOT_TOLD : {}
  return { ...counts, ...rest, options: { ...(options as ValueMap) }, open: progressOf(open) } as unknown as QueueView
}
