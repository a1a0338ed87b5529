import { expect, test } from 'vitest'
import { scenario } from '../support/scenario.ts'

test('B15: a released barrier goes on in the same turn, with its name and what is known of its batch', () => {
  const orders = scenario({ forwardBarrier: ['counts'] })
  const counts = orders.on('counts')
  orders.subscribe('ann')
  orders.publish('m1')
  counts.publish('c1')
  orders.barrier('eof')
  orders
    .ack('ann', 'm1')
    .gives(
      'keep m1 acked',
      'keep eof released: clean',
      'keep barrier eof in counts',
      'ann gets barrier eof',
      'released eof',
    )
  counts.subscribe('bob').gives('bob gets c1')
  counts.ack('bob', 'c1')
  expect(counts.queue.barriers.find('eof')).toMatchObject({
    outcome: 'clean',
    batches: [{ queue: 'orders', outcome: 'clean', batch: 0, sequence: 2, stats: { published: 1, acked: 1 } }],
  })
})

test('B15: one barrier passes through three stages in one turn when all are empty, and over a crash when they are not', () => {
  const orders = scenario()
  const two = orders.on('two', { forwardBarrier: ['three'] })
  const three = orders.on('three')
  orders.update({ forwardBarrier: ['two'] })
  orders
    .barrier('eof')
    .gives(
      'keep barrier eof',
      'keep eof released: clean',
      'keep barrier eof in two',
      'keep eof released in two: clean',
      'keep barrier eof in three',
      'keep eof released in three: clean',
      'released eof',
      'released eof in two',
      'released eof in three',
    )
  two.subscribe('bob')
  two.publish('t1')
  orders.barrier('next')
  orders.crash()
  two.subscribe('cyd').gives('cyd gets t1 again')
  two.reject('cyd', 't1')
  expect(three.queue.barriers.find('next')).toMatchObject({
    outcome: 'with-dead',
    batches: [
      { queue: 'orders', outcome: 'clean' },
      { queue: 'two', outcome: 'with-dead' },
    ],
  })
})

test('B15: a crash takes the release and the forwarded barrier together', () => {
  const orders = scenario({ forwardBarrier: ['counts'] })
  const counts = orders.on('counts')
  counts.publish('c1')
  orders.holdDisk().barrier('eof')
  orders.crash()
  expect([orders.queue.barriers.find('eof'), counts.queue.barriers.find('eof')]).toEqual([undefined, undefined])
})

test('B15: with two queues that forward to one, it waits there for both: the worst outcome wins', () => {
  const orders = scenario({ forwardBarrier: ['all'] })
  const other = orders.on('other', { forwardBarrier: ['all'] })
  const all = orders.on('all')
  orders
    .barrier('eof')
    .gives('keep barrier eof', 'keep eof released: clean', 'keep party orders of eof in all', 'released eof')
  all.publish('a1')
  all.subscribe('zoe').gives('zoe gets a1')
  other.subscribe('bob')
  other.publish('x1')
  other.barrier('eof', { deadline: '10s' })
  orders.crash()
  orders.at('10s').tick()
  expect(all.queue.barriers.find('eof')).toMatchObject({
    sequence: 3,
    terms: { parties: { arrived: ['orders', 'other'] } },
  })
  all.subscribe('zoe')
  all.ack('zoe', 'a1')
  expect(all.queue.barriers.find('eof')).toMatchObject({
    outcome: 'expired',
    batches: [
      { queue: 'orders', outcome: 'clean' },
      { queue: 'other', outcome: 'expired' },
    ],
  })
})

test('B15: a barrier put on n queues with forward and parties is a join, complete when all are drained', () => {
  const orders = scenario()
  const queues = ['one', 'two', 'three'].map(name => orders.on(name))
  orders.on('join')
  for (const [k, queue] of queues.entries()) {
    queue.subscribe(`c${k}`)
    queue.publish(`m${k}`)
    queue.barrier('done', { forward: ['join'], parties: 3 })
  }
  const join = orders.on('join')
  for (const [k, queue] of queues.entries()) {
    expect(join.queue.barriers.find('done')).toBeUndefined()
    queue.ack(`c${k}`, `m${k}`)
  }
  expect(join.queue.barriers.find('done')).toMatchObject({
    outcome: 'clean',
    parties: { count: 3 },
    batches: [{}, {}, {}],
  })
})

test('B15: a queue deleted meanwhile is a party with outcome cancelled, whether its barrier waited, gathered or never came', () => {
  for (const state of ['waits', 'gathers', 'never came'] as const) {
    const orders = scenario({ forwardBarrier: ['all'] })
    const other = orders.on('other', { forwardBarrier: ['all'] })
    const all = orders.on('all')
    if (state === 'waits') {
      other.publish('x1')
      other.barrier('eof')
    } else if (state === 'gathers') other.barrier('eof', { party: 'p', parties: 2 })
    if (state !== 'waits') orders.barrier('eof')
    other.delete()
    if (state === 'waits') orders.barrier('eof')
    expect(all.queue.barriers.find('eof'), state).toMatchObject({ outcome: 'cancelled', parties: { count: 2 } })
  }
})

test('B15: what publishers gather in the target themselves does not wait for a queue that is deleted', () => {
  const orders = scenario({ forwardBarrier: ['all'] })
  const all = orders.on('all')
  all.barrier('eof', { party: 'store-1', parties: 2 })
  orders.delete()
  expect(all.queue.barriers.gatheringOf('eof')?.arrivals).toHaveLength(1)
})

test('B15, A7: under a name that is taken over there it goes on without one, never refused', () => {
  const orders = scenario({ forwardBarrier: ['all'] })
  const all = orders.on('all', { barriersMax: 1 })
  all.publish('a1')
  all.barrier('eof')
  orders
    .barrier('eof')
    .gives('keep barrier eof', 'keep eof released: clean', 'keep barrier undefined in all', 'released eof')
  expect(all.queue.barriers.waitingCount).toBe(2)
})

test('B15: a party that comes again, or from a join of another size, goes on by itself', () => {
  const orders = scenario({ barrierRecords: 1 })
  orders.on('all')
  orders.barrier('eof', { forward: ['all'], parties: 3 })
  orders.barrier('other')
  orders.barrier('eof', { forward: ['all'], parties: 3 })
  orders.on('two').barrier('eof', { forward: ['all'], parties: 2 })
  expect(orders.on('all').queue.barriers.gatheringOf('eof')).toMatchObject({
    count: 3,
    arrivals: [{ party: 'orders' }],
  })
})

test('A7: a queue that is named and missing is declared with it; one that is named cannot be deleted', () => {
  const orders = scenario()
  orders.update({ forwardBarrier: ['next'], deadLetter: 'morgue' }).gives('keep queue morgue', 'keep queue next')
  orders.on('next').delete().gives('refused: queue-in-use')
  orders.on('morgue').delete().gives('refused: queue-in-use')
  orders.delete().gives('keep queue orders deleted', 'queue deleted')
  orders.on('next').delete().gives('keep queue next deleted', 'queue deleted')
})
