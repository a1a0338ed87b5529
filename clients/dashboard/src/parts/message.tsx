import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { clock, count } from '../format.ts'
import type { Message } from '../shapes.ts'
import { Badge } from './common.tsx'

/** Characters of a body that are shown at first, and in all: a page is no place for a megabyte. */
const SHOWN_FIRST = 600
const SHOWN_MAX = 50_000

/** A body as it is: only ever text. JSON is laid out. */
export function Body({ body, base64 }: { readonly body: string | undefined; readonly base64: string | undefined }) {
  const [isWhole, setWhole] = useState(false)
  if (body === undefined && base64 === undefined) return null
  const text = body === undefined ? (base64 ?? '') : laidOut(body)
  if (text === '') return <p class="muted">empty</p>
  const max = isWhole ? SHOWN_MAX : SHOWN_FIRST
  return (
    <>
      {body === undefined && <p class="muted">bytes, as base64</p>}
      <pre class="body" dir="ltr">
        <code>{text.slice(0, max)}</code>
      </pre>
      {text.length > max && !isWhole && (
        <button type="button" class="quiet" onClick={() => setWhole(true)}>
          Show all {count(text.length)} characters
        </button>
      )}
      {text.length > max && isWhole && (
        <p class="muted">
          the first {count(max)} of {count(text.length)} characters
        </p>
      )}
    </>
  )
}

function laidOut(text: string): string {
  if (!/^\s*[[{]/.test(text) || text.length > SHOWN_MAX) return text
  try {
    return JSON.stringify(JSON.parse(text), undefined, 2)
  } catch {
    return text
  }
}

/** A message as it stands in its queue. */
export function MessageCard({
  message,
  now,
  children,
}: {
  readonly message: Message
  readonly now: number
  readonly children?: ComponentChildren
}) {
  const { origin, headers } = message
  const facts: (readonly [string, string | undefined])[] = [
    ['published', clock(message.published_at, now)],
    ['due', message.due_at === undefined ? undefined : clock(message.due_at, now)],
    ['type', message.content_type],
    ['id', message.message_id],
    ['group', message.group],
    ['priority', message.priority === undefined ? undefined : `${message.priority}`],
    ['failed attempts', message.attempts > 0 ? `${message.attempts}` : undefined],
    ['with', message.holder],
    ['headers', headers === undefined ? undefined : JSON.stringify(headers)],
  ]
  return (
    <li class="message">
      <div class="message-head">
        <b>#{count(origin?.sequence ?? message.sequence)}</b>
        {origin === undefined ? (
          <Badge tone={message.state === 'leased' ? 'main' : 'plain'}>
            {message.state === 'leased' ? 'in flight' : message.state}
          </Badge>
        ) : (
          <Badge tone="bad">✕ {DEAD_REASONS[origin.reason] ?? origin.reason}</Badge>
        )}
        <span class="muted">
          {origin !== undefined && (
            <>
              died {clock(origin.dead_at, now)} after{' '}
              {origin.attempts === 1 ? '1 attempt' : `${origin.attempts} attempts`}, batch {origin.batch}
              {origin.detail !== undefined && (
                <>
                  : <bdi class="name">{origin.detail}</bdi>
                </>
              )}
              {' · '}
            </>
          )}
          {facts.map(
            ([name, value]) =>
              value !== undefined && (
                <span key={name} class="fact">
                  {name} <bdi class="name">{value}</bdi>{' '}
                </span>
              ),
          )}
        </span>
        {children}
      </div>
      <Body body={message.body} base64={message.body_base64} />
    </li>
  )
}

const DEAD_REASONS: Readonly<Record<string, string>> = {
  deliveries: 'attempts used up',
  rejected: 'rejected',
  expired: 'expired',
  overflow: 'queue was full',
  'batch-failed': 'batch failed',
  'batch-cancelled': 'batch cancelled',
  'batch-expired': 'batch deadline passed',
}
