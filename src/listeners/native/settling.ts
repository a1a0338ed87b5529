import { type Frames, ProtocolError, type Range, type ValueMap } from '@sluice/protocol'
import type { PublishAnswer, SettleAnswer, SettleCommand, SettleHow } from '../../engine/peer.ts'
import { refusalFields, refusalValue } from './refusals.ts'

/** @throws ProtocolError for what no client can mean; what is merely too late is the engine's to answer. */
export function settleCommand(frame: Frames['settle']): SettleCommand {
  const { subscription, deliveries } = frame
  const how = settleKind(frame)
  for (const range of deliveries) checkRange(range)
  const isUpTo = deliveries.some(({ first }) => first === 0)
  if (frame.publish.length > 0 && how.kind !== 'ack')
    throw new ProtocolError('settle.publish: only an ack carries messages')
  if (frame.publish.length > 0 && isUpTo)
    throw new ProtocolError('settle.publish: an ack that carries messages names its deliveries one by one or by ranges')
  const publish = frame.publish.map(({ queue, count, messages }) => ({ queue, count, bytes: messages }))
  return { subscription, deliveries, how, ...(publish.length > 0 && { publish }) }
}

/** Fields of the `settled` frame that answers. */
export function settledFields({ results, refusal, published }: SettleAnswer): Omit<Frames['settled'], 'request'> {
  return { results, refusal: refusalValue(refusal), published: published?.map(publishedValue) ?? null }
}

function settleKind({ how, valueMs, reason }: Frames['settle']): SettleHow {
  switch (how) {
    case 'nack':
      return valueMs === 0 ? { kind: 'nack' } : { kind: 'nack', delayMs: valueMs - 1 }
    case 'reject':
      return reason === '' ? { kind: 'reject' } : { kind: 'reject', reason }
    case 'extend':
      if (valueMs === 0) throw new ProtocolError('settle.valueMs: an extend needs a lease')
      return { kind: 'extend', leaseMs: valueMs }
    default:
      return { kind: how }
  }
}

function checkRange({ first, count }: Range): void {
  if (count === 0 || !Number.isSafeInteger(first + count)) {
    throw new ProtocolError(`settle.deliveries: ${count} from ${first} is no range`)
  }
}

function publishedValue(answer: PublishAnswer): ValueMap {
  if ('refusal' in answer) return refusalFields(answer.refusal)
  const { sequence, batch, count, duplicate } = answer
  return { sequence, batch, count, duplicate }
}
