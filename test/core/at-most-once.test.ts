import { expect, test } from 'vitest'
import { scenario } from '../support/scenario.ts'

const options = { semantics: 'at-most-once' } as const

test('D9: a message is settled before it is sent, and the delivery rests on that', () => {
  const orders = scenario(options)
  orders.publish('m1')
  const { turn } = orders
    .holdDisk()
    .run((turn, now) =>
      orders.broker.subscribe(
        turn,
        now,
        orders.queue,
        { peer: 1, tag: 1, prefetch: 1, concurrency: 1, leaseMs: undefined, predicate: undefined, isPull: false },
        undefined,
      ),
    )
  expect(turn.facts.map(({ kind }) => kind)).toEqual(['settled', 'batchCounted'])
  expect(turn.effects).toMatchObject([{ kind: 'deliver', rests: turn.number, isSpent: true }])
})

test('D9: credit comes back by ack or with the connection, and nothing is delivered twice', () => {
  const orders = scenario(options)
  orders.subscribe('ann', { prefetch: 1 })
  orders.publish('m1', 'm2', 'm3').gives('keep m1 m2 m3', 'keep m1 acked', 'ann gets m1')
  orders.ack('ann', 'm1').gives('keep m2 acked', 'm1 is already-settled', 'ann gets m2')
  orders.nack('ann', 'm2').gives('keep m3 acked', 'm2 is already-settled', 'ann gets m3')
  orders.disconnect('ann').gives()
  orders.subscribe('bob').gives()
})

test('D9: a crash delivers nothing again that was settled, sent or not', () => {
  const orders = scenario(options)
  orders.subscribe('ann', { prefetch: 2 })
  orders.publish('m1', 'm2', 'm3').gives('keep m1 m2 m3', 'keep m1 m2 acked', 'ann gets m1 m2')
  orders.crash().gives()
  orders.subscribe('bob').gives('keep m3 acked', 'bob gets m3 again')
})

test('D9: a removal that did not reach the disk was not sent either: the message is there after the crash', () => {
  const orders = scenario(options)
  orders.publish('m1')
  orders.holdDisk().subscribe('ann')
  orders.crash()
  orders.commit()
  orders.subscribe('bob').gives('keep m1 acked', 'bob gets m1 again')
})

test('B18: the barrier waits until the credit of its batch is back by ack', () => {
  const orders = scenario(options)
  orders.subscribe('ann')
  orders.publish('m1', 'm2').gives('keep m1 m2', 'keep m1 m2 acked', 'ann gets m1 m2')
  orders.barrier('eof').gives('keep barrier eof')
  orders.publish('m3').gives('keep m3')
  orders.ack('ann', 'm1').gives('m1 is already-settled')
  orders
    .ack('ann', 'm2')
    .gives(
      'keep eof released: clean',
      'keep m3 acked',
      'm2 is already-settled',
      'ann gets barrier eof',
      'released eof',
      'ann gets m3',
    )
})

test('B18: the credit comes back with the end of the connection, and with a restart', () => {
  const orders = scenario(options)
  orders.subscribe('ann')
  orders.publish('m1')
  orders.barrier('eof').gives('keep barrier eof')
  orders.disconnect('ann').gives('keep eof released: clean', 'released eof')
  orders.subscribe('bob')
  orders.publish('m2')
  orders.barrier('next').gives('keep barrier next')
  orders.crash().gives('keep next released: clean', 'released next')
})

test('B18, B13: who does not give its credit back does not put a deadline off, carried or not', () => {
  for (const rest of ['carry', 'drop'] as const) {
    const orders = scenario(options)
    orders.subscribe('ann', { prefetch: 1 })
    orders.publish('m1', 'm2')
    orders.barrier('eof', { deadline: '10s', rest })
    orders.at('10s').work()
    expect(orders.queue.barriers.find('eof')).toMatchObject({ outcome: 'expired', stats: { acked: 1 } })
    orders.barrier('next')
    orders.ack('ann', 'm1')
    if (rest === 'carry') orders.ack('ann', 'm2')
    expect(orders.queue.barriers.find('next')).toMatchObject({ outcome: 'clean' })
  }
})

test('A4: on an at-most-once queue an ack carries nothing', () => {
  const orders = scenario(options)
  orders.subscribe('ann')
  orders.publish('m1')
  orders.ackAndPublish('ann', 'm1', 'orders', 'm2').gives('refused: invalid-request')
})
