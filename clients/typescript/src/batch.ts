import { decodeMessage, isMap, toCamelCase, type Value, type ValueMap } from '@sluice/protocol'
import type { Codec } from './codecs.ts'
import { BatchError, RefusedError, TimeoutError } from './errors.ts'
import type { Headers } from './options.ts'
import type { Session } from './session.ts'

/** `clean`: every message acked; `with-dead`: some dead-lettered, expired or dropped; the others: ended early. */
export type BarrierOutcome = 'clean' | 'with-dead' | 'failed' | 'cancelled' | 'expired'

/** Counts of a batch at its release, and times in ms since the epoch. The barrier itself is not counted. */
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
}

/** How far a batch is: published = acked + leased + ready + delayed + dead. */
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
export interface BatchView {
  readonly name: string
  readonly sequence: number
  readonly batch: number
  readonly state: 'waiting' | 'released'
  readonly progress: BatchProgress
}

/** A message that holds a batch, and why. */
export interface Holdout {
  readonly sequence: number
  readonly state: 'ready' | 'leased' | 'delayed'
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
}

export interface WaitOptions {
  /** Outcomes to resolve with, beside `clean`. */
  readonly accept?: readonly BarrierOutcome[]
  /** Gives up waiting; the promise rejects with its reason. */
  readonly signal?: AbortSignal
  /** Rejects `timed-out` after so many ms. Default: waits for ever. */
  readonly timeoutMs?: number
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

  /** @internal */
  constructor(session: Session, queue: string, name: string, codec: Codec<T>) {
    this.#session = session
    this.queue = queue
    this.name = name
    this.#codec = codec
  }

  /**
   * Waits for the release. A name that nobody has published yet is waited for too.
   *
   * @returns the record, if its outcome is `clean` or accepted
   * @throws BatchError with any other outcome; TimeoutError; RefusedError (`no-such-queue`, `queue-deleted`, …); the signal's reason
   */
  async wait({
    accept = [],
    signal,
    timeoutMs,
    onProgress,
    progressMs = 1_000,
  }: WaitOptions = {}): Promise<BatchRecord<T>> {
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
  async show({ signal }: { readonly signal?: AbortSignal } = {}): Promise<BatchView> {
    const params = { queue: this.queue, barrier: this.name }
    const { state, sequence, batch, progress } = (await this.#session.request('barrier', () => params, {
      signal,
    })) as ValueMap
    const known = { name: this.name, state, sequence, batch, progress: { ...toCamelCase(progress as ValueMap) } }
    return known as unknown as BatchView
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

/** A record as it comes over the wire; its message record is in `body`, or given beside it. */
export function batchRecord<T>(value: Value, codec: Codec<T>, message?: Uint8Array): BatchRecord<T> {
  const { body, stats, name, ...rest } = toCamelCase(value as ValueMap)
  const { body: bytes, properties } = decodeMessage(message ?? (body as Uint8Array))
  return {
    ...(rest as unknown as Pick<BatchRecord<T>, 'sequence' | 'batch' | 'outcome' | 'publishedAt' | 'releasedAt'>),
    name: (name as string | undefined) || `@${rest['sequence']}`,
    stats: { ...(stats as ValueMap) } as unknown as BatchStats,
    headers: properties?.headers ?? {},
    get body() {
      return bytes.length === 0 ? (undefined as T) : codec.decode(bytes)
    },
  }
}
