import { describe, expect, test } from 'vitest'
import { Bench, brief, frame, HELLO, publish } from './native-support.ts'

const unconfirmed = (more = {}) => publish({ number: 0, flags: 8, ...more })

describe('a publish without a confirm', () => {
  test('P1, R5: is answered by nothing but the credit that comes back once it is kept', () => {
    const bench = Bench.welcomed({ windowBytes: 8 })
    bench.receive(unconfirmed({ messages: new Uint8Array(8), count: 2 }))
    const { command, answered, kept } = bench.peer.published[0]!
    expect(command).toMatchObject({ queue: 'q', confirm: 'none', count: 2, dedupe: false })
    expect(command.number).toBe(undefined)
    answered([])
    expect(bench.frames()).toEqual([])
    kept!()
    expect(brief(bench.frames())).toEqual(['flow(16 )'])
  })

  test('P8: what is refused of it is told, under number 0', () => {
    const bench = Bench.welcomed()
    bench.receive(unconfirmed({ count: 3, messages: new Uint8Array(12) }))
    bench.peer.published[0]!.answered([{ index: 1, count: 2, refusal: { code: 'not-accepted', detail: 'no' } }])
    expect(brief(bench.frames())).toEqual(['refused(q 0 2 not-accepted no null)'])
  })

  test('R5, P9: one without credit is refused, and keeps no numbered one of its queue waiting', () => {
    const bench = Bench.welcomed({ pressure: { on: true, reason: 'disk' } })
    bench.receive(unconfirmed())
    expect(brief(bench.frames())[0]).toBe('refused(q 0 1 server-busy disk null)')
    bench.peer.outbox.pressure(false, '')
    bench.frames()
    bench.receive(publish({}))
    expect(bench.peer.calls).toEqual([['publish', 'q', 1, 1]])
  })

  test.each([
    ['a number', unconfirmed({ number: 1 }), 'there are no numbers'],
    ['another confirm', unconfirmed({ flags: 9 }), 'publish.flags: 9'],
    ['atomic', unconfirmed({ flags: 10 }), 'publish.flags: 10'],
  ])('with %s is a protocol error', (_, bytes, detail) => {
    const bench = Bench.welcomed()
    bench.receive(bytes)
    expect(bench.only('goodbye')).toMatchObject({ code: 'protocol-error', detail: expect.stringContaining(detail) })
  })

  test('over a connection of version 2 is a protocol error', () => {
    const bench = new Bench()
    bench.receive(frame('hello', { ...HELLO, version: 2 }))
    bench.frames()
    bench.receive(unconfirmed())
    expect(bench.only('goodbye').code).toBe('protocol-error')
  })
})
