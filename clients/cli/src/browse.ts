import { counted } from './format.ts'
import { ask, type Document, type QueryValue, withQuery } from './http.ts'
import { printJson, type Shell } from './io.ts'
import { type Cell, printTable } from './table.ts'

/** A message as the server shows it, without taking it. */
export interface SeenMessage extends Document {
  readonly sequence: number
  readonly batch: number
  readonly state: string
  readonly attempts: number
  readonly holder?: string
  readonly lease_age_ms?: number
  readonly due_at?: string
  readonly origin?: Document
  readonly body?: string
  readonly body_base64?: string
}

export interface Page {
  readonly messages: readonly SeenMessage[]
  /** To be given back as `after`, while more may come. */
  readonly next?: number
}

/** A page is in memory at once, here and at the server. */
const PAGE_MAX = 500
/** Columns of a body that are shown on a terminal; a pipe gets all of it. */
const BODY_COLUMNS = 60

/** Page by page, at most `limit` messages. A page may be empty and yet not the last. */
export async function* pagesOf(
  shell: Shell,
  path: string,
  query: Readonly<Record<string, QueryValue>>,
  limit: number,
): AsyncGenerator<Page, void> {
  let left = limit
  let after = query['after']
  do {
    const page = (await ask(
      shell,
      'GET',
      withQuery(path, { ...query, after, limit: Math.min(left, PAGE_MAX) }),
    )) as unknown as Page
    yield page
    left -= page.messages.length
    after = page.next
  } while (after !== undefined && left > 0)
}

/** Names of columns, and what stands in them. */
export type Columns = Readonly<Record<string, (message: SeenMessage) => Cell>>

/** Prints messages as a table, or as a document a line, and says on stderr how to see more. */
export async function listMessages(shell: Shell, pages: AsyncIterable<Page>, columns: Columns): Promise<number> {
  const rows: Cell[][] = []
  let found = 0
  let next: number | undefined
  for await (const page of pages) {
    for (const message of page.messages) {
      found += 1
      if (shell.json) await printJson(shell, message)
      else rows.push(Object.values(columns).map(cell => cell(message)))
    }
    next = page.next
  }
  if (!shell.json && (rows.length > 0 || !shell.io.stdout.isTTY)) await printTable(shell, Object.keys(columns), rows)
  const more = next === undefined ? '' : `; more with --after ${next}`
  shell.talk.say(` ${counted(found, 'message')}${more}`)
  return found
}

/** The body as the last column of a table. */
export function bodyCell(shell: Shell): (message: SeenMessage) => Cell {
  return message => {
    const text = message.body ?? `(${counted(bodyBytes(message).length, 'byte')} that are no text)`
    return shell.io.stdout.isTTY && text.length > BODY_COLUMNS ? `${text.slice(0, BODY_COLUMNS - 1)}…` : text
  }
}

/** The bytes that were published. */
export function bodyBytes({ body, body_base64: encoded }: SeenMessage): Uint8Array {
  return encoded === undefined ? Buffer.from(body ?? '') : Buffer.from(encoded, 'base64')
}
