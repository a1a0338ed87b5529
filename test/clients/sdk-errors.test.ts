import { readFileSync } from 'node:fs'
import path from 'node:path'
import {
  type ClientEvents,
  ConnectionError,
  ERROR_CODES,
  type ErrorCode,
  RefusedError,
  SluiceError,
  TimeoutError,
  type Warning,
} from '@sluice/client'
import { REFUSALS } from '@sluice/protocol'
import { expect, expectTypeOf, test } from 'vitest'
import { FakeServer } from './support/fake-server.ts'

const README = readFileSync(path.join(import.meta.dirname, '../../clients/typescript/README.md'), 'utf8')
const codes = Object.keys(ERROR_CODES) as ErrorCode[]
const isOwn = (code: ErrorCode) => ERROR_CODES[code].from === 'sdk'

// A new one that is missing here does not compile.
const EVENTS: Record<keyof ClientEvents, true> = {
  status: true,
  reconnecting: true,
  reconnected: true,
  'lease-lost': true,
  'barriers-missed': true,
  warning: true,
}
const WARNINGS: Record<Warning['code'], true> = {
  'publishing-held': true,
  'invalid-message': true,
  'publish-refused': true,
  'handler-failed': true,
}

test('one table has all codes: those of the server, with what the protocol says of them, and those of the SDK', () => {
  expect(codes.filter(code => !isOwn(code))).toEqual(Object.keys(REFUSALS))
  for (const [code, { retry }] of Object.entries(REFUSALS))
    expect(ERROR_CODES[code as ErrorCode]).toEqual({ from: 'server', retry })
  expect(codes.filter(isOwn)).toEqual([
    'unreachable',
    'connection-lost',
    'closed',
    'batch-incomplete',
    'batch-with-dead',
    'batch-failed',
    'batch-cancelled',
    'batch-expired',
  ])
})

test('an error may be tried again later if its code says so; of one that is not known nobody knows', () => {
  const later = codes.filter(code => new SluiceError(code, '').retryable)
  expect(later).toEqual(codes.filter(code => ERROR_CODES[code].retry === 'later'))
  expect(later).toEqual(expect.arrayContaining(['queue-full', 'server-busy', 'unreachable', 'connection-lost']))
  expect(new RefusedError('of-tomorrow', '').retryable).toBe(false)
  expect(new RefusedError('toString', '').retryable).toBe(false)
  expect([new ConnectionError('closed', ''), new TimeoutError('')].map(({ retryable }) => retryable)).toEqual([
    false,
    true,
  ])
})

test.each([...codes.filter(isOwn), ...Object.keys(EVENTS), ...Object.keys(WARNINGS)])(
  'the README of the package tells of %s',
  word => expect(README).toContain(`\`${word}\``),
)

test('an event has the detail of its type', async () => {
  const { client } = await new FakeServer().connect()
  const heard: string[] = []
  client.addEventListener('status', event => {
    expectTypeOf(event.detail).toEqualTypeOf<ClientEvents['status']>()
    heard.push(`${event.type} ${event.detail.status}`)
  })
  client.addEventListener('lease-lost', ({ detail }) =>
    expectTypeOf(detail.sequence).toEqualTypeOf<number | undefined>(),
  )
  client.addEventListener('warning', ({ detail }) => expectTypeOf(detail).toEqualTypeOf<Warning>())
  await client.close()
  expect(heard).toEqual(['status closed'])
})
