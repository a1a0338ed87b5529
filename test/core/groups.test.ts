import { expect, test } from 'vitest'
import { progressOf } from '../../src/core/snapshot.ts'
import { scenario } from '../support/scenario.ts'

const of = (...pairs: readonly (readonly [string, string])[]) =>
  pairs.map(([label, group]) => [label, { group }] as const)

test('D15: of a group one message is out at a time, in order, whoever gets it', () => {
  const orders = scenario({ group: 'property' })
  orders.subscribe('ann')
  orders.subscribe('bob')
  orders
    .publishEach(of(['a1', 'a'], ['a2', 'a'], ['b1', 'b'], ['a3', 'a']))
    .gives('keep a1…a3'.replace('a1…a3', 'a1 a2 b1 a3'), 'ann gets a1', 'bob gets b1')
  orders.ack('ann', 'a1').gives('keep a1 acked', 'ann gets a2')
  orders.nack('ann', 'a2').gives('keep a2 returned, 1 tried', 'ann gets a2 again, attempt 2')
  orders.ack('ann', 'a2').gives('keep a2 acked', 'ann gets a3')
})

test('D15: messages without a group go past', () => {
  const orders = scenario({ group: 'property' })
  orders.subscribe('ann', { prefetch: 3 })
  orders.publishEach([...of(['a1', 'a'], ['a2', 'a']), ['m1', {}], ['m2', {}]])
  orders.ack('ann', 'm1').gives('keep m1 acked')
  expect(orders.queue.head).toMatchObject({ leased: 2, live: 3 })
})

test('D15: the priority of a group is that of its head', () => {
  const orders = scenario({ group: 'property', priority: 'property' })
  orders.publishEach([
    ['a1', { group: 'a', priority: 1 }],
    ['a2', { group: 'a', priority: 9 }],
    ['b1', { group: 'b', priority: 5 }],
  ])
  orders.subscribe('ann', { prefetch: 1 }).gives('ann gets b1')
  orders.ack('ann', 'b1').gives('keep b1 acked', 'ann gets a1')
  orders.ack('ann', 'a1').gives('keep a1 acked', 'ann gets a2')
})

test('D15: a head that is delayed, retrying or unmatched blocks its group alone', () => {
  const orders = scenario({ group: 'property' })
  orders.subscribe('ann', { only: ['d1', 'd2', 'r1', 'r2', 'u2', 'm1'] })
  orders
    .publishEach([
      ['d1', { group: 'd', delay: '10s' }],
      ...of(['d2', 'd'], ['r1', 'r'], ['r2', 'r'], ['u1', 'u'], ['u2', 'u']),
    ])
    .gives('keep d1…u2', 'ann gets r1')
  orders.nack('ann', 'r1', '20s').gives('keep r1 returned, 1 tried, in 20000 ms')
  orders.publish('m1').gives('keep m1', 'ann gets m1')
  orders.at('10s').tick().gives('ann gets d1')
  orders.ack('ann', 'd1').gives('keep d1 acked', 'ann gets d2')
  orders.at('20s').tick().gives('ann gets r1 again, attempt 2')
  orders.subscribe('bob', { only: ['u1'] }).gives('bob gets u1')
  orders.ack('bob', 'u1').gives('keep u1 acked', 'ann gets u2')
})

test('D15: a head that goes to the dead letters lets the next one come', () => {
  const orders = scenario({ group: 'property', deliveriesMax: 1 })
  orders.subscribe('ann')
  orders.publishEach(of(['a1', 'a'], ['a2', 'a'], ['a3', 'a']))
  orders.nack('ann', 'a1').gives('keep queue orders.dead', 'keep a1 moved to orders.dead: deliveries', 'ann gets a2')
  orders.reject('ann', 'a2').gives('keep a2 moved to orders.dead: rejected', 'ann gets a3')
})

test('D15: the next of a group rests on the end of the one before it', () => {
  const orders = scenario({ group: 'property' })
  orders.subscribe('ann')
  orders.publishEach(of(['a1', 'a'], ['a2', 'a']))
  const subscription = orders.consumers.get('ann')!
  const { turn } = orders.holdDisk().run((turn, now) =>
    orders.broker.settle(turn, now, orders.queue, [{ subscription, deliveries: [{ first: 1, count: 1 }] }], {
      kind: 'ack',
    }),
  )
  expect(turn.effects).toMatchObject([{ kind: 'deliver', first: 2, rests: turn.number }])
})

test('D15, R1, R2: after a restart the order of a group and the attempts of its head are as they were', () => {
  const orders = scenario({ group: 'property' })
  orders.subscribe('ann')
  orders.publishEach(of(['a1', 'a'], ['a2', 'a'], ['a3', 'a'], ['b1', 'b'], ['b2', 'b']))
  orders.ack('ann', 'a1').gives('keep a1 acked', 'ann gets a2')
  orders.nack('ann', 'a2', '10s')
  orders.crash({ clean: true }).gives()
  orders.subscribe('bob').gives('bob gets b1')
  orders.at('10s').tick().gives('bob gets a2 again, attempt 2')
  orders.ack('bob', 'a2').gives('keep a2 acked', 'bob gets a3')
})

test('D15, D16: one that waits in its group expires where it is, and so does a whole group at once', () => {
  const orders = scenario({ group: 'property', deadLetter: 'drop' })
  orders.subscribe('ann')
  orders.publishEach([
    ['a1', { group: 'a' }],
    ['a2', { group: 'a', ttl: '10s' }],
    ['a3', { group: 'a' }],
  ])
  orders.at('10s').tick().gives('keep a2 expired')
  orders.ack('ann', 'a1').gives('keep a1 acked', 'ann gets a3')
  orders.disconnect('ann')
  orders.publishEach(Array.from({ length: 2_500 }, (_, k) => [`b${k}`, { group: 'b', ttl: '10s' }] as const))
  orders.at('20s')
  expect(orders.work()).toBe(3)
  expect(orders.queue.head).toMatchObject({ expired: 2_501, live: 1 })
})

test('D15, B4: groups do not cross a barrier', () => {
  const orders = scenario({ group: 'property' })
  orders.publishEach(of(['a1', 'a'], ['a2', 'a']))
  orders.barrier('eof')
  orders.publishEach(of(['a3', 'a']))
  orders.subscribe('ann').gives('ann gets a1')
  orders.ack('ann', 'a1').gives('keep a1 acked', 'ann gets a2')
  orders
    .ack('ann', 'a2')
    .gives('keep a2 acked', 'keep eof released: clean', 'ann gets barrier eof', 'released eof', 'ann gets a3')
})

test('D15, B16: a child in a group goes behind the group of its own batch', () => {
  const orders = scenario({ group: 'property' })
  orders.publishEach(of(['root', 'r'], ['a1', 'a']))
  orders.barrier('eof')
  orders.publishEach(of(['a9', 'a']))
  orders.subscribe('ann').gives('ann gets root', 'ann gets a1')
  orders
    .ackAndCarry('ann', 'root', () => [[orders, orders.incoming(of(['child', 'a']))]])
    .gives('keep child in batch 0', 'keep root acked')
  orders.ack('ann', 'a1').gives('keep a1 acked', 'ann gets child')
  orders
    .ack('ann', 'child')
    .gives('keep child acked', 'keep eof released: clean', 'ann gets barrier eof', 'released eof', 'ann gets a9')
})

test('D15, B13: groups that are carried stand in front of those of the next batch, and what is out stays out', () => {
  const orders = scenario({ group: 'property' })
  orders.publishEach(of(['a1', 'a'], ['a2', 'a']))
  orders.barrier('eof')
  orders.publishEach([['b1', { group: 'b', delay: '60s' }], ...of(['a3', 'a'], ['a4', 'a'], ['b2', 'b'])])
  orders.subscribe('ann').gives('ann gets a1')
  orders
    .cancel('eof')
    .gives(
      'keep barrier eof ended: cancelled, carry',
      'keep eof released: cancelled',
      'ann gets barrier eof',
      'released eof',
    )
  expect(progressOf(orders.queue.head, orders.now)).toMatchObject({ published: 6, leased: 1, ready: 4, delayed: 1 })
  for (const [label, next] of [
    ['a1', 'a2'],
    ['a2', 'a3'],
    ['a3', 'a4'],
  ] as const)
    orders.ack('ann', label).gives(`keep ${label} acked`, `ann gets ${next}`)
  orders.crash({ clean: true })
  orders.subscribe('bob').gives('bob gets a4')
  orders.at('60s').tick().gives('bob gets b1')
})

test('B17: the states of a batch sum to what was published, with groups too', () => {
  const orders = scenario({ group: 'property' })
  orders.subscribe('ann')
  orders.publishEach(of(['a1', 'a'], ['a2', 'a'], ['a3', 'a']))
  expect(progressOf(orders.queue.head, orders.now)).toMatchObject({ published: 3, leased: 1, ready: 2, delayed: 0 })
})
