import { expect, test, vi } from 'vitest'
import type { AtomicTerms, Numbering } from '../../src/core/broker.ts'
import { Numbers } from '../../src/core/numbering.ts'
import { PRODUCER_IDLE_MAX_MS } from '../../src/core/producers.ts'
import type { Incoming } from '../../src/core/publishing.ts'
import { refuse } from '../../src/core/refusals.ts'
import { answersAsText, barrierOf, type Scenario, scenario } from '../support/scenario.ts'

type Part = readonly [Scenario, readonly Incoming[], Numbering?]

/** Publishes to several queues, whole or not at all; says what was refused, or that the numbers are out of turn. */
function atomic(orders: Scenario, ...parts: readonly Part[]) {
  return atomicOn(orders, {}, ...parts)
}

function atomicOn(orders: Scenario, terms: AtomicTerms, ...parts: readonly Part[]) {
  return orders.outcome((turn, now) => {
    const answers = orders.broker.publishAtomic(
      turn,
      parts.map(([{ queue }, incoming, numbering]) => ({
        queue,
        publish: { incoming, now },
        count: incoming.reduce((sum, { count }) => sum + count, 0),
        numbering,
      })),
      terms,
    )
    if (typeof answers === 'string') return [answers]
    if ('code' in answers) return [answers.code]
    return answers.flatMap((part, k) => answersAsText(part, []).map(text => `${parts[k]?.[0].name}: ${text}`))
  })
}

const messages = (orders: Scenario, ...labels: readonly string[]) => orders.incoming(labels.map(label => [label, {}]))
const refused: Incoming = { kind: 'refused', index: 0, count: 1, refusal: { code: 'not-accepted', detail: '' } }

test('P4: messages for several queues are kept in one turn', () => {
  const orders = scenario()
  const other = orders.on('other')
  atomic(orders, [orders, messages(orders, 'm1', 'm2')], [other, messages(other, 'x1')]).gives('keep m1 m2', 'keep x1')
})

test('P4: one that is refused refuses all, in all queues, and nothing is kept', () => {
  const orders = scenario()
  const other = orders.on('other')
  const incoming = messages(orders, 'm1', 'm2')
  atomic(orders, [orders, incoming], [other, [refused]]).gives(
    'orders: refuse 0: not-accepted',
    'other: refuse 0: not-accepted',
  )
  expect([orders.queue.nextSequence, other.queue.nextSequence]).toEqual([1, 1])
  orders.publish('taken')
  orders.barrier('eof')
  atomic(orders, [other, messages(other, 'x1')], [orders, [barrierOf('eof')]]).gives(
    'other: refuse 0: barrier-exists',
    'orders: refuse 0: barrier-exists',
  )
  expect(other.queue.nextSequence).toBe(1)
})

test('P4: what would be refused only because of the rest of the publish refuses it as well', () => {
  const orders = scenario({ barriersMax: 1, dedupeWindowMs: 10_000, dedupeMax: 1 })
  orders.publish('m0')
  atomic(orders, [orders, [barrierOf('b1'), barrierOf('b2', {}, 1)]]).gives('orders: refuse 0: too-many-barriers')
  atomic(orders, [orders, [barrierOf('b1'), barrierOf('b1', {}, 1)]]).gives('orders: refuse 0: barrier-exists')
  atomic(orders, [
    orders,
    orders.incoming([
      ['x', { id: '1' }],
      ['y', { id: '2' }],
    ]),
  ]).gives('orders: refuse 0: server-busy')
  expect(orders.queue.publishedTotal).toBe(1)
})

test('P4: sequence numbers are adjacent in each queue, also when one part sets a barrier going into another', () => {
  const orders = scenario({ forwardBarrier: ['other'] })
  const other = orders.on('other')
  other.publish('x0')
  atomic(orders, [orders, [barrierOf('eof')]], [other, messages(other, 'x1', 'x2')])
  expect(other.queue.batches.map(({ published }) => published)).toEqual([3, 0])
})

test('P4, P9: numbered parts that are sent again get their first answers, taken or refused', () => {
  const orders = scenario()
  const other = orders.on('other')
  const numbering = (number: number): Numbering => ({ producer: 'p', number, answeredUpTo: 0 })
  const send = (number: number, ...more: readonly Incoming[]) =>
    atomic(
      orders,
      [orders, messages(orders, 'm1'), numbering(number)],
      [other, [...messages(other, 'x1'), ...more], numbering(number)],
    )
  send(1).gives('keep m1', 'keep producerTaken', 'keep x1', 'keep producerTaken')
  send(1).gives()
  orders.crash()
  send(1).gives()
  atomic(orders, [orders, messages(orders, 'm2'), numbering(2)], [other, [refused], numbering(2)]).gives(
    'keep producerTaken',
    'keep producerTaken',
    'orders: refuse 0: not-accepted',
    'other: refuse 0: not-accepted',
  )
  atomic(orders, [orders, messages(orders, 'm2'), numbering(2)], [other, messages(other, 'x2'), numbering(2)]).gives(
    'orders: refuse 0: not-accepted',
    'other: refuse 0: not-accepted',
  )
})

const numbered = (number: number): Numbering => ({ producer: 'p', number, answeredUpTo: 0 })
const missing: AtomicTerms = { refusal: { code: 'no-such-queue', detail: '' } }

test('P4, P9: refused before it came here, it uses its numbers, so what was sent behind it is in turn', () => {
  const orders = scenario()
  const other = orders.on('other')
  const send = (terms: AtomicTerms, number: number) =>
    atomicOn(
      orders,
      terms,
      [orders, messages(orders, 'm1'), numbered(number)],
      [other, messages(other, 'x1'), numbered(number)],
    )
  const refusals = ['orders: refuse 0: no-such-queue', 'other: refuse 0: no-such-queue']
  send(missing, 1).gives('keep producerTaken', 'keep producerTaken', ...refusals)
  send({}, 2).gives('keep m1', 'keep producerTaken', 'keep x1', 'keep producerTaken')
  orders.crash()
  // Asked for again it gets the same, also now that nothing is missing any more.
  send({}, 1).gives(...refusals)
})

test('P4, P9: where there is no room for another producer, all parts are refused and those that know it use their numbers', () => {
  const orders = scenario()
  const other = orders.on('other')
  orders.broker.queue('orders')?.producers.restore({
    kind: 'producerTaken',
    producer: 'p',
    queue: 1,
    last: 0,
    answers: [],
    at: 0,
  })
  const full = vi.spyOn(Numbers.prototype, 'placeOf')
  full.mockImplementation(function (this: Numbers, queue, numbering, count) {
    if (queue.producers.isKnown(numbering.producer)) return { repeated: 0, answers: [] }
    return refuse('server-busy', `no room for ${count}`, { limit: 'producers' })
  })
  const parts = [
    [orders, messages(orders, 'm1'), numbered(1)],
    [other, messages(other, 'x1'), numbered(1)],
  ] as const
  atomicOn(orders, { spends: false }, ...parts).gives('server-busy')
  atomic(orders, ...parts).gives('keep producerTaken', 'orders: refuse 0: server-busy', 'other: refuse 0: server-busy')
  full.mockRestore()
  expect([orders.queue, other.queue].map(({ producers }) => producers.last('p'))).toEqual([1, 0])
})

test('P4, P9: parts that were taken are confirmed again, and what a queue declared anew has lost is taken by it', () => {
  const orders = scenario()
  const other = orders.on('other')
  const third = orders.on('third')
  const send = (number: number, more: readonly Incoming[] = [], terms: AtomicTerms = {}) =>
    atomicOn(
      orders,
      terms,
      [orders, messages(orders, 'm1'), numbered(number)],
      [other, messages(other, 'x1'), numbered(number)],
      [third, [...messages(third, 'y1'), ...more], numbered(number)],
    )
  const forget = () => {
    for (const name of ['other', 'third'])
      orders.outcome((turn, now) => {
        orders.broker.queue(name)?.producers.sweep(turn, now + PRODUCER_IDLE_MAX_MS)
        return []
      })
  }
  send(1)
  forget()
  send(1).gives('keep x1', 'keep producerTaken', 'keep y1', 'keep producerTaken')
  expect(orders.queue.publishedTotal).toBe(1)
  // What goes anew goes together or not at all.
  forget()
  const again = send(1, [{ ...refused, index: 1 }]).lines
  expect(again).toEqual([
    'keep producerTaken',
    'keep producerTaken',
    'other: refuse 0: not-accepted',
    'third: refuse 0: not-accepted',
  ])
  forget()
  send(1, [], missing).gives(
    'keep producerTaken',
    'keep producerTaken',
    'other: refuse 0: no-such-queue',
    'third: refuse 0: no-such-queue',
  )
  expect([other, third].map(({ queue }) => queue.publishedTotal)).toEqual([2, 2])
})

test('P4, P9: parts that were refused are refused again, and those that nobody remembers with them', () => {
  const orders = scenario()
  const other = orders.on('other')
  const send = (more: readonly Incoming[]) =>
    atomic(
      orders,
      [orders, messages(orders, 'm1'), numbered(1)],
      [other, [...messages(other, 'x1'), ...more], numbered(1)],
    )
  send([{ ...refused, index: 1 }])
  orders.outcome((turn, now) => {
    other.queue.producers.sweep(turn, now + PRODUCER_IDLE_MAX_MS)
    return []
  })
  send([]).gives('keep producerTaken', 'orders: refuse 0: not-accepted', 'other: refuse 0: not-accepted')
  expect([orders, other].map(({ queue }) => queue.publishedTotal)).toEqual([0, 0])
})

test('P9: a part of which only some messages were taken before is out of turn', () => {
  const orders = scenario()
  atomic(orders, [orders, messages(orders, 'm1'), numbered(1)])
  atomic(orders, [orders, messages(orders, 'm1', 'm2'), numbered(1)]).gives(
    'of a part of an atomic publish some messages were taken before, and others were not',
  )
})

test('P4: a crash keeps all of it or nothing', () => {
  const orders = scenario()
  const other = orders.on('other')
  atomic(orders, [orders, messages(orders, 'm1')], [other, messages(other, 'x1')])
  orders.holdDisk()
  atomic(orders, [orders, messages(orders, 'm2')], [other, messages(other, 'x2')])
  orders.crash()
  expect([orders, other].map(({ queue }) => queue.messages)).toEqual([1, 1])
})

test('P5: a repeated id inside the window is a duplicate with the first sequence number, and enqueues nothing', () => {
  const orders = scenario({ dedupeWindowMs: 60_000 })
  orders
    .publishEach([
      ['m1', {}],
      ['m2', { id: 'x' }],
    ])
    .gives('keep m1', 'keep m2', 'keep id x')
  orders
    .publishEach([
      ['m2', { id: 'x' }],
      ['m3', { id: 'y' }],
    ])
    .gives('keep m3', 'keep id y', 'm2 is a duplicate of 2')
  expect(orders.queue.messages).toBe(3)
})

test('P5: also when the first one is settled, its batch is over, or the server has crashed', () => {
  const orders = scenario({ dedupeWindowMs: 60_000 })
  orders.subscribe('ann')
  orders.publishEach([['m1', { id: 'x' }]])
  orders.ack('ann', 'm1')
  orders.barrier('eof')
  orders.crash()
  orders.publishEach([['m1', { id: 'x' }]]).gives('m1 is a duplicate of 1')
})

test('P5: a crash that takes the message takes its id', () => {
  const orders = scenario({ dedupeWindowMs: 60_000 })
  orders.holdDisk().publishEach([['m1', { id: 'x' }]])
  orders.crash()
  orders.publishEach([['m1', { id: 'x' }]]).gives('keep m1', 'keep id x')
})

test('P5: the window ends, on the millisecond, before the clock was looked at, and after a crash', () => {
  for (const isCrashed of [false, true]) {
    const orders = scenario({ dedupeWindowMs: 60_000 })
    orders.publishEach([['m1', { id: 'x' }]])
    orders.at('1s').publishEach([['m2', { id: 'y' }]])
    if (isCrashed) orders.crash()
    orders
      .at('59999ms')
      .publishEach([['m1', { id: 'x' }]])
      .gives('m1 is a duplicate of 1')
    orders
      .at('60s')
      .publishEach([['m3', { id: 'x' }]])
      .gives('keep id x forgotten', 'keep m3', 'keep id x')
    expect(orders.broker.nextDeadline).toBe(orders.at('61s').now)
    orders.tick().gives('keep id y forgotten')
    orders
      .at('119s')
      .publishEach([['m3', { id: 'x' }]])
      .gives('m3 is a duplicate of 3')
  }
})

test('P5: when as many ids are remembered as dedupe_max allows, new ones are refused and old ones answered', () => {
  const orders = scenario({ dedupeWindowMs: 60_000, dedupeMax: 2 })
  orders.publishEach([
    ['m1', { id: 'x' }],
    ['m2', { id: 'y' }],
  ])
  orders
    .at('59s')
    .publishEach([
      ['m3', { id: 'z' }],
      ['m1', { id: 'x' }],
      ['m4', {}],
    ])
    .gives('keep m4', 'refuse m3: server-busy', 'm1 is a duplicate of 1')
  orders
    .at('60s')
    .publishEach([['m3', { id: 'z' }]])
    .gives('keep id x forgotten', 'keep id y forgotten', 'keep m3', 'keep id z')
})

test('P5: more ids than one turn forgets are no duplicates when their window is over', () => {
  const orders = scenario({ dedupeWindowMs: 60_000 })
  orders.publishEach(Array.from({ length: 2_500 }, (_, k) => [`m${k}`, { id: `${k}` }] as const))
  orders.at('60s')
  expect(orders.publishEach([['again', { id: '2000' }]]).lines).not.toContain('again is a duplicate of 2001')
  orders.work()
  expect(orders.queue.dedupe.size).toBe(1)
})

test('P5: the same id twice in one atomic publish is a duplicate of itself', () => {
  const orders = scenario({ dedupeWindowMs: 60_000, dedupeMax: 1 })
  atomic(orders, [
    orders,
    orders.incoming([
      ['m1', { id: 'x' }],
      ['m1', { id: 'x' }],
    ]),
  ]).gives('keep m1', 'keep id x', 'orders: 1 is a duplicate of 1')
})

test('P5: a shorter window counts from the update on', () => {
  const orders = scenario({ dedupeWindowMs: 60_000 })
  orders.publishEach([['m1', { id: 'x' }]])
  orders.at('10s').update({ dedupeWindowMs: 5_000 })
  orders.publishEach([['m2', { id: 'x' }]]).gives('keep id x forgotten', 'keep m2', 'keep id x')
})

test('A4, P5: a dedupe hit in an ack counts as done: the ack counts', () => {
  const orders = scenario()
  const results = orders.on('results', { dedupeWindowMs: 60_000 })
  results.publishEach([['r1', { id: 'x' }]])
  orders.subscribe('ann')
  orders.publish('m1')
  orders
    .ackAndCarry('ann', 'm1', () => [[results, results.incoming([['r1', { id: 'x' }]])]])
    .gives('keep m1 acked', '0 is a duplicate of 1')
})

test('A4: a barrier in an ack closes the batch behind the children of the same ack', () => {
  const orders = scenario()
  orders.subscribe('ann')
  orders.publish('m1')
  orders
    .ackAndCarry('ann', 'm1', () => [[orders, [...orders.incoming([['child', {}]]), barrierOf('eof', {}, 1)]]])
    .gives('keep child in batch 0', 'keep barrier eof', 'keep m1 acked', 'ann gets child')
  orders
    .ack('ann', 'child')
    .gives('keep child acked', 'keep eof released: clean', 'ann gets barrier eof', 'released eof')
})

test('A4: two carried publishes to one queue are looked at together', () => {
  const orders = scenario()
  const results = orders.on('results')
  orders.subscribe('ann')
  orders.publish('m1')
  orders
    .ackAndCarry('ann', 'm1', () => [
      [results, [barrierOf('eof')]],
      [results, [barrierOf('eof')]],
    ])
    .gives('refused: barrier-exists')
  expect(results.queue.nextSequence).toBe(1)
  orders.ack('ann', 'm1').gives('keep m1 acked')
})
