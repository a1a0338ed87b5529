import type { Engine, Outbox, Peer, Principal, Refusal } from '../../engine/peer.ts'
import { networkOf } from '../../net/entrance.ts'
import type { PublishRate, PublishRates } from '../../net/publish-rate.ts'
import type { SendBuffers } from '../../net/send-buffers.ts'
import type { BackupDesk } from './backup.ts'
import type { Dashboard } from './dashboard.ts'
import type { StreamCount } from './event-stream.ts'
import { unauthenticated } from './login.ts'
import { Problem } from './problem.ts'
import type { Reporting } from './server-routes.ts'
import type { TokenDesk } from './tokens.ts'
import type { Wire } from './wire.ts'

/** How long a publisher is left waiting, unread, for the pressure to fall before it is refused (R5). */
const PRESSURE_WAIT_MS = 5_000

/** Longest sleep for the rate: others of the same address may publish meanwhile. */
const RATE_STEP_MS = 60_000

/** The client has hung up: nobody is left to answer. */
export class HungUp extends Error {
  constructor() {
    super('the client has hung up')
    this.name = 'HungUp'
  }
}

/** What all connections of a listener share. */
export interface Shared {
  readonly engine: Engine
  /** Of the program, as its package says. */
  readonly version: string
  /** Absent: there are none. */
  readonly tokens: TokenDesk | undefined
  /** Absent: none are taken. */
  readonly backups: BackupDesk | undefined
  /** Absent: it was not built. */
  readonly dashboard: Dashboard | undefined
  /** A client that neither sends what it began nor reads what it is sent for so long is cut (R9). */
  readonly silenceMs: number
  readonly pullsMax: number
  readonly rates: PublishRates | undefined
  readonly sendBuffers: SendBuffers
  /** All routes, as OpenAPI. */
  readonly description: () => object
  /** Absent: nothing is measured. */
  readonly reporting: Reporting | undefined
  /** Of event streams. */
  readonly heartbeatMs: number
  readonly streams: StreamCount
  /** Bytes of request bodies held while they are read. */
  intakeBytes: number
  /** Pulls that wait for messages. */
  pulls: number
  /** The server closes: every answer is the last of its connection. */
  isClosing: boolean
}

/** What goes on until it is answered or given up. */
interface Wait {
  readonly isCancellable: boolean
  fail(why: Error): void
}

/**
 * One kept-alive connection of a client, as one principal, and its peer in the engine.
 *
 * A peer for each keeps its commands in order (P3) and lets holdouts tell who holds them. What waits for
 * the engine waits through here, so that a hang-up ends it: a pull that nobody hears the answer of takes nothing.
 */
export class Connection implements Outbox {
  readonly shared: Shared
  readonly wire: Wire
  readonly principal: Principal | undefined
  /** Of its principal. */
  requestsOpen = 0
  /** Bytes published without a confirm that are not on disk yet. */
  unkeptBytes = 0
  readonly #waits = new Set<Wait>()
  readonly #unsent = new Set<() => void>()
  readonly #pressureFell = new Set<() => void>()
  #peer: Peer | undefined
  #ended: Error | undefined

  constructor(terms: { shared: Shared; wire: Wire; principal: Principal | undefined }) {
    this.shared = terms.shared
    this.wire = terms.wire
    this.principal = terms.principal
  }

  get engine(): Engine {
    return this.shared.engine
  }

  /** @throws Problem when the engine has sent the peer away, HungUp when the client is gone */
  get peer(): Peer {
    if (this.#ended !== undefined) throw this.#ended
    this.#peer ??= this.#attach()
    return this.#peer
  }

  #attach(): Peer {
    const { name } = this.wire
    return this.engine.attach({ name, protocol: 'http', address: name, principal: this.principal }, this)
  }

  /**
   * Waits for the one answer of a command. If the client hangs up first, the command is cancelled (if it can be) and
   * the wait ends with HungUp.
   */
  wait<T>(start: (peer: Peer, answered: (answer: T) => void) => { cancel(): void } | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      let command: { cancel(): void } | undefined
      const wait: Wait = {
        get isCancellable() {
          return command !== undefined
        },
        fail: why => {
          this.#waits.delete(wait)
          command?.cancel()
          reject(why)
        },
      }
      const peer = this.peer
      this.#waits.add(wait)
      command = start(peer, answer => {
        this.#waits.delete(wait)
        resolve(answer)
      })
    })
  }

  /** Waits for the answer of a command that cannot be taken back: it is carried out even if the client hangs up. */
  ask<T>(start: (peer: Peer, answered: (answer: T) => void) => void): Promise<T> {
    return this.wait((peer, answered) => {
      start(peer, answered)
      return undefined
    })
  }

  /** Waits for what the client sends: to be given up when the engine sends the peer away. */
  untilEnded<T>(coming: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const forget = this.whileComing(reject)
      coming.then(resolve, reject).finally(forget)
    })
  }

  /**
   * The same for what comes by events.
   *
   * @returns to be called when it has come. @throws Problem when the engine has sent the peer away
   */
  whileComing(fail: (why: Error) => void): () => void {
    const wait: Wait = {
      isCancellable: false,
      fail: why => {
        this.#waits.delete(wait)
        fail(why)
      },
    }
    // Attached now: only a peer is sent away, and what is sent slowly must not outlive its token.
    if (this.principal !== undefined) void this.peer
    this.#waits.add(wait)
    return () => this.#waits.delete(wait)
  }

  /** Messages are published; they count for the rate. */
  published(count: number, bytes: number): void {
    this.#rate?.take(count, bytes)
  }

  /** @throws Problem `too-many-publishes` while the client has published more than it may */
  checkRate(): void {
    const rate = this.#rate
    const waitMs = rate?.waitMs ?? 0
    if (rate === undefined || waitMs === 0) return
    const { limit } = rate
    const detail = `more was published by this client than ${limit} allows`
    const seconds = Math.ceil(waitMs / 1_000)
    throw new Problem('too-many-publishes', detail, { limit }, { 'retry-after': String(seconds) })
  }

  /** Comes back when the client may publish again: in the middle of a body nothing is refused, it is not read on. */
  async ratePaid(): Promise<void> {
    for (let waitMs = this.#rate?.waitMs ?? 0; waitMs > 0; waitMs = this.#rate?.waitMs ?? 0) {
      await this.wait<void>((_, answered) => {
        const timer = setTimeout(answered, Math.min(waitMs, RATE_STEP_MS))
        return { cancel: () => clearTimeout(timer) }
      })
    }
  }

  get #rate(): PublishRate | undefined {
    const { principal, shared, wire } = this
    const { rates } = shared
    return principal === undefined ? rates?.of(networkOf(wire.address)) : rates?.ofPrincipal(principal.name)
  }

  /**
   * Tells when an answer that does not end by itself must end.
   *
   * @param ended with the reason, if anybody is left to hear it. Called at most once, perhaps at once
   * @returns to be called when it has ended otherwise
   */
  onEnded(ended: (why: { readonly code: string; readonly detail: string } | undefined) => void): () => void {
    const wait: Wait = {
      isCancellable: true,
      fail: why => {
        this.#waits.delete(wait)
        ended(why instanceof Problem ? { code: why.code, detail: why.message } : undefined)
      },
    }
    this.#waits.add(wait)
    // Only a peer is sent away, and what is heard must not outlive its token.
    if (this.#ended === undefined) void this.peer
    else wait.fail(this.#ended)
    return () => this.#waits.delete(wait)
  }

  /**
   * Comes back when publishes are taken: at once, or within some seconds.
   *
   * @throws Problem `server-busy`, `shutting-down`
   */
  async admission(): Promise<void> {
    if (!this.engine.pressure.on) return
    if (!this.engine.readiness().ready) {
      throw new Problem('shutting-down', 'nothing can be published now: the server is shutting down')
    }
    const isOver = await this.wait<boolean>((_, answered) => {
      const fell = (): void => {
        end()
        answered(true)
      }
      const end = (): void => {
        clearTimeout(timer)
        this.#pressureFell.delete(fell)
      }
      const timer = setTimeout(() => {
        end()
        answered(false)
      }, PRESSURE_WAIT_MS)
      this.#pressureFell.add(fell)
      return { cancel: end }
    })
    if (!isOver) throw new Problem('server-busy', `nothing can be published now: ${this.engine.pressure.reason}`)
  }

  /**
   * Takes what must be undone if the client hangs up before its answer has left.
   *
   * @returns to be called once the answer has left
   */
  undoIfUnsent(undo: () => void): () => void {
    if (this.#ended !== undefined) undo()
    else this.#unsent.add(undo)
    return () => this.#unsent.delete(undo)
  }

  /** The server closes: what can wait long is given up. What is being committed is left to get its answer. */
  giveUp(why: Refusal): void {
    for (const wait of [...this.#waits]) if (wait.isCancellable) wait.fail(Problem.of(why))
  }

  closed(why: Refusal): void {
    this.#ended ??= why.code === 'unauthenticated' ? unauthenticated(why.detail) : Problem.of(why)
    for (const wait of [...this.#waits]) wait.fail(this.#ended)
    if (why.code === 'disconnected') this.wire.cut()
  }

  bufferedBytes(): number {
    return this.wire.bufferedBytes
  }

  pressure(on: boolean): void {
    if (!on) for (const fell of [...this.#pressureFell]) fell()
  }

  isFull(): boolean {
    return false
  }

  // A pull's leases belong to time and there are no subscriptions here: the rest of an outbox has nothing to tell.
  deliver(): void {}
  barrier(): void {}
  leaseLost(): void {}
  cancelled(): void {}

  /** The client is gone. */
  hangUp(): void {
    for (const undo of this.#unsent) undo()
    this.#unsent.clear()
    const hungUp = new HungUp()
    for (const wait of [...this.#waits]) wait.fail(hungUp)
    this.#ended = hungUp
    this.#peer?.close()
  }
}
