import type { MessageView, Sequence } from '../../engine/peer.ts'
import type { Reply } from './exchange.ts'
import type { Parameters } from './parameters.ts'
import { showMessageView } from './views.ts'

const PAGE_DEFAULT = 100
const PAGE_MAX = 1_000

/** `after` and `limit`, as every list has them that can be long. */
export function readPage(query: Parameters): { readonly after?: Sequence; readonly limit: number } {
  const after = query.integer('after', { min: 0, max: Number.MAX_SAFE_INTEGER })
  const limit = query.integer('limit', { min: 1, max: PAGE_MAX }) ?? PAGE_DEFAULT
  return after === undefined ? { limit } : { after, limit }
}

/** `next` is there while more may come, to be given back as `after`; a page can be short, or empty, and have one. */
export function messagesReply(page: { readonly messages: readonly MessageView[]; readonly next?: Sequence }): Reply {
  const { messages, next } = page
  return { status: 200, json: { messages: messages.map(showMessageView), next } }
}
