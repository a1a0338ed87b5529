import { describe, expect, test } from 'vitest'
import { Entrance, networkOf } from '../../src/net/entrance.ts'
import { PublishRate, PublishRates } from '../../src/net/publish-rate.ts'
import { SendBuffers } from '../../src/net/send-buffers.ts'

describe('who may come in', () => {
  test('is so many of one address, and so many in all; who leaves makes room', () => {
    const entrance = new Entrance({ connectionsMax: 5, perAddressMax: 2 })
    expect(['10.0.0.1', '10.0.0.1', '10.0.0.1'].map(address => entrance.enter(address))).toEqual([
      undefined,
      undefined,
      'connections_per_address',
    ])
    expect(['10.0.0.2', '10.0.0.2', '10.0.0.3', '10.0.0.4'].map(address => entrance.enter(address))).toEqual([
      undefined,
      undefined,
      undefined,
      'connections_max',
    ])
    entrance.leave('10.0.0.1')
    expect(entrance.enter('10.0.0.1')).toBeUndefined()
    expect(entrance.connections).toBe(5)
  })

  test('is this machine when nobody else may any more: a tenth, and 16 at most, is kept for it', () => {
    const small = new Entrance({ connectionsMax: 20, perAddressMax: 100 })
    for (let i = 0; i < 18; i++) expect(small.enter('10.0.0.1')).toBeUndefined()
    expect(small.enter('10.0.0.2')).toBe('connections_max')
    expect([small.enter('127.0.0.1'), small.enter('::1')]).toEqual([undefined, undefined])
    expect(small.enter('127.0.0.1')).toBe('connections_max')
    const large = new Entrance({ connectionsMax: 1_000, perAddressMax: 1_000 })
    for (let i = 0; i < 984; i++) expect(large.enter('10.0.0.1')).toBeUndefined()
    expect(large.enter('10.0.0.1')).toBe('connections_max')
    for (let i = 0; i < 16; i++) expect(large.enter('::ffff:127.0.0.1')).toBeUndefined()
  })

  test('is loopback without a limit of its own: a proxy there has all clients', () => {
    const entrance = new Entrance({ connectionsMax: 100, perAddressMax: 1 })
    for (let i = 0; i < 100; i++) expect(entrance.enter('127.0.0.1')).toBeUndefined()
  })

  test.each([
    ['10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:db8:1:2::9', '2001:db8:1:2'],
    ['2001:db8::1', '2001:db8:0:0'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
    ['::2', '0:0:0:0'],
  ])('is counted by network: %s as %s', (address, network) => {
    expect(networkOf(address)).toBe(network)
  })
})

describe('what waits to be sent', () => {
  function start(bytesMax: number) {
    const tasks: (() => void)[] = []
    const buffers = new SendBuffers(bytesMax, task => void tasks.push(task))
    const cut: string[] = []
    const join = (name: string) => {
      const account = buffers.join(() => {
        cut.push(name)
        account.leave()
      })
      return account
    }
    const turn = () => {
      for (const task of tasks.splice(0)) task()
    }
    return { buffers, join, cut, turn }
  }

  test('is shared: the less is left, the less may wait for one', () => {
    const { buffers, join } = start(1_000_000)
    expect(buffers.share).toBe(1_000_000)
    const [a, b] = [join('a'), join('b')]
    a.set(600_000)
    expect(buffers.share).toBe(400_000)
    b.set(390_000)
    expect(buffers.share).toBe(64 * 1024)
    a.leave()
    a.set(5)
    expect(buffers.bytes).toBe(390_000)
    expect(buffers.share).toBe(610_000)
  })

  test('cuts the fullest, no more of them than needed, and never at once', () => {
    const { buffers, join, cut, turn } = start(1_000)
    const accounts = [300, 500, 100, 450].map((bytes, i) => ({ account: join(String(i)), bytes }))
    for (const { account, bytes } of accounts) account.set(bytes)
    expect(cut).toEqual([])
    turn()
    expect(cut).toEqual(['1'])
    expect(buffers.bytes).toBe(850)
    turn()
    expect(cut).toEqual(['1'])
  })

  test('cuts nobody whose bytes have gone meanwhile', () => {
    const { join, cut, turn } = start(1_000)
    const a = join('a')
    a.set(2_000)
    a.set(0)
    turn()
    expect(cut).toEqual([])
  })
})

describe('a rate', () => {
  test('lets a second of it through at once, takes what is beyond as a debt, and holds over time', () => {
    let now = 0
    const rate = new PublishRate({ messages: 100 }, () => now)
    rate.take(100, 10_000)
    expect(rate.waitMs).toBe(0)
    rate.take(50, 0)
    expect(rate.waitMs).toBe(500)
    now = 400
    expect(rate.waitMs).toBe(100)
    now = 500
    expect(rate.waitMs).toBe(0)
    // However long nothing came: a second's worth, no more.
    now = 1_000_000
    rate.take(101, 0)
    expect(rate.waitMs).toBe(10)
  })

  test('holds messages and bytes, and tells which of them it is', () => {
    let now = 0
    const rate = new PublishRate({ messages: 10, bytes: 1_000 }, () => now)
    rate.take(1, 3_000)
    expect([rate.waitMs, rate.limit]).toEqual([2_000, 'publish_bytes_rate'])
    now = 2_000
    expect(rate.waitMs).toBe(0)
    rate.take(15, 0)
    expect([rate.waitMs, rate.limit]).toEqual([500, 'publish_rate'])
  })

  test('is one for all connections of a client, and the table of them is bounded', () => {
    const rates = new PublishRates({ messages: 10 }, () => 0)
    rates.of('10.0.0.1').take(20, 0)
    expect(rates.of('10.0.0.1').waitMs).toBe(1_000)
    expect(rates.of('10.0.0.2').waitMs).toBe(0)
    for (let i = 0; i < 20_000; i++) rates.of(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}.x`)
    // Forgotten by then, as the longest unseen.
    expect(rates.of('10.0.0.1').waitMs).toBe(0)
  })
})
