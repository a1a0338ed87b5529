import { expect, test } from 'vitest'
import { signatureOf, webhookId } from '../../src/webhooks/signature.ts'
import { verdictOf } from '../../src/webhooks/verdict.ts'
import { KEY } from './support.ts'

test('a signature is that of the vector of Standard Webhooks 1.0.0', () => {
  const body = new TextEncoder().encode('{"test": 2432232314}')
  const message = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', timestamp: 1_614_265_330, body }
  expect(signatureOf([KEY], message)).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=')
})

test('an id never has a full stop, nor anything that a header may not have', () => {
  expect(webhookId('order_7-a', 'x-1-1')).toBe('order_7-a')
  expect(webhookId(undefined, 'x-1-1')).toBe('msg_x-1-1')
  for (const id of ['', 'a.b', 'a b', 'ä', 'a\r\nb', 'a'.repeat(129)]) {
    expect(webhookId(id, 'x-1-1'), id).toMatch(/^msg_[\w-]{43}$/)
    expect(webhookId(id, 'x-2-9')).toBe(webhookId(id, 'x-1-1'))
  }
})

test('Retry-After is seconds or a date, from one second to an hour; what is neither does not count', () => {
  const now = Date.UTC(2026, 0, 1)
  const afterMs = (retryAfter: string | undefined) => {
    const verdict = verdictOf({ kind: 'answered', status: 503, retryAfter }, now)
    return verdict.kind === 'failed' ? verdict.afterMs : 'no failure'
  }
  expect(
    ['120', '0', '99999', new Date(now + 60_000).toUTCString(), 'Mon, 01 Jan 2001 00:00:00 GMT'].map(afterMs),
  ).toEqual([120_000, 1_000, 3_600_000, 60_000, 1_000])
  expect([undefined, '', 'soon', '-5x'].map(afterMs)).toEqual([undefined, undefined, undefined, undefined])
})
