import type { ComponentChildren } from 'preact'
import { Refused } from '../api.ts'
import { messageOf } from './acting.tsx'

/** Asks which messages are wanted. */
export function FilterForm({
  filter,
  placeholder,
  changed,
  look,
  fields,
  acts,
  answer,
  problem,
}: {
  readonly filter: string
  readonly placeholder: string
  readonly changed: (filter: string) => void
  readonly look: () => void
  /** Beside the filter. */
  readonly fields: ComponentChildren
  /** What else can be done with what is chosen. */
  readonly acts: ComponentChildren
  readonly answer?: ComponentChildren
  readonly problem: Error | undefined
}) {
  return (
    <form
      class="card ask"
      onSubmit={event => {
        event.preventDefault()
        look()
      }}
    >
      <label class="wide">
        Filter
        <input
          class="code"
          value={filter}
          spellcheck={false}
          autocomplete="off"
          placeholder={placeholder}
          aria-describedby="filter-answer"
          onInput={event => changed(event.currentTarget.value)}
        />
      </label>
      {fields}
      <div class="acts">
        <button type="submit" class="main">
          Look
        </button>
        {acts}
      </div>
      <div id="filter-answer" role="status">
        {answer}
        {problem !== undefined && <Mistake problem={problem} text={filter} />}
      </div>
    </form>
  )
}

/** Goes on in a list that is got by pieces. */
export function Further({
  next,
  limit,
  look,
  children,
}: {
  readonly next: number | undefined
  readonly limit: number
  readonly look: (after?: number) => void
  readonly children?: ComponentChildren
}) {
  return (
    <nav class="pager" aria-label="Pages">
      <button type="button" onClick={() => look()}>
        From the first
      </button>
      <button type="button" disabled={next === undefined} onClick={() => look(next)}>
        Next {limit}
      </button>
      {children}
    </nav>
  )
}

/** What is wrong with an expression, and where. */
function Mistake({ problem, text }: { readonly problem: Error; readonly text: string }) {
  const column = problem instanceof Refused ? problem.column : undefined
  return (
    <div class="bad-text">
      <p>✕ {messageOf(problem)}</p>
      {column !== undefined && (
        <pre class="mistake">
          {text}
          {'\n'}
          {' '.repeat(Math.max(0, column - 1))}^
        </pre>
      )}
    </div>
  )
}
