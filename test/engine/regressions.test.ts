import { expect, test } from 'vitest'
import type { Pulled } from '../../src/engine/peer.ts'
import { JournalFailure } from '../../src/journal/journal.ts'
import { memoryJournal } from '../../src/journal/memory.ts'
import { records, soon, TestPeer, testEngine } from '../support/engine.ts'

// What the simulation found, shortened to what matters. Each failed once.

const ANN = 'a'.repeat(32)

test('D9: an at-most-once message that finds a consumer waiting is sent, not only removed', async () => {
  const { engine, journal } = await testEngine()
  engine.declare('q', { semantics: 'at-most-once' })
  const ann = new TestPeer(engine, 'ann')
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 10 })
  journal.commitAll()
  ann.publish('q', ['a', 'b'])
  journal.commitAll()
  expect(ann.take()).toEqual(['1: 1+2 a b', 'confirmed 0…1 as 1'])
})

test('P5, P9: the answer given again after a crash still says that the message was there already', async () => {
  const first = await testEngine()
  first.engine.declare('q', { dedupe_window: '1h' })
  const ann = new TestPeer(first.engine, 'ann', ANN)
  ann.publish('q', [['a', { messageId: 'a' }]], { number: 1 })
  ann.publish('q', [['a', { messageId: 'a' }]], { number: 2, answeredUpTo: 1 })
  first.journal.commitAll()
  const second = await testEngine({ journal: first.journal.crash(), clock: first.clock })
  const again = new TestPeer(second.engine, 'ann', ANN)
  const answers: unknown[] = []
  const messages = records([['a', { messageId: 'a' }]])
  again.peer.publish({ queue: 'q', ...messages, number: 2, answeredUpTo: 1 }, given => answers.push(...given))
  second.journal.commitAll()
  await soon()
  expect(answers).toMatchObject([{ sequence: 1, duplicate: true }])
})

test('P1, P9: numbers that were answered as accepted, and that a crash took, leave no gap', async () => {
  const first = await testEngine()
  first.engine.declare('q', {})
  const ann = new TestPeer(first.engine, 'ann', ANN)
  ann.publish('q', ['a'], { number: 1, confirm: 'accepted' })
  first.journal.commitAll()
  ann.publish('q', ['b'], { number: 2, confirm: 'accepted', answeredUpTo: 1 })
  await soon()
  expect(ann.take()).toEqual(['confirmed 0 as 1', 'confirmed 0 as 2'])
  const second = await testEngine({ journal: first.journal.crash(), clock: first.clock })
  const again = new TestPeer(second.engine, 'ann', ANN)
  // Its client has both answers, and goes on.
  again.publish('q', ['c'], { number: 3, answeredUpTo: 2 })
  second.journal.commitAll()
  expect(again.take()).toEqual([expect.stringMatching(/^confirmed 0 as 1\d{5}$/)])
  // Without the answers a gap is what it was: a broken client.
  again.publish('q', ['e'], { number: 5, answeredUpTo: 3 })
  await soon()
  expect(again.take()).toEqual(['closed protocol-error'])
})

test('P8, P9: an accepted publish hears of its refusal only once that is on disk, for a crash would take it back', async () => {
  const first = await testEngine()
  first.engine.declare('q', { messages_max: 2 })
  const ann = new TestPeer(first.engine, 'ann', ANN)
  ann.publish('q', ['a'], { number: 1, confirm: 'accepted' })
  first.journal.commitAll()
  ann.publish('q', ['b'], { number: 2 })
  ann.publish('q', ['c'], { number: 3, confirm: 'accepted' })
  await soon()
  expect(ann.take()).toEqual(['confirmed 0 as 1'])
  // Without an answer to 2, its client sends 2 and 3 again; by then there is room, and 3 is stored.
  const second = await testEngine({ journal: first.journal.crash(), clock: first.clock })
  second.engine.update('q', { messages_max: 3 })
  const again = new TestPeer(second.engine, 'ann', ANN)
  again.publish('q', ['b'], { number: 2, answeredUpTo: 1 })
  again.publish('q', ['c'], { number: 3, answeredUpTo: 1, confirm: 'accepted' })
  again.publish('q', ['d'], { number: 4, answeredUpTo: 1, confirm: 'accepted' })
  await soon()
  expect(again.take()).toEqual([])
  second.journal.commitAll()
  await soon()
  expect(again.take()).toEqual(['confirmed 0 as 100002', 'confirmed 0 as 100003', 'refused 0: queue-full'])
})

test('B11: a pull whose time is over while a release is on its way to the disk is told the batch before it', async () => {
  const { engine, clock, journal } = await testEngine()
  engine.declare('q', {})
  const ann = new TestPeer(engine, 'ann')
  const answers: Pulled[] = []
  const pull = (more: { readonly waitMs: number; readonly afterBatch?: number }) =>
    ann.peer.pull({ queue: 'q', messagesMax: 1, ...more }, answer => answers.push(answer as Pulled))
  ann.publish('q', ['a', ['', { barrier: { name: 'b' } }]])
  journal.commitAll()
  pull({ waitMs: 100 })
  await soon()
  const [{ sequence = 0, leaseToken = '' } = {}] = answers[0]?.deliveries ?? []
  pull({ waitMs: 100 })
  ann.peer.settleTokens({ queue: 'q', deliveries: [{ sequence, leaseToken }], how: { kind: 'ack' } }, () => {})
  clock.advance(100)
  await soon()
  // The barrier is released, and cannot be sent before that is on disk.
  expect(answers[1]).toMatchObject({ deliveries: [], barriers: [], batch: 0 })
  journal.commitAll()
  pull({ waitMs: 100, afterBatch: answers[1]?.batch ?? -1 })
  await soon()
  expect(answers[2]).toMatchObject({ barriers: [{ record: { name: 'b' }, replayed: true }], batch: 1 })
})

test('R8: a damaged row ends the server also where a filter looks at it', async () => {
  const journal = memoryJournal({ manual: true })
  const { engine, failures } = await testEngine({ journal })
  engine.declare('q', {})
  const ann = new TestPeer(engine, 'ann')
  ann.publish('q', ['{"a":1}'])
  journal.commitAll()
  const damaged = new JournalFailure('damaged', 'the data are damaged: message row 1')
  journal.row = () => {
    throw damaged
  }
  const subscribe = () => ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 1, filter: '/a = 1' })
  expect(subscribe).toThrow(damaged)
  expect(failures).toEqual([damaged])
  expect(engine.isOpen).toBe(false)
})

test('B11: a new subscription, or a pull, is not told of a batch behind a release that a crash can take back', async () => {
  const { engine, clock, journal } = await testEngine()
  engine.declare('q', {})
  const ann = new TestPeer(engine, 'ann')
  ann.publish('q', [['', { barrier: { name: 'b' } }]])
  const subscribe = (subscription: number) => ann.peer.subscribe({ subscription, queue: 'q', prefetch: 1 })
  expect(subscribe(1)).toMatchObject({ batch: 0 })
  const pulled: Pulled[] = []
  ann.peer.pull({ queue: 'q', messagesMax: 1, waitMs: 10 }, answer => pulled.push(answer as Pulled))
  clock.advance(10)
  await soon()
  expect(pulled).toMatchObject([{ batch: 0 }])
  journal.commitAll()
  expect(subscribe(2)).toMatchObject({ batch: 1 })
})

test('R9: whatever a client takes for a duration, the server goes on, keeps it over a restart and can show it', async () => {
  const { engine, journal, clock, failures } = await testEngine()
  engine.declare('q', {})
  const ann = new TestPeer(engine, 'ann')
  const forever = Number.MAX_SAFE_INTEGER
  const century = clock.now() + 36_525 * 86_400_000
  ann.publish('q', ['a', 'b', ['c', { delayMs: forever }], ['d', { ttlMs: forever }]])
  ann.publish('q', [['', { barrier: { name: 'end', deadlineMs: forever } }]])
  journal.commitAll()
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 10, leaseMs: forever })
  await soon()
  ann.peer.settle({ subscription: 1, deliveries: [{ first: 1, count: 1 }], how: { kind: 'nack', delayMs: forever } })
  ann.peer.settle({ subscription: 1, deliveries: [{ first: 2, count: 1 }], how: { kind: 'extend', leaseMs: forever } })
  journal.commitAll()
  // Into the row that it went to before.
  clock.advance(1)
  ann.peer.settle({ subscription: 1, deliveries: [{ first: 3, count: 1 }], how: { kind: 'nack', delayMs: forever } })
  journal.commitAll()
  expect(failures).toEqual([])
  const again = await testEngine({ journal: journal.crash(), clock })
  const looker = new TestPeer(again.engine, 'looker')
  expect(looker.peer.queue('q')).toMatchObject({ ready: 1, delayed: 3 })
  expect(again.engine.broker.queue('q')?.barriers.find('end')).toMatchObject({ terms: { deadlineAt: century } })
})
