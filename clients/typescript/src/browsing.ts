import { decodeMessage, type MessageProperties, toCamelCase, type Value, type ValueMap } from '@sluice/protocol'
import type { Codec } from './codecs.ts'
import type { DeadLetterOrigin } from './delivery.ts'
import type { Headers } from './options.ts'
import type { Session } from './session.ts'

/** A message as it stands in its queue; looking at it changes nothing. Times in ms since the epoch. */
export interface BrowsedMessage<T = unknown> {
  readonly sequence: number
  readonly batch: number
  /** `delayed`: also waiting for a retry. */
  readonly state: MessagePlace
  /** Attempts that were counted and have ended. */
  readonly attempts: number
  readonly redelivered: boolean
  readonly publishedAt: number
  readonly dueAt?: number
  readonly expiresAt?: number
  /** Name of the client that has it, and for how long. */
  readonly holder?: string
  readonly leaseAgeMs?: number
  /** Of a dead letter. */
  readonly origin?: DeadLetterOrigin
  readonly properties: MessageProperties
  readonly headers: Headers
  readonly messageId?: string
  readonly bytes: Uint8Array
  /** Decoded when asked for; throws if it is none of the codec's. */
  readonly body: T
}

/** Where a message is now: free to be taken, held by a consumer, or not due yet. */
export type MessagePlace = 'ready' | 'leased' | 'delayed'

/** Messages by sequence number. `next`: there may be more, behind this one; give it back as `after`. */
export interface MessagePage<T = unknown> {
  readonly messages: readonly BrowsedMessage<T>[]
  readonly next?: number
}

/** Which part of a list: `limit` messages (default 100, at most 1,000; fewer where they are large) behind sequence number `after`. */
export interface PageOptions {
  readonly after?: number
  readonly limit?: number
}

export interface BrowseOptions extends PageOptions {
  /** Only messages in that state. */
  readonly state?: MessagePlace
  /** Only messages that match. */
  readonly filter?: string
}

/** Which dead letters; default all. */
export interface DeadLetterChoice {
  /** Those that were in the batch of this barrier. */
  readonly batch?: string
  /** Those that match. */
  readonly filter?: string
  /** The one with this number, as `list()` tells it. */
  readonly sequence?: number
}

/** The dead letters that came from one queue. */
export class DeadLetters<T = unknown> {
  readonly #session: Session
  readonly #queue: string
  readonly #codec: Codec<T>

  /** @internal */
  constructor(session: Session, queue: string, codec: Codec<T>) {
    this.#session = session
    this.#queue = queue
    this.#codec = codec
  }

  /** A page of them; sequence numbers are those in the dead-letter queue, and `origin` tells where each comes from. */
  async list(options: DeadLetterChoice & PageOptions = {}): Promise<MessagePage<T>> {
    const result = await this.#session.request('dead', () => ({ queue: this.#queue, ...options }))
    return messagePage(result, this.#codec)
  }

  /**
   * Back to the queue they came from, in their batch while its barrier waits (B16). How many.
   *
   * @throws ConnectionError `connection-lost`: it is unknown how many, ask again
   */
  async requeue(choice: DeadLetterChoice = {}): Promise<number> {
    return this.#count('requeue', 'requeued', choice)
  }

  /** Away with them. How many. @throws ConnectionError `connection-lost`: it is unknown how many, ask again */
  async purge(choice: DeadLetterChoice = {}): Promise<number> {
    return this.#count('purge-dead', 'purged', choice)
  }

  async #count(method: string, counted: string, choice: DeadLetterChoice): Promise<number> {
    const params = () => ({ queue: this.#queue, ...choice })
    const result = (await this.#session.request(method, params, { again: false })) as ValueMap
    return result[counted] as number
  }
}

/** A page as it comes over the wire. */
export function messagePage<T>(value: Value, codec: Codec<T>): MessagePage<T> {
  const { messages, next } = value as { readonly messages: readonly ValueMap[]; readonly next?: number }
  const page = { messages: messages.map(message => browsedMessage(message, codec)) }
  return next === undefined ? page : { ...page, next }
}

function browsedMessage<T>({ message, origin, ...rest }: ValueMap, codec: Codec<T>): BrowsedMessage<T> {
  const { body: bytes, properties = {} } = decodeMessage(message as Uint8Array)
  return {
    ...(toCamelCase(rest) as unknown as Omit<BrowsedMessage<T>, 'bytes' | 'properties' | 'headers' | 'body'>),
    ...(origin ? { origin: { ...toCamelCase(origin as ValueMap) } as unknown as DeadLetterOrigin } : {}),
    ...(properties.messageId === undefined ? {} : { messageId: properties.messageId }),
    properties,
    headers: properties.headers ?? {},
    bytes,
    get body() {
      return codec.decode(bytes)
    },
  }
}
