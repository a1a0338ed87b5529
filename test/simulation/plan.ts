import type { QueueOptionsInput } from '../../src/engine/peer.ts'
import type { Random } from './random.ts'

export const WORK = 'work'
export const NEXT = 'next'
export const ONCE = 'once'
/** Where the released barriers of `work` are announced. */
export const TOLD = 'told'

/** What a run is made of; drawn from its seed. */
export interface Plan {
  readonly queues: readonly { readonly name: string; readonly options: QueueOptionsInput }[]
  readonly work: WorkOptions
  readonly hasOnce: boolean
  readonly announces: boolean
  readonly publishers: number
  readonly consumers: number
  /** Messages that publishers send in all; children come on top. */
  readonly messages: number
  readonly bodyBytes: number
  readonly memoryMax: number
  /** Longest commit while nothing is wrong, in ms. */
  readonly commitMs: number
  /** How long things go wrong, in ms. */
  readonly troubleMs: number
  readonly faults: Readonly<Record<Fault, number>>
  /** Whether the server crashes at named points (points.ts), and how often: 0 never, up to 3. */
  readonly points: number
  readonly hasDeadlines: boolean
  /** Consumers that take one lane only, beside the others. */
  readonly filtered: number
  /** Programs that pull over HTTP. */
  readonly pullers: number
  /** Whether some barriers have several parties. */
  readonly hasParties: boolean
  readonly hasTtl: boolean
  readonly acceptedShare: number
  /** How a consumer deals with a message, by weight. */
  readonly manners: Readonly<Record<Manner, number>>
}

export type Fault =
  | 'disturb'
  | 'kill'
  | 'stop'
  | 'slowDisk'
  | 'failedCommit'
  | 'fullDisk'
  | 'damage'
  | 'clientDies'
  | 'consumerLeaves'
  | 'partition'
  | 'pause'
  | 'purge'
  | 'requeue'
  | 'cancel'
  | 'clockJump'
  | 'spare'

export type Manner = 'ack' | 'durable' | 'publish' | 'nack' | 'release' | 'reject' | 'extend' | 'hang' | 'upTo'

export interface WorkOptions {
  readonly leaseMs: number
  readonly isAcksAny: boolean
  readonly hasDedupe: boolean
  readonly hasGroups: boolean
  readonly hasPriority: boolean
  readonly unackedMax: number
  readonly forwards: boolean
  readonly deliveriesMax: number
  readonly onDead: 'count' | 'hold' | 'fail'
  /** What becomes of the rest of a batch that is ended early. */
  readonly rest: 'carry' | 'dead-letter' | 'drop'
}

/** Whether no batch can end before everything in it is done. */
export function isSteady({ hasDeadlines, faults, work }: Plan): boolean {
  return !hasDeadlines && faults.cancel === 0 && faults.purge === 0 && work.onDead !== 'fail'
}

/** @param scale of the number of messages; 1: 60 to 420 */
export function planOf(random: Random, scale = 1): Plan {
  const some = (share: number, min: number, max: number) => (random.chance(share) ? random.int(min, max) : 0)
  const work: WorkOptions = {
    leaseMs: random.chance(0.4) ? random.pick([3_000, 8_000, 20_000]) : 0,
    isAcksAny: random.chance(0.15),
    hasDedupe: random.chance(0.35),
    hasGroups: random.chance(0.35),
    hasPriority: random.chance(0.3),
    unackedMax: some(0.15, 4, 20),
    forwards: random.chance(0.35),
    deliveriesMax: some(0.4, 2, 5),
    onDead: random.weighted({ count: 6, hold: 2, fail: 1 }),
    rest: random.pick(['carry', 'dead-letter', 'drop']),
  }
  const hasOnce = random.chance(0.3)
  const acceptedShare = random.chance(0.25) ? 0.5 : 0
  const isBusy = random.chance(0.5)
  const plan = {
    work,
    hasOnce,
    queues: queuesOf(random, work, hasOnce, acceptedShare),
    publishers: random.int(1, 3),
    consumers: random.int(1, 4),
    messages: Math.ceil(random.int(isBusy ? 200 : 60, isBusy ? 420 : 200) * scale),
    bodyBytes: random.chance(0.03) ? 30_000 : random.int(0, 300),
    memoryMax: random.chance(0.3) ? 2_000 : 2 ** 24,
    commitMs: random.pick([1, 3, 3, 30, 300]),
    troubleMs: random.int(5_000, 40_000),
    hasDeadlines: random.chance(0.2),
    filtered: some(0.4, 1, 2),
    pullers: some(0.4, 1, 2),
    hasParties: random.chance(0.3),
    hasTtl: random.chance(0.15),
    acceptedShare,
    faults: {
      disturb: some(0.7, 1, 12),
      kill: some(0.7, 1, 4),
      stop: some(0.3, 1, 2),
      slowDisk: some(0.2, 1, 2),
      failedCommit: some(0.2, 1, 2),
      fullDisk: some(0.1, 1, 1),
      damage: some(0.08, 1, 1),
      clientDies: some(0.4, 1, 3),
      consumerLeaves: some(0.4, 1, 4),
      partition: some(0.1, 1, 1),
      pause: some(0.25, 1, 2),
      purge: some(0.08, 1, 1),
      requeue: some(0.3, 1, 3),
      cancel: some(0.1, 1, 2),
      clockJump: some(0.15, 1, 2),
      // Only where a point needs it.
      spare: 0,
    },
    points: some(0.3, 1, 3),
    manners: {
      ack: 40,
      durable: random.int(5, 40),
      publish: some(0.6, 2, 15),
      nack: some(0.6, 1, 12),
      release: some(0.4, 1, 5),
      reject: some(0.3, 1, 4),
      extend: some(0.3, 1, 5),
      hang: some(0.4, 1, 4),
      upTo: some(0.2, 1, 5),
    },
  }
  const announces = random.chance(0.3)
  return { ...plan, announces, queues: announces ? announcing(plan.queues) : plan.queues }
}

/** With these options of the queue `work`. */
export function withOptions(plan: Plan, options: QueueOptionsInput): Plan {
  const queues = plan.queues.map(queue =>
    queue.name === WORK ? { ...queue, options: { ...queue.options, ...options } } : queue,
  )
  return { ...plan, queues }
}

function announcing(queues: Plan['queues']): Plan['queues'] {
  const others = queues.map(({ name, options }) =>
    name === WORK ? { name, options: { ...options, announce: TOLD } } : { name, options },
  )
  return [{ name: TOLD, options: {} }, ...others]
}

function queuesOf(random: Random, work: WorkOptions, hasOnce: boolean, acceptedShare: number): Plan['queues'] {
  const retry = random.weighted({ none: 5, flat: 3, growing: 2 })
  const options: QueueOptionsInput = {
    on_dead: work.onDead,
    deadline_rest: work.rest,
    fairness: random.pick(['proportional', 'round-robin', 'fast']),
    ...(work.leaseMs > 0 && { lease: `${work.leaseMs}ms` }),
    ...(work.isAcksAny && { acks: 'any' }),
    ...(work.hasDedupe && { dedupe_window: '1h' }),
    ...(work.hasGroups && { group: 'property' }),
    ...(work.hasPriority && { priority: 'property' }),
    ...(work.unackedMax > 0 && { unacked_max: work.unackedMax }),
    ...(work.forwards && { forward_barrier: [NEXT] }),
    ...(work.deliveriesMax > 0 && { deliveries_max: work.deliveriesMax }),
    ...(retry === 'flat' && { retry_delay: `${random.pick([100, 1_000, 4_000])}ms` }),
    ...(retry === 'growing' && { retry_delay: { base: '100ms', factor: 2, max: '3s', jitter: true } }),
    // What is refused for a moment only is told apart where publishers do not wait for the disk.
    ...(random.chance(acceptedShare > 0 ? 0.4 : 0.1) && {
      messages_max: random.int(acceptedShare > 0 ? 3 : 20, acceptedShare > 0 ? 40 : 80),
      overflow: random.pick(['refuse', 'dead-letter-oldest']),
    }),
  }
  return [
    { name: `${WORK}.dead`, options: {} },
    { name: `${NEXT}.dead`, options: {} },
    { name: NEXT, options: {} },
    { name: WORK, options },
    ...(hasOnce ? [{ name: ONCE, options: { semantics: 'at-most-once' } as QueueOptionsInput }] : []),
  ]
}
