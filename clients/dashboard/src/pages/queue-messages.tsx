import { useEffect, useState } from 'preact/hooks'
import { ask, path } from '../api.ts'
import { count, counted } from '../format.ts'
import { act, confirm } from '../parts/acting.tsx'
import { Empty } from '../parts/common.tsx'
import { FilterForm, Further } from '../parts/looking.tsx'
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
      <FilterForm
        filter={filter}
        placeholder="/store = 17 AND /qty > 3"
        changed={text => {
          setFilter(text)
          setTrial(undefined)
        }}
        look={() => look()}
        fields={
          <label>
            State
            <select value={state} onChange={event => setState(event.currentTarget.value)}>
              <option value="">all</option>
              <option value="ready">ready</option>
              <option value="leased">in flight</option>
              <option value="delayed">delayed</option>
            </select>
          </label>
        }
        acts={
          <button type="button" onClick={tryIt} disabled={filter.trim() === ''}>
            Try the filter
          </button>
        }
        answer={trial !== undefined && <Answer trial={trial} />}
        problem={problem}
      />
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
          <Further next={found.next} limit={LIMIT} look={look} />
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
