import {
  BODY_BYTES_MAX,
  FRAME_MESSAGES_MAX,
  type Frames,
  MESSAGE_BYTES_MAX_DEFAULT,
  PUBLISH_WINDOW_BYTES_DEFAULT,
} from '@sluice/protocol'
import { RefusedError, type SluiceError } from './errors.ts'
import { type Frame, Lane } from './lane.ts'
import type { Link } from './link.ts'

const WINDOW_MESSAGES = 10_000
/** The server remembers 65,536 unanswered numbers of a producer (P9); a frame may go beyond the window. */
const WINDOW_MESSAGES_MAX = 50_000

/** All publishes of a client: one window, one credit, a lane for each queue. */
export class Publisher {
  readonly link: Link
  /** Why nothing more is taken. */
  closed: SluiceError | undefined
  frameMessagesMax: number = FRAME_MESSAGES_MAX
  /** Of the protocol, spoken with this server. */
  version = 0
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
  resume({ version, granted, messageMax, frameMessagesMax }: Frames['welcome']): void {
    this.version = version
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

  /** Sent, and done with: it used credit, which comes back without an answer. */
  passed(frame: Frame): void {
    this.#spent += frame.bytes
    this.#letGo(frame)
  }

  answered(frame: Frame): void {
    this.#sentMessages -= frame.count
    this.#sentBytes -= frame.bytes
    if (this.#ready.size > 0) this.link.schedule()
    this.#letGo(frame)
  }

  #letGo(frame: Frame): void {
    this.held(-frame.count, -frame.bytes)
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
