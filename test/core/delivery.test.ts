import { expect, test } from 'vitest'
import { DELIVERIES_MAX } from '../../src/core/dispatch.ts'
import type { Subscription } from '../../src/core/subscription.ts'
import { scenario } from '../support/scenario.ts'

test('D1: messages go out in queue order, to whoever has the most room', () => {
  const orders = scenario()
  orders.subscribe('ann', { prefetch: 2 }).gives()
  orders.subscribe('bob', { prefetch: 2 }).gives()
  orders.publish('m1', 'm2', 'm3', 'm4', 'm5').gives('keep m1…m5', 'ann gets m1 m2', 'bob gets m3 m4')
  orders.ack('bob', 'm3').gives('keep m3 acked', 'bob gets m5')
})

test('D1: fair dispatch with prefetch 1 gives the next message to whoever is free', () => {
  const orders = scenario()
  orders.subscribe('ann', { prefetch: 1 })
  orders.subscribe('bob', { prefetch: 1 })
  orders.publish('long', 'short').gives('keep long short', 'ann gets long', 'bob gets short')
  orders.publish('m3', 'm4').gives('keep m3 m4')
  orders.ack('bob', 'short').gives('keep short acked', 'bob gets m3')
  orders.ack('bob', 'm3').gives('keep m3 acked', 'bob gets m4')
})

test('D1: equal shares are dealt out evenly, however the messages come', () => {
  const orders = scenario()
  const names = ['ann', 'bob', 'cyd']
  for (const name of names) orders.subscribe(name, { prefetch: 1000 })
  for (let n = 0; n < 10; n += 1) orders.publish(...Array.from({ length: 100 }, (_, k) => `m${n}-${k}`))
  const used = names.map(name => orders.consumers.get(name)?.used ?? 0)
  expect(used.reduce((a, b) => a + b)).toBe(1000)
  expect(Math.max(...used) - Math.min(...used)).toBeLessThanOrEqual(2)
})

test('D1: round-robin deals in turns, whatever was acked', () => {
  const orders = scenario({ fairness: 'round-robin' })
  orders.subscribe('ann')
  orders.subscribe('bob')
  orders.publish('m1', 'm2').gives('keep m1 m2', 'ann gets m1', 'bob gets m2')
  orders.ack('bob', 'm2')
  orders.publish('m3').gives('keep m3', 'ann gets m3')
  orders.publish('m4').gives('keep m4', 'bob gets m4')
})

test('D1: fast fills up the first that has room', () => {
  const orders = scenario({ fairness: 'fast' })
  orders.subscribe('ann', { prefetch: 3 })
  orders.subscribe('bob', { prefetch: 3 })
  orders.publish('m1', 'm2').gives('keep m1 m2', 'ann gets m1 m2')
  orders.publish('m3', 'm4').gives('keep m3 m4', 'ann gets m3', 'bob gets m4')
})

test('D1: no more than unacked_max messages of a queue are out', () => {
  const orders = scenario({ unackedMax: 3 })
  orders.subscribe('ann')
  orders.subscribe('bob')
  orders.publish('m1', 'm2', 'm3', 'm4').gives('keep m1 m2 m3 m4', 'ann gets m1', 'bob gets m2', 'ann gets m3')
  orders.ack('ann', 'm1').gives('keep m1 acked', 'bob gets m4')
})

test('D2, D10: what an ended subscription held goes to another one, and no attempt counts', () => {
  const orders = scenario()
  orders.subscribe('ann', { prefetch: 2 })
  orders.publish('m1', 'm2').gives('keep m1 m2', 'ann gets m1 m2')
  orders.subscribe('bob').gives()
  orders.unsubscribe('ann').gives('keep m1 m2 returned, 0 tried', 'bob gets m1 m2 again')
})

test('D3: a message that nobody wants does not block those behind it', () => {
  const orders = scenario()
  orders.publish('m1', 'm2', 'm3', 'm4')
  orders.subscribe('ann', { only: ['m2', 'm4'] }).gives('ann gets m2', 'ann gets m4')
  orders.subscribe('bob', { only: ['m3'] }).gives('bob gets m3')
  orders.subscribe('cyd').gives('cyd gets m1')
})

test('D3: a message that comes back in front of what a filter has looked at is found again', () => {
  const orders = scenario()
  orders.publish('m1', 'm2', 'm3', 'm4')
  orders.subscribe('ann', { only: ['m2', 'm4'], prefetch: 1 }).gives('ann gets m2')
  orders.subscribe('bob', { only: ['m1', 'm2', 'm3'], prefetch: 1 }).gives('bob gets m1')
  orders.release('ann', 'm2').gives('keep m2 returned, 0 tried', 'ann gets m2 again')
  orders.ack('ann', 'm2').gives('keep m2 acked', 'ann gets m4')
  orders.nack('ann', 'm4').gives('keep m4 returned, 1 tried', 'ann gets m4 again, attempt 2')
})

test('D4: a returned message keeps its place in the queue order', () => {
  const orders = scenario()
  orders.subscribe('ann', { prefetch: 2 })
  orders.publish('m1', 'm2', 'm3', 'm4').gives('keep m1 m2 m3 m4', 'ann gets m1 m2')
  orders.release('ann', 'm2').gives('keep m2 returned, 0 tried', 'ann gets m2 again')
  orders.nack('ann', 'm1').gives('keep m1 returned, 1 tried', 'ann gets m1 again, attempt 2')
  orders.ack('ann', 'm2').gives('keep m2 acked', 'ann gets m3')
})

test('D5: the attempt number and the redelivered flag tell what happened before, also after a restart', () => {
  const orders = scenario()
  orders.subscribe('ann')
  orders.publish('m1', 'm2', 'm3')
  orders.nack('ann', 'm1').gives('keep m1 returned, 1 tried', 'ann gets m1 again, attempt 2')
  orders.nack('ann', 'm1').gives('keep m1 returned, 2 tried', 'ann gets m1 again, attempt 3')
  orders.release('ann', 'm2').gives('keep m2 returned, 0 tried', 'ann gets m2 again')
  orders.disconnect('ann')
  orders.crash({ clean: true }).gives()
  // The disconnect counted for m3, the first that was held, with concurrency 1.
  orders.subscribe('bob').gives('bob gets m1 again, attempt 3', 'bob gets m2 again', 'bob gets m3 again, attempt 2')
})

test('D5: after an unclean stop every message may have been delivered', () => {
  const orders = scenario()
  orders.publish('m1')
  orders.crash()
  orders.subscribe('ann').gives('ann gets m1 again')
})

test('D6: when a connection is gone only what was worked on counts as tried', () => {
  const orders = scenario()
  orders.subscribe('ann', { concurrency: 2 })
  orders.publish('m1', 'm2', 'm3', 'm4').gives('keep m1 m2 m3 m4', 'ann gets m1 m2 m3 m4')
  orders.subscribe('bob')
  orders
    .disconnect('ann')
    .gives(
      'keep m1 m2 returned, 1 tried',
      'keep m3 m4 returned, 0 tried',
      'bob gets m1 m2 again, attempt 2',
      'bob gets m3 m4 again',
    )
})

test('D6, D12: a delivery that waited for the disk when its connection ended counts for nothing', () => {
  const orders = scenario()
  orders.subscribe('ann')
  orders.holdDisk().publish('m1').gives('keep m1', 'ann gets m1')
  orders.disconnect('ann').gives()
  orders.commit().subscribe('bob').gives('bob gets m1')
})

test('D7: a lease that runs out gives the message to the next consumer, as a second attempt', () => {
  const orders = scenario({ leaseMs: 30_000 })
  orders.at('0s').publish('m1').gives('keep m1')
  orders.at('0s').subscribe('ann', { prefetch: 1 }).gives('ann gets m1')
  orders.at('29s').subscribe('bob', { prefetch: 1 }).gives()
  orders.at('29999ms').tick().gives()
  orders.at('30s').tick().gives('keep m1 returned, 1 tried', 'ann lost m1', 'bob gets m1 again, attempt 2')
})

test('D7: an ack after the lease was lost is told so and changes nothing', () => {
  const orders = scenario({ leaseMs: 30_000 })
  orders.publish('m1')
  orders.subscribe('ann', { prefetch: 1 }).gives('ann gets m1')
  const late = orders.delivery('ann', 'm1')
  orders.subscribe('bob', { prefetch: 1 })
  orders.at('30s').tick().gives('keep m1 returned, 1 tried', 'ann lost m1', 'bob gets m1 again, attempt 2')
  orders
    .outcome((turn, now) => {
      const subscription = orders.consumers.get('ann')
      const { results } = orders.broker.settle(
        turn,
        now,
        orders.queue,
        [{ subscription: subscription as never, deliveries: [{ first: late, count: 1 }] }],
        { kind: 'ack' },
      )
      return results.flat().map(({ result }) => result)
    })
    .gives('lease-lost')
  orders.ack('bob', 'm1').gives('keep m1 acked')
})

test('D7, A2: an extended lease runs from when it was extended', () => {
  const orders = scenario({ leaseMs: 30_000 })
  orders.publish('m1')
  orders.subscribe('ann').gives('ann gets m1')
  orders.at('20s').extend('ann', 'm1', '60s').gives()
  orders.at('79s').tick().gives()
  expect(orders.broker.nextDeadline).toBe(orders.at('80s').now)
  orders.tick().gives('keep m1 returned, 1 tried', 'ann lost m1', 'ann gets m1 again, attempt 2')
})

test('D8: a settled delivery gives its credit back at once', () => {
  const orders = scenario()
  orders.subscribe('ann', { prefetch: 1 })
  orders.publish('m1', 'm2').gives('keep m1 m2', 'ann gets m1')
  orders.ack('ann', 'm1').gives('keep m1 acked', 'ann gets m2')
})

test('D8: with prefetch 0 a subscription gets barriers only', () => {
  const orders = scenario()
  orders.subscribe('ann', { prefetch: 0 })
  orders.publish('m1').gives('keep m1')
  orders.subscribe('bob').gives('bob gets m1')
  orders.barrier('eof').gives('keep barrier eof')
  orders
    .ack('bob', 'm1')
    .gives('keep m1 acked', 'keep eof released: clean', 'ann gets barrier eof', 'bob gets barrier eof', 'released eof')
})

test('D8: no more than prefetch_bytes of bodies are out at a subscription, but always one message', () => {
  const orders = scenario({ prefetchBytes: 25 })
  orders.subscribe('ann')
  // Bodies of 10 bytes each.
  orders.publish('m1', 'm2', 'm3', 'm4').gives('keep m1 m2 m3 m4', 'ann gets m1 m2')
  orders.ack('ann', 'm1').gives('keep m1 acked', 'ann gets m3')
  const small = scenario({ prefetchBytes: 5 })
  small.subscribe('ann')
  small.publish('m1', 'm2').gives('keep m1 m2', 'ann gets m1')
})

test('D1, D8: whoever has no bytes left for the next message is asked again when another one comes next', () => {
  const orders = scenario({ prefetchBytes: 100 })
  const publish = (label: string, bytes: number, priority: number) => orders.publishEach([[label, { bytes, priority }]])
  orders.subscribe('ann')
  publish('m1', 60, 5).gives('keep m1', 'ann gets m1')
  publish('m2', 60, 5).gives('keep m2')
  // It would fit, but it is not the first.
  publish('m3', 10, 4).gives('keep m3')
  publish('m4', 30, 9).gives('keep m4', 'ann gets m4')
  // Taken by somebody else, also with a filter of his own, it leaves the one behind it as the next.
  orders.subscribe('bob', { prefetch: 1, only: ['m2'] }).gives('bob gets m2', 'ann gets m3')
})

test('D1, D8: whoever had no bytes left has its turn like the others once a smaller message comes next', () => {
  const orders = scenario({ prefetchBytes: 100, fairness: 'fast' })
  orders.subscribe('ann')
  orders.subscribe('bob', { only: ['m3'] })
  orders.publishEach([['m1', { bytes: 60 }]]).gives('keep m1', 'ann gets m1')
  orders.publishEach([['m2', { bytes: 60 }]]).gives('keep m2')
  orders.publishEach([['m3', { bytes: 30, priority: 9 }]]).gives('keep m3', 'ann gets m3')
})

test('D8, A7: a large body is counted as what it is, also among neighbours that are alike', () => {
  const orders = scenario()
  orders.publishEach([['m1', { bytes: 10 }]])
  orders.publishEach([['m2', { bytes: 60_000 }]])
  orders.publishEach([['m3', { bytes: 60_000 }]])
  orders.subscribe('ann', { prefetch: 1 }).gives('ann gets m1')
  orders.ack('ann', 'm1').gives('keep m1 acked', 'ann gets m2')
  expect(orders.queue.bytes).toBe(120_000)
  orders.publishEach([['m4', { bytes: 30 }]])
  orders.ack('ann', 'm2').gives('keep m2 acked', 'ann gets m3')
  orders.ack('ann', 'm3').gives('keep m3 acked', 'ann gets m4')
  expect(orders.queue.bytes).toBe(30)
})

test('D11: a socket that is full stops deliveries to its connection alone', () => {
  const orders = scenario()
  orders.subscribe('ann')
  orders.subscribe('bob')
  const ann = orders.consumers.get('ann')
  const stall = (isStalled: boolean) =>
    orders.outcome((turn, now) => {
      orders.broker.change(turn, now, orders.queue, () => {
        ann!.isStalled = isStalled
        orders.queue.consumers.changed(ann!)
      })
    })
  stall(true).gives()
  orders.publish('m1', 'm2').gives('keep m1 m2', 'bob gets m1 m2')
  orders.disconnect('bob').gives('keep m1 returned, 1 tried', 'keep m2 returned, 0 tried')
  stall(false).gives('ann gets m1 again, attempt 2', 'ann gets m2 again')
})

test('D12: a delivery rests on the turn that brought the message', () => {
  const orders = scenario()
  orders.subscribe('ann')
  const { turn } = orders.run((turn, now) =>
    orders.broker.publish(turn, orders.queue, {
      now,
      incoming: [
        { kind: 'messages', index: 0, count: 1, bytes: new Uint8Array(0), runs: [{ count: 1, bodyBytes: 0 }] },
      ],
    }),
  )
  expect(turn.effects).toMatchObject([{ kind: 'deliver', rests: turn.number }])
})

test('D12: an accepted message may go out before it is on disk', () => {
  const orders = scenario()
  orders.subscribe('ann')
  const accepted = () =>
    orders.run((turn, now) =>
      orders.broker.publish(turn, orders.queue, {
        now,
        isAccepted: true,
        incoming: [
          { kind: 'messages', index: 0, count: 1, bytes: new Uint8Array(0), runs: [{ count: 1, bodyBytes: 0 }] },
        ],
      }),
    ).turn
  // The first one reserves sequence numbers, and waits for that.
  const first = accepted()
  expect(first.effects).toMatchObject([{ kind: 'deliver', rests: first.number }])
  expect(accepted().effects).toMatchObject([{ kind: 'deliver', rests: first.number }])
})

test('D16: a message whose time is over becomes a dead letter, and its barrier opens with it', () => {
  const orders = scenario()
  orders.publishEach([
    ['short', { ttl: '10s' }],
    ['long', { ttl: '60s' }],
  ])
  orders.barrier('eof')
  orders.at('9999ms').tick().gives()
  orders.at('10s').tick().gives('keep queue orders.dead', 'keep short moved to orders.dead: expired')
  expect(orders.queue.head).toMatchObject({ published: 2, expired: 1, dead: 0 })
  orders
    .at('60s')
    .tick()
    .gives('keep long moved to orders.dead: expired', 'keep eof released: with-dead', 'released eof')
})

test('D16: a message that expires while it is leased ends with its lease; an ack before that is a success', () => {
  const orders = scenario({ expirationMs: 10_000 })
  orders.publish('m1', 'm2')
  orders.subscribe('ann').gives('ann gets m1 m2')
  orders.at('20s').tick().gives()
  orders.ack('ann', 'm1').gives('keep m1 acked')
  orders.nack('ann', 'm2').gives('keep queue orders.dead', 'keep m2 moved to orders.dead: expired')
})

test('D16: nothing is given out at or after the time it expires, also before anybody has looked at the clock', () => {
  const orders = scenario({ expirationMs: 10_000, deadLetter: 'drop' })
  orders.publish('m1')
  orders.at('10s').subscribe('ann').gives('keep m1 expired')
})

test('D16: what is delayed beyond its time expires at its time', () => {
  const orders = scenario({ deadLetter: 'drop' })
  orders.publishEach([['m1', { delay: '60s', ttl: '10s' }]])
  orders.barrier('eof')
  orders.at('10s').tick().gives('keep m1 expired', 'keep eof released: with-dead', 'released eof')
})

test('D16: expiry follows messages that were given out in part and came back', () => {
  const orders = scenario({ expirationMs: 10_000, deadLetter: 'drop' })
  orders.publish('m1', 'm2', 'm3', 'm4')
  orders.subscribe('ann', { prefetch: 2 }).gives('ann gets m1 m2')
  orders.release('ann', 'm1').gives('keep m1 returned, 0 tried', 'ann gets m1 again')
  orders.unsubscribe('ann').gives('keep m2 returned, 0 tried', 'keep m1 returned, 0 tried')
  orders.at('10s').tick()
  expect(orders.queue.head).toMatchObject({ published: 4, expired: 4, live: 0 })
  expect(orders.queue.expiring.size).toBe(0)
})

test('R9: many deliveries go in turns, so that others come between, and whose socket is full meanwhile gets no more', () => {
  const orders = scenario({ priority: 'property' })
  // Of alternating priorities, so that each is a delivery of its own.
  orders.publishEach(Array.from({ length: 3 * DELIVERIES_MAX }, (_, k) => [`m${k}`, { priority: k % 100 }]))
  const given = () => ({ ann: orders.consumers.get('ann')?.used, bob: orders.consumers.get('bob')?.used })
  orders.subscribe('ann', { prefetch: 1_000 })
  expect(given()).toEqual({ ann: DELIVERIES_MAX, bob: undefined })
  const ann = orders.consumers.get('ann') as Subscription
  orders.run((turn, now) =>
    orders.broker.change(turn, now, orders.queue, () => {
      ann.isStalled = true
      orders.queue.consumers.changed(ann)
    }),
  )
  orders.tick()
  expect(given()).toEqual({ ann: DELIVERIES_MAX, bob: undefined })
  orders.subscribe('bob', { prefetch: 1_000 })
  orders.tick()
  expect(given()).toEqual({ ann: DELIVERIES_MAX, bob: 2 * DELIVERIES_MAX })
  orders.tick().gives()
})
