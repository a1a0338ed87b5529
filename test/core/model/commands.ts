import fc from 'fast-check'
import { type GivenOptions, withDefaults } from '../../../src/core/declaring.ts'
import type { BatchRest } from '../../../src/core/facts.ts'
import type { QueueOptions } from '../../../src/core/options.ts'
import type { How } from './words.ts'

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
  | {
      readonly kind: 'atomic'
      readonly parts: readonly RawPart[]
      /** With producer numbers, and whether the last such one is sent again if it may be. */
      readonly producer?: number | undefined
      readonly again: boolean
      /** One more part is for a queue that is not there. */
      readonly missing: boolean
    }
  | ({ readonly kind: 'subscribe'; readonly queue: number; readonly away?: number | undefined } & RawTerms)
  | { readonly kind: 'answer'; readonly subscription: number; readonly settled: boolean }
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
      readonly carried: readonly RawPart[]
    }
  | { readonly kind: 'tick'; readonly ms: number }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'requeue'; readonly queue: number; readonly at: number; readonly count: number }
  | { readonly kind: 'pause'; readonly queue: number; readonly paused: boolean }
  | { readonly kind: 'update'; readonly queue: number; readonly options: GivenOptions }
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

export interface RawPart {
  readonly queue: number
  readonly pieces: readonly RawPiece[]
}

export type RawPiece =
  | { readonly kind: 'messages'; readonly runs: readonly RawRun[]; readonly id?: number | undefined }
  | {
      readonly kind: 'barrier'
      readonly name?: number | undefined
      readonly color: number
      readonly id?: number | undefined
      readonly party?: number | undefined
      readonly parties: number
      readonly forward?: readonly string[] | undefined
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
  readonly pull: boolean
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
    messagesMax: oneOf(undefined, undefined, undefined, undefined, 1, 4, 12),
    bytesMax: oneOf(undefined, undefined, undefined, undefined, 35, 80),
    overflow: oneOf('refuse', 'drop-oldest', 'dead-letter-oldest'),
    prefetchMax: oneOf(undefined, undefined, undefined, 2),
    prefetchBytes: oneOf(undefined, undefined, undefined, 25, 5),
  })
  .map(given => {
    if (given.semantics !== 'at-most-once') return given
    return { ...given, leaseMs: undefined, deliveriesMax: undefined, retryDelay: undefined }
  })
  .map(given => {
    if (given.deadLetter !== 'drop') return given
    const { onDead, overflow } = given
    return {
      ...given,
      onDead: onDead === 'hold' ? undefined : onDead,
      overflow: overflow === 'dead-letter-oldest' ? 'drop-oldest' : overflow,
    }
  })
  .map(given => withDefaults(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))))

const forwarding = (...targets: readonly (readonly string[])[]) =>
  fc
    .tuple(options, oneOf([], [], ...targets))
    .map(([given, forwardBarrier]): QueueOptions => ({ ...given, forwardBarrier }))

export const setting: fc.Arbitrary<Setting> = fc.record({
  orders: forwarding(['other'], ['other', 'morgue']),
  other: forwarding(['morgue']),
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
  id: oneOf(undefined, undefined, 0, 1, 2, 3),
  forward: oneOf(undefined, undefined, undefined, undefined, ['other'], ['morgue'], ['orders', 'morgue'], []),
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

const part: fc.Arbitrary<RawPart> = fc.record({ queue: target, pieces: pieces(3) })

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
      pull: oneOf(false, false, false, true),
      away: oneOf(undefined, undefined, 0, 1, 3),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('atomic' as const),
      parts: fc.array(part, { minLength: 1, maxLength: 3, size: 'max' }),
      producer: oneOf(undefined, 0),
      again: oneOf(false, false, true),
      missing: oneOf(false, false, false, true),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('answer' as const), subscription: small, settled: fc.boolean() }),
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
    arbitrary: settle(fc.constant({ kind: 'ack' }), fc.array(part, { minLength: 1, maxLength: 2, size: 'max' })),
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
