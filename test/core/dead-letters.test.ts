import { expect, test } from 'vitest'
import { scenario } from '../support/scenario.ts'

test('A5: requeued to its origin it has a new sequence number, its priority and group, and its attempts begin anew', () => {
  const orders = scenario({ priority: 'property', group: 'property', deliveriesMax: 2 })
  orders.publishEach([
    ['m1', { priority: 7, group: 'g' }],
    ['m2', { priority: 7, group: 'g' }],
  ])
  orders.subscribe('ann')
  orders.nack('ann', 'm1')
  orders.nack('ann', 'm1').gives('keep queue orders.dead', 'keep m1 moved to orders.dead: deliveries', 'ann gets m2')
  orders.on('orders.dead').requeue().gives('keep m1 moved to orders: requeued')
  orders.publishEach([['m3', { priority: 1 }]]).gives('keep m3', 'ann gets m3')
  orders.ack('ann', 'm2').gives('keep m2 acked', 'ann gets m1')
  expect(orders.queue.nextSequence).toBe(5)
  expect([...orders.consumers.get('ann')!.held]).toMatchObject([
    {},
    { run: { first: 3, priority: 7, group: 'g', attempts: 0 } },
  ])
})

test('A5, B16: while its barrier waits it goes back into its batch, and acked it counts as acked', () => {
  const orders = scenario()
  orders.subscribe('ann')
  orders.publish('m1', 'm2')
  orders.barrier('eof')
  orders.reject('ann', 'm1')
  orders.on('orders.dead').requeue().gives('keep m1 moved to orders: requeued', 'ann gets m1')
  expect(orders.batchOf('ann', 'm1')).toBe(0)
  orders.ack('ann', 'm2')
  orders.crash().gives()
  orders.subscribe('bob').gives('bob gets m1 again')
  orders.ack('bob', 'm1').gives('keep m1 acked', 'keep eof released: clean', 'bob gets barrier eof', 'released eof')
  expect(orders.queue.barriers.find('eof')).toMatchObject({ stats: { published: 2, acked: 2, dead: 0 } })
})

test('A5, B16: when its barrier is released, or its batch was ended, it joins the open batch', () => {
  const orders = scenario()
  orders.subscribe('ann')
  orders.publish('m1')
  orders.barrier('b0')
  orders.publish('m2')
  orders.reject('ann', 'm1')
  orders.barrier('b1')
  orders.on('orders.dead').requeue().gives('keep m1 moved to orders: requeued')
  expect(orders.queue.batches.map(({ published }) => published)).toEqual([1, 1])
  const held = scenario()
  held.subscribe('ann')
  held.publish('m0')
  held.barrier('b0')
  held.publish('m1')
  held.barrier('b1')
  held.cancel('b1', 'dead-letter')
  held.tick().gives('keep queue orders.dead', 'keep m1 moved to orders.dead: batch-cancelled')
  held.on('orders.dead').requeue()
  held.tick().gives()
  expect(held.queue.batches.map(({ live, dead }) => [live, dead])).toEqual([
    [1, 0],
    [0, 1],
    [1, 0],
  ])
})

test('A5: it is never in both queues and never in none', () => {
  const orders = scenario()
  orders.subscribe('ann')
  orders.publish('m1')
  orders.holdDisk().reject('ann', 'm1')
  orders.crash()
  orders.commit()
  expect([orders.queue.messages, orders.broker.queue('orders.dead')]).toEqual([1, undefined])
  orders.subscribe('bob')
  orders.reject('bob', 'm1')
  orders.holdDisk()
  orders.on('orders.dead').requeue()
  orders.crash()
  orders.commit()
  expect([orders.queue.messages, orders.on('orders.dead').queue.messages]).toEqual([0, 1])
})

test('A5: a dead letter whose origin was deleted stays where it is, with whoever has it', () => {
  const orders = scenario()
  orders.subscribe('ann')
  orders.publish('m1')
  orders.reject('ann', 'm1')
  orders.delete()
  const dead = orders.on('orders.dead')
  dead.subscribe('bob').gives('bob gets m1')
  dead.requeue().gives()
  dead.ack('bob', 'm1').gives('keep m1 acked')
})

test('A5: a dead letter loses its time to live, and the expiration of the queue that keeps it', () => {
  const orders = scenario({ deadLetter: 'morgue' })
  orders.on('morgue').update({ expirationMs: 1_000 })
  orders.publishEach([['m1', { ttl: '10s' }]])
  orders.at('10s').tick().gives('keep m1 moved to morgue: expired')
  orders.at('60s').tick().gives()
  expect(orders.on('morgue').queue.messages).toBe(1)
})

test('B2: with on_dead = hold the barrier waits until the dead letter is requeued and acked', () => {
  const orders = scenario({ onDead: 'hold' })
  orders.subscribe('ann')
  orders.publish('m1', 'm2')
  orders.barrier('eof')
  orders.reject('ann', 'm1')
  orders.ack('ann', 'm2').gives('keep m2 acked')
  orders.crash().gives()
  orders.subscribe('bob')
  orders.on('orders.dead').requeue().gives('keep m1 moved to orders: requeued', 'bob gets m1')
  orders.ack('bob', 'm1').gives('keep m1 acked', 'keep eof released: clean', 'bob gets barrier eof', 'released eof')
})

test('B2: or until it is settled in any way in the dead-letter queue', () => {
  for (const act of ['ack', 'purge', 'delete', 'on to another'] as const) {
    const orders = scenario({ onDead: 'hold', deadLetter: act === 'delete' ? undefined : 'morgue' } as never)
    orders.subscribe('ann')
    orders.publish('m1')
    orders.barrier('eof')
    orders.reject('ann', 'm1')
    const dead = orders.on(act === 'delete' ? 'orders.dead' : 'morgue')
    dead.update({ deadLetter: 'elsewhere' })
    dead.subscribe('bob')
    expect(orders.queue.barriers.find('eof'), act).not.toHaveProperty('outcome')
    if (act === 'ack') dead.ack('bob', 'm1')
    else if (act === 'purge') dead.purge(dead.queue.nextSequence, true)
    else if (act === 'delete') dead.delete()
    else dead.reject('bob', 'm1')
    expect(orders.queue.barriers.find('eof'), act).toMatchObject({ outcome: 'with-dead' })
  }
})

test('B2, B13: a deadline ends what a dead letter holds', () => {
  const orders = scenario({ onDead: 'hold' })
  orders.subscribe('ann')
  orders.publish('m1')
  orders.barrier('eof', { deadline: '10s' })
  orders.reject('ann', 'm1')
  orders
    .at('10s')
    .tick()
    .gives(
      'keep barrier eof ended: expired, carry',
      'keep eof released: expired',
      'ann gets barrier eof',
      'released eof',
    )
})

test('B19: a message that no filter matches holds its barrier until someone takes or expires it', () => {
  const orders = scenario({ deadLetter: 'drop' })
  orders.subscribe('ann', { only: ['nothing', 'eof', 'next'] })
  orders.publishEach([['m1', {}]])
  orders.barrier('eof').gives('keep barrier eof')
  orders.publishEach([['m2', { ttl: '10s' }]])
  orders.barrier('next')
  orders.subscribe('bob', { only: ['m1'] }).gives('bob gets m1')
  orders.ack('bob', 'm1').gives('keep m1 acked', 'keep eof released: clean', 'ann gets barrier eof', 'released eof')
  orders
    .at('10s')
    .tick()
    .gives('keep m2 expired', 'keep next released: with-dead', 'ann gets barrier next', 'released next')
})

test('B2: a poison message opens its barrier by its last attempt, over a crash', () => {
  const orders = scenario({ deliveriesMax: 3 })
  orders.publish('poison', 'good')
  orders.barrier('eof')
  orders.subscribe('ann')
  orders.ack('ann', 'good')
  orders.nack('ann', 'poison')
  orders.crash()
  orders.subscribe('bob', { prefetch: 1 }).gives('bob gets poison again, attempt 2')
  orders.nack('bob', 'poison').gives('keep poison returned, 2 tried', 'bob gets poison again, attempt 3')
  orders
    .disconnect('bob')
    .gives(
      'keep queue orders.dead',
      'keep poison moved to orders.dead: deliveries',
      'keep eof released: with-dead',
      'released eof',
    )
})

test('B8: an empty batch and a batch of one message', () => {
  const orders = scenario()
  orders.subscribe('ann')
  orders.barrier('b0')
  orders.publish('m1')
  orders.barrier('b1')
  orders.barrier('b2')
  orders.ack('ann', 'm1')
  const published = (name: string) => orders.queue.barriers.find(name) as never as { stats: { published: number } }
  expect(['b0', 'b1', 'b2'].map(name => published(name).stats.published)).toEqual([0, 1, 0])
})

test('B2: a barrier before which a million messages stand', () => {
  const orders = scenario()
  orders.publishMany(1_000_000)
  orders.barrier('eof')
  orders.subscribe('ann', { prefetch: 65_535 })
  const subscription = orders.consumers.get('ann')!
  let acks = 0
  for (let held = subscription.held.first; held !== undefined && acks < 100; held = subscription.held.first) {
    expect(orders.queue.barriers.find('eof')).not.toHaveProperty('outcome')
    const deliveries = [{ first: held.delivery, count: subscription.next - held.delivery }]
    orders.run((turn, now) =>
      orders.broker.settle(turn, now, orders.queue, [{ subscription, deliveries }], { kind: 'ack' }),
    )
    acks += 1
  }
  expect(acks).toBe(16)
  expect(orders.queue.barriers.find('eof')).toMatchObject({
    outcome: 'clean',
    stats: { published: 1_000_000, acked: 1_000_000 },
  })
})

test('B10: all workers are gone at the moment of release: the barrier is released, and found', () => {
  const orders = scenario({ deliveriesMax: 1, deadLetter: 'drop' })
  orders.subscribe('ann')
  orders.publish('m1')
  orders.barrier('eof')
  orders.disconnect('ann').gives('keep m1 dropped', 'keep eof released: with-dead', 'released eof')
  orders.subscribe('bob', { afterBatch: 0 }).gives('bob gets barrier eof, replayed')
})
