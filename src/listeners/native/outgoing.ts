import { ByteWriter, encodeFrame, type FrameInputs, type ServerFrameName } from '@sluice/protocol'
import { type SendAccount, SendBuffers } from '../../net/send-buffers.ts'

/** What a connection needs of a socket. */
export interface NativeSocket {
  /** One WebSocket message; the bytes are the socket's from then on. */
  send(bytes: Uint8Array): void
  /** Bytes given to `send` that are not with the kernel yet. */
  buffered(): number
  /** Closes with a WebSocket close code; a peer that is too slow to hear it is cut. */
  close(code: number, reason: string): void
}

/** Time and turns of the event loop, given so that tests need not wait. */
export interface NativeClock {
  /** Milliseconds, monotonic. */
  now(): number
  /** @returns takes the task back. */
  after(ms: number, task: () => void): () => void
  /** Once, when the events at hand have been handled. */
  soon(task: () => void): void
}

/** Bytes waiting for a socket at which deliveries to it stop, and where they go on (D11). */
export const FULL_BYTES: number = 1024 * 1024
export const DRAINED_BYTES: number = 256 * 1024
/** Bytes waiting at which the peer is cut: what is no delivery, answers to requests say, does not stop at the mark above (R9). */
export const TOO_SLOW_BYTES: number = 8 * 1024 * 1024
/** A full socket that takes nothing for so long is cut (R9). */
export const TOO_SLOW_MS = 30_000
/** A frame larger than the bounds above gets more time: nothing is seen of it before all of it is gone. About 64 KB/s. */
const BYTES_A_MS = 64
/** A tick's frames become one WebSocket message, up to this size; then one is sent and the next begun. */
const MESSAGE_BYTES = 256 * 1024

interface Confirmed {
  readonly queue: string
  readonly number: number
  readonly count: number
  readonly sequence: number
  readonly batch: number
  readonly duplicate: boolean
}

/**
 * Gathers the frames of a tick and sends them as one WebSocket message; watches how fast the peer takes them.
 *
 * Confirms go out last in their message, adjacent ranges of a queue as one. Everything else keeps its order.
 */
export class Outgoing {
  readonly #socket: NativeSocket
  readonly #clock: NativeClock
  readonly #beforeFlush: () => void
  readonly #tooSlow: () => void
  readonly #buffers: SendBuffers
  readonly #account: SendAccount
  readonly #writer: ByteWriter = new ByteWriter(size => Buffer.allocUnsafe(size))
  readonly #confirms = new Map<string, Confirmed>()
  #flushing = false
  #full = false
  #ended = false
  /** Largest frame on its way: a single message may be larger than all bounds. */
  #largestBytes = 0
  #progressAt = 0
  #cancelWatch: () => void = () => {}

  /**
   * @param on.beforeFlush may add a last frame to the tick.
   * @param on.tooSlow called once, never from inside a call of the engine's.
   * @param buffers of all connections; default none but this.
   */
  constructor(
    socket: NativeSocket,
    clock: NativeClock,
    on: { beforeFlush: () => void; tooSlow: () => void },
    buffers: SendBuffers = new SendBuffers(Number.POSITIVE_INFINITY),
  ) {
    this.#socket = socket
    this.#clock = clock
    this.#beforeFlush = on.beforeFlush
    this.#tooSlow = on.tooSlow
    this.#buffers = buffers
    this.#account = buffers.join(on.tooSlow)
  }

  /** @throws ProtocolError when a value in it is too large to be sent; nothing is sent of it then. */
  frame<N extends ServerFrameName>(name: N, fields: FrameInputs[N]): void {
    if (this.#ended) return
    const start = this.#writer.length
    encodeFrame(this.#writer, name, fields)
    this.#largestBytes = Math.max(this.#largestBytes, this.#writer.length - start)
    if (this.#writer.length >= MESSAGE_BYTES) {
      this.#socket.send(this.#writer.take())
      this.#waiting()
    }
    this.touch()
  }

  confirm(next: Confirmed): void {
    const last = this.#confirms.get(next.queue)
    if (last === undefined) this.#confirms.set(next.queue, next)
    else if (follows(last, next)) this.#confirms.set(next.queue, { ...last, count: last.count + next.count })
    else {
      this.#confirms.set(next.queue, next)
      this.frame('confirm', last)
    }
    this.touch()
  }

  /** Has the tick end with a flush, also when no frame asked for it. */
  touch(): void {
    if (this.#flushing || this.#ended) return
    this.#flushing = true
    this.#clock.soon(() => this.flush())
  }

  flush(): void {
    if (this.#ended) return
    this.#beforeFlush()
    for (const confirm of this.#confirms.values()) this.frame('confirm', confirm)
    this.#confirms.clear()
    if (this.#writer.length > 0) this.#socket.send(this.#writer.take())
    this.#flushing = false
    if (this.bufferedBytes > TOO_SLOW_BYTES + this.#largestBytes) this.#clock.soon(this.#tooSlow)
    else if (!this.isFull()) this.#largestBytes = 0
  }

  /** Once true, true until `written` says that it is drained. */
  isFull(): boolean {
    if (!this.#full && this.#waiting() > Math.min(FULL_BYTES, this.#buffers.share)) {
      this.#full = true
      this.#progressAt = this.#clock.now()
      this.#watch(this.#patienceMs())
    }
    return this.#full
  }

  /** The socket has got rid of something. @returns whether it is drained by that, after it was full. */
  written(): boolean {
    this.#progressAt = this.#clock.now()
    const waiting = this.#waiting()
    if (!this.#full || waiting >= Math.min(DRAINED_BYTES, this.#buffers.share / 4)) return false
    this.#full = false
    this.#largestBytes = 0
    this.#cancelWatch()
    return true
  }

  get bufferedBytes(): number {
    return this.#socket.buffered() + this.#writer.length
  }

  /** Nothing goes out any more. */
  end(): void {
    this.#ended = true
    this.#cancelWatch()
    this.#confirms.clear()
    this.#writer.take()
    this.#account.leave()
  }

  /** What has not gone yet, and all connections together are told. */
  #waiting(): number {
    const bytes = this.bufferedBytes
    this.#account.set(bytes)
    return bytes
  }

  #patienceMs(): number {
    return TOO_SLOW_MS + this.#largestBytes / BYTES_A_MS
  }

  #watch(ms: number): void {
    this.#cancelWatch = this.#clock.after(ms, () => {
      const left = this.#progressAt + this.#patienceMs() - this.#clock.now()
      if (left > 0) this.#watch(left)
      else this.#tooSlow()
    })
  }
}

function follows(last: Confirmed, next: Confirmed): boolean {
  return (
    next.number === last.number + last.count &&
    next.sequence === last.sequence + last.count &&
    next.batch === last.batch &&
    next.duplicate === last.duplicate
  )
}
