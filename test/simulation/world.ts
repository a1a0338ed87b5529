import { type Client, connect, type Subscription } from '@sluice/client'
import { decodeFrames } from '@sluice/protocol'
import { type Happening, HistoryChecker, type HistoryEvent, HistoryRecorder } from '../support/history/history.ts'
import { SimulatedDisk } from './disk.ts'
import { FaultPoints } from './fault-points.ts'
import { Invariants } from './invariants.ts'
import { filterOf, laneOf } from './lanes.ts'
import { type Life, Loop, START } from './loop.ts'
import { Network } from './network.ts'
import { NEXT, ONCE, type Plan, planOf, TOLD, WORK } from './plan.ts'
import { crashesOf, withPoints } from './points.ts'
import { Random } from './random.ts'
import { SimulatedServer } from './server.ts'

const HEARTBEAT_MS = 5_000

/** A message's body: what it says can be checked by itself. */
export interface Body {
  readonly id: string
  /** The id backwards. */
  readonly echo: string
  /** Children that it may still have below it. */
  readonly depth: number
  readonly pad: string
  /** What filters look at. */
  readonly lane: number
}

interface Subscriber {
  readonly name: string
  readonly queue: string
  readonly subscription: Subscription<Body>
  /** Absent: it takes all. */
  readonly lane: number | undefined
}

/** What is said of a barrier where it is announced, as far as it is looked at. */
export interface Announcement {
  readonly queue: string
  readonly name: string
  readonly sequence: number
  readonly outcome: string
}

/** How a history calls the message that announces a barrier. */
export function announcementId(barrier: string): string {
  return `of ${barrier}`
}

/** A program that uses the SDK: dies, and is started again as another. */
export interface Program {
  readonly name: string
  readonly life: Life
  readonly client: Client
  /** Names of its subscriptions, in the order in which they were made. */
  readonly subscribers: Subscriber[]
}

export interface RunOptions {
  /** Is told every event, for a file. */
  readonly listen?: (event: HistoryEvent) => void
  /** Of the number of messages; default 1. */
  readonly scale?: number
}

/** Everything of one run. */
export class World {
  readonly seed: number
  readonly plan: Plan
  readonly points: FaultPoints
  readonly loop: Loop = new Loop()
  readonly random: Random
  readonly network: Network
  readonly disk: SimulatedDisk
  readonly server: SimulatedServer
  readonly checker: HistoryChecker
  readonly recorder: HistoryRecorder
  readonly invariants: Invariants
  /** Nothing goes wrong any more, and everybody does what is right. */
  isCalm = false
  /** Dead letters were sent back: they may be in another batch from then on. */
  hasRequeued = false
  /** Acts of clients: publishes, settles, barriers. */
  operations = 0
  #ids = 0
  #names = 0
  /** Barriers that did not wait for all before them, as the server has them on record: `queue name`. */
  readonly endedEarly: Set<string> = new Set()
  /** Barriers with what was dropped of their batch, as the server has them on record: `queue name`. */
  readonly dropped: Map<string, number> = new Map()
  readonly #programs = new Map<Life, Program>()
  readonly #pullers = new Map<Life, string>()
  /** Also those that have died: what they had is theirs until its time is over. */
  readonly #everPulled: string[] = []

  constructor(seed: number, { listen = () => {}, scale = 1 }: RunOptions = {}) {
    this.seed = seed
    this.random = new Random(seed)
    const drawn = planOf(this.random.fork(), scale)
    const crashes = crashesOf(seed, drawn)
    this.plan = withPoints(drawn, crashes)
    this.points = new FaultPoints(this.loop, crashes)
    const { plan, loop, points } = this
    this.checker = new HistoryChecker({
      routes: routesOf(plan),
      inFlightMs: plan.work.isAcksAny ? 60_000 : 100,
      atomicBatches: true,
      endedEarly: this.endedEarly,
      dropped: this.dropped,
      sessionsAreTold: true,
      halfOpenMs: 3 * HEARTBEAT_MS,
      // A lease begins when the server decides, and the way to the client may take all of it.
      ...(plan.work.leaseMs > 0 && { leaseMs: { [WORK]: 0 } }),
      ...(plan.hasOnce && { atMostOnce: new Set([ONCE]) }),
      ...(plan.work.isAcksAny && { acksAny: new Set([WORK]) }),
    })
    this.invariants = new Invariants(plan)
    this.recorder = new HistoryRecorder(
      event => {
        listen(event)
        loop.trace(`${event.type} ${event.process} ${event.queue} ${event.id} ${event.seq}`)
        this.checker.take(event)
        this.invariants.take(event)
      },
      () => loop.now - START,
    )
    this.network = new Network({ loop, random: this.random.fork(), points }, plan.bodyBytes > 1_000 ? 50 : 1, {
      ended: client => this.#disconnected(client),
      tapped: (client, bytes) => this.#tapped(client, bytes),
    })
    this.disk = new SimulatedDisk(loop, this.random.fork())
    this.disk.slowMs = plan.commitMs
    this.server = new SimulatedServer({
      loop,
      random: this.random.fork(),
      disk: this.disk,
      points,
      network: this.network,
      recorder: this.recorder,
      settings: { memoryMax: plan.memoryMax, heartbeatMs: HEARTBEAT_MS, queues: plan.queues },
      stopped: () => this.#stopped(),
    })
  }

  record(happening: Happening): void {
    if (happening.type.endsWith('invoke') || happening.type === 'nack' || happening.type.endsWith('deliver'))
      this.operations += 1
    this.recorder.record(happening)
    const { type, queue, phase, id } = happening
    if (type === 'barrier-publish' && phase === 'invoke' && queue === WORK && this.plan.announces)
      this.#mayAnnounce(announcementId(`${id}`))
  }

  /** From now on the server may publish it (B20); whether it had to is known at the end. */
  #mayAnnounce(id: string): void {
    if (this.checker.queues.get(TOLD)?.messages.has(id)) return
    this.recorder.record({ type: 'publish-invoke', process: 'server', queue: TOLD, id })
  }

  /** A name of its own for a message (m) or a barrier (b). */
  id(kind: 'm' | 'b' | 'c' | 'a'): string {
    this.#ids += 1
    return `${kind}${this.#ids}`
  }

  body(id: string, depth = 0): Body {
    return { id, echo: [...id].reverse().join(''), depth, pad: 'x'.repeat(this.plan.bodyBytes), lane: laneOf(id) }
  }

  /** Whatever an actor does; what it does not expect is a bug. */
  act(life: Life, actor: Promise<unknown>): void {
    actor.catch((error: unknown) => {
      if (life.isAlive) this.loop.bug(error)
    })
  }

  // ── programs ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** Connects, however long it takes. Never resolves for a life that ends before. */
  async program(life: Life, random: Random, prefetch = 100): Promise<Program> {
    this.#names += 1
    const name = `p${this.#names}`
    const producer = Array.from({ length: 32 }, () => random.int(0, 15).toString(16)).join('')
    for (;;) {
      const program: { -readonly [K in keyof Program]: Program[K] } = {
        name,
        life,
        client: undefined as unknown as Client,
        subscribers: [],
      }
      this.#programs.set(life, program)
      try {
        program.client = await connect('ws://simulated', {
          name,
          producer,
          prefetch,
          heartbeatMs: HEARTBEAT_MS,
          backoff: { maxMs: 2_000 },
          socket: this.network.factory(life),
          timers: life.timers,
          random: random.next,
        })
        program.client.addEventListener('status', ({ detail }) => {
          if (detail.status === 'closed' && detail.error !== undefined && life.isAlive) this.loop.bug(detail.error)
        })
        return program
      } catch {
        // Nobody was there; the first connection is not tried again by the SDK.
        await life.sleep(random.int(50, 500))
      }
    }
  }

  /** A name for one that pulls. */
  puller(life: Life): string {
    this.#names += 1
    const name = `h${this.#names}`
    this.#pullers.set(life, name)
    this.#everPulled.push(name)
    return name
  }

  /** The program ends without a word. */
  die({ life }: { readonly life: Life }, isSilent: boolean): void {
    if (!life.isAlive) return
    this.loop.trace('client dies')
    this.#disconnected(life)
    const puller = this.#pullers.get(life)
    if (puller !== undefined) this.invariants.gone(puller)
    life.end()
    this.network.clientDied(life, isSilent)
    this.#programs.delete(life)
    this.#pullers.delete(life)
  }

  #disconnected(life: Life): void {
    if (!life.isAlive) return
    const program = this.#programs.get(life)
    if (program !== undefined) this.record({ type: 'disconnect', process: program.name })
    const puller = this.#pullers.get(life)
    if (puller === undefined) return
    // What it has read stays its own; what was on its way to it comes again.
    this.#names += 1
    this.record({ type: 'unsubscribe', process: puller, queue: WORK, subscriber: `${puller} answer ${this.#names}` })
  }

  /** A clean stop gives back what is out, also what belongs to time. */
  #stopped(): void {
    for (const puller of this.#everPulled) this.record({ type: 'disconnect', process: puller })
  }

  /** When the run began, as histories count. */
  get startedAt(): number {
    return START
  }

  /** Notes when the server has answered a subscribe; the SDK does not tell. */
  #tapped(life: Life, bytes: Uint8Array): void {
    const program = this.#programs.get(life)
    if (program === undefined || program.subscribers.length === 0) return
    for (const { name, fields } of decodeFrames(bytes, 'server')) {
      if (name !== 'subscribed') continue
      const one = program.subscribers[fields.subscription - 1]
      if (one === undefined) continue
      this.record({
        type: 'subscribe',
        process: program.name,
        queue: one.queue,
        subscriber: one.name,
        ...(one.lane !== undefined && { filter: filterOf(one.lane) }),
      })
      this.invariants.subscribed(one.name, one.queue, this.loop.now - START, one.lane)
    }
  }
}

function routesOf({ work }: Plan): { from: string; to: string }[] {
  const dead = [WORK, NEXT].flatMap(name => [
    { from: name, to: `${name}.dead` },
    { from: `${name}.dead`, to: name },
  ])
  return work.forwards ? [...dead, { from: WORK, to: NEXT }] : dead
}
