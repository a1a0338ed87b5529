import { type PublishOptions, type Queue, SluiceError, type UnconfirmedOptions } from '@sluice/client'

/** A message on its way out, and where it stood. */
export interface Outgoing {
  readonly body: Uint8Array
  readonly messageId?: string
  /** Line of the file. */
  readonly line?: number
}

export interface RefusedMessage {
  readonly line?: number
  readonly code: string
  readonly detail: string
}

/** How many refusals are remembered word for word; all are counted. */
const REFUSED_KEPT_MAX = 1_000
/** Enough on the way to keep the server's commits full, and little enough for any memory. */
const WINDOW_BYTES = 8 * 1_048_576
const WINDOW_CHUNKS = 8

/** Refusals that concern one message; others may still be taken. Any other error ends the sending. */
const OF_ONE_MESSAGE: ReadonlySet<string> = new Set([
  'message-too-large',
  'not-accepted',
  'invalid-message',
  'queue-full',
  'server-busy',
  'too-many-barriers',
  'barrier-exists',
])

/** Publishes many messages with a bounded number on their way, and keeps account of what became of them. */
export class Sender {
  accepted = 0
  duplicates = 0
  refusedCount = 0
  readonly refused: RefusedMessage[] = []
  firstSequence: number | undefined
  lastSequence: number | undefined

  readonly #queue: Queue<Uint8Array>
  readonly #options: PublishOptions | UnconfirmedOptions
  readonly #window: number
  #inFlight = 0
  #inFlightBytes = 0
  #isStopped = false
  #deadlineMs = Number.POSITIVE_INFINITY
  #failure: { readonly error: unknown } | undefined
  #changed: (() => void) | undefined

  constructor(queue: Queue<Uint8Array>, options: PublishOptions | UnconfirmedOptions, chunk: number) {
    this.#queue = queue
    this.#options = options
    this.#window = chunk * WINDOW_CHUNKS
  }

  get unanswered(): number {
    return this.#inFlight
  }

  /** Sends as soon as there is room for it, or not at all once stopped; rejects once nothing more can be sent. */
  async send(message: Outgoing): Promise<void> {
    while (this.#failure === undefined && this.#isFull() && !this.#isStopped) await this.#change()
    this.#check()
    if (this.#isStopped) return
    this.#inFlight += 1
    this.#inFlightBytes += message.body.length
    void this.#publish(message)
  }

  /** Messages that were sent without a confirm were refused after all. */
  refuseLate(count: number, detail: string): void {
    this.accepted -= count
    this.refusedCount += count - 1
    this.refuse({ code: 'publish-refused', detail })
  }

  /** Sends no more, and waits for the answers that are on their way no longer than this. */
  stop(lastAnswersMs: number): void {
    this.#isStopped = true
    this.#deadlineMs = performance.now() + lastAnswersMs
    setTimeout(() => this.#wake(), lastAnswersMs + 1).unref()
    this.#wake()
  }

  /** Counts a message that cannot be sent at all. */
  refuse(message: RefusedMessage): void {
    this.refusedCount += 1
    if (this.refused.length < REFUSED_KEPT_MAX) this.refused.push(message)
  }

  /** Resolves when every message has its answer, or the time for it is up. */
  async settled(): Promise<void> {
    while (this.#inFlight > 0 && this.#failure === undefined && performance.now() < this.#deadlineMs)
      await this.#change()
    this.#check()
  }

  async #publish(message: Outgoing): Promise<void> {
    try {
      const { messageId } = message
      const options = messageId === undefined ? this.#options : { ...this.#options, messageId }
      const published = await this.#queue.publish(message.body, options)
      this.accepted += 1
      if (published === undefined) return this.#answered(message)
      const { sequence, duplicate } = published
      if (duplicate) this.duplicates += 1
      this.firstSequence = Math.min(sequence, this.firstSequence ?? sequence)
      this.lastSequence = Math.max(sequence, this.lastSequence ?? sequence)
    } catch (error) {
      if (error instanceof SluiceError && OF_ONE_MESSAGE.has(error.code)) {
        const { code } = error
        // The message of an error begins with its code.
        this.refuse({ ...lineOf(message), code, detail: error.message.slice(`${code}: `.length) })
      } else {
        this.#failure ??= { error }
      }
    }
    this.#answered(message)
  }

  #answered(message: Outgoing): void {
    this.#inFlight -= 1
    this.#inFlightBytes -= message.body.length
    this.#wake()
  }

  #isFull(): boolean {
    return this.#inFlight >= this.#window || this.#inFlightBytes >= WINDOW_BYTES
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }

  #change(): Promise<void> {
    return new Promise(resolve => {
      this.#changed = resolve
    })
  }

  #wake(): void {
    this.#changed?.()
    this.#changed = undefined
  }
}

function lineOf(message: Outgoing): { readonly line?: number } {
  return message.line === undefined ? {} : { line: message.line }
}
