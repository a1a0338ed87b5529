import { expect, test } from 'vitest'
import type { Numbering } from '../../src/core/broker.ts'
import { PRODUCER_IDLE_MAX_MS } from '../../src/core/producers.ts'
import type { Incoming } from '../../src/core/publishing.ts'
import { type Scenario, scenario } from '../support/scenario.ts'

function messages(count: number, index = 0): Incoming {
  return { kind: 'messages', index, count, bytes: new Uint8Array(0), runs: [{ count, bodyBytes: count }] }
}

function publish(orders: Scenario, incoming: readonly Incoming[], numbering: Partial<Numbering> & { number: number }) {
  const count = incoming.reduce((sum, piece) => sum + piece.count, 0)
  const { result, turn } = orders.run((turn, now) =>
    orders.broker.publishNumbered(turn, orders.queue, { incoming, now }, count, {
      producer: 'p1',
      answeredUpTo: 0,
      ...numbering,
    }),
  )
  return { answers: result, facts: turn.facts.map(({ kind }) => kind) }
}

test('P3: sequence numbers rise in the order of acceptance, barriers among them', () => {
  const orders = scenario()
  const answers = [
    messages(3),
    { kind: 'barrier', index: 0, count: 1, bytes: new Uint8Array(0), barrier: { name: 'b' } } as const,
    messages(2),
  ].flatMap(
    incoming =>
      orders.run((turn, now) => orders.broker.publish(turn, orders.queue, { incoming: [incoming], now })).result,
  )
  expect(answers).toMatchObject([
    { sequence: 1, count: 3, batch: 0 },
    { sequence: 4, batch: 0 },
    { sequence: 5, count: 2, batch: 1 },
  ])
})

test('P3: a sequence number that anybody was told is never given again, after a restart and when all is settled', () => {
  const orders = scenario()
  orders.publish('m1', 'm2')
  orders.subscribe('ann')
  orders.ack('ann', 'm1', 'm2')
  orders.crash()
  expect(orders.queue.nextSequence).toBe(3)
  orders.barrier('eof')
  orders.crash()
  expect(orders.queue.nextSequence).toBe(4)
})

test('P8: a refusal refuses that message alone', () => {
  const orders = scenario()
  const refusal = { code: 'not-accepted', detail: '' } as const
  const { answers } = publish(orders, [messages(2), { kind: 'refused', index: 2, count: 1, refusal }, messages(1, 3)], {
    number: 1,
  })
  expect(answers).toMatchObject([
    { index: 0, count: 2, sequence: 1 },
    { index: 2, refusal },
    { index: 3, sequence: 3 },
  ])
})

test('P9: what is sent again under its old numbers gets its first answers and enqueues nothing', () => {
  const orders = scenario()
  const refusal = { code: 'not-accepted', detail: '' } as const
  publish(orders, [messages(2), { kind: 'refused', index: 2, count: 1, refusal }], { number: 1 })
  const again = publish(orders, [messages(3)], { number: 1 })
  expect(again.answers).toMatchObject([
    { index: 0, count: 2, sequence: 1 },
    { index: 2, count: 1, refusal: { code: 'not-accepted' } },
  ])
  expect(again.facts).toEqual([])
})

test('P9: of a frame that was taken in part only the rest is new', () => {
  const orders = scenario()
  publish(orders, [messages(2)], { number: 1 })
  const again = publish(orders, [messages(2), messages(3, 2)], { number: 1 })
  expect(again.answers).toMatchObject([
    { index: 0, count: 2, sequence: 1 },
    { index: 2, count: 3, sequence: 3 },
  ])
  expect(orders.queue.head.ready.messages).toBe(5)
})

test('P9: numbers are kept in the commit that takes the messages, and known after a crash', () => {
  const orders = scenario()
  expect(publish(orders, [messages(2)], { number: 1 }).facts).toEqual(['enqueued', 'producerTaken', 'batchCounted'])
  orders.crash()
  expect(publish(orders, [messages(2)], { number: 1 })).toMatchObject({
    answers: [{ sequence: 1, count: 2 }],
    facts: [],
  })
  expect(publish(orders, [messages(1)], { number: 3 }).answers).toMatchObject([{ sequence: 3 }])
})

test('P9: after a crash that took back a publish its numbers are new again', () => {
  const orders = scenario()
  publish(orders, [messages(1)], { number: 1 })
  orders.holdDisk()
  publish(orders, [messages(1)], { number: 2 })
  orders.crash()
  expect(orders.queue.producers.last('p1')).toBe(1)
  expect(publish(orders, [messages(1)], { number: 2 }).facts).toContain('enqueued')
})

test('P9: a number out of turn is told as such', () => {
  const orders = scenario()
  publish(orders, [messages(1)], { number: 1 })
  expect(publish(orders, [messages(1)], { number: 3 }).answers).toMatch(/1 are missing/)
  publish(orders, [messages(1)], { number: 2, answeredUpTo: 1 })
  expect(publish(orders, [messages(1)], { number: 1 }).answers).toMatch(/has the answers/)
})

test('P1, P9: numbers that were accepted, answered and then lost by a crash may be missing: their producer goes on', () => {
  const orders = scenario()
  publish(orders, [messages(1)], { number: 1 })
  orders.holdDisk()
  publish(orders, [messages(3)], { number: 2, answeredUpTo: 1 })
  orders.crash()
  // Answered up to 3: number 4 is still to be sent again.
  expect(publish(orders, [messages(1)], { number: 5, answeredUpTo: 3 }).answers).toMatch(/comes after 3: 1 are missing/)
  expect(publish(orders, [messages(1)], { number: 5, answeredUpTo: 4 }).facts).toContain('enqueued')
  expect(orders.queue.producers.last('p1')).toBe(5)
})

test('P9: answers next to one another are kept as one, and go when the client has them', () => {
  const orders = scenario()
  for (let number = 1; number <= 5; number += 1) publish(orders, [messages(1)], { number })
  const answers = () => orders.kept.map(({ fact }) => fact).findLast(fact => fact.kind === 'producerTaken')
  expect(answers()).toMatchObject({ last: 5, answers: [{ first: 1, count: 5, sequence: 1 }] })
  orders.publish('of another')
  publish(orders, [messages(1)], { number: 6, answeredUpTo: 5 })
  expect(answers()).toMatchObject({ last: 6, answers: [{ first: 6, count: 1, sequence: 7 }] })
})

test('P9: a producer that publishes nothing for a day is forgotten, and no sooner', () => {
  const orders = scenario()
  publish(orders, [messages(1)], { number: 1 })
  orders.now += PRODUCER_IDLE_MAX_MS - 1
  orders.tick().gives()
  expect(orders.queue.producers.last('p1')).toBe(1)
  orders.now += 600_000
  orders.tick().gives('keep producerForgotten')
  expect(orders.queue.producers.last('p1')).toBe(0)
})

test('R1, R2: after a restart everything is as it was at the last commit, and what was leased is ready again', () => {
  const orders = scenario({ priority: 'property' })
  orders.publishEach([
    ['low', { priority: 1 }],
    ['high', { priority: 5 }],
    ['later', { delay: '60s' }],
  ])
  orders.subscribe('ann', { prefetch: 1 }).gives('ann gets high')
  orders.holdDisk().publish('lost')
  orders.crash().gives()
  orders.commit()
  orders.subscribe('bob').gives('bob gets high again', 'bob gets low again')
  orders.at('60s').tick().gives('bob gets later again')
})

test('R2: a retry that waits goes on waiting after a restart', () => {
  const orders = scenario()
  orders.subscribe('ann')
  orders.publish('m1')
  orders.nack('ann', 'm1', '60s')
  orders.crash()
  orders.subscribe('bob').gives()
  orders.at('60s').tick().gives('bob gets m1 again, attempt 2')
})

test('P9: a queue that was deleted and declared again, or a producer that was forgotten, begins anew at any number', () => {
  const orders = scenario()
  expect(publish(orders, [messages(2)], { number: 57, answeredUpTo: 56 }).answers).toMatchObject([
    { sequence: 1, count: 2 },
  ])
  expect(publish(orders, [messages(2)], { number: 57, answeredUpTo: 56 }).answers).toMatchObject([
    { sequence: 1, count: 2 },
  ])
  expect(publish(orders, [messages(1)], { number: 59, answeredUpTo: 56 }).answers).toMatchObject([{ sequence: 3 }])
})
