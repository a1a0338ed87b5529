import { BARRIER_PARTIES_MAX, toSnakeCase, type ValueMap } from '@sluice/protocol'
import type { BarrierRecord, BarrierView, DeadLetterOrigin, MessageView, Refusal } from '../../engine/peer.ts'
import { isRefusal } from './refusals.ts'

/** Batch summaries in a record; of more the first are told, for a record must fit into a frame. */
const BATCHES_MAX = 4_096

/** As a `barrier` frame shows it; its message travels beside it, and what only a receipt tells is left out. */
export function recordMap({ bytes: _, after: __, parties, batches, ...record }: BarrierRecord): ValueMap {
  return {
    ...toSnakeCase(record),
    ...(batches !== undefined && { batches: batches.slice(0, BATCHES_MAX).map(toSnakeCase) }),
    ...(parties !== undefined && {
      parties: {
        count: parties.count,
        arrived_count: parties.arrived.length,
        arrived: parties.arrived.slice(0, BARRIER_PARTIES_MAX),
        messages: parties.bytes,
      },
    }),
  }
}

export function recordWithBody(record: BarrierRecord): ValueMap {
  return { ...recordMap(record), body: record.bytes }
}

export function barrierMap({ record, ...barrier }: BarrierView): ValueMap {
  const map = toSnakeCase(barrier)
  return record === undefined ? map : { ...map, record: recordWithBody(record) }
}

/** One of many: parties by their count alone, for the names of all together have no bound; the body if it is asked for. */
export function barrierLine({ record, parties, ...barrier }: BarrierView, bodies: boolean): ValueMap {
  const { parties: own, ...rest } = record ?? { parties: undefined }
  const known = own ?? parties
  return {
    ...toSnakeCase(barrier),
    ...(record !== undefined && {
      record: bodies ? recordWithBody(rest as BarrierRecord) : recordMap(rest as BarrierRecord),
    }),
    ...(known !== undefined && { parties: { count: known.count, arrived_count: known.arrived.length } }),
  }
}

/** Messages with their records. */
export function pageOrRefusal(
  page: { readonly messages: readonly MessageView[]; readonly next?: number } | Refusal,
): ValueMap | Refusal {
  if (isRefusal(page)) return page
  const { next } = page
  const messages = page.messages.map(({ bytes: message, origin, ...rest }) => ({
    ...toSnakeCase(rest),
    ...(origin && { origin: originMap(origin) }),
    message,
  }))
  return { messages, ...(next !== undefined && { next }) }
}

/** Where a dead letter comes from; the number of that queue means nothing outside the server. */
export function originMap({ queueId: _, ...origin }: DeadLetterOrigin): ValueMap {
  return toSnakeCase(origin)
}

export function viewOrRefusal(view: object): ValueMap | Refusal {
  return isRefusal(view) ? view : toSnakeCase(view)
}
