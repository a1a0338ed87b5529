import {
  decodeMessage,
  isMap,
  MessageCursor,
  type MessageProperties,
  toCamelCase,
  type Value,
  type ValueMap,
} from '@sluice/protocol'
import type { Codec } from './codecs.ts'
import { BatchError, RefusedError, TimeoutError } from './errors.ts'
import type { Headers } from './options.ts'
import type { Session } from './session.ts'

/** `clean`: every message acked; `with-dead`: some dead-lettered, expired or dropped; the others: ended early. */
export type BarrierOutcome = 'clean' | 'with-dead' | 'failed' | 'cancelled' | 'expired'

/**
 * Counts of a batch at its release, and times in ms since the epoch. The barrier itself is not counted. A token that may
 * see only some messages is not told how many there are: then all counts are `NaN`.
 */
export interface BatchStats {
  readonly published: number
  readonly acked: number
  readonly dead: number
  readonly expired: number
  readonly dropped: number
  /** Came over from an earlier batch that was ended early. */
  readonly carried: number
  readonly firstPublishedAt?: number
  readonly lastSettledAt?: number
}

/** What is known of a released barrier, for as long as the queue keeps its record. */
export interface BatchRecord<T = unknown> {
  /** Its name, or `@` and its sequence number. */
  readonly name: string
  readonly sequence: number
  /** Number of the batch it closed. */
  readonly batch: number
  readonly outcome: BarrierOutcome
  readonly stats: BatchStats
  /** The barrier's own body; `undefined` if it has none. Decoded when asked for; throws if it is none of the codec's. */
  readonly body: T
  readonly headers: Headers
  /** In ms since the epoch. */
  readonly publishedAt: number
  readonly releasedAt: number
  /** Of the batches that a forwarded barrier has closed on its way here (B15). */
  readonly batches?: readonly BatchSummary[]
  /** Of a barrier of several parties (B14). Absent where many barriers are listed. */
  readonly parties?: BatchParties<T>
}

/** A batch that a forwarded barrier has closed before. */
export interface BatchSummary {
  readonly queue: string
  readonly outcome: BarrierOutcome
  /** These are absent of a queue that was deleted before its batch was done. */
  readonly batch?: number
  readonly sequence?: number
  readonly stats?: BatchStats
}

/** The parties of a released barrier; `count - arrived.length` are missing, if it was ended before all came. */
export interface BatchParties<T = unknown> {
  /** How many there had to be. */
  readonly count: number
  /** In the order in which they came. */
  readonly arrived: readonly BatchParty<T>[]
}

/** A party that published its part of the barrier. */
export interface BatchParty<T = unknown> {
  readonly name: string
  /** The party's own; `undefined` if it has none. Decoded when asked for. */
  readonly body: T
  readonly headers: Headers
}

/** How far a batch is: published = acked + leased + ready + delayed + dead; all `NaN` for a token that sees only some messages. */
export interface BatchProgress {
  readonly published: number
  readonly acked: number
  readonly leased: number
  readonly ready: number
  /** Also what waits for a retry. */
  readonly delayed: number
  /** Dead-lettered, expired or dropped. */
  readonly dead: number
  /** Settled in a second, and ms to go at that rate; absent while nothing moves. */
  readonly ratePerSecond?: number
  readonly etaMs?: number
}

/** A barrier as it is now. */
export interface BatchView<T = unknown> {
  readonly name: string
  /** While `gathering` the last party's own. */
  readonly sequence: number
  readonly batch: number
  /** `gathering`: its parties are still coming; it has no place and holds nothing. */
  readonly state: 'gathering' | 'waiting' | 'released'
  readonly progress: BatchProgress
  readonly publishedAt: number
  readonly deadlineAt?: number
  /** How many there must be and how many came, also who: not where many barriers are listed, nor of a released one. */
  readonly parties?: { readonly count: number; readonly arrivedCount: number; readonly arrived?: readonly string[] }
  /** Of a released one. */
  readonly record?: BatchRecord<T>
}

/** Which barriers of a queue; default all. */
export interface BarriersOptions {
  readonly state?: 'gathering' | 'waiting' | 'released'
  /** Those behind this sequence number. */
  readonly after?: number
  /** At most 1,000, default 100. */
  readonly limit?: number
  /** With the bodies and headers of released ones; else they look as if they had none. Default false. */
  readonly bodies?: boolean
}

/** Barriers by sequence number. `next`: there are more, behind this one; give it back as `after`. */
export interface BarriersPage<T = unknown> {
  readonly barriers: readonly BatchView<T>[]
  readonly next?: number
}

/**
 * The record of a released barrier in a form that can be kept elsewhere. It covers what the server has on record of the
 * batch, not the bodies of its messages: of those the server keeps nothing once they are settled.
 */
export interface BatchReceipt {
  /** What is hashed: canonical JSON (RFC 8785), in UTF-8. */
  readonly text: string
  /** SHA-256 of `text`, in hexadecimal. */
  readonly sha256: string
  /** `text`, parsed: `queue`, `outcome`, `counts`, `first_sequence`, … named as over HTTP. */
  readonly document: Readonly<Record<string, unknown>>
}

/** A message that holds a batch, and why. */
export interface Holdout {
  readonly sequence: number
  /** `dead`: a dead letter that holds the batch, on a queue with `onDead: 'hold'`. */
  readonly state: 'ready' | 'leased' | 'delayed' | 'dead'
  readonly reason:
    | 'ready'
    | 'leased'
    | 'retrying'
    | 'delayed'
    | 'no-subscription-matches'
    | 'no-credit'
    | 'paused'
    | 'dead-letter'
  readonly attempt: number
  /** Name of the client that has it. */
  readonly holder?: string
  readonly leaseAgeMs?: number
  /** Where a dead letter is now; `sequence` is the one that it had. */
  readonly deadLetter?: { readonly queue: string; readonly sequence: number }
}

/** How `wait()` waits. */
export interface WaitOptions {
  /** Outcomes to resolve with, beside `clean`. */
  readonly accept?: readonly BarrierOutcome[]
  /** Gives up waiting; the promise rejects with its reason. */
  readonly signal?: AbortSignal
  /** Rejects `timed-out` after so many ms. Default: waits for ever. */
  readonly timeoutMs?: number
  /** Told at the start and then as often as `progressMs` says, until the barrier is released. */
  readonly onProgress?: (progress: BatchProgress) => void
  /** How often `onProgress` is called, in ms. Default 1,000. */
  readonly progressMs?: number
}

/**
 * A barrier of a queue, by name: before it is published, while it waits and after its release, from any process.
 * Survives reconnects and restarts of either end.
 */
export class BatchHandle<T = unknown> {
  readonly queue: string
  /** Its name, or `@` and its sequence number. */
  readonly name: string
  readonly #session: Session
  readonly #codec: Codec<T>
  #sequence: number | undefined

  /** @internal */
  constructor(session: Session, queue: string, name: string, codec: Codec<T>, sequence?: number) {
    this.#sequence = sequence ?? (name.startsWith('@') ? Number(name.slice(1)) : undefined)
    this.#session = session
    this.queue = queue
    this.name = name
    this.#codec = codec
  }

  /** Its place in the queue, once known: from `barrier()`, `show()` or `wait()`. Of several parties the last one gives it. */
  get sequence(): number | undefined {
    return this.#sequence
  }

  /**
   * Waits for the release. A name that nobody has published yet is waited for too.
   *
   * @returns the record, if its outcome is `clean` or accepted
   * @throws BatchError with any other outcome; TimeoutError; RefusedError (`no-such-queue`, `queue-deleted`, …); the signal's reason
   */
  wait(options: WaitOptions = {}): Promise<BatchRecord<T>> {
    const { tracing } = this.#session
    if (tracing === undefined) return this.#wait(options)
    return tracing.wait({ queue: this.queue, barrier: this.name }, () => this.#wait(options))
  }

  async #wait({
    accept = [],
    signal,
    timeoutMs,
    onProgress,
    progressMs = 1_000,
  }: WaitOptions): Promise<BatchRecord<T>> {
    const { timers } = this.#session.settings
    const stop = new AbortController()
    const startedAt = timers.now()
    const leftMs = (): number | undefined =>
      timeoutMs === undefined ? undefined : Math.max(1, Math.ceil(timeoutMs - (timers.now() - startedAt)))
    const forward = () => stop.abort(signal?.reason)
    if (signal?.aborted) forward()
    else signal?.addEventListener('abort', forward, { once: true })
    // The server counts too, but while it cannot be reached nobody else does.
    const cancel =
      timeoutMs === undefined ? undefined : timers.after(timeoutMs, () => stop.abort(this.#timedOut(timeoutMs)))
    const params = () => ({ queue: this.queue, barrier: this.name, timeout_ms: leftMs() })
    try {
      if (onProgress) void this.#report(onProgress, progressMs, stop.signal)
      const record = batchRecord(await this.#session.request('wait', params, { signal: stop.signal }), this.#codec)
      this.#sequence = record.sequence
      if (record.outcome === 'clean' || accept.includes(record.outcome)) return record
      throw new BatchError(record)
    } catch (error) {
      throw error instanceof RefusedError && error.code === 'timed-out' ? this.#timedOut(timeoutMs) : error
    } finally {
      cancel?.()
      signal?.removeEventListener('abort', forward)
      stop.abort()
    }
  }

  /**
   * Where it is now.
   *
   * @throws RefusedError `no-such-barrier` while nobody has published it
   */
  async show({ signal }: { readonly signal?: AbortSignal } = {}): Promise<BatchView<T>> {
    const params = { queue: this.queue, barrier: this.name }
    return this.#seen(await this.#session.request('barrier', () => params, { signal }))
  }

  /**
   * What can be filed of it once it is released, for as long as the queue keeps its record.
   *
   * @throws RefusedError `not-released`, `no-such-barrier`, `not-allowed`: this token sees only some messages
   */
  async receipt({ signal }: { readonly signal?: AbortSignal } = {}): Promise<BatchReceipt> {
    const params = { queue: this.queue, barrier: this.name }
    const { text, sha256 } = (await this.#session.request('receipt', () => params, { signal })) as {
      text: string
      sha256: string
    }
    return { text, sha256, document: JSON.parse(text) }
  }

  /**
   * Ends the batch now, with outcome `cancelled`; a barrier whose parties are still coming gets its place first (B13).
   *
   * @throws RefusedError `no-such-barrier`, `barrier-exists`: it is released; ConnectionError `connection-lost`: it is
   *   unknown whether it happened
   */
  async cancel(
    options: {
      /** What happens to the rest of the batch; default the barrier's own, else the queue's. */
      readonly rest?: 'carry' | 'dead-letter' | 'drop'
    } = {},
  ): Promise<BatchView<T>> {
    const params = { queue: this.queue, barrier: this.name, rest: options.rest }
    return this.#seen(await this.#session.request('cancel-barrier', () => params, { again: false }))
  }

  /** Moves its deadline to so many ms from now. @throws RefusedError `no-such-barrier`, `barrier-exists`: it is released */
  async extend(deadlineMs: number): Promise<BatchView<T>> {
    const params = { queue: this.queue, barrier: this.name, deadline_ms: Math.ceil(deadlineMs) }
    return this.#seen(await this.#session.request('extend-barrier', () => params))
  }

  /**
   * How far it is, again and again until it is released.
   *
   * @throws RefusedError `no-such-barrier` while nobody has published it
   */
  async *progress(
    options: { readonly signal?: AbortSignal; readonly progressMs?: number } = {},
  ): AsyncGenerator<BatchProgress, void> {
    for (;;) {
      const { state, progress } = await this.show(options)
      yield progress
      if (state === 'released') return
      await this.#pause(options.progressMs ?? 1_000, options.signal)
    }
  }

  /**
   * What holds it, in queue order.
   *
   * @param page `limit` messages (default 100) behind sequence number `after`
   */
  async holdouts(page: { readonly after?: number; readonly limit?: number } = {}): Promise<readonly Holdout[]> {
    const params = { queue: this.queue, barrier: this.name, after: page.after, limit: page.limit ?? 100 }
    const result = await this.#session.request('holdouts', () => params)
    const list = isMap(result) ? result['holdouts'] : result
    return ((list ?? []) as readonly ValueMap[]).map(item => ({ ...toCamelCase(item) }) as unknown as Holdout)
  }

  #seen(value: Value): BatchView<T> {
    const view = batchView(value as ValueMap, this.#codec)
    if (view.state !== 'gathering') this.#sequence = view.sequence
    return view
  }

  /** Tells progress until it is stopped; what goes wrong is left to the wait itself to meet. */
  async #report(onProgress: (progress: BatchProgress) => void, progressMs: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const view = await this.show({ signal }).catch(() => undefined)
      if (signal.aborted) return
      if (view) onProgress(view.progress)
      await this.#pause(progressMs, signal).catch(() => {})
    }
  }

  #pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = () => {
        cancel()
        reject(signal?.reason)
      }
      const cancel = this.#session.settings.timers.after(ms, () => {
        signal?.removeEventListener('abort', abort)
        resolve()
      })
      signal?.addEventListener('abort', abort, { once: true })
    })
  }

  #timedOut(timeoutMs: number | undefined): TimeoutError {
    return new TimeoutError(`barrier ${this.name} of ${this.queue} was not released in ${timeoutMs} ms`, { timeoutMs })
  }
}

/** In a list that leaves bodies out. */
const NO_MESSAGE = { body: new Uint8Array(0) }

const { NaN: NOT_TOLD } = Number
const NOT_TOLD_STATS: BatchStats = {
  published: NOT_TOLD,
  acked: NOT_TOLD,
  dead: NOT_TOLD,
  expired: NOT_TOLD,
  dropped: NOT_TOLD,
  carried: NOT_TOLD,
}
const NOT_TOLD_PROGRESS: BatchProgress = {
  published: NOT_TOLD,
  acked: NOT_TOLD,
  leased: NOT_TOLD,
  ready: NOT_TOLD,
  delayed: NOT_TOLD,
  dead: NOT_TOLD,
}

/** As it comes over the wire; absent: this token is not told. */
export function progressOf(progress: Value | undefined): BatchProgress {
  return (progress ? { ...toCamelCase(progress as ValueMap) } : NOT_TOLD_PROGRESS) as BatchProgress
}

/** A barrier as it comes over the wire. */
export function batchView<T>(value: ValueMap, codec: Codec<T>): BatchView<T> {
  const { record, parties, progress, name, ...rest } = value
  const { arrived, ...counts } = toCamelCase((parties as ValueMap | undefined) ?? {})
  const names = arrived as readonly string[] | undefined
  return {
    ...(toCamelCase(rest) as unknown as Omit<BatchView<T>, 'name' | 'progress' | 'parties' | 'record'>),
    name: nameOf(value),
    progress: progressOf(progress),
    ...(parties
      ? { parties: { arrivedCount: names?.length, ...(names && { arrived: names }), ...counts } as never }
      : {}),
    ...(record ? { record: batchRecord(record, codec) } : {}),
  }
}

/** A record as it comes over the wire; its message record is in `body`, or given beside it. */
export function batchRecord<T>(value: Value, codec: Codec<T>, message?: Uint8Array): BatchRecord<T> {
  const { body, stats, parties, batches, ...rest } = value as ValueMap
  const bytes = message ?? (body as Uint8Array | undefined)
  const record = bodyOf(bytes === undefined ? NO_MESSAGE : decodeMessage(bytes), codec)
  return Object.defineProperties(
    {
      ...(toCamelCase(rest) as unknown as BatchRecord<T>),
      name: nameOf(rest),
      stats: (stats ? { ...toCamelCase(stats as ValueMap) } : NOT_TOLD_STATS) as BatchStats,
      ...(batches ? { batches: (batches as readonly ValueMap[]).map(batchSummary) } : {}),
      ...(parties ? { parties: batchParties(parties as ValueMap, codec) } : {}),
    },
    Object.getOwnPropertyDescriptors(record),
  )
}

function batchSummary(value: ValueMap): BatchSummary {
  const { stats, ...rest } = toCamelCase(value)
  return { ...rest, ...(stats ? { stats: { ...(stats as ValueMap) } } : {}) } as unknown as BatchSummary
}

function batchParties<T>({ count, arrived, messages }: ValueMap, codec: Codec<T>): BatchParties<T> {
  const cursor = new MessageCursor().open(messages as Uint8Array)
  const parties = (arrived as readonly string[]).map(name => {
    cursor.next()
    const body = bodyOf({ body: cursor.body(), properties: cursor.properties() }, codec)
    return Object.defineProperties({ name }, Object.getOwnPropertyDescriptors(body)) as BatchParty<T>
  })
  return { count: count as number, arrived: parties }
}

/** The body stays a getter: what it throws is for whoever asks for it. */
function bodyOf<T>(
  message: { readonly body: Uint8Array; readonly properties?: MessageProperties | undefined },
  codec: Codec<T>,
): { readonly headers: Headers; readonly body: T } {
  return {
    headers: message.properties?.headers ?? {},
    get body() {
      return message.body.length === 0 ? (undefined as T) : codec.decode(message.body)
    },
  }
}

function nameOf({ name, sequence }: ValueMap): string {
  return (name as string | undefined) || `@${sequence}`
}
