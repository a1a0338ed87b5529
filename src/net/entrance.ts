import type { Server, Socket } from 'node:net'
import { isLoopback } from './source.ts'

/** Connections that only this machine may take: whoever has to mend the server gets in when it is full. */
const RESERVED_MAX = 16

export interface EntranceRules {
  /** Most connections at once, of all kinds; a tenth, at most 16 of them, is for loopback. */
  readonly connectionsMax: number
  /**
   * Most of one address; of IPv6, of one /64, which is what one customer has. Loopback has no such limit: all
   * programs of a machine, and all that a proxy on it serves, come from there.
   */
  readonly perAddressMax: number
  /** For tests, which have no other addresses than loopback. */
  readonly isLoopback?: (address: string) => boolean
}

export type EntranceLimit = 'connections_max' | 'connections_per_address'

/** Who may come in: counts connections from their first byte on, before any handshake. */
export class Entrance {
  readonly #rules: EntranceRules
  readonly #isLoopback: (address: string) => boolean
  readonly #foreignMax: number
  readonly #counts = new Map<string, number>()
  #count = 0

  constructor(rules: EntranceRules) {
    this.#rules = rules
    this.#isLoopback = rules.isLoopback ?? isLoopback
    this.#foreignMax = rules.connectionsMax - Math.min(RESERVED_MAX, Math.floor(rules.connectionsMax / 10))
  }

  /** Cuts what is above a limit without a word: an answer would cost more than the asking. */
  guard(server: Server, onRefused: (address: string, limit: EntranceLimit) => void): void {
    server.on('connection', socket => {
      const address = socket.remoteAddress ?? ''
      const limit = this.enter(address)
      if (limit === undefined) leaveOnClose(socket, () => this.leave(address))
      else {
        socket.destroy()
        onRefused(address, limit)
      }
    })
  }

  /** @returns the limit that is reached; without one the connection counts until `leave`. */
  enter(address: string): EntranceLimit | undefined {
    const isLocal = this.#isLoopback(address)
    if (this.#count >= (isLocal ? this.#rules.connectionsMax : this.#foreignMax)) return 'connections_max'
    const key = networkOf(address)
    const count = this.#counts.get(key) ?? 0
    if (!isLocal && count >= this.#rules.perAddressMax) return 'connections_per_address'
    this.#counts.set(key, count + 1)
    this.#count += 1
    return undefined
  }

  leave(address: string): void {
    const key = networkOf(address)
    const count = this.#counts.get(key) ?? 0
    if (count > 1) this.#counts.set(key, count - 1)
    else this.#counts.delete(key)
    this.#count -= 1
  }

  get connections(): number {
    return this.#count
  }
}

function leaveOnClose(socket: Socket, leave: () => void): void {
  socket.once('close', leave)
}

/** An IPv4 address, also one that is written as IPv6; of IPv6 the first 64 bits. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (mapped !== undefined || !address.includes(':')) return mapped ?? address
  const [head = '', tail] = address.replace(/%.*$/, '').split('::')
  const front = head === '' ? [] : head.split(':')
  const back = tail === undefined || tail === '' ? [] : tail.split(':')
  const groups = [...front, ...Array<string>(Math.max(0, 8 - front.length - back.length)).fill('0'), ...back]
  return groups.slice(0, 4).join(':')
}
