import { MessageCursor } from '@sluice/protocol'
import type { BarrierRecord, BatchNumber, DeliveryCopy, FollowCommand, Peer, Refusal } from '../../engine/peer.ts'
import { type EventStream, paced, type StreamEvent } from './event-stream.ts'
import type { Exchange, Reply } from './exchange.ts'
import { showMessage } from './message-json.ts'
import { accepted, badRequest, isRefusal, Problem } from './problem.ts'
import type { Route } from './routes.ts'
import { BOOLEAN, type Content, header, NOTHING, type Parameter, query, TEXT } from './schema.ts'
import { showBarrier, showRecord } from './views.ts'

/** Barriers that wait for a reader who is behind; one that is further behind is cut, and comes back for them. */
const BACKLOG_MAX = 10_000
/** Of a larger body a copy tells the size alone: a copy is for looking, and browsing shows all of it. */
const COPY_BYTES_MAX = 64 * 1024
/** How often a reader who is too slow is told how much it did not get, in ms. */
const DROPPED_EVERY_MS = 1_000
/** Progress is told at most four times a second. */
const PROGRESS_EVERY_MS = 250

const EVENTS: Content = { 'text/event-stream': TEXT }
const LAST_EVENT: Parameter = header(
  'Last-Event-ID',
  { type: 'integer', minimum: -1 },
  'Batch number of the last barrier heard of',
)

export const EVENT_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/queues/{queue}/events',
    summary: 'Released barriers as they come, with watch=true also copies of what is delivered; takes no lease',
    statuses: [200, 400, 404, 429],
    right: ['consume', 'browse', 'barrier', 'admin'],
    parameters: [query('watch', BOOLEAN, 'Also copies of what is delivered; needs `browse`'), LAST_EVENT],
    answers: { 200: EVENTS },
    handle: queueEvents,
  },
  {
    method: 'GET',
    path: '/v1/queues/{queue}/barriers/{barrier}/events',
    summary: 'Progress of a barrier until it is released; also of one that nobody has published yet',
    statuses: [200, 204, 400, 404, 429],
    right: ['consume', 'browse', 'barrier', 'admin'],
    parameters: [LAST_EVENT],
    answers: { 200: EVENTS, 204: NOTHING },
    handle: barrierEvents,
  },
]

function queueEvents({ connection, path, query, request }: Exchange): Reply {
  const isWatching = query.boolean('watch') ?? false
  query.end()
  const after = lastEventId(request.headers['last-event-id'])
  const command = { queue: path['queue']!, isWatching, ...(after === undefined ? {} : { after }) }
  const { peer } = connection
  // Asked twice: a refusal must come before the head of the answer, and nothing may come before the stream.
  accepted(peer.follow({ queue: command.queue, isWatching }, NOBODY)).cancel()
  return { status: 200, stream: stream => follow(stream, peer, command) }
}

const NOBODY = { barrier() {}, copy() {}, ended() {} }

function follow(stream: EventStream, peer: Peer, command: FollowCommand): void {
  const feed = new Feed(stream)
  const followed = peer.follow(command, {
    barrier: record => feed.barrier(record),
    copy: copy => feed.copy(copy),
    ended: why => stream.end(endEvent(why)),
  })
  if (isRefusal(followed)) {
    stream.end(endEvent(followed))
    return
  }
  stream.onEnd(() => followed.cancel())
  const { lastBatch, barriersMissed, records } = followed
  // Whoever hears of no barrier knows then too from where to ask the next time.
  if (command.after === undefined) stream.send({ id: lastBatch, event: 'position', data: text({ batch: lastBatch }) })
  if (barriersMissed > 0) stream.send({ event: 'missed', data: text({ barriers_missed: barriersMissed }) })
  for (const record of records) feed.barrier(record)
}

/** Barriers and copies on their way to one reader: of barriers it gets all, of copies what it can take. */
class Feed {
  readonly #stream: EventStream
  readonly #backlog: BarrierRecord[] = []
  readonly #cursor = new MessageCursor()
  readonly #tellDropped: () => void
  #dropped = 0

  constructor(stream: EventStream) {
    this.#stream = stream
    this.#tellDropped = paced(stream, DROPPED_EVERY_MS, () => {
      const count = this.#dropped
      this.#dropped = 0
      return count === 0 ? undefined : { event: 'dropped', data: text({ count }) }
    })
    stream.onDrained(() => this.#pump())
  }

  barrier(record: BarrierRecord): void {
    this.#backlog.push(record)
    if (this.#backlog.length > BACKLOG_MAX) this.#stream.cut()
    else this.#pump()
  }

  copy(copy: DeliveryCopy): void {
    let taken = 0
    for (const piece of copy.bytes) {
      for (const cursor = this.#cursor.open(piece); cursor.next(); taken += 1) {
        const isBehind = this.#backlog.length > 0 || this.#stream.isFull
        if (isBehind || !this.#stream.offer(copyEvent(copy, copy.sequence + taken, cursor))) {
          this.#dropped += copy.count - taken
          this.#tellDropped()
          return
        }
      }
    }
  }

  #pump(): void {
    let sent = 0
    for (const record of this.#backlog) {
      if (this.#stream.isFull) break
      this.#stream.send({ id: record.batch, event: 'barrier', data: text(showRecord(record)) })
      sent += 1
    }
    this.#backlog.splice(0, sent)
  }
}

function copyEvent(copy: DeliveryCopy, sequence: number, cursor: MessageCursor): StreamEvent {
  const bodyBytes = cursor.bodyEnd - cursor.bodyStart
  const { batch, attempt, redelivered, peer } = copy
  const place = { sequence, batch, attempt, redelivered, consumer: peer }
  if (bodyBytes > COPY_BYTES_MAX) return { event: 'message', data: text({ ...place, body_bytes: bodyBytes }) }
  return { event: 'message', data: text({ ...place, ...showMessage(cursor.properties(), cursor.body()) }) }
}

function barrierEvents({ connection, path, query, request }: Exchange): Reply {
  const { queue, barrier } = path as { queue: string; barrier: string }
  query.end()
  const last = lastEventId(request.headers['last-event-id'])
  const { peer } = connection
  const view = peer.barrier(queue, barrier)
  if (isRefusal(view) && view.code !== 'no-such-barrier') throw Problem.of(view)
  // An EventSource comes back when its stream has ended, and is told by 204 that there is no more to hear.
  if (!isRefusal(view) && view.state === 'released' && last !== undefined) return { status: 204 }
  return { status: 200, stream: stream => tellProgress(stream, peer, queue, barrier) }
}

function tellProgress(stream: EventStream, peer: Peer, queue: string, barrier: string): void {
  let before = ''
  const tell = (): void => {
    const view = peer.barrier(queue, barrier)
    if (isRefusal(view) || view.state === 'released' || stream.isFull) return
    const now = text(showBarrier(view))
    if (now !== before) stream.offer({ event: 'progress', data: now })
    before = now
  }
  const timer = setInterval(tell, PROGRESS_EVERY_MS)
  const wait = peer.waitForBarrier(queue, barrier, undefined, (answer: BarrierRecord | Refusal) => {
    if (isRefusal(answer)) stream.end(endEvent(answer))
    else stream.end({ id: answer.batch, event: 'released', data: text({ state: 'released', ...showRecord(answer) }) })
  })
  stream.onEnd(() => {
    clearInterval(timer)
    wait.cancel()
  })
  tell()
}

/** @returns undefined: the client has none. -1 is that of a queue whose first barrier is not released. */
function lastEventId(given: string | string[] | undefined): BatchNumber | undefined {
  if (given === undefined || given === '') return undefined
  if (typeof given === 'string' && /^(?:-1|\d{1,15})$/.test(given)) return Number(given)
  throw badRequest('last-event-id is the batch number of a barrier', { header: 'last-event-id' })
}

function endEvent({ code, detail }: Refusal): StreamEvent {
  return { event: 'end', data: text({ code, detail }) }
}

function text(value: object): string {
  return JSON.stringify(value)
}
