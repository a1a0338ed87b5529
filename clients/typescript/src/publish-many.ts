import { RefusedError } from './errors.ts'
import type { PublishWaiter } from './lane.ts'
import type { PublishManyOptions, PublishOptions, UnconfirmedOptions } from './options.ts'
import type { Publisher } from './publisher.ts'
import { deferred } from './timers.ts'

const CHUNK = 500

/** How a queue publishes one body: sets it on its way, or promises to once its schema is done with it. */
export type AddOne<T> = (
  body: T,
  options: PublishOptions | UnconfirmedOptions | undefined,
  waiter: PublishWaiter,
  chunk: number,
) => void | Promise<void>

/** Publishes a stream: takes as long as the window has room, and counts the answers instead of keeping a promise for each. */
export function publishMany<T>(
  publisher: Publisher,
  add: AddOne<T>,
  bodies: Iterable<T> | AsyncIterable<T>,
  options: PublishManyOptions<T>,
): Promise<{ readonly count: number }> {
  const { signal } = options
  if (signal?.aborted) return Promise.reject(signal.reason)
  const stream = new Stream(publisher, add, options)
  if (signal === undefined) return stream.run(bodies)
  // A source may keep the taking waiting for ever; the caller does not wait with it.
  const { promise, resolve, reject } = deferred<{ readonly count: number }>()
  const abort = () => {
    stream.stopped = true
    reject(signal.reason)
  }
  signal.addEventListener('abort', abort, { once: true })
  stream
    .run(bodies)
    .then(resolve, reject)
    .finally(() => signal.removeEventListener('abort', abort))
  return promise
}

class Stream<T> {
  stopped = false
  readonly #publisher: Publisher
  readonly #add: AddOne<T>
  readonly #options: PublishManyOptions<T>
  readonly #chunk: number
  #taken = 0
  #confirmed = 0
  #refused = 0
  #told = 0
  #failure: Error | undefined
  #answered: (() => void) | undefined

  constructor(publisher: Publisher, add: AddOne<T>, options: PublishManyOptions<T>) {
    this.#publisher = publisher
    this.#add = add
    this.#options = options
    this.#chunk = options.chunk ?? CHUNK
  }

  async run(bodies: Iterable<T> | AsyncIterable<T>): Promise<{ readonly count: number }> {
    try {
      await this.#take(bodies)
    } finally {
      if (this.#confirmed + this.#refused < this.#taken) await this.#allAnswered()
    }
    if (this.#told < this.#taken) this.#tell()
    if (this.#failure !== undefined) throw this.#failure
    return { count: this.#confirmed }
  }

  confirmed(): void {
    this.#confirmed += 1
    this.#count()
  }

  refused(index: number, error: Error): void {
    this.#refused += 1
    if (this.#options.onRefused !== undefined) this.#options.onRefused({ index, error })
    else {
      this.stopped = true
      this.#failure ??= error instanceof RefusedError ? atIndex(error, index) : error
    }
    this.#count()
  }

  /** By hand: `for await` costs a turn of the microtasks for each item, also of a plain array. */
  async #take(bodies: Iterable<T> | AsyncIterable<T>): Promise<void> {
    const iterator = Symbol.asyncIterator in bodies ? bodies[Symbol.asyncIterator]() : bodies[Symbol.iterator]()
    for (;;) {
      const step = iterator.next()
      const item = step instanceof Promise ? await step : step
      if (item.done) return
      if (this.stopped) break
      const index = this.#taken++
      const adding = this.#add(
        item.value,
        this.#options.options?.(item.value, index),
        new Item(this, index),
        this.#chunk,
      )
      if (adding !== undefined) await adding
      const room = this.#publisher.room()
      if (room !== undefined) await room
      if (this.stopped) break
    }
    await iterator.return?.()
  }

  #allAnswered(): Promise<void> {
    return new Promise(resolve => {
      this.#answered = resolve
    })
  }

  #count(): void {
    const answered = this.#confirmed + this.#refused
    if (answered - this.#told >= this.#chunk) this.#tell()
    if (answered === this.#taken) this.#answered?.()
  }

  #tell(): void {
    this.#told = this.#confirmed + this.#refused
    this.#options.onProgress?.({ taken: this.#taken, confirmed: this.#confirmed, refused: this.#refused })
  }
}

/** Waits for the answer to one message of a stream; a promise would cost four times as much. */
class Item implements PublishWaiter {
  readonly #stream: Stream<never>
  readonly #index: number

  constructor(stream: Stream<never>, index: number) {
    this.#stream = stream
    this.#index = index
  }

  resolve(): void {
    this.#stream.confirmed()
  }

  reject(error: Error): void {
    this.#stream.refused(this.#index, error)
  }
}

function atIndex({ code, message, facts }: RefusedError, index: number): RefusedError {
  return new RefusedError(code, `message ${index} of the stream: ${message.slice(code.length + 2)}`, {
    ...facts,
    index,
  })
}
