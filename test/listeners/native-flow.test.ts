import { describe, expect, test } from 'vitest'
import { DRAINED_BYTES, FULL_BYTES, TOO_SLOW_BYTES, TOO_SLOW_MS } from '../../src/listeners/native/outgoing.ts'
import { Bench, brief, frame, HELLO, publish } from './native-support.ts'

const CONFIRMED = { index: 0, count: 1, sequence: 1, batch: 0, duplicate: false }

function answerAll(bench: Bench): void {
  for (const { answered } of bench.peer.published.splice(0)) answered([CONFIRMED])
}

function flows(bench: Bench): string[] {
  return brief(bench.frames()).filter(line => line.startsWith('flow'))
}

describe('publish credit', () => {
  const sized = (size: number, number: number) => publish({ number, messages: new Uint8Array(size) })

  test('R5: a window is granted at first, and again as publishes are answered', () => {
    const bench = Bench.welcomed({ windowBytes: 1_000 })
    bench.receive(sized(600, 1))
    expect(flows(bench)).toEqual([])
    answerAll(bench)
    expect(flows(bench)).toEqual(['flow(1600 )'])
  })

  test('R5: small grants wait until they are worth a frame, unless the client is blocked', () => {
    const bench = Bench.welcomed({ windowBytes: 1_000 })
    bench.receive(sized(100, 1))
    answerAll(bench)
    expect(flows(bench)).toEqual([])
    bench.receive(sized(10, 2), sized(890, 3))
    bench.peer.published[0]!.answered([CONFIRMED])
    expect(flows(bench)).toEqual(['flow(1110 )'])
  })

  test('R5: a client that keeps to its credit is never stuck', () => {
    const bench = Bench.welcomed({ windowBytes: 1_000 })
    let granted = 1_000
    let sent = 0
    for (let number = 1; number <= 1_000; number++) {
      const size = (number * 37) % 400
      if (sent >= granted) answerAll(bench)
      for (const { name, fields } of bench.frames()) if (name === 'flow') granted = fields.granted
      expect(sent).toBeLessThan(granted)
      bench.receive(sized(size, number))
      sent += size
    }
    expect(bench.closedWith).toBe(undefined)
  })

  test('R5: what comes without being granted is refused server-busy and never reaches the engine', () => {
    const bench = Bench.welcomed({ windowBytes: 1_000 })
    bench.receive(sized(1_000, 1), publish({ number: 2, count: 3 }))
    expect(brief(bench.frames())).toEqual(['refused(q 2 3 server-busy more than was granted null)'])
    expect(bench.peer.published).toHaveLength(1)
  })

  test('R5: after such a refusal the queue goes on where it was, so that numbers have no gap', () => {
    const bench = Bench.welcomed({ windowBytes: 1_000 })
    bench.receive(sized(1_000, 1), publish({ number: 2 }))
    answerAll(bench)
    bench.frames()
    bench.receive(
      publish({ number: 3 }),
      publish({ queue: 'r', number: 1 }),
      publish({ number: 2 }),
      publish({ number: 3 }),
    )
    expect(brief(bench.frames())).toEqual(['refused(q 3 1 server-busy more than was granted null)'])
    expect(bench.peer.calls.slice(1)).toEqual([
      ['publish', 'r', 1, 1],
      ['publish', 'q', 2, 1],
      ['publish', 'q', 3, 1],
    ])
  })

  test('R5: under pressure nothing is granted and the reason is told; afterwards all is', () => {
    const bench = Bench.welcomed({ windowBytes: 1_000 })
    bench.peer.outbox.pressure(true, 'little disk left')
    expect(flows(bench)).toEqual(['flow(1000 little disk left)'])
    bench.receive(sized(1_000, 1))
    answerAll(bench)
    expect(flows(bench)).toEqual([])
    bench.receive(publish({ number: 2 }))
    expect(brief(bench.frames())).toEqual(['refused(q 2 1 server-busy little disk left null)'])
    bench.peer.outbox.pressure(false, '')
    expect(flows(bench)).toEqual(['flow(2004 )'])
  })

  test('R5: a client that comes under pressure gets no credit and hears why', () => {
    const bench = new Bench({ pressure: { on: true, reason: 'little memory left' } })
    bench.receive(frame('hello', HELLO))
    const [welcome, flow] = bench.frames()
    expect(welcome).toMatchObject({ name: 'welcome', fields: { granted: 0 } })
    expect(flow).toMatchObject({ name: 'flow', fields: { granted: 0, reason: 'little memory left' } })
  })

  test('a client that ignores its credit for a thousand queues is cut', () => {
    const bench = Bench.welcomed({ pressure: { on: true, reason: '' } })
    for (let i = 0; i <= 1_000; i++) bench.receive(publish({ queue: `q${i}` }))
    expect(bench.closedWith).toEqual([1002, 'protocol-error'])
  })
})

describe('slow consumers', () => {
  const deliver = (bench: Bench, size: number) => {
    const place = { subscription: 1, queue: 'q', delivery: 1, sequence: 1, count: 1, batch: 0 }
    bench.peer.outbox.deliver({ ...place, attempt: 1, redelivered: false, bytes: [new Uint8Array(size)] })
  }

  test('D11: deliveries stop at 1 MiB waiting and go on below 256 KiB', () => {
    const bench = Bench.welcomed()
    bench.buffered = FULL_BYTES
    expect(bench.peer.outbox.isFull()).toBe(false)
    bench.buffered += 1
    expect(bench.peer.outbox.isFull()).toBe(true)
    bench.buffered = DRAINED_BYTES
    bench.connection.written()
    expect(bench.peer.outbox.isFull()).toBe(true)
    bench.buffered -= 1
    bench.connection.written()
    expect(bench.peer.outbox.isFull()).toBe(false)
    expect(bench.peer.calls).toEqual([['drained']])
    expect(bench.clock.timers).toBe(0)
  })

  test('D11: what waits for the end of the tick counts as well', () => {
    const bench = Bench.welcomed()
    bench.buffered = FULL_BYTES - 1_000
    deliver(bench, 2_000)
    expect(bench.peer.outbox.isFull()).toBe(true)
  })

  test('a tick of much is sent in several messages', () => {
    const bench = Bench.welcomed()
    for (let i = 0; i < 10; i++) deliver(bench, 100_000)
    bench.clock.tick()
    expect(bench.sent.map(bytes => bytes.length > 256 * 1024)).toEqual([true, true, true, false])
  })

  test('R9: a peer with 8 MiB waiting is cut', () => {
    const bench = Bench.welcomed()
    bench.buffered = TOO_SLOW_BYTES + 1_000
    bench.receive(frame('request', { id: 1, method: 'ping', params: {} }))
    bench.frames()
    expect(bench.closedWith).toEqual([1008, 'too-slow'])
    expect(bench.peer.calls).toEqual([['close']])
  })

  test('R9: one message of 16 MiB is no reason to cut who reads it', () => {
    const bench = Bench.welcomed()
    deliver(bench, 16 * 1024 * 1024)
    bench.buffered = 16 * 1024 * 1024 + 100
    bench.frames()
    expect(bench.closedWith).toBe(undefined)
    bench.clock.pass(TOO_SLOW_MS + 60_000)
    expect(bench.closedWith).toBe(undefined)
    bench.clock.pass(240_000)
    expect(bench.closedWith).toEqual([1008, 'too-slow'])
  })

  test('R9: a full socket that takes nothing for 30 s is cut, one that takes something is not', () => {
    const bench = Bench.welcomed()
    bench.buffered = FULL_BYTES + 1
    bench.peer.outbox.isFull()
    bench.clock.pass(TOO_SLOW_MS - 1)
    bench.connection.written()
    bench.clock.pass(TOO_SLOW_MS - 1)
    expect(bench.closedWith).toBe(undefined)
    bench.clock.pass(1)
    expect(bench.closedWith).toEqual([1008, 'too-slow'])
  })

  test('D11: after its end a connection takes what the engine still has for it, and sends nothing', () => {
    const bench = Bench.welcomed()
    bench.connection.closed()
    deliver(bench, 1_000)
    bench.peer.outbox.closed({ code: 'shutting-down', detail: '' })
    expect(bench.frames()).toEqual([])
  })
})
