import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { expect, onTestFinished } from 'vitest'
import { placeOf } from '../../src/engine/announcement.ts'
import type { VirtualClock } from '../../src/engine/clock.ts'
import type { Engine } from '../../src/engine/engine.ts'
import type { MemoryJournal } from '../../src/journal/memory.ts'
import { memoryJournal } from '../../src/journal/memory.ts'
import { Webhook, type WebhookFailure, type WebhookTerms } from '../../src/webhooks/webhook.ts'
import { TestPeer, testEngine } from '../support/engine.ts'

/** A key as Standard Webhooks writes it, and its bytes. */
export const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
export const KEY: Uint8Array = Buffer.from(SECRET.slice(6), 'base64')

export interface Received {
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** Ended by the other side, before it was answered. */
  readonly isCut: () => boolean
}

type Reply = (response: ServerResponse, request: IncomingMessage) => void

/** Somebody who is called: answers each request as told, the last answer for all that follow. */
export class Receiver {
  readonly received: Received[] = []
  readonly url: URL
  /** Most requests under way at once. */
  most = 0

  private constructor(scheme: string, port: number) {
    this.url = new URL(`${scheme}://127.0.0.1:${port}/hook?team=7`)
  }

  static start(...replies: (Reply | number)[]): Promise<Receiver> {
    return Receiver.#start(replies)
  }

  /** By https. @param pems certificate and key */
  static startTls(
    pems: { readonly cert: string; readonly key: string },
    ...replies: (Reply | number)[]
  ): Promise<Receiver> {
    return Receiver.#start(replies, pems)
  }

  static async #start(
    replies: (Reply | number)[],
    pems?: { readonly cert: string; readonly key: string },
  ): Promise<Receiver> {
    const server = pems === undefined ? createServer() : createTlsServer({ cert: pems.cert, key: pems.key })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    const receiver = new Receiver(pems === undefined ? 'http' : 'https', (server.address() as AddressInfo).port)
    let underWay = 0
    server.on('request', async (request, response) => {
      underWay += 1
      receiver.most = Math.max(receiver.most, underWay)
      response.on('close', () => (underWay -= 1))
      const body = (await buffer(request)).toString()
      const isCut = () => request.socket.destroyed && !response.writableFinished
      const reply = replies[Math.min(receiver.received.length, replies.length - 1)] ?? 204
      receiver.received.push({ headers: request.headers, body, isCut })
      if (typeof reply === 'number') response.writeHead(reply).end()
      else reply(response, request)
    })
    return receiver
  }

  async gets(count: number): Promise<readonly Received[]> {
    await until(() => this.received.length >= count)
    expect(this.received).toHaveLength(count)
    return this.received
  }
}

/** Looks again whenever other things had their turn; nothing here takes seconds. */
export async function until(isSo: () => boolean): Promise<void> {
  const end = performance.now() + 10_000
  while (!isSo()) {
    if (performance.now() > end) throw new Error(`never came: ${isSo}`)
    await new Promise(resolve => setImmediate(resolve))
  }
}

/** Checks a request as the specification says, without any code of ours. */
export function isSigned({ headers, body }: Pick<Received, 'headers' | 'body'>, key: Uint8Array = KEY): boolean {
  const id = String(headers['webhook-id'])
  expect(id).toMatch(/^[\w-]+$/)
  const timestamp = String(headers['webhook-timestamp'])
  expect(timestamp).toMatch(/^\d{10}$/)
  const signed = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
  return String(headers['webhook-signature']).split(' ').includes(`v1,${signed}`)
}

export interface Hooked {
  readonly engine: Engine
  readonly clock: VirtualClock
  readonly journal: MemoryJournal
  readonly ann: TestPeer
  readonly webhook: Webhook
  readonly failures: WebhookFailure[]
  /** Messages of the queue that are not settled. */
  left(queue?: string): number
}

/** A webhook on the real engine, on a clock that stands still. */
export async function hooked(
  url: URL,
  options: Record<string, unknown> = {},
  more: { terms?: Partial<WebhookTerms>; journal?: MemoryJournal; clock?: VirtualClock; closed?: boolean } = {},
): Promise<Hooked> {
  const parts = await testEngine({
    journal: more.journal ?? memoryJournal(),
    ...(more.clock === undefined ? {} : { clock: more.clock }),
    isClosedToStrangers: more.closed ?? false,
  })
  const { engine, clock } = parts
  if (engine.broker.queue('q') === undefined) engine.declare('q', options)
  const failures: WebhookFailure[] = []
  const webhook = new Webhook(
    { queue: 'q', url, secrets: [KEY], concurrency: 4, timeoutMs: 10_000, ...more.terms },
    {
      engine,
      clock,
      wallClock: () => clock.now(),
      userAgent: 'sluice/test',
      placeOf: (name, sequence) => placeOf(engine.broker.queue(name)!, sequence),
      onFailed: failure => failures.push(failure),
    },
  )
  webhook.open()
  onTestFinished(() => webhook.close())
  const principal = { name: 'ann', isAdmin: true, may: () => ({}) }
  const ann = new TestPeer(engine, 'ann', undefined, principal)
  const left = (queue = 'q') => engine.broker.queue(queue)?.messages ?? 0
  return { ...parts, ann, webhook, failures, left }
}
