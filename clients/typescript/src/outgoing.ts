import { ByteWriter, type CarriedMessages, encodeMessage, FRAME_MESSAGES_MAX, ProtocolError } from '@sluice/protocol'
import { codecOf } from './codecs.ts'
import type { Outgoing, OutputQueue } from './delivery.ts'
import { RefusedError } from './errors.ts'
import type { Sending } from './tracing.ts'

/**
 * Messages that an ack brings with it, as they go over the wire: in their order, those for one queue together.
 *
 * @param bytesMax most bytes of all together
 * @throws RefusedError `invalid-message`, `message-too-large`; whatever a codec throws
 */
export function encodeOutgoing(outgoing: readonly Outgoing[], bytesMax: number): CarriedMessages[] {
  const carried: CarriedMessages[] = []
  let bytes = 0
  const writer = new ByteWriter()
  for (let start = 0; start < outgoing.length; ) {
    const queue = queueNameOf(outgoing[start]!.queue)
    let end = start
    while (end < outgoing.length && queueNameOf(outgoing[end]!.queue) === queue) write(writer, outgoing[end++]!)
    bytes += writer.length
    carried.push({ queue, count: end - start, messages: writer.take() })
    start = end
  }
  // The server would take it for a fault and end the connection, with all leases.
  if (bytes > bytesMax || outgoing.length > FRAME_MESSAGES_MAX) {
    const detail = `an ack carries at most ${FRAME_MESSAGES_MAX} messages and ${bytesMax} bytes, this one ${outgoing.length} and ${bytes}`
    throw new RefusedError('message-too-large', detail, { limit: bytesMax })
  }
  return carried
}

function write(writer: ByteWriter, { queue, body, ...properties }: Outgoing): void {
  try {
    encodeMessage(writer, properties, encodeBody(queue, body))
  } catch (error) {
    throw error instanceof ProtocolError ? new RefusedError(error.code, error.detail, undefined, error) : error
  }
}

/**
 * Compares bodies with the schemas of their queues.
 *
 * @returns a promise if a schema takes its time @throws InvalidMessageError (or rejects with it)
 */
export function checkBodies(messages: readonly Pick<Outgoing, 'queue' | 'body'>[]): Promise<unknown> | undefined {
  let checking: Promise<unknown>[] | undefined
  for (const { queue, body } of messages) {
    const one = typeof queue === 'string' ? undefined : queue.check?.(body as never)
    if (one !== undefined) checking = [...(checking ?? []), one]
  }
  return checking && Promise.all(checking)
}

/** What a trace is told of messages that go together. */
export function sendingOf(messages: readonly Pick<Outgoing, 'queue'>[]): Sending {
  const queues = new Set(messages.map(({ queue }) => queueNameOf(queue)))
  const [queue] = queues.size === 1 ? queues : []
  return { operation: 'publish', queue, messages: messages.length }
}

/** A body in the codec of its queue; of a queue that is only named bytes stay what they are, and the rest becomes JSON. */
export function encodeBody(queue: string | OutputQueue, body: unknown): Uint8Array {
  if (typeof queue !== 'string') return queue.encode(body as never)
  return body instanceof Uint8Array ? body : codecOf('json').encode(body)
}

export function queueNameOf(queue: string | OutputQueue): string {
  return typeof queue === 'string' ? queue : queue.name
}
