import { decodeMessage } from '@sluice/protocol'
import { expect, test } from 'vitest'
import type { Refusal } from '../../src/engine/peer.ts'
import { records, soon, TestPeer, testEngine } from '../support/engine.ts'

async function withQueue(options: Record<string, unknown> = {}) {
  const parts = await testEngine()
  const ann = new TestPeer(parts.engine, 'ann')
  expect(parts.engine.declare('q', options)).toMatchObject({ created: true })
  parts.journal.commitAll()
  return { ...parts, ann }
}

/** Lets long work take all its steps, each on disk. */
async function settle(journal: { commitAll(): void }): Promise<void> {
  for (let k = 0; k < 20; k += 1) {
    await new Promise(resolve => setImmediate(resolve))
    journal.commitAll()
  }
}

const say = (ann: TestPeer) => (answer: unknown) => {
  const refusal = answer as Partial<Refusal>
  ann.heard.push(refusal?.code === undefined ? JSON.stringify(answer) : refusal.code)
}

test('P4: an atomic publish over two queues is kept whole or not at all', async () => {
  const { engine, journal, ann } = await withQueue()
  engine.declare('r', { filter: '/n > 0' })
  const parts = (n: number) => [
    { queue: 'q', ...records(['a', 'b']) },
    { queue: 'r', ...records([`{"n":${n}}`]) },
  ]
  const heard: unknown[] = []
  ann.peer.publishAtomic(parts(0), answers =>
    heard.push(answers.map(part => part.map(answer => ('refusal' in answer ? answer.refusal.code : answer.sequence)))),
  )
  ann.peer.publishAtomic(parts(1), answers =>
    heard.push(answers.map(part => part.map(answer => ('refusal' in answer ? answer.refusal.code : answer.sequence)))),
  )
  await soon()
  expect(heard).toEqual([])
  journal.commitAll()
  expect(heard).toEqual([
    [['not-accepted'], ['not-accepted']],
    [[1], [1]],
  ])
  expect(ann.peer.queue('q')).toMatchObject({ ready: 2 })
})

test('P4, P9: one that meets a missing queue uses its numbers in the others, for whoever sends ahead, and then none for older ones', async () => {
  const { engine, journal } = await withQueue()
  const ann = new TestPeer(engine, 'ann', 'ab'.repeat(16))
  const both = (other: string, number: number, spends?: boolean) =>
    ann.peer.publishAtomic(
      ['q', other].map(queue => ({ queue, ...records(['x']), number, answeredUpTo: 0 })),
      answers =>
        ann.heard.push(
          answers
            .flat()
            .map(said => ('refusal' in said ? said.refusal.code : said.sequence))
            .join(),
        ),
      spends,
    )
  both('gone', 1)
  both('gone', 1, true)
  both('r', 2, true)
  await soon()
  // What used numbers is told once that is on disk.
  expect(ann.take()).toEqual(['no-such-queue,no-such-queue'])
  engine.declare('r', {})
  both('r', 3, true)
  journal.commitAll()
  expect(ann.take()).toEqual(['no-such-queue,no-such-queue', 'no-such-queue,no-such-queue', '1,1'])
  // Sent again, the first answers: also of a queue that came meanwhile, and of one that went.
  ann.peer.deleteQueue('r', () => {})
  both('gone', 1, true)
  both('r', 3, true)
  engine.declare('r', {})
  both('r', 3, true)
  both('gone', 4, true)
  journal.commitAll()
  expect(ann.take()).toEqual(['no-such-queue,no-such-queue', '1,no-such-queue', '1,1', 'no-such-queue,no-such-queue'])
  expect(ann.peer.queue('q')).toMatchObject({ ready: 1 })
  expect(ann.heard).toEqual([])
})

test('P4: an atomic publish is bounded', async () => {
  const { ann } = await withQueue()
  const many = records(Array.from({ length: 6_000 }, () => 'x'))
  ann.peer.publishAtomic(
    [
      { queue: 'q', ...many },
      { queue: 'q', ...many },
    ],
    answers =>
      ann.heard.push(
        JSON.stringify(answers.map(part => part.map(answer => 'refusal' in answer && answer.refusal.code))),
      ),
  )
  await soon()
  expect(ann.take()).toEqual(['[["message-too-large"],["message-too-large"]]'])
})

test('P5: a repeated message id is answered with the first sequence number and enqueues nothing, also after a crash', async () => {
  const { journal, clock, ann } = await withQueue({ dedupe_window: '1h' })
  const publish = (peer: TestPeer, ...ids: string[]) =>
    peer.peer.publish(
      { queue: 'q', ...records(ids.map(messageId => ['x', { messageId }] as const)), dedupe: true },
      answers =>
        peer.heard.push(
          answers
            .map(answer =>
              'refusal' in answer ? answer.refusal.code : `${answer.sequence}${answer.duplicate ? ' again' : ''}`,
            )
            .join(', '),
        ),
    )
  publish(ann, 'a', 'b', 'a')
  publish(ann, 'b')
  journal.commitAll()
  expect(ann.take()).toEqual(['1, 2, 1 again', '2 again'])
  const second = await testEngine({ journal: journal.crash(), clock })
  const bob = new TestPeer(second.engine, 'bob')
  publish(bob, 'b', 'c')
  second.journal.commitAll()
  expect(bob.take()).toEqual(['2 again, 3'])
  clock.advance(3_600_000)
  publish(bob, 'b')
  second.journal.commitAll()
  expect(bob.take()).toEqual(['4'])
})

test('A7, P8: at messages_max new messages are refused one by one, what an ack carries is not', async () => {
  const { ann, journal } = await withQueue({ messages_max: 2 })
  ann.publish('q', ['a', 'b', 'c'])
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 1 })
  journal.commitAll()
  expect(ann.take()).toEqual(['confirmed 0…1 as 1', 'refused 2: queue-full', '1: 1+1 a'])
  ann.ack(1, 1, 1, { publish: { queue: 'q', bodies: ['d', 'e'] } })
  journal.commitAll()
  expect(ann.take()).toEqual(['1: 2+1 b', 'settled 1+1 acked'])
  expect(ann.peer.queue('q')).toMatchObject({ ready: 2, leased: 1 })
})

test('A7: bytes_max counts bodies as they are', async () => {
  const { ann, journal } = await withQueue({ bytes_max: 10 })
  ann.publish('q', ['123456', '12345', '1234'])
  journal.commitAll()
  expect(ann.take()).toEqual(['confirmed 0 as 1', 'refused 1: queue-full', 'confirmed 2 as 2'])
})

test('A7, P8: a message refused for its size leaves the room it does not take to those behind it', async () => {
  const { ann, journal } = await withQueue({ bytes_max: 10, messages_max: 2 })
  ann.publish('q', ['12345678901', '12345678901', '1', '1', '1'])
  journal.commitAll()
  expect(ann.take()).toEqual([
    'refused 0: queue-full',
    'refused 1: queue-full',
    'confirmed 2…3 as 1',
    'refused 4: queue-full',
  ])
})

test.each([
  ['drop-oldest', 0],
  ['dead-letter-oldest', 2],
])(
  'A7, P8: a frame above bytes_max under %s is taken message by message, each with all the room',
  async (overflow, dead) => {
    const { ann, journal } = await withQueue({ bytes_max: 10, overflow })
    ann.publish('q', ['1234', '1234', '1234', '12345678901', '1234'])
    await settle(journal)
    expect(ann.take()).toEqual(['confirmed 0…2 as 1', 'refused 3: queue-full', 'confirmed 4 as 4'])
    // What is there is what would be if each had come alone.
    expect(ann.peer.queue('q')).toMatchObject({ ready: 2, bytes: 8 })
    const kept = ann.peer.queue('q.dead')
    expect('ready' in kept ? kept.ready : 0).toBe(dead)
  },
)

test('A7, P8: what is delayed or out makes no room, for a frame as little as for one message', async () => {
  const { ann, journal } = await withQueue({ messages_max: 3, overflow: 'drop-oldest' })
  ann.publish('q', ['a'])
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 1 })
  journal.commitAll()
  ann.take()
  ann.publish('q', [['b', { delayMs: 1_000 }], 'c', ['d', { delayMs: 1_000 }], 'e', 'f'])
  journal.commitAll()
  expect(ann.take()).toEqual(['confirmed 0…2 as 2', 'refused 3: queue-full', 'refused 4: queue-full'])
  expect(ann.peer.queue('q')).toMatchObject({ ready: 0, leased: 1, delayed: 2 })
})

test('A7, P4: an atomic publish pushes out what was there, never a part of itself', async () => {
  const { ann, journal } = await withQueue({ messages_max: 3, overflow: 'drop-oldest' })
  ann.publish('q', ['a', 'b', 'c'])
  journal.commitAll()
  ann.take()
  const atomic = (...parts: readonly string[][]) =>
    ann.peer.publishAtomic(
      parts.map(bodies => ({ queue: 'q', ...records(bodies) })),
      answers =>
        ann.heard.push(answers.map(part => part.map(said => ('refusal' in said ? said.refusal.code : 'taken'))).join()),
    )
  atomic(['1', '2', '3', '4'])
  atomic(['1', '2'], ['3', '4'])
  atomic(['d', 'e'], ['f'])
  await settle(journal)
  expect(ann.take()).toEqual(['queue-full', 'queue-full,queue-full', 'taken,taken'])
  expect(ann.peer.queue('q')).toMatchObject({ ready: 3, publishedTotal: 6 })
})

test('B13, B12: what is carried brings the time of its first publish along', async () => {
  const { ann, journal, clock } = await withQueue()
  const began = clock.now()
  ann.publish('q', ['a', ['', { barrier: { name: 'one' } }]])
  clock.advance(1_000)
  ann.publish('q', ['b', ['', { barrier: { name: 'two' } }]])
  ann.peer.cancelBarrier('q', 'one', 'carry', () => {})
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 5 })
  journal.commitAll()
  ann.ack(1, 1, 2)
  journal.commitAll()
  expect(ann.peer.barrier('q', 'two')).toMatchObject({
    record: { stats: { published: 2, acked: 2, carried: 1, firstPublishedAt: began } },
  })
})

test('D9: an at-most-once message is removed on disk before it is sent, and comes only once', async () => {
  const { ann, journal, clock } = await withQueue({ semantics: 'at-most-once' })
  ann.publish('q', ['a', 'b'])
  journal.commitAll()
  ann.take()
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 1 })
  await soon()
  expect(ann.take()).toEqual([])
  journal.commitNext()
  expect(ann.take()).toEqual(['1: 1+1 a'])
  ann.ack(1, 1)
  journal.commitAll()
  expect(ann.take()).toEqual(expect.arrayContaining(['1: 2+1 b', 'settled 1+1 already-settled']))
  const second = await testEngine({ journal: journal.crash(), clock })
  expect(second.engine.find('q')).toMatchObject({ messages: 0 })
})

test('B18: what a pull got of an at-most-once queue does not hold its barrier once the pull is answered', async () => {
  const { ann, journal } = await withQueue({ semantics: 'at-most-once' })
  ann.publish('q', ['a', ['', { barrier: { name: 'eof' } }]])
  journal.commitAll()
  const sequences: number[] = []
  ann.peer.pull({ queue: 'q', messagesMax: 5, waitMs: 1_000 }, answer => {
    if ('deliveries' in answer) sequences.push(...answer.deliveries.map(({ sequence }) => sequence))
  })
  journal.commitAll()
  await soon()
  journal.commitAll()
  expect(sequences).toEqual([1])
  expect(ann.peer.barrier('q', 'eof')).toMatchObject({ state: 'released' })
})

test('D14: a paused queue gives nothing out and opens no barrier, also after a restart', async () => {
  const { ann, journal, clock } = await withQueue()
  ann.peer.pause('q', true, () => {})
  ann.publish('q', [['', { barrier: { name: 'eof' } }], 'a'])
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 5 })
  journal.commitAll()
  expect(ann.take()).toEqual(['confirmed 0 as 1', 'confirmed 1 as 2'])
  const second = await testEngine({ journal: journal.crash(), clock })
  const bob = new TestPeer(second.engine, 'bob')
  bob.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 5 })
  await soon()
  expect(bob.take()).toEqual([])
  bob.peer.pause('q', false, () => {})
  second.journal.commitAll()
  expect(bob.take()).toEqual(['1: barrier eof clean', '1: 1+1 a again, attempt 1'])
})

test('D15: messages of a group come one at a time and in order, by a property', async () => {
  const { ann, journal } = await withQueue({ group: 'property' })
  const of = (body: string, group: string) => [body, { group }] as const
  ann.publish('q', [of('a1', 'a'), of('a2', 'a'), of('b1', 'b'), 'free'])
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 5 })
  journal.commitAll()
  expect(ann.take().filter(line => line.startsWith('1:'))).toEqual(['1: 1+1 a1', '1: 2+1 b1', '1: 3+1 free'])
  ann.ack(1, 1)
  await soon()
  expect(ann.take()).toEqual([])
  journal.commitAll()
  expect(ann.take()).toContain('1: 4+1 a2')
})

test('A6: a purge cancels the waiting batches and takes what is ready, in steps', async () => {
  const { ann, journal } = await withQueue()
  ann.publish('q', [
    ...Array.from({ length: 1_500 }, (_, k) => `m${k}`),
    ['', { barrier: { name: 'eof' } }],
    ...Array.from({ length: 2_500 }, () => 'n'),
  ])
  ann.peer.waitForBarrier('q', 'eof', undefined, answer =>
    ann.heard.push('code' in answer ? answer.code : answer.outcome),
  )
  journal.commitAll()
  ann.take()
  ann.peer.purge('q', { leased: false }, say(ann))
  await settle(journal)
  expect(ann.take()).toEqual(expect.arrayContaining(['cancelled', '{"purged":4000}']))
  expect(ann.peer.queue('q')).toMatchObject({ ready: 0, batch: 1 })
})

test('A5: dead letters are listed, go back to their origin, and are purged', async () => {
  const { ann, journal } = await withQueue()
  ann.publish('q', ['{"n":1}', '{"n":2}', '{"n":3}'])
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 5 })
  journal.commitAll()
  ann.peer.settle({ subscription: 1, deliveries: [{ first: 1, count: 3 }], how: { kind: 'reject', reason: 'no' } })
  journal.commitAll()
  ann.peer.unsubscribe(1)
  ann.take()
  const listed = ann.peer.deadLetters({ queue: 'q', filter: '/n > 1', limit: 10 })
  expect(listed).toMatchObject({
    messages: [{ origin: { sequence: 2, reason: 'rejected', detail: 'no' } }, { origin: { sequence: 3 } }],
  })
  ann.peer.requeueDeadLetters({ queue: 'q', filter: '/n = 2' }, say(ann))
  ann.peer.purgeDeadLetters({ queue: 'q' }, say(ann))
  await settle(journal)
  expect(ann.take()).toEqual(['{"requeued":1}', '{"purged":2}'])
  expect(ann.peer.queue('q')).toMatchObject({ ready: 1 })
  expect(ann.peer.queue('q.dead')).toMatchObject({ ready: 0 })
  expect(ann.peer.browse({ queue: 'q', limit: 10 })).toMatchObject({
    messages: [{ sequence: 4, attempts: 0, state: 'ready' }],
  })
})

test('browsing shows messages in every state, by filter and by page, and changes nothing', async () => {
  const { ann, journal } = await withQueue()
  ann.publish('q', ['{"n":1}', '{"n":2}', ['{"n":3}', { delayMs: 60_000 }], '{"n":4}'])
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 1 })
  journal.commitAll()
  const page = ann.peer.browse({ queue: 'q', limit: 3 })
  expect(page).toMatchObject({
    messages: [
      { sequence: 1, state: 'leased', holder: 'ann', leaseAgeMs: 0 },
      { sequence: 2, state: 'ready' },
      { sequence: 3, state: 'delayed', dueAt: expect.any(Number) },
    ],
    next: 3,
  })
  expect(ann.peer.browse({ queue: 'q', after: 3, limit: 3 })).toMatchObject({ messages: [{ sequence: 4 }] })
  expect(ann.peer.browse({ queue: 'q', state: 'ready', filter: '/n = 4', limit: 3 })).toMatchObject({
    messages: [{ sequence: 4 }],
  })
  expect(ann.peer.browse({ queue: 'q', filter: '/n =', limit: 3 })).toMatchObject({ code: 'bad-filter' })
  const first = 'messages' in page ? page.messages[0] : undefined
  expect(new TextDecoder().decode(decodeMessage(first?.bytes ?? new Uint8Array(0)).body)).toBe('{"n":1}')
})

test('an operator releases, buries and deletes single messages', async () => {
  const { ann, journal } = await withQueue()
  ann.publish('q', ['a', 'b', 'c'])
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 1 })
  journal.commitAll()
  ann.take()
  ann.peer.operate('q', 1, 'release', say(ann))
  journal.commitAll()
  expect(ann.take()).toEqual(expect.arrayContaining(['1: lost 1+1', '1: 2+1 a again, attempt 1', '"done"']))
  ann.peer.operate('q', 2, 'dead-letter', say(ann))
  ann.peer.operate('q', 3, 'delete', say(ann))
  ann.peer.operate('q', 3, 'delete', say(ann))
  journal.commitAll()
  expect(ann.take()).toEqual(['"done"', '"done"', '"unknown"'])
  expect(ann.peer.queue('q')).toMatchObject({ ready: 0, leased: 1 })
  expect(ann.peer.queue('q.dead')).toMatchObject({ ready: 1 })
})

test('A7: a queue that is there because another names it takes its options from whoever declares it first', async () => {
  const { engine, journal } = await testEngine()
  engine.declare('a', { forward_barrier: ['b'], dead_letter: 'morgue' })
  expect(engine.declare('b', { barrier: '/eof = 1', semantics: 'at-most-once', forward_barrier: ['c'] })).toMatchObject(
    {
      created: false,
      queue: { options: { barrier: '/eof = 1', semantics: 'at-most-once', forwardBarrier: ['c'] } },
    },
  )
  expect(engine.declare('morgue', { on_dead: 'hold', dead_letter: 'tomb' })).toMatchObject({ created: false })
  expect(engine.declare('tomb', { expiration: '7d' })).toMatchObject({ created: false })
  // From then on the usual rule holds.
  expect(engine.declare('b', { barrier: '/eof = 2' })).toMatchObject({ code: 'queue-mismatch' })
  expect(engine.declare('morgue', { on_dead: 'count' })).toMatchObject({ code: 'queue-mismatch' })
  journal.commitAll()
  const next = await testEngine({ journal: journal.crash() })
  expect(next.engine.declare('tomb', { expiration: '8d' })).toMatchObject({ code: 'queue-mismatch' })
  expect(next.engine.declare('c', { lease: '1m' })).toMatchObject({ created: false })
  expect(next.engine.declare('c', { lease: '2m' })).toMatchObject({ code: 'queue-mismatch' })
})

test('A7: a first declare is refused as any other: circles, contradictions, and other semantics once something came', async () => {
  const { engine, journal } = await testEngine()
  const ann = new TestPeer(engine, 'ann')
  engine.declare('a', { forward_barrier: ['b'] })
  expect(engine.declare('b', { forward_barrier: ['a'] })).toMatchObject({ code: 'invalid-options' })
  expect(engine.declare('b', { on_dead: 'hold', dead_letter: 'drop' })).toMatchObject({ code: 'invalid-options' })
  expect(engine.declare('b', { filter: '/n >' })).toMatchObject({ code: 'bad-filter' })
  ann.publish('b', ['x'])
  journal.commitAll()
  expect(engine.declare('b', { semantics: 'at-most-once' })).toMatchObject({ facts: { differs: ['semantics'] } })
  expect(engine.declare('b', { lease: '1m' })).toMatchObject({
    created: false,
    queue: { options: { leaseMs: 60_000 } },
  })
})

test('A7: options that somebody has set are not taken back by a first declare', async () => {
  const { engine } = await testEngine()
  engine.declare('a', { dead_letter: 'morgue' })
  engine.update('morgue', { expiration: '7d' })
  expect(engine.declare('morgue', {})).toMatchObject({ queue: { options: { expirationMs: 604_800_000 } } })
  expect(engine.declare('morgue', { expiration: '1d' })).toMatchObject({ code: 'queue-mismatch' })
})

test('A2, A7: a message is not buried where nobody keeps dead letters: the operator is told, and it stays', async () => {
  const { engine, ann, journal } = await withQueue({ dead_letter: 'drop' })
  engine.declare('r', { dead_letter: 'morgue' })
  ann.publish('q', ['a'])
  ann.publish('morgue', ['b'])
  journal.commitAll()
  ann.take()
  ann.peer.operate('q', 1, 'dead-letter', say(ann))
  ann.peer.operate('morgue', 1, 'dead-letter', say(ann))
  await settle(journal)
  expect(ann.take()).toEqual(['invalid-request', 'invalid-request'])
  expect([ann.peer.queue('q'), ann.peer.queue('morgue')]).toMatchObject([{ ready: 1 }, { ready: 1 }])
})

test('B13: a barrier whose deadline passes is released as expired, an extended one later', async () => {
  const { ann, journal, clock } = await withQueue({ deadline_rest: 'drop' })
  ann.publish('q', ['a', ['', { barrier: { name: 'eof', deadlineMs: 1_000 } }]])
  journal.commitAll()
  ann.peer.waitForBarrier('q', 'eof', undefined, answer =>
    ann.heard.push('code' in answer ? answer.code : `${answer.outcome}, ${answer.stats?.dropped} dropped`),
  )
  ann.take()
  ann.peer.extendBarrier('q', 'eof', 5_000, () => {})
  clock.advance(4_999)
  await settle(journal)
  expect(ann.take()).toEqual([])
  clock.advance(1)
  await settle(journal)
  clock.advance(0)
  await settle(journal)
  expect(ann.take()).toEqual(['expired, 1 dropped'])
})

test('B14: a barrier of several parties opens when the last has come and all is done', async () => {
  const { ann, journal } = await withQueue()
  const party = (name: string) =>
    [`{"store":"${name}"}`, { barrier: { name: 'eof', parties: 2, party: name } }] as const
  ann.publish('q', [party('a'), party('a')])
  journal.commitAll()
  expect(ann.take()).toEqual(['confirmed 0 as 1', 'confirmed 1 as 1'])
  expect(ann.peer.barrier('q', 'eof')).toMatchObject({ state: 'gathering', parties: { count: 2, arrived: ['a'] } })
  ann.publish('q', [party('b')])
  journal.commitAll()
  expect(ann.peer.barrier('q', 'eof')).toMatchObject({
    state: 'released',
    record: { parties: { arrived: ['a', 'b'] } },
  })
})

test('B15: a barrier goes through the stages of a pipeline, with what it knows of each in a header', async () => {
  const { engine, journal, ann } = await withQueue({ forward_barrier: ['second'] })
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 5 })
  ann.publish('q', ['a', ['{"day":1}', { contentType: 'application/json', barrier: { name: 'eof' } }]])
  journal.commitAll()
  ann.ack(1, 1)
  journal.commitAll()
  expect(ann.peer.barrier('second', 'eof')).toMatchObject({
    state: 'released',
    record: { outcome: 'clean', batches: [{ queue: 'q', outcome: 'clean', batch: 0 }] },
  })
  const view = ann.peer.barrier('second', 'eof')
  const message = decodeMessage(('record' in view && view.record?.bytes) || new Uint8Array(0))
  expect(new TextDecoder().decode(message.body)).toBe('{"day":1}')
  expect(message.properties).toMatchObject({ contentType: 'application/json' })
  expect(JSON.parse(String(message.properties?.headers?.['sluice-batches']))).toMatchObject([
    { queue: 'q', outcome: 'clean', stats: { published: 1, acked: 1 } },
  ])
  expect(engine.declare('second', { forward_barrier: ['q'] })).toMatchObject({ code: 'invalid-options' })
  expect(engine.update('second', { forward_barrier: ['q'] })).toMatchObject({
    code: 'invalid-options',
    detail: expect.stringContaining('goes round in a circle'),
  })
})

test('B20: what a queue announces is in another one with the release, over a restart, and comes to its consumers as JSON', async () => {
  const { engine, journal, clock, ann } = await withQueue({ announce: 'alerts' })
  engine.declare('alerts', { group: '/name', priority: '/batch' })
  ann.publish('q', [['{"day":1}', { contentType: 'application/json', barrier: { name: 'eof' } }]])
  journal.commitAll()
  ann.publish('q', [['', { barrier: { name: 'not on disk' } }]])
  const second = await testEngine({ journal: journal.crash(), clock })
  const bob = new TestPeer(second.engine, 'bob')
  const page = bob.peer.browse({ queue: 'alerts', limit: 10 })
  const messages = 'messages' in page ? page.messages.map(({ bytes }) => decodeMessage(bytes)) : []
  const { declaredAt, id } = second.engine.broker.queue('q') ?? { declaredAt: 0, id: 0 }
  expect(messages.map(({ properties }) => properties)).toEqual([
    { contentType: 'application/json', messageId: `barrier_${declaredAt.toString(36)}-${id}-1` },
  ])
  expect(JSON.parse(new TextDecoder().decode(messages[0]?.body))).toMatchObject({
    queue: 'q',
    state: 'released',
    name: 'eof',
    sequence: 1,
    outcome: 'clean',
    stats: { published: 0 },
    body: '{"day":1}',
  })
  expect([...(second.engine.broker.queue('alerts')?.runs() ?? [])]).toMatchObject([{ group: 'eof' }])
})

test('B20: who has used the id of an announcement before does not keep it out of a queue with a dedupe window', async () => {
  const { engine, journal, ann } = await withQueue({ announce: 'alerts' })
  engine.update('alerts', { dedupe_window: '1h' })
  const { declaredAt, id } = engine.broker.queue('q') ?? { declaredAt: 0, id: 0 }
  ann.publish('alerts', [['forged', { messageId: `barrier_${declaredAt.toString(36)}-${id}-1` }]])
  ann.publish('q', [['', { barrier: { name: 'eof' } }]])
  journal.commitAll()
  expect(ann.peer.queue('alerts')).toMatchObject({ ready: 2 })
})

test('B20: a queue does not announce to itself, and queues_max counts the queue that is named', async () => {
  const { engine } = await withQueue()
  expect(engine.update('q', { announce: 'q' })).toMatchObject({
    code: 'invalid-options',
    facts: { option: 'announce' },
  })
  expect(engine.declare('r', { announce: 'r' })).toMatchObject({ code: 'invalid-options' })
  expect(engine.declare('r', { announce: '$bad' })).toMatchObject({ code: 'invalid-options' })
  expect(engine.update('q', { announce: 'none' })).toMatchObject({ options: {} })
})

test('B12: a subscription filter may ask for the outcome of a barrier', async () => {
  const { ann, journal } = await withQueue()
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 0, filter: "[/$outcome] = 'clean'" })
  ann.peer.subscribe({ subscription: 2, queue: 'q', prefetch: 0, filter: "[/$outcome] != 'clean'" })
  ann.publish('q', [['{}', { barrier: { name: 'eof' } }]])
  journal.commitAll()
  expect(ann.take().filter(line => !line.startsWith('confirmed'))).toEqual(['1: barrier eof clean'])
})

test('options that cannot go together are refused with the reason', async () => {
  const { engine } = await testEngine()
  const refusal = (options: Record<string, unknown>) => {
    const answer = engine.declare('q', options)
    return 'code' in answer ? answer.detail : 'declared'
  }
  expect(refusal({ semantics: 'at-most-once', lease: '30s' })).toMatch(/^lease: an at-most-once queue/)
  expect(refusal({ semantics: 'at-most-once', deliveries_max: 3 })).toMatch(/^deliveries_max: /)
  expect(refusal({ on_dead: 'hold', dead_letter: 'drop' })).toMatch(/^on_dead: hold waits/)
  expect(refusal({ overflow: 'dead-letter-oldest', dead_letter: 'drop' })).toMatch(/^overflow: /)
  expect(refusal({ forward_barrier: ['q'] })).toMatch(/^forward_barrier: q → q/)
  expect(engine.declare('a', { dead_letter: 'b' })).toMatchObject({ created: true })
  expect(engine.update('b', { dead_letter: 'a' })).toMatchObject({
    detail: 'dead_letter: b → a → b goes round in a circle',
  })
})

test('updated options count from then on, and a file at the start may change them', async () => {
  const { engine, ann, journal, clock } = await withQueue({ lease: '30s' })
  expect(engine.update('q', { lease: '5s', deliveries_max: 'none' })).toMatchObject({ options: { leaseMs: 5_000 } })
  expect(engine.update('q', { semantics: 'at-most-once' })).toMatchObject({ code: 'queue-mismatch' })
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 1 })
  ann.publish('q', ['a'])
  journal.commitAll()
  ann.take()
  clock.advance(5_000)
  await soon()
  expect(ann.take()).toContain('1: lost 1+1')
})

test('P5: a barrier with a message id that was seen is confirmed with the first one, and is not put twice', async () => {
  const { ann, journal } = await withQueue({ dedupe_window: '1h' })
  const eof = ['', { messageId: 'eof-1', barrier: {} }] as const
  ann.peer.publish({ queue: 'q', ...records([eof, eof]) }, answers =>
    ann.heard.push(
      answers
        .map(answer => ('refusal' in answer ? answer.refusal.code : `${answer.sequence} ${answer.duplicate}`))
        .join(),
    ),
  )
  journal.commitAll()
  expect(ann.take()).toEqual(['1 false,1 true'])
  expect(ann.peer.barriers({ queue: 'q', limit: 10 })).toMatchObject({ barriers: [{}] })
})

test('B15, P8: a barrier is not forwarded to its own queue, nor to what is no name', async () => {
  const { ann, journal } = await withQueue()
  ann.publish('q', [
    ['', { barrier: { forward: ['q'] } }],
    ['', { barrier: { forward: ['$x'] } }],
    ['', { barrier: { forward: ['r'] } }],
  ])
  journal.commitAll()
  expect(ann.take()).toEqual(['refused 0: invalid-message', 'refused 1: invalid-message', 'confirmed 2 as 1'])
})

test('an option given as none goes back to its default', async () => {
  const { engine } = await withQueue({ barrier: '/eof = 1', dead_letter: 'morgue', group: 'property' })
  expect(engine.update('q', { barrier: 'none', dead_letter: null, group: 'none' })).toMatchObject({ name: 'q' })
  const queue = engine.find('q')
  expect('options' in queue && queue.options).not.toHaveProperty('barrier')
  expect('options' in queue && queue.options).not.toHaveProperty('deadLetter')
})

test('A6: what a purge answers is what was there, also when others carry out a part of it', async () => {
  const { ann, journal, clock } = await withQueue()
  ann.publish('q', [...Array.from({ length: 4_500 }, (_, k) => `m${k}`), ['', { barrier: {} }]])
  journal.commitAll()
  ann.take()
  ann.peer.purge('q', { leased: false }, say(ann))
  clock.advance(1)
  clock.advance(1)
  await settle(journal)
  expect(ann.take()).toEqual(['{"purged":4500}'])
})
