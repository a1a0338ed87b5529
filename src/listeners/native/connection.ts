import {
  CLIENT_NAME_BYTES_MAX,
  decodeFrames,
  FRAME_OVERHEAD_BYTES_MAX,
  type FrameFrom,
  type FrameName,
  type Frames,
  HEARTBEAT_MS_DEFAULT,
  HEARTBEAT_MS_MAX,
  HEARTBEAT_MS_MIN,
  HELLO_DEADLINE_MS,
  HELLO_FRAME_BYTES_MAX,
  MESSAGE_BYTES_MAX_DEFAULT,
  MESSAGE_FRAMES_MAX,
  PROTOCOL_VERSION,
  PROTOCOL_VERSION_MIN,
  ProtocolError,
  PUBLISH_FLAGS,
  PUBLISH_WINDOW_BYTES_DEFAULT,
  SUBSCRIPTIONS_MAX,
  utf8Length,
} from '@sluice/protocol'
import type {
  BarrierDelivery,
  Delivery,
  Engine,
  Outbox,
  Peer,
  Principal,
  Refusal,
  SubscriptionId,
} from '../../engine/peer.ts'
import type { PublishRates } from '../../net/publish-rate.ts'
import type { SendBuffers } from '../../net/send-buffers.ts'
import { type NativeClock, type NativeSocket, Outgoing } from './outgoing.ts'
import { Pace } from './pace.ts'
import { Publishing } from './publishing.ts'
import { closeCode, isRefusal, refusalFields, type WireRefusal } from './refusals.ts'
import { Requests } from './requests.ts'
import { settleCommand, settledFields } from './settling.ts'
import { originMap, recordMap } from './views.ts'

export interface NativeConnectionOptions {
  readonly engine: Engine
  readonly socket: NativeSocket
  readonly clock: NativeClock
  /** Where the peer is, for a client that gives no name. */
  readonly address: string
  /** Named in the welcome. */
  readonly serverName: string
  /** Default of what a hello may ask for, in ms. */
  readonly heartbeatMs?: number
  /** Publish bytes that may wait for their answer. */
  readonly windowBytes?: number
  /** How fast a principal, or without one each connection, may publish; default as fast as it can. */
  readonly rates?: PublishRates
  /** What waits to be sent, by all connections. */
  readonly sendBuffers?: SendBuffers
  /** Whose token a hello brings, or why he may not come in; absent: nobody is asked who he is. */
  readonly login?: (token: string) => Principal | Refusal
  /** The hello is accepted. */
  readonly welcomed?: (heartbeatMs: number) => void
}

/** Credit is in bytes and the rate in messages: a window for so many bytes of each keeps the first burst small. */
const PACED_MESSAGE_BYTES = 256
const PACED_WINDOW_BYTES_MIN: number = 64 * 1024

const NO_PRODUCER: WireRefusal = { code: 'not-allowed', detail: 'the hello named no producer' }
/** Frames that are as large as the messages in them. */
const WITH_MESSAGES: ReadonlySet<FrameName> = new Set(['publish', 'publishAtomic', 'settle'] as const)

/** Largest WebSocket message a client may send, in bytes. */
export function payloadBytesMax(engine: Engine): number {
  return Math.max(engine.limits.messageMax, MESSAGE_BYTES_MAX_DEFAULT) + FRAME_OVERHEAD_BYTES_MAX
}

/**
 * One client: its frames become calls of a peer, and what the engine has for it becomes frames. Sees no socket; bytes
 * come in by `receive` and go out by what it was given.
 *
 *     opened ── hello ──► welcomed ── goodbye, closed ──► ended
 *        └── 5 s, anything but a hello, a hello refused ────┘
 */
export class NativeConnection {
  readonly #options: NativeConnectionOptions
  readonly #out: Outgoing
  readonly #requests: Requests
  readonly #subscriptions = new Set<SubscriptionId>()
  #lastSubscription = 0
  /** Both are there from the welcome on. */
  #peer: Peer | undefined
  #publishing: Publishing | undefined
  #pace: Pace | undefined
  #mayPublish = false
  /** Spoken from the welcome on. */
  #version = 0
  #ended = false
  readonly #cancelDeadline: () => void

  constructor(options: NativeConnectionOptions) {
    this.#options = options
    const on = {
      beforeFlush: () => this.#publishing?.tellCredit(),
      tooSlow: () => this.end({ code: 'too-slow', detail: 'what it is sent is not read' }),
    }
    this.#out = new Outgoing(options.socket, options.clock, on, options.sendBuffers)
    this.#requests = new Requests(this.#out)
    this.#cancelDeadline = options.clock.after(HELLO_DEADLINE_MS, () => {
      this.#endProtocolError(`no hello within ${HELLO_DEADLINE_MS} ms`)
    })
  }

  /** One WebSocket message. The connection and the engine own its bytes from now on. */
  receive(bytes: Uint8Array): void {
    if (this.#ended) return
    let count = 0
    try {
      for (const frame of decodeFrames(bytes, 'client', this.#frameBytesMax)) {
        count += 1
        if (count > MESSAGE_FRAMES_MAX) throw new ProtocolError(`message with more than ${MESSAGE_FRAMES_MAX} frames`)
        this.#take(frame)
        if (this.#ended) return
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      this.#endProtocolError(error.detail)
    }
  }

  /** A WebSocket message of text. */
  receiveText(): void {
    this.#endProtocolError('frames come in binary messages')
  }

  /** The socket has got rid of some bytes. */
  written(): void {
    if (this.#out.written() && !this.#isHeldUp()) this.#peer?.drained()
  }

  /** The socket is gone. */
  closed(): void {
    if (this.#finish()) this.#peer?.close()
  }

  /** Says goodbye and closes. */
  end(why: WireRefusal): void {
    if (this.#ended) return
    this.#out.frame('goodbye', refusalFields(why))
    this.#out.flush()
    this.closed()
    this.#options.socket.close(closeCode(why.code), why.code)
  }

  #endProtocolError(detail: string): void {
    this.end({ code: 'protocol-error', detail })
  }

  /** @returns false if that was done before. */
  #finish(): boolean {
    if (this.#ended) return false
    this.#ended = true
    this.#cancelDeadline()
    this.#pace?.end()
    this.#out.end()
    return true
  }

  /** What it has published beyond its rate is paid: credit and deliveries go on. */
  #paid(): void {
    this.#out.touch()
    if (!this.#isHeldUp()) this.#peer?.drained()
  }

  #isHeldUp(): boolean {
    return this.#ended || this.#out.isFull() || this.#pace?.isInDebt === true
  }

  readonly #frameBytesMax = (name: FrameName): number => {
    if (this.#peer === undefined) return HELLO_FRAME_BYTES_MAX
    return WITH_MESSAGES.has(name) ? payloadBytesMax(this.#options.engine) : FRAME_OVERHEAD_BYTES_MAX
  }

  #take(frame: FrameFrom<'client'>): void {
    const peer = this.#peer
    if (frame.name === 'hello') this.#hello(frame.fields)
    else if (peer === undefined) throw new ProtocolError(`${frame.name} before hello`)
    else this.#carryOut(peer, frame)
  }

  #carryOut(peer: Peer, frame: Exclude<FrameFrom<'client'>, { name: 'hello' }>): void {
    switch (frame.name) {
      case 'publish':
        this.#publish(peer, frame.fields)
        break
      case 'publishAtomic':
        this.#publishAtomic(peer, frame.fields)
        break
      case 'subscribe':
        this.#subscribe(peer, frame.fields)
        break
      case 'resubscribe':
        this.#resubscribe(peer, frame.fields)
        break
      case 'unsubscribe':
        this.#unsubscribe(peer, frame.fields)
        break
      case 'settle':
        this.#settle(peer, frame.fields)
        break
      case 'request':
        this.#requests.request(peer, frame.fields)
    }
  }

  #hello(hello: Frames['hello']): void {
    if (this.#peer !== undefined) throw new ProtocolError('hello for the second time')
    if (utf8Length(hello.name) > CLIENT_NAME_BYTES_MAX) throw new ProtocolError('hello.name is too long')
    if (!/^([0-9a-f]{32})?$/.test(hello.producer)) throw new ProtocolError('hello.producer is not 32 hex digits')
    const { version, token } = hello
    if (version < PROTOCOL_VERSION_MIN) {
      const facts = { oldest: PROTOCOL_VERSION_MIN, newest: PROTOCOL_VERSION }
      this.end({ code: 'unsupported-version', detail: `version ${version} is not spoken any more`, facts })
      return
    }
    const principal = this.#options.login?.(token)
    if (principal !== undefined && isRefusal(principal)) this.end(principal)
    else this.#welcome(hello, principal)
  }

  #welcome(hello: Frames['hello'], principal: Principal | undefined): void {
    const { engine, serverName, address, welcomed } = this.#options
    const wanted = hello.heartbeatMs || (this.#options.heartbeatMs ?? HEARTBEAT_MS_DEFAULT)
    const heartbeatMs = Math.min(Math.max(wanted, HEARTBEAT_MS_MIN), HEARTBEAT_MS_MAX)
    this.#cancelDeadline()
    this.#pace = this.#paceOf(principal)
    this.#publishing = new Publishing(this.#out, engine, this.#windowBytes(), this.#pace)
    this.#mayPublish = hello.producer !== ''
    this.#version = Math.min(hello.version, PROTOCOL_VERSION)
    this.#out.frame('welcome', {
      version: this.#version,
      start: engine.start,
      heartbeatMs,
      granted: this.#publishing.granted,
      messageMax: engine.limits.messageMax,
      frameMessagesMax: engine.limits.frameMessagesMax,
      server: serverName,
    })
    const name = hello.name || address
    const known = { name, principal, address, protocol: 'native' }
    const identity = hello.producer === '' ? known : { ...known, producer: hello.producer }
    this.#peer = engine.attach(identity, this.#outbox())
    welcomed?.(heartbeatMs)
  }

  #windowBytes(): number {
    const { windowBytes = PUBLISH_WINDOW_BYTES_DEFAULT, rates } = this.#options
    const { messages = Number.POSITIVE_INFINITY, bytes = Number.POSITIVE_INFINITY } = rates?.limits ?? {}
    return Math.min(windowBytes, Math.max(PACED_WINDOW_BYTES_MIN, Math.min(messages * PACED_MESSAGE_BYTES, bytes)))
  }

  #paceOf(principal: Principal | undefined): Pace | undefined {
    const { rates, clock } = this.#options
    if (rates === undefined) return undefined
    const rate = principal === undefined ? rates.fresh() : rates.ofPrincipal(principal.name)
    return new Pace(clock, rate, () => this.#paid())
  }

  #publish(peer: Peer, frame: Frames['publish']): void {
    if ((frame.flags & PUBLISH_FLAGS.unconfirmed) !== 0) this.#since(3, 'publishing without a confirm')
    if (this.#mayPublish) this.#publishing?.publish(peer, frame)
    else this.#publishing?.refuse(frame, NO_PRODUCER)
  }

  #publishAtomic(peer: Peer, frame: Frames['publishAtomic']): void {
    this.#since(2, 'publishAtomic')
    if (this.#mayPublish) this.#publishing?.publishAtomic(peer, frame, this.#version >= 3)
    else for (const part of frame.parts) this.#publishing?.refuse(part, NO_PRODUCER)
  }

  /** @throws ProtocolError for what the version that both ends speak does not have */
  #since(version: number, what: string): void {
    if (this.#version < version)
      throw new ProtocolError(`${what} is of version ${version}, version ${this.#version} is spoken here`)
  }

  #subscribe(peer: Peer, frame: Frames['subscribe']): void {
    const { subscription, queue, prefetch, concurrency, leaseMs, filter, afterBatch } = frame
    if (subscription <= this.#lastSubscription) throw new ProtocolError('subscribe.subscription: numbers must rise')
    this.#lastSubscription = subscription
    if (this.#subscriptions.size >= SUBSCRIPTIONS_MAX) {
      const detail = `a connection has at most ${SUBSCRIPTIONS_MAX} subscriptions`
      this.#cancelled(subscription, { code: 'too-many-subscriptions', detail, facts: { limit: SUBSCRIPTIONS_MAX } })
      return
    }
    this.#subscriptions.add(subscription)
    const answer = peer.subscribe({
      subscription,
      queue,
      prefetch,
      concurrency: Math.max(concurrency, 1),
      ...(leaseMs > 0 && { leaseMs }),
      ...(filter !== '' && { filter }),
      ...(afterBatch > 0 && { afterBatch: afterBatch - 1 }),
    })
    if (isRefusal(answer)) this.#cancelled(subscription, answer)
    else this.#out.frame('subscribed', { subscription, batch: answer.batch, barriersMissed: answer.barriersMissed })
  }

  #resubscribe(peer: Peer, { request, subscription, prefetch, filter, hasFilter }: Frames['resubscribe']): void {
    const busy = request === 0 ? undefined : this.#requests.begin(request)
    const change = hasFilter ? { prefetch, filter: filter === '' ? null : filter } : { prefetch }
    const refusal = busy ?? peer.resubscribe(subscription, change)
    if (request === 0) return
    if (refusal === undefined) this.#requests.respond(request, {})
    else this.#requests.refuse(request, refusal)
  }

  #unsubscribe(peer: Peer, { subscription }: Frames['unsubscribe']): void {
    // One that the engine has ended meanwhile is no mistake of the client's: the two crossed on the way.
    if (this.#subscriptions.delete(subscription)) peer.unsubscribe(subscription)
  }

  #settle(peer: Peer, frame: Frames['settle']): void {
    const { request } = frame
    if (frame.deliveries.some(({ first }) => first === 0)) this.#since(3, 'everything up to a delivery')
    const command = settleCommand(frame)
    for (const { count, bytes } of command.publish ?? []) this.#pace?.take(count, bytes.length)
    if (request === 0) {
      peer.settle(command)
      return
    }
    const busy = this.#requests.begin(request)
    if (busy !== undefined) {
      this.#out.frame('settled', { request, ...settledFields({ results: [], refusal: busy }) })
      return
    }
    peer.settle(command, answer => {
      this.#requests.answered(request)
      this.#out.frame('settled', { request, ...settledFields(answer) })
    })
  }

  #outbox(): Outbox {
    return {
      deliver: delivery => this.#deliver(delivery),
      barrier: delivery => this.#barrier(delivery),
      leaseLost: (subscription, { first, count }) => this.#out.frame('leaseLost', { subscription, first, count }),
      cancelled: (subscription, why) => this.#cancelled(subscription, why),
      closed: why => this.end(why),
      isFull: () => this.#isHeldUp(),
      bufferedBytes: () => this.#out.bufferedBytes,
      pressure: (on, reason) => this.#publishing?.pressure(on, reason),
    }
  }

  #cancelled(subscription: SubscriptionId, why: WireRefusal): void {
    this.#subscriptions.delete(subscription)
    this.#out.frame('cancelled', { subscription, ...refusalFields(why) })
  }

  #deliver({ subscription, delivery, sequence, count, batch, attempt, redelivered, origin, bytes }: Delivery): void {
    this.#out.frame('deliver', {
      subscription,
      delivery,
      sequence,
      count,
      batch,
      attempt,
      redelivered,
      origin: origin === undefined ? null : originMap(origin),
      messages: bytes,
    })
  }

  #barrier({ subscription, record, replayed }: BarrierDelivery): void {
    this.#out.frame('barrier', { subscription, replayed, record: recordMap(record), message: record.bytes })
  }
}
