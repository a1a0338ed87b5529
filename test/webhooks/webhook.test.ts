import { expect, test } from 'vitest'
import { drain } from '../../src/engine/drain.ts'
import { memoryJournal } from '../../src/journal/memory.ts'
import { TestCa } from '../support/certificates.ts'
import { hooked, isSigned, Receiver, until } from './support.ts'

/*
 * One webhook on the real engine and a real HTTP server; time stands still unless it is moved.
 */

const NDJSON = { contentType: 'application/x-ndjson' }

test('each message is posted with its type and signed, and a 2xx settles it', async () => {
  const receiver = await Receiver.start(200, 299)
  const { ann, left, webhook, clock } = await hooked(receiver.url)
  ann.publish('q', ['one', ['{"two":2}', { ...NDJSON, messageId: 'order-7' }]])
  const received = await receiver.gets(2)
  await until(() => left() === 0)
  expect(received.map(request => isSigned(request))).toEqual([true, true])
  const [one, two] = [...received].sort((a, b) => a.body.length - b.body.length)
  expect(one?.headers).toMatchObject({
    'content-type': 'application/octet-stream',
    'content-length': '3',
    'user-agent': 'sluice/test',
    'webhook-id': expect.stringMatching(/^msg_[a-z0-9]+-1-1$/),
    'webhook-timestamp': `${clock.now() / 1_000}`,
    'sluice-queue': 'q',
    'sluice-attempt': '1',
  })
  expect(two).toMatchObject({
    body: '{"two":2}',
    headers: { 'content-type': NDJSON.contentType, 'webhook-id': 'order-7' },
  })
  expect(webhook.counts).toMatchObject({ delivered: 2, failed: { rejected: 0, status: 0, timeout: 0, unreachable: 0 } })
})

test('while keys change every request is signed by all of them, the newest first', async () => {
  const receiver = await Receiver.start(204)
  const [fresh, old] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]
  const { ann } = await hooked(receiver.url, {}, { terms: { secrets: [fresh, old] } })
  ann.publish('q', ['a'])
  const [request] = await receiver.gets(1)
  expect(String(request?.headers['webhook-signature']).split(' ')).toHaveLength(2)
  expect([fresh, old, Buffer.alloc(32, 3)].map(key => isSigned(request!, key))).toEqual([true, true, false])
})

test('a 500 is tried again after the delay of the queue, with the same id and a new signature', async () => {
  const receiver = await Receiver.start(500, 503, 200)
  const { ann, clock, left, failures } = await hooked(receiver.url, {
    retry_delay: { base: '5s', factor: 2, max: '1m' },
    deliveries_max: 5,
  })
  ann.publish('q', ['a'])
  for (const [attempt, delayMs] of [5_000, 10_000].entries()) {
    await until(() => failures.length === attempt + 1)
    clock.advance(delayMs - 1)
    expect(receiver.received).toHaveLength(attempt + 1)
    clock.advance(1)
    await receiver.gets(attempt + 2)
  }
  await until(() => left() === 0)
  const { received } = receiver
  expect(received.map(({ headers }) => headers['sluice-attempt'])).toEqual(['1', '2', '3'])
  expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
  expect(new Set(received.map(({ headers }) => headers['webhook-signature'])).size).toBe(3)
  expect(received.every(request => isSigned(request))).toBe(true)
  expect(failures).toEqual([
    { queue: 'q', reason: 'status', attempt: 1, status: 500 },
    { queue: 'q', reason: 'status', attempt: 2, status: 503 },
  ])
})

test('a queue without retry_delay is not a loop: 1 s, then twice as long each time', async () => {
  const receiver = await Receiver.start(500, 500, 200)
  const { ann, clock, left, failures } = await hooked(receiver.url)
  ann.publish('q', ['a'])
  await until(() => failures.length === 1)
  clock.advance(1_000)
  await until(() => failures.length === 2)
  clock.advance(1_999)
  expect(receiver.received).toHaveLength(2)
  clock.advance(1)
  await until(() => left() === 0)
})

test('after deliveries_max a message is a dead letter', async () => {
  const receiver = await Receiver.start(500)
  const { ann, clock, left, failures } = await hooked(receiver.url, { deliveries_max: 2, retry_delay: '1s' })
  ann.publish('q', ['a'])
  await until(() => failures.length === 1)
  clock.advance(1_000)
  await until(() => left() === 0)
  expect(left('q.dead')).toBe(1)
  await receiver.gets(2)
})

test('Retry-After counts: nothing at all is sent before, and not for longer than an hour', async () => {
  const receiver = await Receiver.start(
    response => response.writeHead(429, { 'retry-after': '30' }).end(),
    response => response.writeHead(503, { 'retry-after': '999999999' }).end(),
    200,
  )
  const { ann, clock, left, failures } = await hooked(receiver.url, { retry_delay: '1s' })
  ann.publish('q', ['a'])
  await until(() => failures.length === 1)
  ann.publish('q', ['b'])
  clock.advance(29_999)
  for (let k = 0; k < 20; k += 1) await new Promise(resolve => setImmediate(resolve))
  expect(receiver.received).toHaveLength(1)
  clock.advance(1)
  await until(() => failures.length === 2)
  clock.advance(3_600_000)
  await until(() => left() === 0)
})

test('what will never be taken is a dead letter at once, with the status as its reason', async () => {
  for (const status of [400, 404, 410, 422]) {
    const receiver = await Receiver.start(status)
    const { ann, left, engine, webhook } = await hooked(receiver.url)
    ann.publish('q', ['a'])
    await until(() => left() === 0)
    expect([...(engine.broker.queue('q.dead')?.runs() ?? [])]).toMatchObject([
      { origin: { reason: 'rejected', detail: `the webhook was answered ${status}` } },
    ])
    expect(webhook.counts.failed.rejected).toBe(1)
    await receiver.gets(1)
  }
})

test('408, 409, 425 and 429 are about the moment: the message stays', async () => {
  const receiver = await Receiver.start(408, 409, 425, 429, 200)
  const { ann, clock, left, failures } = await hooked(receiver.url, { retry_delay: '1s' })
  ann.publish('q', ['a'])
  for (let failed = 1; failed <= 4; failed += 1) {
    await until(() => failures.length === failed)
    clock.advance(2_000)
  }
  await until(() => left() === 0)
  expect(left('q.dead')).toBe(0)
})

test('a redirect is not followed', async () => {
  const elsewhere = await Receiver.start(200)
  const receiver = await Receiver.start(response => response.writeHead(307, { location: elsewhere.url.href }).end())
  const { ann, left, failures } = await hooked(receiver.url)
  ann.publish('q', ['a'])
  await until(() => failures.length === 1)
  expect(failures).toMatchObject([{ reason: 'status', status: 307 }])
  expect([left(), elsewhere.received.length]).toEqual([1, 0])
})

test('who does not answer in time is left, and tried again', async () => {
  const receiver = await Receiver.start(
    () => {},
    response => response.end(),
  )
  const { ann, clock, left, failures } = await hooked(receiver.url, { retry_delay: '1s' })
  ann.publish('q', ['a'])
  const [first] = await receiver.gets(1)
  clock.advance(9_999)
  expect(failures).toEqual([])
  clock.advance(1)
  expect(failures).toEqual([{ queue: 'q', reason: 'timeout', attempt: 1 }])
  await until(() => first!.isCut())
  clock.advance(1_000)
  await until(() => left() === 0)
  await receiver.gets(2)
})

test('of an answer nobody reads more than 64 KiB', async () => {
  let written = 0
  let isEnded = false
  const receiver = await Receiver.start(response => {
    response.on('close', () => {
      isEnded = true
    })
    response.on('error', () => {})
    const more = () => {
      if (isEnded) return
      written += 2 ** 14
      if (response.write(Buffer.alloc(2 ** 14))) setImmediate(more)
      else response.once('drain', more)
    }
    more()
  })
  const { ann, left } = await hooked(receiver.url)
  ann.publish('q', ['a'])
  await until(() => left() === 0 && isEnded)
  expect(written).toBeLessThan(2 ** 26)
})

test('a receiver that is down costs few attempts, however many messages there are', async () => {
  const receiver = await Receiver.start(200)
  const url = new URL(receiver.url)
  url.port = '1'
  const { ann, clock, failures, left } = await hooked(url, { retry_delay: '1h', deliveries_max: 2 })
  ann.publish(
    'q',
    Array.from({ length: 100 }, (_, n) => `${n}`),
  )
  await until(() => failures.length >= 4)
  for (let k = 0; k < 50; k += 1) await new Promise(resolve => setImmediate(resolve))
  expect(failures.length).toBeLessThanOrEqual(8)
  expect(failures[0]).toEqual({ queue: 'q', reason: 'unreachable', attempt: 1, error: 'ECONNREFUSED' })
  const before = failures.length
  clock.advance(30_000)
  await until(() => failures.length > before)
  expect(left()).toBe(100)
})

test('when it is back the rest ends with its first answer', async () => {
  const receiver = await Receiver.start(500, 500, 500, 500, 500, 200)
  const { ann, clock, failures, left } = await hooked(
    receiver.url,
    { retry_delay: '1s' },
    { terms: { concurrency: 1 } },
  )
  ann.publish(
    'q',
    Array.from({ length: 20 }, (_, n) => `${n}`),
  )
  for (let k = 0; k < 3; k += 1) await until(() => failures.length >= k + 1)
  clock.advance(250)
  await until(() => failures.length === 4)
  clock.advance(500)
  await until(() => failures.length === 5)
  clock.advance(1_000)
  await until(() => left() <= 5)
  clock.advance(5_000)
  await until(() => left() === 0)
})

test('as many requests as its concurrency are under way, and no more', async () => {
  const waiting: (() => void)[] = []
  const receiver = await Receiver.start(response => waiting.push(() => response.end()))
  const { ann, left } = await hooked(receiver.url, {}, { terms: { concurrency: 3 } })
  ann.publish(
    'q',
    Array.from({ length: 9 }, (_, n) => `${n}`),
  )
  await until(() => waiting.length === 3)
  while (left() > 0) {
    waiting.shift()?.()
    await new Promise(resolve => setImmediate(resolve))
  }
  expect([receiver.most, receiver.received.length]).toEqual([3, 9])
})

test('what a publisher writes cannot add a header, nor make a signature mean something else', async () => {
  const receiver = await Receiver.start(200)
  const { ann, left } = await hooked(receiver.url)
  const hostile = 'text/plain\r\nx-admin: 1'
  ann.publish('q', [
    ['a', { contentType: hostile, messageId: hostile, headers: { 'x-admin': 'true', 'webhook-id': 'mine' } }],
    ['b', { contentType: 'text/ﬂ', messageId: 'id.1700000000.forged' }],
  ])
  const received = await receiver.gets(2)
  await until(() => left() === 0)
  for (const { headers } of received) {
    expect(headers).toMatchObject({ 'content-type': 'application/octet-stream' })
    expect(headers).not.toHaveProperty('x-admin')
    expect(headers['webhook-id']).toMatch(/^msg_[\w-]{43}$/)
  }
})

test('an id is the same after a crash in the middle, and another one where the queue is another one', async () => {
  const receiver = await Receiver.start(() => {}, 200)
  const journal = memoryJournal()
  const first = await hooked(receiver.url, {}, { journal })
  first.ann.publish('q', ['a'])
  await receiver.gets(1)
  const second = await hooked(receiver.url, {}, { journal: journal.crash(), clock: first.clock })
  await until(() => second.left() === 0)
  const [before, after] = await receiver.gets(2)
  expect(after?.headers['webhook-id']).toBe(before?.headers['webhook-id'])
  await new Promise<void>(resolve => second.ann.peer.deleteQueue('q', () => resolve()))
  second.clock.advance(999)
  second.engine.declare('q', {})
  second.ann.publish('q', ['b'])
  second.clock.advance(1)
  const [, , another] = await receiver.gets(3)
  expect(another?.headers['webhook-id']).not.toBe(before?.headers['webhook-id'])
  await until(() => second.left() === 0)
})

test('closing calls requests off and gives their messages back untouched', async () => {
  const receiver = await Receiver.start(() => {})
  const { ann, webhook, left, engine } = await hooked(receiver.url, { deliveries_max: 1 })
  ann.publish('q', ['a', 'b'])
  const received = await receiver.gets(2)
  webhook.close()
  await until(() => received.every(({ isCut }) => isCut()))
  expect([left(), left('q.dead')]).toEqual([2, 0])
  expect([...(engine.broker.queue('q')?.runs() ?? [])].every(({ attempts }) => attempts === 0)).toBe(true)
})

test('a message that an operator takes away is not waited for', async () => {
  const receiver = await Receiver.start(() => {}, 200)
  const { ann, left } = await hooked(receiver.url, {}, { terms: { concurrency: 1 } })
  ann.publish('q', ['a', 'b'])
  const [first] = await receiver.gets(1)
  ann.peer.operate('q', 1, 'delete', () => {})
  await until(() => first!.isCut() && left() === 0)
  expect(receiver.received.map(({ body }) => body)).toEqual(['a', 'b'])
})

test('it may consume its queue and nothing else, also where tokens are asked for; one that is cut comes again', async () => {
  const receiver = await Receiver.start(200)
  const { ann, engine, clock, left } = await hooked(receiver.url, {}, { closed: true })
  const party = [...engine.parties.values()].find(({ identity }) => identity.protocol === 'webhook')!
  const { principal } = party.identity
  expect(principal?.isAdmin).toBe(false)
  expect(['publish', 'browse', 'barrier', 'admin'].map(right => principal?.may('q', right as 'browse'))).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ])
  expect([principal?.may('q', 'consume'), principal?.may('other', 'consume')]).toEqual([{}, undefined])
  expect(party.name).toBe(`webhook to ${receiver.url.origin}`)
  expect(ann.peer.disconnect(party.id)).toBe('done')
  ann.publish('q', ['a'])
  clock.advance(1_000)
  await until(() => left() === 0)
})

test('barriers are not posted', async () => {
  const receiver = await Receiver.start(200)
  const { ann, left } = await hooked(receiver.url)
  ann.publish('q', ['a', ['', { barrier: { name: 'eof' } }], 'b'])
  await until(() => left() === 0)
  expect((await receiver.gets(2)).map(({ body }) => body)).toEqual(['a', 'b'])
})

test('an at-most-once queue is posted once, whatever becomes of it', async () => {
  const receiver = await Receiver.start(500)
  const { ann, failures, left, clock } = await hooked(receiver.url, { semantics: 'at-most-once' })
  ann.publish('q', ['a', 'b'])
  await until(() => failures.length === 2)
  clock.advance(3_600_000)
  expect(left()).toBe(0)
  await receiver.gets(2)
})

test('a request outlasts the lease of the queue: nobody is called twice at once because he is slow', async () => {
  const waiting: (() => void)[] = []
  const receiver = await Receiver.start(response => waiting.push(() => response.end()))
  const { ann, clock, left } = await hooked(receiver.url, { lease: '1s' })
  ann.publish('q', ['a'])
  await until(() => waiting.length === 1)
  clock.advance(9_999)
  waiting[0]?.()
  await until(() => left() === 0)
  await receiver.gets(1)
})

test('a stop waits for the requests under way', async () => {
  const waiting: (() => void)[] = []
  const receiver = await Receiver.start(response => waiting.push(() => response.end()))
  const { ann, engine, clock, left } = await hooked(receiver.url)
  ann.publish('q', ['a'])
  await until(() => waiting.length === 1)
  let isDrained = false
  const drained = drain(engine, 9_000).then(leases => {
    isDrained = true
    return leases
  })
  waiting[0]?.()
  await until(() => {
    clock.advance(10)
    return isDrained
  })
  expect([await drained, left()]).toEqual([0, 0])
})

test('by https the receiver must show who he is', async () => {
  const receiver = await Receiver.startTls(new TestCa().issue(), 200)
  const { ann, failures } = await hooked(receiver.url)
  ann.publish('q', ['a'])
  await until(() => failures.length === 1)
  expect(failures).toEqual([
    { queue: 'q', reason: 'unreachable', attempt: 1, error: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' },
  ])
  expect(receiver.received).toEqual([])
})
