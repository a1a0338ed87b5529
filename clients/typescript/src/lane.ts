import {
  ByteWriter,
  encodeMessage,
  FRAME_MESSAGES_MAX,
  type Frames,
  type MessageProperties,
  ProtocolError,
  PUBLISH_FLAGS,
  type PublishPart,
} from '@sluice/protocol'
import type { Atomic } from './atomic.ts'
import { RefusedError, SluiceError } from './errors.ts'
import type { Publisher } from './publisher.ts'
import { deferred } from './timers.ts'

/** Where a message is; as durable as was asked for. */
export interface Published {
  /** Its place in its queue. */
  readonly sequence: number
  /** A message of that id was there already, at `sequence`; nothing was enqueued. */
  readonly duplicate: boolean
}

/** One who waits for the answer to a publish. One may wait for many. */
export interface PublishWaiter {
  /** Without a place where no confirm was asked for. */
  resolve(published: Published | undefined): void
  reject(error: Error): void
}

/** A frame this large is complete, in bytes: 32 KiB cost the server 0.5 µs a message more (prototype-ceiling, 4). */
const FRAME_BYTES = 128 * 1024
/** First version of the protocol in which a refused atomic publish uses its numbers. */
const SPENT_VERSION = 3

/** Messages of one queue that travel together, kept until the last one is answered: after a reconnect they go again. */
export interface Frame {
  /** Number of its first message; 0 until it is first sent. */
  first: number
  readonly flags: number
  count: number
  bytes: number
  /** Message records; while the frame still gathers they are in the lane's writer. */
  messages: Uint8Array | undefined
  /** By place in the frame; `undefined` once answered. */
  readonly waiters: (PublishWaiter | undefined)[]
  unanswered: number
  /** Of a barrier: asked once all before it is answered; false: it is not published. Until then nothing behind it is sent. */
  admit: (() => boolean) | undefined
  readonly isBarrier: boolean
  /** It is a part of something that is kept in all of its queues or in none. */
  readonly atomic: Atomic | undefined
  /** Called when it and all before it is answered. */
  readonly done: (() => void)[]
}

/** Publishes of one queue, numbered from 1 without gaps in the order of the calls (P9). */
export class Lane {
  readonly queue: string
  /** Messages whose schema takes its time: published before a barrier that is called later, but not in the row yet. */
  readonly validating: Set<Promise<unknown>> = new Set()
  readonly #publisher: Publisher
  readonly #writer = new ByteWriter()
  /** In order: those sent on this connection, then those that wait, the last of which may still gather. */
  readonly #frames: Frame[] = []
  #gathering: Frame | undefined
  /** How many frames were sent on this connection. */
  #sent = 0
  #nextNumber = 1
  /**
   * The queue has taken a number. Before that one frame is on its way at a time: where there is no queue nobody remembers
   * numbers, and if it is declared between two frames, the second would be out of turn.
   */
  #isThere = false
  /** The queue was not there for the last number given. */
  #gone = false
  /** Since the last barrier that told of it. */
  #refused = 0
  #refusal: Error | undefined

  constructor(queue: string, publisher: Publisher) {
    this.queue = queue
    this.#publisher = publisher
  }

  /** Takes a message over, body copied; it leaves with this tick or when window and credit allow. @param chunk most messages in its frame */
  add(
    body: Uint8Array,
    properties: MessageProperties | undefined,
    flags: number,
    waiter: PublishWaiter,
    chunk: number = FRAME_MESSAGES_MAX,
  ): void {
    const publisher = this.#publisher
    const before = this.#roomIn(flags, Math.min(chunk, publisher.frameMessagesMax))
    try {
      publisher.check(body)
      encodeMessage(this.#writer, properties, body)
    } catch (error) {
      waiter.reject(publisher.closed ?? this.refuse(error))
      return
    }
    const frame = this.#gathering ?? this.#begin(flags)
    const size = this.#writer.length - before
    frame.waiters.push(waiter)
    frame.count += 1
    frame.unanswered += 1
    frame.bytes += size
    publisher.held(1, size)
    if (frame.bytes >= FRAME_BYTES) {
      this.#seal()
      publisher.link.flush()
    }
  }

  /**
   * Publishes a barrier behind everything added before and in front of everything added later.
   *
   * @throws (rejects) `batch-incomplete` when an earlier message was refused, unless `force`; either way the count starts anew
   */
  barrier(body: Uint8Array, properties: MessageProperties, force: boolean): Promise<Published> {
    const publisher = this.#publisher
    const { promise, resolve, reject } = deferred<Published>()
    if (publisher.closed) return Promise.reject(publisher.closed)
    const writer = new ByteWriter()
    try {
      encodeMessage(writer, properties, body)
    } catch (error) {
      return Promise.reject(asRefusal(error))
    }
    this.#seal()
    const messages = writer.take()
    const frame = { ...newFrame(0), messages, bytes: messages.length, count: 1, unanswered: 1, isBarrier: true }
    frame.waiters.push({ resolve, reject })
    frame.admit = () => {
      const incomplete = this.#takeIncomplete()
      if (incomplete === undefined || force) return true
      reject(incomplete)
      return false
    }
    publisher.held(1, frame.bytes)
    this.#append(frame)
    this.advance()
    return promise
  }

  /** Notes that messages could not be published, for the next barrier. @returns the error to tell */
  refuse(error: unknown, count = 1): Error {
    const refusal = asRefusal(error)
    this.#refused += count
    this.#refusal ??= refusal
    return refusal
  }

  /** Resolves when everything added so far has been answered. */
  settled(): Promise<void> {
    const last = this.#frames.at(-1)
    if (last === undefined) return Promise.resolve()
    this.#seal()
    return new Promise(resolve => last.done.push(resolve))
  }

  /** Publishes a part of something atomic behind everything added before. */
  addPart(frame: Frame): void {
    this.#seal()
    this.#publisher.held(frame.count, frame.bytes)
    this.#append(frame)
  }

  /** @returns whether there is more to send */
  sendOne(): boolean {
    const frame = this.#frames[this.#sent]
    if (frame === undefined || !this.isNext(frame)) return false
    if (frame === this.#gathering) this.#seal()
    if (frame.atomic !== undefined) {
      frame.atomic.send(this.#publisher.link)
      return false
    }
    if (isUnconfirmed(frame)) this.#pass(frame)
    else this.#publisher.link.write('publish', this.take(frame))
    return this.#frames.length > this.#sent
  }

  /** It may be sent now. Nothing follows an atomic publish of which nobody knows yet whether it uses its numbers. */
  isNext(frame: Frame): boolean {
    if (this.#frames[this.#sent] !== frame || frame.admit !== undefined) return false
    if (isUnconfirmed(frame) || this.#sent === 0) return true
    return this.#isThere && (this.#isSpent || this.#frames[this.#sent - 1]!.atomic === undefined)
  }

  /** A refused atomic publish has used its numbers wherever there is a queue. */
  get #isSpent(): boolean {
    return this.#publisher.version >= SPENT_VERSION
  }

  /** Sends the next frame and is done with it: it has no number, gets no answer, and is not sent again. */
  #pass(frame: Frame): void {
    this.#frames.splice(this.#sent, 1)
    this.#publisher.passed(frame)
    const { flags, count } = frame
    const fields = { queue: this.queue, number: 0, answeredUpTo: 0, flags, count, messages: frame.messages! }
    this.#publisher.link.write('publish', fields)
    for (const waiter of frame.waiters) waiter?.resolve(undefined)
    for (const done of frame.done) done()
    this.advance()
  }

  /** Gives the next frame its number, and counts it as sent. */
  take(frame: Frame): PublishPart {
    if (frame.first === 0) {
      frame.first = this.#nextNumber
      this.#nextNumber += frame.count
    }
    this.#sent += 1
    this.#publisher.sent(frame)
    // What is behind a part of something atomic could not go before.
    if (frame.atomic !== undefined && this.#frames.length > this.#sent) this.#publisher.isReady(this)
    const { first: number, flags, count } = frame
    const answeredUpTo = this.#frames[0]!.first - 1
    return { queue: this.queue, number, answeredUpTo, flags, count, messages: frame.messages! }
  }

  resume(): void {
    this.#sent = 0
  }

  /** The queue is a new one: numbers given for an earlier one of that name do not count. */
  restart(): void {
    if (!this.#frames[0]?.first) this.#nextNumber = 1
  }

  confirmed({ number, count, sequence, duplicate }: Frames['confirm']): void {
    this.#gone = false
    if (!this.#isThere) this.#publisher.isReady(this)
    this.#isThere = true
    this.#answer(number, count, (waiter, place) => waiter.resolve({ sequence: sequence + place, duplicate }))
  }

  refused({ number, count, code, detail, facts }: Frames['refused']): void {
    // It did not count and the connection is about to go: the same numbers are sent again over the next one.
    if (code === 'shutting-down') return
    const error = new RefusedError(code, detail, (facts ?? {}) as RefusedError['facts'])
    const isMissing = code === 'no-such-queue'
    const isAtomic = this.#frames.find(({ first }) => first === number)?.atomic !== undefined
    // Of an atomic publish the missing queue may be another one.
    if (!isAtomic || (this.#isSpent && isMissing && error.facts['queue'] === this.queue)) {
      this.#isThere = !isMissing
      this.#gone = isMissing && number + count === this.#nextNumber
    } else if (!this.#isSpent && (isMissing || error.facts['limit'] === 'producers')) {
      // One of its queues took nothing at all, and so none did: the numbers of all of them are still to come.
      this.#nextNumber = number
    }
    this.#answer(number, count, (waiter, _, frame) => {
      if (!frame.isBarrier) this.refuse(error)
      waiter.reject(error)
    })
  }

  end(error: SluiceError): void {
    this.#gathering = undefined
    for (const frame of this.#frames.splice(0)) {
      for (const waiter of frame.waiters) waiter?.reject(error)
      for (const done of frame.done) done()
    }
  }

  /** Completes the frame that gathers if the next message cannot join it. @returns where in the writer that one will start */
  #roomIn(flags: number, messagesMax: number): number {
    const frame = this.#gathering
    if (frame !== undefined && (frame.flags !== flags || frame.count >= messagesMax)) this.#seal()
    return this.#writer.length
  }

  #begin(flags: number): Frame {
    const frame = newFrame(flags)
    this.#gathering = frame
    this.#append(frame)
    return frame
  }

  #append(frame: Frame): void {
    this.#frames.push(frame)
    this.#publisher.isReady(this)
  }

  #seal(): void {
    if (this.#gathering !== undefined) this.#gathering.messages = this.#writer.take()
    this.#gathering = undefined
  }

  /** Numbers that have their answer already are passed over: after a reconnect some come twice. */
  #answer(number: number, count: number, tell: (waiter: PublishWaiter, place: number, frame: Frame) => void): void {
    const end = number + count
    for (const frame of this.#frames) {
      if (frame.first === 0 || frame.first >= end) break
      const last = Math.min(end, frame.first + frame.count)
      for (let n = Math.max(number, frame.first); n < last; n++) {
        const waiter = frame.waiters[n - frame.first]
        if (waiter === undefined) continue
        frame.waiters[n - frame.first] = undefined
        frame.unanswered -= 1
        tell(waiter, n - number, frame)
      }
      if (frame.unanswered === 0) frame.atomic?.answered(this)
    }
    this.advance()
  }

  /** Lets go of what is answered, and decides about a barrier that has come to the front. */
  advance(): void {
    for (let head = this.#frames[0]; head !== undefined; head = this.#frames[0]) {
      const { admit } = head
      if (admit !== undefined) {
        head.admit = undefined
        if (admit()) this.#publisher.isReady(this)
        else this.#letGo(head)
      } else if (head.unanswered === 0 && head.atomic?.isAnswered !== false) this.#letGo(head)
      else break
    }
    // Where there was no queue there is no memory of this producer: the server expects its first number.
    if (this.#gone) this.restart()
  }

  #letGo(frame: Frame): void {
    this.#frames.shift()
    if (frame.first === 0) this.#publisher.held(-frame.count, -frame.bytes)
    else {
      this.#sent -= 1
      this.#publisher.answered(frame)
    }
    for (const done of frame.done) done()
    if (this.#frames.length > this.#sent) this.#publisher.isReady(this)
  }

  #takeIncomplete(): SluiceError | undefined {
    if (this.#refused === 0) return undefined
    const refused = this.#refused
    const cause = this.#refusal
    this.#refused = 0
    this.#refusal = undefined
    const code = cause instanceof SluiceError ? cause.code : undefined
    const detail = `${refused} publishes to ${this.queue} before this barrier were refused, the first: ${cause?.message}`
    return new SluiceError('batch-incomplete', detail, { facts: { refused, code }, cause })
  }
}

function isUnconfirmed({ flags }: Frame): boolean {
  return (flags & PUBLISH_FLAGS.unconfirmed) !== 0
}

export function newFrame(flags: number): Frame {
  return {
    first: 0,
    flags,
    count: 0,
    bytes: 0,
    messages: undefined,
    waiters: [],
    unanswered: 0,
    admit: undefined,
    isBarrier: false,
    atomic: undefined,
    done: [],
  }
}

export function asRefusal(error: unknown): Error {
  if (error instanceof ProtocolError) return new RefusedError(error.code, error.detail, undefined, error)
  return error instanceof Error ? error : new Error(String(error))
}
