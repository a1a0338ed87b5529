import type { HistoryReport } from '../support/history/history.ts'
import { Consumer } from './consumer.ts'
import { Life, START } from './loop.ts'
import { Nemesis } from './nemesis.ts'
import { NEXT, ONCE, TOLD, WORK } from './plan.ts'
import { publishing, type Quota } from './publisher.ts'
import { Puller } from './puller.ts'
import type { Random } from './random.ts'
import { type Program, type RunOptions, World } from './world.ts'

/** Time in which everything must be drained once nothing goes wrong any more, in ms (INV-23). */
const DRAIN_MS = 300_000
/** Until every client has noticed by the silence that its connection is dead, and has caught up. */
const NOTICE_MS = 20_000
/** How long the world goes on after the last crash, so that what should not come may come. */
const AFTER_MS = 2_000

export interface RunResult {
  readonly seed: number
  /** Stands for everything that happened: the same for the same seed. */
  readonly hash: string
  readonly operations: number
  readonly events: number
  readonly starts: number
  /** Points at which the server crashed, in that order. */
  readonly crashes: readonly string[]
  readonly virtualMs: number
  readonly report: HistoryReport
  /** All that is wrong; none: the run passes. */
  readonly problems: readonly string[]
}

/** Where a program sits, and the next one when that has died. */
interface Seat {
  program: Program | undefined
  readonly consumers: Consumer[]
  isDone: boolean
  /** It has no program: it pulls over HTTP. */
  readonly pulls: boolean
  life: Life
  begin(): void
}

/** The programs of a world: each seat is taken again when its program dies. */
export class Cast {
  readonly #world: World
  readonly #random: Random
  readonly #quota: Quota
  readonly #seats: Seat[] = []

  constructor(world: World, random: Random) {
    this.#world = world
    this.#random = random
    this.#quota = { left: world.plan.messages, gathering: undefined, incomplete: new Set() }
  }

  begin(): void {
    const { plan } = this.#world
    for (let k = 0; k < plan.publishers; k += 1) this.#seat((program, random) => this.#publish(program, random))
    const queues: (readonly string[])[] = Array.from({ length: plan.consumers }, () => [WORK])
    queues.push([NEXT, `${WORK}.dead`, `${NEXT}.dead`])
    if (plan.hasOnce) queues.push([ONCE])
    if (plan.announces) queues.push([TOLD])
    if (this.#random.chance(0.5)) queues.push([WORK, NEXT])
    for (const names of queues) this.#seatConsumer(names, undefined)
    for (let k = 0; k < plan.filtered; k += 1) this.#seatConsumer([WORK], this.#random.int(0, 2))
    for (let k = 0; k < plan.pullers; k += 1) this.#seatPuller()
  }

  #seatConsumer(names: readonly string[], lane: number | undefined): void {
    this.#later(() =>
      this.#seat((program, random, consumers) => {
        for (const queue of names) this.#consume(program, queue, random.fork(), consumers, lane)
        return Promise.resolve()
      }),
    )
  }

  #seatPuller(): void {
    const lane = this.#random.chance(0.4) ? this.#random.int(0, 2) : undefined
    this.#later(() => {
      const random = this.#random.fork()
      const seat: Seat = {
        program: undefined,
        consumers: [],
        isDone: true,
        pulls: true,
        life: new Life(this.#world.loop),
        begin: () => this.#world.act(seat.life, new Puller(this.#world, seat.life, random.fork(), lane).run()),
      }
      this.#seats.push(seat)
      seat.begin()
    })
  }

  /** At the beginning, or some time later. */
  #later(task: () => void): void {
    const { loop, plan } = this.#world
    loop.after(this.#random.chance(0.6) ? 0 : this.#random.int(0, plan.troubleMs / 2), task)
  }

  get isDonePublishing(): boolean {
    return this.#quota.left <= 0 && this.#seats.every(seat => seat.isDone)
  }

  #seat(play: (program: Program, random: Random, consumers: Consumer[]) => Promise<void>): void {
    const random = this.#random.fork()
    const take = async (): Promise<void> => {
      const { life } = seat
      const program = await this.#world.program(life, random)
      seat.program = program
      seat.isDone = false
      await play(program, random, seat.consumers)
      if (seat.life === life) seat.isDone = true
    }
    const seat: Seat = {
      program: undefined,
      consumers: [],
      isDone: false,
      pulls: false,
      life: new Life(this.#world.loop),
      begin: () => this.#world.act(seat.life, take()),
    }
    this.#seats.push(seat)
    seat.begin()
  }

  async #publish(program: Program, random: Random): Promise<void> {
    await publishing(this.#world, program, random, this.#quota)
  }

  #consume(program: Program, queue: string, random: Random, consumers: Consumer[], lane: number | undefined): void {
    const consumer = new Consumer(this.#world, program, queue, random, lane)
    consumers.push(consumer)
    const run = async () => {
      await consumer.run()
      // It left: another takes its place, on the same connection.
      consumers.splice(consumers.indexOf(consumer), 1)
      await program.life.sleep(this.#world.isCalm ? 0 : random.int(0, 2_000))
      this.#consume(program, queue, random, consumers, lane)
    }
    this.#world.act(program.life, run())
  }

  oneDies(isSilent: boolean): void {
    const { loop, invariants } = this.#world
    const seats = this.#seats.filter(({ program, pulls, life }) => (program !== undefined || pulls) && life.isAlive)
    if (seats.length === 0) return
    const seat = this.#random.pick(seats)
    for (const { name } of seat.program?.subscribers ?? []) invariants.gone(name)
    this.#world.die(seat, isSilent)
    seat.program = undefined
    seat.consumers.length = 0
    loop.after(this.#random.int(0, 3_000), () => {
      seat.life = new Life(loop)
      seat.begin()
    })
  }

  oneLeaves(): void {
    const consumers = this.#seats.flatMap(seat => (seat.life.isAlive ? seat.consumers : []))
    if (consumers.length > 0) void this.#random.pick(consumers).leave()
  }
}

/** One whole run of the world that the seed draws. */
export async function simulate(seed: number, options?: RunOptions): Promise<RunResult> {
  const world = new World(seed, options)
  const { loop, server, plan, invariants } = world
  const problems: string[] = []
  const cast = new Cast(world, world.random.fork())
  const nemesis = new Nemesis(world, cast, world.random.fork())
  server.start()
  cast.begin()
  nemesis.begin()
  const look = () => {
    invariants.seen(server.views())
    if (!world.isCalm) loop.after(150, look)
  }
  look()
  await loop.run(() => cast.isDonePublishing && loop.now - START >= plan.troubleMs, plan.troubleMs)
  world.isCalm = true
  nemesis.calm()
  const isIdle = () => cast.isDonePublishing && server.isUp && whatIsLeft(world).length === 0
  // Looked at now and then, for looking costs more than what happens in between.
  let lookedAt = 0
  const isDrained = await loop.run(() => {
    if (loop.now < lookedAt + 20) return false
    lookedAt = loop.now
    return isIdle()
  }, DRAIN_MS)
  if (!isDrained && loop.bugs.length === 0)
    problems.push(
      `not drained ${DRAIN_MS / 1_000} s after the last fault: ${whatIsLeft(world).join('; ') || 'a publish has no answer'}`,
    )
  if (isDrained) await afterwards(world, problems)
  const report = world.checker.finish()
  invariants.finish(barriersOf(world))
  problems.push(...loop.bugs, ...invariants.wrong)
  for (const { kind, queue, id, t, detail } of report.violations)
    problems.push(`${kind} ${queue} ${id} at ${t}: ${detail}`)
  if (report.verdict === 'empty') problems.push('nothing was confirmed, or nothing delivered')
  return {
    seed,
    hash: loop.hash,
    operations: world.operations,
    events: loop.events,
    starts: server.starts,
    crashes: world.points.carriedOut,
    virtualMs: loop.now - START,
    report,
    problems,
  }
}

/** What is not done, by queue. */
function whatIsLeft({ server }: World): string[] {
  if (!server.isUp) return ['the server is down']
  return server
    .views()
    .filter(view => (view.ready ?? 0) + (view.leased ?? 0) + (view.delayed ?? 0) + (view.barriersWaiting ?? 0) > 0)
    .map(
      view =>
        `${view.name}: ${view.ready} ready, ${view.leased} leased, ${view.delayed} delayed, ${view.barriersWaiting} barriers wait`,
    )
}

/** What only the server knows: how the barriers ended of which nobody was told. */
function noteRecords({ server, plan, endedEarly, dropped, invariants }: World): void {
  for (const queue of server.engine?.broker.queues() ?? [])
    for (const { record } of queue.barriers.records()) {
      const { name, outcome } = record
      if (plan.announces && queue.name === WORK && name !== undefined) invariants.released(name, outcome)
      const isEarly = outcome === 'expired' || outcome === 'cancelled' || outcome === 'failed'
      if (isEarly && name !== undefined) endedEarly.add(`${queue.name} ${name}`)
      if (name !== undefined && plan.work.rest === 'drop' && record.stats.dropped > 0)
        dropped.set(`${queue.name} ${name}`, record.stats.dropped)
    }
}

/** Everything is done and on disk, so a crash changes nothing. */
async function afterwards(world: World, problems: string[]): Promise<void> {
  const { loop, server, disk } = world
  await loop.run(() => false, NOTICE_MS)
  noteRecords(world)
  server.kill()
  server.start()
  await loop.run(() => server.isUp, AFTER_MS)
  const left = whatIsLeft(world)
  if (left.length > 0) problems.push(`R1: what was done is there again after a crash: ${left.join('; ')}`)
  await loop.run(() => false, AFTER_MS)
  if (disk.orphans.length > 0) problems.push(`rows are left of deleted queues: ${disk.orphans.join(', ')}`)
}

function barriersOf({ checker }: World): { queue: string; name: string; publishedAt: number }[] {
  return [...checker.queues.values()].flatMap(({ name: queue, barriers }) =>
    [...barriers.values()].flatMap(({ id, invokedAt, confirmedAt, deliveredAt }) =>
      invokedAt === undefined || (confirmedAt === undefined && deliveredAt === undefined)
        ? []
        : [{ queue, name: id, publishedAt: invokedAt }],
    ),
  )
}
