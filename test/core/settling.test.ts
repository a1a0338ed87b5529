import { expect, test } from 'vitest'
import { DEFAULT_OPTIONS } from '../../src/core/options.ts'
import type { SettleHow } from '../../src/core/settling.ts'
import { scenario } from '../support/scenario.ts'

test('A1: an ack ends the message, and another one of the same delivery changes nothing', () => {
  const orders = scenario()
  orders.subscribe('ann')
  orders.publish('m1', 'm2')
  orders.ack('ann', 'm1').gives('keep m1 acked')
  orders.ack('ann', 'm1').gives('m1 is already-settled')
})

test('A2: a nack counts, waits for the retry delay and comes back', () => {
  const orders = scenario({ retryDelay: { baseMs: 1000, factor: 2, maxMs: 3000, jitter: false } })
  orders.subscribe('ann')
  orders.publish('m1')
  orders.nack('ann', 'm1').gives('keep m1 returned, 1 tried, in 1000 ms')
  orders.at('1s').tick().gives('ann gets m1 again, attempt 2')
  orders.nack('ann', 'm1').gives('keep m1 returned, 2 tried, in 2000 ms')
  orders.at('3s').tick()
  orders.nack('ann', 'm1').gives('keep m1 returned, 3 tried, in 3000 ms')
})

test('A2: jitter keeps at least half of the retry delay, and is the same for the same history', () => {
  const delays = [1, 2].map(() => {
    const orders = scenario({ retryDelay: { baseMs: 1000, factor: 1, maxMs: 1000, jitter: true } })
    orders.subscribe('ann')
    orders.publish('m1', 'm2', 'm3')
    return ['m1', 'm2', 'm3'].map(label => Number(/in (\d+) ms/.exec(orders.nack('ann', label).lines[0] ?? '')?.[1]))
  })
  expect(delays[0]).toEqual(delays[1])
  expect(new Set(delays[0]).size).toBe(3)
  for (const delay of delays[0] ?? []) {
    expect(delay).toBeGreaterThanOrEqual(500)
    expect(delay).toBeLessThanOrEqual(1000)
  }
})

test('A2: a release gives back untouched, also at the same place', () => {
  const orders = scenario()
  orders.subscribe('ann', { prefetch: 2 })
  orders.publish('m1', 'm2', 'm3')
  orders.release('ann', 'm1').gives('keep m1 returned, 0 tried', 'ann gets m1 again')
})

test('A2, A5: a reject moves the message to the dead letters at once, in one fact', () => {
  const orders = scenario()
  orders.subscribe('ann')
  orders.publish('m1')
  orders.reject('ann', 'm1', 'no store 17').gives('keep queue orders.dead', 'keep m1 moved to orders.dead: rejected')
  const fact = orders.kept.map(({ fact }) => fact).find(({ kind }) => kind === 'moved')
  expect(fact).toMatchObject({
    run: {
      origin: {
        queue: 'orders',
        sequence: 1,
        batch: 0,
        attempts: 1,
        reason: 'rejected',
        detail: 'no store 17',
        deadAt: orders.now,
      },
    },
  })
})

test('A5: after deliveries_max counted attempts a message is a dead letter, however they ended', () => {
  const orders = scenario({ deliveriesMax: 3, leaseMs: 1000 })
  orders.publish('m1')
  orders.subscribe('ann')
  orders.nack('ann', 'm1').gives('keep m1 returned, 1 tried', 'ann gets m1 again, attempt 2')
  orders.release('ann', 'm1').gives('keep m1 returned, 1 tried', 'ann gets m1 again, attempt 2')
  orders.at('1s').tick().gives('keep m1 returned, 2 tried', 'ann lost m1', 'ann gets m1 again, attempt 3')
  orders.subscribe('bob')
  orders.disconnect('ann').gives('keep queue orders.dead', 'keep m1 moved to orders.dead: deliveries')
})

test('A5: attempts count on over a restart', () => {
  const orders = scenario({ deliveriesMax: 2 })
  orders.publish('m1')
  orders.subscribe('ann')
  orders.nack('ann', 'm1')
  orders.crash()
  orders.subscribe('bob').gives('bob gets m1 again, attempt 2')
  orders.nack('bob', 'm1').gives('keep queue orders.dead', 'keep m1 moved to orders.dead: deliveries')
})

test('A5: a dead letter keeps where it came from, over a restart too', () => {
  const orders = scenario()
  orders.publish('m1')
  orders.subscribe('ann')
  orders.reject('ann', 'm1')
  orders.crash({ clean: true })
  const dead = orders.broker.queue('orders.dead')
  expect(dead?.head.ready.first).toMatchObject({
    count: 1,
    origin: { queue: 'orders', sequence: 1, reason: 'rejected' },
  })
})

test('A5: a dead-letter queue has no dead letters of its own', () => {
  const orders = scenario({ deadLetter: 'morgue' })
  expect(orders.broker.deadLetterName(orders.queue)).toBe('morgue')
  expect(orders.broker.deadLetterName(orders.broker.queue('morgue')!)).toBeUndefined()
})

test('A5: with dead_letter = drop a message that failed too often is dropped and counted', () => {
  const orders = scenario({ deliveriesMax: 1, deadLetter: 'drop' })
  orders.publish('m1')
  orders.subscribe('ann')
  orders.nack('ann', 'm1').gives('keep m1 dropped')
  orders
    .barrier('eof')
    .gives('keep barrier eof', 'keep eof released: with-dead', 'ann gets barrier eof', 'released eof')
})

test('A3: deliveries are numbered from 1 in each subscription, and ranges name them', () => {
  const orders = scenario()
  orders.subscribe('ann')
  orders.publish('m1', 'm2', 'm3', 'm4', 'm5')
  const settle = (first: number, count: number) =>
    orders.outcome((turn, now) =>
      orders.broker
        .settle(
          turn,
          now,
          orders.queue,
          [{ subscription: orders.consumers.get('ann')!, deliveries: [{ first, count }] }],
          { kind: 'ack' },
        )
        .results.flat()
        .map(result => `${result.first}+${result.count} ${result.result}`),
    )
  settle(2, 2).gives('keep m2 m3 acked', '2+2 acked')
  settle(1, 5).gives('keep m1 acked', 'keep m4 m5 acked', '1+1 acked', '2+2 already-settled', '4+2 acked')
  settle(5, 1_000_000_000).gives('5+1 already-settled', '6+999999999 unknown')
})

test('A3: everything up to a delivery is what of it is still held', () => {
  const orders = scenario()
  orders.subscribe('ann')
  orders.publish('m1', 'm2', 'm3', 'm4', 'm5')
  const upTo = (count: number, how: SettleHow) =>
    orders.outcome((turn, now) =>
      orders.broker
        .settle(
          turn,
          now,
          orders.queue,
          [{ subscription: orders.consumers.get('ann')!, deliveries: [{ first: 0, count }] }],
          how,
        )
        .results.flat()
        .map(result => `${result.first}+${result.count} ${result.result}`),
    )
  orders.ack('ann', 'm2')
  upTo(3, { kind: 'ack' }).gives('keep m1 acked', 'keep m3 acked', '1+1 acked', '3+1 acked')
  upTo(3, { kind: 'ack' }).gives()
  upTo(1_000_000, { kind: 'reject' }).gives(
    'keep queue orders.dead',
    'keep m4 moved to orders.dead: rejected',
    'keep m5 moved to orders.dead: rejected',
    '4+2 rejected',
  )
})

test('A3, D7: "everything up to" vouches for no delivery whose lease was lost, also under acks = any', () => {
  const orders = scenario({ acks: 'any', leaseMs: 1000 })
  orders.subscribe('ann')
  orders.publish('m1')
  orders.subscribe('bob')
  orders.at('1s').tick()
  orders.publish('m2')
  const before = orders.queue.ackedTotal
  orders
    .outcome((turn, now) =>
      orders.broker
        .settle(
          turn,
          now,
          orders.queue,
          [{ subscription: orders.consumers.get('ann')!, deliveries: [{ first: 0, count: 1 }] }],
          { kind: 'ack' },
        )
        .results.flat()
        .map(({ result }) => result),
    )
    .gives()
  expect(orders.queue.ackedTotal).toBe(before)
})

test('A4: an ack and what it carries are one turn', () => {
  const orders = scenario()
  orders.run((turn, now) => orders.broker.declare(turn, now, 'results', DEFAULT_OPTIONS))
  orders.subscribe('ann')
  orders.publish('m1')
  orders.ackAndPublish('ann', 'm1', 'results', 'r1', 'r2').gives('keep r1 r2', 'keep m1 acked')
})

test('A4: an ack of what is not held publishes nothing', () => {
  const orders = scenario()
  orders.run((turn, now) => orders.broker.declare(turn, now, 'results', DEFAULT_OPTIONS))
  orders.subscribe('ann')
  orders.publish('m1')
  orders.ack('ann', 'm1')
  orders.ackAndPublish('ann', 'm1', 'results', 'r1').gives('refused: already-settled')
  expect(orders.broker.queue('results')?.publishedTotal).toBe(0)
})

test('A4: a refused publish leaves the lease where it was', () => {
  const orders = scenario()
  orders.subscribe('ann')
  orders.publish('m1')
  const refusal = { code: 'not-accepted', detail: '' } as const
  orders
    .outcome((turn, now) => {
      const publish = { now, incoming: [{ kind: 'refused', index: 0, count: 1, refusal } as const] }
      const answer = orders.broker.settle(
        turn,
        now,
        orders.queue,
        [{ subscription: orders.consumers.get('ann')!, deliveries: [{ first: 1, count: 1 }] }],
        { kind: 'ack' },
        [{ queue: orders.queue, publish }],
      )
      return [`refused: ${answer.refusal?.code}`]
    })
    .gives('refused: not-accepted')
  orders.ack('ann', 'm1').gives('keep m1 acked')
})
