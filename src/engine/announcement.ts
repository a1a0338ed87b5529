import { ByteWriter, encodeMessage, MessageCursor } from '@sluice/protocol'
import type { BarrierRecord } from '../core/facts.ts'
import type { IncomingRun } from '../core/publishing.ts'
import type { Queue } from '../core/queue.ts'
import { viewBarrier } from '../core/snapshot.ts'
import { type QueueExpressions, Subject } from './expressions.ts'
import { attributes } from './intake.ts'
import { showBarrier } from './shown.ts'

/**
 * The message that tells a queue of a barrier that another has released (B20): JSON as HTTP shows the barrier, with the
 * name of its queue, and the id that this barrier always has. Priority and group are those that the target's expressions
 * give it; neither its `filter` nor its `barrier` is asked.
 */
export function announcementOf(
  from: Queue,
  record: BarrierRecord,
  to: Queue,
  expressions: QueueExpressions,
): { readonly bytes: Uint8Array; readonly run: IncomingRun } {
  const shown = { queue: from.name, ...showBarrier(viewBarrier(from, record, record.releasedAt)) }
  const body = new TextEncoder().encode(JSON.stringify(shown))
  const writer = new ByteWriter()
  const properties = { contentType: 'application/json', messageId: `barrier_${placeOf(from, record.sequence)}` }
  encodeMessage(writer, properties, body)
  const bytes = writer.take()
  const cursor = new MessageCursor().open(bytes)
  cursor.next()
  const subject = new Subject().at(cursor, to.name)
  return {
    bytes,
    run: { count: 1, bodyBytes: body.length, ...attributes(to.options, expressions, subject, properties) },
  }
}

/** Names a place in a queue for good: a queue that is declared anew, or on other data, is another one. Letters, digits and `-`. */
export function placeOf({ id, declaredAt }: Queue, sequence: number): string {
  return `${declaredAt.toString(36)}-${id}-${sequence}`
}
