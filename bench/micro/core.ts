import { Broker } from '../../src/core/broker.ts'
import { DEFAULT_OPTIONS } from '../../src/core/options.ts'
import type { Incoming, IncomingRun } from '../../src/core/publishing.ts'
import { Turn } from '../../src/core/turn.ts'
import type { Case, Part } from './part.ts'

const BYTES = new Uint8Array(0)
const COUNT = 1_000
const BODY_BYTES = 100

/** The bare core: no bytes and no disk, each turn is committed at once. A step publishes, delivers and acks. */
export function core(): Part {
  const plain = (count: number): IncomingRun => ({ count, bodyBytes: count * BODY_BYTES })
  const each = (run: (k: number) => Partial<IncomingRun>): IncomingRun[] =>
    Array.from({ length: COUNT }, (_, k) => ({ ...plain(1), ...run(k) }))
  return {
    cases: [
      cycle('1,000 in one publish, one consumer', [[plain(COUNT)]]),
      cycle('1,000 in one publish, 100 consumers', [[plain(COUNT)]], { consumers: 100 }),
      cycle(
        '1,000 publishes of one, one consumer',
        Array.from({ length: COUNT }, () => [plain(1)]),
      ),
      cycle('1,000 in one publish, ten priorities', [each(k => ({ priority: k % 10 }))], { priorities: true }),
      cycle('1,000 in one publish, 100 groups', [each(k => ({ group: `g${k % 100}` }))], { groups: true }),
      cycle('1,000 in one publish, and a barrier that is released', [[plain(COUNT)]], { isSealed: true }),
    ],
  }
}

interface Shape {
  readonly consumers?: number
  readonly priorities?: boolean
  readonly groups?: boolean
  readonly isSealed?: boolean
}

function cycle(name: string, publishes: readonly (readonly IncomingRun[])[], shape: Shape = {}): Case {
  const { consumers = 1, priorities = false, groups = false, isSealed = false } = shape
  const broker = new Broker()
  let now = 0
  const run = (command: (turn: Turn) => void): Turn['effects'] => {
    now += 1
    const turn = new Turn(now)
    command(turn)
    broker.committed = now
    return turn.effects
  }
  const options = {
    ...DEFAULT_OPTIONS,
    ...(priorities ? { priority: 'property' as const } : {}),
    ...(groups ? { group: 'property' as const } : {}),
  }
  run(turn => broker.declare(turn, now, 'orders', options))
  const queue = broker.queue('orders')!
  for (let tag = 1; tag <= consumers; tag++) {
    const terms = { peer: tag, tag, prefetch: COUNT, concurrency: 1, leaseMs: undefined, predicate: undefined }
    run(turn => broker.subscribe(turn, now, queue, { ...terms, isPull: false }, undefined))
  }
  const incoming = publishes.map((runs): Incoming[] => {
    const count = runs.reduce((sum, one) => sum + one.count, 0)
    return [{ kind: 'messages', index: 0, count, bytes: BYTES, runs }]
  })
  const barrier: Incoming[] = [{ kind: 'barrier', index: 0, count: 1, bytes: BYTES, barrier: {} }]
  return {
    name,
    messages: COUNT,
    step: () => {
      let acked = 0
      let open = publishes.flatMap((_, k) => run(turn => broker.publish(turn, queue, { incoming: incoming[k]!, now })))
      if (isSealed) run(turn => broker.publish(turn, queue, { incoming: barrier, now }))
      // An ack may free what waits behind it: of a group, say.
      while (open.length > 0) {
        const effects = open
        open = []
        for (const effect of effects) {
          if (effect.kind !== 'deliver') continue
          const { subscription, delivery: first, count } = effect
          const claims = [{ subscription, deliveries: [{ first, count }] }]
          open.push(...run(turn => broker.settle(turn, now, queue, claims, { kind: 'ack' })))
          acked += count
        }
      }
      if (acked !== COUNT) throw new Error(`${name}: ${acked} messages were acked`)
    },
  }
}
