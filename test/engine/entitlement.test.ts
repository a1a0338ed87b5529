import { expect, test } from 'vitest'
import { Holder } from '../../src/access/holder.ts'
import type { Holdout, Pulled, Refusal } from '../../src/engine/peer.ts'
import type { Right } from '../../src/engine/principal.ts'
import { records, soon, TestPeer, testEngine } from '../support/engine.ts'

/*
 * What a party may do, at the door that every protocol comes through.
 */

const EU = "/region = 'EU'"
const eu = (n: number) => JSON.stringify({ region: 'EU', n })
const us = (n: number) => JSON.stringify({ region: 'US', n })

async function withQueue(options: Record<string, unknown> = {}) {
  const parts = await testEngine({ isClosedToStrangers: true })
  parts.engine.declare('q', options)
  parts.journal.commitAll()
  /** `'publish,consume:q*'` or the same with a filter. */
  const come = (name: string, ...grants: (string | readonly [string, string])[]) => {
    const holder = new Holder({
      name,
      createdAt: 0,
      grants: grants.map(grant => {
        const [text, filter] = typeof grant === 'string' ? [grant] : grant
        const [rights = '', queue = ''] = text.split(':')
        return { queue, rights: rights.split(',') as Right[], ...(filter === undefined ? {} : { filter }) }
      }),
    })
    return Object.assign(new TestPeer(parts.engine, name, undefined, holder), { holder })
  }
  const all = come('root', 'publish,consume,browse,barrier,admin:*')
  return { ...parts, come, all }
}

const codeOf = (answer: unknown) => (answer as Partial<Refusal> | undefined)?.code

/** What a command is answered, as text. */
async function answerOf(
  command: (answered: (answer: unknown) => void) => unknown,
  journal?: { commitAll(): void },
): Promise<string | undefined> {
  let answer: unknown
  command((given: unknown) => {
    answer = given
  })
  journal?.commitAll()
  await soon()
  return codeOf(answer)
}

test('a party that nobody knows may do nothing where the server wants to know who comes', async () => {
  const { engine, journal } = await withQueue()
  const stranger = new TestPeer(engine, 'stranger')
  stranger.publish('q', ['a'])
  await soon()
  journal.commitAll()
  expect(stranger.take()).toEqual(['refused 0: not-allowed'])
  expect(codeOf(stranger.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 1 }))).toBe('not-allowed')
  expect(stranger.peer.queues()).toEqual([])
})

test('P8: to publish takes the right to publish, and a message that the filter does not match is refused alone', async () => {
  const { come, journal } = await withQueue()
  const ann = come('ann', ['publish:q', EU])
  ann.publish('q', [eu(1), us(2), 'not json', eu(3)])
  journal.commitAll()
  expect(ann.take()).toEqual([
    'confirmed 0 as 1',
    'refused 1: not-allowed',
    'refused 2: not-allowed',
    'confirmed 3 as 2',
  ])
})

test('P4, P8: one message that is not allowed refuses an atomic publish whole', async () => {
  const { come, journal, all, engine } = await withQueue()
  engine.declare('p', {})
  const ann = come('ann', ['publish:q', EU], 'publish:p')
  ann.publish('q', [eu(1), us(2)], { atomic: true })
  const parts = [
    { queue: 'p', ...records(['x']) },
    { queue: 'q', ...records([eu(1), us(2)]) },
  ]
  ann.peer.publishAtomic(parts, answers => ann.heard.push(JSON.stringify(answers.map(([answer]) => answer))))
  ann.peer.publishAtomic(
    [
      { queue: 'p', ...records(['x']) },
      { queue: 'z', ...records(['x']) },
    ],
    answers => ann.heard.push(JSON.stringify(answers.map(([answer]) => answer))),
  )
  await soon()
  journal.commitAll()
  const heard = ann.take()
  expect(heard.join()).not.toContain('confirmed')
  expect(heard.join()).not.toContain('sequence')
  expect(heard.join().match(/not-allowed/g)?.length).toBeGreaterThanOrEqual(3)
  expect(all.peer.queue('q')).toMatchObject({ ready: 0 })
  expect(all.peer.queue('p')).toMatchObject({ ready: 0 })
})

test('B1: a barrier takes the right to put barriers, marked or matched; a message takes the right to publish', async () => {
  const { come, journal } = await withQueue({ barrier: '/is_eof = 1' })
  const ann = come('ann', 'publish:q')
  const bob = come('bob', 'barrier:q')
  const bodies = ['{"n":1}', '{"is_eof":1}', ['{}', { barrier: { name: 'x' } }]] as const
  ann.publish('q', bodies)
  journal.commitAll()
  expect(ann.take()).toEqual(['confirmed 0 as 1', 'refused 1: not-allowed', 'refused 2: not-allowed'])
  bob.publish('q', bodies)
  journal.commitAll()
  expect(bob.take()).toEqual(['refused 0: not-allowed', 'confirmed 1 as 2', 'confirmed 2 as 3'])
})

test('B1: the filter of a grant for barriers judges the barrier, not the messages', async () => {
  const { come, journal } = await withQueue()
  const ann = come('ann', 'publish:q', ['barrier:q', '/day > 0'])
  ann.publish('q', ['x', ['{"day":1}', { barrier: {} }], ['{"day":0}', { barrier: {} }]])
  journal.commitAll()
  expect(ann.take()).toEqual(['confirmed 0 as 1', 'confirmed 1 as 2', 'refused 2: not-allowed'])
})

test('B15: a barrier goes on only to queues where its publisher may put barriers', async () => {
  const { come, journal, engine } = await withQueue()
  engine.declare('next', {})
  engine.declare('secret', {})
  const ann = come('ann', 'barrier:q', ['barrier:next', '/day > 0'])
  const barrier = (forward: string[], body = '{"day":1}') => [body, { barrier: { forward } }] as const
  ann.publish('q', [barrier(['next']), barrier(['next'], '{}'), barrier(['secret']), barrier(['absent'])])
  journal.commitAll()
  expect(ann.take()).toEqual([
    'confirmed 0 as 1',
    'refused 1: not-allowed',
    'refused 2: not-allowed',
    'refused 3: not-allowed',
  ])
})

test('A4: what an ack carries is judged as if its party published it, and nothing is done otherwise', async () => {
  const { come, journal, engine, all } = await withQueue()
  engine.declare('results', {})
  const ann = come('ann', 'consume:q', ['publish:results', EU])
  all.publish('q', ['a', 'b'])
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 5 })
  journal.commitAll()
  ann.take()
  ann.ack(1, 1, 1, { publish: { queue: 'results', bodies: [us(1)] } })
  ann.ack(1, 1, 1, { publish: { queue: 'q', bodies: [eu(1)] } })
  ann.ack(1, 1, 1, { publish: { queue: 'nowhere', bodies: [eu(1)] } })
  ann.ack(1, 1, 1, { publish: { queue: 'results', bodies: [eu(1)] } })
  await soon()
  journal.commitAll()
  expect(ann.take().sort()).toEqual([
    'refused: not-allowed',
    'refused: not-allowed',
    'refused: not-allowed',
    'settled 1+1 acked',
  ])
  expect(all.peer.queue('results')).toMatchObject({ ready: 1 })
})

test('D1: a subscription gets what both its filter and its grant match, and the others get the rest', async () => {
  const { come, journal, all } = await withQueue()
  const ann = come('ann', ['consume:q', EU])
  all.publish('q', [us(1), eu(2), eu(3), us(4)])
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 9, filter: '/n > 2' })
  journal.commitAll()
  expect(ann.take()).toEqual([`1: 1+1 ${eu(3)}`])
  // D13: another filter is ANDed to the same grant.
  ann.peer.resubscribe(1, { filter: null })
  await soon()
  expect(ann.take()).toEqual([`1: 2+1 ${eu(2)}`])
  ann.peer.resubscribe(1, { filter: "/region = 'US'" })
  await soon()
  expect(ann.take()).toEqual([])
  all.take()
  all.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 9 })
  await soon()
  expect(all.take().join()).toContain(us(1))
})

test('D1: two parties with the same filter and different grants do not share what they may see', async () => {
  const { come, journal, all } = await withQueue()
  const ann = come('ann', ['consume:q', EU])
  const bob = come('bob', ['consume:q', "/region = 'US'"])
  for (const peer of [ann, bob]) peer.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 9, filter: '/n > 0' })
  all.publish('q', [us(1), eu(2)])
  journal.commitAll()
  expect(ann.take()).toEqual([`1: 1+1 ${eu(2)}`])
  expect(bob.take()).toEqual([`1: 1+1 ${us(1)}`])
})

test('B5: a barrier goes to those whose grant matches it, without counts for those who see only some', async () => {
  const { come, journal, all } = await withQueue()
  const ann = come('ann', ['consume:q', `${EU} OR /eof = 1`])
  const bob = come('bob', ['consume:q', EU])
  const told: unknown[] = []
  ann.barrier = ({ record }) => void told.push(record)
  for (const peer of [ann, bob]) peer.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 0 })
  all.publish('q', [['{"eof":1}', { barrier: { name: 'end' } }]])
  journal.commitAll()
  expect(told).toMatchObject([{ name: 'end', outcome: 'clean' }])
  expect(told[0]).not.toHaveProperty('stats')
  expect(bob.take()).toEqual([])
})

test('a pull gets what the grant matches, and its lease token is nothing in the hands of another', async () => {
  const { come, journal, all } = await withQueue()
  const ann = come('ann', ['consume:q', EU])
  const bob = come('bob', 'consume:q')
  all.publish('q', [us(1), eu(2)])
  journal.commitAll()
  let pulled: Pulled | undefined
  ann.peer.pull({ queue: 'q', messagesMax: 9, waitMs: 0 }, answer => {
    pulled = answer as Pulled
  })
  await soon()
  expect(pulled?.deliveries.map(({ sequence }) => sequence)).toEqual([2])
  const deliveries = [{ sequence: 2, leaseToken: pulled?.deliveries[0]?.leaseToken ?? '' }]
  const results: string[] = []
  for (const peer of [bob, all, ann]) {
    peer.peer.settleTokens({ queue: 'q', deliveries, how: { kind: 'ack' } }, answer =>
      results.push(`${peer.peer.name} ${answer.results[0]?.result}`),
    )
    journal.commitAll()
  }
  expect(results).toEqual(['bob unknown', 'root unknown', 'ann acked'])
})

test('A3: on a queue with acks = "any" whoever may consume all of it may settle what another has pulled', async () => {
  const { come, journal, all } = await withQueue({ acks: 'any' })
  const ann = come('ann', 'consume:q')
  const some = come('some', ['consume:q', EU])
  all.publish('q', [us(1)])
  journal.commitAll()
  let token = ''
  ann.peer.pull({ queue: 'q', messagesMax: 1, waitMs: 0 }, answer => {
    token = (answer as Pulled).deliveries[0]?.leaseToken ?? ''
  })
  await soon()
  const results: unknown[] = []
  for (const peer of [some, all]) {
    const deliveries = [{ sequence: 1, leaseToken: token }]
    peer.peer.settleTokens({ queue: 'q', deliveries, how: { kind: 'ack' } }, answer =>
      results.push(answer.results[0]?.result),
    )
    journal.commitAll()
  }
  expect(results).toEqual(['unknown', 'acked'])
})

test('what a filter hides is in no count, no page, no holdout and no trial', async () => {
  const { come, journal, all } = await withQueue()
  const ann = come('ann', ['consume,browse:q', EU])
  all.publish('q', [us(1), eu(2), us(3), eu(4)])
  all.publish('q', [[us(5), { barrier: { name: 'hidden' } }]])
  all.publish('q', [[eu(6), { barrier: { name: 'seen' } }]])
  journal.commitAll()
  const sequences = (page: unknown) => (page as { messages: { sequence: number }[] }).messages.map(m => m.sequence)
  expect(sequences(ann.peer.browse({ queue: 'q', limit: 9 }))).toEqual([2, 4])
  expect(sequences(ann.peer.browse({ queue: 'q', limit: 9, filter: '/n > 2' }))).toEqual([4])
  const view = ann.peer.queue('q')
  for (const count of ['ready', 'leased', 'delayed', 'bytes', 'open', 'publishedTotal', 'ackedTotal'])
    expect(view).not.toHaveProperty(count)
  expect(ann.peer.queues()).toEqual([view])
  expect(ann.peer.testFilter('/n > 0', 'q')).toEqual({ tested: 2, matched: 2, first: [2, 4] })
  expect(ann.peer.barriers({ queue: 'q', limit: 9 })).toMatchObject({ barriers: [{ name: 'seen' }] })
  expect(ann.peer.barrier('q', 'seen')).not.toHaveProperty('progress')
  expect(ann.peer.barrier('q', 'hidden')).toMatchObject({ code: 'no-such-barrier' })
  // A receipt counts what is hidden.
  expect(ann.peer.receipt('q', 'seen')).toMatchObject({ code: 'not-allowed' })
  expect(ann.peer.receipt('q', 'hidden')).toMatchObject({ code: 'no-such-barrier' })
  // The holdouts of `seen` are those of its own batch, which has none.
  expect(ann.peer.holdouts('q', 'hidden', { limit: 9 })).toMatchObject({ code: 'no-such-barrier' })
  expect(all.peer.holdouts('q', 'hidden', { limit: 9 })).toHaveLength(4)
  expect(all.peer.barrier('q', 'hidden')).toMatchObject({ progress: { published: 4 } })
})

test('B17: holdouts of a barrier that is seen are those that the filter matches, page by page', async () => {
  const { come, journal, all } = await withQueue()
  const ann = come('ann', ['browse:q', `${EU} OR /eof = 1`])
  all.publish(
    'q',
    Array.from({ length: 2_500 }, (_, n) => (n % 500 === 0 ? eu(n) : us(n))),
  )
  all.publish('q', [['{"eof":1}', { barrier: { name: 'end' } }]])
  journal.commitAll()
  const of = (page: { after?: number; limit: number }) =>
    (ann.peer.holdouts('q', 'end', page) as readonly Holdout[]).map(({ sequence }) => sequence)
  expect(of({ limit: 9 })).toEqual([1, 501, 1001, 1501, 2001])
  expect(of({ limit: 2 })).toEqual([1, 501])
  expect(of({ after: 501, limit: 2 })).toEqual([1001, 1501])
})

test('B10: somebody hears of a barrier that his grant matches, and of no other', async () => {
  const { come, journal, all } = await withQueue()
  const ann = come('ann', ['consume:q', EU])
  const heard: unknown[] = []
  for (const name of ['hidden', 'seen']) ann.peer.waitForBarrier('q', name, undefined, record => heard.push(record))
  all.publish('q', [
    [us(1), { barrier: { name: 'hidden' } }],
    [eu(1), { barrier: { name: 'seen' } }],
  ])
  journal.commitAll()
  await soon()
  expect(heard).toMatchObject([{ name: 'seen' }])
  expect(heard[0]).not.toHaveProperty('stats')
  // Also long after.
  ann.peer.waitForBarrier('q', 'hidden', undefined, record => heard.push(record))
  await soon()
  expect(heard).toHaveLength(1)
})

test('dead letters are seen through the grant on the queue that they come from', async () => {
  const { come, journal, all } = await withQueue()
  const ann = come('ann', ['browse:q', EU])
  all.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 9 })
  all.publish('q', [us(1), eu(2)])
  journal.commitAll()
  all.peer.settle({ subscription: 1, deliveries: [{ first: 1, count: 2 }], how: { kind: 'reject' } })
  journal.commitAll()
  const of = (peer: TestPeer) =>
    (peer.peer.deadLetters({ queue: 'q', limit: 9 }) as { messages: unknown[] }).messages.length
  expect([of(all), of(ann)]).toEqual([2, 1])
  expect(codeOf(ann.peer.browse({ queue: 'q.dead', limit: 9 }))).toBe('not-allowed')
})

test('attack 6: whoever has no right on a queue hears the same of it whether it is there or not', async () => {
  const { come, journal, engine } = await withQueue()
  engine.declare('other', {})
  journal.commitAll()
  const ann = come('ann', 'publish,consume,browse,barrier,admin:q')
  const commands: Record<string, (queue: string) => Promise<unknown>> = {
    publish: async queue => {
      ann.publish(queue, ['a'])
      await soon()
      return ann.take()
    },
    subscribe: async queue => ann.peer.subscribe({ subscription: 1, queue, prefetch: 1 }),
    browse: async queue => ann.peer.browse({ queue, limit: 1 }),
    deadLetters: async queue => ann.peer.deadLetters({ queue, limit: 1 }),
    barriers: async queue => ann.peer.barriers({ queue, limit: 9 }),
    barrier: async queue => ann.peer.barrier(queue, 'x'),
    receipt: async queue => ann.peer.receipt(queue, 'x'),
    holdouts: async queue => ann.peer.holdouts(queue, 'x', { limit: 1 }),
    queue: async queue => ann.peer.queue(queue),
    testFilter: async queue => ann.peer.testFilter('/a = 1', queue),
    pull: queue => answerOf(a => ann.peer.pull({ queue, messagesMax: 1, waitMs: 0 }, a)),
    settle: async queue => {
      const deliveries = [{ sequence: 1, leaseToken: '1.1.1' }]
      ann.peer.settleTokens({ queue, deliveries, how: { kind: 'ack' } }, ({ refusal }) =>
        ann.heard.push(`${refusal?.code}`),
      )
      await soon()
      return ann.take()
    },
    wait: queue => answerOf(a => ann.peer.waitForBarrier(queue, 'x', undefined, a)),
    declare: queue => answerOf(a => ann.peer.declare(queue, {}, a)),
    update: queue => answerOf(a => ann.peer.update(queue, { lease: '5s' }, a)),
    delete: queue => answerOf(a => ann.peer.deleteQueue(queue, a)),
    pause: queue => answerOf(a => ann.peer.pause(queue, true, a)),
    purge: queue => answerOf(a => ann.peer.purge(queue, { leased: true }, a)),
    operate: queue => answerOf(a => ann.peer.operate(queue, 1, 'delete', a)),
    requeue: queue => answerOf(a => ann.peer.requeueDeadLetters({ queue }, a)),
    purgeDead: queue => answerOf(a => ann.peer.purgeDeadLetters({ queue }, a)),
    cancel: queue => answerOf(a => ann.peer.cancelBarrier(queue, 'x', undefined, a)),
    extend: queue => answerOf(a => ann.peer.extendBarrier(queue, 'x', 5_000, a)),
  }
  for (const [name, run] of Object.entries(commands)) {
    const there = JSON.stringify(await run('other'))
    const absent = JSON.stringify(await run('absent'))
    expect(there, name).toContain('not-allowed')
    expect(there.replaceAll('other', 'absent'), name).toBe(absent)
  }
  expect(engine.find('other')).not.toHaveProperty('code')
  expect(engine.find('absent')).toHaveProperty('code', 'no-such-queue')
  expect(ann.peer.queues().map(({ name }) => name)).toEqual(['q'])
})

test('each thing takes its own right, and that alone', async () => {
  const rights: Record<string, readonly string[]> = {
    subscribe: ['consume'],
    browse: ['browse'],
    deadLetters: ['browse'],
    testFilter: ['browse'],
    holdouts: ['browse', 'barrier', 'admin'],
    barrier: ['consume', 'browse', 'barrier', 'admin'],
    queue: ['publish', 'consume', 'browse', 'barrier', 'admin'],
    declare: ['admin'],
    pause: ['admin'],
    cancel: ['admin'],
  }
  for (const right of ['publish', 'consume', 'browse', 'barrier', 'admin']) {
    const { come, all, journal } = await withQueue()
    all.publish('q', ['x', ['', { barrier: { name: 'b' } }]])
    journal.commitAll()
    const { peer } = come('ann', `${right}:q`)
    const answers: Record<string, unknown> = {
      subscribe: codeOf(peer.subscribe({ subscription: 1, queue: 'q', prefetch: 0 })),
      browse: codeOf(peer.browse({ queue: 'q', limit: 1 })),
      deadLetters: codeOf(peer.deadLetters({ queue: 'q', limit: 1 })),
      testFilter: codeOf(peer.testFilter('/a = 1', 'q')),
      holdouts: codeOf(peer.holdouts('q', 'b', { limit: 1 })),
      barrier: codeOf(peer.barrier('q', 'b')),
      queue: codeOf(peer.queue('q')),
      declare: await answerOf(a => peer.declare('q', {}, a), journal),
      pause: await answerOf(a => peer.pause('q', false, a), journal),
      cancel: await answerOf(a => peer.cancelBarrier('q', 'b', 'drop', a), journal),
    }
    for (const [what, code] of Object.entries(answers))
      expect(code, `${what} with ${right}`).toBe(rights[what]?.includes(right) ? undefined : 'not-allowed')
  }
})

test('who only publishes to a queue sees that it is there and how it is declared, but no count', async () => {
  const { come, all, journal } = await withQueue({ lease: '5s' })
  all.publish('q', ['x'])
  journal.commitAll()
  const ann = come('ann', 'publish:q')
  expect(ann.peer.queue('q')).toMatchObject({ name: 'q', options: { leaseMs: 5_000 } })
  expect(ann.peer.queue('q')).not.toHaveProperty('ready')
})

test('a queue is declared to send to others only by somebody who may publish, or put barriers, there', async () => {
  const { come, engine, journal } = await withQueue()
  engine.declare('vault', {})
  const ann = come('ann', 'admin:ann.*', ['publish:filtered', EU], 'publish,barrier:out')
  const declare = async (options: Record<string, unknown>) => {
    const answer = await answerOf(a => ann.peer.declare('ann.x', options, a), journal)
    engine.broker.queue('ann.x') &&
      engine.run((turn, now) => engine.broker.delete(turn, now, engine.find('ann.x') as never))
    return answer
  }
  expect(await declare({ dead_letter: 'vault' })).toBe('not-allowed')
  expect(await declare({ dead_letter: 'absent' })).toBe('not-allowed')
  // Nobody would judge the dead letters by the filter.
  expect(await declare({ dead_letter: 'filtered' })).toBe('not-allowed')
  expect(await declare({ forward_barrier: ['out', 'vault'] })).toBe('not-allowed')
  expect(await declare({ announce: 'vault' })).toBe('not-allowed')
  expect(await declare({ announce: 'filtered' })).toBe('not-allowed')
  expect(await declare({ announce: 'out' })).toBe(undefined)
  expect(await declare({ dead_letter: 'drop' })).toBe(undefined)
  expect(await declare({ dead_letter: 'ann.x.dead' })).toBe(undefined)
  expect(await declare({ dead_letter: 'out', forward_barrier: ['out'] })).toBe(undefined)
  engine.declare('ann.x', {})
  journal.commitAll()
  expect(await answerOf(a => ann.peer.update('ann.x', { dead_letter: 'vault' }, a))).toBe('not-allowed')
})

test('a refusal does not name queues of others', async () => {
  const { come, engine, journal } = await withQueue()
  engine.declare('secret', { dead_letter: 'ann.dead' })
  const ann = come('ann', 'admin,publish:ann.*')
  const refusal = await new Promise<unknown>(resolve => {
    ann.peer.deleteQueue('ann.dead', resolve)
    journal.commitAll()
  })
  expect(refusal).toMatchObject({ code: 'queue-in-use' })
  expect(JSON.stringify(refusal)).not.toContain('secret')
})

test('P9: a producer id is worth nothing to another principal', async () => {
  const { come, engine, journal } = await withQueue()
  const { holder: ann } = come('ann', 'publish:q')
  const { holder: eve } = come('eve', 'publish:q')
  const id = 'c'.repeat(32)
  const first = new TestPeer(engine, 'ann', id, ann)
  first.publish('q', ['a', 'b'], { number: 1 })
  const other = new TestPeer(engine, 'eve', id, eve)
  other.publish('q', ['x'], { number: 1 })
  journal.commitAll()
  // Neither was ended, and neither's numbers count for the other.
  expect(first.take()).toEqual(['confirmed 0…1 as 1'])
  expect(other.take()).toEqual(['confirmed 0 as 3'])
  const again = new TestPeer(engine, 'ann', id, ann)
  again.publish('q', ['a', 'b'], { number: 1 })
  journal.commitAll()
  await soon()
  expect(first.take()).toEqual(['closed producer-taken-over'])
  expect(again.take()).toEqual(['confirmed 0…1 as 1'])
})

test('F1: who is dismissed is told so, holds nothing any more, and cannot come again', async () => {
  const { come, engine, journal, all } = await withQueue()
  const ann = come('ann', 'consume:q')
  all.publish('q', ['a', 'b'])
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 1 })
  journal.commitAll()
  ann.peer.pull({ queue: 'q', messagesMax: 1, waitMs: 0, leaseMs: 3_600_000 }, () => {})
  await soon()
  expect(all.peer.queue('q')).toMatchObject({ leased: 2, ready: 0 })
  ann.take()
  engine.dismiss(ann.holder, { code: 'unauthenticated', detail: 'the token was revoked' })
  expect(ann.take()).toEqual(['closed unauthenticated'])
  expect(all.peer.queue('q')).toMatchObject({ leased: 0, ready: 2 })
  const late = new TestPeer(engine, 'late', undefined, ann.holder)
  late.publish('q', ['x'])
  expect(codeOf(late.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 1 }))).toBe('shutting-down')
  await soon()
  expect(late.take()).toEqual(['closed unauthenticated'])
})

test('what operators do is told with who did it; what is not allowed is told once for each right and queue', async () => {
  const { come, journal, audited, all } = await withQueue()
  const ann = come('ann', 'publish:q')
  for (let k = 0; k < 3; k += 1) ann.peer.purge('q', { leased: false }, () => {})
  ann.peer.browse({ queue: 'q', limit: 1 })
  all.peer.declare('r', {}, () => {})
  all.peer.declare('r', {}, () => {})
  all.peer.update('r', { lease: '5s' }, () => {})
  all.peer.pause('r', true, () => {})
  all.peer.purge('r', { leased: false }, () => {})
  all.peer.deleteQueue('r', () => {})
  journal.commitAll()
  expect(audited).toEqual([
    { act: 'admin', queue: 'q', peer: 'ann', principal: 'ann', refused: 'not-allowed' },
    { act: 'browse', queue: 'q', peer: 'ann', principal: 'ann', refused: 'not-allowed' },
    { act: 'declare', queue: 'r', peer: 'root', principal: 'root' },
    { act: 'update', queue: 'r', peer: 'root', principal: 'root', about: 'lease' },
    { act: 'pause', queue: 'r', peer: 'root', principal: 'root' },
    { act: 'purge', queue: 'r', peer: 'root', principal: 'root' },
    { act: 'delete', queue: 'r', peer: 'root', principal: 'root' },
  ])
})
