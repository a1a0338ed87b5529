import { type Client, SluiceError } from '@sluice/client'
import { Life } from './loop.ts'
import { type Fault, WORK } from './plan.ts'
import type { Random } from './random.ts'
import type { Cast } from './run.ts'
import { comeAndGo } from './spare.ts'
import type { Body, World } from './world.ts'

/** How far the wall clock jumps. */
const JUMPS_MS = [-3_600_000, -60_000, 600_000, 7_200_000]
/** Where message ids are remembered for an hour. */
const HOPS_MS = [-600_000, -60_000, 60_000, 600_000]

/** Makes things go wrong, at times, at points and in ways that the seed says. */
export class Nemesis {
  readonly #world: World
  readonly #cast: Cast
  readonly #random: Random
  readonly #life: Life
  #operator: Client | undefined
  #wallMaxMs = 0
  #spares = 0

  constructor(world: World, cast: Cast, random: Random) {
    this.#world = world
    this.#cast = cast
    this.#random = random
    this.#life = new Life(world.loop)
  }

  /** Plans all faults. */
  begin(): void {
    const { plan, loop, points, server } = this.#world
    points.crash = ({ death, downMs }) => {
      server.kill(death)
      loop.after(downMs, () => server.start())
    }
    for (const [fault, count] of Object.entries(plan.faults) as [Fault, number][])
      for (let k = 0; k < count; k += 1)
        loop.after(this.#random.int(200, plan.troubleMs), () => {
          if (this.#world.isCalm) return
          loop.trace(fault)
          this.#strike(fault)
        })
    this.#world.act(this.#life, this.#hireOperator())
  }

  /** From now on nothing goes wrong, and what did is put right. */
  calm(): void {
    const { disk, network, server, plan, loop, points } = this.#world
    points.isOver = true
    disk.slowMs = plan.commitMs
    disk.failures = 0
    disk.freeBytes = 10 ** 12
    network.isPartitioned = false
    server.repair()
    // What was delayed when the wall clock was ahead would wait until it is there again.
    server.wallMs = this.#wallMaxMs
    if (server.startedWallMs !== server.wallMs) server.kill()
    server.start()
    this.#world.act(this.#life, this.#resume())
    // A stop that was under way ends, and the next start follows.
    loop.after(12_000, () => server.start())
  }

  async #hireOperator(): Promise<void> {
    const program = await this.#world.program(this.#life, this.#random)
    this.#operator = program.client
  }

  async #resume(): Promise<void> {
    while (this.#operator === undefined) await this.#world.loop.sleep(100)
    await this.#operator.queue(WORK).resume()
  }

  #strike(fault: Fault): void {
    const { disk, network, server, loop, plan } = this.#world
    const random = this.#random
    switch (fault) {
      case 'disturb':
        network.disturb()
        break
      case 'kill':
        this.#killed(random.int(0, 2_000))
        break
      case 'stop':
        this.#world.act(this.#life, this.#stopped())
        break
      case 'slowDisk':
        disk.slowMs = random.pick([500, 3_000, 12_000])
        loop.after(random.int(1_000, 8_000), () => {
          disk.slowMs = plan.commitMs
        })
        break
      case 'failedCommit':
        disk.failures = random.pick([1, 1, 3])
        break
      case 'fullDisk':
        disk.freeBytes = 10
        loop.after(random.int(1_000, 10_000), () => {
          disk.freeBytes = 10 ** 12
        })
        break
      case 'damage':
        server.kill()
        server.damage()
        loop.after(random.int(10, 1_000), () => server.start())
        break
      case 'clientDies':
        this.#cast.oneDies(random.chance(0.4))
        break
      case 'consumerLeaves':
        this.#cast.oneLeaves()
        break
      case 'clockJump':
        server.wallMs += random.pick(plan.work.hasDedupe ? HOPS_MS : JUMPS_MS)
        this.#wallMaxMs = Math.max(this.#wallMaxMs, server.wallMs)
        // It shows at the next start; mostly that is soon.
        if (random.chance(0.8)) this.#killed(random.int(0, 500))
        break
      case 'spare':
        this.#world.act(this.#life, this.#comeAndGo())
        break
      case 'partition':
        network.isPartitioned = true
        loop.after(random.int(500, 8_000), () => {
          network.isPartitioned = false
        })
        break
      default:
        this.#world.act(this.#life, this.#operate(fault))
    }
  }

  #killed(downMs: number): void {
    const { server, loop } = this.#world
    server.kill()
    loop.after(downMs, () => server.start())
    // Once in a while while it starts.
    if (this.#random.chance(0.2))
      loop.after(downMs + this.#random.int(0, 6), () => this.#world.isCalm || this.#killed(10))
  }

  async #comeAndGo(): Promise<void> {
    if (this.#operator === undefined) return
    this.#spares += 1
    await comeAndGo(this.#operator, `spare${this.#spares}`, { life: this.#life, random: this.#random.fork() })
  }

  async #stopped(): Promise<void> {
    const { server, loop } = this.#world
    await server.stop()
    await loop.sleep(this.#random.int(0, 1_000))
    server.start()
  }

  async #operate(fault: Fault): Promise<void> {
    const queue = this.#operator?.queue<Body>(WORK)
    if (queue === undefined) return
    const world = this.#world
    try {
      if (fault === 'pause') {
        await queue.pause()
        await this.#life.sleep(this.#random.int(200, 6_000))
        await queue.resume()
      } else if (fault === 'purge') {
        const discarded = () => world.record({ type: 'discard', process: 'operator', queue: WORK })
        discarded()
        // It may have waited for a connection; and without an answer it may have been done all the same.
        await queue.purge({ leased: this.#random.chance(0.5) }).finally(discarded)
      } else if (fault === 'requeue') {
        world.hasRequeued = true
        await queue.dead.requeue()
      } else {
        const waiting = (await queue.barriers()).barriers.filter(({ state }) => state === 'waiting')
        if (waiting.length > 0) await queue.batch(this.#random.pick(waiting).name).cancel()
      }
    } catch (error) {
      // Refused, or nobody knows; the run goes on either way.
      if (!(error instanceof SluiceError)) throw error
    }
  }
}
