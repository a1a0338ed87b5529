import { expect, test } from 'vitest'
import type { Incoming } from '../../src/core/publishing.ts'
import { holdouts } from '../../src/core/snapshot.ts'
import { answersAsText, barrierOf, scenario } from '../support/scenario.ts'

const party = (name: string, parties = 2) => ({ party: name, parties })

test('B14: a barrier of several parties has no place and holds nothing until the last one arrives', () => {
  const orders = scenario()
  orders.subscribe('ann')
  orders.barrier('eof', party('store-1')).gives('keep party store-1 of eof')
  orders.publish('m1').gives('keep m1', 'ann gets m1')
  orders.ack('ann', 'm1')
  orders.publish('m2').gives('keep m2', 'ann gets m2')
  orders
    .barrier('eof', party('store-2'))
    .gives('keep party store-2 of eof', 'keep 2 parties placed', 'keep barrier eof')
  orders.publish('m3').gives('keep m3')
  orders
    .ack('ann', 'm2')
    .gives('keep m2 acked', 'keep eof released: clean', 'ann gets barrier eof', 'released eof', 'ann gets m3')
  expect(orders.queue.barriers.find('eof')).toMatchObject({
    sequence: 4,
    stats: { published: 2 },
    parties: { count: 2, arrived: ['store-1', 'store-2'], bytes: new TextEncoder().encode('eofeof') },
  })
})

test('B14: a repeated party is a duplicate, before and after the barrier has its place, and when it is released', () => {
  const orders = scenario()
  orders.publish('m1')
  orders.barrier('eof', party('store-1'))
  orders.barrier('eof', party('store-1')).gives('eof is a duplicate of 2')
  orders.crash()
  orders.barrier('eof', party('store-1')).gives('eof is a duplicate of 2')
  orders
    .barrier('eof', party('store-2'))
    .gives('keep party store-2 of eof', 'keep 2 parties placed', 'keep barrier eof')
  // Each its own number, as it was confirmed.
  orders.barrier('eof', party('store-1')).gives('eof is a duplicate of 2')
  orders.crash()
  orders.barrier('eof', party('store-1')).gives('eof is a duplicate of 2')
  orders.cancel('eof')
  orders.barrier('eof', party('store-1')).gives('eof is a duplicate of 2')
  orders.barrier('eof', party('store-2')).gives('eof is a duplicate of 3')
  orders.barrier('eof', party('store-3')).gives('refuse eof: barrier-exists')
})

test('B14: another number of parties is refused, and so is a barrier that names none', () => {
  const orders = scenario()
  orders.publish('m1')
  orders.barrier('eof', party('store-1'))
  orders.barrier('eof', party('store-2', 3)).gives('refuse eof: barrier-mismatch')
  orders.barrier('eof').gives('refuse eof: barrier-mismatch')
  orders.barrier('eof', { parties: 2 }).gives('refuse eof: invalid-message')
  orders.barrier('eof', { party: 'store-2' }).gives('refuse eof: invalid-message')
  orders.barrier('eof', party('store-2'))
  orders.barrier('eof', party('store-1', 3)).gives('refuse eof: barrier-mismatch')
})

test('B14: one party of one is a barrier like any other', () => {
  const orders = scenario()
  orders.barrier('eof', party('store-1', 1)).gives('keep barrier eof', 'keep eof released: clean', 'released eof')
  expect(orders.queue.barriers.find('eof')).toMatchObject({ parties: { count: 1, arrived: ['store-1'] } })
})

test('B14: 1,200 stores, with a crash after each hundred', () => {
  const orders = scenario()
  for (let k = 0; k < 1_200; k += 1) {
    if (k % 100 === 99) orders.crash()
    expect(orders.queue.barriers.find('eof')).toBeUndefined()
    orders.barrier('eof', party(`store-${k}`, 1_200))
  }
  expect(orders.queue.barriers.find('eof')).toMatchObject({ outcome: 'clean', sequence: 1_200 })
})

test('B14: at its deadline a barrier gets its place without those that are missing, and the record tells who came', () => {
  const orders = scenario()
  orders.barrier('eof', { ...party('store-1', 3), deadline: '10s' })
  orders.barrier('eof', party('store-2', 3))
  orders.publish('m1')
  orders.crash()
  orders.at('9999ms').tick().gives()
  orders
    .at('10s')
    .tick()
    .gives(
      'keep 2 parties placed',
      'keep barrier eof, for 0 ms',
      'keep barrier eof ended: expired, carry',
      'keep eof released: expired',
      'released eof',
    )
  expect(orders.queue.barriers.find('eof')).toMatchObject({ parties: { count: 3, arrived: ['store-1', 'store-2'] } })
  expect(orders.queue.head).toMatchObject({ number: 1, carried: 1, live: 1 })
})

test('B14: a cancel gives it its place too, and a deadline can be extended while it gathers, over a crash', () => {
  const orders = scenario()
  orders.barrier('eof', { ...party('store-1', 3), deadline: '10s' })
  orders.at('5s').extendBarrier('eof', '60s').gives('keep party store-1 of eof')
  orders.crash()
  orders.at('59s').tick().gives()
  orders
    .cancel('eof')
    .gives(
      'keep 1 parties placed',
      'keep barrier eof, for 1000 ms',
      'keep barrier eof ended: cancelled, carry',
      'keep eof released: cancelled',
      'released eof',
    )
  expect(orders.queue.barriers.find('eof')).toMatchObject({ outcome: 'cancelled', parties: { arrived: ['store-1'] } })
})

test('B14, P3: placed without all its parties it has a number of its own, behind what came before it', () => {
  const orders = scenario()
  orders.subscribe('ann', { prefetch: 0 })
  orders.barrier('eof', { ...party('store-1', 3), deadline: '10s' })
  orders.barrier('eof', party('store-2', 3))
  orders.publish('m1', 'm2')
  orders.at('10s').tick()
  const record = { sequence: 5, batch: 0, parties: { count: 3, arrived: ['store-1', 'store-2'], sequences: [1, 2] } }
  expect(orders.queue.barriers.find('@5')).toMatchObject(record)
  expect(orders.queue.barriers.find('@2')).toBeUndefined()
  orders.crash()
  expect(orders.queue.barriers.find('@5')).toMatchObject(record)
  expect(orders.queue.nextSequence).toBe(6)
  // A party keeps the number that its confirm told; one that is missing comes too late.
  orders.barrier('eof', party('store-2', 3)).gives('eof is a duplicate of 2')
  orders.barrier('eof', party('store-3', 3)).gives('refuse eof: barrier-exists')
})

test('B14, P3: no crash gives the number of a barrier again that was cancelled while it gathered', () => {
  const orders = scenario()
  orders.pause()
  orders.barrier('eof', party('store-1'))
  orders.cancel('eof')
  orders.crash()
  orders.publish('m1').gives('keep m1')
  expect(orders.queue.barriers.find('eof')).toMatchObject({ sequence: 2, ended: { outcome: 'cancelled' } })
  expect(orders.queue.nextSequence).toBe(4)
})

test('B14: the first deadline that a party gives counts, over a crash, whatever later ones say', () => {
  const orders = scenario()
  orders.barrier('eof', party('store-1', 4))
  orders.barrier('eof', { ...party('store-2', 4), deadline: '60s' })
  orders.barrier('eof', { ...party('store-3', 4), deadline: '10s' })
  expect(orders.broker.nextDeadline).toBe(orders.now + 60_000)
  orders.crash()
  expect(orders.broker.nextDeadline).toBe(orders.now + 60_000)
})

test('B14: what a deadline was extended to no later party makes shorter or longer, over a crash', () => {
  const orders = scenario()
  orders.barrier('eof', party('store-1', 4))
  orders.extendBarrier('eof', '60s').gives('keep party store-1 of eof')
  orders.barrier('eof', { ...party('store-2', 4), deadline: '10s' })
  orders.barrier('eof', { ...party('store-3', 4), deadline: '90s' })
  expect(orders.broker.nextDeadline).toBe(orders.now + 60_000)
  orders.crash()
  expect(orders.broker.nextDeadline).toBe(orders.now + 60_000)
  orders.extendBarrier('eof', '30s').gives('keep party store-1 of eof')
  orders.crash()
  expect(orders.broker.nextDeadline).toBe(orders.now + 30_000)
  orders
    .barrier('eof', { ...party('store-4', 4), deadline: '10s' })
    .gives(
      'keep party store-4 of eof',
      'keep 4 parties placed',
      'keep barrier eof, for 30000 ms',
      'keep eof released: clean',
      'released eof',
    )
})

test('B14, P4: parties of one barrier come in one atomic publish, and it may be complete by that', () => {
  const orders = scenario()
  orders.barrier('eof', party('a', 3))
  const publish = (...parties: readonly string[]) =>
    orders.outcome((turn, now) => {
      const barriers = parties.map((name, k) => barrierOf('eof', party(name, 3), k))
      const incoming = [...barriers, ...orders.incoming([['m1', {}]], 1)]
      return answersAsText(orders.broker.publish(turn, orders.queue, { incoming, now, isAtomic: true }), [])
    })
  publish('b', 'b').gives('keep party b of eof', 'keep m1', '1 is a duplicate of 2')
  orders.subscribe('ann')
  orders.ack('ann', 'm1')
  publish('b', 'c').gives(
    'keep party c of eof',
    'keep 3 parties placed',
    'keep barrier eof',
    'keep m1',
    'keep eof released: clean',
    '0 is a duplicate of 2',
    'ann gets barrier eof',
    'released eof',
    'ann gets m1',
  )
})

test('B14, P4: an atomic publish with a party too many, of another number, or too large together is refused whole', () => {
  const orders = scenario({ barriersMax: 1 })
  const publish = (...barriers: readonly Incoming[]) =>
    orders.run((turn, now) => orders.broker.publish(turn, orders.queue, { incoming: barriers, now, isAtomic: true }))
      .result
  const refused = (code: string) => [{ refusal: { code } }, { refusal: { code } }]
  const first = barrierOf('eof', party('a'), 0)
  expect(publish(first, barrierOf('eof', party('b', 3), 1))).toMatchObject(refused('barrier-mismatch'))
  expect(publish(first, barrierOf('eof', {}, 1))).toMatchObject(refused('barrier-mismatch'))
  expect(publish(first, barrierOf('next', {}, 1))).toMatchObject(refused('too-many-barriers'))
  const large = { bytes: 1024 * 1024 }
  expect(publish(first, barrierOf('eof', { ...party('b'), ...large }, 1))).toMatchObject(refused('message-too-large'))
  const whole = [first, barrierOf('eof', party('b'), 1), barrierOf('eof', party('c'), 2)]
  expect(publish(...whole)).toMatchObject([...refused('barrier-exists'), { refusal: { code: 'barrier-exists' } }])
  expect(orders.queue.barriers.waitingCount).toBe(0)
})

test('B14, A4: an ack can carry parties of one barrier, and complete it', () => {
  const orders = scenario()
  const results = orders.on('results')
  orders.subscribe('ann')
  orders.publish('m1', 'm2')
  orders
    .ackAndCarry('ann', 'm1', () => [[results, [barrierOf('eof', party('a', 3)), barrierOf('eof', party('b', 3), 1)]]])
    .gives('keep party a of eof in results', 'keep party b of eof in results', 'keep m1 acked')
  orders
    .ackAndCarry('ann', 'm2', () => [[results, [barrierOf('eof', party('c', 3))]]])
    .gives(
      'keep party c of eof in results',
      'keep 3 parties placed in results',
      'keep barrier eof in results',
      'keep m2 acked',
      'keep eof released in results: clean',
      'released eof in results',
    )
})

test('B14: all bodies together are at most 1 MiB, to the byte', () => {
  const orders = scenario()
  const half = 512 * 1024
  orders.barrier('eof', { ...party('a', 3), bytes: half }).gives('keep party a of eof')
  orders.barrier('eof', { ...party('b', 3), bytes: half + 1 }).gives('refuse eof: message-too-large')
  orders.barrier('eof', { ...party('b', 3), bytes: half }).gives('keep party b of eof')
  orders.barrier('eof', { ...party('c', 3), bytes: 1 }).gives('refuse eof: message-too-large')
})

test('B14, P4: a party whose body is too much refuses an atomic publish as a whole', () => {
  const orders = scenario()
  orders.barrier('eof', { ...party('a', 3), bytes: 1024 * 1024 })
  orders
    .outcome((turn, now) => {
      const incoming = [...orders.incoming([['m1', {}]]), barrierOf('eof', party('b', 3), 1)]
      const answers = orders.broker.publish(turn, orders.queue, { incoming, now, isAtomic: true })
      return answers.map(answer => ('refusal' in answer ? answer.refusal.code : 'taken'))
    })
    .gives('message-too-large', 'message-too-large')
})

test('B1: a barrier that gathers counts among those that wait, and its parties are one', () => {
  const orders = scenario({ barriersMax: 1 })
  orders.barrier('eof', party('a', 3))
  orders.barrier('eof', party('b', 3)).gives('keep party b of eof')
  orders.barrier('next').gives('refuse next: too-many-barriers')
})

test('B1: a name does not begin with @', () => {
  const orders = scenario()
  orders.barrier('@17').gives('refuse @17: invalid-message')
})

test('B17: a dead letter that holds is a holdout, where it is now', () => {
  const orders = scenario({ onDead: 'hold' })
  orders.subscribe('ann')
  orders.publish('m1', 'm2', 'm3')
  orders.barrier('eof')
  orders.ack('ann', 'm1')
  orders.reject('ann', 'm2')
  orders.pause()
  orders.release('ann', 'm3')
  const list = () =>
    holdouts(orders.queue, orders.queue.barriers.find('eof') as never, { after: 0, limit: 10 }, orders.now)
  const expected = [
    {
      sequence: 2,
      state: 'dead',
      reason: 'dead-letter',
      attempt: 1,
      deadLetter: { queue: 'orders.dead', sequence: 1 },
    },
    { sequence: 3, state: 'ready', reason: 'paused', attempt: 1 },
  ]
  expect(list()).toEqual(expected)
  orders.crash()
  expect(list()).toEqual(expected)
})

test('B17: holdouts are paged by sequence number, whatever their priority, and those that wait in a group are among them', () => {
  const orders = scenario({ priority: 'property', group: 'property' })
  orders.publishEach([
    ['m1', { priority: 1 }],
    ['m2', { priority: 9 }],
    ['g3', { group: 'g' }],
    ['g4', { group: 'g' }],
    ['m5', { priority: 9 }],
  ])
  orders.barrier('eof')
  const pages: number[][] = []
  for (let after = 0; ; after = pages[pages.length - 1]?.at(-1) ?? 0) {
    const page = holdouts(orders.queue, orders.queue.barriers.find('eof') as never, { after, limit: 2 }, orders.now)
    if (page.length === 0) break
    pages.push(page.map(({ sequence }) => sequence))
  }
  expect(pages).toEqual([[1, 2], [3, 4], [5]])
})

test('A6, B14: a purge also cancels barriers whose parties gather, when all else is gone; what is leased is carried on', () => {
  const orders = scenario()
  orders.subscribe('ann', { prefetch: 1 })
  orders.publish('m1', 'm2')
  orders.barrier('eof', party('store-1', 3))
  orders.barrier('next', party('store-1', 3))
  orders
    .purge()
    .gives(
      'keep m2 purged',
      'keep 1 parties placed',
      'keep barrier eof',
      'keep barrier eof ended: cancelled, carry',
      'keep 1 parties placed',
      'keep barrier next',
      'keep barrier next ended: cancelled, carry',
      'keep eof released: cancelled',
      'keep next released: cancelled',
      'purged 1',
      'ann gets barrier eof',
      'released eof',
      'ann gets barrier next',
      'released next',
    )
  expect(orders.queue.barriers.find('eof')).toMatchObject({
    sequence: 5,
    stats: { published: 1, dropped: 1, carried: 0 },
    parties: { count: 3, arrived: ['store-1'] },
  })
  expect(orders.queue.head).toMatchObject({ number: 2, leased: 1, carried: 1, dropped: 0 })
  orders.ack('ann', 'm1').gives('keep m1 acked')
})

test('A6, R9: barriers that gather are cancelled with the last step of a purge, those that began after it stay', () => {
  const orders = scenario()
  orders.publishMany(1_500)
  orders.barrier('eof', party('store-1', 3))
  const below = orders.queue.nextSequence
  orders.purge(below).gives('keep orders#1…orders#1000 purged', 'purged 1000, and goes on')
  orders.barrier('eof', party('store-2', 3)).gives('keep party store-2 of eof')
  orders.barrier('next', party('store-1', 3)).gives('keep party store-1 of next')
  orders.publish('m1').gives('keep m1')
  orders
    .purge(below)
    .gives(
      'keep orders#1001…orders#1500 purged',
      'keep 2 parties placed',
      'keep barrier eof',
      'keep barrier eof ended: cancelled, carry',
      'keep eof released: cancelled',
      'purged 500',
      'released eof',
    )
  orders.subscribe('ann').gives('ann gets m1')
})
