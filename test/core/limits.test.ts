import { expect, test } from 'vitest'
import { scenario } from '../support/scenario.ts'

test('A7: with drop-oldest the oldest ready message makes room, whatever its priority, never a leased one', () => {
  const orders = scenario({ messagesMax: 3, overflow: 'drop-oldest', priority: 'property' })
  orders.publishEach([
    ['m1', { priority: 9 }],
    ['m2', { priority: 1 }],
    ['m3', { priority: 5 }],
  ])
  orders.subscribe('ann', { prefetch: 1 }).gives('ann gets m1')
  orders.publish('m4').gives('keep m4', 'keep m2 dropped')
  orders.publish('m5', 'm6').gives('keep m5 m6', 'keep m3 dropped', 'keep m4 dropped')
  expect(orders.queue.head).toMatchObject({ published: 6, dropped: 3, leased: 1 })
})

test('A7: what somebody takes at once pushes out nothing', () => {
  const orders = scenario({ messagesMax: 2, overflow: 'drop-oldest' })
  orders.publish('m1', 'm2')
  orders.subscribe('ann', { prefetch: 1 })
  orders.ackAndPublish('ann', 'm1', 'orders', 'm3').gives('keep m3', 'keep m1 acked', 'ann gets m2')
})

test('A7: with dead-letter-oldest it becomes a dead letter, and a dead-letter queue keeps its own limit', () => {
  const orders = scenario({ messagesMax: 1, overflow: 'dead-letter-oldest', deadLetter: 'morgue' })
  orders.on('morgue').update({ messagesMax: 1, overflow: 'drop-oldest' })
  orders.publish('m1')
  orders.publish('m2').gives('keep m2', 'keep m1 moved to morgue: overflow')
  orders.publish('m3').gives('keep m3', 'keep m2 moved to morgue: overflow', 'keep m1 dropped')
  orders.crash()
  expect([orders.queue.messages, orders.on('morgue').queue.messages]).toEqual([1, 1])
})

test('A7: what is pushed out may open a barrier', () => {
  const orders = scenario({ messagesMax: 1, overflow: 'drop-oldest' })
  orders.publish('m1')
  orders.barrier('eof')
  orders.publish('m2').gives('keep m2', 'keep m1 dropped', 'keep eof released: with-dead', 'released eof')
})

test('A7: bytes_max pushes out as many as it takes', () => {
  const orders = scenario({ bytesMax: 30, overflow: 'drop-oldest' })
  orders.publish('m1', 'm2', 'm3')
  orders.publishEach([['large', { bytes: 15 }]]).gives('keep large', 'keep m1 m2 dropped')
  expect(orders.queue.bytes).toBe(25)
})

test('A7: one that waits in its group can be pushed out, the head that is out cannot', () => {
  const orders = scenario({ messagesMax: 2, overflow: 'drop-oldest', group: 'property' })
  orders.subscribe('ann', { prefetch: 1 })
  const of = (label: string) => [[label, { group: 'g' }]] as const
  for (const label of ['g1', 'g2']) orders.publishEach(of(label))
  orders.publishEach(of('g3')).gives('keep g3', 'keep g2 dropped')
  orders.ack('ann', 'g1').gives('keep g1 acked', 'ann gets g3')
})

test('A7: there is room for what fits beside all that cannot be pushed out', () => {
  const orders = scenario({ messagesMax: 2, bytesMax: 50, overflow: 'drop-oldest' })
  const room = () => orders.queue.room
  expect(room()).toEqual({ messages: 2, bytes: 50, isShared: true })
  orders.publish('m1', 'm2')
  expect(room()).toEqual({ messages: 2, bytes: 50, isShared: true })
  orders.subscribe('ann', { prefetch: 1 })
  expect(room()).toEqual({ messages: 1, bytes: 40, isShared: true })
  orders.change('ann', { prefetch: 2 })
  expect(room()).toEqual({ messages: 0, bytes: 30, isShared: true })
  const plain = scenario({ messagesMax: 2 })
  plain.publish('m1')
  expect(plain.queue.room).toEqual({ messages: 1, bytes: Number.POSITIVE_INFINITY, isShared: false })
})

test('A7: dead letters and what an ack carries are counted, and never refused', () => {
  const orders = scenario({ deadLetter: 'morgue' })
  orders.on('morgue').update({ messagesMax: 1 })
  const results = orders.on('results', { messagesMax: 1 })
  orders.subscribe('ann')
  orders.publish('m1', 'm2', 'm3')
  orders.reject('ann', 'm1')
  orders.reject('ann', 'm2').gives('keep m2 moved to morgue: rejected')
  orders.ackAndPublish('ann', 'm3', 'results', 'r1', 'r2').gives('keep r1 r2', 'keep m3 acked')
  expect([orders.on('morgue').queue.room.messages, results.queue.room.messages]).toEqual([-1, -1])
})

test('A7: a lower limit pushes out at once, more than 1,000 dead letters in turns', () => {
  const orders = scenario({ overflow: 'dead-letter-oldest' })
  orders.publishMany(2_600)
  orders.update({ messagesMax: 100 })
  expect(orders.queue.messages).toBe(1_600)
  expect(orders.work()).toBe(2)
  expect(orders.queue.messages).toBe(100)
})

test('P7: a delayed message has its place from the start, comes at its time, and holds its barrier', () => {
  const orders = scenario()
  orders.subscribe('ann')
  orders
    .publishEach([
      ['late', { delay: '10s' }],
      ['m1', {}],
    ])
    .gives('keep late m1', 'ann gets m1')
  orders.barrier('eof').gives('keep barrier eof')
  orders.ack('ann', 'm1').gives('keep m1 acked')
  orders.crash()
  orders.subscribe('bob').gives()
  orders.at('9999ms').tick().gives()
  orders.at('10s').tick().gives('bob gets late again')
  expect([orders.batchOf('bob', 'late'), orders.queue.nextSequence]).toEqual([0, 4])
  orders.ack('bob', 'late').gives('keep late acked', 'keep eof released: clean', 'bob gets barrier eof', 'released eof')
})

test('D13: filter and prefetch change in place, and what is held stays', () => {
  const orders = scenario()
  orders.publish('m1', 'm2', 'm3')
  orders.subscribe('ann', { prefetch: 1, only: ['m1', 'm2'] }).gives('ann gets m1')
  orders.change('ann', { prefetch: 2 }).gives('ann gets m2')
  orders.change('ann', { prefetch: 1, only: ['m3'] }).gives()
  orders.ack('ann', 'm1').gives('keep m1 acked')
  orders.ack('ann', 'm2').gives('keep m2 acked', 'ann gets m3')
})

test('D14: a pause stops deliveries and releases, survives a crash, and nothing else stops', () => {
  const orders = scenario({ leaseMs: 10_000, deadLetter: 'drop' })
  orders.publish('m1', 'm2')
  orders.subscribe('ann').gives('ann gets m1 m2')
  orders.pause().gives()
  orders.publishEach([['short', { ttl: '5s' }]]).gives('keep short')
  orders.barrier('eof', { deadline: '20s' }).gives('keep barrier eof, for 20000 ms')
  orders.ack('ann', 'm1').gives('keep m1 acked')
  orders.at('5s').tick().gives('keep short expired')
  orders.at('10s').tick().gives('keep m2 returned, 1 tried', 'ann lost m2')
  orders.crash().gives()
  orders.subscribe('bob').gives()
  orders.at('20s').tick().gives('keep barrier eof ended: expired, carry')
  orders
    .pause(false)
    .gives('keep eof released: expired', 'bob gets barrier eof', 'released eof', 'bob gets m2 again, attempt 2')
})

test('D7: with acks = any a late ack counts if nobody settled it since, and who has it hears lease-lost', () => {
  const orders = scenario({ acks: 'any', leaseMs: 10_000 })
  orders.publish('m1', 'm2', 'm3')
  orders.subscribe('ann').gives('ann gets m1 m2 m3')
  orders.subscribe('bob', { prefetch: 1 })
  orders.at('10s').change('ann', { prefetch: 0 })
  orders.tick().gives('keep m1 m2 m3 returned, 1 tried', 'ann lost m1 m2 m3', 'bob gets m1 again, attempt 2')
  orders.ack('ann', 'm1').gives('keep m1 acked', 'bob lost m1', 'bob gets m2 again, attempt 2')
  orders.ack('bob', 'm1').gives('m1 is already-settled')
  orders.ack('ann', 'm3').gives('keep m3 acked')
  orders.ack('bob', 'm2').gives('keep m2 acked')
  orders.ack('ann', 'm2').gives('m2 is already-settled')
})

test('D7: a late nack is lease-lost under any as well', () => {
  const orders = scenario({ acks: 'any', leaseMs: 10_000 })
  orders.publish('m1')
  orders.subscribe('ann')
  orders.at('10s').tick()
  orders.disconnect('ann')
  orders.subscribe('bob')
  orders.at('20s').tick()
  orders.change('bob', { prefetch: 0 })
  orders.at('30s').tick()
  orders.nack('bob', 'm1').gives('m1 is lease-lost')
})

test('R1: options that change count from then on, and reclassify nothing that waits', () => {
  const orders = scenario({ priority: 'property', deliveriesMax: 3 })
  orders.subscribe('ann', { prefetch: 2 })
  orders.publishEach([
    ['m1', { priority: 1 }],
    ['m2', { priority: 2 }],
    ['m3', { priority: 3 }],
  ])
  orders.update({ prefetchMax: 1, deliveriesMax: 1, leaseMs: 10_000, expirationMs: 1_000, fairness: 'fast' }).gives()
  orders.ack('ann', 'm3').gives('keep m3 acked')
  orders.at('1s').tick().gives()
  orders.nack('ann', 'm2').gives('keep queue orders.dead', 'keep m2 moved to orders.dead: deliveries', 'ann gets m1')
  expect(orders.broker.nextDeadline).toBe(orders.at('11s').now)
})

test('D1: unacked_max and a larger prefetch let out at once what waited for them', () => {
  const orders = scenario({ unackedMax: 1 })
  orders.subscribe('ann')
  orders.publish('m1', 'm2', 'm3').gives('keep m1 m2 m3', 'ann gets m1')
  orders.update({ unackedMax: 2 }).gives('ann gets m2')
})

test('A7: the oldest goes, whether it is ready or waits in its group', () => {
  const orders = scenario({ messagesMax: 3, overflow: 'drop-oldest', group: 'property' })
  orders.subscribe('ann', { prefetch: 1 })
  orders.publishEach([
    ['g1', { group: 'g' }],
    ['g2', { group: 'g' }],
    ['m3', {}],
  ])
  orders.publish('m4').gives('keep m4', 'keep g2 dropped')
  orders.publishEach([['g5', { group: 'g' }]]).gives('keep g5', 'keep m3 dropped')
})

test('D16: more messages than one turn expires do not go out meanwhile', () => {
  const orders = scenario({ expirationMs: 10_000, deadLetter: 'drop' })
  orders.publishMany(2_500)
  orders.at('10s').subscribe('ann').gives('keep orders#1…orders#1000 expired')
  expect(orders.work()).toBe(2)
  expect(orders.queue.head).toMatchObject({ expired: 2_500, leased: 0 })
})
