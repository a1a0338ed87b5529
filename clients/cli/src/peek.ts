import { bodyBytes, bodyCell, type Columns, listMessages, pagesOf } from './browse.ts'
import { DONE } from './exit.ts'
import { counted, elapsed } from './format.ts'
import { queuePath } from './http.ts'
import { printJson, type Shell, write } from './io.ts'
import { lineOf } from './lines.ts'

export interface PeekOptions {
  readonly state?: 'ready' | 'leased' | 'delayed'
  readonly filter?: string
  readonly after?: number
  readonly limit: number
}

const COLUMNS: Columns = {
  SEQUENCE: message => message.sequence,
  BATCH: message => message.batch,
  STATE: message => message.state,
  ATTEMPTS: message => message.attempts,
  HOLDER: message => message.holder,
  LEASED: ({ lease_age_ms: ageMs }) => (ageMs === undefined ? undefined : elapsed(ageMs)),
  DUE: message => message.due_at,
}

/** `queue peek`: what is in a queue, as a table or as documents. */
export async function peekQueue(shell: Shell, name: string, { limit, ...query }: PeekOptions): Promise<number> {
  const { state, filter, after } = query
  const pages = pagesOf(shell, messagesPath(name), { state, filter, after }, limit)
  await listMessages(shell, pages, { ...COLUMNS, BODY: bodyCell(shell) })
  return DONE
}

/** `consume --peek`: the bodies as `consume` writes them, but nothing is taken. */
export async function peekBodies(
  shell: Shell,
  name: string,
  { filter, count = Number.POSITIVE_INFINITY }: { readonly filter?: string; readonly count?: number },
): Promise<number> {
  let shown = 0
  for await (const { messages } of pagesOf(shell, messagesPath(name), { filter }, count)) {
    for (const message of messages) {
      if (shell.json) await printJson(shell, { kind: 'message', ...message })
      else await write(shell.io.stdout, lineOf(bodyBytes(message)))
      shown += 1
    }
  }
  shell.talk.done(`${counted(shown, 'message')} shown, none taken`)
  return DONE
}

function messagesPath(name: string): string {
  return `${queuePath(name)}/messages`
}
