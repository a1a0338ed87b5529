import fc from 'fast-check'
import { withDefaults } from '../../../src/core/declaring.ts'
import type { BatchRest } from '../../../src/core/facts.ts'
import type { QueueOptions } from '../../../src/core/options.ts'
import type { Drive } from './drive.ts'
import { defined, type How, must, type Piece, type Range, type Step } from './words.ts'

/**
 * A random command. It names queues, subscriptions and deliveries by a number that is taken modulo how many there are,
 * so that any list of commands makes sense, and a shortened one too.
 */
export type Command =
  | {
      readonly kind: 'publish'
      readonly queue: number
      readonly pieces: readonly RawPiece[]
      readonly accepted: boolean
    }
  | {
      readonly kind: 'numbered'
      readonly queue: number
      readonly producer: number
      readonly pieces: readonly RawPiece[]
      /** Sends this many of the last ones again, in front; -1 leaves a gap. */
      readonly again: number
    }
  | ({ readonly kind: 'subscribe'; readonly queue: number; readonly away?: number | undefined } & RawTerms)
  | { readonly kind: 'leave'; readonly subscription: number; readonly gone: boolean }
  | {
      readonly kind: 'change'
      readonly subscription: number
      readonly prefetch?: number | undefined
      readonly filter?: number | null | undefined
      readonly stalled?: boolean | undefined
    }
  | {
      readonly kind: 'settle'
      readonly how: How
      readonly claims: readonly RawClaim[]
      readonly carried: readonly { readonly queue: number; readonly pieces: readonly RawPiece[] }[]
    }
  | { readonly kind: 'tick'; readonly ms: number }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'requeue'; readonly queue: number; readonly at: number; readonly count: number }
  | { readonly kind: 'pause'; readonly queue: number; readonly paused: boolean }
  | { readonly kind: 'update'; readonly queue: number; readonly options: QueueOptions }
  | {
      readonly kind: 'cancel'
      readonly queue: number
      readonly barrier: number
      readonly rest?: BatchRest | undefined
    }
  | { readonly kind: 'extend'; readonly queue: number; readonly barrier: number; readonly ms: number }
  | { readonly kind: 'purge'; readonly queue: number; readonly leased: boolean; readonly before: number }
  | { readonly kind: 'hold' }
  | { readonly kind: 'stop' }
  | { readonly kind: 'commit'; readonly part: number }
  | { readonly kind: 'crash'; readonly part: number }
  | { readonly kind: 'delete'; readonly queue: number }
  | { readonly kind: 'declare'; readonly queue: number }

type RawPiece =
  | { readonly kind: 'messages'; readonly runs: readonly RawRun[]; readonly id?: number | undefined }
  | {
      readonly kind: 'barrier'
      readonly name?: number | undefined
      readonly color: number
      readonly party?: number | undefined
      readonly parties: number
      readonly deadlineMs?: number | undefined
      readonly rest?: BatchRest | undefined
    }
  | { readonly kind: 'refused'; readonly count: number }

interface RawRun {
  readonly count: number
  readonly priority?: number | undefined
  readonly group?: string | undefined
  readonly delayMs?: number | undefined
  readonly ttlMs?: number | undefined
}

interface RawTerms {
  readonly prefetch: number
  readonly filter?: number | undefined
  readonly concurrency: number
  readonly leaseMs?: number | undefined
}

interface RawClaim {
  readonly subscription: number
  /** `held`: one that it holds; `any`: any number from 0 on, so also what was settled, lost or never given. */
  readonly pick: 'held' | 'any'
  readonly at: number
  readonly count: number
}

/** What differs from run to run. */
export interface Setting {
  readonly orders: QueueOptions
  readonly other: QueueOptions
}

const QUEUES = ['orders', 'other', 'orders.dead', 'morgue']

// ── arbitraries ──────────────────────────────────────────────────────────────────────────────────────────────────

const small = fc.nat({ max: 11 })
const oneOf = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values)

const options = fc
  .record({
    semantics: oneOf(undefined, undefined, undefined, undefined, 'at-most-once'),
    leaseMs: oneOf(undefined, undefined, 1_000, 5_000),
    deliveriesMax: oneOf(undefined, undefined, 1, 2, 3),
    retryDelay: oneOf(
      undefined,
      { baseMs: 1_000, factor: 1, maxMs: 1_000, jitter: false },
      { baseMs: 500, factor: 2, maxMs: 3_000, jitter: false },
    ),
    fairness: oneOf('proportional', 'round-robin', 'fast'),
    unackedMax: oneOf(undefined, undefined, 1, 3),
    barriersMax: oneOf(undefined, 1, 3),
    barrierRecords: oneOf(undefined, 1, 2),
    expirationMs: oneOf(undefined, undefined, undefined, 2_000, 10_000),
    deadLetter: oneOf(undefined, undefined, 'drop', 'morgue'),
    deadlineRest: oneOf(undefined, undefined, 'dead-letter', 'drop'),
    acks: oneOf(undefined, 'any'),
    dedupeWindowMs: oneOf(undefined, 1_000, 10_000),
    dedupeMax: oneOf(undefined, 2),
    onDead: oneOf(undefined, undefined, undefined, 'hold', 'fail'),
  })
  .map(given => {
    if (given.semantics !== 'at-most-once') return given
    return { ...given, leaseMs: undefined, deliveriesMax: undefined, retryDelay: undefined }
  })
  .map(given => (given.deadLetter === 'drop' && given.onDead === 'hold' ? { ...given, onDead: undefined } : given))
  .map(given => withDefaults(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))))

const forwarding = fc
  .tuple(options, oneOf([], [], ['other']))
  .map(([given, forwardBarrier]): QueueOptions => ({ ...given, forwardBarrier }))

/** Where barriers are forwarded to, no dead letter ends a batch: at a tick it is free which queue comes first. */
export const setting: fc.Arbitrary<Setting> = fc
  .record({ orders: forwarding, other: options })
  .map(({ orders, other }) => {
    const isTarget = orders.forwardBarrier.length > 0 && other.onDead === 'fail'
    return { orders, other: isTarget ? { ...other, onDead: 'count' } : other }
  })

const run: fc.Arbitrary<RawRun> = fc.record({
  count: fc.integer({ min: 1, max: 5 }),
  priority: oneOf(undefined, undefined, undefined, 1, -1),
  group: oneOf(undefined, undefined, undefined, 'g', 'h'),
  delayMs: oneOf(undefined, undefined, undefined, undefined, 1, 2_000),
  ttlMs: oneOf(undefined, undefined, undefined, undefined, 1_000, 4_000),
})

const messages = fc.record({
  kind: fc.constant('messages' as const),
  runs: fc.array(run, { minLength: 1, maxLength: 2, size: 'max' }),
  id: oneOf(undefined, undefined, 0, 1, 2, 3),
})
const barrier = fc.record({
  kind: fc.constant('barrier' as const),
  name: oneOf(undefined, 0, 1, 2, 3),
  color: fc.nat({ max: 2 }),
  party: oneOf(undefined, undefined, 0, 1, 2),
  parties: oneOf(2, 2, 2, 3, 1),
  deadlineMs: oneOf(undefined, undefined, undefined, 1_000, 5_000),
  rest: oneOf<BatchRest | undefined>(undefined, undefined, 'carry', 'dead-letter', 'drop'),
})
const refused = fc.record({ kind: fc.constant('refused' as const), count: fc.integer({ min: 1, max: 2 }) })
const piece = (barriers: number): fc.Arbitrary<RawPiece> =>
  fc.oneof(
    { arbitrary: messages, weight: 10 },
    { arbitrary: barrier, weight: barriers },
    { arbitrary: refused, weight: 1 },
  )
const pieces = (barriers: number) => fc.array(piece(barriers), { minLength: 1, maxLength: 2, size: 'max' })

const filter = oneOf(undefined, undefined, 1, 2, 3, 5, 6, 7)
const target = oneOf(0, 0, 0, 0, 0, 0, 1, 1, 2, 3)
const claim: fc.Arbitrary<RawClaim> = fc.record({
  subscription: small,
  pick: oneOf('held', 'held', 'held', 'any'),
  at: small,
  count: oneOf(1, 1, 1, 2, 5),
})

const settle = (how: fc.Arbitrary<How>, carried: fc.Arbitrary<Extract<Command, { kind: 'settle' }>['carried']>) =>
  fc.record({
    kind: fc.constant('settle' as const),
    how,
    claims: oneOf(1, 1, 1, 2).chain(count => fc.array(claim, { minLength: count, maxLength: count, size: 'max' })),
    carried,
  })
const nothing = fc.constant([])
const ms = oneOf(0, 1, 100, 500, 1_000, 1_000, 2_000, 5_000, 30_000, -300)

export const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 22,
    arbitrary: fc.record({
      kind: fc.constant('publish' as const),
      queue: target,
      pieces: pieces(4),
      accepted: oneOf(false, false, false, false, false, true),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('numbered' as const),
      queue: target,
      producer: fc.nat({ max: 1 }),
      pieces: pieces(2),
      again: oneOf(0, 0, 1, 3, 100, -1),
    }),
  },
  {
    weight: 9,
    arbitrary: fc.record({
      kind: fc.constant('subscribe' as const),
      queue: target,
      prefetch: fc.nat({ max: 4 }),
      filter,
      concurrency: oneOf(1, 1, 2, 0),
      leaseMs: oneOf(undefined, undefined, 700, 3_000),
      away: oneOf(undefined, undefined, 0, 1, 3),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('leave' as const), subscription: small, gone: fc.boolean() }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('change' as const),
      subscription: small,
      prefetch: oneOf(undefined, 0, 1, 4),
      filter: oneOf(undefined, undefined, null, 1, 2, 6),
      stalled: oneOf(undefined, undefined, false, true),
    }),
  },
  { weight: 20, arbitrary: settle(fc.constant({ kind: 'ack' }), nothing) },
  {
    weight: 16,
    arbitrary: settle(
      oneOf<How>(
        { kind: 'nack' },
        { kind: 'nack' },
        { kind: 'nack', delayMs: 0 },
        { kind: 'nack', delayMs: 1_500 },
        { kind: 'release' },
        { kind: 'release' },
        { kind: 'reject' },
        { kind: 'reject' },
        { kind: 'extend', leaseMs: 1 },
        { kind: 'extend', leaseMs: 4_000 },
      ),
      nothing,
    ),
  },
  {
    weight: 8,
    arbitrary: settle(
      fc.constant({ kind: 'ack' }),
      fc.array(fc.record({ queue: target, pieces: pieces(3) }), { minLength: 1, maxLength: 2, size: 'max' }),
    ),
  },
  {
    weight: 11,
    arbitrary: fc.record({
      kind: fc.constant('tick' as const),
      ms: fc.oneof({ weight: 40, arbitrary: ms }, { weight: 1, arbitrary: fc.constant(50_000_000) }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('pause' as const),
      queue: fc.nat({ max: 1 }),
      paused: oneOf(false, false, true),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('requeue' as const),
      queue: oneOf(0, 1, 2, 2, 2, 3, 3),
      at: small,
      count: oneOf(1, 2, 5),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('update' as const), queue: fc.nat({ max: 1 }), options }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('cancel' as const),
      queue: target,
      barrier: small,
      rest: oneOf<BatchRest | undefined>(undefined, 'carry', 'carry', 'dead-letter', 'drop'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('extend' as const), queue: target, barrier: small, ms }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('purge' as const),
      queue: target,
      leased: fc.boolean(),
      before: oneOf(0, 0, 2),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('hold' as const) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('commit' as const), part: fc.nat({ max: 4 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('crash' as const), part: fc.nat({ max: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('stop' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete' as const), queue: fc.nat({ max: 3 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('declare' as const), queue: fc.nat({ max: 3 }) }) },
)

// ── from a command to a step ─────────────────────────────────────────────────────────────────────────────────────

/** Plays commands on a drive; producers behave as the protocol wants it, everybody else as they like. */
export class Play {
  readonly drive: Drive
  readonly #setting: Setting
  /** How far each producer has its answers. */
  readonly #answered = new Map<string, number>()

  constructor(drive: Drive, setting: Setting) {
    this.drive = drive
    this.#setting = setting
    this.#declare('other')
    this.#declare('orders')
  }

  #declare(queue: string): void {
    const { orders, other } = this.#setting
    this.drive.do({
      kind: 'declare',
      queue,
      options: queue === 'orders' ? orders : queue === 'other' ? other : withDefaults({}),
    })
  }

  play(command: Command): void {
    const { drive } = this
    switch (command.kind) {
      case 'tick':
      case 'wait':
        drive.now += command.ms
        if (command.kind === 'tick') drive.do({ kind: 'tick' })
        return
      case 'hold':
        drive.holdDisk()
        return
      case 'commit':
        drive.commit(this.#upTo(command.part))
        return
      case 'crash':
        drive.crash(this.#upTo(command.part))
        return
      case 'stop':
        drive.stopCleanly()
        return
      case 'declare': {
        const name = QUEUES[command.queue] ?? 'orders'
        if (!drive.model.queues.has(name)) this.#declare(name)
        return
      }
      default: {
        const step = this.#step(command)
        if (step !== undefined) drive.do(step)
      }
    }
  }

  /** INV-23: whatever was, consumers that ack everything empty every queue and open every barrier, also after a crash. */
  finish(): void {
    const { drive } = this
    drive.crash(drive.turn)
    const consumers = new Map<string, number>()
    const isDone = () =>
      [...drive.model.queues.values()].every(({ live, waiting }) => live.length + waiting.length === 0)
    for (let rounds = 0; !isDone(); rounds += 1) {
      must(rounds < 10_000, 'INV-23 barrier-live', () => 'it does not come to its end')
      // Also of those that come into being meanwhile.
      for (const queue of [...drive.model.queues.keys()].filter(name => !consumers.has(name))) {
        const subscription = drive.nextSubscription
        drive.nextSubscription += 1
        consumers.set(queue, subscription)
        drive.do({ kind: 'pause', queue, isPaused: false })
        drive.do({ kind: 'subscribe', queue, subscription, prefetch: 4, concurrency: 1 })
      }
      const held = [...consumers].filter(([queue, subscription]) => this.#ackAll(queue, subscription))
      if (held.length > 0 || isDone()) continue
      must(drive.broker.nextDeadline < Number.POSITIVE_INFINITY, 'INV-14 no-idle', () => 'it waits for nothing')
      drive.now = Math.max(drive.now, drive.broker.nextDeadline)
      drive.do({ kind: 'tick' })
    }
  }

  /** False when it holds nothing. */
  #ackAll(queue: string, subscription: number): boolean {
    const { drive } = this
    const ranges = this.#out(subscription).map(({ delivery }) => ({ first: delivery, count: 1 }))
    if (ranges.length === 0) return false
    drive.do({ kind: 'settle', queue, claims: [{ subscription, ranges }], how: { kind: 'ack' }, carried: [] })
    return true
  }

  /** Of the turns that are not on disk, some: 0 none, 4 all. */
  #upTo(part: number): number {
    const { committed, turn } = this.drive
    return committed + Math.round(((turn - committed) * part) / 4)
  }

  #step(
    command: Exclude<Command, { kind: 'tick' | 'wait' | 'hold' | 'stop' | 'commit' | 'crash' | 'declare' }>,
  ): Step | undefined {
    const { model } = this.drive
    switch (command.kind) {
      case 'requeue':
      case 'pause':
      case 'update':
      case 'cancel':
      case 'extend':
      case 'purge':
        return this.#operate(command)
      case 'delete':
      case 'publish':
      case 'numbered':
      case 'subscribe': {
        const queue = this.#queue(command.queue)
        if (queue === undefined) return undefined
        if (command.kind === 'delete') return { kind: 'delete', queue }
        if (command.kind === 'publish')
          return { kind: 'publish', queue, pieces: this.#pieces(queue, command.pieces), isAccepted: command.accepted }
        if (command.kind === 'numbered') return this.#numbered(queue, command)
        const { prefetch, filter, concurrency, leaseMs, away } = command
        const subscription = this.drive.nextSubscription
        this.drive.nextSubscription += 1
        const afterBatch = Math.max(0, model.queue(queue).released + 1 - (away ?? 0))
        const terms = defined({ prefetch, concurrency, filter, leaseMs })
        const wish = { kind: 'subscribe' as const, queue, subscription, ...terms }
        return away === undefined ? wish : { ...wish, afterBatch }
      }
      case 'leave':
      case 'change': {
        const subscription = this.#subscription(command.subscription)
        if (subscription === undefined) return undefined
        if (command.kind === 'leave') return { kind: 'unsubscribe', subscription, isGone: command.gone }
        const { prefetch, filter, stalled: isStalled } = command
        return defined({ kind: 'change' as const, subscription, prefetch, filter, isStalled })
      }
      case 'settle':
        return this.#settle(command)
    }
  }

  /** What operators do. */
  #operate(
    command: Extract<Command, { kind: 'requeue' | 'pause' | 'update' | 'cancel' | 'extend' | 'purge' }>,
  ): Step | undefined {
    const name = this.#queue(command.queue)
    if (name === undefined) return undefined
    const queue = this.drive.model.queue(name)
    const barrier = (at: number) => {
      const { sequence, name: called } = [...queue.waiting, ...queue.records.slice(-1)].at(at % 4) ?? {}
      const gathering = queue.gathering[0]?.name
      if (gathering !== undefined && at < 3) return gathering
      return called === undefined || at % 2 === 0 ? `@${sequence ?? 0}` : called
    }
    switch (command.kind) {
      case 'requeue': {
        const { live } = queue
        const first = live[command.at % Math.max(1, live.length)]?.sequence ?? 0
        return { kind: 'requeue', queue: name, sequences: Array.from({ length: command.count }, (_, k) => first + k) }
      }
      case 'pause':
        return { kind: 'pause', queue: name, isPaused: command.paused }
      case 'update': {
        // Not what never changes, and not what makes it free which queue comes first.
        const { semantics, forwardBarrier } = queue.options
        const isTarget = name !== 'orders' && (name !== 'other' || this.#setting.orders.forwardBarrier.length > 0)
        const onDead = isTarget ? queue.options.onDead : command.options.onDead
        const isOnce = semantics === 'at-most-once'
        const { leaseMs, deliveriesMax, retryDelay, deadLetter } = isOnce ? withDefaults({}) : command.options
        const kept = onDead === 'hold' && deadLetter === 'drop' ? undefined : deadLetter
        const given = {
          ...command.options,
          forwardBarrier,
          onDead,
          semantics,
          leaseMs,
          deliveriesMax,
          retryDelay,
          deadLetter: kept,
        }
        const options = defined(given) as QueueOptions
        return { kind: 'update', queue: name, options }
      }
      case 'cancel':
        return defined({ kind: 'cancel' as const, queue: name, barrier: barrier(command.barrier), rest: command.rest })
      case 'extend': {
        const deadlineAt = this.drive.now + command.ms
        return { kind: 'extend', queue: name, barrier: barrier(command.barrier), deadlineAt }
      }
      case 'purge':
        return { kind: 'purge', queue: name, leased: command.leased, below: queue.next - command.before }
    }
  }

  /** With ids where the queue has a window for them: the engine takes none elsewhere. */
  #pieces(queue: string, raw: readonly RawPiece[]): Piece[] {
    const { dedupeWindowMs } = this.drive.model.queue(queue).options
    const isLast = queue === 'other' && this.#setting.orders.forwardBarrier.length === 0
    return raw.map(piece => pieceOf(piece, dedupeWindowMs > 0, queue === 'orders' || isLast))
  }

  #queue(at: number): string | undefined {
    const { queues } = this.drive.model
    const name = QUEUES[at] ?? ''
    return queues.has(name) ? name : queues.keys().next().value
  }

  #subscription(at: number): number | undefined {
    const ids = [...this.drive.model.subscriptions.keys()]
    return ids[at % ids.length]
  }

  #settle({ claims: raw, how, carried }: Extract<Command, { kind: 'settle' }>): Step | undefined {
    const { model } = this.drive
    const first = this.#subscription(raw[0]?.subscription ?? 0)
    if (first === undefined) return undefined
    const { queue } = model.subscription(first)
    const claims = raw.flatMap(({ subscription: at, pick, at: which, count }) => {
      const others = model.of(model.queue(queue)).map(({ id }) => id)
      const id = others.includes(this.#subscription(at) ?? -1) ? this.#subscription(at) : others[at % others.length]
      if (id === undefined) return []
      return [{ subscription: id, ranges: [this.#range(id, pick, which, count)] }]
    })
    const targets = carried.flatMap(({ queue: at, pieces: rawPieces }) => {
      const name = this.#queue(at)
      return name === undefined ? [] : [{ queue: name, pieces: this.#pieces(name, rawPieces) }]
    })
    return { kind: 'settle', queue, claims, how, carried: targets }
  }

  /** Deliveries that a subscription has not settled. */
  #out(id: number): { readonly delivery: number; readonly rests: number }[] {
    const { model } = this.drive
    const subscription = model.subscription(id)
    const held = model.held(subscription).flatMap(({ lease }) => (lease === undefined ? [] : [lease]))
    return [...held, ...subscription.spent].sort((a, b) => a.delivery - b.delivery)
  }

  /** A client settles what it was sent, or any nonsense. */
  #range(id: number, pick: 'held' | 'any', at: number, count: number): Range {
    const { model, committed } = this.drive
    const subscription = model.subscription(id)
    const out = this.#out(id)
    const sent = out.filter(({ rests }) => rests <= committed)
    if (pick === 'any' || sent.length === 0) {
      const first = at % (subscription.next + 2)
      // It cannot know the numbers of what it was not sent yet.
      const unsent = out.find(({ rests }) => rests > committed)
      const end = first === 0 ? count + 1 : first + count
      if (unsent === undefined || end <= unsent.delivery) return { first, count }
      return { first: subscription.next, count: 1 }
    }
    return {
      first: sent[at % sent.length]?.delivery ?? 0,
      count: sent.length === out.length ? count : 1,
    }
  }

  #numbered(queue: string, command: Extract<Command, { kind: 'numbered' }>): Step {
    const { model, isDiskHeld } = this.drive
    const producer = `p${command.producer}`
    const key = `${queue} ${model.queue(queue).life} ${producer}`
    const known = model.queue(queue).producers.get(producer)
    const last = known?.last ?? 0
    const answered = Math.min(last, this.#answered.get(key) ?? 0)
    const pieces = this.#pieces(queue, command.pieces)
    const again = Math.min(command.again, last - answered)
    // Sent again is what was sent: some messages, in one piece; the core looks at their number alone.
    const before: Piece[] = again > 0 ? [{ kind: 'messages', runs: [{ count: again }] }] : []
    // A client tells what it has; it has what is on disk.
    const answeredUpTo = isDiskHeld || command.again > 0 ? answered : Math.max(answered, last - 4)
    this.#answered.set(key, known === undefined ? last - again : answeredUpTo)
    const all = command.again === 100 && before.length > 0 ? before : [...before, ...pieces]
    return { kind: 'numbered', queue, producer, number: last + 1 - again, answeredUpTo, pieces: all }
  }
}

function pieceOf(raw: RawPiece, hasWindow: boolean, mayGather: boolean): Piece {
  if (raw.kind === 'refused') return raw
  if (raw.kind === 'barrier') {
    // A party is of a barrier with a name. None where dead letters or forwarded ones come in: which is first is free there.
    const isParty = mayGather && raw.name !== undefined && raw.party !== undefined
    const ofMany = { party: isParty ? `p${raw.party}` : undefined, parties: isParty ? raw.parties : undefined }
    return defined({ ...raw, ...ofMany, name: raw.name === undefined ? undefined : `b${raw.name}` })
  }
  if (!hasWindow || raw.id === undefined) return { kind: 'messages', runs: raw.runs.map(defined) }
  return { kind: 'messages', runs: raw.runs.slice(0, 1).map(run => defined({ ...run, count: 1 })), id: `m${raw.id}` }
}
