import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { count, counted, rate } from '../format.ts'
import { choose, type Place } from '../route.ts'

/** A number that is looked at first, with the last minutes of it. */
export function Tile(terms: {
  readonly label: string
  readonly value: string
  readonly unit?: string
  readonly curve?: readonly number[]
  readonly href?: string
  readonly tone?: string
}) {
  const { label, value, unit, curve, href, tone } = terms
  const inside = (
    <>
      <span class="label">{label}</span>
      <span class="value">
        {value}
        {unit !== undefined && <small>{unit}</small>}
      </span>
      {curve !== undefined && <Curve label={label} values={curve} />}
    </>
  )
  const kind = `tile ${tone ?? ''}`
  return href === undefined ? (
    <div class={kind}>{inside}</div>
  ) : (
    <a class={kind} href={href}>
      {inside}
    </a>
  )
}

/** A curve of the last values; its summary is in its name. */
function Curve({ label, values }: { readonly label: string; readonly values: readonly number[] }) {
  const max = Math.max(1, ...values)
  const step = 100 / Math.max(1, values.length - 1)
  const points = values.map((value, index) => `${(index * step).toFixed(1)},${(27 - (value / max) * 25).toFixed(1)}`)
  if (values.length < 2) return <svg class="curve" viewBox="0 0 100 28" aria-hidden="true" />
  return (
    <svg
      class="curve"
      viewBox="0 0 100 28"
      preserveAspectRatio="none"
      role="img"
      aria-label={`${label} since this page was opened, at most 10 minutes: from ${rate(Math.min(...values))} to ${rate(Math.max(...values))}`}
    >
      <polygon points={`0,28 ${points.join(' ')} 100,28`} />
      <polyline points={points.join(' ')} />
    </svg>
  )
}

export function Badge({ tone, children }: { readonly tone: string; readonly children: ComponentChildren }) {
  return <span class={`badge ${tone}`}>{children}</span>
}

export const OUTCOMES: Readonly<Record<string, readonly [tone: string, words: string]>> = {
  clean: ['good', '✓ clean'],
  'with-dead': ['warn', '! with dead letters'],
  failed: ['bad', '✕ failed'],
  cancelled: ['bad', '✕ cancelled'],
  expired: ['bad', '✕ deadline passed'],
}

export function Outcome({ outcome }: { readonly outcome: string }) {
  const [tone, words] = OUTCOMES[outcome] ?? ['warn', outcome]
  return <Badge tone={tone}>{words}</Badge>
}

/** Several ways to do a thing; closed once one is chosen, or by Escape. */
export function Menu({ title, children }: { readonly title: string; readonly children: ComponentChildren }) {
  const details = useRef<HTMLDetailsElement>(null)
  const close = (): void => {
    if (details.current !== null) details.current.open = false
  }
  const closeByKey = (event: KeyboardEvent): void => {
    if (event.key !== 'Escape') return
    close()
    details.current?.querySelector('summary')?.focus()
  }
  return (
    <details ref={details} class="menu" onKeyDown={closeByKey}>
      <summary>{title}</summary>
      {/* biome-ignore lint/a11y/useKeyWithClickEvents lint/a11y/noStaticElementInteractions: what is pressed is a button in it */}
      <div onClick={close}>{children}</div>
    </details>
  )
}

/** What a page says before there is anything on it. */
export function Empty({
  title,
  children,
  command,
}: {
  readonly title: string
  readonly children: ComponentChildren
  readonly command?: string
}) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      <p>{children}</p>
      {command !== undefined && (
        <pre>
          <code>{command}</code>
        </pre>
      )}
    </div>
  )
}

/** Nothing to show yet, or nothing that may be shown. */
export function Waiting({
  refused,
}: {
  readonly refused: { readonly detail: string; readonly code: string } | undefined
}) {
  if (refused === undefined) return <p class="muted loading">Loading…</p>
  return (
    <div class="empty">
      <h2>{refused.code === 'not-allowed' ? 'Your token does not allow this' : 'There is nothing to show here'}</h2>
      <p>{refused.detail}</p>
    </div>
  )
}

export function Pager({
  at,
  page,
  pages,
  total,
  what,
}: {
  readonly at: Place
  readonly page: number
  readonly pages: number
  readonly total: number
  readonly what: string
}) {
  if (pages <= 1)
    return <p class="muted count">{counted(total, what, what.endsWith('batch') ? `${what}es` : `${what}s`)}</p>
  const go = (to: number) => () => choose(at, { page: to })
  return (
    <nav class="pager" aria-label="Pages">
      <button type="button" disabled={page === 0} onClick={go(0)}>
        First
      </button>
      <button type="button" disabled={page === 0} onClick={go(page - 1)}>
        Previous
      </button>
      <span>
        page {count(page + 1)} of {count(pages)} · {count(total)} in all
      </span>
      <button type="button" disabled={page >= pages - 1} onClick={go(page + 1)}>
        Next
      </button>
    </nav>
  )
}

/** What narrows a list, by the server; told when the typing pauses. */
export function Search({ at, label }: { readonly at: Place; readonly label: string }) {
  const known = at.query['text'] ?? ''
  const [text, setText] = useState(known)
  useEffect(() => {
    if (text === known) return
    const timer = setTimeout(() => choose(at, { text, page: 0 }), 250)
    return () => clearTimeout(timer)
  }, [text])
  return (
    <label class="search">
      <span class="hidden">{label}</span>
      <input type="search" placeholder={label} value={text} onInput={event => setText(event.currentTarget.value)} />
    </label>
  )
}

/** A table that scrolls by itself where it is too wide. */
export function Table({
  label,
  head,
  children,
}: {
  readonly label: string
  readonly head: readonly (string | readonly [string, 'number'])[]
  readonly children: ComponentChildren
}) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by the keyboard
    <section class="table" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {head.map(name =>
              name === '' ? (
                // Of buttons, which say themselves what they do.
                <td key="acts" />
              ) : (
                <th key={String(name)} scope="col" class={typeof name === 'string' ? '' : 'number'}>
                  {typeof name === 'string' ? name : name[0]}
                </th>
              ),
            )}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </section>
  )
}
