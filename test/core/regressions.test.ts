import { expect, test } from 'vitest'
import type { CarriedPublish } from '../../src/core/broker.ts'
import { withDefaults } from '../../src/core/declaring.ts'
import type { Incoming } from '../../src/core/publishing.ts'
import { type Scenario, scenario } from '../support/scenario.ts'

// What the model found, shortened to what matters. Each failed once.

function messages(count: number): Incoming {
  return { kind: 'messages', index: 0, count, bytes: new Uint8Array(0), runs: [{ count, bodyBytes: count }] }
}

function barrier(index: number, name?: string): Incoming {
  return { kind: 'barrier', index, count: 1, bytes: new Uint8Array(0), barrier: name === undefined ? {} : { name } }
}

/** An ack of delivery 1 with publishes to another queue. */
function ackWith(orders: Scenario, name: string, queue: string, ...incoming: readonly Incoming[]) {
  const subscription = orders.consumers.get(name)
  const target = orders.broker.queue(queue)
  if (subscription === undefined || target === undefined) throw new Error('there is no such consumer or queue')
  return orders.run((turn, now) => {
    const carried: CarriedPublish = { queue: target, publish: { incoming, now } }
    const claims = [{ subscription, deliveries: [{ first: 1, count: 1 }] }]
    return orders.broker.settle(turn, now, orders.queue, claims, { kind: 'ack' }, [carried])
  }).result
}

test('D5: what was delivered before a crash is a redelivery after a clean stop too', () => {
  const orders = scenario()
  orders.publish('m1')
  orders.subscribe('ann').gives('ann gets m1')
  orders.crash()
  // Nobody came; now the server is stopped and started in peace.
  orders.crash({ clean: true })
  orders.subscribe('bob').gives('bob gets m1 again')
})

test('A4: an ack whose second barrier is refused publishes nothing and settles nothing', () => {
  const orders = scenario()
  orders.run((turn, now) => orders.broker.declare(turn, now, 'results', withDefaults({ barriersMax: 1 })))
  orders.run((turn, now) =>
    orders.broker.publish(turn, orders.broker.queue('results')!, { incoming: [messages(1)], now }),
  )
  orders.subscribe('ann')
  orders.publish('m1')
  const answer = ackWith(orders, 'ann', 'results', barrier(0), barrier(1))
  expect(answer.refusal?.code).toBe('too-many-barriers')
  expect(orders.broker.queue('results')?.barriers.waitingCount).toBe(0)
  orders.ack('ann', 'm1').gives('keep m1 acked')
})

test('A4: an ack with two barriers of one name publishes nothing and settles nothing', () => {
  const orders = scenario()
  orders.run((turn, now) => orders.broker.declare(turn, now, 'results', withDefaults({})))
  orders.subscribe('ann')
  orders.publish('m1')
  const answer = ackWith(orders, 'ann', 'results', barrier(0, 'eof'), barrier(1, 'eof'))
  expect(answer.refusal?.code).toBe('barrier-exists')
  orders.ack('ann', 'm1').gives('keep m1 acked')
})

test('P3: a sequence number that was told before the disk is not given again when a crash took its message', () => {
  const orders = scenario()
  orders.subscribe('ann')
  const accepted = () =>
    orders.run((turn, now) =>
      orders.broker.publish(turn, orders.queue, { incoming: [messages(1)], now, isAccepted: true }),
    )
  // The first one waits for the disk, and reserves numbers for those that follow.
  const first = accepted()
  expect(first.turn.effects).toMatchObject([{ kind: 'deliver', rests: first.turn.number }])
  expect(first.result[0]).not.toHaveProperty('isEarly')
  orders.holdDisk()
  const second = accepted()
  expect(second.turn.effects).toMatchObject([{ kind: 'deliver', rests: first.turn.number, first: 2 }])
  expect(second.result).toMatchObject([{ sequence: 2, isEarly: true }])
  orders.crash()
  orders.commit()
  expect(accepted().result[0]).toMatchObject({ sequence: 100_002 })
})

test('P3: after a clean stop the numbers go on without a gap, accepted or not', () => {
  const orders = scenario()
  orders.run((turn, now) =>
    orders.broker.publish(turn, orders.queue, { incoming: [messages(1)], now, isAccepted: true }),
  )
  orders.run((turn, now) => orders.broker.stop(turn, now))
  orders.crash({ clean: true })
  expect(orders.queue.nextSequence).toBe(2)
})

test('D5, R2: what was out at a clean stop comes again, marked and with no attempt counted', () => {
  const orders = scenario({ deliveriesMax: 1 })
  orders.publish('m1', 'm2')
  orders.subscribe('ann', { prefetch: 1 }).gives('ann gets m1')
  orders.outcome((turn, now) => orders.broker.stop(turn, now)).gives('keep m1 returned, 0 tried')
  orders.crash({ clean: true })
  orders.subscribe('bob').gives('bob gets m1 again', 'bob gets m2')
})

test('D7, D12: a lease that ends while its delivery waits for the disk is told after the delivery, not before', () => {
  const orders = scenario({ leaseMs: 1000 })
  orders.subscribe('ann', { prefetch: 1 })
  const { turn } = orders
    .holdDisk()
    .run((turn, now) => orders.broker.publish(turn, orders.queue, { incoming: [messages(1)], now }))
  expect(turn.effects).toMatchObject([{ kind: 'deliver', rests: turn.number }])
  const later = orders.at('1s').run((next, now) => orders.broker.tick(next, now))
  const lost = later.turn.effects.find(({ kind }) => kind === 'lease-lost')
  // Told at once it would come before the delivery that it takes back.
  expect(lost?.rests ?? turn.number).toBeGreaterThanOrEqual(turn.number)
})

test('D1: fast gives to the first with room, also when a filter lets another one in', () => {
  const orders = scenario({ fairness: 'fast' })
  orders.subscribe('ann', { prefetch: 2 })
  orders.subscribe('bob', { prefetch: 1, only: ['m2'] })
  orders.publish('m1', 'm2').gives('keep m1 m2', 'ann gets m1', 'ann gets m2')
})

test('D1: round-robin goes round, also when a filter lets another one in', () => {
  const orders = scenario({ fairness: 'round-robin' })
  orders.subscribe('ann', { prefetch: 4 })
  orders.subscribe('bob', { prefetch: 1, only: ['m1', 'm2'] })
  orders.publish('m0').gives('keep m0', 'ann gets m0')
  orders.publish('m1').gives('keep m1', 'bob gets m1')
  orders.ack('bob', 'm1')
  // Ann holds more of her credit, and it is her turn.
  orders.publish('m2').gives('keep m2', 'ann gets m2')
})

test('D1: what unacked_max lets out is shared out fairly', () => {
  const orders = scenario({ unackedMax: 2 })
  orders.subscribe('ann', { prefetch: 4 })
  orders.subscribe('bob', { prefetch: 4 })
  orders.publish('m1', 'm2', 'm3', 'm4').gives('keep m1 m2 m3 m4', 'ann gets m1', 'bob gets m2')
})

test('R1, R6: attempts are known after a restart for which the clock was set back before a delay that was over', () => {
  const orders = scenario()
  orders.publishEach([['m1', { delay: '60s' }]])
  orders.at('60s').tick()
  orders.subscribe('ann').gives('ann gets m1')
  orders.nack('ann', 'm1')
  orders.at('50s').crash({ clean: true })
  orders.subscribe('bob')
  orders.at('60s').tick()
  expect(orders.queue.head).toMatchObject({ leased: 1 })
  expect([...(orders.consumers.get('bob')?.held ?? [])]).toMatchObject([{ run: { attempts: 1, delivered: true } }])
})

test('R2, D5: while the server stops nobody gets anything, not even a dead letter that the stop makes', () => {
  const orders = scenario()
  const dead = orders.on('orders.dead', { deadLetter: 'drop' })
  dead.subscribe('bob')
  orders.publishEach([['m1', { ttl: '1s' }]])
  orders.subscribe('ann').gives('ann gets m1')
  const { lines } = orders.at('2s').outcome((turn, now) => orders.broker.stop(turn, now))
  expect(lines).toEqual(['keep m1 moved to orders.dead: expired'])
})

test('D7: an ack of a lost delivery and of the one that followed it settles the message once', () => {
  const orders = scenario({ acks: 'any' })
  orders.subscribe('ann', { prefetch: 1, lease: '1s' })
  orders.publish('m1').gives('keep m1', 'ann gets m1')
  orders.at('1s').tick()
  const subscription = orders.consumers.get('ann')!
  orders.run((turn, now) =>
    orders.broker.settle(turn, now, orders.queue, [{ subscription, deliveries: [{ first: 1, count: 2 }] }], {
      kind: 'ack',
    }),
  )
  expect(orders.queue.head).toMatchObject({ acked: 1, leased: 0, live: 0 })
})

test('B13, A6: with on_dead = fail what was purged fails no batch, whatever dead_letter says before or after', () => {
  const orders = scenario({ onDead: 'fail' })
  orders.publish('m1', 'm2', 'm3')
  orders.purge(2).gives('keep m1 purged', 'purged 1')
  orders.barrier('eof').gives('keep barrier eof')
  orders.update({ deadLetter: 'drop' }).gives()
  orders.crash({ clean: true })
  orders.subscribe('ann').gives('ann gets m2 m3')
  orders
    .ack('ann', 'm2', 'm3')
    .gives('keep m2 acked', 'keep m3 acked', 'keep eof released: with-dead', 'ann gets barrier eof', 'released eof')
  orders.publish('m4')
  orders.purge(undefined, true)
  orders
    .barrier('next')
    .gives('keep barrier next', 'keep next released: with-dead', 'ann gets barrier next', 'released next')
})

test('B13, A7: with on_dead = fail what drop-oldest pushes out fails no batch', () => {
  const orders = scenario({ onDead: 'fail', deadLetter: 'drop', overflow: 'drop-oldest', messagesMax: 1 })
  orders.publish('m1', 'm2').gives('keep m1 m2', 'keep m1 dropped')
  orders.barrier('eof').gives('keep barrier eof')
})

test('B13, R1: with on_dead = fail a dead letter that nobody keeps fails its batch, also after a crash and another option', () => {
  const orders = scenario({ onDead: 'fail', deadLetter: 'drop', deadlineRest: 'drop' })
  orders.publish('m1', 'm2')
  orders.subscribe('ann', { only: ['m1'] }).gives('ann gets m1')
  orders.reject('ann', 'm1').gives('keep m1 dropped')
  orders.crash()
  orders.update({ deadLetter: 'morgue' })
  orders.barrier('eof').gives('keep barrier eof', 'keep barrier eof ended: failed, drop')
  orders.tick().gives('keep m2 dropped', 'keep eof released: failed', 'released eof')
})

test('B13: an update to on_dead = fail ends a waiting batch that has a dead letter, at once', () => {
  const orders = scenario({ deadlineRest: 'drop' })
  orders.publish('m1', 'm2')
  orders.subscribe('ann', { prefetch: 1 })
  orders.reject('ann', 'm1')
  orders.barrier('eof')
  orders.update({ onDead: 'fail' }).gives('keep barrier eof ended: failed, drop')
})

test('B16, B13, D15: what was carried goes before its group in the next batch, before a restart and after it', () => {
  const play = (isRestarted: boolean) => {
    const orders = scenario({ group: 'property' })
    orders.subscribe('ann', { prefetch: 1, only: ['m1'] })
    orders.publish('m1')
    orders.barrier('eof')
    orders.publishEach([['old', { group: 'g' }]])
    const child = () => orders.incoming([['child', { group: 'g' }]])
    orders.ackAndCarry('ann', 'm1', () => [[orders, child()]]).gives('keep child in batch 0', 'keep m1 acked')
    orders.cancel('eof', 'carry')
    if (isRestarted) orders.crash({ clean: true })
    orders.subscribe('bob').gives('bob gets child')
    orders.ack('bob', 'child').gives('keep child acked', 'bob gets old')
  }
  play(false)
  play(true)
})

test('D1: round-robin goes round also where messages of one priority end and others begin, or do not share out evenly', () => {
  const shares = (consumers: number, ...counts: readonly number[]) => {
    const orders = scenario({ fairness: 'round-robin', priority: 'property' })
    for (let k = 0; k < consumers; k += 1) orders.subscribe(`c${k}`)
    orders.publishEach(
      counts.flatMap((count, k) => Array.from({ length: count }, (_, n) => [`m${k}.${n}`, { priority: -k }] as const)),
    )
    return Array.from({ length: consumers }, (_, k) => orders.consumers.get(`c${k}`)?.used)
  }
  expect(shares(2, 3, 1)).toEqual([2, 2])
  expect(shares(3, 11)).toEqual([4, 4, 3])
  expect(shares(2, 3, 10)).toEqual([7, 6])
  expect(shares(2, 10)).toEqual([5, 5])
})

test('P4, P5: an atomic publish is not refused for ids whose window is over', () => {
  const orders = scenario({ dedupeWindowMs: 1_000, dedupeMax: 1 })
  orders.publishEach([['m1', { id: 'a' }]])
  orders.at('1s')
  const incoming = [{ ...messages(1), id: 'b' }]
  const answers = orders.run((turn, now) =>
    orders.broker.publishAtomic(turn, [
      { queue: orders.queue, publish: { incoming, now }, count: 1, numbering: undefined },
    ]),
  ).result
  expect(answers).toMatchObject([[{ sequence: 2, duplicate: false }]])
})

test('D8: what did not fit into prefetch_bytes goes out when an update lets it', () => {
  const orders = scenario({ prefetchBytes: 10 })
  orders.subscribe('ann', { prefetch: 2 })
  orders.publish('m1', 'm2').gives('keep m1 m2', 'ann gets m1')
  orders.update({ prefetchBytes: 20 }).gives('ann gets m2')
})

test('B15: a gathering whose queue is deleted goes on with the batches of all parties that had come', () => {
  const end = scenario()
  const middle = end.on('middle')
  middle.update({ forwardBarrier: ['orders'] })
  const a = end.on('a', { onDead: 'fail', deadLetter: 'drop' })
  const b = end.on('b')
  a.publish('m1')
  a.subscribe('ann')
  a.reject('ann', 'm1')
  for (const stage of [a, b]) stage.barrier('eof', { forward: ['middle'], parties: 3 })
  middle.delete()
  expect(end.queue.barriers.find('eof')).toMatchObject({
    outcome: 'failed',
    batches: [
      { queue: 'a', outcome: 'failed' },
      { queue: 'b', outcome: 'clean' },
      { queue: 'middle', outcome: 'cancelled' },
    ],
  })
})

test('R9: of two queues with long work each gets its step', () => {
  const orders = scenario()
  const other = orders.on('other')
  for (const queue of [orders, other]) {
    queue.publishMany(3_000)
    queue.barrier('eof')
    queue.cancel('eof', 'drop')
  }
  const live = () => [orders.queue.messages, other.queue.messages]
  const seen = [1, 2, 3, 4].map(() => {
    orders.tick()
    return live()
  })
  expect(seen).toEqual([
    [2_000, 3_000],
    [2_000, 2_000],
    [1_000, 2_000],
    [1_000, 1_000],
  ])
})

test('P4, P5: where ids are not remembered, two barriers of one id in an atomic publish are two, and refused together', () => {
  const orders = scenario()
  const withId = (index: number) => ({ ...barrier(index, 'eof'), id: 'm' }) as Incoming
  const { result } = orders.run((turn, now) =>
    orders.queue.arrivals.publish(turn, { incoming: [withId(0), withId(1)], now, isAtomic: true }),
  )
  expect(result).toMatchObject([{ refusal: { code: 'barrier-exists' } }, { refusal: { code: 'barrier-exists' } }])
  expect(orders.queue.barriers.find('eof')).toBe(undefined)
})

test('D1: what another filter will take does not make the share of two equals uneven', () => {
  const orders = scenario()
  orders.subscribe('picky', { prefetch: 1, only: ['m1'] })
  orders.subscribe('ann', { prefetch: 2 })
  orders.subscribe('bob', { prefetch: 1 })
  orders.publish('m1', 'm2', 'm3')
  const holds = ['picky', 'ann', 'bob'].map(name => orders.consumers.get(name)?.used)
  expect(holds).toEqual([1, 1, 1])
})

test('B16, A5: a dead letter whose queue is deleted ends once, also if its consumer acks it in the same moment', () => {
  const orders = scenario({ onDead: 'hold' })
  orders.publish('m1', 'm2')
  orders.barrier('eof')
  orders.subscribe('ann').gives('ann gets m1 m2')
  orders.reject('ann', 'm1')
  const dead = orders.on('orders.dead')
  dead.subscribe('eve').gives('eve gets m1')
  const { queue } = dead
  dead.delete()
  const claims = [{ subscription: orders.consumers.get('eve')!, deliveries: [{ first: 1, count: 1 }] }]
  const { result } = orders.run((turn, now) => orders.broker.settle(turn, now, queue, claims, { kind: 'ack' }))
  expect(result.results).toEqual([[{ first: 1, count: 1, result: 'already-settled' }]])
  // Counted twice, it would hold the barrier for ever: by less than nothing.
  orders.ack('ann', 'm2').gives('keep m2 acked', 'keep eof released: with-dead', 'ann gets barrier eof', 'released eof')
})
