import { expect, test } from 'vitest'
import type { MessageView, PageCommand, Refusal } from '../../src/engine/peer.ts'
import { records, soon, TestPeer, testEngine } from '../support/engine.ts'
import { processorTime } from '../support/processor.ts'

type Page = { readonly messages: readonly MessageView[]; readonly next?: number } | Refusal

async function withQueue(options: Record<string, unknown> = {}) {
  const parts = await testEngine({ messageMax: 16 * 2 ** 20 })
  const ann = new TestPeer(parts.engine, 'ann')
  parts.engine.declare('q', options)
  parts.journal.commitAll()
  return { ...parts, ann }
}

function sequencesOf(page: Page): number[] {
  if ('code' in page) throw new Error(page.code)
  return page.messages.map(({ sequence }) => sequence)
}

/** Every page, one after another. */
function pages(ask: (page: PageCommand) => Page, limit: number): { readonly all: number[]; readonly count: number } {
  const all: number[] = []
  let after: number | undefined
  for (let count = 1; ; count += 1) {
    const page = ask({ limit, ...(after === undefined ? {} : { after }) })
    all.push(...sequencesOf(page))
    after = 'code' in page ? undefined : page.next
    if (after === undefined) return { all, count }
  }
}

test('a browse goes through the messages by number, wherever they are: priorities, batches, groups, delays, leases', async () => {
  const { ann, clock, journal } = await withQueue({ priority: 'property', group: 'property' })
  for (let k = 1; k <= 60; k += 1) {
    const properties = {
      priority: k % 3,
      ...(k % 4 === 0 ? { group: `g${k % 8}` } : {}),
      ...(k % 5 === 0 ? { delayMs: 1_000 * (60 - k) } : {}),
    }
    ann.publish('q', [['{}', properties]])
    if (k % 20 === 0) ann.publish('q', [['{}', { barrier: { name: `b${k}` } }]])
  }
  journal.commitAll()
  clock.advance(3_000)
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 7 })
  const barriers = new Set([21, 42, 63])
  const expected = Array.from({ length: 63 }, (_, k) => k + 1).filter(sequence => !barriers.has(sequence))
  for (const limit of [1, 7, 1_000])
    expect(pages(page => ann.peer.browse({ queue: 'q', ...page }), limit).all).toEqual(expected)
  const byState = (['ready', 'leased', 'delayed'] as const).map(
    state => pages(page => ann.peer.browse({ queue: 'q', state, ...page }), 5).all,
  )
  expect(byState[1]).toHaveLength(7)
  expect(byState.flat().sort((a, b) => a - b)).toEqual(expected)
})

test('a page ends with its bytes, and has one message at least', async () => {
  const { ann, journal } = await withQueue()
  for (const size of [5, 5, 1, 12, 1]) ann.publish('q', ['x'.repeat(size * 2 ** 20)])
  journal.commitAll()
  const page = (after: number, more = {}) =>
    ann.peer.browse({ queue: 'q', limit: 10, after, ...more }) as Exclude<Page, Refusal>
  expect([sequencesOf(page(0)), page(0).next]).toEqual([[1, 2], 2])
  expect([sequencesOf(page(2)), page(2).next]).toEqual([[3, 4], 4])
  expect([sequencesOf(page(4)), page(4).next]).toEqual([[5], undefined])
  expect([sequencesOf(page(3, { bytesMax: 1 })), page(3, { bytesMax: 1 }).next]).toEqual([[4], 4])
})

test('R9: a page looks at a bounded number of messages: one that finds nothing says where to go on', async () => {
  const { ann, journal } = await withQueue()
  for (let k = 0; k < 5; k += 1)
    ann.publish(
      'q',
      Array.from({ length: 1_000 }, (_, n) => `{"n":${k * 1_000 + n}}`),
    )
  journal.commitAll()
  const page = ann.peer.browse({ queue: 'q', filter: '/n = 4999', limit: 10 }) as Exclude<Page, Refusal>
  expect(page.messages).toEqual([])
  expect(page.next).toBeLessThanOrEqual(2_000)
  const { all, count } = pages(next => ann.peer.browse({ queue: 'q', filter: '/n = 4999', ...next }), 10)
  expect([all, count >= 3]).toEqual([[5_000], true])
})

test('A5, R9: dead letters of others in the same queue are passed over, and a requeue by filter goes in steps', async () => {
  const { ann, engine, journal } = await withQueue({ dead_letter: 'dead' })
  engine.declare('r', { dead_letter: 'dead' })
  for (const [k, queue] of ['r', 'q'].entries()) {
    ann.publish(
      queue,
      Array.from({ length: 3_000 }, (_, n) => `{"n":${n % 3}}`),
    )
    ann.peer.subscribe({ subscription: k + 1, queue, prefetch: 3_000 })
    journal.commitAll()
    ann.peer.settle({ subscription: k + 1, deliveries: [{ first: 0, count: 3_000 }], how: { kind: 'reject' } })
    journal.commitAll()
    ann.peer.unsubscribe(k + 1)
  }
  const dead = (page: PageCommand, filter?: string) =>
    ann.peer.deadLetters({ queue: 'q', ...page, ...(filter === undefined ? {} : { filter }) })
  expect(pages(dead, 1_000).all).toEqual(Array.from({ length: 3_000 }, (_, k) => 3_001 + k))
  let answer: unknown
  ann.peer.requeueDeadLetters({ queue: 'q', filter: '/n = 1' }, told => {
    answer = told
  })
  for (let k = 0; k < 50 && answer === undefined; k += 1) {
    await new Promise(resolve => setImmediate(resolve))
    journal.commitAll()
    await soon()
  }
  expect(answer).toEqual({ requeued: 1_000 })
  expect(pages(dead, 1_000).all).toHaveLength(2_000)
})

test('R9: a page of many single dead letters costs what it shows', async () => {
  const COUNT = 30_000
  const { ann, journal } = await withQueue()
  for (let k = 0; k < COUNT; k += 10_000) {
    const { bytes, count } = records(Array.from({ length: 10_000 }, () => 'x'))
    ann.peer.publish({ queue: 'q', bytes, count }, () => {})
  }
  journal.commitAll()
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: COUNT })
  journal.commitAll()
  ann.peer.settle({ subscription: 1, deliveries: [{ first: 0, count: COUNT }], how: { kind: 'reject' } })
  journal.commitAll()
  const ask = (page: PageCommand) => ann.peer.deadLetters({ queue: 'q', ...page })
  const timeOf = (work: () => void) => {
    const spent = processorTime()
    work()
    return spent()
  }
  const whole = timeOf(() => expect(pages(ask, 1_000).all).toHaveLength(COUNT))
  for (const after of [0, 15_000, COUNT - 10]) {
    const times = Array.from({ length: 5 }, () => timeOf(() => sequencesOf(ask({ after, limit: 10 }))))
    expect(Math.min(...times)).toBeLessThan(whole / 20)
  }
})

test('B10: barriers come page by page and by number, in each state, and a page ends with its bytes', async () => {
  const { ann, journal } = await withQueue()
  for (let k = 1; k <= 30; k += 1) ann.publish('q', [['x'.repeat(50_000), { barrier: { name: `r${k}` } }]])
  ann.publish('q', ['held'])
  for (let k = 1; k <= 5; k += 1) ann.publish('q', [['x', { barrier: { name: `w${k}` } }]])
  ann.publish('q', [['x', { barrier: { name: 'g', parties: 2, party: 'a' } }]])
  journal.commitAll()
  const namesOf = (more: object) => {
    const names: string[] = []
    const sizes: number[] = []
    for (let after: number | undefined = 0; after !== undefined; ) {
      const page = ann.peer.barriers({ queue: 'q', limit: 10, after, ...more })
      if ('code' in page) throw new Error(page.code)
      names.push(...page.barriers.map(({ name = '' }) => name))
      sizes.push(page.barriers.length)
      after = page.next
    }
    return { names, sizes }
  }
  const named = (letter: string, count: number) => Array.from({ length: count }, (_, k) => `${letter}${k + 1}`)
  expect(namesOf({})).toEqual({ names: [...named('r', 30), ...named('w', 5), 'g'], sizes: [10, 10, 10, 6] })
  expect(namesOf({ state: 'waiting', limit: 3 })).toEqual({ names: named('w', 5), sizes: [3, 2] })
  expect(namesOf({ state: 'gathering' }).names).toEqual(['g'])
  expect(namesOf({ state: 'released', bodies: true, bytesMax: 200_000 }).sizes).toEqual([4, 4, 4, 4, 4, 4, 4, 2])
  expect(ann.peer.barriers({ queue: 'p', limit: 1 })).toMatchObject({ code: 'no-such-queue' })
})
