import { useEffect, useState } from 'preact/hooks'
import { ask, path } from '../api.ts'
import { count } from '../format.ts'
import { act, confirm, lost, typedFor } from '../parts/acting.tsx'
import { Empty } from '../parts/common.tsx'
import { FilterForm, Further } from '../parts/looking.tsx'
import { MessageCard } from '../parts/message.tsx'
import type { Message } from '../shapes.ts'

const LIMIT = 20
/** So many are counted before an act that has no count of its own. */
const COUNT_MAX = 1_000

interface Found {
  readonly messages: readonly Message[]
  readonly next?: number
}

interface Terms {
  readonly queue: string
  /** Changes when there are others. */
  readonly dead: number | undefined
  readonly mayBrowse: boolean
  readonly mayOperate: boolean
}

/** What came to nothing, why, and another chance for it. */
export function DeadLetters({ queue, dead, mayBrowse, mayOperate }: Terms) {
  const [filter, setFilter] = useState('')
  const [batch, setBatch] = useState('')
  const [found, setFound] = useState<Found>()
  const [problem, setProblem] = useState<Error>()
  const choice = { filter: filter.trim(), batch: batch.trim() }
  const look = (after?: number): void => {
    setProblem(undefined)
    ask<Found>('GET', path(['queues', queue, 'dead'], { ...choice, after, limit: LIMIT })).then(setFound, setProblem)
  }
  useEffect(() => {
    if (mayBrowse) look()
  }, [queue, dead, mayBrowse])
  if (!mayBrowse)
    return <p class="note">Your token does not allow to look at dead letters of this queue (right: browse).</p>
  const isAll = choice.filter === '' && choice.batch === ''
  const ofThem = isAll ? 'All dead letters' : 'The dead letters that are chosen'
  const counted = async (): Promise<string> => {
    const { messages, next } = await ask<Found>('GET', path(['queues', queue, 'dead'], { ...choice, limit: COUNT_MAX }))
    return next === undefined ? lost(messages.length) : `more than ${lost(COUNT_MAX)}`
  }
  const requeue = (): void => {
    counted().then(
      many =>
        confirm({
          title: isAll ? 'Requeue all dead letters?' : 'Requeue these dead letters?',
          text: `${ofThem} of "${queue}", ${many}, go back into it and are tried anew.`,
          button: 'Requeue',
          isHarmless: true,
          act: async () => {
            const { requeued } = await ask<{ requeued: number }>(
              'POST',
              path(['queues', queue, 'dead', 'requeue'], choice),
            )
            look()
            return `${lost(requeued)} requeued`
          },
        }),
      setProblem,
    )
  }
  const requeueOne = (sequence: number): void =>
    act(`#${sequence} requeued`, async () => {
      await ask('POST', path(['queues', queue, 'dead', 'requeue'], { sequence }))
      look()
    })
  const purge = (): void => {
    counted().then(
      many =>
        confirm({
          title: isAll ? 'Purge all dead letters?' : 'Purge these dead letters?',
          text: `${ofThem} of "${queue}" will be lost: ${many}.`,
          button: 'Purge',
          typed: many.startsWith('more') ? queue : typedFor(queue, 0),
          act: async () => {
            const { purged } = await ask<{ purged: number }>('DELETE', path(['queues', queue, 'dead'], choice))
            look()
            return `${lost(purged)} purged`
          },
        }),
      setProblem,
    )
  }
  return (
    <>
      <FilterForm
        filter={filter}
        placeholder="all of them"
        changed={setFilter}
        look={() => look()}
        fields={
          <label>
            Batch
            <input
              value={batch}
              spellcheck={false}
              autocomplete="off"
              placeholder="any"
              onInput={event => setBatch(event.currentTarget.value)}
            />
          </label>
        }
        acts={
          mayOperate && (
            <>
              <button type="button" onClick={requeue} disabled={found?.messages.length === 0}>
                {isAll ? 'Requeue all…' : 'Requeue matching…'}
              </button>
              <button type="button" class="danger" onClick={purge} disabled={found?.messages.length === 0}>
                {isAll ? 'Purge all…' : 'Purge matching…'}
              </button>
            </>
          )
        }
        problem={problem}
      />
      {found !== undefined && found.messages.length === 0 && (
        <Empty title="No dead letters">{isAll ? 'Nothing of this queue came to nothing.' : 'None is like that.'}</Empty>
      )}
      {found !== undefined && found.messages.length > 0 && (
        <>
          <ul class="messages" aria-label="Dead letters">
            {found.messages.map(message => (
              <MessageCard key={message.sequence} message={message} now={Date.now()}>
                {mayOperate && (
                  <span class="acts">
                    <button type="button" onClick={() => requeueOne(message.sequence)}>
                      Requeue<span class="hidden"> dead letter {message.sequence}</span>
                    </button>
                  </span>
                )}
              </MessageCard>
            ))}
          </ul>
          <Further next={found.next} limit={LIMIT} look={look}>
            <span>{count(found.messages.length)} shown</span>
          </Further>
        </>
      )}
    </>
  )
}
