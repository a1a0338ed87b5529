import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import {
  type CheckerOptions,
  type Happening,
  HistoryChecker,
  type HistoryEvent,
  HistoryRecorder,
  type HistoryReport,
  historyFile,
  readHistory,
  reportAsText,
} from './history.ts'

/** Lines such as `deliver a seq=3 subscriber=x`: a type, an id, and fields. All on queue q and process p unless said. */
function events(...lines: readonly string[]): HistoryEvent[] {
  return lines.map((line, k) => {
    const [type = '', ...words] = line.split(' ')
    const fields: Record<string, unknown> = { t: (k + 1) * 10, type, queue: 'q', process: 'p' }
    for (const word of words) {
      const [name = '', value] = word.split('=')
      if (value === undefined) fields['id'] = name
      else fields[name] = /^(\d+|true|false)$/.test(value) ? JSON.parse(value) : value
    }
    if (type === 'disconnect' && !line.includes('queue=')) delete fields['queue']
    return fields as unknown as HistoryEvent
  })
}

function check(lines: readonly string[], options: CheckerOptions = {}): HistoryReport {
  const checker = new HistoryChecker(options)
  for (const event of events(...lines)) checker.take(event)
  return checker.finish()
}

/** The kinds of what is wrong, with the ids. */
function wrong(lines: readonly string[], options?: CheckerOptions): string[] {
  return check(lines, options).violations.map(({ kind, id }) => `${kind} ${id}`)
}

const published = (id: string, more = '') => [`publish-invoke ${id}`, `publish-ok ${id} ${more}`.trim()]
const barrier = (id: string, more = '') => [`barrier-publish-invoke ${id}`, `barrier-publish-ok ${id} ${more}`.trim()]
const acked = (id: string, who = 'x') => [`ack-invoke ${id} subscriber=${who}`, `ack-ok ${id} subscriber=${who}`]
const served = (id: string, more = '', who = 'x') => [
  `deliver ${id} subscriber=${who} ${more}`.trim(),
  ...acked(id, who),
]

test('a run without fault passes, and is counted', () => {
  const report = check([
    'subscribe subscriber=x',
    ...published('a', 'seq=1 batch_number=0'),
    ...barrier('B', 'seq=2 batch_number=0'),
    ...published('b', 'seq=3 batch_number=1'),
    ...served('a', 'redelivered=false seq=1 batch_number=0'),
    'barrier-deliver B subscriber=x seq=2 batch_number=0 outcome=clean',
    ...served('b', 'redelivered=false seq=3 batch_number=1'),
  ])
  expect(report.verdict).toBe('pass')
  expect(report.counts).toEqual({
    attempts: 2,
    published_ok: 2,
    publish_failed: 0,
    publish_indeterminate: 0,
    deliveries: 2,
    delivered: 2,
    acked: 2,
    ok: 2,
    lost: 0,
    unexpected: 0,
    duplicated: 0,
    recovered: 0,
    outstanding: 0,
    barriers: 1,
    barrier_deliveries: 1,
  })
  expect(reportAsText(report)).toContain('pass: attempts 2')
})

test('a history in which nothing was confirmed or nothing delivered is empty, which is no pass', () => {
  expect(check([]).verdict).toBe('empty')
  expect(check(['publish-invoke a', 'publish-fail a']).verdict).toBe('empty')
  expect(check([...published('a'), 'expired a']).verdict).toBe('empty')
})

test('lost: confirmed, and neither acked, nor ended, nor held', () => {
  expect(wrong(published('a'))).toEqual(['lost a'])
  expect(wrong([...published('a'), 'deliver a subscriber=x'])).toEqual([])
  expect(wrong([...published('a'), 'deliver a subscriber=x', 'disconnect subscriber=x'])).toEqual(['lost a'])
  expect(wrong([...published('a'), 'deliver a subscriber=x', 'ack-invoke a subscriber=x'])).toEqual([])
  expect(
    wrong([...published('a'), 'deliver a subscriber=x', 'ack-invoke a subscriber=x', 'ack-fail a subscriber=x']),
  ).toEqual(['lost a'])
  for (const end of ['nack a requeue=false', 'dead-letter a', 'expired a', 'discard a', 'discard'])
    expect(wrong([...published('a'), end])).toEqual([])
  expect(wrong([...published('a'), 'nack a subscriber=x'])).toEqual(['lost a'])
  expect(wrong(['publish-invoke a', 'publish-unknown a'])).toEqual([])
  expect(wrong(['publish-invoke a ttl=5', 'publish-ok a', 'server-up'])).toEqual([])
})

test('lost: what was only accepted may go with a kill, and with nothing else', () => {
  expect(wrong([...published('a', 'level=accepted'), 'server-kill'])).toEqual([])
  expect(wrong(published('a', 'level=accepted'))).toEqual(['lost a'])
})

test('barrier-early: what was only accepted, and went with a kill after somebody had got it, holds no barrier', () => {
  const got = [...published('a', 'level=accepted seq=1'), 'deliver a subscriber=x seq=1']
  const end = [
    ...barrier('B', 'seq=2'),
    ...published('b', 'seq=3'),
    'barrier-deliver B subscriber=x seq=2',
    ...served('b'),
  ]
  expect(wrong([...got, 'server-kill', ...end])).toEqual([])
  expect(wrong([...got, ...end])).toContain('barrier-early a')
})

test('redelivered-flag-missing: what was accepted, delivered and taken by a crash is a new one when it is sent again', () => {
  const level = 'level=accepted'
  const first = [`publish-invoke a ${level}`, 'deliver a subscriber=x redelivered=false']
  const again = [`publish-ok a ${level}`, ...served('a', 'redelivered=false', 'y')]
  expect(wrong([...first, 'server-kill', ...again])).toEqual([])
  expect(wrong([...first, 'disconnect subscriber=x', ...again])).toEqual(['redelivered-flag-missing a'])
})

test('lost: a dead letter must be found where the route leads', () => {
  const routes = [{ from: 'q', to: 'q.dead' }]
  const rejected = [...published('a'), 'deliver a subscriber=x', 'disconnect subscriber=x']
  expect(wrong([...rejected, 'deliver a queue=q.dead', 'ack-invoke a queue=q.dead'], { routes })).toEqual([])
  expect(wrong([...rejected, 'deliver a queue=q.dead', 'disconnect'], { routes })).toEqual(['lost a'])
  expect(wrong(rejected, { routes })).toEqual(['lost a'])
  expect(wrong([...published('a'), 'dead-letter a to=q.dead'])).toEqual(['lost a'])
  const back = [...routes, { from: 'q.dead', to: 'q' }]
  expect(wrong([...rejected, 'deliver a queue=q.dead', 'disconnect', ...served('a')], { routes: back })).toEqual([])
})

test('lost, redelivered-flag-missing: a dead letter that was requeued is a new one, also if nobody saw it in between', () => {
  const routes = [
    { from: 'q', to: 'q.dead' },
    { from: 'q.dead', to: 'q' },
  ]
  const first = [...published('a', 'seq=1'), 'deliver a subscriber=x seq=1 redelivered=false', 'nack a subscriber=x']
  const again = served('a', 'seq=2 redelivered=false', 'y')
  expect(wrong([...first, ...again], { routes })).toEqual([])
  expect(wrong([...first, ...again])).toEqual(['redelivered-flag-missing a'])
  expect(wrong([...first, ...again, 'deliver a queue=q.dead', 'disconnect'], { routes })).toEqual([])
  // With its old number it is read late, unless a crash lies between.
  const dead = [...first, 'deliver a queue=q.dead seq=1', 'ack-invoke a queue=q.dead']
  const late = 'deliver a subscriber=y seq=1 redelivered=true'
  expect(wrong([...dead, late], { routes })).toEqual([])
  expect(wrong([...dead, 'server-kill', late], { routes })).toEqual(['unexpected a'])
})

test('lost: a dead letter may have been requeued and purged where it came from, if that was after it was last seen', () => {
  const options = { routes: ['q', 'q.dead'].map((from, k, all) => ({ from, to: all[1 - k] as string })) }
  const purge = ['discard', 'discard']
  const start = ['subscribe subscriber=x', ...published('a')]
  const dead = ['deliver a queue=q.dead subscriber=y', 'disconnect subscriber=y']
  expect(wrong([...start, ...dead, ...purge], options)).toEqual([])
  expect(wrong([...start, ...dead], options)).toEqual(['lost a'])
  expect(wrong([...start, ...purge, ...dead], options)).toEqual(['lost a'])
  expect(wrong([...start, ...dead, ...purge], { routes: [{ from: 'q', to: 'q.dead' }] })).toEqual(['lost a'])
})

test('redelivered-flag-missing: a dead letter that was read late, requeued and dead again is a new one', () => {
  const options = {
    sessionsAreTold: true,
    routes: ['q', 'q.dead'].map((from, k, all) => ({ from, to: all[1 - k] as string })),
  }
  const dead = (seq: number) => `deliver a queue=q.dead subscriber=y redelivered=false seq=${seq} attempt=1`
  const lines = [...published('a'), dead(137), 'subscribe queue=q.dead subscriber=y']
  const acks = ['ack-invoke a queue=q.dead subscriber=y', 'ack-ok a queue=q.dead subscriber=y']
  expect(wrong([...lines, dead(195), ...acks], options)).toEqual([])
  expect(wrong([...lines, dead(137), ...acks], options)).toEqual(['redelivered-flag-missing a'])
})

test('unexpected: never published, not yet published, or surely failed', () => {
  expect(wrong(served('a'))).toContain('unexpected a')
  expect(wrong(['deliver a', ...published('a'), ...served('a')])).toEqual(['unexpected a'])
  expect(wrong(['publish-invoke a', 'publish-fail a', 'deliver a'])).toEqual(['unexpected a'])
  expect(wrong(['publish-invoke a', 'publish-unknown a', ...served('a')])).toEqual([])
  expect(wrong(['publish-invoke a', 'publish-fail a', 'publish-invoke a', 'publish-ok a', ...served('a')])).toEqual([])
  expect(wrong([...published('a'), 'deliver a queue=other'])).toContain('unexpected a')
  const routes = [{ from: 'q', to: 'q.dead' }]
  const moved = [...published('a'), 'deliver a queue=q.dead', 'ack-invoke a queue=q.dead']
  expect(wrong([...moved, 'deliver a subscriber=x'], { routes, halfOpenMs: 5 })).toEqual(['unexpected a'])
})

test('duplicate-without-cause: again, and nobody gave it back', () => {
  const once = [...published('a'), 'deliver a subscriber=x redelivered=false']
  const again = served('a', 'redelivered=true', 'y')
  expect(wrong([...once, ...again])).toEqual(['duplicate-without-cause a'])
  for (const cause of [
    'disconnect subscriber=x',
    'unsubscribe subscriber=x',
    'nack a subscriber=x',
    'lease-expired a subscriber=x',
    'server-kill',
  ])
    expect(wrong([...once, cause, ...again])).toEqual([])
  expect(wrong([...once, 'disconnect subscriber=z', ...again])).toEqual(['duplicate-without-cause a'])
  expect(wrong([...once, 'server-up', 'server-up', ...again], { leaseMs: { q: 25 } })).toEqual([])
  expect(wrong([...once, ...again], { leaseMs: { q: 25 } })).toEqual(['duplicate-without-cause a'])
  const deduped = ['publish-invoke a dedupe=true', 'publish-ok a', 'publish-invoke a dedupe=true', 'publish-ok a']
  expect(wrong([...deduped, ...served('a'), ...served('a', '', 'y')])).toContain('duplicate-without-cause a')
})

test('duplicate-without-cause: on an at-most-once queue every repeat is one', () => {
  const lines = [...published('a'), 'deliver a subscriber=x', 'disconnect subscriber=x', 'deliver a subscriber=y']
  expect(wrong(lines)).toEqual([])
  expect(wrong(lines, { atMostOnce: new Set(['q']) })).toEqual(['duplicate-without-cause a'])
  expect(wrong([...published('a'), 'server-kill'], { atMostOnce: new Set(['q']) })).toEqual([])
  expect(wrong(published('a'), { atMostOnce: new Set(['q']) })).toEqual(['lost a'])
})

test('acked-then-redelivered: to the acker, across a crash, or much later', () => {
  const done = [...published('a'), ...served('a')]
  expect(wrong([...done, 'deliver a subscriber=x redelivered=true'])).toEqual(['acked-then-redelivered a'])
  const later = 'deliver a subscriber=y redelivered=true'
  expect(wrong([...done, 'server-kill', later])).toEqual(['acked-then-redelivered a'])
  expect(wrong([...done, later], { inFlightMs: 5 })).toEqual(['acked-then-redelivered a'])
  const lines = [...published('a'), 'deliver a subscriber=x', 'lease-expired a', ...acked('a'), later]
  expect(wrong(lines, { inFlightMs: 50 })).toEqual([])
})

test('redelivered-flag-missing: more first deliveries than publishes, or a barrier again without a word', () => {
  const lost = [...published('a'), 'deliver a subscriber=x redelivered=false', 'disconnect subscriber=x']
  expect(wrong([...lost, ...served('a', 'redelivered=false', 'y')])).toEqual(['redelivered-flag-missing a'])
  const seen = [...barrier('B'), 'subscribe subscriber=x', 'barrier-deliver B subscriber=x', 'disconnect subscriber=x']
  const again = [...seen, 'subscribe subscriber=x']
  expect(wrong([...again, 'barrier-deliver B subscriber=x'])).toEqual(['redelivered-flag-missing B'])
  expect(wrong([...again, 'barrier-deliver B subscriber=x replayed=true'])).toEqual([])
})

test('redelivered-flag-spurious: the first delivery is marked, and nothing can have gone before', () => {
  const lines = [...published('a'), ...served('a', 'redelivered=true')]
  expect(wrong(['subscribe subscriber=x', ...lines])).toEqual(['redelivered-flag-spurious a'])
  expect(wrong([...published('a'), 'server-kill', ...served('a', 'redelivered=true')])).toEqual([])
  const gone = ['subscribe subscriber=z', 'disconnect subscriber=z', ...lines]
  expect(wrong(gone)).toEqual([])
  expect(wrong(gone, { halfOpenMs: 5 })).toEqual(['redelivered-flag-spurious a'])
  const returned = ['subscribe subscriber=z', ...published('a'), 'disconnect subscriber=z']
  expect(wrong([...returned, ...served('a', 'redelivered=true')])).toEqual([])
  // Left before the answer to its subscribe was read: the server had sent it messages, and nobody saw the session.
  const unseen = ['subscribe subscriber=x', ...published('a'), 'unsubscribe subscriber=z']
  expect(wrong([...unseen, ...served('a', 'redelivered=true')], { sessionsAreTold: true })).toEqual([])
})

const AB = [
  'subscribe subscriber=x',
  'subscribe subscriber=y',
  ...published('a', 'seq=1 batch_number=0'),
  ...barrier('B', 'seq=2 batch_number=0'),
  ...published('b', 'seq=3 batch_number=1'),
]
const TO_BOTH = ['barrier-deliver B subscriber=x outcome=clean', 'barrier-deliver B subscriber=y outcome=clean']

test('barrier-early: while a message before it had no ack on its way', () => {
  const tail = [...acked('a'), ...served('b')]
  expect(wrong([...AB, 'deliver a subscriber=x', ...TO_BOTH, ...tail])).toEqual(['barrier-early a'])
  expect(wrong([...AB, ...TO_BOTH, ...served('b')])).toContain('barrier-early a')
  const ok = [...AB, 'deliver a subscriber=x', 'ack-invoke a subscriber=x', ...TO_BOTH, ...served('b')]
  expect(wrong(ok)).toEqual([])
  // The ack was on its way when its connection was cut, and the message was live again.
  const cut = [...AB, 'deliver a subscriber=x', 'ack-invoke a subscriber=x', 'disconnect subscriber=x']
  const again = [...cut, 'deliver a subscriber=y', 'barrier-deliver B subscriber=y', ...acked('a', 'y')]
  expect(wrong([...again, ...served('b', '', 'y')])).toEqual(['barrier-early a'])
  for (const outcome of ['expired', 'cancelled', 'failed']) {
    const both = TO_BOTH.map(line => line.replace('clean', outcome))
    expect(wrong([...AB, ...both, ...served('a'), ...served('b')])).toEqual([])
  }
})

test('barrier-early: places that are told only later count, and without places real time', () => {
  const late = ['publish-invoke a', ...barrier('B', 'seq=2 batch_number=0'), 'barrier-deliver B subscriber=x']
  expect(wrong([...late, 'publish-ok a seq=1 batch_number=0', ...served('a', '', 'y')])).toEqual(['barrier-early a'])
  expect(wrong([...late, 'publish-ok a seq=3 batch_number=1', ...served('a', '', 'y')])).toEqual([])
  expect(wrong([...published('a'), ...barrier('B'), 'barrier-deliver B', ...served('a', '', 'y')])).toEqual([
    'barrier-early a',
  ])
  const between = ['publish-invoke a', 'barrier-publish-invoke B', 'publish-ok a', 'barrier-deliver B']
  expect(wrong([...between, ...served('a', '', 'y')])).toEqual([])
  expect(wrong([...between, ...served('a', '', 'y')], { fifoPublishers: true })).toEqual(['barrier-early a'])
})

test('barrier-early: a dead letter without an event was gone, if it never came here again', () => {
  const routes = [{ from: 'q', to: 'q.dead' }]
  const lines = [...AB, 'deliver a subscriber=x', 'nack a subscriber=x', ...TO_BOTH, ...served('b')]
  const dead = ['deliver a queue=q.dead', 'ack-invoke a queue=q.dead']
  expect(wrong([...lines, ...dead], { routes })).toEqual([])
  expect(wrong([...lines, ...served('a', '', 'y')], { routes })).toContain('barrier-early a')
})

test('barrier-early: a dead letter that was read late was sent before the release, for the barrier came behind it', () => {
  const routes = [{ from: 'q', to: 'q.dead' }]
  const [toX = '', toY = ''] = TO_BOTH
  const dead = ['deliver a queue=q.dead', 'ack-invoke a queue=q.dead', ...served('b')]
  // The way to y is slow: the lease ran out and its dead letter is read elsewhere, before y has read anything.
  expect(wrong([...AB, toX, 'deliver a subscriber=y', ...dead, toY], { routes })).toEqual([])
  // y has read the barrier, or subscribed after it, or never got it: it was sent behind the release, or that is not known.
  expect(wrong([...AB, toX, toY, 'deliver a subscriber=y', ...dead], { routes })).toContain('barrier-early a')
  const later = ['subscribe subscriber=z', 'deliver a subscriber=z', ...dead]
  expect(wrong([...AB, toX, toY, ...later], { routes })).toContain('barrier-early a')
  expect(wrong([...AB, toX, 'deliver a subscriber=y', ...dead], { routes })).toContain('barrier-early a')
  // Of one that was cut before it came to the barrier nobody knows.
  const cut = ['deliver a subscriber=y', 'unsubscribe subscriber=y', ...dead]
  expect(wrong([...AB, toX, ...cut], { routes })).toEqual([])
  // A replay tells nothing of when it was sent.
  const replayed = `${toY} replayed=true`
  expect(wrong([...AB, toX, 'deliver a subscriber=y', ...dead, replayed], { routes })).toContain('barrier-early a')
  // And what is not gone must have been acked before, wherever the barrier comes.
  const acks = [...acked('a', 'y'), toY, ...served('b')]
  expect(wrong([...AB, toX, 'deliver a subscriber=y', ...acks], { routes })).toContain('barrier-early a')
})

test('barrier-early: an ack refused for a lease that ran out says nothing of the ack of the next delivery', () => {
  const lease = [...AB, 'deliver a subscriber=x', 'ack-invoke a subscriber=x delivery=1', 'deliver a subscriber=x']
  const second = [...lease, 'ack-invoke a subscriber=x delivery=2']
  const rest = [...TO_BOTH, 'ack-ok a subscriber=x delivery=2', ...served('b')]
  const options = { leaseMs: { q: 0 } }
  expect(wrong([...second, 'ack-fail a subscriber=x delivery=1', ...rest], options)).toEqual([])
  expect(wrong([...second, 'ack-fail a subscriber=x delivery=2', ...rest], options)).toEqual(['barrier-early a'])
  // The second had not left.
  const late = [...lease, 'ack-fail a subscriber=x delivery=1', ...TO_BOTH, 'ack-invoke a subscriber=x delivery=2']
  expect(wrong([...late, 'ack-ok a subscriber=x delivery=2', ...served('b')], options)).toEqual(['barrier-early a'])
})

test('barrier-overtaken: what is behind it goes out while one before it is not acked', () => {
  const tail = [...acked('a'), ...TO_BOTH, ...acked('b', 'y')]
  const lines = [...AB, 'deliver a subscriber=x', 'deliver b subscriber=y', ...tail]
  expect(wrong(lines)).toEqual(['barrier-order B', 'barrier-overtaken a'])
  const child = [...AB, 'deliver a subscriber=x', ...acked('a'), ...published('c', 'seq=4 batch_number=0')]
  const overtaken = [...child, 'deliver b subscriber=y', ...acked('b', 'y'), ...served('c'), ...TO_BOTH]
  expect(wrong(overtaken)).toEqual(['barrier-order B', 'barrier-overtaken c'])
  expect(wrong([...child, ...served('c'), ...TO_BOTH, ...served('b')])).toEqual([])
  // Published after the barrier's confirm, and yet before it: its place tells, even if the barrier's is told later.
  const placeless = AB.map(line => (line.startsWith('barrier-publish-ok') ? 'barrier-publish-ok B' : line))
  const early = [...placeless, ...published('c', 'seq=4 batch_number=0'), ...served('c', 'seq=4 batch_number=0')]
  const barriers = TO_BOTH.map(line => `${line} seq=2 batch_number=0`)
  expect(wrong([...early, ...served('a'), ...barriers, ...served('b')])).toEqual([])
})

test('barrier-overtaken: work that makes work goes before what was published earlier, and only a batch number tells', () => {
  const start = ['subscribe subscriber=x', ...published('p', 'seq=1'), ...published('a', 'seq=2'), ...barrier('B')]
  const child = ['deliver p subscriber=x', 'publish-invoke c cause=p', ...acked('p'), 'publish-ok c']
  const place = 'seq=4 batch_number=0'
  const rest = ['ack-invoke c subscriber=x', ...served('a', 'seq=2 batch_number=0')]
  expect(wrong([...start, ...child, `deliver c subscriber=x ${place}`, ...rest])).toEqual([])
  // Any other message that was published behind the barrier's confirm stands behind it.
  const plain = child.map(line => line.replace(' cause=p', ''))
  expect(wrong([...start, ...plain, `deliver c subscriber=x ${place}`, ...rest])).toContain('barrier-overtaken a')
  // And where the batches are told, they judge it.
  const told = start.map(line => (line === 'barrier-publish-ok B' ? `${line} seq=3 batch_number=0` : line))
  const late = [...told, ...child, 'deliver c subscriber=x seq=4 batch_number=1', ...rest]
  expect(wrong([...late, 'barrier-deliver B subscriber=x'])).toContain('barrier-overtaken a')
})

test('barrier-overtaken: a message that comes again after a crash was not settled when what is behind it went out', () => {
  const place = 'seq=1 batch_number=0 attempt=1'
  const lost = [...AB, `deliver a subscriber=x ${place}`, 'ack-invoke a subscriber=x', TO_BOTH[0] as string]
  const behind = [
    ...lost.slice(0, -1),
    'deliver b subscriber=x seq=3 batch_number=1 attempt=1',
    'server-kill',
    'subscribe subscriber=y',
  ]
  const again = [...served('a', place, 'y'), 'barrier-deliver B subscriber=y seq=2 batch_number=0 outcome=clean']
  expect(wrong([...behind, ...again, ...served('b', '', 'y')])).toEqual(['barrier-overtaken a'])
})

test('barrier-order: on one connection what is behind it came first', () => {
  const lines = [...AB, ...served('a'), 'barrier-deliver B subscriber=y outcome=clean', ...served('b')]
  expect(wrong([...lines, 'barrier-deliver B subscriber=x outcome=clean'])).toEqual(['barrier-order B'])
})

test('barrier-resurrected: on one connection what is before it comes after it', () => {
  const lines = [...AB, 'deliver a subscriber=y', 'nack a subscriber=y', ...TO_BOTH]
  expect(wrong([...lines, ...served('a'), ...served('b')])).toEqual(['barrier-resurrected a', 'barrier-early a'])
  const acks = [...AB, 'deliver a subscriber=y', 'ack-invoke a subscriber=y', TO_BOTH[0] as string]
  const elsewhere = [...acks, 'disconnect subscriber=y', ...served('a', '', 'z'), ...served('b')]
  expect(wrong(elsewhere)).toEqual([])
  expect(wrong(elsewhere, { strict: true })).toEqual(['barrier-resurrected a'])
})

test('barrier-missing: connected from before the release to the end, and never told', () => {
  const lines = [...AB, ...served('a'), 'barrier-deliver B subscriber=x', ...served('b')]
  expect(wrong(lines)).toEqual(['barrier-missing B'])
  expect(wrong([...lines, 'disconnect subscriber=y'])).toEqual([])
  expect(wrong([...lines, 'subscribe subscriber=z', 'disconnect subscriber=y'])).toEqual([])
  // Subscribed after the barrier was published, but before the last answered ack of its batch left.
  const late = [...AB, 'disconnect subscriber=y', 'subscribe subscriber=z', ...served('a')]
  expect(wrong([...late, 'barrier-deliver B subscriber=x', ...served('b')])).toEqual(['barrier-missing B'])
  const filtered = lines.map(line => (line === 'subscribe subscriber=y' ? `${line} filter=/a` : line))
  expect(wrong(filtered)).toEqual([])
})

test('barrier-lost: confirmed, everything before it acked, subscribers there, and nobody got it', () => {
  expect(wrong([...AB, ...served('a'), 'discard b'])).toEqual(['barrier-lost B'])
  expect(wrong([...AB, 'deliver a subscriber=x', 'discard b'])).toEqual([])
})

test('barrier-duplicate: twice in one session, or after its ack', () => {
  const lines = [...AB, ...served('a'), ...TO_BOTH, ...served('b')]
  expect(wrong([...lines, 'barrier-deliver B subscriber=y replayed=true'])).toEqual(['barrier-duplicate B'])
  const ackedIt = [...lines, 'ack-ok B subscriber=x', 'disconnect subscriber=x', 'subscribe subscriber=x']
  expect(wrong([...ackedIt, 'barrier-deliver B subscriber=x replayed=true'])).toEqual(['barrier-duplicate B'])
})

test('barrier-unexpected: never published, or surely failed', () => {
  expect(wrong([...published('a'), ...served('a'), 'barrier-deliver B'])).toEqual(['barrier-unexpected B'])
  const failed = ['barrier-publish B phase=invoke', 'barrier-publish B phase=fail', 'barrier-deliver B']
  expect(wrong(failed)).toEqual(['barrier-unexpected B'])
  const routes = [{ from: 'q', to: 'r' }]
  const forwarded = [...barrier('B'), 'barrier-deliver B', 'barrier-deliver B queue=r']
  expect(wrong(forwarded, { routes })).toEqual([])
  expect(wrong(forwarded)).toEqual(['barrier-unexpected B'])
  const round = [...routes, { from: 'r', to: 'q' }]
  expect(wrong(['barrier-deliver B queue=r'], { routes: round })).toEqual(['barrier-unexpected B'])
})

test('batch-torn: some of an atomic publish is there and some is not', () => {
  const lines = ['publish-invoke a batch=1', 'publish-invoke b batch=1', ...served('a')]
  expect(wrong(lines, { atomicBatches: true })).toEqual(['batch-torn b'])
  expect(wrong([...lines, ...served('b')], { atomicBatches: true })).toEqual([])
  expect(wrong(lines)).toEqual([])
})

test('P3, sequence-reused: one place was told for two messages', () => {
  const lines = [...published('a', 'seq=1'), ...served('a', 'seq=1'), ...published('b', 'seq=1'), ...served('b')]
  expect(wrong(lines)).toEqual(['sequence-reused b'])
})

test('what is read after its session ended, or overtaken on its way, says nothing about the order', () => {
  const late = [
    'subscribe subscriber=x',
    ...published('a'),
    'disconnect subscriber=x',
    ...served('a', 'redelivered=true', 'y'),
  ]
  expect(wrong([...late, 'deliver a subscriber=x redelivered=false'])).toEqual([])
  const overtaken = [
    ...published('a'),
    'subscribe subscriber=x',
    'deliver a subscriber=y attempt=2',
    ...acked('a', 'y'),
  ]
  expect(wrong([...overtaken, 'deliver a subscriber=x attempt=1'])).toEqual([])
})

test('redelivered-flag-missing: what was accepted only may be delivered, lost by a kill, and published again', () => {
  const lines = ['publish-invoke a level=accepted', 'deliver a subscriber=x redelivered=false', 'server-kill']
  const again = ['publish-ok a level=accepted', ...served('a', 'redelivered=false', 'y')]
  expect(wrong([...lines, ...again])).toEqual([])
  expect(wrong([...lines.map(line => line.replace(' level=accepted', '')), 'publish-ok a', ...again.slice(1)])).toEqual(
    ['redelivered-flag-missing a'],
  )
})

test('where sessions are told, a delivery outside one was read late', () => {
  const lines = [...published('a'), 'subscribe subscriber=y', ...served('a', '', 'y'), 'deliver a subscriber=x']
  expect(wrong(lines)).toEqual(['duplicate-without-cause a'])
  expect(wrong(lines, { sessionsAreTold: true })).toEqual([])
})

test('a barrier without a phase is published at once, and several ids stand for as many messages', () => {
  const lines = ['barrier-publish B', 'barrier-deliver B', 'publish-invoke ids=a', 'publish-ok ids=a']
  const happenings = events(...lines).map(event => ('ids' in event ? { ...event, ids: ['a', 'b'] } : event))
  const checker = new HistoryChecker()
  for (const event of happenings) checker.take(event)
  const report = checker.finish()
  expect(report.counts.published_ok).toBe(2)
  expect(report.violationCounts).toEqual({ lost: 2 })
})

test('a history goes to a file, a JSON object a line, and back', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-history-'))
  try {
    const name = path.join(folder, 'run.ndjson')
    const file = historyFile(name)
    let now = 0
    const recorder = new HistoryRecorder(
      event => file.write(event),
      () => ++now,
    )
    const happenings: Happening[] = Array.from({ length: 600 }, (_, id) => ({
      type: 'publish-invoke',
      process: 'p',
      queue: 'q',
      id,
    }))
    for (const happening of happenings) recorder.record(happening)
    file.close()
    const read: HistoryEvent[] = []
    for await (const event of readHistory(name)) read.push(event)
    expect(read).toEqual(happenings.map((happening, k) => ({ t: k + 1, ...happening })))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('lost: with a batch that was dropped so many messages of it may be gone as were dropped, and none behind it', () => {
  const lines = [
    'subscribe subscriber=x',
    ...published('a', 'seq=1'),
    ...published('b', 'seq=2'),
    ...barrier('B', 'seq=3 batch_number=0'),
    ...published('c', 'seq=4'),
    'barrier-deliver B subscriber=x seq=3 batch_number=0 outcome=expired',
  ]
  expect(wrong(lines)).toEqual(['lost a', 'lost b', 'lost c'])
  expect(wrong(lines, { dropped: new Map([['q B', 2]]) })).toEqual(['lost c'])
  expect(wrong(lines, { dropped: new Map([['q B', 1]]) })).toEqual(['lost b', 'lost c'])
})

test('barrier-early: what was dropped before, and is read late by who gets not every barrier, was sent before', () => {
  const lines = (filter: string, ...told: readonly string[]) => [
    'subscribe subscriber=x',
    `subscribe subscriber=y ${filter}`.trim(),
    ...published('a', 'seq=1'),
    ...barrier('A', 'seq=2 batch_number=0'),
    ...barrier('B', 'seq=3 batch_number=1'),
    'barrier-deliver A subscriber=x seq=2 batch_number=0 outcome=expired',
    'barrier-deliver B subscriber=x seq=3 batch_number=1 outcome=clean',
    ...told,
    'deliver a subscriber=y seq=1 batch_number=0 redelivered=false',
    'unsubscribe subscriber=y',
  ]
  const dropped = new Map([['q A', 1]])
  expect(wrong(lines('filter=some'), { dropped })).toEqual([])
  const told = 'barrier-deliver B subscriber=y seq=3 batch_number=1 outcome=clean'
  expect(wrong(lines('', told), { dropped })).toContain('barrier-early a')
})

test('lost: ends of life count by the wall clock over a restart', () => {
  const lines = ['publish-invoke a ttl=100000', 'publish-ok a', 'server-kill']
  expect(wrong(lines)).toEqual(['lost a'])
  expect(wrong([...lines, 'clock-jump by=200000'])).toEqual([])
  expect(wrong([...lines, 'clock-jump by=50000'])).toEqual(['lost a'])
})

test('barrier-early: a message that is read late, after it was acked as a dead letter, has not come back', () => {
  const routes = [
    { from: 'q', to: 'd' },
    { from: 'd', to: 'q' },
  ]
  const lines = (answer: readonly string[], seq: number) => [
    'subscribe subscriber=x',
    'subscribe subscriber=y',
    'subscribe subscriber=z queue=d',
    ...published('a'),
    ...barrier('B', 'seq=2 batch_number=0'),
    'deliver a queue=d subscriber=z seq=1 batch_number=0 redelivered=false',
    'ack-invoke a queue=d subscriber=z',
    ...answer,
    `deliver a subscriber=y seq=${seq} batch_number=0 attempt=1 redelivered=true`,
    'barrier-deliver B subscriber=x seq=2 batch_number=0 outcome=with-dead',
    'barrier-deliver B subscriber=y seq=2 batch_number=0 outcome=with-dead',
  ]
  const options = { routes, sessionsAreTold: true }
  expect(wrong(lines(['ack-ok a queue=d subscriber=z'], 1), options)).toEqual([])
  // Without an answer the ack may have come to nothing: by its place it is told from one that was requeued.
  expect(wrong(lines([], 1), options)).toEqual([])
  expect(wrong(lines([], 3), options)).toContain('barrier-early a')
})

test('barrier-overtaken: what was sent before a crash, and read after it, shows that what is before it was settled', () => {
  const lines = [
    'subscribe subscriber=x',
    'subscribe subscriber=y',
    ...published('a', 'seq=1'),
    ...barrier('B', 'seq=2 batch_number=0'),
    ...published('b', 'seq=3'),
    'deliver a subscriber=x seq=1 batch_number=0 attempt=1 redelivered=false',
    'server-kill',
    'deliver b subscriber=y seq=3 batch_number=1 attempt=1 redelivered=false',
    'subscribe subscriber=x',
    'deliver a subscriber=x seq=1 batch_number=0 attempt=1 redelivered=true',
    ...acked('a'),
    'barrier-deliver B subscriber=x seq=2 batch_number=0 outcome=clean',
    'deliver b subscriber=x seq=3 batch_number=1 attempt=1 redelivered=true',
    ...acked('b'),
  ]
  expect(wrong(lines, { sessionsAreTold: true })).toEqual(['barrier-overtaken a'])
})

test('lost: an accepted message that a crash took, sent again and acked, was not lost by who reads the first late', () => {
  const routes = [
    { from: 'q', to: 'd' },
    { from: 'd', to: 'q' },
  ]
  const lines = (late: string) => [
    'subscribe subscriber=x',
    'subscribe subscriber=y',
    'publish-invoke a level=accepted',
    'server-kill',
    'publish-ok a seq=20 level=accepted',
    'deliver a subscriber=x seq=100006 batch_number=1 attempt=1 redelivered=false',
    'ack-invoke a subscriber=x',
    `deliver a subscriber=y seq=${late} batch_number=1 attempt=1 redelivered=false`,
  ]
  expect(wrong(lines('20'), { routes })).toEqual([])
  expect(wrong(lines('100007'), { routes })).toContain('lost a')
})

test('unexpected: a dead letter that is requeued before it is read, by who reads what was sent before a crash', () => {
  const routes = [
    { from: 'q', to: 'd' },
    { from: 'd', to: 'q' },
  ]
  const lines = (seq: number) => [
    'subscribe subscriber=x',
    'subscribe subscriber=z queue=d',
    ...published('a', 'seq=1'),
    ...published('b', 'seq=2'),
    // It was sent before; after it the message is requeued as 3, behind it somebody is told 4, and then it is read.
    'server-kill',
    ...published('c', 'seq=4'),
    'deliver a queue=d subscriber=z seq=1 batch_number=0 redelivered=false',
    'ack-invoke a queue=d subscriber=z',
    'server-kill',
    'subscribe subscriber=x',
    `deliver a subscriber=x seq=${seq} batch_number=0 attempt=1 redelivered=true`,
    'ack-invoke a subscriber=x',
    'ack-ok a subscriber=x',
    'deliver b subscriber=x seq=2 batch_number=0 redelivered=true',
    'ack-invoke b subscriber=x',
    'deliver c subscriber=x seq=4 batch_number=0 redelivered=true',
    'ack-invoke c subscriber=x',
  ]
  const options = { routes, sessionsAreTold: true }
  expect(wrong(lines(3), options)).toEqual([])
  // Where others stood before the crash it cannot be back.
  expect(wrong(lines(2), options)).toContain('unexpected a')
})
