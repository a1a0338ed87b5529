import type { Engine } from './engine.ts'
import type { ContentFilter } from './entitlement.ts'
import { isBarrierOf, isRefusal, Subject } from './expressions.ts'
import type { BarrierName, BarrierRecord, BarrierView, QueueView, Sequence } from './peer.ts'

/*
 * What somebody is shown who may see only some of the messages: nothing that counts the others.
 */

export function withoutCounts(view: QueueView): QueueView {
  const { ready: _r, leased: _l, delayed: _d, bytes: _b, open: _o, barriersWaiting: _w, ...others } = view
  const { publishedTotal: _p, ackedTotal: _a, ...rest } = others
  return rest
}

/** Counts of its batch, of those before it (B15), and what other parties have said (B14) are left out. */
export function recordWithoutCounts({ stats: _s, batches: _b, parties: _p, ...rest }: BarrierRecord): BarrierRecord {
  return rest
}

export function barrierWithoutCounts({ progress: _p, record, parties: _, ...rest }: BarrierView): BarrierView {
  return record === undefined ? rest : { ...rest, record: recordWithoutCounts(record) }
}

/** Whether a barrier is one that this filter lets somebody know of. Of one that gathers any party will do. */
export function knowsBarrier(engine: Engine, content: ContentFilter, name: string, barrier: BarrierName): boolean {
  const queue = engine.find(name)
  if (isRefusal(queue)) return false
  const found = queue.barriers.find(barrier)
  if (found !== undefined) return isBarrierOf(content, found, name)
  const gathering = queue.barriers.gatheringOf(barrier)
  return gathering?.arrivals.some(arrival => isBarrierOf(content, arrival, name)) ?? false
}

/** Whether a message is one of those that this filter lets somebody see. */
export function seesMessage(engine: Engine, content: ContentFilter, name: string, sequence: Sequence): boolean {
  const queue = engine.find(name)
  if (isRefusal(queue)) return false
  const cursor = engine.bodies.find(queue.id, sequence)
  return cursor !== undefined && content.matches(new Subject().at(cursor, name))
}
