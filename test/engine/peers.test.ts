import { expect, test } from 'vitest'
import type { Pulled } from '../../src/engine/peer.ts'
import { soon, TestPeer, testEngine } from '../support/engine.ts'

const PRODUCER = 'a'.repeat(32)

async function withQueue(options: Record<string, unknown> = {}) {
  const parts = await testEngine()
  const ann = new TestPeer(parts.engine, 'ann')
  expect(parts.engine.declare('q', options)).toMatchObject({ created: true })
  parts.journal.commitAll()
  return { ...parts, ann }
}

test('P3: a barrier expression finds the barrier in the middle of a frame', async () => {
  const { ann, journal } = await withQueue({ barrier: '/is_eof = 1' })
  ann.publish('q', ['{"a":1}', '{"is_eof":1}', '{"a":2}'])
  journal.commitAll()
  expect(ann.take()).toEqual(['confirmed 0 as 1', 'confirmed 1 as 2', 'confirmed 2 as 3'])
  expect(ann.peer.barrier('q', '@2')).toMatchObject({
    state: 'waiting',
    batch: 0,
    progress: { published: 1, ready: 1 },
  })
})

test('P6: a body is opaque, and above message_max refused by name', async () => {
  const { engine, journal } = await testEngine({ messageMax: 8 })
  const ann = new TestPeer(engine, 'ann')
  engine.declare('q', {})
  ann.publish('q', ['12345678', '123456789', 'x'])
  journal.commitAll()
  expect(ann.take()).toEqual(['confirmed 0 as 1', 'refused 1: message-too-large', 'confirmed 2 as 2'])
})

test('P8: each refusal is for its message alone', async () => {
  const { ann, journal } = await withQueue({ filter: '/ok = 1' })
  ann.publish('nowhere', ['a'])
  ann.publish('q', ['{"ok":1}', '{"ok":2}', ['{"ok":1}', { delayMs: 5, barrier: {} }]])
  ann.publish('q', ['{"ok":1}'], { dedupe: true })
  await soon()
  journal.commitAll()
  expect(ann.take()).toEqual([
    'refused 0: no-such-queue',
    'confirmed 0 as 1',
    'refused 1: not-accepted',
    'refused 2: invalid-message',
    'refused 0: no-dedupe-window',
  ])
})

test('P8: bytes that are not the messages they say are refused whole', async () => {
  const { ann } = await withQueue()
  ann.peer.publish({ queue: 'q', bytes: new Uint8Array([200, 0, 0, 0, 1]), count: 1 }, answers =>
    ann.heard.push(JSON.stringify(answers.map(answer => 'refusal' in answer && answer.refusal.code))),
  )
  ann.publish('q', ['a', 'b'], { count: 3 })
  await soon()
  expect(ann.take()).toEqual(['["invalid-message"]', 'refused 0…2: invalid-message'])
})

test('P9: an older connection of the same producer is ended, and what is sent again is answered again', async () => {
  const { engine, journal } = await withQueue()
  const first = new TestPeer(engine, 'p', PRODUCER)
  first.publish('q', ['a', 'b'], { number: 1 })
  const second = new TestPeer(engine, 'p', PRODUCER)
  expect(first.take()).toEqual(['closed producer-taken-over'])
  first.publish('q', ['late'], { number: 3 })
  second.publish('q', ['a', 'b', 'c'], { number: 1 })
  journal.commitAll()
  expect(first.take()).toEqual([])
  expect(second.take()).toEqual(['confirmed 0…1 as 1', 'confirmed 2 as 3'])
  expect(second.peer.queue('q')).toMatchObject({ ready: 3 })
})

test('P9: numbers out of turn end the connection', async () => {
  const { engine } = await withQueue()
  const peer = new TestPeer(engine, 'p', PRODUCER)
  peer.publish('q', ['a'], { number: 1 })
  peer.publish('q', ['a'], { number: 7 })
  expect(peer.take()).toEqual(['closed protocol-error'])
})

test('D3, B5: a subscription filter sees bodies, headers and barriers', async () => {
  const { engine, ann, journal } = await withQueue({ barrier: '/is_eof = 1' })
  const bob = new TestPeer(engine, 'bob')
  const cyd = new TestPeer(engine, 'cyd')
  bob.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 5, filter: "[/$header/region] = 'eu'" })
  cyd.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 5, filter: '/is_eof = 1' })
  ann.publish('q', ['{"n":1}', ['{"n":2}', { headers: { region: 'eu' } }]])
  journal.commitAll()
  expect(bob.take()).toEqual(['1: 1+1 {"n":2}'])
  ann.publish('q', ['{"is_eof":1}'])
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 5 })
  journal.commitAll()
  bob.ack(1, 1)
  ann.ack(1, 1)
  journal.commitAll()
  expect(cyd.take()).toEqual(['1: barrier @3 clean'])
  expect(bob.take()).toEqual(['settled 1+1 acked'])
})

test('a bad filter is refused with the column', async () => {
  const { ann } = await withQueue()
  expect(ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 1, filter: '/a =' })).toMatchObject({
    code: 'bad-filter',
    facts: { column: 5 },
  })
})

test('D6: when a peer closes, what it held goes to the others at once', async () => {
  const { engine, ann, journal } = await withQueue()
  const bob = new TestPeer(engine, 'bob')
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 5 })
  ann.publish('q', ['a', 'b'])
  journal.commitAll()
  bob.peer.subscribe({ subscription: 9, queue: 'q', prefetch: 5 })
  ann.peer.close()
  await soon()
  expect(bob.take()).toEqual(['9: 1+1 a again, attempt 2', '9: 2+1 b again, attempt 1'])
})

test('A4: an ack that carries messages is answered after its commit, and refused as a whole', async () => {
  const { engine, ann, journal } = await withQueue()
  engine.declare('results', { filter: '/n > 0' })
  ann.publish('q', ['a', 'b'])
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 5 })
  journal.commitAll()
  ann.take()
  ann.ack(1, 1, 1, { publish: { queue: 'results', bodies: ['{"n":1}', '{"n":0}'] } })
  ann.ack(1, 1, 1, { publish: { queue: 'nowhere', bodies: ['{"n":1}'] } })
  ann.ack(1, 2, 1, { publish: { queue: 'results', bodies: ['{"n":2}'] } })
  await soon()
  journal.commitAll()
  // A refusal needs no commit, but answers keep the order of what was decided before.
  expect(ann.take().sort()).toEqual(['refused: no-such-queue', 'refused: not-accepted', 'settled 2+1 acked'])
  expect(ann.peer.queue('results')).toMatchObject({ ready: 1 })
  expect(ann.peer.queue('q')).toMatchObject({ leased: 1 })
})

test('A5: a dead letter can be consumed with where it came from', async () => {
  const { ann, journal } = await withQueue()
  const origins: unknown[] = []
  ann.publish('q', ['a'])
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 5 })
  journal.commitAll()
  ann.peer.settle({ subscription: 1, deliveries: [{ first: 1, count: 1 }], how: { kind: 'reject', reason: 'bad' } })
  const deliver = ann.deliver
  ann.deliver = delivery => {
    origins.push(delivery.origin)
    deliver.call(ann, delivery)
  }
  ann.peer.subscribe({ subscription: 2, queue: 'q.dead', prefetch: 5 })
  journal.commitAll()
  expect(ann.take()).toContain('2: 1+1 a')
  expect(origins).toMatchObject([{ queue: 'q', sequence: 1, attempts: 1, reason: 'rejected', detail: 'bad' }])
})

test('B10: wait answers before, at and after the release, and for a name that nobody has published yet', async () => {
  const { ann, journal } = await withQueue()
  const wait = (who: string, name = 'eof') =>
    ann.peer.waitForBarrier('q', name, undefined, answer =>
      ann.heard.push(`${who}: ${'code' in answer ? answer.code : answer.outcome}`),
    )
  wait('early')
  ann.publish('q', ['a', ['', { barrier: { name: 'eof' } }]])
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 5 })
  journal.commitAll()
  wait('meanwhile')
  wait('by number', '@2')
  ann.take()
  ann.ack(1, 1)
  wait('before its commit')
  await soon()
  expect(ann.take()).toEqual([])
  journal.commitAll()
  const heard = ann.take()
  expect(heard).toEqual(
    expect.arrayContaining([
      'early: clean',
      'meanwhile: clean',
      'by number: clean',
      'before its commit: clean',
      'settled 1+1 acked',
      '1: barrier eof clean',
    ]),
  )
  wait('late')
  await soon()
  expect(ann.take()).toEqual(['late: clean'])
})

test('B10: wait ends at its time-out, and with the queue', async () => {
  const { engine, ann, clock, journal } = await withQueue()
  const heard: string[] = []
  ann.peer.waitForBarrier('q', 'eof', 1000, answer => heard.push('code' in answer ? answer.code : 'released'))
  const other = ann.peer.waitForBarrier('q', 'eof', 1000, () => heard.push('cancelled waits hear nothing'))
  other.cancel()
  clock.advance(999)
  expect(heard).toEqual([])
  clock.advance(1)
  expect(heard).toEqual(['timed-out'])
  ann.peer.waitForBarrier('q', 'eof', undefined, answer => heard.push('code' in answer ? answer.code : 'released'))
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 1 })
  new TestPeer(engine, 'bob').peer.deleteQueue('q', () => {})
  journal.commitAll()
  expect(heard).toEqual(['timed-out', 'queue-deleted'])
  expect(ann.take()).toEqual(['1: cancelled queue-deleted'])
})

test('D7: the alarm ends a lease at its time', async () => {
  const { ann, clock, journal } = await withQueue({ lease: '30s' })
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 1 })
  ann.publish('q', ['a'])
  journal.commitAll()
  ann.take()
  clock.advance(29_999)
  await soon()
  expect(ann.take()).toEqual([])
  clock.advance(1)
  await soon()
  expect(ann.take()).toEqual(['1: lost 1+1', '1: 2+1 a again, attempt 2'])
})

function pull(peer: TestPeer, more: Partial<Parameters<TestPeer['peer']['pull']>[0]> = {}) {
  const answers: Pulled[] = []
  const handle = peer.peer.pull({ queue: 'q', messagesMax: 10, waitMs: 1000, ...more }, answer => {
    if ('code' in answer) peer.heard.push(`refused ${answer.code}`)
    else answers.push(answer)
  })
  return { answers, ...handle }
}

test('D8: a pull is answered with what is there, message by message, each with its lease token', async () => {
  const { ann, journal } = await withQueue()
  ann.publish('q', ['a', 'b', 'c'])
  journal.commitAll()
  const { answers } = pull(ann, { messagesMax: 2 })
  await soon()
  expect(answers[0]?.deliveries.map(({ sequence, count }) => [sequence, count])).toEqual([
    [1, 1],
    [2, 1],
  ])
  const tokens = answers[0]?.deliveries.map(({ sequence, leaseToken }) => ({ sequence, leaseToken })) ?? []
  ann.peer.settleTokens(
    { queue: 'q', deliveries: [...tokens, { sequence: 9, leaseToken: 'nonsense' }], how: { kind: 'ack' } },
    answer => ann.heard.push(answer.results.map(({ result }) => result).join()),
  )
  ann.peer.settleTokens({ queue: 'q', deliveries: tokens, how: { kind: 'ack' } }, answer =>
    ann.heard.push(answer.results.map(({ result }) => result).join()),
  )
  await soon()
  journal.commitAll()
  expect(ann.take().slice(1)).toEqual(['acked,acked,unknown', 'already-settled,already-settled'])
})

test('D8: a pull waits for messages, and is answered empty at its time', async () => {
  const { ann, clock, journal } = await withQueue()
  const waiting = pull(ann)
  const empty = pull(ann, { waitMs: 500 })
  clock.advance(500)
  await soon()
  expect(empty.answers).toMatchObject([{ deliveries: [], batch: 0 }])
  ann.publish('q', ['a'])
  journal.commitAll()
  await soon()
  expect(waiting.answers).toMatchObject([{ deliveries: [{ sequence: 1 }] }])
})

test('D8: a pull that hangs up before its answer holds nothing', async () => {
  const { ann, journal } = await withQueue()
  const { answers, cancel } = pull(ann)
  ann.publish('q', ['a'])
  cancel()
  journal.commitAll()
  await soon()
  expect(answers).toEqual([])
  expect(ann.peer.queue('q')).toMatchObject({ ready: 1, leased: 0, subscriptions: 0 })
})

test('D6: the lease of a pull belongs to time, not to the connection', async () => {
  const { engine, ann, clock, journal } = await withQueue()
  ann.publish('q', ['a'])
  journal.commitAll()
  const { answers } = pull(ann)
  await soon()
  expect(answers).toHaveLength(1)
  ann.peer.close()
  const bob = new TestPeer(engine, 'bob')
  bob.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 1 })
  clock.advance(29_999)
  await soon()
  expect(bob.take()).toEqual([])
  clock.advance(1)
  await soon()
  expect(bob.take()).toEqual(['1: 1+1 a again, attempt 2'])
})

test('A3: a token of an earlier start of the server is lost with its lease', async () => {
  const { ann, journal, clock } = await withQueue()
  ann.publish('q', ['a'])
  journal.commitAll()
  const { answers } = pull(ann)
  await soon()
  const token = answers[0]?.deliveries[0]?.leaseToken ?? ''
  const second = await testEngine({ journal: journal.crash(), clock })
  const bob = new TestPeer(second.engine, 'bob')
  bob.peer.settleTokens(
    { queue: 'q', deliveries: [{ sequence: 1, leaseToken: token }], how: { kind: 'ack' } },
    answer => bob.heard.push(answer.results[0]?.result ?? ''),
  )
  second.journal.commitAll()
  await soon()
  expect(bob.take()).toEqual(['lease-lost'])
})

test('B11: a pull that names its batch gets the barriers it missed, and the number to give back', async () => {
  const { ann, journal } = await withQueue()
  ann.publish('q', [
    ['', { barrier: { name: 'b0' } }],
    ['', { barrier: { name: 'b1' } }],
  ])
  journal.commitAll()
  const { answers } = pull(ann, { afterBatch: 0 })
  await soon()
  expect(answers).toMatchObject([
    { deliveries: [], barriers: [{ record: { name: 'b0' }, replayed: true }, { record: { name: 'b1' } }], batch: 2 },
  ])
})

test('R5: publishers hear when to stop and when to go on', async () => {
  let free = 10_000
  const { Pressure } = await import('../../src/engine/pressure.ts')
  const { virtualClock } = await import('../../src/engine/clock.ts')
  const clock = virtualClock()
  const pressure = new Pressure(clock, async () => ({ freeBytes: free, totalBytes: 100_000 }), 8_000)
  const heard: string[] = []
  pressure.onChange((on, reason) => heard.push(`${on} ${reason}`))
  await pressure.watch()
  free = 7_000
  clock.advance(1000)
  await soon()
  free = 8_500
  clock.advance(1000)
  await soon()
  expect(heard).toEqual([expect.stringMatching(/^true only 0 MiB of disk are free/)])
  free = 9_000
  clock.advance(1000)
  await soon()
  expect(heard[1]).toBe('false ')
})

test('declaring again compares only the options given', async () => {
  const { engine } = await withQueue({ lease: '30s', deliveries_max: 5 })
  expect(engine.declare('q', {})).toMatchObject({ created: false })
  expect(engine.declare('q', { lease: '30000ms' })).toMatchObject({ created: false })
  expect(engine.declare('q', { lease: '31s', deliveries_max: 5, priority: 'property' })).toMatchObject({
    code: 'queue-mismatch',
    facts: { differs: ['priority', 'lease'] },
  })
})

test('bad options and names are refused with what is wrong', async () => {
  const { engine } = await testEngine()
  const refusal = (name: string, options: Record<string, unknown>) => {
    const answer = engine.declare(name, options)
    return 'code' in answer ? `${answer.code}: ${answer.detail}` : 'declared'
  }
  expect(refusal('q', { leese: '30s' })).toBe('invalid-options: there is no queue option "leese"')
  expect(refusal('q', { lease: '30' })).toMatch(/^invalid-options: lease: "30" is not a duration/)
  expect(refusal('q', { deliveries_max: 0 })).toBe(
    'invalid-options: deliveries_max: 0 is not a whole number from 1 to 1000000000',
  )
  expect(refusal('q', { barrier: '/a =' })).toMatch(/^bad-filter: barrier: /)
  expect(refusal('q', { dead_letter: 'q' })).toMatch(/^invalid-options: dead_letter: q → q goes round in a circle/)
  for (const name of ['', '.', '..', '$sys', 'a\nb', 'x'.repeat(256), '\ud800'])
    expect(refusal(name, {})).toMatch(/^invalid-request: /)
})

test('a filter can be tried on bodies and on what a queue holds', async () => {
  const { engine, ann, journal } = await withQueue()
  ann.publish('q', ['{"a":1}', '{"a":2}', '{"a":3}'])
  journal.commitAll()
  expect(
    engine.testFilter(
      '/a > 1',
      ['{"a":1}', '{"a":2}', 'x'].map(text => new TextEncoder().encode(text)),
    ),
  ).toEqual([false, true, false])
  expect(engine.testFilterOnQueue('/a > 1', 'q')).toEqual({ tested: 3, matched: 2, first: [2, 3] })
  expect(engine.testFilter('/a >', [])).toMatchObject({ code: 'bad-filter' })
})
