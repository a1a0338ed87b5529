import { asBarrier, type Barrier, type Message, type OutputQueue } from './delivery.ts'
import { PermanentError, SluiceError } from './errors.ts'
import type { Queue } from './queue.ts'
import type { Subscription } from './subscription.ts'
import { deferred } from './timers.ts'

/** How a worker works. */
export interface WorkerOptions<R = never, T = unknown> {
  /** Handlers that run at once. Default 1. */
  readonly concurrency?: number
  /** Messages held at once: those being handled, those that wait, and those whose output is being committed. Default the client's, at least `concurrency`. */
  readonly prefetch?: number
  /** Where return values go, each in one commit with the ack of its message. `undefined` publishes nothing. */
  // biome-ignore lint/suspicious/noConfusingVoidType: a handler without `return` gives it
  readonly output?: OutputQueue<Exclude<Awaited<R>, undefined | void>>
  /** Stop after the next barrier (`barrier`), or after the one of that name, also if it was released before. */
  readonly until?: string
  readonly leaseMs?: number
  /** Only messages (and barriers) that match. */
  readonly filter?: string
  /** Stops gracefully, as `stop()` does. */
  readonly signal?: AbortSignal
  /** Called for each barrier; nothing behind it is begun until it is done. If it throws, `done` rejects. */
  readonly onBarrier?: (barrier: Barrier) => unknown
  /** Called for each message whose handler, or whose output, failed. Default: the client's event `warning`. */
  readonly onError?: (error: unknown, message: Message<T>) => void
}

/**
 * Calls a handler for each message of a queue.
 *
 * A handler that returns acks, with its return value published to `output` in the same commit; one that throws nacks
 * (`PermanentError` rejects). A handler may settle its message itself, then nothing more is done. The next message is
 * begun while outputs are being committed.
 */
export function worker<T, R>(
  // biome-ignore lint/suspicious/noExplicitAny: what may be published to it does not matter here
  queue: Queue<T, any>,
  handler: (message: Message<T>) => R,
  options: WorkerOptions<R, T> = {},
): Worker<T> {
  return new Worker<T>(queue, handler, options as WorkerOptions<never, T>)
}

/** A running worker. */
export class Worker<T = unknown> implements AsyncDisposable {
  /**
   * Resolves with the barrier of `until`, or `undefined` after a stop, when every handler is done.
   *
   * @throws (rejects) what ended the subscription; what `onBarrier` threw
   */
  readonly done: Promise<Barrier | undefined>
  // biome-ignore lint/suspicious/noExplicitAny: as above
  readonly #queue: Queue<T, any>
  readonly #handler: (message: Message<T>) => unknown
  readonly #options: WorkerOptions<never, T>
  readonly #subscription: Subscription<T>
  readonly #concurrency: number
  #running = 0
  #free: (() => void) | undefined
  readonly #committing = new Set<Promise<void>>()
  readonly #finished = deferred<void>()
  /** The barrier of `until` was released before this worker came. */
  #releasedBefore: Barrier | undefined

  /** @internal */
  // biome-ignore lint/suspicious/noExplicitAny: as above
  constructor(queue: Queue<T, any>, handler: (message: Message<T>) => unknown, options: WorkerOptions<never, T>) {
    const { concurrency = 1, prefetch, leaseMs, filter } = options
    this.#queue = queue
    this.#handler = handler
    this.#options = options
    this.#concurrency = concurrency
    this.#subscription = queue.consume({
      concurrency,
      prefetch: Math.max(prefetch ?? queue.session.prefetch, concurrency),
      ...(leaseMs === undefined ? {} : { leaseMs }),
      ...(filter === undefined ? {} : { filter }),
    })
    this.done = this.#run()
  }

  /** Takes no more, lets running handlers finish and gives back the rest. Resolves when that is done; never rejects. */
  async stop(): Promise<void> {
    void this.#subscription.stop()
    await this.#finished.promise
  }

  /** As `stop()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #run(): Promise<Barrier | undefined> {
    const { signal, until } = this.#options
    const stop = () => void this.stop()
    if (signal?.aborted) stop()
    signal?.addEventListener('abort', stop, { once: true })
    try {
      if (until !== undefined && until !== 'barrier') void this.#askFor(until)
      const barrier = await this.#takeUntil()
      await this.#drained()
      return barrier ?? this.#releasedBefore
    } finally {
      signal?.removeEventListener('abort', stop)
      await this.#drained()
      await this.#subscription.return()
      this.#finished.resolve()
    }
  }

  /** Hands messages to handlers until there is no more, or the barrier comes that is waited for. */
  async #takeUntil(): Promise<Barrier | undefined> {
    for (;;) {
      while (this.#running >= this.#concurrency) await new Promise<void>(resolve => (this.#free = resolve))
      const { value, done } = await this.#subscription.next()
      if (done) return undefined
      if (value.kind === 'message') void this.#handle(value)
      else {
        await this.#options.onBarrier?.(value)
        if (this.#options.until === 'barrier' || this.#options.until === value.name) return value
      }
    }
  }

  async #handle(message: Message<T>): Promise<void> {
    this.#running += 1
    try {
      const { tracing } = this.#queue.session
      const result = await (tracing === undefined
        ? this.#handler(message)
        : tracing.process(message, () => this.#handler(message)))
      if (!message.isSettled) this.#ack(message, result)
    } catch (error) {
      this.#failed(message, error)
    }
    this.#running -= 1
    this.#free?.()
  }

  /** Does not wait for the commit of an output: the next message is begun meanwhile. */
  #ack(message: Message<T>, result: unknown): void {
    const { output } = this.#options
    if (output === undefined || result === undefined) return void message.ack()
    const committing = message
      .ack({ publish: [{ queue: output, body: result }] })
      .then(
        () => {},
        error => this.#failed(message, error),
      )
      .finally(() => this.#committing.delete(committing))
    this.#committing.add(committing)
  }

  #failed(message: Message<T>, error: unknown): void {
    const { onError } = this.#options
    if (onError) onError(error, message)
    else this.#warn(message, error)
    // A refused output leaves the message with us; after a lost lease there is nothing left to settle.
    if (message.isSettled) return
    if (error instanceof PermanentError) void message.reject(error.message)
    else void message.nack()
  }

  /** All handlers are done, and all outputs are committed or given up. */
  async #drained(): Promise<void> {
    while (this.#running > 0) await new Promise<void>(resolve => (this.#free = resolve))
    await Promise.all(this.#committing)
  }

  #warn({ queue, sequence }: Message<T>, error: unknown): void {
    const detail = error instanceof Error ? error.message : String(error)
    this.#queue.session.emit('warning', { code: 'handler-failed', detail, queue, sequence, error })
  }

  /** A barrier that was released before the worker came is not delivered to it any more. */
  async #askFor(name: string): Promise<void> {
    const batch = this.#queue.batch(name)
    try {
      const { state } = await batch.show()
      if (state !== 'released') return
      const record = await batch.wait({ accept: ['with-dead', 'failed', 'cancelled', 'expired'] })
      this.#releasedBefore = asBarrier(record, this.#queue.name, true)
    } catch (error) {
      // Nobody has published it yet, or the queue is gone, which the subscription is told as well.
      if (error instanceof SluiceError) return
      throw error
    }
    await this.stop()
  }
}
