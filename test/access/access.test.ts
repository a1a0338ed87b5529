import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Access, AccessRefused, type Grant, type NewToken } from '../../src/access/access.ts'
import { attempts } from '../../src/access/attempts.ts'
import { matchesGlob } from '../../src/access/glob.ts'
import { virtualClock } from '../../src/engine/clock.ts'
import { processorTime } from '../support/processor.ts'

const ALL: readonly Grant[] = [{ queue: '*', rights: ['publish'] }]

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'sluice-tokens-'))
  onTestFinished(() => rmSync(made, { recursive: true, force: true }))
  return made
}

function access(file?: string, clock = virtualClock()) {
  const log: string[] = []
  const write = (event: string, facts = {}) => void log.push(`${event} ${JSON.stringify(facts)}`)
  const made = new Access({ clock, log: { info: write, warn: write }, ...(file === undefined ? {} : { file }) })
  return { access: made, clock, log }
}

const secretOf = (made: { secret?: string }) => made.secret ?? ''

describe('secrets', () => {
  test('a secret has 256 bits, is recognisable, and lets in who shows it', () => {
    const { access: tokens } = access()
    const secret = secretOf(tokens.create({ name: 'ann', grants: ALL }))
    expect(secret).toMatch(/^slc_[\w-]{43}$/)
    expect(tokens.authenticate(secret)?.name).toBe('ann')
    expect(secretOf(tokens.create({ name: 'bob', grants: ALL }))).not.toBe(secret)
  })

  test('what is like a secret and is none lets nobody in', () => {
    const { access: tokens } = access()
    const secret = secretOf(tokens.create({ name: 'ann', grants: ALL }))
    const wrong = [
      undefined,
      '',
      secret.slice(0, -1),
      `${secret}x`,
      `${secret} `,
      ` ${secret}`,
      secret.toUpperCase(),
      secret.slice(4),
      `${secret}${'x'.repeat(10_000)}`,
      'slc_',
      '\u0000',
      '__proto__',
    ]
    for (const guess of wrong) expect(tokens.authenticate(guess), String(guess)).toBe(undefined)
  })

  test('one holder is the same object as long as its entry is there', () => {
    const { access: tokens } = access()
    const secret = secretOf(tokens.create({ name: 'ann', grants: ALL }))
    const holder = tokens.authenticate(secret)
    expect(tokens.authenticate(secret)).toBe(holder)
    expect(tokens.byCertificate('ann')).toBe(holder)
    tokens.revoke('ann')
    tokens.create({ name: 'ann', grants: ALL })
    expect(tokens.byCertificate('ann')).not.toBe(holder)
  })

  test('an entry without a secret is there for a certificate alone', () => {
    const { access: tokens } = access()
    const made = tokens.create({ name: 'host-7', grants: ALL, hasSecret: false })
    expect(made).toEqual({ token: expect.objectContaining({ name: 'host-7', hasSecret: false }) })
    expect(tokens.byCertificate('host-7')?.name).toBe('host-7')
    expect(tokens.byCertificate('host-8')).toBe(undefined)
    // A hash of nothing must not be what it has.
    expect(tokens.authenticate('')).toBe(undefined)
    expect(tokens.login({ certificate: 'host-7', address: '10.0.0.1', via: 'test' })).toMatchObject({ name: 'host-7' })
    expect(tokens.login({ secret: 'wrong', certificate: 'host-7', address: '10.0.0.1', via: 'test' })).toMatchObject({
      code: 'unauthenticated',
    })
  })
})

describe('the end of a token', () => {
  test('a revoked token lets nobody in, and who is in by it is told of once', () => {
    const { access: tokens } = access()
    const told: string[] = []
    tokens.onRevoked((holder, why) => told.push(`${holder.name} ${why}`))
    const secret = secretOf(tokens.create({ name: 'ann', grants: ALL }))
    expect(tokens.revoke('ann')).toBe(true)
    expect(tokens.authenticate(secret)).toBe(undefined)
    expect(tokens.byCertificate('ann')).toBe(undefined)
    expect(tokens.revoke('ann')).toBe(false)
    expect(told).toEqual(['ann revoked'])
  })

  test('a token expires at its time, to the millisecond, and that is told at once', () => {
    const { access: tokens, clock } = access()
    const told: string[] = []
    tokens.onRevoked((holder, why) => told.push(`${holder.name} ${why}`))
    const long = secretOf(tokens.create({ name: 'long', grants: ALL, expiresInMs: 10_000 }))
    const short = secretOf(tokens.create({ name: 'short', grants: ALL, expiresInMs: 1_000 }))
    clock.advance(999)
    expect(tokens.authenticate(short)?.name).toBe('short')
    expect(told).toEqual([])
    clock.advance(1)
    expect(tokens.authenticate(short)).toBe(undefined)
    expect(tokens.authenticate(long)?.name).toBe('long')
    expect(told).toEqual(['short expired'])
    clock.advance(9_000)
    expect(told).toEqual(['short expired', 'long expired'])
    tokens.revoke('short')
    expect(told).toHaveLength(2)
  })

  test('an expired token stays in the list until it is revoked', () => {
    const { access: tokens, clock } = access()
    tokens.create({ name: 'short', grants: ALL, expiresInMs: 1_000 })
    clock.advance(2_000)
    expect(tokens.list()).toMatchObject([{ name: 'short' }])
    expect(() => tokens.create({ name: 'short', grants: ALL })).toThrow(/there is a token "short" already/)
  })
})

describe('what a token allows', () => {
  const holderOf = (...grants: Grant[]) => {
    const { access: tokens } = access()
    return tokens.authenticate(secretOf(tokens.create({ name: 'ann', grants })))
  }

  test('nothing but what is granted', () => {
    const holder = holderOf({ queue: 'orders.*', rights: ['consume'] })
    expect(holder?.may('orders.eu', 'consume')).toEqual({})
    for (const right of ['publish', 'browse', 'barrier', 'admin'] as const)
      expect(holder?.may('orders.eu', right)).toBe(undefined)
    for (const queue of ['orders', 'ORDERS.eu', 'xorders.eu', 'orders_eu', '', '*'])
      expect(holder?.may(queue, 'consume'), queue).toBe(undefined)
    expect(holder?.isAdmin).toBe(false)
  })

  test('of several grants a message has to match one, and one without a filter is enough', () => {
    const eu = { queue: 'orders.*', rights: ['consume'], filter: "/region = 'EU'" } as const
    const us = { queue: '*.us', rights: ['consume'], filter: "/region = 'US'" } as const
    expect(holderOf(eu, us)?.may('orders.us', 'consume')).toEqual({ filters: [eu.filter, us.filter] })
    expect(holderOf(eu, us, { queue: 'orders.us', rights: ['consume'] })?.may('orders.us', 'consume')).toEqual({})
    expect(holderOf(eu, us)?.may('orders.eu', 'consume')).toEqual({ filters: [eu.filter] })
  })

  test('admin on everything is admin of the server, admin on what merely matches everything is not', () => {
    expect(holderOf({ queue: '*', rights: ['admin'] })?.isAdmin).toBe(true)
    expect(holderOf({ queue: '**', rights: ['admin'] })?.isAdmin).toBe(false)
    expect(holderOf({ queue: '*', rights: ['publish', 'consume', 'browse', 'barrier'] })?.isAdmin).toBe(false)
  })

  test('what is no token is refused with what is wrong', () => {
    const { access: tokens } = access()
    const wrong: readonly [unknown, RegExp][] = [
      [{ name: '', grants: ALL }, /not empty/],
      [{ name: 'a\nb', grants: ALL }, /control characters/],
      [{ name: 'x'.repeat(256), grants: ALL }, /256 bytes/],
      [{ name: 'a', grants: [] }, /from 1 to 100 grants/],
      [{ name: 'a', grants: 'publish' }, /from 1 to 100 grants/],
      [{ name: 'a', grants: [{ queue: 'q', rights: ['own'] }] }, /no right "own"/],
      [{ name: 'a', grants: [{ queue: 'q', rights: [] }] }, /at least one of/],
      [{ name: 'a', grants: [{ queue: 'q', rights: ['publish'], fitler: '/a = 1' }] }, /no "fitler"/],
      [{ name: 'a', grants: [{ queue: 'q', rights: ['publish'], filter: '/a =' }] }, /filter: /],
      [{ name: 'a', grants: [{ queue: 'q', rights: ['admin'], filter: '/a = 1' }] }, /admin is about whole queues/],
      [{ name: 'a', grants: ALL, expiresInMs: 0 }, /in the future/],
      [{ name: 'a', grants: ALL, expiresInMs: 1e300 }, /in the future/],
    ]
    for (const [token, why] of wrong) expect(() => tokens.create(token as NewToken)).toThrow(why)
    expect(tokens.list()).toEqual([])
  })
})

describe('names of queues', () => {
  test('* is any characters, ? one, all else itself, and the whole name counts', () => {
    const cases: readonly [string, string, boolean][] = [
      ['orders', 'orders', true],
      ['orders', 'order', false],
      ['orders.*', 'orders.', true],
      ['orders.*', 'orders.eu.paris', true],
      ['orders.*', 'my-orders.eu', false],
      ['*.dead', 'orders.dead', true],
      ['*.dead', 'orders.dead.x', false],
      ['a*b*c', 'aXbYbZc', true],
      ['a*b*c', 'acb', false],
      ['?', '😀', true],
      ['?', '', false],
      ['a?c', 'a*c', true],
      ['a.c', 'abc', false],
      ['[ab]', 'a', false],
      ['*', '', true],
      ['(a+)+$', '(a+)+$', true],
      ['A', 'a', false],
    ]
    for (const [pattern, name, matches] of cases) expect(matchesGlob(pattern, name), `${pattern} ${name}`).toBe(matches)
  })

  test('a pattern does what the regular expression of the same meaning does, for any pattern', () => {
    const texts = fc.string({ unit: fc.constantFrom('a', 'b', '.', '*', '?'), maxLength: 12 })
    fc.assert(
      fc.property(texts, texts, (pattern, name) => {
        const source = [...pattern].map(part => (part === '*' ? '.*' : part === '?' ? '.' : `\\u${hex(part)}`)).join('')
        expect(matchesGlob(pattern, name)).toBe(new RegExp(`^${source}$`, 'su').test(name))
      }),
      { numRuns: 2_000 },
    )
  })

  test('attack 14: no pattern makes it slow', () => {
    const spent = processorTime()
    expect(matchesGlob('*a'.repeat(127), 'a'.repeat(126) + 'b'.repeat(129))).toBe(false)
    expect(spent()).toBeLessThan(50)
  })
})

function hex(character: string): string {
  return character.charCodeAt(0).toString(16).padStart(4, '0')
}

describe('on disk', () => {
  test('entries survive a start, for this user alone to read, and no secret is among them', () => {
    const file = join(folder(), 'tokens.json')
    const { access: first, clock } = access(file)
    const grants: readonly Grant[] = [{ queue: 'orders.*', rights: ['consume', 'browse'], filter: '/a = 1' }]
    const secret = secretOf(first.create({ name: 'ann', grants, expiresInMs: 60_000 }))
    first.create({ name: 'host-7', grants: ALL, hasSecret: false })
    const { access: second } = access(file, clock)
    expect(second.list()).toEqual(first.list())
    expect(second.authenticate(secret)?.name).toBe('ann')
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(readFileSync(file, 'utf8')).not.toContain(secret.slice(4))
    expect(readdirSync(join(file, '..'))).toEqual(['tokens.json'])
    second.revoke('ann')
    expect(access(file, clock).access.authenticate(secret)).toBe(undefined)
  })

  test('a file that is none of ours is refused, and none of it is in the error', () => {
    const file = join(folder(), 'tokens.json')
    const wrong = [
      'secret-canary',
      '{"version":2,"tokens":[]}',
      '{"version":1,"tokens":[{"name":"a","sha256":"secret-canary","grants":[],"created_at":"x"}]}',
      '{"version":1,"tokens":[{}]}',
      '{"version":1,"tokens":[null]}',
    ]
    for (const text of wrong) {
      writeFileSync(file, text)
      let error: unknown
      try {
        access(file)
      } catch (thrown) {
        error = thrown
      }
      expect(error, text).toMatchObject({ code: 'bad-tokens-file' })
      expect(error).toBeInstanceOf(AccessRefused)
      expect((error as Error).message).not.toContain('canary')
    }
  })

  test('an entry that cannot be written is not there, and one that cannot be taken away still is', () => {
    const place = folder()
    const file = join(place, 'tokens.json')
    const { access: tokens } = access(file)
    const secret = secretOf(tokens.create({ name: 'ann', grants: ALL }))
    rmSync(place, { recursive: true })
    expect(() => tokens.create({ name: 'bob', grants: ALL })).toThrow(/ENOENT/)
    expect(() => tokens.revoke('ann')).toThrow(/ENOENT/)
    expect(tokens.list()).toMatchObject([{ name: 'ann' }])
    expect(tokens.authenticate(secret)?.name).toBe('ann')
  })
})

describe('failed logins', () => {
  const login = (tokens: Access, secret: string, address = '203.0.113.9') =>
    tokens.login({ secret, address, via: 'test' })

  test('after 10 failures within a minute an address is blocked for 60 s, others are not', () => {
    const { access: tokens, clock, log } = access()
    const secret = secretOf(tokens.create({ name: 'ann', grants: ALL }))
    for (let k = 0; k < 10; k += 1) expect(login(tokens, 'wrong')).toMatchObject({ code: 'unauthenticated' })
    // A block says nothing of the token that is shown.
    expect(login(tokens, 'wrong')).toEqual(login(tokens, secret))
    expect(login(tokens, secret)).toMatchObject({ code: 'server-busy', facts: { retry_after_s: 60 } })
    expect(login(tokens, secret, '203.0.113.10')).toMatchObject({ name: 'ann' })
    clock.advance(60_000)
    expect(login(tokens, secret)).toMatchObject({ name: 'ann' })
    expect(log.filter(line => line.startsWith('login-failed'))).toHaveLength(10)
    expect(log.filter(line => line.startsWith('logins-blocked'))).toHaveLength(1)
  })

  test('who is in already on the same connection is not blocked', () => {
    const { access: tokens } = access()
    const secret = secretOf(tokens.create({ name: 'ann', grants: ALL }))
    const ann = tokens.authenticate(secret)
    for (let k = 0; k < 10; k += 1) login(tokens, 'wrong')
    const again = { secret, address: '203.0.113.9', via: 'test' }
    expect(tokens.login(again, holder => holder === ann)).toBe(ann)
  })

  test('failures that are spread over time block nobody', () => {
    const { access: tokens, clock } = access()
    for (let k = 0; k < 40; k += 1) {
      expect(login(tokens, 'wrong')).toMatchObject({ code: 'unauthenticated' })
      clock.advance(7_000)
    }
  })

  test('loopback has 100, a network of IPv6 counts as one address, and an IPv4 address in IPv6 as itself', () => {
    const failures = attempts()
    const block = (addresses: readonly string[]) => addresses.findIndex(address => failures.failed(address, 0) > 0) + 1
    expect(block(Array.from({ length: 200 }, () => '127.0.0.1'))).toBe(100)
    expect(block(Array.from({ length: 200 }, () => '::1'))).toBe(100)
    expect(block(Array.from({ length: 20 }, (_, k) => `2001:db8:1:2::${k}`))).toBe(10)
    expect(block(Array.from({ length: 20 }, (_, k) => `2001:db8:${k}::1`))).toBe(0)
    expect(block(Array.from({ length: 20 }, (_, k) => (k % 2 === 0 ? '::ffff:192.0.2.1' : '192.0.2.1')))).toBe(10)
  })

  test('the table of addresses is bounded', () => {
    const failures = attempts()
    for (let k = 0; k < 9; k += 1) failures.failed('192.0.2.1', 0)
    for (let k = 0; k < 10_000; k += 1) failures.failed(`10.0.${k >> 8}.${k & 255}`, 0)
    // It was forgotten: its tenth failure is its first.
    expect(failures.failed('192.0.2.1', 0)).toBe(0)
  })
})
