import type { MessageView, Sequence } from '../../engine/peer.ts'
import type { Reply } from './exchange.ts'
import type { Parameters } from './parameters.ts'
import { showMessageView } from './views.ts'

const PAGE_DEFAULT = 100
const PAGE_MAX = 1_000
/** Most bytes of messages on one page, but always at least one message: as JSON it is all in memory at once. */
const PAGE_BYTES_MAX = 16 * 1024 * 1024

/** `after` and `limit`, as every list has them that can be long. */
export function readPage(query: Parameters): { readonly after?: Sequence; readonly limit: number } {
  const after = query.integer('after', { min: 0, max: Number.MAX_SAFE_INTEGER })
  const limit = query.integer('limit', { min: 1, max: PAGE_MAX }) ?? PAGE_DEFAULT
  return after === undefined ? { limit } : { after, limit }
}

/** `next` is there while more may come, to be given back as `after`; a page can be short, or empty, and have one. */
export function messagesReply(page: { readonly messages: readonly MessageView[]; readonly next?: Sequence }): Reply {
  const { messages, next } = page
  let bytes = 0
  const cut = messages.findIndex((message, index) => {
    bytes += message.bytes.length
    return index > 0 && bytes > PAGE_BYTES_MAX
  })
  if (cut === -1) return { status: 200, json: { messages: messages.map(showMessageView), next } }
  const shown = messages.slice(0, cut)
  return { status: 200, json: { messages: shown.map(showMessageView), next: shown.at(-1)?.sequence } }
}
