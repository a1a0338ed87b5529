import { FRAME_MESSAGES_MAX } from '@sluice/protocol'
import { viewQueue } from '../../src/core/snapshot.ts'
import { Engine } from '../../src/engine/engine.ts'
import type { QueueOptionsInput, QueueView } from '../../src/engine/peer.ts'
import { Pressure } from '../../src/engine/pressure.ts'
import { JournalFailure } from '../../src/journal/journal.ts'
import { TableJournal } from '../../src/journal/table/table-journal.ts'
import { connect } from '../../src/listeners/native/listener.ts'
import type { HistoryRecorder } from '../support/history/history.ts'
import type { SimulatedDisk } from './disk.ts'
import type { FaultPoints } from './fault-points.ts'
import { HttpDoor } from './http.ts'
import { Life, type Loop } from './loop.ts'
import type { Accepting, Network, ServerDeath } from './network.ts'
import type { Random } from './random.ts'
import { WatchedJournal } from './watched-journal.ts'

const COMMIT_DEADLINE_MS = 10_000
const FREE_MIN_BYTES = 10 ** 9
const CLOSE_MS = 5_000

export interface ServerSettings {
  readonly memoryMax: number
  readonly heartbeatMs: number
  readonly queues: readonly { readonly name: string; readonly options: QueueOptionsInput }[]
}

/** One process of the server. */
interface Process extends Accepting {
  readonly engine: Engine
  readonly pressure: Pressure
  readonly http: HttpDoor
}

/**
 * The whole server but for its sockets and its file: what `server.ts` puts together, on a disk, a network
 * and a clock that are simulated. It can be killed at any event, and started again on what the disk kept.
 */
export class SimulatedServer {
  readonly #loop: Loop
  readonly #random: Random
  readonly #disk: SimulatedDisk
  readonly #points: FaultPoints
  readonly #network: Network
  readonly #recorder: HistoryRecorder
  readonly #settings: ServerSettings
  readonly #stopped: () => void
  #process: Process | undefined
  #isStopping = false
  #repair: (() => void) | undefined
  starts = 0
  /** What the wall clock is ahead of the world's time; a process goes by what it was at its start (R6). */
  wallMs = 0
  /** What it was for the process that runs, or ran last. */
  startedWallMs = 0
  /** Why processes ended by themselves, by code. */
  readonly failures: string[] = []

  constructor(parts: {
    loop: Loop
    random: Random
    disk: SimulatedDisk
    points: FaultPoints
    network: Network
    recorder: HistoryRecorder
    settings: ServerSettings
    /** A process has ended in peace. */
    stopped: () => void
  }) {
    this.#loop = parts.loop
    this.#random = parts.random
    this.#disk = parts.disk
    this.#points = parts.points
    this.#network = parts.network
    this.#recorder = parts.recorder
    this.#settings = parts.settings
    this.#stopped = parts.stopped
  }

  get isUp(): boolean {
    return this.#process !== undefined && this.#network.server === this.#process && !this.#isStopping
  }

  get engine(): Engine | undefined {
    return this.isUp ? this.#process?.engine : undefined
  }

  views(): readonly QueueView[] {
    const { engine } = this
    if (engine === undefined) return []
    return [...engine.broker.queues()].map(queue => viewQueue(queue, this.#loop.now + this.startedWallMs) as QueueView)
  }

  /** Starts a process, which is up some time later, unless it is killed before. */
  start(): void {
    if (this.#process !== undefined) return
    this.starts += 1
    const life = new Life(this.#loop)
    const by = this.wallMs - this.startedWallMs
    if (by !== 0) this.#recorder.record({ type: 'clock-jump', by })
    this.startedWallMs = this.wallMs
    const clock = life.clockAhead(this.wallMs)
    const pressure = new Pressure(
      clock,
      async () => ({ freeBytes: this.#disk.freeBytes, totalBytes: 10 ** 12 }),
      FREE_MIN_BYTES,
    )
    const journal = new WatchedJournal(
      life,
      this.#points,
      watch =>
        new TableJournal({
          table: this.#disk.open(life, watch),
          memoryMax: this.#settings.memoryMax,
          commitDeadlineMs: COMMIT_DEADLINE_MS,
          later: life.soon,
          after: life.after,
        }),
    )
    const engine = new Engine({
      journal,
      clock,
      messageMax: 1024 * 1024,
      frameMessagesMax: FRAME_MESSAGES_MAX,
      autoCreate: false,
      pressure,
      onFatal: reason => this.#failed(life, reason),
      soon: task => queueMicrotask(() => life.guard(task)),
      later: life.soon,
    })
    const http = new HttpDoor(engine, life, this.#loop)
    const process: Process = {
      life,
      engine,
      pressure,
      http,
      acceptHttp: socket => http.accept(socket),
      accept: (socket, wire) => this.#accept(life, engine, { socket, wire }),
    }
    this.#process = process
    this.#open(process).catch((error: unknown) => {
      if (!life.isAlive) return
      if (error instanceof JournalFailure) this.#failed(life, error)
      else this.#loop.bug(error)
    })
  }

  async #open(process: Process): Promise<void> {
    const { engine, pressure, life } = process
    await engine.open()
    await pressure.watch()
    if (!life.isAlive) return
    for (const { name, options } of this.#settings.queues) {
      const answer = engine.declare(name, options)
      if ('code' in answer) throw new Error(`declare ${name}: ${answer.code} ${answer.detail}`)
    }
    this.#recorder.record({ type: 'server-up' })
    this.#network.server = process
  }

  #accept(life: Life, engine: Engine, ends: { readonly socket: object; readonly wire: object }): void {
    connect({
      ...(ends as unknown as Pick<Parameters<typeof connect>[0], 'socket' | 'wire'>),
      address: 'simulated',
      engine,
      options: { clock: life.timers, heartbeatMs: this.#settings.heartbeatMs },
    })
  }

  /** Nothing that the process still wanted to do happens, and nobody hears of it again. */
  kill(how: ServerDeath = this.#random.pick(['sent', 'sent', 'reset', 'silent'])): void {
    const process = this.#process
    if (process === undefined) return
    this.#loop.trace(`kill ${how}`)
    this.#recorder.record({ type: 'server-kill' })
    process.life.end()
    this.#process = undefined
    this.#isStopping = false
    this.#network.server = undefined
    this.#disk.crash()
    this.#network.serverDied(process.life, how)
  }

  /** The clean stop of `server.ts`: everybody is let go, everything decided is written. */
  async stop(): Promise<void> {
    const process = this.#process
    if (process === undefined || !this.isUp) return
    if (!this.#points.pass(process.life, 'stop')) return
    this.#isStopping = true
    this.#network.server = undefined
    process.pressure.stop()
    process.http.close()
    // Whoever does not answer is cut, as the listener does.
    process.life.after(CLOSE_MS, () => this.#network.serverDied(process.life, 'reset'))
    try {
      await process.engine.close()
    } catch (error) {
      if (!(error instanceof JournalFailure)) throw error
      this.#failed(process.life, error)
    }
    if (!process.life.isAlive) return
    this.#loop.trace('stopped')
    process.life.end()
    this.#stopped()
    this.#process = undefined
    this.#isStopping = false
    this.#network.serverDied(process.life, 'sent')
  }

  /** A bit on the disk turns over; only while nothing runs. */
  damage(): void {
    if (this.#process === undefined && this.#repair === undefined) this.#repair = this.#disk.damage()
  }

  get isDamaged(): boolean {
    return this.#repair !== undefined
  }

  repair(): void {
    this.#repair?.()
    this.#repair = undefined
  }

  /** What ends a process: it can say nothing more, and a supervisor starts the next one. */
  #failed(life: Life, reason: JournalFailure): void {
    if (!life.isAlive) return
    this.failures.push(reason.code)
    this.#loop.trace(`failed ${reason.code}`)
    const isExpected = reason.code === 'damaged' ? this.isDamaged : reason.code.startsWith('commit-')
    if (!isExpected) this.#loop.bug(reason)
    this.kill()
    if (reason.code === 'damaged') this.repair()
    this.#loop.after(this.#random.int(10, 500), () => this.start())
  }
}
