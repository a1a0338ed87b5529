import { InvalidMessageError, type Message, type SchemaIssue, type Subscription, worker } from '@sluice/client'
import { memoryServer } from '@sluice/client/testing'
import * as v from 'valibot'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { bodiesOf, FakeServer, quiet } from './support/fake-server.ts'

/** A sale as it is published, and what a consumer gets of it: the same in both libraries. */
interface Given {
  readonly sku: string
  readonly at: string
  readonly lines: { qty: number }[]
}
interface Got {
  readonly sku: string
  readonly at: Date
  readonly lines: { qty: number }[]
}
const SALE: Given = { sku: 'a-1', at: '2026-11-20T00:00:00Z', lines: [{ qty: 1 }] }
const WRONG = { ...SALE, lines: [{ qty: 1 }, { qty: '2' }] } as unknown as Given

const zodSale = z.object({
  sku: z.string(),
  at: z.string().transform(at => new Date(at)),
  lines: z.array(z.object({ qty: z.number() })),
})
const valibotSale = v.object({
  sku: v.string(),
  at: v.pipe(
    v.string(),
    v.transform(at => new Date(at)),
  ),
  lines: v.array(v.object({ qty: v.number() })),
})
const zodLater = zodSale.refine(async ({ sku }) => sku !== 'gone')
const valibotLater = v.pipeAsync(
  valibotSale,
  v.checkAsync(async ({ sku }) => sku !== 'gone'),
)
const pathOf = ({ path }: SchemaIssue) => path?.map(part => (typeof part === 'object' ? part.key : part))

async function next<T>(deliveries: Subscription<T>): Promise<Message<T>> {
  const { value } = await deliveries.next()
  return value as Message<T>
}

describe.each([
  ['zod', zodSale, zodLater],
  ['valibot', valibotSale, valibotLater],
] as const)('a schema of %s', (_, schema, later) => {
  test('gives the types: what is published is its input, what is consumed its output', async () => {
    const { client, connection } = await new FakeServer().connect()
    const queue = client.queue('q', { schema })
    expectTypeOf<Given>().toExtend<Parameters<typeof queue.publish>[0]>()
    const deliveries = queue.consume()
    connection.deliver(1, 1, [SALE])
    const message = await next(deliveries)
    expectTypeOf(message.body).toExtend<Got>()
    expectTypeOf(message.body.at).toEqualTypeOf<Date>()
    expect(message.body.at).toEqual(new Date(SALE.at))
    // @ts-expect-error the output is not what is published
    await expect(queue.publish({ ...SALE, at: new Date() })).rejects.toThrow(InvalidMessageError)
  })

  test('a body goes out as given, and one that does not fit is refused before it is sent, with issues and paths', async () => {
    const { client, connection } = await new FakeServer().connect()
    const queue = client.queue('q', { schema })
    const error = await queue.publish(WRONG).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(InvalidMessageError)
    const { message, issues } = error as InvalidMessageError
    expect(issues.map(pathOf)).toEqual([['lines', 1, 'qty']])
    expect(message).toMatch(/^lines\.1\.qty: .*number/)
    const published = queue.publish(SALE)
    const frame = await connection.next('publish')
    expect(bodiesOf(frame.messages).map(({ body }) => body)).toEqual([SALE])
    connection.confirm(frame)
    await published
    await expect(queue.barrier()).rejects.toMatchObject({ code: 'batch-incomplete' })
  })

  test('it is asked by publishMany, publishAtomic, an ack that carries messages and the output of a worker', async () => {
    await using server = await memoryServer()
    await using client = await server.connect()
    const [from, to] = [client.queue<number>('from'), client.queue('to', { schema })]
    await from.declare()
    await to.declare()
    await expect(to.publishMany([SALE, WRONG])).rejects.toThrow('lines.1.qty')
    await expect(
      client.publishAtomic([
        { queue: to, body: SALE },
        { queue: to, body: WRONG },
      ]),
    ).rejects.toThrow('lines.1')
    await expect(to.barrier()).rejects.toMatchObject({ code: 'batch-incomplete', facts: { refused: 2 } })

    await from.publish(1)
    const deliveries = from.consume()
    const message = await next(deliveries)
    await expect(message.ack({ publish: [{ queue: to, body: WRONG }] })).rejects.toThrow(InvalidMessageError)
    expect(message.isSettled).toBe(false)
    expect(await message.ack({ publish: [{ queue: to, body: SALE }] })).toBe('acked')
    await deliveries.return()

    await from.publish(2)
    await from.barrier({ name: 'eof' })
    const working = worker(from, () => WRONG, { output: to, until: 'barrier' })
    expect(await working.done).toMatchObject({ outcome: 'with-dead' })
    const { messages } = await from.dead.list()
    expect(messages[0]).toMatchObject({
      origin: { reason: 'rejected', detail: expect.stringContaining('lines.1.qty') },
    })
  })

  test('one that takes its time is waited for: an atomic publish, a barrier behind it, an ack', async () => {
    await using server = await memoryServer()
    await using client = await server.connect()
    const queue = client.queue('q', { schema: later })
    await queue.declare()
    const together = client.publishAtomic([{ queue, body: SALE }])
    const barrier = queue.barrier({ name: 'eof' })
    expect((await together)[0]!.sequence).toBe(1)
    expect(await (await barrier).show()).toMatchObject({ sequence: 2 })
    const gone = { ...SALE, sku: 'gone' }
    await expect(client.publishAtomic([{ queue, body: gone }])).rejects.toThrow(InvalidMessageError)
    await expect(queue.publish(gone)).rejects.toThrow(InvalidMessageError)
    const deliveries = queue.consume()
    const message = await next(deliveries)
    expect(message.body.at).toBeInstanceOf(Date)
    await expect(message.ack({ publish: [{ queue, body: gone }] })).rejects.toThrow(InvalidMessageError)
    await message.ack()
    await deliveries.return()
  })

  test('A5: a message that comes and does not fit goes to the dead letters with the reason, and the next one comes', async () => {
    await using server = await memoryServer()
    await using client = await server.connect()
    const [plain, typed] = [client.queue('q'), client.queue('q', { schema })]
    await plain.declare()
    const warnings: unknown[] = []
    client.addEventListener('warning', event => warnings.push(event.detail))
    await plain.publish(WRONG)
    await plain.publish(SALE)
    const deliveries = typed.consume()
    const message = await next(deliveries)
    expect(message.sequence).toBe(2)
    await message.ack({ durable: true })
    expect(warnings).toMatchObject([{ code: 'invalid-message', queue: 'q', sequence: 1 }])
    const { messages } = await typed.dead.list()
    expect(messages).toMatchObject([{ origin: { sequence: 1, detail: expect.stringMatching(/^lines\.1\.qty: /) } }])
    await deliveries.return()
  })

  test("with invalid: 'throw' it is handed out, and asking for its body throws", async () => {
    const { client, connection } = await new FakeServer().connect()
    const deliveries = client.queue('q', { schema, invalid: 'throw' }).consume()
    connection.deliver(1, 1, [WRONG, SALE])
    const message = await next(deliveries)
    expect(() => message.body).toThrow(InvalidMessageError)
    expect(JSON.parse(new TextDecoder().decode(message.bytes))).toEqual(WRONG)
    expect((await next(deliveries)).body.sku).toBe('a-1')
    await quiet()
    expect(connection.all('settle')).toEqual([])
    await message.release()
    expect(await connection.next('settle')).toMatchObject({ how: 'release', deliveries: [{ first: 1, count: 1 }] })
  })
})

test('a schema that fails to answer says nothing of the message: that is nacked, and not buried', async () => {
  const { client, connection } = await new FakeServer().connect()
  const warnings: unknown[] = []
  client.addEventListener('warning', event => warnings.push(event.detail))
  let isDown = true
  const validate = async (value: unknown) => {
    if (isDown) throw new Error('the directory is down')
    return { value }
  }
  const schema = { '~standard': { version: 1 as const, vendor: 'test', validate } }
  const deliveries = client.queue('q', { schema }).consume()
  const waiting = next(deliveries)
  connection.deliver(1, 1, [1])
  expect(await connection.next('settle')).toMatchObject({ how: 'nack' })
  expect(warnings).toMatchObject([{ code: 'handler-failed', detail: 'the directory is down' }])
  isDown = false
  connection.deliver(1, 2, [1])
  expect((await waiting).body).toBe(1)
})

test('the reason of a dead letter is short, however much is wrong', async () => {
  const { client, connection } = await new FakeServer().connect()
  const deliveries = client.queue('q', { schema: z.array(z.string()) }).consume()
  void deliveries.next()
  connection.deliver(1, 1, [Array.from({ length: 5_000 }, (_, n) => n)])
  const { how, reason } = await connection.next('settle')
  expect([how, reason.length]).toEqual(['reject', 1_000])
})
