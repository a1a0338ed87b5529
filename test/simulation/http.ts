import { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { SocketFactory } from '@sluice/client'
import type { Engine } from '../../src/engine/peer.ts'
import { type HttpHandler, httpHandler } from '../../src/listeners/http/handler.ts'
import type { Life, Loop } from './loop.ts'
import type { Network } from './network.ts'

/** A request as it goes over a connection. */
export interface Asked {
  readonly method: string
  readonly url: string
  readonly body: string
}

export interface Answer {
  readonly status: number
  readonly json: unknown
}

/** What the server's side of a connection is, as the network has it. */
interface Wired {
  on(event: 'message' | 'close', listener: (data: Buffer) => void): unknown
  send(bytes: Uint8Array, sent: () => void): void
  terminate(): void
}

const noop = (): void => {}

/** Answers, as Node's server would have them written. */
class Response extends EventEmitter {
  destroyed = false
  /** Bytes of the answer that are not sent yet. */
  writableLength = 0
  readonly socket: object
  #status = 0
  readonly #life: Life
  readonly #wired: Wired

  constructor(life: Life, wired: Wired, socket: object) {
    super()
    this.#life = life
    this.#wired = wired
    this.socket = socket
  }

  setHeader(): void {}

  setTimeout(ms: number, silent: () => void): void {
    this.#life.after(ms, () => this.destroyed || silent())
  }

  writeHead(status: number): void {
    this.#status = status
  }

  end(body: string): void {
    const bytes = Buffer.from(JSON.stringify({ status: this.#status, json: JSON.parse(body) }))
    this.writableLength = bytes.length
    this.#wired.send(bytes, () => {
      this.writableLength = 0
      this.emit('finish')
      this.close()
    })
  }

  close(): void {
    if (this.destroyed) return
    this.destroyed = true
    this.emit('close')
  }
}

/**
 * The HTTP door of one process: its routes, connections and undoing of what was not sent, on messages that are a whole
 * request each. The parser is Node's, and not simulated.
 */
export class HttpDoor {
  readonly #handler: HttpHandler
  readonly #life: Life

  constructor(engine: Engine, life: Life, loop: Loop) {
    this.#life = life
    this.#handler = httpHandler(engine, { version: 'simulated', onBug: error => life.isAlive && loop.bug(error) })
  }

  close(): void {
    this.#handler.close()
  }

  accept(socket: object): void {
    const wired = socket as Wired
    const responses = new Set<Response>()
    const below = Object.assign(new EventEmitter(), {
      remoteAddress: 'simulated',
      remotePort: 1,
      writableLength: 0,
      destroyed: false,
      errored: null,
      destroy: () => wired.terminate(),
    })
    // One listener for each answer on its way.
    below.setMaxListeners(0)
    wired.on('message', data => {
      const { method, url, body } = JSON.parse(data.toString()) as Asked
      const bytes = Buffer.from(body)
      const response = new Response(this.#life, wired, below)
      responses.add(response)
      response.once('close', () => responses.delete(response))
      const request = Object.assign(new EventEmitter(), {
        method,
        url,
        headers: { host: 'simulated', 'content-length': `${bytes.length}` },
        rawHeaders: [],
        socket: below,
        complete: true,
        destroyed: false,
        resume: noop,
        pause: noop,
      })
      // It flows to whoever listens, as Node's does, once those who asked for it have done what they were at.
      request.on('newListener', event => {
        if (event !== 'end') return
        queueMicrotask(() => {
          if (bytes.length > 0) request.emit('data', bytes)
          request.emit('end')
        })
      })
      this.#handler.handle(request as unknown as IncomingMessage, response as unknown as ServerResponse)
    })
    wired.on('close', () => {
      below.destroyed = true
      ;(below as unknown as Socket).emit('close')
      for (const response of [...responses]) response.close()
    })
  }
}

type ClientSocket = Awaited<ReturnType<SocketFactory>>

/** Thrown where it is unknown whether the server did what it was asked. */
export class Lost extends Error {}

/** A client that asks one thing after another over a connection that is kept, and opens the next when that is gone. */
export class HttpClient {
  readonly #life: Life
  readonly #network: Network
  #socket: ClientSocket | undefined
  #waiting: { readonly resolve: (answer: Answer) => void; readonly reject: (error: Error) => void } | undefined

  constructor(life: Life, network: Network) {
    this.#life = life
    this.#network = network
  }

  /** @throws Lost without an answer in time; then the connection is given up */
  async ask(
    method: string,
    url: string,
    { body = '', withinMs }: { body?: string; withinMs: number },
  ): Promise<Answer> {
    this.#socket ??= await this.#connect()
    const socket = this.#socket
    return new Promise((resolve, reject) => {
      const stop = this.#life.after(withinMs, () => {
        socket.terminate()
        this.#gone()
      })
      this.#waiting = {
        resolve: answer => {
          stop()
          resolve(answer)
        },
        reject: error => {
          stop()
          reject(error)
        },
      }
      socket.send(Buffer.from(JSON.stringify({ method, url, body } satisfies Asked)))
    })
  }

  async #connect(): Promise<ClientSocket> {
    let isGone = false
    const events = {
      received: (bytes: Uint8Array) => {
        const { resolve } = this.#waiting ?? {}
        this.#waiting = undefined
        resolve?.(JSON.parse(Buffer.from(bytes).toString()) as Answer)
      },
      alive: noop,
      closed: () => {
        isGone = true
        this.#gone()
      },
    }
    try {
      const socket = await this.#network.factory(this.#life, 'http')('http://simulated', events as never)
      if (isGone) throw new Lost('closed at once')
      return socket
    } catch {
      throw new Lost('nobody is there')
    }
  }

  #gone(): void {
    this.#socket = undefined
    const { reject } = this.#waiting ?? {}
    this.#waiting = undefined
    reject?.(new Lost('the connection is gone'))
  }
}
