import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** What is done to the bytes of one way. All of it may be changed while connections are open. */
export interface Way {
  /** Each piece arrives so much later, in ms. */
  delayMs: number
  /** Bytes a second; absent: as fast as they come. */
  bytesPerSecond: number | undefined
  /** Nothing passes, and nothing is lost: the sender's socket fills up. */
  isStalled: boolean
  /** Bytes are taken and thrown away: a path that is gone, which no end hears of. */
  isDropping: boolean
  /** Largest piece that is written at once, in bytes. */
  pieceMax: number | undefined
}

const PIECE_MAX = 65_536
const CHECK_MS = 5

function open(): Way {
  return { delayMs: 0, bytesPerSecond: undefined, isStalled: false, isDropping: false, pieceMax: undefined }
}

/** A TCP proxy between client and server that can be made as bad as a network can be. */
export class BadNetwork {
  /** From the client to the server, and back. */
  readonly up: Way = open()
  readonly down: Way = open()
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #isRefusing = false
  accepted = 0

  private constructor(target: number) {
    this.#server = createServer({ allowHalfOpen: true }, client => this.#accept(client, target))
  }

  /** Listens on a free port of 127.0.0.1 and passes on to another. */
  static async to(target: number): Promise<BadNetwork> {
    const proxy = new BadNetwork(target)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** New connections are reset at once. */
  refuse(isRefusing: boolean): void {
    this.#isRefusing = isRefusing
  }

  /** Everything open ends with a reset, on both sides. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  async close(): Promise<void> {
    this.reset()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #accept(client: Socket, target: number): void {
    this.accepted++
    if (this.#isRefusing) {
      client.on('error', () => {})
      client.resetAndDestroy()
      return
    }
    const server = connect({ port: target, host: '127.0.0.1', allowHalfOpen: true })
    for (const [from, to, way] of [
      [client, server, this.up],
      [server, client, this.down],
    ] as const) {
      from.setNoDelay(true)
      this.#sockets.add(from)
      // One end that goes takes the other with it.
      from.on('error', () => to.destroy())
      from.on('close', () => {
        this.#sockets.delete(from)
        to.destroy()
      })
      pass(from, to, way).catch(() => to.destroy())
    }
  }
}

async function pass(from: Socket, to: Socket, way: Way): Promise<void> {
  for await (const chunk of from as AsyncIterable<Buffer>) {
    for (let at = 0; at < chunk.length; ) {
      while (way.isStalled) {
        if (to.destroyed) return
        await passed(CHECK_MS)
      }
      const piece = chunk.subarray(at, at + (way.pieceMax ?? PIECE_MAX))
      at += piece.length
      if (way.isDropping) continue
      if (way.delayMs > 0) await passed(way.delayMs)
      if (way.bytesPerSecond !== undefined) await passed((piece.length / way.bytesPerSecond) * 1_000)
      if (to.destroyed) return
      if (!to.write(piece)) await once(to, 'drain')
      // Else neighbours would be joined again on their way.
      if (way.pieceMax !== undefined) await new Promise(resolve => setImmediate(resolve))
    }
  }
  to.end()
}

function passed(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}
