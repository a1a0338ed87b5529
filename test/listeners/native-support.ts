import {
  ByteWriter,
  decodeFrames,
  encodeFrame,
  type FrameFrom,
  type FrameInputs,
  type FrameName,
  type Frames,
  PROTOCOL_VERSION,
  type ServerFrameName,
} from '@sluice/protocol'
import type {
  Engine,
  Outbox,
  Peer,
  PeerIdentity,
  PublishAnswer,
  PublishCommand,
  Refusal,
  SettleAnswer,
  SettleCommand,
  SubscribeCommand,
} from '../../src/engine/peer.ts'
import { NativeConnection, type NativeConnectionOptions } from '../../src/listeners/native/connection.ts'
import type { NativeClock } from '../../src/listeners/native/outgoing.ts'

export const HELLO: FrameInputs['hello'] = {
  version: PROTOCOL_VERSION,
  name: 'ann',
  producer: 'a'.repeat(32),
  token: '',
  heartbeatMs: 0,
}

/** Of a released barrier. */
export const RECORD = {
  sequence: 9,
  batch: 2,
  name: 'eof',
  outcome: 'clean',
  stats: { published: 8, acked: 8, dead: 0, expired: 0, dropped: 0, carried: 0, firstPublishedAt: 1 },
  publishedAt: 5,
  releasedAt: 6,
  bytes: Uint8Array.of(1, 0, 0, 0, 0x7b),
} as const

/** Frames as a client would put them into one WebSocket message. */
export function message(...frames: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(frames)
}

export function frame<N extends FrameName>(name: N, fields: FrameInputs[N]): Uint8Array {
  const writer = new ByteWriter()
  encodeFrame(writer, name, fields)
  return writer.take()
}

export function publish(fields: Partial<FrameInputs['publish']>): Uint8Array {
  const messages = new Uint8Array(4)
  return frame('publish', { queue: 'q', number: 1, answeredUpTo: 0, flags: 0, count: 1, messages, ...fields })
}

export function subscribe(fields: Partial<FrameInputs['subscribe']>): Uint8Array {
  const none = { concurrency: 1, leaseMs: 0, filter: '', afterBatch: 0 }
  return frame('subscribe', { subscription: 1, queue: 'q', prefetch: 10, ...none, ...fields })
}

export function settle(fields: Partial<FrameInputs['settle']>): Uint8Array {
  const deliveries = [{ first: 1, count: 1 }]
  return frame('settle', {
    request: 0,
    subscription: 1,
    how: 'ack',
    valueMs: 0,
    reason: '',
    deliveries,
    publish: [],
    ...fields,
  })
}

export function request(id: number, method: string, params: FrameInputs['request']['params'] = {}): Uint8Array {
  return frame('request', { id, method, params })
}

/** Time that moves when a test says so. */
export class TestClock implements NativeClock {
  time = 0
  #timers: { at: number; task: () => void }[] = []
  #soon: (() => void)[] = []

  now(): number {
    return this.time
  }

  after(ms: number, task: () => void): () => void {
    const timer = { at: this.time + ms, task }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter(one => one !== timer)
    }
  }

  soon(task: () => void): void {
    this.#soon.push(task)
  }

  /** Ends the tick. */
  tick(): void {
    while (this.#soon.length > 0) this.#soon.shift()?.()
  }

  pass(ms: number): void {
    const end = this.time + ms
    for (;;) {
      const due = this.#timers.filter(timer => timer.at <= end).sort((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.#timers = this.#timers.filter(one => one !== due)
      this.time = Math.max(this.time, due.at)
      due.task()
      this.tick()
    }
    this.time = end
  }

  get timers(): number {
    return this.#timers.length
  }
}

/** Notes every call, and answers when the test says so. */
export class FakePeer {
  readonly id = 1
  readonly name: string
  readonly identity: PeerIdentity
  readonly outbox: Outbox
  readonly calls: unknown[][] = []
  readonly published: {
    command: PublishCommand
    answered: (answers: readonly PublishAnswer[]) => void
    kept?: () => void
  }[] = []
  readonly atomic: {
    parts: readonly PublishCommand[]
    answered: (answers: readonly (readonly PublishAnswer[])[]) => void
    spends: boolean | undefined
  }[] = []
  readonly settled: { command: SettleCommand; answered?: (answer: SettleAnswer) => void }[] = []
  readonly waits: { answered: (answer: never) => void; cancelled: boolean }[] = []
  subscribeAnswer: ReturnType<Peer['subscribe']> = { batch: 0, barriersMissed: 0 }
  resubscribeAnswer: Refusal | undefined
  queueViews: { name: string }[] = []

  constructor(identity: PeerIdentity, outbox: Outbox) {
    this.identity = identity
    this.name = identity.name
    this.outbox = outbox
  }

  publish(command: PublishCommand, answered: (answers: readonly PublishAnswer[]) => void, kept?: () => void): void {
    this.calls.push(['publish', command.queue, command.number, command.count])
    this.published.push({ command, answered, ...(kept === undefined ? {} : { kept }) })
  }

  publishAtomic(...[parts, answered, spends]: Parameters<Peer['publishAtomic']>): void {
    this.calls.push([
      'publishAtomic',
      ...parts.map(({ queue, number, count, dedupe }) => [queue, number, count, dedupe]),
    ])
    this.atomic.push({ parts, answered, spends })
  }

  subscribe(command: SubscribeCommand): ReturnType<Peer['subscribe']> {
    this.calls.push(['subscribe', command])
    return this.subscribeAnswer
  }

  resubscribe(subscription: number, change: object): Refusal | undefined {
    this.calls.push(['resubscribe', subscription, change])
    return this.resubscribeAnswer
  }

  unsubscribe(subscription: number): void {
    this.calls.push(['unsubscribe', subscription])
  }

  settle(command: SettleCommand, answered?: (answer: SettleAnswer) => void): void {
    this.calls.push(['settle', command])
    this.settled.push(answered === undefined ? { command } : { command, answered })
  }

  queues(): unknown[] {
    return [...this.queueViews]
  }

  queue(name: string): unknown {
    return this.queueViews.find(queue => queue.name === name) ?? { code: 'no-such-queue', detail: `no ${name}` }
  }

  declare(name: string, options: object, answered: (answer: never) => void): void {
    this.calls.push(['declare', name, { ...options }])
    answered({ created: true, queue: { name, leaseMs: 5 } } as never)
  }

  waitForBarrier(...[queue, name, timeoutMs, answered]: Parameters<Peer['waitForBarrier']>): { cancel(): void } {
    this.calls.push(['waitForBarrier', queue, name, timeoutMs])
    const wait = { answered, cancelled: false }
    this.waits.push(wait)
    return {
      cancel() {
        wait.cancelled = true
      },
    }
  }

  drained(): void {
    this.calls.push(['drained'])
  }

  close(): void {
    this.calls.push(['close'])
  }
}

export class FakeEngine implements Pick<Engine, 'attach' | 'start' | 'limits' | 'pressure'> {
  readonly start = 3
  readonly limits = { messageMax: 1024 * 1024, frameMessagesMax: 10_000 }
  pressure = { on: false, reason: '' }
  readonly peers: FakePeer[] = []

  attach(identity: PeerIdentity, outbox: Outbox): Peer {
    const peer = new FakePeer(identity, outbox)
    this.peers.push(peer)
    return peer as unknown as Peer
  }

  asEngine(): Engine {
    return this as unknown as Engine
  }
}

/** A connection without a socket: frames in, frames out. */
export class Bench {
  readonly clock = new TestClock()
  readonly engine = new FakeEngine()
  /** WebSocket messages sent and not looked at yet. */
  readonly sent: Uint8Array[] = []
  buffered = 0
  closedWith: readonly [number, string] | undefined
  readonly connection: NativeConnection

  constructor(options: Partial<NativeConnectionOptions> & { pressure?: Engine['pressure'] } = {}) {
    if (options.pressure !== undefined) this.engine.pressure = options.pressure
    this.connection = new NativeConnection({
      engine: this.engine.asEngine(),
      clock: this.clock,
      address: '127.0.0.1:5',
      serverName: 'test',
      socket: {
        send: bytes => void this.sent.push(bytes),
        buffered: () => this.buffered,
        close: (code, reason) => {
          this.closedWith = [code, reason]
        },
      },
      ...options,
    })
  }

  static welcomed(options: ConstructorParameters<typeof Bench>[0] = {}): Bench {
    const bench = new Bench(options)
    bench.receive(frame('hello', HELLO))
    bench.frames()
    return bench
  }

  get peer(): FakePeer {
    return this.engine.peers[0]!
  }

  receive(...frames: readonly Uint8Array[]): void {
    this.connection.receive(message(...frames))
  }

  /** Ends the tick and gives what was sent since the last time. */
  frames(): FrameFrom<'server'>[] {
    this.clock.tick()
    return this.sent.splice(0).flatMap(bytes => [...decodeFrames(bytes, 'server')])
  }

  /** The one frame that was sent. */
  only<N extends ServerFrameName>(name: N): Frames[N] {
    const frames = this.frames()
    if (frames.length !== 1 || frames[0]?.name !== name) {
      throw new Error(`${name} expected, sent was ${JSON.stringify(frames)}`)
    }
    return frames[0].fields as unknown as Frames[N]
  }
}

/** `name(field, …)` of each frame, for whole transcripts in a line. */
export function brief(frames: readonly FrameFrom<'server'>[]): string[] {
  return frames.map(({ name, fields }) => `${name}(${Object.values(fields).map(shown).join(' ')})`)
}

function shown(value: unknown): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
