import {
  ByteWriter,
  type ClientFrameName,
  decodeFrames,
  encodeFrame,
  type FrameFrom,
  type FrameInputs,
  type Frames,
  HEARTBEAT_MS_DEFAULT,
  isMap,
  MESSAGE_FRAMES_MAX,
  PROTOCOL_VERSION,
  ProtocolError,
  type Value,
  type ValueMap,
} from '@sluice/protocol'
import { type BackoffOptions, backoffMs } from './backoff.ts'
import { ConnectionError, RefusedError, refusedError, type SluiceError } from './errors.ts'
import type { Socket, SocketFactory } from './socket.ts'
import { deferred, nextTick, type Timers } from './timers.ts'

/** What has been written so far leaves early once it is this large: the socket has something to do while the rest is encoded. */
const WRITTEN_BYTES_MAX = 256 * 1024
/** How long a closing handshake may take, in ms. */
const CLOSE_MS = 2_000

/** Where the connection stands. `closed` is for ever. */
export type LinkStatus = 'connecting' | 'connected' | 'reconnecting' | 'closed'

export interface LinkSettings {
  readonly url: string
  readonly name: string
  readonly producer: string
  readonly token: string
  /** 0 takes the server's. */
  readonly heartbeatMs: number
  readonly connectTimeoutMs: number
  readonly backoff: BackoffOptions
  readonly socket: SocketFactory
  readonly timers: Timers
  readonly random: () => number
}

/** Whom the link serves. */
export interface LinkUser {
  /** The tick is over: write what has gathered. */
  gather(): void
  /** A connection is there; `again` tells that there was one before. Write what it must know first. */
  welcomed(welcome: Frames['welcome'], again: boolean): void
  received(frame: FrameFrom<'server'>): void
  /** The connection is gone; the next one is being tried for. */
  lost(error: ConnectionError, attempt: number, delayMs: number): void
  /** For good. */
  ended(error: SluiceError): void
}

interface PendingRequest {
  /** Writes what asks for the answer, anew for each connection: what is left of a time-out shrinks. */
  readonly send: (id: number) => void
  readonly again: boolean
  resolve(result: Value): void
  reject(reason: unknown): void
  /** Called before either. */
  done(): void
}

export interface RequestOptions {
  /** Ask again over the next connection if this one is lost; default true. False rejects `connection-lost` then. */
  readonly again?: boolean
  readonly signal?: AbortSignal | undefined
}

/** One who waits for the answer to a settle; never asked again over another connection. */
export interface SettleWaiter {
  answered(answer: Frames['settled']): void
  lost(error: SluiceError): void
}

/**
 * One connection to the server, and the next one when it is lost. Frames written during a tick leave together at its
 * end; what is written while there is no connection is dropped, since each user resumes in `welcomed` by itself.
 */
export class Link {
  status: LinkStatus = 'connecting'
  readonly settings: LinkSettings
  readonly #user: LinkUser
  readonly #writer = new ByteWriter(typeof Buffer === 'function' ? size => Buffer.allocUnsafe(size) : undefined)
  readonly #requests = new Map<number, PendingRequest>()
  readonly #settles = new Map<number, SettleWaiter>()
  readonly #opened = deferred<void>()
  readonly #closed = deferred<void>()
  /** Frames in the writer. */
  #written = 0
  #lastId = 0
  #socket: Socket | undefined
  /** Rises with every connection tried, so that what an earlier one still tells is not heard. */
  #generation = 0
  #attempts = 0
  #welcomedBefore = false
  #gathering = false
  #closing = false
  #cancelTimer: () => void = () => {}
  #cancelClosing: () => void = () => {}
  /** Why the link ended. */
  #failure: SluiceError | undefined
  #signOfLife = false

  constructor(settings: LinkSettings, user: LinkUser) {
    this.settings = settings
    this.#user = user
  }

  /** The first connection. @throws (rejects) `unreachable`, or the refusal that the server greeted with */
  open(): Promise<void> {
    this.#connect()
    return this.#opened.promise
  }

  /** Writes a frame that leaves with this tick. */
  write<N extends ClientFrameName>(name: N, fields: FrameInputs[N]): void {
    if (this.status !== 'connected') return
    encodeFrame(this.#writer, name, fields)
    this.#written += 1
    if (this.#writer.length >= WRITTEN_BYTES_MAX || this.#written >= MESSAGE_FRAMES_MAX) this.#send()
    else this.schedule()
  }

  /** Has `gather` called at the end of this tick. */
  schedule(): void {
    if (this.#gathering || this.status !== 'connected') return
    this.#gathering = true
    const { timers } = this.settings
    const flush = () => this.flush()
    if (timers.soon === undefined) nextTick(flush)
    else timers.soon(flush)
  }

  /** Gathers and sends at once. */
  flush(): void {
    this.#gathering = false
    if (this.status !== 'connected') return
    this.#user.gather()
    this.#send()
  }

  /** Asks for something by name. @throws (rejects) RefusedError, ConnectionError, the signal's reason */
  request(method: string, params: () => ValueMap, options?: RequestOptions): Promise<Value> {
    return this.ask(id => this.write('request', { id, method, params: params() }), options)
  }

  /** Asks by any frame that a response answers. @param send writes it with that number @throws as `request` */
  ask(send: (id: number) => void, { again = true, signal }: RequestOptions = {}): Promise<Value> {
    if (this.status === 'closed') return Promise.reject(this.closedError())
    if (signal?.aborted) return Promise.reject(signal.reason)
    const id = ++this.#lastId
    const { promise, resolve, reject } = deferred<Value>()
    const abort = () => {
      this.#requests.delete(id)
      this.write('request', { id: ++this.#lastId, method: 'cancel', params: { id } })
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', abort, { once: true })
    this.#requests.set(id, { send, again, resolve, reject, done: () => signal?.removeEventListener('abort', abort) })
    if (this.status === 'connected') send(id)
    return promise
  }

  /** @returns the number under which a settle frame asks for its answer */
  awaitSettled(waiter: SettleWaiter): number {
    const id = ++this.#lastId
    this.#settles.set(id, waiter)
    return id
  }

  /** Sends what has gathered and ends; what is pending is rejected with `closed`. Resolves when the connection is gone. */
  async close(): Promise<void> {
    if (this.status === 'closed') {
      if (!this.#closing) return
    } else {
      this.#closing = true
      this.flush()
      const socket = this.#socket
      this.#socket = undefined
      if (socket === undefined) this.#closed.resolve()
      else {
        socket.close(1000)
        this.#cancelClosing = this.settings.timers.after(CLOSE_MS, () => {
          socket.terminate()
          this.#closed.resolve()
        })
      }
      this.#end(this.closedError())
    }
    await this.#closed.promise
    this.#cancelClosing()
  }

  /** For whatever is asked of a link that has ended. */
  closedError(): ConnectionError {
    return new ConnectionError('closed', 'the client was closed', this.#failure)
  }

  #connect(): void {
    const generation = ++this.#generation
    const current = () => generation === this.#generation
    const fail = (why: string, cause?: unknown) => {
      if (current()) this.#drop(new ConnectionError('unreachable', why, cause))
    }
    const { url, socket, timers, connectTimeoutMs } = this.settings
    this.#cancelTimer = timers.after(connectTimeoutMs, () => fail(`${url} did not answer in ${connectTimeoutMs} ms`))
    const opening = socket(url, {
      received: bytes => {
        if (current()) this.#received(bytes)
      },
      alive: () => {
        this.#signOfLife = true
      },
      closed: (why, cause) => {
        fail(`${url}: ${why}`, cause)
        if (this.status === 'closed') this.#closed.resolve()
      },
    })
    opening.then(
      opened => (current() ? this.#greet(opened) : opened.terminate()),
      cause => fail(`${url}: ${cause instanceof Error ? cause.message : cause}`, cause),
    )
  }

  #greet(socket: Socket): void {
    this.#socket = socket
    const { name, producer, token, heartbeatMs } = this.settings
    encodeFrame(this.#writer, 'hello', { version: PROTOCOL_VERSION, name, producer, token, heartbeatMs })
    this.#send()
  }

  #received(bytes: Uint8Array): void {
    this.#signOfLife = true
    const generation = this.#generation
    try {
      for (const frame of decodeFrames(bytes, 'server')) {
        this.#dispatch(frame)
        // A goodbye, or a `close()` called meanwhile: what follows is not for us.
        if (generation !== this.#generation) return
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      this.#end(new RefusedError('protocol-error', `from the server: ${error.detail}`, undefined, error))
    }
  }

  #dispatch(frame: FrameFrom<'server'>): void {
    if (frame.name === 'welcome') this.#welcomed(frame.fields)
    else if (frame.name === 'goodbye') this.#goodbye(refusedError(frame.fields))
    else if (frame.name === 'response') this.#responded(frame.fields)
    else if (frame.name === 'settled') this.#settled(frame.fields)
    else this.#user.received(frame)
  }

  #welcomed(welcome: Frames['welcome']): void {
    const again = this.#welcomedBefore
    this.#cancelTimer()
    this.#welcomedBefore = true
    this.#attempts = 0
    this.status = 'connected'
    this.#watch(welcome.heartbeatMs || HEARTBEAT_MS_DEFAULT)
    this.#user.welcomed(welcome, again)
    for (const [id, request] of this.#requests) request.send(id)
    this.schedule()
    this.#opened.resolve()
  }

  /** The server ends this connection: a reason that passes is waited out, another ends the client. */
  #goodbye(refusal: RefusedError): void {
    if (refusal.retryable && this.#welcomedBefore)
      this.#drop(new ConnectionError('connection-lost', refusal.message, refusal))
    else this.#end(refusal)
  }

  #responded({ id, refusal, result }: Frames['response']): void {
    const request = this.#requests.get(id)
    // The connection is about to go, and the next one is asked.
    if (request?.again && isMap(refusal) && refusal['code'] === 'shutting-down') return
    this.#requests.delete(id)
    request?.done()
    if (refusal === null) request?.resolve(result)
    else request?.reject(refusedError(refusal))
  }

  #settled(answer: Frames['settled']): void {
    const waiter = this.#settles.get(answer.request)
    this.#settles.delete(answer.request)
    waiter?.answered(answer)
  }

  #send(): void {
    if (this.#writer.length > 0) this.#socket?.send(this.#writer.take())
    this.#written = 0
  }

  /** After an interval without a sign of life asks for one, and after a second one cuts the connection (R9). */
  #watch(heartbeatMs: number): void {
    let quiet = 0
    this.#signOfLife = false
    const check = () => {
      this.#cancelTimer = this.settings.timers.after(heartbeatMs, check)
      quiet = this.#signOfLife ? 0 : quiet + 1
      this.#signOfLife = false
      if (quiet === 0) return
      if (quiet === 2) this.#drop(new ConnectionError('connection-lost', `silent for ${2 * heartbeatMs} ms`))
      else if (this.#socket?.ping) this.#socket.ping()
      // A browser cannot ping; any answer is a sign of life.
      else this.write('request', { id: ++this.#lastId, method: 'ping', params: {} })
    }
    this.#cancelTimer = this.settings.timers.after(heartbeatMs, check)
  }

  /** This connection, or the attempt at one, is gone. */
  #drop(error: ConnectionError): void {
    const { backoff } = this.settings
    const lost =
      this.status === 'connected' ? new ConnectionError('connection-lost', error.message, error.cause) : error
    this.#disconnect()
    const attemptsMax = this.#welcomedBefore ? (backoff.attemptsMax ?? Number.POSITIVE_INFINITY) : 0
    if (this.#attempts < attemptsMax) this.#retry(lost)
    else this.#end(error)
  }

  #retry(lost: ConnectionError): void {
    const { backoff, timers, random } = this.settings
    this.#attempts += 1
    this.status = 'reconnecting'
    const delayMs = backoffMs(this.#attempts, backoff, random)
    this.#cancelTimer = timers.after(delayMs, () => this.#connect())
    this.#forget(lost, request => !request.again)
    this.#user.lost(lost, this.#attempts, delayMs)
  }

  #end(error: SluiceError): void {
    if (this.status === 'closed') return
    this.#disconnect()
    this.status = 'closed'
    this.#failure = error
    this.#forget(error, () => true)
    this.#opened.reject(error)
    this.#user.ended(error)
  }

  #disconnect(): void {
    this.#generation += 1
    this.#cancelTimer()
    this.#socket?.terminate()
    this.#socket = undefined
    this.#writer.take()
    this.#written = 0
  }

  #forget(error: SluiceError, which: (request: PendingRequest) => boolean): void {
    const settles = [...this.#settles.values()]
    this.#settles.clear()
    for (const waiter of settles) waiter.lost(error)
    for (const [id, request] of this.#requests) {
      if (!which(request)) continue
      this.#requests.delete(id)
      request.done()
      request.reject(error)
    }
  }
}
