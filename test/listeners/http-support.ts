import { type Agent, type IncomingHttpHeaders, request } from 'node:http'
import { connect } from 'node:net'
import { ByteWriter, encodeMessage, type MessageProperties } from '@sluice/protocol'
import { expect, onTestFinished } from 'vitest'
import { type Clock, realClock } from '../../src/engine/clock.ts'
import { type EngineOptions, Engine as RealEngine } from '../../src/engine/engine.ts'
import type {
  BarrierRecord,
  BarrierView,
  BatchRest,
  BrowseCommand,
  ConnectionView,
  DeadLetterChoice,
  Engine,
  Outbox,
  Peer,
  PublishAnswer,
  PublishCommand,
  PullCommand,
  Pulled,
  QueueView,
  Refusal,
  SettleAnswer,
  TokenSettle,
} from '../../src/engine/peer.ts'
import { Pressure } from '../../src/engine/pressure.ts'
import { memoryJournal } from '../../src/journal/memory.ts'
import { createHttpServer, type HttpListener, type HttpOptions } from '../../src/listeners/http/listener.ts'
import { placesAt } from '../../src/listeners/http/routes.ts'

export const NO_SUCH_QUEUE: Refusal = { code: 'no-such-queue', detail: 'there is no queue "Q"', facts: { queue: 'Q' } }

/** An engine that decides nothing: it writes down what it is asked, and answers what the test says. */
export class FakeEngine implements Engine {
  start = 1
  limits = { messageMax: 1024, frameMessagesMax: 100 }
  pressure = { on: false, reason: '' }
  ready: { ready: boolean; reason?: string } = { ready: true }
  readonly outboxes: Outbox[] = []
  readonly publishes: PublishCommand[] = []
  readonly settles: TokenSettle[] = []
  /** Commands of operators, by name, with what was given. */
  readonly operated: unknown[][] = []
  readonly declared: { name: string; options: object }[] = []
  readonly pulls: { command: PullCommand; answer: (answer: Pulled | Refusal) => void }[] = []
  readonly waits: { name: string; timeoutMs: number | undefined; answer: (answer: BarrierRecord | Refusal) => void }[] =
    []
  /** Answers of the publishes that `onPublish` put off. */
  readonly later: ((answers: readonly PublishAnswer[]) => void)[] = []
  cancelled = 0
  peersClosed = 0
  nextSequence = 1

  /** What each command is answered; by default all is well. */
  onPublish: (command: PublishCommand) => readonly PublishAnswer[] | 'later' = command => {
    const sequence = this.nextSequence
    this.nextSequence += command.count
    return [{ index: 0, count: command.count, sequence, batch: 0, duplicate: false }]
  }
  onSettle: (command: TokenSettle) => SettleAnswer = ({ deliveries }) => ({
    results: [{ first: 0, count: deliveries.length, result: 'acked' }],
  })
  onDeclare: () => { created: boolean; queue: QueueView } | Refusal = () => ({ created: true, queue: QUEUE })
  onQueue: (name: string) => QueueView | Refusal = () => QUEUE
  onBarrier: (name: string) => BarrierView | Refusal = () => BARRIER
  onDelete: () => Refusal | undefined = () => undefined
  onUpdate: () => QueueView | Refusal = () => QUEUE
  onBrowse: () => ReturnType<Peer['browse']> = () => ({ messages: [] })
  onTestFilter: () => readonly boolean[] | Refusal = () => [true]

  countCancelled(): void {
    this.cancelled += 1
  }

  attach(_: { name: string }, outbox: Outbox): Peer {
    this.outboxes.push(outbox)
    return new FakePeer(this, this.outboxes.length)
  }

  readiness(): { ready: boolean; reason?: string } {
    return this.ready
  }

  testFilter(): readonly boolean[] | Refusal {
    return this.onTestFilter()
  }
}

class FakePeer implements Peer {
  readonly #engine: FakeEngine
  readonly id: number
  readonly name = 'test'

  constructor(engine: FakeEngine, id: number) {
    this.#engine = engine
    this.id = id
  }

  /** What shows it is tried on a whole server. */
  get overview(): never {
    throw new Error('not faked')
  }

  testFilter(): { tested: number; matched: number; first: readonly number[] } {
    return { tested: 3, matched: 2, first: [1, 3] }
  }

  publish(command: PublishCommand, answered: (answers: readonly PublishAnswer[]) => void): void {
    this.#engine.publishes.push(command)
    const answers = this.#engine.onPublish(command)
    // Each answer by itself: the listener must not count on getting all at once.
    if (answers === 'later') this.#engine.later.push(answered)
    else
      setImmediate(() => {
        for (const answer of answers) answered([answer])
      })
  }
  pull(command: PullCommand, answer: (answer: Pulled | Refusal) => void): { cancel(): void } {
    this.#engine.pulls.push({ command, answer })
    return { cancel: () => this.#engine.countCancelled() }
  }
  settleTokens(command: TokenSettle, answered: (answer: SettleAnswer) => void): void {
    this.#engine.settles.push(command)
    setImmediate(() => answered(this.#engine.onSettle(command)))
  }
  declare(
    name: string,
    options: object,
    answered: (answer: { created: boolean; queue: QueueView } | Refusal) => void,
  ): void {
    this.#engine.declared.push({ name, options })
    setImmediate(() => answered(this.#engine.onDeclare()))
  }
  deleteQueue(_: string, answered: (answer: Refusal | undefined) => void): void {
    setImmediate(() => answered(this.#engine.onDelete()))
  }
  update(name: string, options: object, answered: (answer: QueueView | Refusal) => void): void {
    this.#operated(['update', name, options], () => answered(this.#engine.onUpdate()))
  }
  pause(name: string, isPaused: boolean, answered: (answer: QueueView | Refusal) => void): void {
    this.#operated(['pause', name, isPaused], () => answered({ ...QUEUE, paused: isPaused }))
  }
  purge(name: string, how: { leased: boolean }, answered: (answer: { purged: number } | Refusal) => void): void {
    this.#operated(['purge', name, how], () => answered({ purged: 3 }))
  }
  browse(command: BrowseCommand): ReturnType<Peer['browse']> {
    this.#operated(['browse', command])
    return this.#engine.onBrowse()
  }
  operate(
    queue: string,
    sequence: number,
    act: string,
    answered: (answer: 'done' | 'unknown' | Refusal) => void,
  ): void {
    this.#operated(['operate', queue, sequence, act], () => answered('done'))
  }
  deadLetters(choice: DeadLetterChoice): ReturnType<Peer['deadLetters']> {
    this.#operated(['deadLetters', choice])
    return this.#engine.onBrowse()
  }
  requeueDeadLetters(choice: DeadLetterChoice, answered: (answer: { requeued: number } | Refusal) => void): void {
    this.#operated(['requeueDeadLetters', choice], () => answered({ requeued: 3 }))
  }
  purgeDeadLetters(choice: DeadLetterChoice, answered: (answer: { purged: number } | Refusal) => void): void {
    this.#operated(['purgeDeadLetters', choice], () => answered({ purged: 3 }))
  }
  cancelBarrier(
    queue: string,
    name: string,
    rest: BatchRest | undefined,
    answered: (answer: BarrierView | Refusal) => void,
  ): void {
    this.#operated(['cancelBarrier', queue, name, rest], () => answered(this.#engine.onBarrier(name)))
  }
  extendBarrier(
    queue: string,
    name: string,
    deadlineMs: number,
    answered: (answer: BarrierView | Refusal) => void,
  ): void {
    this.#operated(['extendBarrier', queue, name, deadlineMs], () => answered(this.#engine.onBarrier(name)))
  }
  #operated(command: unknown[], answer: () => void = () => {}): void {
    this.#engine.operated.push(command)
    setImmediate(answer)
  }
  publishAtomic(): never {
    throw new Error('HTTP publishes to one queue at a time')
  }
  queues(): readonly QueueView[] {
    return [QUEUE]
  }
  queue(name: string): QueueView | Refusal {
    return this.#engine.onQueue(name)
  }
  barriers(): { barriers: readonly BarrierView[] } {
    const view = this.#engine.onBarrier('eof')
    return { barriers: 'code' in view ? [] : [view] }
  }
  barrier(_: string, name: string): BarrierView | Refusal {
    return this.#engine.onBarrier(name)
  }
  receipt(): Refusal {
    return { code: 'not-released', detail: 'it waits' }
  }
  holdouts(_: string, __: string, page: { after?: number; limit: number }) {
    return [
      {
        sequence: (page.after ?? 0) + 1,
        state: 'leased' as const,
        reason: 'leased' as const,
        attempt: page.limit,
        holder: 'ann',
      },
    ]
  }
  waitForBarrier(
    _: string,
    name: string,
    timeoutMs: number | undefined,
    answer: (answer: BarrierRecord | Refusal) => void,
  ): { cancel(): void } {
    this.#engine.waits.push({ name, timeoutMs, answer })
    return { cancel: () => this.#engine.countCancelled() }
  }
  follow(): never {
    throw new Error('what is followed is tested with the engine')
  }
  mayAdminister(): undefined {}
  connections(): readonly ConnectionView[] {
    return []
  }
  disconnect(): 'unknown' {
    return 'unknown'
  }
  close(): void {
    this.#engine.peersClosed += 1
  }
  subscribe(): never {
    throw new Error('HTTP has no subscriptions')
  }
  resubscribe(): never {
    throw new Error('HTTP has no subscriptions')
  }
  unsubscribe(): void {}
  settle(): void {}
  drained(): void {}
}

const PROGRESS = { published: 3, acked: 1, leased: 1, ready: 1, delayed: 0, dead: 0 }

export const QUEUE: QueueView = {
  name: 'Q',
  options: {
    semantics: 'at-least-once',
    barriersMax: 1_000,
    barrierRecords: 1_000,
    onDead: 'count',
    deadlineRest: 'carry',
    forwardBarrier: [],
    leaseMs: 60_000,
    acks: 'holder',
    prefetchMax: 65_535,
    prefetchBytes: 64 * 2 ** 20,
    fairness: 'proportional',
    retryDelay: { baseMs: 0, factor: 1, maxMs: Number.MAX_SAFE_INTEGER, jitter: false },
    overflow: 'refuse',
    dedupeWindowMs: 0,
    dedupeMax: 1_000_000,
  },
  paused: false,
  ready: 1,
  leased: 1,
  delayed: 0,
  bytes: 20,
  subscriptions: 0,
  barriersWaiting: 1,
  batch: 0,
  open: PROGRESS,
  publishedTotal: 3,
  ackedTotal: 1,
}

export const BARRIER: BarrierView = {
  name: 'eof',
  sequence: 4,
  batch: 0,
  state: 'waiting',
  publishedAt: Date.UTC(2026, 10, 20),
  progress: PROGRESS,
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  // biome-ignore lint/suspicious/noExplicitAny: what a test says about an answer is checked by the test
  readonly json: any
}

interface Asked {
  readonly headers?: Record<string, string | string[]>
  readonly body?: string | Uint8Array | readonly (string | Uint8Array)[]
  readonly signal?: AbortSignal
  readonly agent?: Agent
}

export type Shown = { sequence: number; kind: string; body: string; lease_token?: string; attempt?: number }

export interface Http {
  readonly listener: HttpListener
  readonly port: number
  readonly bugs: unknown[]
  call(method: string, path: string, asked?: Asked): Promise<Answer>
  /** The same with a JSON body. */
  send(method: string, path: string, json: object): Promise<Answer>
  pull(queue: string, query: string): Promise<Shown[]>
  /** Settles deliveries: by `acks`, `nacks`, … */
  settle(queue: string, how: string, deliveries: readonly Shown[], fields?: object): Promise<Answer>
  /** Sends bytes as they are; what comes back until the server closes. */
  raw(bytes: string): Promise<string>
}

/** A listener on a free port, closed with the test. */
export async function startHttp(engine: Engine, options: Partial<HttpOptions> = {}): Promise<Http> {
  const bugs: unknown[] = []
  const listener = createHttpServer(engine, { version: '0.0.0', onBug: error => void bugs.push(error), ...options })
  const url = await listener.listen({ host: '127.0.0.1', port: 0 })
  const port = Number(new URL(url).port)
  onTestFinished(async () => {
    listener.server.closeAllConnections()
    await listener.close()
    if (bugs.length > 0) throw bugs[0]
  })
  const calling = async (method: string, path: string, asked: Asked = {}): Promise<Answer> => {
    const answer = await call(port, method, path, asked)
    // The fake answers what no engine would.
    if (engine instanceof RealEngine) expectNamed(method, path, answer)
    return answer
  }
  return {
    listener,
    port,
    bugs,
    call: calling,
    send: (method, path, json) => calling(method, path, { body: JSON.stringify(json) }),
    async pull(queue, query) {
      const { json } = await calling('POST', `/v1/queues/${queue}/deliveries?${query}`)
      return json.deliveries
    },
    settle(queue, how, deliveries, fields = {}) {
      const named = deliveries.map(({ sequence, lease_token }) => ({ sequence, lease_token }))
      return calling('POST', `/v1/queues/${queue}/${how}`, { body: JSON.stringify({ deliveries: named, ...fields }) })
    },
    raw: bytes => raw(port, bytes),
  }
}

/** What any request can be answered, whatever its route says. */
const ALWAYS = [401, 403, 421, 500]

/** Every answer is one that its route names: what is written about the routes is taken from there. */
function expectNamed(method: string, path: string, { status }: Answer): void {
  const segments = (path.split('?')[0] ?? '').split('/').map(segment => segment.replaceAll(/%../g, '_'))
  const route = placesAt(segments).find(({ route }) => route.method === (method === 'HEAD' ? 'GET' : method))?.route
  if (route === undefined || ALWAYS.includes(status)) return
  expect(route.statuses, `${method} ${path}`).toContain(status)
}

/** The real engine over a journal that keeps nothing, until the test ends. Without options: on the real clock, bodies of up to 1 KiB. */
export async function openEngine(options: Partial<EngineOptions> = {}): Promise<RealEngine> {
  const { clock = realClock() } = options
  const engine = new RealEngine({
    journal: memoryJournal(),
    clock,
    messageMax: 1024,
    frameMessagesMax: 10_000,
    autoCreate: false,
    pressure: new Pressure(clock),
    onFatal: reason => {
      throw reason
    },
    ...options,
  })
  await engine.open()
  onTestFinished(() => engine.close())
  return engine
}

/** The listener with such an engine behind it. */
export async function startWithEngine(clock: Clock = realClock()): Promise<Http> {
  return startHttp(await openEngine({ clock }))
}

function call(
  port: number,
  method: string,
  path: string,
  { headers = {}, body, signal, agent }: Asked,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(
      { host: '127.0.0.1', port, method, path, headers, ...(signal && { signal }), ...(agent && { agent }) },
      response => {
        const chunks: Buffer[] = []
        response.on('data', chunk => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          const json = text === '' ? undefined : JSON.parse(text)
          resolve({ status: response.statusCode ?? 0, headers: response.headers, json })
        })
      },
    )
    asked.on('error', reject)
    if (Array.isArray(body)) for (const piece of body) asked.write(piece)
    else if (body !== undefined) asked.write(body)
    asked.end()
  })
}

function raw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.setEncoding('latin1')
    socket.on('data', chunk => {
      text += chunk
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(text))
    socket.write(bytes, 'latin1')
  })
}

/** Comes back once it is so: for what another process or socket does in its own time. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise(resolve => setImmediate(resolve))
}

export function record(body: string | Uint8Array, properties?: MessageProperties): Uint8Array {
  const writer = new ByteWriter()
  encodeMessage(writer, properties, typeof body === 'string' ? Buffer.from(body) : body)
  return writer.take()
}

export const RELEASED: BarrierRecord = {
  sequence: 4,
  batch: 0,
  name: 'eof',
  outcome: 'with-dead',
  stats: {
    published: 3,
    acked: 2,
    dead: 1,
    expired: 0,
    dropped: 0,
    carried: 0,
    lastSettledAt: Date.UTC(2026, 10, 20, 1),
  },
  publishedAt: Date.UTC(2026, 10, 20),
  releasedAt: Date.UTC(2026, 10, 20, 2),
  bytes: record('{"is_eof":1}', { barrier: { name: 'eof' } }),
}
