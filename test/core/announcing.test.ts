import { expect, test } from 'vitest'
import { scenario } from '../support/scenario.ts'

test('B20: a released barrier is told of by one message in another queue, in the same turn', () => {
  const orders = scenario({ announce: 'alerts' })
  const alerts = orders.on('alerts')
  orders.subscribe('ann')
  alerts.subscribe('bob')
  orders.publish('m1')
  orders.barrier('eof')
  orders
    .ack('ann', 'm1')
    .gives(
      'keep m1 acked',
      'keep eof released: clean',
      'keep alerts#1',
      'ann gets barrier eof',
      'released eof',
      'bob gets alerts#1',
    )
})

test('B20: every outcome is told of: clean, with dead letters, expired, cancelled, failed', () => {
  const orders = scenario({ announce: 'alerts', onDead: 'fail', deadlineRest: 'drop' })
  const alerts = orders.on('alerts')
  const outcomes = () => [...orders.queue.barriers.records()].map(({ record }) => record.outcome)
  orders.barrier('one')
  orders.publish('m1')
  orders.barrier('two', { deadline: '10s' })
  orders.at('10s').tick()
  orders.publish('m2')
  orders.barrier('three')
  orders.cancel('three')
  orders.work()
  orders.subscribe('ann')
  orders.publish('m3')
  orders.barrier('four')
  orders.reject('ann', 'm3')
  orders.update({ onDead: 'count' })
  orders.publish('m4')
  orders.barrier('five')
  orders.reject('ann', 'm4')
  orders.work()
  expect(outcomes()).toEqual(['clean', 'expired', 'cancelled', 'failed', 'with-dead'])
  expect(alerts.queue.messages).toBe(5)
})

test('B20: a crash takes the release and its announcement together, and a restart makes neither twice', () => {
  const orders = scenario({ announce: 'alerts' })
  const alerts = orders.on('alerts')
  orders.barrier('kept')
  orders.holdDisk().barrier('lost')
  expect(alerts.queue.messages).toBe(2)
  orders.crash()
  expect([orders.queue.barriers.find('lost'), alerts.queue.messages]).toEqual([undefined, 1])
  orders.crash()
  expect(alerts.queue.messages).toBe(1)
})

test('B20: a deadline that passed while the server was away is told of at the start', () => {
  const orders = scenario({ announce: 'alerts' })
  const alerts = orders.on('alerts')
  orders.publish('m1')
  orders.barrier('eof', { deadline: '10s' })
  orders.at('20s').crash()
  orders.work()
  expect(orders.queue.barriers.find('eof')).toMatchObject({ outcome: 'expired' })
  expect(alerts.queue.messages).toBe(1)
})

test('B20, A7: a full queue takes announcements, or lets its oldest go for them', () => {
  const orders = scenario({ announce: 'alerts' })
  const alerts = orders.on('alerts')
  alerts.update({ messagesMax: 1 })
  alerts.publish('a1')
  orders.barrier('eof').gives('keep barrier eof', 'keep eof released: clean', 'keep alerts#2', 'released eof')
  alerts.update({ messagesMax: 1, overflow: 'drop-oldest' })
  orders.barrier('more')
  expect([...alerts.queue.runs()].map(({ first }) => first)).toEqual([3])
})

test('B20: announcements wait behind the barriers of their queue and expire as it says, but no barrier comes of them', () => {
  const orders = scenario({ announce: 'alerts' })
  const alerts = orders.on('alerts')
  alerts.update({ expirationMs: 1_000, barrier: '1 = 1' })
  alerts.publish('a1')
  alerts.barrier('morning')
  orders.barrier('eof')
  alerts.subscribe('bob').gives('bob gets a1')
  alerts
    .ack('bob', 'a1')
    .gives(
      'keep a1 acked',
      'keep morning released in alerts: clean',
      'bob gets barrier morning',
      'released morning in alerts',
      'bob gets alerts#3',
    )
  alerts.release('bob', 'alerts#3')
  alerts.unsubscribe('bob')
  alerts.at('2s').tick()
  expect(alerts.queue.messages).toBe(0)
})

test('B20, A7: the queue it goes to is declared with it, and cannot be deleted as long as it is named', () => {
  const orders = scenario()
  orders.update({ announce: 'alerts' }).gives('keep queue alerts')
  expect(orders.on('alerts').queue.isImplicit).toBe(true)
  orders.on('alerts').delete().gives('refused: queue-in-use')
  orders.crash()
  expect(orders.queue.options.announce).toBe('alerts')
  orders.delete().gives('keep queue orders deleted', 'queue deleted')
  orders.on('alerts').delete().gives('keep queue alerts deleted', 'queue deleted')
})

test('B20: queues that tell one another of their barriers do not go on for ever: an announcement is no barrier', () => {
  const orders = scenario({ announce: 'alerts' })
  const alerts = orders.on('alerts')
  alerts.update({ announce: 'orders' })
  orders.barrier('one')
  alerts.barrier('two')
  expect([orders.queue.messages, alerts.queue.messages]).toEqual([0, 1])
  alerts.subscribe('bob')
  alerts.ack('bob', 'alerts#1')
  expect([orders.queue.messages, alerts.queue.messages]).toEqual([1, 0])
  expect([orders.queue.barriers.waitingCount, alerts.queue.barriers.waitingCount]).toEqual([0, 0])
})
