import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Engine } from '../../src/engine/engine.ts'
import type { Principal } from '../../src/engine/principal.ts'
import { records, soon, type TestEngine, TestPeer, testEngine } from '../support/engine.ts'

/** Beside its record, which is 4 bytes and the body. */
const OVERHEAD = 256
/** What a message of one byte counts. */
const ONE = 261

const someone = (storedBytesMax?: number, name = 'ann'): Principal => ({
  name,
  isAdmin: true,
  may: () => ({}),
  storedBytesMax,
})

async function withQueues(...names: readonly string[]): Promise<TestEngine> {
  const parts = await testEngine()
  for (const name of names) parts.engine.declare(name, {})
  parts.journal.commitAll()
  return parts
}

const stored = (engine: Engine, name = 'ann') => engine.broker.stored.of(name)

/** What is stored of it, read from the records themselves. */
function found(engine: Engine, name = 'ann'): number {
  let bytes = 0
  for (const queue of engine.broker.queues())
    for (const { first, count, owned } of queue.runs())
      for (let k = 0; k < count && owned?.owner === name; k += 1) {
        const cursor = engine.bodies.find(queue.id, first + k)!
        bytes += cursor.bodyEnd - cursor.recordStart + OVERHEAD
      }
  return bytes
}

test('attack 23: beyond its quota a token is refused message by message, accepted, numbered or neither', async () => {
  const { engine, journal } = await withQueues('q', 'r')
  const ann = new TestPeer(engine, 'ann', 'ab'.repeat(16), someone(4 * ONE))
  ann.publish('q', ['a', 'large', 'b'])
  ann.publish('r', ['c'], { confirm: 'accepted' })
  ann.publish('q', ['d', 'e'], { number: 1, answeredUpTo: 0 })
  journal.commitAll()
  // Of what was accepted it is told at once; the others wait for the disk.
  expect(ann.take()).toEqual(['refused 0: queue-full', 'confirmed 0…2 as 1', 'refused 0…1: queue-full'])
  expect(stored(engine)).toBe(3 * ONE + 4)
  expect(stored(engine)).toBe(found(engine))
})

test('attack 23, P9: what is sent again gets its first answer, whatever the quota is by then', async () => {
  const { engine, journal } = await withQueues('q')
  const ann = new TestPeer(engine, 'ann', 'ab'.repeat(16), someone(2 * ONE))
  ann.publish('q', ['a', 'b', 'c'], { number: 1, answeredUpTo: 0 })
  journal.commitAll()
  const first = ann.take()
  expect(first).toEqual(['confirmed 0…1 as 1', 'refused 2: queue-full'])
  ann.publish('q', ['a', 'b', 'c'], { number: 1, answeredUpTo: 0 })
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 2 })
  await soon()
  expect(ann.take()).toEqual([...first, '1: 1+2 a b'])
  ann.ack(1, 1, 2)
  // Old and new in one frame: only the new needs room.
  ann.publish('q', ['c', 'd', 'e', 'f'], { number: 3, answeredUpTo: 2 })
  journal.commitAll()
  expect(ann.take().filter(line => !line.startsWith('1:'))).toEqual([
    'settled 1+2 acked',
    'refused 0: queue-full',
    'confirmed 1…2 as 3',
    'refused 3: queue-full',
  ])
})

test('attack 23, P4: an atomic publish is refused whole, in one queue and over several, and fits to the last byte', async () => {
  const { engine, journal } = await withQueues('q', 'r')
  const ann = new TestPeer(engine, 'ann', 'ab'.repeat(16), someone(4 * ONE))
  ann.publish('q', ['a'])
  ann.publish('q', ['b', 'c', 'd', 'e'], { atomic: true })
  const atomic = (numbers: readonly number[], ...parts: readonly string[][]) =>
    ann.peer.publishAtomic(
      parts.map((bodies, k) => ({
        queue: k % 2 === 0 ? 'q' : 'r',
        ...records(bodies),
        ...(numbers[k] === undefined ? {} : { number: numbers[k], answeredUpTo: 0 }),
      })),
      answers =>
        ann.heard.push(answers.map(part => part.map(said => ('refusal' in said ? said.refusal.code : 'taken'))).join()),
      true,
    )
  atomic([], ['b', 'c'], ['d', 'e'])
  atomic([1, 1], ['b', 'c'], ['d'])
  // The same again: it was taken, and needs no room.
  atomic([1, 1], ['b', 'c'], ['d'])
  atomic([], ['x'])
  atomic([], ['b', 'c'], ['d', 'e'], ['f'])
  journal.commitAll()
  expect(ann.take()).toEqual([
    'confirmed 0 as 1',
    'refused 0…3: queue-full',
    'queue-full,queue-full',
    'taken,taken',
    'taken,taken',
    'queue-full',
    'message-too-large,message-too-large,message-too-large',
  ])
  expect(stored(engine)).toBe(4 * ONE)
  expect(ann.peer.queue('q')).toMatchObject({ ready: 3, publishedTotal: 3 })
})

test('attack 23, A4: what an ack carries is refused beyond the quota, with the ack', async () => {
  const { engine, journal } = await withQueues('q', 'r')
  new TestPeer(engine, 'root').publish('q', ['x', 'y'])
  const ann = new TestPeer(engine, 'ann', undefined, someone(ONE))
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 1 })
  journal.commitAll()
  ann.take()
  ann.publish('r', ['1'])
  ann.ack(1, 1, 1, { publish: { queue: 'r', bodies: ['2'] } })
  journal.commitAll()
  expect(ann.take()).toEqual(['confirmed 0 as 1', 'refused: queue-full'])
  expect(ann.peer.queue('q')).toMatchObject({ leased: 1, ready: 1 })
  expect(ann.peer.queue('r')).toMatchObject({ ready: 1 })
})

test('attack 23: properties count, a barrier and what the server publishes itself do not', async () => {
  const { engine, journal } = await withQueues('q')
  engine.declare('told', {})
  engine.update('q', { announce: 'told' })
  const ann = new TestPeer(engine, 'ann', undefined, someone(2 * ONE + 100))
  ann.publish('q', [['a', { headers: { name: 'x'.repeat(500) } }]])
  ann.publish('q', ['b', ['eof', { barrier: { name: 'eof' } }], 'c'])
  ann.peer.purge('q', { leased: false }, () => {})
  ann.publish('q', [['', { barrier: { name: 'end' } }]])
  journal.commitAll()
  expect(ann.take()).toEqual([
    'refused 0: message-too-large',
    ...['confirmed 0 as 1', 'confirmed 1 as 2', 'confirmed 2 as 3'],
    'confirmed 0 as 4',
  ])
  expect(ann.peer.queue('told')).toMatchObject({ ready: 2 })
  expect(stored(engine)).toBe(0)
})

test('attack 23: whoever has no quota is not counted, and pays nothing: no note stands with its messages', async () => {
  const { engine, journal } = await withQueues('q')
  const ann = new TestPeer(engine, 'ann', undefined, someone())
  ann.publish('q', ['a', 'bb', 'ccc'])
  journal.commitAll()
  expect(stored(engine)).toBe(0)
  expect([...(engine.broker.queue('q')?.runs() ?? [])]).toMatchObject([{ count: 3, owned: undefined }])
})

test('attack 23, R1: after a crash and after a stop the quota is as full as what is on disk', async () => {
  const { engine, journal, clock } = await withQueues('q', 'r')
  const ann = new TestPeer(engine, 'ann', undefined, someone(10 * ONE))
  ann.publish('q', ['a', 'bb', 'c', 'dddd', 'e'])
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 3 })
  journal.commitAll()
  // In the middle of a row, and of a run of one size.
  ann.ack(1, 2, 1)
  ann.peer.settle({ subscription: 1, deliveries: [{ first: 3, count: 1 }], how: { kind: 'reject' } })
  journal.commitAll()
  ann.publish('r', ['lost'])
  expect(stored(engine)).toBe(4 * ONE + 3 + ONE + 3)
  const after = await testEngine({ journal: journal.crash(), clock })
  expect(stored(after.engine)).toBe(4 * ONE + 3)
  expect(found(after.engine)).toBe(4 * ONE + 3)
  expect(after.engine.broker.queue('q.dead')?.messages).toBe(1)
  const again = new TestPeer(after.engine, 'ann', undefined, someone(5 * ONE + 3))
  again.publish('r', ['f', 'g'])
  after.journal.commitAll()
  expect(again.take()).toEqual(['confirmed 0 as 1', 'refused 1: queue-full'])
  await after.engine.close()
  const third = await testEngine({ journal: after.journal.crash(), clock })
  expect(stored(third.engine)).toBe(5 * ONE + 3)
})

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('publish' as const),
      sizes: fc.array(fc.constantFrom(0, 1, 300, 20_000), { minLength: 1, maxLength: 8 }),
      ttl: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('atomic' as const), size: fc.constantFrom(1, 900) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('ack' as const, 'nack' as const, 'reject' as const, 'carry' as const),
      count: fc.integer({ min: 1, max: 5 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'requeue' as const,
        'purge' as const,
        'purge-dead' as const,
        'cancel' as const,
        'time' as const,
        'delete' as const,
        'crash' as const,
      ),
    }),
  },
)

test('attack 23: whatever happens, what is counted is what is there, and it is never above the quota', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async steps => {
      const max = 30_000
      let { engine, journal, clock } = await testEngine()
      let ann = new TestPeer(engine, 'ann', undefined, someone(max))
      let next = 1
      const begin = () => {
        engine.declare('q', { deliveries_max: 2 })
        ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 4 })
        next = 1
      }
      begin()
      for (const [k, one] of steps.entries()) {
        const of = (count: number) => ({ subscription: 1, deliveries: [{ first: next, count }] })
        switch (one.kind) {
          case 'publish':
            ann.publish(
              'q',
              one.sizes.map(size => ['x'.repeat(size), one.ttl ? { ttlMs: 5_000 } : {}] as const),
            )
            if (k % 3 === 0) ann.publish('q', [['', { barrier: { name: `b${k}` } }]])
            break
          case 'atomic':
            ann.peer.publishAtomic(
              ['q', 'q'].map(queue => ({ queue, ...records(['x'.repeat(one.size), 'y']) })),
              () => {},
            )
            break
          case 'ack':
          case 'nack':
          case 'reject':
            ann.peer.settle({ ...of(one.count), how: { kind: one.kind } })
            next += one.count
            break
          case 'carry':
            ann.peer.settle({ ...of(1), how: { kind: 'ack' }, publish: [{ queue: 'q', ...records(['x', 'yy']) }] })
            next += 1
            break
          case 'requeue':
            ann.peer.requeueDeadLetters({ queue: 'q' }, () => {})
            break
          case 'purge':
            ann.peer.purge('q', { leased: true }, () => {})
            break
          case 'purge-dead':
            ann.peer.purgeDeadLetters({ queue: 'q' }, () => {})
            break
          case 'cancel':
            for (const { name } of [...(engine.broker.queue('q')?.barriers.waiting() ?? [])].slice(0, 1))
              ann.peer.cancelBarrier('q', name ?? '', k % 2 === 0 ? 'drop' : 'dead-letter', () => {})
            break
          case 'time':
            clock.advance(6_000)
            break
          case 'delete':
            ann.peer.deleteQueue('q', () => {})
            begin()
            break
          case 'crash': {
            if (k % 2 === 0) journal.commitAll()
            ;({ engine, journal } = await testEngine({ journal: journal.crash(), clock }))
            ann = new TestPeer(engine, 'ann', undefined, someone(max))
            begin()
            break
          }
        }
        expect(stored(engine), one.kind).toBe(found(engine))
        expect(stored(engine)).toBeLessThanOrEqual(max)
      }
    }),
    { numRuns: 200 },
  )
})
