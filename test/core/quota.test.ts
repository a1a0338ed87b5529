import { expect, test } from 'vitest'
import type { Scenario } from '../support/scenario.ts'
import { scenario } from '../support/scenario.ts'

/** What a message of 10 bytes counts: its record has 4 more, and 256 are for what is kept beside it. */
const TEN = 270

const stored = (orders: Scenario, owner = 'ann') => orders.broker.stored.of(owner)

test('attack 23: what a token has stored counts from its publish to its end, whichever end that is', () => {
  const orders = scenario({ deadLetter: 'drop' }).by('ann')
  orders.publishEach([
    ['m1', {}],
    ['m2', { bytes: 110 }],
    ['m3', { delay: '1h' }],
    ['m4', {}],
    ['m5', {}],
    ['m6', { ttl: '5s' }],
  ])
  expect(stored(orders)).toBe(5 * TEN + 370)
  orders.subscribe('bob', { prefetch: 2 }).gives('bob gets m1', 'bob gets m2')
  expect(stored(orders)).toBe(5 * TEN + 370)
  orders.ack('bob', 'm2')
  expect(stored(orders)).toBe(5 * TEN)
  orders.nack('bob', 'm1')
  orders.at('5s').tick()
  expect(stored(orders)).toBe(4 * TEN)
  orders.reject('bob', 'm1')
  expect(stored(orders)).toBe(3 * TEN)
  orders.purge()
  expect(stored(orders)).toBe(2 * TEN)
  orders.delete()
  expect(stored(orders)).toBe(0)
})

test('attack 23: a batch that is ended early counts until its rest is gone, and what is carried goes on counting', () => {
  const orders = scenario().by('ann')
  orders.publish('m1', 'm2')
  orders.barrier('eof')
  orders.publish('m3')
  orders.cancel('eof', 'carry')
  expect(stored(orders)).toBe(3 * TEN)
  orders.barrier('end')
  orders.cancel('end', 'drop')
  orders.work()
  expect(stored(orders)).toBe(0)
})

test('attack 23: a dead letter is still its publisher’s, also requeued, and in a crash', () => {
  const orders = scenario({ deadLetter: 'morgue' }).by('ann')
  orders.publish('m1', 'm2')
  orders.subscribe('bob')
  orders.by('carl').reject('bob', 'm1').gives('keep m1 moved to morgue: rejected')
  expect([stored(orders), stored(orders, 'carl')]).toEqual([2 * TEN, 0])
  orders.crash()
  expect(stored(orders)).toBe(2 * TEN)
  orders.on('morgue').requeue()
  expect(stored(orders)).toBe(2 * TEN)
  orders.subscribe('dave').gives('dave gets m2 again', 'dave gets m1')
  orders.ack('dave', 'm1')
  expect(stored(orders)).toBe(TEN)
  orders.reject('dave', 'm2')
  expect(orders.on('morgue').queue.messages).toBe(1)
  orders.on('morgue').purge()
  expect(stored(orders)).toBe(0)
})

test('attack 23: what is pushed out of a full queue of dead letters counts no more', () => {
  const orders = scenario({ messagesMax: 1, overflow: 'dead-letter-oldest', deadLetter: 'morgue' })
  orders.on('morgue').update({ messagesMax: 1, overflow: 'drop-oldest' })
  orders.by('ann')
  for (const label of ['m1', 'm2', 'm3', 'm4']) orders.publish(label)
  expect(stored(orders)).toBe(2 * TEN)
})

test('attack 23: beyond its quota each message of a publish is refused alone, and nothing of it is kept', () => {
  const orders = scenario().by('ann', 1_000)
  orders
    .publishEach([
      ['m1', {}],
      ['m2', {}],
      ['large', { bytes: 300 }],
      ['m3', {}],
      ['m4', {}],
      ['small', { bytes: 0 }],
    ])
    .gives('keep m1 m2', 'keep m3', 'refuse large: queue-full', 'refuse m4: queue-full', 'refuse small: queue-full')
  expect(stored(orders)).toBe(3 * TEN)
  orders.by('bob', 1_000).publish('b1').gives('keep b1')
  orders.by().publish('c1').gives('keep c1')
})

test('attack 23: it is one quota for all queues, and room comes back with each end', () => {
  const orders = scenario().by('ann', 2 * TEN)
  const other = orders.on('other')
  orders.publish('m1').gives('keep m1')
  other.publish('o1').gives('keep o1')
  other.publish('o2').gives('refuse o2: queue-full')
  orders.subscribe('bob')
  orders.ack('bob', 'm1')
  other.publish('o3').gives('keep o3')
  orders.publish('m2').gives('refuse m2: queue-full')
  other.delete()
  orders.publish('m3', 'm4').gives('keep m3 m4', 'bob gets m3 m4')
})

test('attack 23: the refusal says how much is stored and how much may be; what would never fit is another code', () => {
  const orders = scenario().by('ann', 600)
  orders.publish('m1')
  const refusalOf = (bytes: number) =>
    orders.run((turn, now) => {
      const incoming = orders.incoming([['m2', { bytes }]])
      return orders.broker.publish(turn, orders.queue, { incoming, now, owner: { name: 'ann', storedBytesMax: 600 } })
    }).result
  expect(refusalOf(100)).toMatchObject([
    {
      refusal: {
        code: 'queue-full',
        detail: 'this token has 270 bytes stored, may have 600 (stored_bytes_max), and this counts 360',
        facts: { limit: 'stored_bytes_max', stored_bytes_max: 600, stored_bytes: 270 },
      },
    },
  ])
  expect(refusalOf(341)).toMatchObject([{ refusal: { code: 'message-too-large' } }])
})

test('attack 23: a lower quota takes nothing away, and no quota counts nothing that is to come', () => {
  const orders = scenario().by('ann', 10 * TEN)
  orders.publish('m1', 'm2', 'm3')
  orders.by('ann', TEN).publish('m4').gives('refuse m4: queue-full')
  orders.by().publish('m5').gives('keep m5')
  expect(stored(orders)).toBe(3 * TEN)
  orders.subscribe('bob')
  orders.ack('bob', 'm1', 'm2', 'm3', 'm5')
  orders.by('ann', TEN).publish('m6').gives('keep m6', 'bob gets m6')
})

test('attack 23, P5: what is there already takes no room, and is answered at the quota too', () => {
  const orders = scenario({ dedupeWindowMs: 60_000 }).by('ann', TEN)
  orders.publishEach([['m1', { id: 'a' }]]).gives('keep m1', 'keep id a')
  orders.publishEach([['m1', { id: 'a' }]]).gives('m1 is a duplicate of 1')
  orders.publishEach([['m2', { id: 'b' }]]).gives('refuse m2: queue-full')
  orders.subscribe('bob')
  orders.ack('bob', 'm1')
  orders
    .publishEach([
      ['m2', { id: 'b' }],
      ['m2', { id: 'b' }],
    ])
    .gives('keep m2', 'keep id b', 'm2 is a duplicate of 2', 'bob gets m2')
})

test('attack 23, A4: an ack is refused whole beyond the quota, but what it acks makes room', () => {
  const orders = scenario().by('ann', 2 * TEN)
  const results = orders.on('results')
  const twice = () => [[results, results.incoming([['r1', {}]])]] as const
  const thrice = () => [[results, results.incoming(['r1', 'r2'].map(label => [label, {}]))]] as const
  orders.publish('m1', 'm2')
  orders.subscribe('bob').gives('bob gets m1 m2')
  orders.ackAndCarry('bob', 'm1', thrice).gives('refused: queue-full')
  orders.ackAndCarry('bob', 'm1', twice).gives('keep r1', 'keep m1 acked')
  expect(stored(orders)).toBe(2 * TEN)
  // What others have stored makes no room of one's own.
  orders.by('carl', 2 * TEN)
  results.publish('c1')
  orders.ackAndCarry('bob', 'm2', thrice).gives('refused: queue-full')
  orders
    .by('carl', 3 * TEN)
    .ackAndCarry('bob', 'm2', thrice)
    .gives('keep r1 r2', 'keep m2 acked')
  expect([stored(orders), stored(orders, 'carl')]).toEqual([TEN, 3 * TEN])
})

test('attack 23, A4: a delivery that an ack names twice makes room once', () => {
  const orders = scenario().by('ann', 2 * TEN)
  orders.publish('m1', 'm2')
  orders.subscribe('bob').gives('bob gets m1 m2')
  const subscription = orders.consumers.get('bob')!
  const deliveries = [
    { first: 1, count: 1 },
    { first: 1, count: 1 },
  ]
  const { result } = orders.run((turn, now) => {
    const incoming = orders.incoming(['r1', 'r2'].map(label => [label, {}]))
    const publish = { incoming, now, owner: { name: 'ann', storedBytesMax: 2 * TEN } }
    const carried = [{ queue: orders.queue, publish }]
    return orders.broker.settle(turn, now, orders.queue, [{ subscription, deliveries }], { kind: 'ack' }, carried)
  })
  expect(result.refusal).toMatchObject({ code: 'queue-full' })
})

test('attack 23, R1: a crash leaves what is on disk, and counts that', () => {
  const orders = scenario({ deadLetter: 'morgue' }).by('ann')
  orders.publish('m1', 'm2', 'm3')
  orders.subscribe('bob', { prefetch: 2 })
  orders.ack('bob', 'm1')
  orders.holdDisk()
  orders.publish('m4')
  orders.ack('bob', 'm2')
  expect(stored(orders)).toBe(2 * TEN)
  orders.crash()
  expect(stored(orders)).toBe(2 * TEN)
  orders.delete()
  orders.crash()
  expect(stored(orders)).toBe(2 * TEN)
  orders.commit().delete()
  orders.crash()
  expect(stored(orders)).toBe(0)
})

test('attack 23: what it counts is exact when messages of many sizes end one by one', () => {
  const orders = scenario().by('ann')
  const sizes = [0, 4_000, 0, 4_000, 4_000]
  orders.publishEach(sizes.map((bytes, k) => [`m${k}`, { bytes }]))
  orders.subscribe('bob')
  let left = sizes.reduce((sum, bytes) => sum + bytes + 260, 0)
  for (const [k, bytes] of sizes.entries()) {
    expect(stored(orders)).toBe(left)
    orders.ack('bob', `m${k}`)
    left -= bytes + 260
  }
  expect(stored(orders)).toBe(0)
})
