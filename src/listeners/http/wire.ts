import type { Socket } from 'node:net'
import type { Principal, Refusal } from '../../engine/peer.ts'
import { Connection, type Shared } from './connection.ts'

/** Who may be inside on one socket at once. A proxy may carry requests of many on one; those that rest longest go. */
const INSIDE_MAX = 16

/** One socket of a client. Requests of different principals can come over it, and each has a connection of its own. */
export class Wire {
  readonly address: string
  /** Of those inside: address and port. */
  readonly name: string
  /** Requests now being worked on: more than one when a client does not wait for answers. */
  requestsOpen = 0
  /** An answer is on its way: what is written to the socket now would be taken for a part of it. */
  isAnswering = false
  /** Pulls that wait for messages. */
  pulls = 0
  readonly #shared: Shared
  readonly #socket: Socket
  readonly #connections = new Map<Principal | undefined, Connection>()

  constructor(shared: Shared, socket: Socket) {
    this.#shared = shared
    this.address = socket.remoteAddress ?? 'unknown'
    this.#socket = socket
    this.name = `${this.address}:${socket.remotePort ?? 0}`
    socket.once('close', () => {
      for (const connection of this.#connections.values()) connection.hangUp()
    })
  }

  isInside(principal: Principal): boolean {
    return this.#connections.has(principal)
  }

  /** @param principal who asks; absent where nobody wants to know */
  connection(principal: Principal | undefined): Connection {
    const known = this.#connections.get(principal)
    if (known !== undefined) {
      if (this.#connections.size > 1) {
        // To the end of the line.
        this.#connections.delete(principal)
        this.#connections.set(principal, known)
      }
      return known
    }
    this.#makeRoom()
    const connection = new Connection({ shared: this.#shared, wire: this, principal })
    this.#connections.set(principal, connection)
    return connection
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength
  }

  /** Here and now. */
  cut(): void {
    this.#socket.destroy()
  }

  /** The server closes. */
  giveUp(why: Refusal): void {
    for (const connection of this.#connections.values()) connection.giveUp(why)
  }

  #makeRoom(): void {
    for (const [principal, connection] of this.#connections) {
      if (this.#connections.size < INSIDE_MAX) break
      if (connection.requestsOpen > 0) continue
      this.#connections.delete(principal)
      connection.hangUp()
    }
  }
}
