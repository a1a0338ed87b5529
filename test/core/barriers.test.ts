import { expect, test } from 'vitest'
import type { WaitingBarrier } from '../../src/core/barriers.ts'
import { holdouts, progressOf, viewBarrier } from '../../src/core/snapshot.ts'
import { scenario } from '../support/scenario.ts'

test('B1: a name is used once as long as its barrier waits or its record is kept', () => {
  const orders = scenario({ barrierRecords: 1 })
  orders.publish('m1')
  orders.barrier('eof').gives('keep barrier eof')
  orders.barrier('eof').gives('refuse eof: barrier-exists')
  orders.subscribe('ann')
  orders.ack('ann', 'm1').gives('keep m1 acked', 'keep eof released: clean', 'ann gets barrier eof', 'released eof')
  orders.barrier('eof').gives('refuse eof: barrier-exists')
  orders
    .barrier('next')
    .gives(
      'keep barrier next',
      'keep next released: clean',
      'keep barrierForgotten',
      'ann gets barrier next',
      'released next',
    )
  orders
    .barrier('eof')
    .gives(
      'keep barrier eof',
      'keep eof released: clean',
      'keep barrierForgotten',
      'ann gets barrier eof',
      'released eof',
    )
})

test('B2: a barrier opens when everything before it is done, whether or not anybody is subscribed', () => {
  const orders = scenario()
  orders.subscribe('ann')
  orders.publish('m1', 'm2')
  orders.barrier('eof').gives('keep barrier eof')
  orders.ack('ann', 'm2').gives('keep m2 acked')
  orders.ack('ann', 'm1').gives('keep m1 acked', 'keep eof released: clean', 'ann gets barrier eof', 'released eof')
  orders.unsubscribe('ann')
  orders.barrier('empty').gives('keep barrier empty', 'keep empty released: clean', 'released empty')
})

test('B2: a message that is ready, leased, or waits for a retry holds the barrier', () => {
  const orders = scenario()
  orders.publish('m1')
  orders.barrier('eof').gives('keep barrier eof')
  orders.subscribe('ann', { prefetch: 1 }).gives('ann gets m1')
  orders.nack('ann', 'm1', '10s').gives('keep m1 returned, 1 tried, in 10000 ms')
  orders.at('10s').tick().gives('ann gets m1 again, attempt 2')
  orders.ack('ann', 'm1').gives('keep m1 acked', 'keep eof released: clean', 'ann gets barrier eof', 'released eof')
})

test('B4: nothing behind a barrier goes to anybody before it is released, also not to those who do not match it', () => {
  const orders = scenario()
  orders.publish('m1')
  orders.barrier('eof')
  orders.publish('m2')
  orders.subscribe('ann', { only: ['m1', 'eof'] }).gives('ann gets m1')
  orders.subscribe('bob', { only: ['m2'] }).gives()
  orders
    .ack('ann', 'm1')
    .gives('keep m1 acked', 'keep eof released: clean', 'ann gets barrier eof', 'released eof', 'bob gets m2')
})

test('B4: priority never crosses a barrier', () => {
  const orders = scenario({ priority: 'property' })
  orders.publishEach([['low', { priority: 1 }]])
  orders.barrier('eof')
  orders.publishEach([['high', { priority: 9 }]])
  orders.subscribe('ann', { prefetch: 5 }).gives('ann gets low')
})

test('B5: it goes to every subscription that matches, once, whatever their credit', () => {
  const orders = scenario()
  orders.subscribe('ann', { prefetch: 1 })
  orders.subscribe('bob', { prefetch: 0 })
  orders.subscribe('cyd', { only: ['eof'] })
  orders.subscribe('dan', { only: ['m1'] })
  orders.publish('m1')
  orders.barrier('eof')
  orders
    .ack('ann', 'm1')
    .gives(
      'keep m1 acked',
      'keep eof released: clean',
      'ann gets barrier eof',
      'bob gets barrier eof',
      'cyd gets barrier eof',
      'released eof',
    )
  expect(orders.consumers.get('ann')?.used).toBe(0)
})

test('B6: a released barrier is not delivered again', () => {
  const orders = scenario()
  orders.subscribe('ann')
  orders.barrier('eof').gives('keep barrier eof', 'keep eof released: clean', 'ann gets barrier eof', 'released eof')
  orders.disconnect('ann').gives()
  orders.subscribe('bob').gives()
})

test('B7: in one subscription the barrier comes after its batch and before what is behind it', () => {
  const orders = scenario()
  orders.publish('m1')
  orders.barrier('eof')
  orders.publish('m2')
  orders.subscribe('ann').gives('ann gets m1')
  orders
    .ack('ann', 'm1')
    .gives('keep m1 acked', 'keep eof released: clean', 'ann gets barrier eof', 'released eof', 'ann gets m2')
})

test('B8: a barrier with nothing before it opens at once, also as the first thing in a queue', () => {
  scenario().barrier('eof').gives('keep barrier eof', 'keep eof released: clean', 'released eof')
})

test('B8: adjacent barriers are released one after another, in order', () => {
  const orders = scenario()
  orders.subscribe('ann')
  orders.publish('m1')
  for (const name of ['b1', 'b2', 'b3']) orders.barrier(name).gives(`keep barrier ${name}`)
  orders
    .ack('ann', 'm1')
    .gives(
      'keep m1 acked',
      'keep b1 released: clean',
      'keep b2 released: clean',
      'keep b3 released: clean',
      'ann gets barrier b1',
      'released b1',
      'ann gets barrier b2',
      'released b2',
      'ann gets barrier b3',
      'released b3',
    )
})

test('B9: the barrier and what stands behind it rest on the turn of the release', () => {
  const orders = scenario()
  orders.subscribe('ann')
  orders.publish('m1')
  orders.barrier('eof')
  orders.publish('m2')
  const { turn } = orders
    .holdDisk()
    .run((turn, now) =>
      orders.broker.settle(
        turn,
        now,
        orders.queue,
        [{ subscription: orders.consumers.get('ann')!, deliveries: [{ first: 1, count: 1 }] }],
        { kind: 'ack' },
      ),
    )
  expect(turn.effects.map(({ kind, rests }) => [kind, rests])).toEqual([
    ['barrier', turn.number],
    ['released', turn.number],
    ['deliver', turn.number],
  ])
})

test('B9: after a crash before the ack was on disk the barrier waits, and the message comes again', () => {
  const orders = scenario()
  orders.publish('m1')
  orders.barrier('eof')
  orders.publish('m2')
  orders.subscribe('ann').gives('ann gets m1')
  orders.holdDisk().ack('ann', 'm1')
  orders.crash().gives()
  orders.commit()
  orders.subscribe('bob').gives('bob gets m1 again')
  orders
    .ack('bob', 'm1')
    .gives('keep m1 acked', 'keep eof released: clean', 'bob gets barrier eof', 'released eof', 'bob gets m2 again')
})

test('B9, B10: after a crash a release that is on disk stays, with its record, and nothing of its batch comes again', () => {
  const orders = scenario()
  orders.subscribe('ann')
  orders.publish('m1')
  orders.barrier('eof')
  orders.publish('m2')
  orders.ack('ann', 'm1')
  orders.crash()
  expect(orders.queue.barriers.find('eof')).toMatchObject({ outcome: 'clean', stats: { published: 1, acked: 1 } })
  orders.subscribe('bob').gives('bob gets m2 again')
})

test('B10: a record is found by name and by sequence number', () => {
  const orders = scenario()
  orders.publish('m1')
  orders.barrier('eof')
  expect(orders.queue.barriers.find('@2')).toMatchObject({ name: 'eof', sequence: 2 })
  expect(orders.queue.barriers.find('@3')).toBeUndefined()
  expect(orders.queue.barriers.find('@nonsense')).toBeUndefined()
})

test('B11: who was away first gets the barriers that closed its batch and later ones, marked as replayed', () => {
  const orders = scenario()
  for (const name of ['b0', 'b1', 'b2']) orders.barrier(name)
  orders.publish('m1')
  orders
    .subscribe('ann', { afterBatch: 1 })
    .gives('ann gets barrier b1, replayed', 'ann gets barrier b2, replayed', 'ann gets m1')
  orders.subscribe('bob', { afterBatch: 3 }).gives()
  orders.subscribe('cyd', { afterBatch: 0, only: ['b1'] }).gives('cyd gets barrier b1, replayed')
})

test('B11: who was away longer than records are kept is told how many are gone', () => {
  const orders = scenario({ barrierRecords: 2 })
  for (const name of ['b0', 'b1', 'b2', 'b3']) orders.barrier(name)
  orders
    .subscribe('ann', { afterBatch: 0 })
    .gives('ann missed 2', 'ann gets barrier b2, replayed', 'ann gets barrier b3, replayed')
})

test('B12: the outcome tells of dead letters, and the statistics of everything', () => {
  const orders = scenario()
  orders.subscribe('ann')
  orders.publish('m1', 'm2', 'm3')
  orders.reject('ann', 'm1')
  orders.at('1s').ack('ann', 'm2', 'm3')
  orders
    .barrier('eof')
    .gives('keep barrier eof', 'keep eof released: with-dead', 'ann gets barrier eof', 'released eof')
  expect(orders.queue.barriers.find('eof')).toMatchObject({
    outcome: 'with-dead',
    stats: {
      published: 3,
      acked: 2,
      dead: 1,
      expired: 0,
      dropped: 0,
      carried: 0,
      firstPublishedAt: orders.at('0s').now,
      lastSettledAt: orders.at('1s').now,
    },
  })
})

test('B3, B12: the statistics of a batch are exact after a crash', () => {
  const orders = scenario()
  orders.subscribe('ann')
  orders.publish('m1', 'm2', 'm3')
  orders.ack('ann', 'm1')
  orders.crash()
  orders.subscribe('bob')
  orders.ack('bob', 'm2', 'm3')
  orders.barrier('eof')
  expect(orders.queue.barriers.find('eof')).toMatchObject({ stats: { published: 3, acked: 3 } })
})

test('B3: what decides is what is live, not what was counted', () => {
  const orders = scenario()
  orders.subscribe('ann')
  orders.publish('m1', 'm2')
  orders.barrier('eof')
  orders.queue.head.acked = 17
  orders.queue.head.published = 3
  orders.ack('ann', 'm1').gives('keep m1 acked')
  orders.ack('ann', 'm2').gives('keep m2 acked', 'keep eof released: clean', 'ann gets barrier eof', 'released eof')
})

test('B16: work that makes work is part of the batch, in front of its barrier, however late and deep', () => {
  const orders = scenario()
  orders.publish('root')
  orders.barrier('eof')
  orders.publish('tomorrow')
  orders.subscribe('ann', { prefetch: 1 }).gives('ann gets root')
  orders
    .ackAndPublish('ann', 'root', 'orders', 'child')
    .gives('keep child in batch 0', 'keep root acked', 'ann gets child')
  orders
    .ackAndPublish('ann', 'child', 'orders', 'grandchild')
    .gives('keep grandchild in batch 0', 'keep child acked', 'ann gets grandchild')
  orders
    .ack('ann', 'grandchild')
    .gives(
      'keep grandchild acked',
      'keep eof released: clean',
      'ann gets barrier eof',
      'released eof',
      'ann gets tomorrow',
    )
})

test('B16: a fan-out of unknown depth is done when its last leaf is', () => {
  const orders = scenario()
  orders.publish('1')
  orders.barrier('eof')
  orders.subscribe('ann', { prefetch: 1 })
  let count = 1
  for (let next = 1; next < 64; next += 1) {
    expect(orders.queue.barriers.find('eof')).not.toHaveProperty('outcome')
    if (count < 63) {
      orders.ackAndPublish('ann', `${next}`, 'orders', `${2 * next}`, `${2 * next + 1}`)
      count += 2
    } else if (next <= 63) orders.ack('ann', `${next}`)
  }
  expect(orders.queue.barriers.find('eof')).toMatchObject({ outcome: 'clean', stats: { published: 63, acked: 63 } })
})

test('B17: the states of a batch always sum to what was published', () => {
  const orders = scenario()
  orders.subscribe('ann', { prefetch: 3 })
  orders.publish('m1', 'm2', 'm3', 'm4', 'm5')
  orders.barrier('eof')
  orders.ack('ann', 'm1')
  orders.reject('ann', 'm2')
  orders.nack('ann', 'm3', '10s')
  expect(progressOf(orders.queue.head, orders.now)).toMatchObject({
    published: 5,
    acked: 1,
    dead: 1,
    delayed: 1,
    leased: 2,
    ready: 0,
  })
  expect(viewBarrier(orders.queue, orders.queue.barriers.find('eof') as WaitingBarrier, orders.now)).toMatchObject({
    state: 'waiting',
    batch: 0,
    sequence: 6,
  })
})

test('B17: the rate and what is left tell when it will be done', () => {
  const orders = scenario()
  orders.subscribe('ann', { prefetch: 1 })
  orders.publish(...Array.from({ length: 20 }, (_, k) => `m${k}`))
  for (let k = 0; k < 10; k += 1) orders.at(`${k}s`).ack('ann', `m${k}`)
  expect(progressOf(orders.queue.head, orders.at('10s').now)).toMatchObject({
    acked: 10,
    ratePerSecond: expect.closeTo(0.95, 0),
    etaMs: expect.any(Number),
  })
  expect(progressOf(orders.queue.head, orders.at('60s').now)).not.toHaveProperty('etaMs')
})

test('B17: holdouts name the messages that hold a barrier, with the reason', () => {
  const orders = scenario()
  orders.publish('m1', 'm2', 'm3', 'm4')
  orders.barrier('eof')
  orders.subscribe('ann', { prefetch: 1, only: ['m1', 'm2'] }).gives('ann gets m1')
  orders.subscribe('bob', { prefetch: 1, only: ['m3'] }).gives('bob gets m3')
  orders.nack('bob', 'm3', '10s')
  const eof = orders.queue.barriers.find('eof') as WaitingBarrier
  const now = orders.at('5s').now
  expect(holdouts(orders.queue, eof, { after: 0, limit: 10 }, now)).toEqual([
    { sequence: 1, state: 'leased', reason: 'leased', attempt: 1, holder: 1, leaseAgeMs: 5000 },
    { sequence: 2, state: 'ready', reason: 'no-credit', attempt: 1 },
    { sequence: 3, state: 'delayed', reason: 'retrying', attempt: 2 },
    { sequence: 4, state: 'ready', reason: 'no-subscription-matches', attempt: 1 },
  ])
  expect(holdouts(orders.queue, eof, { after: 1, limit: 2 }, now).map(({ sequence }) => sequence)).toEqual([2, 3])
})

test('B1: no more barriers wait than barriers_max', () => {
  const orders = scenario({ barriersMax: 2 })
  orders.publish('m1')
  orders.barrier('b1').gives('keep barrier b1')
  orders.barrier('b2').gives('keep barrier b2')
  orders.barrier('b3').gives('refuse b3: too-many-barriers')
})

test('B1: what a command costs does not grow with the barriers that wait', () => {
  const orders = scenario({ onDead: 'fail', overflow: 'drop-oldest', messagesMax: 1_000_000 })
  orders.subscribe('ann')
  orders.publish('m1', 'm2')
  for (let k = 0; k < 1_000; k += 1) orders.barrier(`b${k}`, { deadline: '1h' })
  orders.cancel('b500', 'drop')
  let looks = 0
  const batches = new Proxy(orders.queue.batches, {
    get(target, key, receiver) {
      looks += 1
      const value: unknown = Reflect.get(target, key, receiver)
      return value
    },
  })
  Object.defineProperty(orders.queue, 'batches', { value: batches })
  orders.ack('ann', 'm1').gives('keep m1 acked')
  orders.publish('m3').gives('keep m3')
  orders.nack('ann', 'm2').gives('keep m2 returned, 1 tried', 'ann gets m2 again, attempt 2')
  orders.tick().gives()
  expect(looks).toBeLessThan(50)
  Object.defineProperty(orders.queue, 'batches', { value: [...batches] })
  orders.ack('ann', 'm2')
  expect(orders.queue.barriers.waitingCount).toBe(0)
})
