import { count, percent } from '../format.ts'
import type { Progress } from '../shapes.ts'

/** The five states, which always sum to what was published, in the order of their way through the queue. */
const STATES = [
  ['acked', 'acked'],
  ['dead', 'dead'],
  ['leased', 'in flight'],
  ['delayed', 'delayed'],
  ['ready', 'ready'],
] as const

/** The picture of a batch: what is done flows to the left, what is left stands before the gate. */
export function Bar({ progress }: { readonly progress: Progress }) {
  const { published } = progress
  const parts = STATES.filter(([state]) => progress[state] > 0)
  return (
    <div
      class="bar"
      role="img"
      aria-label={`${percent(progress.acked + progress.dead, published)} settled: ${words(progress)}`}
    >
      {published === 0 && <span class="bar-empty">nothing published</span>}
      {parts.map(([state]) => (
        <span key={state} class={`fill ${state}`} style={{ flexGrow: progress[state] }} />
      ))}
    </div>
  )
}

/** The same in words and numbers. */
export function Legend({ progress, isShort }: { readonly progress: Progress; readonly isShort?: boolean }) {
  const shown = isShort ? STATES.filter(([state]) => progress[state] > 0) : STATES
  return (
    <ul class="legend">
      {shown.map(([state, word]) => (
        <li key={state} class={progress[state] === 0 ? 'none' : ''}>
          <span class={`swatch ${state}`} aria-hidden="true" />
          {word} <b>{count(progress[state])}</b>
        </li>
      ))}
      <li class="sum">
        = <b>{count(progress.published)}</b> published
      </li>
    </ul>
  )
}

function words(progress: Progress): string {
  return `${STATES.map(([state, word]) => `${count(progress[state])} ${word}`).join(', ')}, of ${count(progress.published)} published`
}

/** A sluice gate: down while its barrier waits, up once it is released. */
export function Gate({ state }: { readonly state: 'closed' | 'open' | 'absent' }) {
  const at = state === 'open' ? -20 : 0
  return (
    <svg class={`gate ${state}`} viewBox="0 0 34 56" width="34" height="56" aria-hidden="true">
      <path class="frame" d="M5 55V7M29 55V7M2 7h30" />
      {state === 'absent' ? (
        <path class="missing" d="M11 20h12v34H11z" />
      ) : (
        <g transform={`translate(0 ${at})`}>
          <path class="stem" d="M17 2v20" />
          <rect class="panel" x="8" y="20" width="18" height="35" rx="1.5" />
          <path class="slat" d="M11 29h12M11 37.5h12M11 46h12" />
        </g>
      )}
    </svg>
  )
}
