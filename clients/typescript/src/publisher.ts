import {
  BODY_BYTES_MAX,
  ByteWriter,
  encodeMessage,
  FRAME_MESSAGES_MAX,
  type Frames,
  MESSAGE_BYTES_MAX_DEFAULT,
  type MessageProperties,
  ProtocolError,
  PUBLISH_WINDOW_BYTES_DEFAULT,
} from '@sluice/protocol'
import { RefusedError, SluiceError } from './errors.ts'
import type { Link } from './link.ts'
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
  resolve(published: Published): void
  reject(error: Error): void
}

/** A frame this large is complete, in bytes: 32 KiB cost the server 0.5 µs a message more (prototype-ceiling, 4). */
const FRAME_BYTES = 128 * 1024
const WINDOW_MESSAGES = 10_000
/** The server remembers 65,536 unanswered numbers of a producer (P9); a frame may go beyond the window. */
const WINDOW_MESSAGES_MAX = 50_000

/** Messages of one queue that travel together, kept until the last one is answered: after a reconnect they go again. */
interface Frame {
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
  /** Called when it and all before it is answered. */
  readonly done: (() => void)[]
}

/** All publishes of a client: one window, one credit, a lane for each queue. */
export class Publisher {
  readonly link: Link
  /** Why nothing more is taken. */
  closed: SluiceError | undefined
  frameMessagesMax: number = FRAME_MESSAGES_MAX
  #messageMax = Number.MAX_SAFE_INTEGER
  readonly #lanes = new Map<string, Lane>()
  /** Lanes with something to send, served in turn. */
  readonly #ready = new Set<Lane>()
  readonly #windowMessages: number
  readonly #windowBytes: number
  /** On their way on this connection, unanswered. */
  #sentMessages = 0
  #sentBytes = 0
  /** The same and what waits here. */
  #heldMessages = 0
  #heldBytes = 0
  /** Bytes that the server lets this connection publish in all, and how many it has (R5). */
  #granted = 0
  #spent = 0
  #roomWaiters: (() => void)[] = []

  constructor(link: Link, window: { readonly messages?: number; readonly bytes?: number } = {}) {
    this.link = link
    this.#windowMessages = Math.min(window.messages ?? WINDOW_MESSAGES, WINDOW_MESSAGES_MAX)
    this.#windowBytes = window.bytes ?? PUBLISH_WINDOW_BYTES_DEFAULT
  }

  lane(queue: string): Lane {
    const known = this.#lanes.get(queue)
    if (known !== undefined) return known
    const lane = new Lane(queue, this)
    this.#lanes.set(queue, lane)
    return lane
  }

  /** A new connection: everything unanswered goes again, in order and under its old numbers. */
  resume({ granted, messageMax, frameMessagesMax }: Frames['welcome']): void {
    this.#messageMax = messageMax || Number.MAX_SAFE_INTEGER
    this.frameMessagesMax = Math.min(frameMessagesMax || FRAME_MESSAGES_MAX, FRAME_MESSAGES_MAX)
    this.#granted = granted
    this.#spent = 0
    this.#sentMessages = 0
    this.#sentBytes = 0
    for (const lane of this.#lanes.values()) {
      lane.resume()
      this.#ready.add(lane)
    }
  }

  flow(granted: number): void {
    this.#granted = Math.max(granted, this.#granted)
    if (this.#ready.size > 0) this.link.schedule()
  }

  /** Writes what window and credit let through, a frame of each lane in turn. */
  gather(): void {
    for (const lane of this.#ready) {
      if (!this.#isOpen()) return
      this.#ready.delete(lane)
      // Added again it is the last in the row; the loop comes to it once more.
      if (lane.sendOne()) this.#ready.add(lane)
    }
  }

  /** Most bytes of messages that one ack may bring (P4); a single large message always fits. */
  get carriedBytesMax(): number {
    return Math.max(Math.min(this.#messageMax, BODY_BYTES_MAX), MESSAGE_BYTES_MAX_DEFAULT)
  }

  /** Everything published so far has been answered. Never rejects. */
  async settled(): Promise<void> {
    await Promise.all([...this.#lanes.values()].map(lane => lane.settled()))
  }

  /** @returns a promise to wait for before more is taken, `undefined` if there is room */
  room(): Promise<void> | undefined {
    if (this.#hasRoom()) return undefined
    return new Promise(resolve => this.#roomWaiters.push(resolve))
  }

  end(error: SluiceError): void {
    this.closed = error
    for (const lane of this.#lanes.values()) lane.end(error)
    this.#wakeRoom()
  }

  /** @throws why this body is not taken: an error of the client's end, or a RefusedError, as the server's would be */
  check(body: Uint8Array): void {
    if (this.closed !== undefined) throw this.closed
    if (body.length <= this.#messageMax) return
    const detail = `body of ${body.length} bytes, the server takes ${this.#messageMax}`
    throw new RefusedError('message-too-large', detail, { option: 'message_max', limit: this.#messageMax })
  }

  isReady(lane: Lane): void {
    this.#ready.add(lane)
    this.link.schedule()
  }

  held(messages: number, bytes: number): void {
    this.#heldMessages += messages
    this.#heldBytes += bytes
  }

  sent(frame: Frame): void {
    this.#spent += frame.bytes
    this.#sentMessages += frame.count
    this.#sentBytes += frame.bytes
  }

  answered(frame: Frame): void {
    this.#sentMessages -= frame.count
    this.#sentBytes -= frame.bytes
    this.held(-frame.count, -frame.bytes)
    if (this.#ready.size > 0) this.link.schedule()
    if (this.#roomWaiters.length > 0 && this.#hasRoom()) this.#wakeRoom()
  }

  #isOpen(): boolean {
    return (
      this.#spent < this.#granted && this.#sentMessages < this.#windowMessages && this.#sentBytes < this.#windowBytes
    )
  }

  #hasRoom(): boolean {
    return (
      this.closed !== undefined || (this.#heldMessages < this.#windowMessages && this.#heldBytes < this.#windowBytes)
    )
  }

  #wakeRoom(): void {
    const waiters = this.#roomWaiters
    this.#roomWaiters = []
    for (const wake of waiters) wake()
  }
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
    this.#advance()
    return promise
  }

  /** Notes that a message could not be published, for the next barrier. @returns the error to tell */
  refuse(error: unknown): Error {
    const refusal = asRefusal(error)
    this.#refused += 1
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

  /** @returns whether there is more to send */
  sendOne(): boolean {
    const frame = this.#frames[this.#sent]
    if (frame === undefined || frame.admit !== undefined || (this.#sent > 0 && !this.#isThere)) return false
    if (frame === this.#gathering) this.#seal()
    if (frame.first === 0) {
      frame.first = this.#nextNumber
      this.#nextNumber += frame.count
    }
    this.#sent += 1
    this.#publisher.sent(frame)
    const { first: number, flags, count } = frame
    const answeredUpTo = this.#frames[0]!.first - 1
    this.#publisher.link.write('publish', {
      queue: this.queue,
      number,
      answeredUpTo,
      flags,
      count,
      messages: frame.messages!,
    })
    return this.#frames.length > this.#sent
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
    this.#isThere = code !== 'no-such-queue'
    this.#gone = !this.#isThere && number + count === this.#nextNumber
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
    }
    this.#advance()
  }

  /** Lets go of what is answered, and decides about a barrier that has come to the front. */
  #advance(): void {
    for (let head = this.#frames[0]; head !== undefined; head = this.#frames[0]) {
      const { admit } = head
      if (admit !== undefined) {
        head.admit = undefined
        if (admit()) this.#publisher.isReady(this)
        else this.#letGo(head)
      } else if (head.unanswered === 0) this.#letGo(head)
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

function newFrame(flags: number): Frame {
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
    done: [],
  }
}

function asRefusal(error: unknown): Error {
  if (error instanceof ProtocolError) return new RefusedError(error.code, error.detail, undefined, error)
  return error instanceof Error ? error : new Error(String(error))
}
