import { PRODUCER_ID_DIGITS } from '@sluice/protocol'
import { type AtomicMessage, publishAtomic } from './atomic.ts'
import { TimeoutError } from './errors.ts'
import { ClientEvent, type ClientEvents } from './events.ts'
import type { Published } from './lane.ts'
import type { LinkStatus } from './link.ts'
import type { ConnectOptions } from './options.ts'
import { sendingOf } from './outgoing.ts'
import { type BodyOptions, Queue } from './queue.ts'
import { Session } from './session.ts'
import { socketFactory, socketUrl } from './socket.ts'
import { realTimers } from './timers.ts'

/**
 * Connects to a server.
 *
 * @param url `ws://host:port` (also `wss:`, `http:`, `https:`); the path is the server's own unless one is given
 * @throws (rejects) ConnectionError `unreachable`; RefusedError `unauthenticated`, `unsupported-version`, … ; TypeError for what is no URL
 */
export async function connect(url: string, options: ConnectOptions = {}): Promise<Client> {
  const client = new Client(socketUrl(url), options)
  await client.open()
  return client
}

/**
 * A connection that comes back by itself: it reconnects with growing pauses, sends again what was not confirmed under its
 * old numbers (no loss, no duplicate), subscribes again and catches up on barriers it missed. One serves a whole program.
 */
export class Client extends EventTarget implements AsyncDisposable {
  readonly url: string
  /** Who publishes, to the server: 32 hex digits. */
  readonly producer: string
  readonly #session: Session

  /** @internal Use `connect`. */
  constructor(url: string, options: ConnectOptions) {
    super()
    this.url = url
    this.producer = options.producer ?? randomProducer()
    const settings = {
      url,
      name: options.name ?? 'sdk',
      producer: this.producer,
      token: options.token ?? '',
      heartbeatMs: options.heartbeatMs ?? 0,
      connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
      backoff: options.backoff ?? {},
      socket: options.socket ?? socketFactory(options.tls),
      timers: options.timers ?? realTimers,
      random: options.random ?? Math.random,
    }
    this.#session = new Session(
      settings,
      options,
      (type, detail) => void this.dispatchEvent(new ClientEvent(type, detail)),
    )
  }

  get status(): LinkStatus {
    return this.#session.link.status
  }

  /** @internal */
  open(): Promise<void> {
    return this.#session.link.open()
  }

  /** A queue by name, with the type of its bodies. Nothing is asked of the server. */
  queue<T = unknown, Input = T>(name: string, options: BodyOptions<T, Input> = {}): Queue<T, Input> {
    return new Queue<T, Input>(this.#session, name, options)
  }

  /**
   * Publishes messages to several queues together: all of them are kept, in one commit, or none. At most 10,000 messages
   * and 16 MiB. Each queue gets its own in the order given, behind what was published to it before. Resolves with where
   * each one is; survives reconnects as `publish` does.
   *
   * @throws (rejects) RefusedError: the first refusal of one message, and none is kept; ConnectionError `closed`
   */
  publishAtomic(messages: readonly AtomicMessage[]): Promise<readonly Published[]> {
    const { publisher, tracing } = this.#session
    if (tracing === undefined) return publishAtomic(publisher, messages)
    return tracing.publish(sendingOf(messages), carry => publishAtomic(publisher, messages.map(carry)))
  }

  /** Resolves when every publish so far has been answered, and the server has taken every ack, nack, release and reject. */
  flush(): Promise<void> {
    return this.#session.flush()
  }

  /**
   * The end in good order: hands out no more messages and gives back what waits, lets those handed out be settled, waits
   * until all publishes and acks are with the server, and closes.
   *
   * @throws TimeoutError if it took longer; the client is closed then too, and what was held returns to its queues
   */
  async drain(
    options: {
      /** How long that may take. Default 30,000. */
      readonly timeoutMs?: number
    } = {},
  ): Promise<void> {
    const { timeoutMs = 30_000 } = options
    if (this.status === 'closed') return this.close()
    const { timers } = this.#session.settings
    let cancel = () => {}
    const tooLong = new Promise<never>((_, reject) => {
      cancel = timers.after(timeoutMs, () => {
        const held = this.#session.heldCount
        reject(
          new TimeoutError(`not drained in ${timeoutMs} ms, ${held} messages are not settled`, { timeoutMs, held }),
        )
      })
    })
    try {
      await Promise.race([this.#session.stopConsuming().then(() => this.#session.flush()), tooLong])
    } finally {
      cancel()
      await this.close()
    }
  }

  /**
   * The end at once: what was published and acked up to now is still sent, but not waited for. Pending promises reject
   * with `closed`, loops over messages end, leases return to their queues. Resolves when the connection is gone.
   */
  close(): Promise<void> {
    return this.#session.link.close()
  }

  /** As `close()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Listens to an event of the client, by its type. */
  override addEventListener<K extends keyof ClientEvents>(
    type: K,
    listener: ClientListener<K>,
    options?: ListenOptions,
  ): void
  /** As every EventTarget. */
  override addEventListener(...args: Parameters<EventTarget['addEventListener']>): void
  override addEventListener(type: string, listener: unknown, options?: unknown): void {
    super.addEventListener(type, listener as AnyListener, options as ListenOptions)
  }

  /** Ends the listening of one listener. */
  override removeEventListener<K extends keyof ClientEvents>(type: K, listener: ClientListener<K>): void
  /** As every EventTarget. */
  override removeEventListener(...args: Parameters<EventTarget['removeEventListener']>): void
  override removeEventListener(type: string, listener: unknown, options?: unknown): void {
    super.removeEventListener(type, listener as AnyListener, options as boolean | undefined)
  }
}

type AnyListener = (event: Event) => void

/** What is called with an event of one type. */
export type ClientListener<K extends keyof ClientEvents> = (event: ClientEvent<K>) => void

/** How long a listener listens. */
export interface ListenOptions {
  /** Listens to the next one only. */
  readonly once?: boolean
  /** Ends the listening. */
  readonly signal?: AbortSignal
}

function randomProducer(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(PRODUCER_ID_DIGITS / 2))
  return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('')
}
