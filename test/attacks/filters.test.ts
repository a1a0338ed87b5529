import { monitorEventLoopDelay } from 'node:perf_hooks'
import { expect, test } from 'vitest'
import { ask, Native, startVictim, type Victim } from './support.ts'

const JSON_TYPE = { 'content-type': 'application/json' }

async function tested(
  victim: Victim,
  expression: string,
  bodies: readonly string[],
): Promise<{ ms: number; status: number }> {
  const started = performance.now()
  const body = JSON.stringify({ expression, bodies })
  const { status } = await ask(victim, 'POST', '/v1/filters/test', { headers: JSON_TYPE, body })
  return { ms: performance.now() - started, status }
}

const long = JSON.stringify({ a: 'a'.repeat(60_000) })

test.each<[string, string]>([
  ['LIKE that backtracks', `/a LIKE '${'%a'.repeat(60)}%b'`],
  ['a pattern with nested repeats', "REGEXP_MATCH(/a, '(a+)+b')"],
  ['a pattern with alternatives that overlap', "REGEXP_MATCH(/a, '^(a|a)*b$')"],
  ['a pattern with counted repeats', "REGEXP_MATCH(/a, '(a{1,30}){1,30}b')"],
  ['NOT upon NOT', `${'NOT '.repeat(30)}/a = 1`],
  ['texts made of texts', `CONCAT(${Array.from({ length: 60 }, () => '/a').join(', ')}) = 'x'`],
])('attack 14: %s is refused, or decided in no time', async (_, expression) => {
  const victim = await startVictim()
  const { ms, status } = await tested(victim, expression, [long])
  expect([200, 422]).toContain(status)
  // 4 million steps take 50 ms; a loaded machine gets ten times as much.
  expect(ms).toBeLessThan(1_000)
})

test.each<[string, string]>([
  ['of more than 4 KiB', `/a = '${'x'.repeat(4_096)}'`],
  ['of more than 32 levels', `${'('.repeat(40)}/a = 1${')'.repeat(40)}`],
  ['of more than 256 parts', Array.from({ length: 200 }, () => '/a=1').join(' OR ')],
  ['with a list of more than 1,000', `/a IN (${Array.from({ length: 1_001 }, (_, i) => i).join(',')})`],
  ['with a pattern of more than 256 bytes', `REGEXP_MATCH(/a, '${'a'.repeat(257)}')`],
  ['with a pattern of too many states', "REGEXP_MATCH(/a, '((a{0,99}){0,99}){0,99}')"],
])('attack 14: an expression %s is refused, in no time, wherever it is given', async (_, expression) => {
  const victim = await startVictim()
  const { ms, status } = await tested(victim, expression, ['{}'])
  expect(status).toBe(422)
  expect(ms).toBeLessThan(1_000)
  for (const option of ['filter', 'barrier']) {
    const body = JSON.stringify({ [option]: expression })
    expect((await ask(victim, 'PUT', '/v1/queues/q', { headers: JSON_TYPE, body })).status).toBe(422)
  }
  await ask(victim, 'PUT', '/v1/queues/q')
  const native = await Native.welcomed(victim.url)
  native.send('subscribe', {
    subscription: 1,
    queue: 'q',
    prefetch: 1,
    concurrency: 1,
    leaseMs: 0,
    afterBatch: 0,
    filter: expression,
  })
  expect(await native.next('cancelled')).toMatchObject({ code: 'bad-filter' })
})

test('attack 14: a thousand heavy subscriptions on a busy queue do not stop the others', async () => {
  const victim = await startVictim()
  await ask(victim, 'PUT', '/v1/queues/q')
  const hostile = await Native.welcomed(victim.url)
  for (let subscription = 1; subscription <= 1_000; subscription++) {
    // No two alike: those of one text share their search. Each takes nearly all steps that an evaluation may take.
    const filter = `REGEXP_MATCH(/a, '(a+)+(a+)+(a+)+(a+)+(a+)+(a+)+[b-z]${subscription}') = 'b'`
    hostile.send('subscribe', { ...NO_TERMS, subscription, filter })
  }
  for (let subscription = 1; subscription <= 1_000; subscription++) await hostile.next('subscribed')
  const calm = await Native.welcomed(victim.url)
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  const body = JSON.stringify({ a: 'a'.repeat(60_000) })
  for (let i = 0; i < 5; i++) await ask(victim, 'POST', '/v1/queues/q/messages', { body })
  for (let id = 1; id <= 20; id++) {
    calm.send('request', { id, method: 'ping', params: {} })
    await calm.next('response')
  }
  delay.disable()
  // A turn of a search takes 50 ms and the evaluation that goes beyond it as much again; without that bound a message took 1,130 ms.
  expect(delay.max / 1e6).toBeLessThan(600)
})

const NO_TERMS = { queue: 'q', prefetch: 1, concurrency: 1, leaseMs: 0, afterBatch: 0 }
