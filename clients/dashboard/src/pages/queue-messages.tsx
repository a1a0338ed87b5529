import { useEffect, useState } from 'preact/hooks'
import { ask, path, Refused } from '../api.ts'
import { count, counted } from '../format.ts'
import { act, confirm, messageOf } from '../parts/acting.tsx'
import { Empty } from '../parts/common.tsx'
import { MessageCard } from '../parts/message.tsx'
import type { Message } from '../shapes.ts'

const LIMIT = 20

interface Found {
  readonly messages: readonly Message[]
  readonly next?: number
}

interface Trial {
  readonly tested: number
  readonly matched: number
  readonly first: readonly number[]
}

/** Looks into a queue, and tries filters on what is in it now. Nothing changes by it. */
export function Messages({
  queue,
  mayBrowse,
  mayOperate,
}: {
  readonly queue: string
  readonly mayBrowse: boolean
  readonly mayOperate: boolean
}) {
  const [filter, setFilter] = useState('')
  const [state, setState] = useState('')
  const [found, setFound] = useState<Found>()
  const [trial, setTrial] = useState<Trial>()
  const [problem, setProblem] = useState<Error>()
  const look = (after?: number): void => {
    setProblem(undefined)
    ask<Found>('GET', path(['queues', queue, 'messages'], { state, filter, after, limit: LIMIT })).then(
      setFound,
      setProblem,
    )
  }
  const tryIt = (): void => {
    setProblem(undefined)
    setTrial(undefined)
    ask<Trial>('POST', path(['filters', 'test']), { expression: filter, queue }).then(setTrial, setProblem)
  }
  useEffect(() => {
    if (mayBrowse) look()
  }, [queue, state, mayBrowse])
  if (!mayBrowse)
    return <p class="note">Your token does not allow to look at messages of this queue (right: browse).</p>
  return (
    <>
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
            placeholder="/store = 17 AND /qty > 3"
            aria-describedby="filter-answer"
            onInput={event => {
              setFilter(event.currentTarget.value)
              setTrial(undefined)
            }}
          />
        </label>
        <label>
          State
          <select value={state} onChange={event => setState(event.currentTarget.value)}>
            <option value="">all</option>
            <option value="ready">ready</option>
            <option value="leased">in flight</option>
            <option value="delayed">delayed</option>
          </select>
        </label>
        <div class="acts">
          <button type="button" onClick={tryIt} disabled={filter.trim() === ''}>
            Try the filter
          </button>
          <button type="submit" class="main">
            Look
          </button>
        </div>
        <div id="filter-answer" role="status">
          {trial !== undefined && <Answer trial={trial} />}
          {problem !== undefined && <Mistake problem={problem} text={filter} />}
        </div>
      </form>
      {found !== undefined && found.messages.length === 0 && (
        <Empty title="No such message">
          {filter === '' && state === ''
            ? 'Nothing is in this queue.'
            : 'Nothing that is in this queue now is like that.'}
        </Empty>
      )}
      {found !== undefined && found.messages.length > 0 && (
        <>
          <ul class="messages" aria-label="Messages">
            {found.messages.map(message => (
              <MessageCard key={message.sequence} message={message} now={Date.now()}>
                {mayOperate && <Acts queue={queue} message={message} done={() => look()} />}
              </MessageCard>
            ))}
          </ul>
          <nav class="pager" aria-label="Pages">
            <button type="button" onClick={() => look()}>
              From the first
            </button>
            <button type="button" disabled={found.next === undefined} onClick={() => look(found.next)}>
              Next {LIMIT}
            </button>
          </nav>
        </>
      )}
    </>
  )
}

function Answer({ trial: { tested, matched, first } }: { readonly trial: Trial }) {
  return (
    <p class={matched > 0 ? 'good-text' : 'warn-text'}>
      {matched > 0 ? '✓' : '!'} matches <b>{count(matched)}</b> of the {counted(tested, 'message')} that{' '}
      {tested === 1 ? 'is' : 'are'} ready
      {first.length > 0 && <>; the first: {first.map(sequence => `#${sequence}`).join(', ')}</>}
    </p>
  )
}

/** What is wrong with an expression, and where. */
export function Mistake({ problem, text }: { readonly problem: Error; readonly text: string }) {
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

function Acts({
  queue,
  message,
  done,
}: {
  readonly queue: string
  readonly message: Message
  readonly done: () => void
}) {
  const { sequence, state } = message
  const at = (...more: string[]): string => path(['queues', queue, 'messages', sequence, ...more])
  const post = (what: string) => async (): Promise<void> => {
    await ask('POST', at(what))
    done()
  }
  const remove = (): void =>
    confirm({
      title: `Delete message #${count(sequence)}?`,
      text: 'This one message will be lost.',
      button: 'Delete',
      act: async () => {
        await ask('DELETE', at())
        done()
        return `#${sequence} is deleted`
      },
    })
  return (
    <span class="acts">
      {state === 'leased' && (
        <button type="button" onClick={() => act(`#${sequence} released`, post('release'))}>
          Release<span class="hidden"> message {sequence}</span>
        </button>
      )}
      <button type="button" onClick={() => act(`#${sequence} is a dead letter now`, post('dead-letter'))}>
        Dead-letter<span class="hidden"> message {sequence}</span>
      </button>
      <button type="button" class="danger" onClick={remove}>
        Delete…<span class="hidden"> message {sequence}</span>
      </button>
    </span>
  )
}
