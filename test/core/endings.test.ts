import { expect, test } from 'vitest'
import { progressOf } from '../../src/core/snapshot.ts'
import { scenario } from '../support/scenario.ts'

test('B13: at its deadline a batch ends, and its rest joins the next one in its place, with its leases', () => {
  const orders = scenario()
  orders.publish('m1', 'm2', 'm3')
  orders.barrier('eof', { deadline: '10s' }).gives('keep barrier eof, for 10000 ms')
  orders.publish('m4')
  orders.subscribe('ann', { prefetch: 2 }).gives('ann gets m1 m2')
  orders.ack('ann', 'm1').gives('keep m1 acked', 'ann gets m3')
  orders.release('ann', 'm3')
  orders.at('9999ms').tick().gives()
  orders
    .at('10s')
    .tick()
    .gives(
      'keep barrier eof ended: expired, carry',
      'keep eof released: expired',
      'ann gets barrier eof',
      'released eof',
    )
  expect(orders.queue.barriers.find('eof')).toMatchObject({ stats: { published: 1, acked: 1, carried: 0 } })
  expect(progressOf(orders.queue.head, orders.now)).toMatchObject({ published: 3, leased: 2, ready: 1 })
  orders.ack('ann', 'm2').gives('keep m2 acked', 'ann gets m4')
  orders.nack('ann', 'm3').gives('keep m3 returned, 1 tried', 'ann gets m3 again, attempt 2')
  expect(orders.batchOf('ann', 'm3')).toBe(1)
  orders.ack('ann', 'm3')
  orders.ack('ann', 'm4')
  orders.barrier('next')
  expect(orders.queue.barriers.find('next')).toMatchObject({
    outcome: 'clean',
    stats: { published: 3, acked: 3, carried: 2 },
  })
})

test('B13: what is carried shows the next number after a crash too, and over two carries', () => {
  const orders = scenario()
  orders.publish('m1')
  orders.barrier('b0')
  orders.publish('m2')
  orders.barrier('b1')
  orders.publish('m3')
  orders
    .cancel('b0', 'carry')
    .gives('keep barrier b0 ended: cancelled, carry', 'keep b0 released: cancelled', 'released b0')
  orders.crash().gives()
  orders
    .cancel('b1', 'carry')
    .gives('keep barrier b1 ended: cancelled, carry', 'keep b1 released: cancelled', 'released b1')
  orders.crash().gives()
  orders.subscribe('ann').gives('ann gets m1 again', 'ann gets m2 again', 'ann gets m3 again')
  expect(['m1', 'm2', 'm3'].map(label => orders.batchOf('ann', label))).toEqual([2, 2, 2])
  expect(orders.queue.head).toMatchObject({ published: 3, carried: 2, live: 3 })
})

test('B13: a carry past a batch that was carried on itself goes to the one behind it', () => {
  const orders = scenario()
  for (const [label, name] of [
    ['m1', 'b0'],
    ['m2', 'b1'],
    ['m3', 'b2'],
  ] as const) {
    orders.publish(label)
    orders.barrier(name)
  }
  orders.cancel('b1', 'carry').gives('keep barrier b1 ended: cancelled, carry')
  orders
    .cancel('b0', 'carry')
    .gives(
      'keep barrier b0 ended: cancelled, carry',
      'keep b0 released: cancelled',
      'keep b1 released: cancelled',
      'released b0',
      'released b1',
    )
  expect(orders.queue.head).toMatchObject({ number: 2, published: 3, carried: 2 })
  orders.crash({ clean: true })
  orders.subscribe('ann').gives('ann gets m1', 'ann gets m2', 'ann gets m3')
  expect(orders.batchOf('ann', 'm1')).toBe(2)
})

test('B13: a drop ends leases with lease-lost, and the barrier comes after the last', () => {
  const orders = scenario()
  orders.publish('m1', 'm2', 'm3')
  orders.barrier('eof')
  orders.publish('m4')
  orders.subscribe('ann', { prefetch: 2 }).gives('ann gets m1 m2')
  orders.nack('ann', 'm2', '60s')
  orders.cancel('eof', 'drop').gives('keep barrier eof ended: cancelled, drop')
  orders
    .tick()
    .gives(
      'keep m2 dropped',
      'keep m1 dropped',
      'keep m3 dropped',
      'keep eof released: cancelled',
      'ann lost m1',
      'ann lost m3',
      'ann gets barrier eof',
      'released eof',
      'ann gets m4',
    )
  orders.ack('ann', 'm1').gives('m1 is lease-lost')
})

test('B13: the rest goes in turns of at most 1,000, nothing of it is delivered meanwhile, and a crash goes on', () => {
  for (const rest of ['drop', 'dead-letter'] as const) {
    const orders = scenario()
    orders.publishMany(2_500)
    orders.barrier('eof', { deadline: '10s', rest })
    orders.publish('behind')
    orders.at('10s').tick()
    const batch = () => orders.queue.head
    expect([batch().number, batch().live]).toEqual([0, 1_500])
    orders.subscribe('ann').gives()
    orders.tick()
    expect([batch().number, batch().live]).toEqual([0, 500])
    orders.holdDisk().tick()
    expect(batch().number).toBe(1)
    orders.crash()
    orders.commit()
    expect([batch().number, batch().live]).toEqual([0, 500])
    orders.subscribe('bob').gives()
    const lines = orders.tick().lines
    expect(lines.slice(rest === 'drop' ? 1 : 500)).toEqual([
      'keep eof released: expired',
      'bob gets barrier eof',
      'released eof',
      'bob gets behind again',
    ])
    const { stats } = orders.queue.barriers.find('eof') as never as { stats: object }
    expect(stats).toMatchObject({
      published: 2_500,
      acked: 0,
      dead: rest === 'drop' ? 0 : 2_500,
      dropped: rest === 'drop' ? 2_500 : 0,
    })
    const dead = orders.broker.queue('orders.dead')
    expect(dead?.messages ?? 0).toBe(rest === 'drop' ? 0 : 2_500)
    if (rest === 'dead-letter') expect(dead?.head.ready.first?.origin).toMatchObject({ reason: 'batch-expired' })
  }
})

test('B13: leases and delays of more than 1,000 messages go in turns as well', () => {
  const orders = scenario()
  orders.subscribe('ann', { prefetch: 1_500 })
  orders.publishMany(1_500)
  orders.barrier('eof')
  orders.cancel('eof', 'drop')
  orders.tick().gives('keep orders#1…orders#1000 dropped', 'ann lost 1000 deliveries')
  orders
    .tick()
    .gives(
      'keep orders#1001…orders#1500 dropped',
      'keep eof released: cancelled',
      'ann lost 500 deliveries',
      'ann gets barrier eof',
      'released eof',
    )
})

test('B13: one long ending does not keep other queues from what is due', () => {
  const orders = scenario()
  const other = orders.on('other', { leaseMs: 10_000 })
  other.subscribe('bob', { prefetch: 1 })
  other.publish('x1')
  orders.publishMany(3_000)
  orders.barrier('eof')
  orders.at('10s').cancel('eof', 'drop')
  expect(orders.tick().lines).toContain('bob lost x1')
  expect(orders.queue.head.live).toBe(2_000)
})

test('B13: a deadline can be extended before it has passed, also over a crash, and not after', () => {
  const orders = scenario()
  orders.publish('m1')
  orders.barrier('eof', { deadline: '10s' })
  orders.at('9s').extendBarrier('eof', '20s').gives('keep barrier eof, for 11000 ms')
  orders.crash()
  orders.at('19999ms').tick().gives()
  orders.at('20s').tick().gives('keep barrier eof ended: expired, carry', 'keep eof released: expired', 'released eof')
  orders.extendBarrier('eof', '30s').gives('refused: barrier-exists')
  orders.extendBarrier('nobody', '30s').gives('refused: no-such-barrier')
})

test('B13: a batch that is ended is not ended again, nor put off', () => {
  const orders = scenario()
  orders.publish('m1')
  orders.barrier('b0')
  orders.publish('m2')
  orders.barrier('b1')
  orders.cancel('b1', 'drop').gives('keep barrier b1 ended: cancelled, drop')
  orders.cancel('b1', 'carry').gives('refused: invalid-request')
  orders.extendBarrier('b1', '30s').gives('refused: invalid-request')
  orders.cancel('@2').gives('keep barrier b0 ended: cancelled, carry', 'keep b0 released: cancelled', 'released b0')
})

test('B13: barriers do not expire by expiration', () => {
  const orders = scenario({ expirationMs: 10_000, deadLetter: 'drop' })
  orders.subscribe('ann')
  orders.publish('m1')
  orders.barrier('eof')
  orders.at('60s').tick().gives()
  orders.ack('ann', 'm1').gives('keep m1 acked', 'keep eof released: clean', 'ann gets barrier eof', 'released eof')
})

test('B13: with on_dead = fail a dead letter ends its batch, before or after its barrier was published', () => {
  const orders = scenario({ onDead: 'fail', deadlineRest: 'drop' })
  orders.subscribe('ann', { prefetch: 2 })
  orders.publish('m1', 'm2', 'm3')
  orders.barrier('eof')
  orders
    .reject('ann', 'm1')
    .gives('keep queue orders.dead', 'keep m1 moved to orders.dead: rejected', 'keep barrier eof ended: failed, drop')
  orders
    .tick()
    .gives(
      'keep m3 dropped',
      'keep m2 dropped',
      'keep eof released: failed',
      'ann lost m2',
      'ann gets barrier eof',
      'released eof',
    )
  orders.publish('m4')
  orders.reject('ann', 'm4').gives('keep m4 moved to orders.dead: rejected')
  orders
    .barrier('next')
    .gives(
      'keep barrier next',
      'keep barrier next ended: failed, drop',
      'keep next released: failed',
      'ann gets barrier next',
      'released next',
    )
})

test('B13: a connection that ends with the last attempt of one message carries all of the rest', () => {
  const orders = scenario({ onDead: 'fail', deliveriesMax: 1 })
  orders.subscribe('ann')
  orders.publish('m1', 'm2', 'm3')
  orders.barrier('eof')
  orders
    .disconnect('ann')
    .gives(
      'keep queue orders.dead',
      'keep m1 moved to orders.dead: deliveries',
      'keep m2 m3 returned, 0 tried',
      'keep barrier eof ended: failed, carry',
      'keep eof released: failed',
      'released eof',
    )
  expect(orders.queue.head).toMatchObject({ number: 1, published: 2, carried: 2, live: 2 })
})

test('B13: an ack of an ended batch counts as long as its lease was not taken', () => {
  const orders = scenario()
  orders.subscribe('ann')
  orders.publish('m1')
  orders.barrier('eof')
  orders.cancel('eof', 'drop')
  orders.ack('ann', 'm1').gives('keep m1 acked', 'keep eof released: cancelled', 'ann gets barrier eof', 'released eof')
})

test('B12: the five outcomes', () => {
  const outcome = (options: object, act: (orders: ReturnType<typeof scenario>) => unknown) => {
    const orders = scenario(options)
    orders.subscribe('ann')
    orders.publish('m1')
    orders.barrier('eof', { deadline: '60s' })
    act(orders)
    orders.work()
    return orders.queue.barriers.find('eof')
  }
  expect(outcome({}, orders => orders.ack('ann', 'm1'))).toMatchObject({ outcome: 'clean' })
  expect(outcome({}, orders => orders.reject('ann', 'm1'))).toMatchObject({ outcome: 'with-dead' })
  expect(outcome({ onDead: 'fail' }, orders => orders.reject('ann', 'm1'))).toMatchObject({ outcome: 'failed' })
  expect(outcome({}, orders => orders.cancel('eof'))).toMatchObject({ outcome: 'cancelled' })
  expect(outcome({}, orders => orders.at('60s').tick())).toMatchObject({ outcome: 'expired' })
})

test('A6: a purge ends the waiting batches in order, then takes what is ready and delayed; what is leased stays', () => {
  const orders = scenario()
  orders.publish('m1')
  orders.barrier('b0')
  orders.publish('m2')
  orders.barrier('b1')
  orders.publishEach([
    ['m3', {}],
    ['m4', {}],
    ['m5', { delay: '60s' }],
  ])
  orders.subscribe('ann', { prefetch: 1, only: ['m1', 'm3', 'b0', 'b1'] }).gives('ann gets m1')
  orders
    .purge()
    .gives(
      'keep barrier b0 ended: cancelled, drop',
      'keep barrier b1 ended: cancelled, drop',
      'keep m1 dropped',
      'keep m2 dropped',
      'keep m3 m4 purged',
      'keep m5 purged',
      'keep b0 released: cancelled',
      'keep b1 released: cancelled',
      'purged 5',
      'ann lost m1',
      'ann gets barrier b0',
      'released b0',
      'ann gets barrier b1',
      'released b1',
    )
  orders.publish('m3')
  orders.purge().gives('purged 0')
  orders.purge(orders.queue.nextSequence, true).gives('keep m3 purged', 'purged 1', 'ann lost m3')
})

test('A6: a purge goes in turns, and leaves alone what came after it began', () => {
  const orders = scenario()
  orders.publishMany(1_200)
  orders.barrier('b0')
  orders.publishMany(300)
  const below = orders.queue.nextSequence
  orders
    .purge(below)
    .gives('keep barrier b0 ended: cancelled, drop', 'keep orders#1…orders#1000 dropped', 'purged 1000, and goes on')
  orders.publish('new')
  orders.barrier('b1').gives('keep barrier b1')
  orders
    .purge(below)
    .gives(
      'keep orders#1001…orders#1200 dropped',
      'keep orders#1202…orders#1501 purged',
      'keep b0 released: cancelled',
      'purged 500',
      'released b0',
    )
  expect(orders.queue.head).toMatchObject({ number: 1, live: 1, published: 301, dropped: 300 })
})

test('B13: of two long endings one turn carries out a step of one', () => {
  const orders = scenario()
  const other = orders.on('other')
  for (const queue of [orders, other]) {
    queue.publishMany(1_000)
    queue.barrier('eof')
    queue.cancel('eof', 'drop')
  }
  const left = () => orders.queue.messages + other.queue.messages
  orders.tick()
  expect(left()).toBe(1_000)
  orders.tick()
  expect(left()).toBe(0)
})
