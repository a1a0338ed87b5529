import type { ServerDeath } from './network.ts'
import { type Plan, withOptions } from './plan.ts'
import { Random } from './random.ts'

/** A moment at one of the server's ports: between engine and journal, journal and table, connection and socket. */
export interface Point {
  readonly name: string
  /** What is so at that moment. */
  readonly what: string
  /** The crash comes at one of the first so many times that the point is passed. */
  readonly timesMax: number
  /** How likely it is drawn, beside the others. */
  readonly weight: number
  /** A plan in which the moment comes about. */
  readonly bring: (plan: Plan) => Plan
}

type PointTerms = Partial<Pick<Point, 'timesMax' | 'bring'>>

/** How likely points are drawn on which barriers rest; others 1. */
const WEIGHTS: Readonly<Record<string, number>> = {
  'append:barrierReleased': 4,
  // What stands behind it may be with a consumer already, and must not be.
  'commit-begun:barrierReleased': 24,
  'committed:barrierReleased': 4,
  'told:barrierReleased': 4,
  'send:barrier': 4,
}

/** How far a fact has come. */
const STAGES = {
  append: 'decided, and nothing of it is on its way to the disk',
  'commit-begun': 'its write is in flight',
  committed: 'on disk, and the engine does not know',
  told: 'the engine knows that it is on disk, and nothing has left',
} as const

/** What comes often: the crash may come late in the run. */
const OFTEN: PointTerms = { timesMax: 60 }

const FACTS: Readonly<Record<string, readonly [what: string, terms?: PointTerms]>> = {
  queueDeclared: ['a queue, or its new options', { timesMax: 4 }],
  queueDeleted: ['the end of a queue', { bring: withFault('spare'), timesMax: 2 }],
  enqueued: ['messages', OFTEN],
  settled: ['acks, and other ends of messages', OFTEN],
  returned: ['messages that come back', { timesMax: 20 }],
  moved: ['a dead letter', { bring: withRejects, timesMax: 5 }],
  requeued: ['a dead letter that goes back', { bring: withRequeues, timesMax: 1 }],
  batchCounted: ['the counts of a batch', OFTEN],
  barrierPublished: ['a barrier', { timesMax: 10 }],
  barrierReleased: ['the release of a barrier', { timesMax: 10 }],
  barrierForgotten: ['the end of a barrier’s record', { bring: withFault('spare'), timesMax: 2 }],
  partyArrived: ['a party of a barrier', { bring: withParties }],
  partiesPlaced: ['the place of a barrier whose parties have come', { bring: withParties }],
  seen: ['a message id', { bring: withFault('spare'), timesMax: 10 }],
  unseen: ['the end of a message id’s window', { bring: withFault('spare'), timesMax: 1 }],
  producerTaken: ['the last number of a publisher', OFTEN],
}

/** Frames of the server, and answers over HTTP. */
const SENT: Readonly<Record<string, PointTerms>> = {
  welcome: { timesMax: 10 },
  confirm: OFTEN,
  refused: { bring: withFault('spare') },
  subscribed: { timesMax: 10 },
  deliver: OFTEN,
  barrier: { timesMax: 10 },
  settled: { timesMax: 20 },
  leaseLost: { bring: withLeases },
  cancelled: { bring: withFault('spare') },
  response: { timesMax: 4 },
  flow: {},
  goodbye: { bring: withFault('stop') },
  answer: { bring: withPulls, timesMax: 10 },
}

/** Frames of clients, and requests over HTTP. */
const RECEIVED: Readonly<Record<string, PointTerms>> = {
  hello: { timesMax: 10 },
  publish: OFTEN,
  publishAtomic: { timesMax: 5 },
  subscribe: { timesMax: 10 },
  unsubscribe: { bring: withFault('consumerLeaves') },
  settle: OFTEN,
  request: { timesMax: 4 },
  pull: { bring: withPulls, timesMax: 10 },
  tokens: { bring: withPulls, timesMax: 5 },
}

const STARTS: PointTerms = { bring: withFault('kill'), timesMax: 4 }
const STOPS: PointTerms = { bring: withFault('stop'), timesMax: 2 }
const SPARE: PointTerms = { bring: withFault('spare') }

export const POINTS: readonly Point[] = [
  ...Object.entries(FACTS).flatMap(([kind, [what, terms]]) =>
    Object.entries(STAGES).map(([stage, how]) => point(`${stage}:${kind}`, `${what}: ${how}`, terms)),
  ),
  point('take-over', 'the write that counts a start and takes the clean mark away is in flight', STARTS),
  point('taken-over', 'that is on disk, and nothing is read yet', STARTS),
  point('restore', 'a part of what is on disk is read', { ...STARTS, timesMax: 10 }),
  point('restored', 'all is read, and nothing is decided', STARTS),
  point('first-commit', 'the first write after a start is in flight', STARTS),
  point('first-committed', 'it is on disk, and nobody was told', STARTS),
  point('stop', 'SIGTERM has come, and nobody is let go yet', STOPS),
  point('stop:decided', 'everybody is let go, and what followed from it is not on disk', STOPS),
  point('stop:last-commit', 'the last write before the clean mark is in flight', STOPS),
  point('stop:clean-mark', 'the write of the clean mark is in flight', STOPS),
  point('stop:clean-marked', 'the clean mark is on disk, and the process has not ended', STOPS),
  point('leftovers', 'the write that removes the last rows of a deleted queue is in flight', SPARE),
  point('leftovers-removed', 'that is on disk, and the journal does not know', SPARE),
  ...Object.entries(SENT).flatMap(([frame, terms]) => [
    point(`send:${frame}`, `a ${frame} is about to be given to its socket`, terms),
    point(`sent:${frame}`, `a ${frame} has left`, terms),
  ]),
  ...Object.entries(RECEIVED).map(([frame, terms]) =>
    point(`received:${frame}`, `a ${frame} is taken, and what followed from it is nowhere but in memory`, terms),
  ),
]

function point(name: string, what: string, terms: PointTerms = {}): Point {
  return { name, what, timesMax: 3, weight: WEIGHTS[name] ?? 1, bring: plan => plan, ...terms }
}

/** A crash that is to come. */
export interface PlannedCrash {
  readonly point: Point
  /** The time that the point is passed, from 1, at which it comes. */
  readonly nth: number
  /** `silent`: the machine lost its power. */
  readonly death: ServerDeath
  /** Of a write in flight, the part of its time after which it comes. */
  readonly share: number
  /** Until the next start, in ms. */
  readonly downMs: number
}

/** Keeps the draws of crashes apart from all others of the same seed. */
const OWN_DRAWS = 0x2c1b3c6d

/** The crashes of a run, from draws of their own: without them the run is what it was. */
export function crashesOf(seed: number, { points }: Plan): readonly PlannedCrash[] {
  if (points === 0) return []
  const random = new Random(seed ^ OWN_DRAWS)
  const weights = Object.fromEntries(POINTS.map(({ name, weight }) => [name, weight]))
  return Array.from({ length: 2 * points + random.int(0, 1) }, () => {
    const name = random.weighted(weights)
    const drawn = POINTS.find(one => one.name === name) as Point
    return {
      point: drawn,
      nth: random.int(1, random.chance(0.5) ? Math.min(2, drawn.timesMax) : drawn.timesMax),
      death: random.pick(['sent', 'reset', 'silent']),
      share: random.next(),
      downMs: random.int(0, 500),
    }
  })
}

/** The plan in which the points of the crashes come about. */
export function withPoints(plan: Plan, crashes: readonly PlannedCrash[]): Plan {
  return crashes.reduce((before, { point: { bring } }) => bring(before), plan)
}

function withFault(fault: keyof Plan['faults']): (plan: Plan) => Plan {
  return plan => ({ ...plan, faults: { ...plan.faults, [fault]: Math.max(2, plan.faults[fault]) } })
}

function withManners(plan: Plan, manners: Partial<Plan['manners']>): Plan {
  return { ...plan, manners: { ...plan.manners, ...manners } }
}

function withRejects(plan: Plan): Plan {
  return withManners(plan, { reject: Math.max(8, plan.manners.reject) })
}

function withRequeues(plan: Plan): Plan {
  return withRejects({ ...plan, faults: { ...plan.faults, requeue: Math.max(8, plan.faults.requeue) } })
}

function withParties(plan: Plan): Plan {
  return { ...plan, hasParties: true }
}

function withPulls(plan: Plan): Plan {
  return { ...plan, pullers: Math.max(1, plan.pullers) }
}

function withLeases(plan: Plan): Plan {
  const leaseMs = plan.work.leaseMs || 3_000
  const hanging = withManners(plan, { hang: Math.max(4, plan.manners.hang) })
  return withOptions({ ...hanging, work: { ...plan.work, leaseMs } }, { lease: `${leaseMs}ms` })
}
