import {
  ATOMIC_BYTES_MAX,
  ByteWriter,
  encodeMessage,
  type Frames,
  type MessageProperties,
  PUBLISH_FLAGS,
} from '@sluice/protocol'
import type { OutputQueue } from './delivery.ts'
import { RefusedError } from './errors.ts'
import { asRefusal, type Frame, type Lane, newFrame, type Published } from './lane.ts'
import type { Link } from './link.ts'
import type { PublishOptions } from './options.ts'
import { checkBodies, encodeBody, queueNameOf } from './outgoing.ts'
import type { Publisher } from './publisher.ts'
import { deferred } from './timers.ts'

/** First version of the protocol that knows atomic publishes. */
const VERSION = 2

/** A message of an atomic publish. */
export interface AtomicMessage extends Omit<PublishOptions, 'confirm'> {
  /** A queue, whose codec then says how the body becomes bytes; or its name: then it is JSON, and a Uint8Array stays what it is. */
  readonly queue: string | OutputQueue
  readonly body: unknown
}

interface Part {
  readonly lane: Lane
  readonly frame: Frame
}

/**
 * Messages for several queues that are kept together or not at all (P4): a frame in the lane of each, sent once it is the
 * next in all of them, and let go once all are answered, so that the whole can be sent again over the next connection.
 * Others follow it without waiting for its answer, where the server is not older than that.
 */
export class Atomic {
  readonly #parts: Part[] = []

  get isAnswered(): boolean {
    return this.#parts.every(({ frame }) => frame.unanswered === 0)
  }

  /** Puts each part into the row of its queue; not before all are known, for the first one may be sent at once. */
  begin(parts: readonly Part[]): void {
    this.#parts.push(...parts)
    for (const { lane, frame } of parts) lane.addPart(frame)
  }

  /** Called by each lane in which it is next; the last one sends. */
  send(link: Link): void {
    if (!this.#parts.every(({ lane, frame }) => lane.isNext(frame))) return
    const parts: Frames['publishAtomic']['parts'] = this.#parts.map(({ lane, frame }) => lane.take(frame))
    link.write('publishAtomic', { parts })
  }

  /** One part is: with the last of them all lanes go on. */
  answered(by: Lane): void {
    if (this.isAnswered) for (const { lane } of this.#parts) if (lane !== by) lane.advance()
  }
}

interface Gathered {
  readonly lane: Lane
  readonly writer: ByteWriter
  readonly places: number[]
  flags: number
}

/**
 * @returns where each message is, in the order given.
 * @throws (rejects) RefusedError: nothing was published; or it was, the answer was lost, and one of the queues was deleted
 *   before it could be asked for again. InvalidMessageError: one does not fit the schema of its queue
 */
export async function publishAtomic(
  publisher: Publisher,
  messages: readonly AtomicMessage[],
): Promise<readonly Published[]> {
  const lanes = new Set(messages.map(({ queue }) => publisher.lane(queueNameOf(queue))))
  if (lanes.size === 0) return []
  let promises: readonly Promise<Published>[]
  try {
    const checking = checkBodies(messages)
    // Without a wait in between it comes in front of what is published next.
    if (checking === undefined) promises = begin(publisher, messages)
    else
      promises = await behind(
        lanes,
        checking.then(() => begin(publisher, messages)),
      )
  } catch (error) {
    // Told to the next barrier of each queue.
    const refusal = asRefusal(error)
    for (const lane of lanes) lane.refuse(refusal)
    throw refusal
  }
  return Promise.all(promises)
}

/** Barriers that are called meanwhile wait for it. */
async function behind<T>(lanes: ReadonlySet<Lane>, adding: Promise<T>): Promise<T> {
  for (const { validating } of lanes) validating.add(adding)
  try {
    return await adding
  } finally {
    for (const { validating } of lanes) validating.delete(adding)
  }
}

/** Puts them into the rows of their queues. */
function begin(publisher: Publisher, messages: readonly AtomicMessage[]): readonly Promise<Published>[] {
  const promises: Promise<Published>[] = []
  const atomic = new Atomic()
  const parts = gather(publisher, messages).map(({ lane, writer, places, flags }): Part => {
    const bytes = writer.take()
    const waiters = places.map(place => {
      const { promise, resolve, reject } = deferred<Published>()
      promises[place] = promise
      return { resolve, reject }
    })
    const count = places.length
    const of = { messages: bytes, bytes: bytes.length, count, unanswered: count, waiters, atomic }
    return { lane, frame: { ...newFrame(flags), ...of } }
  })
  atomic.begin(parts)
  return promises
}

/** The messages by queue, each in the order given. */
function gather(publisher: Publisher, messages: readonly AtomicMessage[]): readonly Gathered[] {
  const gathered = new Map<string, Gathered>()
  messages.forEach((message, place) => {
    const { queue, body, dedupe, ...properties } = message
    const lane = publisher.lane(queueNameOf(queue))
    const part = gathered.get(lane.queue) ?? { lane, writer: new ByteWriter(), places: [], flags: 0 }
    gathered.set(lane.queue, part)
    write(publisher, part.writer, properties, encodeBody(queue, body))
    part.places.push(place)
    if (dedupe) part.flags = PUBLISH_FLAGS.dedupe
  })
  const parts = [...gathered.values()]
  check(publisher, messages.length, parts)
  return parts
}

function write(publisher: Publisher, writer: ByteWriter, properties: MessageProperties, body: Uint8Array): void {
  publisher.check(body)
  encodeMessage(writer, properties, body)
}

function check(publisher: Publisher, count: number, parts: readonly Gathered[]): void {
  if (publisher.version < VERSION) {
    throw new RefusedError('unsupported-version', 'the server is older than atomic publishes')
  }
  const bytes = parts.reduce((sum, { writer }) => sum + writer.length, 0)
  if (count <= publisher.frameMessagesMax && bytes <= ATOMIC_BYTES_MAX) return
  const detail = `an atomic publish has at most ${publisher.frameMessagesMax} messages and ${ATOMIC_BYTES_MAX} bytes, this one ${count} and ${bytes}`
  throw new RefusedError('message-too-large', detail, { limit: 'atomic_publish' })
}
