import { render } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { keepToken, token } from './api.ts'
import { setLink, useLink } from './live/link.ts'
import { Batch } from './pages/batch.tsx'
import { Batches } from './pages/batches.tsx'
import { Clients } from './pages/clients.tsx'
import { Dead } from './pages/dead.tsx'
import { Queue } from './pages/queue.tsx'
import { Queues } from './pages/queues.tsx'
import { Server } from './pages/server.tsx'
import { SignIn } from './pages/sign-in.tsx'
import { Timeline } from './pages/timeline.tsx'
import { Acting } from './parts/acting.tsx'
import { Empty } from './parts/common.tsx'
import { type Place, place, usePlace } from './route.ts'
import { beginTheme, ThemeChoice } from './theme.tsx'

const PAGES = [
  ['', 'Batches'],
  ['queues', 'Queues'],
  ['dead', 'Dead letters'],
  ['timeline', 'Timeline'],
  ['clients', 'Clients'],
  ['server', 'Server'],
] as const

const LINKS = {
  connecting: ['plain', '○', 'connecting'],
  live: ['good', '●', 'live'],
  lost: ['bad', '✕', 'not reached; trying again'],
  paused: ['plain', 'Ⅱ', 'paused'],
  'signed-out': ['plain', '○', 'signed out'],
} as const

function App() {
  const at = usePlace()
  const { link, why } = useLink()
  const [turn, setTurn] = useState(0)
  const main = useRef<HTMLElement>(null)
  const where = at.parts.join('/')
  const [shown] = useState({ where })
  useEffect(() => {
    document.title = `${at.parts.at(-1) ?? 'Batches'} · Sluice`
    // Whoever reads by ear, or goes on by the keyboard, begins where the page does; not when it is first opened.
    if (shown.where === where) return
    shown.where = where
    scrollTo(0, 0)
    main.current?.focus({ preventScroll: true })
  }, [where])
  const isOut = link === 'signed-out'
  return (
    <>
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        Skip to the page
      </button>
      <header class="top">
        <a class="brand" href={place([])} aria-label="Sluice, batches">
          <svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">
            <path d="M7 6v21M25 6v21M5 7h22M11 13h10M11 18h10M11 23h10" />
          </svg>
          Sluice
        </a>
        <nav aria-label="Main">
          {PAGES.map(([key, words]) => (
            <a key={key} href={place(key === '' ? [] : [key])} aria-current={isAt(at, key) ? 'page' : undefined}>
              {words}
            </a>
          ))}
        </nav>
        <span class="right">
          <span class={`link ${LINKS[link][0]}-text`} role="status">
            <span aria-hidden="true">{LINKS[link][1]}</span> {LINKS[link][2]}
          </span>
          <ThemeChoice />
          {token() !== undefined && !isOut && (
            <button
              type="button"
              class="quiet"
              onClick={() => {
                keepToken(undefined)
                setTurn(turn + 1)
              }}
            >
              Sign out
            </button>
          )}
        </span>
      </header>
      <main ref={main} id="main" tabIndex={-1}>
        {isOut ? (
          <SignIn
            why={why}
            done={() => {
              setLink('connecting')
              setTurn(turn + 1)
            }}
          />
        ) : (
          <Page key={turn} at={at} />
        )}
      </main>
      <Acting />
    </>
  )
}

function isAt({ parts: [first = ''] }: Place, key: string): boolean {
  return first === key || (first === 'batches' && key === '')
}

function Page({ at }: { readonly at: Place }) {
  const [first, second, third] = at.parts
  if (first === undefined) return <Batches at={at} />
  if (first === 'batches' && second !== undefined && third !== undefined)
    return <Batch queue={second} barrier={third} />
  if (first === 'queues' && second !== undefined) return <Queue key={second} name={second} tab={third ?? ''} />
  if (first === 'queues') return <Queues at={at} />
  if (first === 'dead') return <Dead at={at} />
  if (first === 'timeline') return <Timeline at={at} />
  if (first === 'clients') return <Clients at={at} />
  if (first === 'server') return <Server />
  return <Empty title="There is no such page">Choose one above.</Empty>
}

beginTheme()
render(<App />, document.getElementById('app') as HTMLElement)
