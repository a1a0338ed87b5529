import { ByteWriter, encodeMessage, type MessageProperties } from '@sluice/protocol'
import type { PublishAnswer, Refusal } from '../../engine/peer.ts'
import { formatSize } from '../../engine/units.ts'
import { Hold, messageTooLarge } from './body.ts'
import type { Exchange, Reply } from './exchange.ts'
import { checkJsonBody, parseJsonObject } from './json.ts'
import { type Line, LineSplitter } from './line-splitter.ts'
import { readMessage } from './message-json.ts'
import { encoding, Problem, type ProblemFacts } from './problem.ts'
import { publishAll } from './publish.ts'
import { type TraceHeaders, withTrace } from './trace-context.ts'

/** Records are handed to the engine when there are so many bytes of them, and at the end of each piece of the body. */
const COMMAND_BYTES = 256 * 1024
/** The body is read on only while fewer bytes than this wait for their commit. */
const UNANSWERED_BYTES_MAX = 4 * 1024 * 1024
/** Most bytes of bodies in an atomic publish (P4). */
const ATOMIC_BYTES_MAX = 16 * 1024 * 1024
/** Refused lines that an answer tells of; `refused_count` counts all. */
const REFUSED_LINES_MAX = 1_000
/** What an envelope may add to its body, which in base64 takes a third more. */
const ENVELOPE_BYTES_MAX = 128 * 1024
/** Refusals that say the same of every line: reading on is of no use. */
const REFUSES_ALL: ReadonlySet<Refusal['code']> = new Set(['no-such-queue', 'queue-deleted', 'shutting-down'])

export interface LinesOptions {
  readonly queue: string
  readonly confirm: 'durable' | 'accepted'
  readonly atomic: boolean
  /** Lines are told from those that came before by their message id; each must have one. */
  readonly dedupe: boolean
  /** Lines are messages in JSON (message-json.ts), not bodies. */
  readonly envelope: boolean
  /** Of every line; an envelope's own go first. */
  readonly properties: MessageProperties
  /** Of every line that has no other. */
  readonly trace: TraceHeaders | undefined
}

interface RefusedLine {
  readonly line: number
  readonly code: string
  readonly detail: string
}

/**
 * Publishes the lines of one NDJSON body while it is read, with memory for a few pieces of it. A line that cannot be
 * taken is refused alone and the others go on (P8); of an atomic publish all are kept or none.
 *
 * A publisher whose request ends in the middle knows from `accepted` and `line` how far it came.
 */
export class LinesPublish {
  readonly #exchange: Exchange
  readonly #options: LinesOptions
  readonly #properties: MessageProperties | undefined
  readonly #splitter: LineSplitter
  readonly #hold: Hold
  readonly #writer = new ByteWriter(Buffer.allocUnsafe)
  /** Line numbers of the records in the writer. */
  #lines: number[] = []
  #bodyBytes = 0
  #lastLine = 0
  readonly #unanswered = new Set<Promise<void>>()
  #unansweredBytes = 0
  #failure: unknown
  #accepted = 0
  #duplicates = 0
  #firstSequence = Number.POSITIVE_INFINITY
  #lastSequence = Number.NEGATIVE_INFINITY
  readonly #refused: RefusedLine[] = []
  #refusedCount = 0

  constructor(exchange: Exchange, options: LinesOptions) {
    const { messageMax } = exchange.connection.engine.limits
    this.#exchange = exchange
    this.#options = options
    const properties = withTrace(options.properties, options.trace)
    this.#properties = Object.keys(properties).length === 0 ? undefined : properties
    this.#splitter = new LineSplitter(
      options.envelope ? Math.ceil((messageMax * 4) / 3) + ENVELOPE_BYTES_MAX : messageMax,
    )
    this.#hold = new Hold(exchange)
  }

  /** @throws Problem with `accepted` and `line`; HungUp */
  async run(chunks: AsyncIterable<Buffer>): Promise<Reply> {
    try {
      await this.#read(chunks)
    } catch (error) {
      this.#failure ??= error
    } finally {
      this.#hold.set(0)
    }
    await Promise.all(this.#unanswered)
    if (this.#failure instanceof Problem) throw this.#failure.with({ ...this.#facts(), line: this.#lastLine })
    if (this.#failure !== undefined) throw this.#failure
    return this.#reply()
  }

  async #read(chunks: AsyncIterable<Buffer>): Promise<void> {
    const { connection } = this.#exchange
    connection.checkRate()
    await connection.admission()
    for await (const chunk of chunks) {
      await connection.ratePaid()
      for (const line of this.#splitter.push(chunk)) {
        this.#take(line)
        if (this.#isCommandFull) await this.#publishAndWait()
      }
      this.#hold.set(this.#splitter.heldBytes + this.#writer.length)
      if (!this.#options.atomic) await this.#publishAndWait()
      await connection.admission()
    }
    const last = this.#splitter.end()
    if (last !== undefined) this.#take(last)
    if (!this.#options.atomic || this.#refusedCount === 0) this.#publish()
  }

  #take({ number, bytes }: Line): void {
    this.#lastLine = number
    if (bytes !== undefined && isBlank(bytes)) return
    try {
      if (bytes === undefined) throw messageTooLarge(this.#exchange.connection.engine.limits.messageMax)
      this.#encode(bytes)
      this.#lines.push(number)
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      this.#refuse(number, { code: error.code, detail: error.message })
    }
    if (this.#options.atomic) this.#checkAtomic()
  }

  get #isCommandFull(): boolean {
    return !this.#options.atomic && (this.#writer.length >= COMMAND_BYTES || this.#lines.length >= this.#messagesMax)
  }

  get #messagesMax(): number {
    return this.#exchange.connection.engine.limits.frameMessagesMax
  }

  #encode(line: Uint8Array): void {
    const { body, properties } = this.#options.envelope ? this.#readEnvelope(line) : this.#readBody(line)
    encoding(() => encodeMessage(this.#writer, properties, body))
    this.#bodyBytes += body.length
  }

  #readBody(line: Uint8Array): { body: Uint8Array; properties: MessageProperties | undefined } {
    checkJsonBody(line)
    return { body: line, properties: this.#properties }
  }

  #readEnvelope(line: Uint8Array): { body: Uint8Array; properties: MessageProperties | undefined } {
    const { messageMax } = this.#exchange.connection.engine.limits
    const object = parseJsonObject(line)
    const { body, properties } = readMessage(object)
    object.end()
    if (this.#options.dedupe && properties.messageId === undefined) {
      throw new Problem('invalid-message', 'with dedupe every line needs a message_id', { field: 'message_id' })
    }
    if (body.length > messageMax) throw messageTooLarge(messageMax)
    const whole = { ...this.#options.properties, ...properties }
    return { body, properties: withTrace(whole, this.#options.trace) }
  }

  #checkAtomic(): void {
    if (this.#bodyBytes > ATOMIC_BYTES_MAX) {
      throw new Problem('request-too-large', `an atomic publish of more than ${formatSize(ATOMIC_BYTES_MAX)}`, {
        limit: ATOMIC_BYTES_MAX,
      })
    }
    if (this.#lines.length > this.#messagesMax) {
      throw new Problem('request-too-large', `an atomic publish of more than ${this.#messagesMax} messages`, {
        limit: this.#messagesMax,
      })
    }
  }

  /** Hands what is encoded to the engine. */
  #publish(): void {
    if (this.#lines.length === 0) return
    const lines = this.#lines
    const { queue, confirm, atomic, dedupe } = this.#options
    const bytes = this.#writer.take()
    this.#lines = []
    this.#unansweredBytes += bytes.length
    const answered = publishAll(this.#exchange, { queue, bytes, count: lines.length, confirm, atomic, dedupe })
      .then(answers => this.#count(answers, lines))
      .catch(error => {
        this.#failure ??= error
      })
      .finally(() => {
        this.#unansweredBytes -= bytes.length
        this.#unanswered.delete(answered)
      })
    this.#unanswered.add(answered)
  }

  /** Comes back when there is room for more. @throws what has failed meanwhile */
  async #publishAndWait(): Promise<void> {
    this.#publish()
    while (this.#unansweredBytes > UNANSWERED_BYTES_MAX) await Promise.race(this.#unanswered)
    if (this.#failure !== undefined) throw this.#failure
  }

  #count(answers: readonly PublishAnswer[], lines: readonly number[]): void {
    for (const answer of answers) {
      if ('refusal' in answer) {
        if (REFUSES_ALL.has(answer.refusal.code)) this.#failure ??= Problem.of(answer.refusal)
        for (const line of lines.slice(answer.index, answer.index + answer.count)) this.#refuse(line, answer.refusal)
      } else {
        this.#accepted += answer.count
        if (answer.duplicate) this.#duplicates += answer.count
        this.#firstSequence = Math.min(this.#firstSequence, answer.sequence)
        this.#lastSequence = Math.max(this.#lastSequence, answer.sequence + answer.count - 1)
      }
    }
  }

  #refuse(line: number, { code, detail }: { readonly code: string; readonly detail: string }): void {
    this.#refusedCount += 1
    if (this.#refused.length < REFUSED_LINES_MAX) this.#refused.push({ line, code, detail })
  }

  #reply(): Reply {
    if (this.#refusedCount === 0) return { status: 201, json: { count: this.#accepted, ...this.#places() } }
    const lines = this.#refusedCount === 1 ? '1 line was' : `${this.#refusedCount} lines were`
    const rest = this.#options.atomic ? 'nothing is kept' : 'the others are kept'
    throw new Problem('lines-refused', `${lines} refused; ${rest}`, this.#facts())
  }

  #facts(): ProblemFacts {
    this.#refused.sort((a, b) => a.line - b.line)
    return { accepted: this.#accepted, ...this.#places(), refused_count: this.#refusedCount, refused: this.#refused }
  }

  /** Of everything that was accepted: a file sent again gets the numbers of the first time. */
  #places(): object {
    const none = this.#accepted === 0
    return {
      first_sequence: none ? null : this.#firstSequence,
      last_sequence: none ? null : this.#lastSequence,
      // Among those accepted; told whenever there can be some.
      duplicates: this.#options.dedupe || this.#duplicates > 0 ? this.#duplicates : undefined,
    }
  }
}

function isBlank(line: Uint8Array): boolean {
  for (const byte of line) if (byte !== 0x20 && byte !== 0x09) return false
  return true
}
