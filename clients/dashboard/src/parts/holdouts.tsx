import { ask, path } from '../api.ts'
import { count, duration } from '../format.ts'
import { place } from '../route.ts'
import type { Holdout, Right } from '../shapes.ts'
import { act } from './acting.tsx'
import { useNow } from './now.ts'

const REASONS: Readonly<Record<string, string>> = {
  ready: 'ready, about to be delivered',
  leased: 'in flight',
  retrying: 'waits for its next try',
  delayed: 'delayed',
  'no-subscription-matches': 'ready, but no consumer takes it',
  'no-credit': 'ready, but every consumer has all it may have',
  paused: 'ready, but the queue is paused',
  'dead-letter': 'a dead letter that holds its batch',
}

interface Terms {
  readonly queue: string
  readonly holdouts: readonly Holdout[]
  readonly rights: readonly Right[]
  readonly now: string
}

/** Which messages hold a barrier, by whom and since when, and what can be done about each. */
export function Holdouts({ queue, holdouts, rights, now }: Terms) {
  const at = useNow(now)
  if (holdouts.length === 0) return null
  return (
    <ul class="holdouts">
      {groupsOf(holdouts).map(group =>
        group.length < GROUP_MIN ? (
          group.map(holdout => <Line key={holdout.sequence} queue={queue} holdout={holdout} rights={rights} at={at} />)
        ) : (
          <li key={`from ${group[0]?.sequence}`} class="group">
            <details>
              <summary>
                <What holdout={group[0] as Holdout} last={group.at(-1)?.sequence} at={at} />
              </summary>
              <ul>
                {group.map(holdout => (
                  <Line key={holdout.sequence} queue={queue} holdout={holdout} rights={rights} at={at} />
                ))}
              </ul>
            </details>
          </li>
        ),
      )}
    </ul>
  )
}

/** So many that are next to one another and alike are one line, to be opened. */
const GROUP_MIN = 5

function groupsOf(holdouts: readonly Holdout[]): readonly (readonly Holdout[])[] {
  const groups: Holdout[][] = []
  for (const holdout of holdouts) {
    const last = groups.at(-1)
    if (last !== undefined && isNext(last.at(-1) as Holdout, holdout)) last.push(holdout)
    else groups.push([holdout])
  }
  return groups
}

function isNext(a: Holdout, b: Holdout): boolean {
  return (
    b.sequence === a.sequence + 1 &&
    a.dead_letter === undefined &&
    a.reason === b.reason &&
    a.holder === b.holder &&
    a.attempt === b.attempt &&
    a.leased_at?.slice(0, 19) === b.leased_at?.slice(0, 19)
  )
}

function Line({
  queue,
  holdout,
  rights,
  at,
}: Omit<Terms, 'holdouts' | 'now'> & { readonly holdout: Holdout; readonly at: number }) {
  return (
    <li>
      <span class="what">
        <What holdout={holdout} at={at} />
      </span>
      {rights.includes('admin') && <Remedies queue={queue} holdout={holdout} />}
    </li>
  )
}

function What({
  holdout,
  last,
  at,
}: {
  readonly holdout: Holdout
  readonly last?: number | undefined
  readonly at: number
}) {
  return (
    <>
      <span class={`swatch ${holdout.state}`} aria-hidden="true" />
      <b>
        #{count(holdout.sequence)}
        {last !== undefined && ` to #${count(last)}`}
      </b>{' '}
      {last !== undefined && `${count(last - holdout.sequence + 1)} `}
      {REASONS[holdout.reason] ?? holdout.reason}
      {holdout.holder !== undefined && (
        <>
          {' with '}
          <bdi class="name">{holdout.holder}</bdi>
        </>
      )}
      {holdout.leased_at !== undefined && (
        <>
          {' for '}
          <b>{duration(at - Date.parse(holdout.leased_at))}</b>
        </>
      )}
      <span class="muted">, attempt {holdout.attempt}</span>
    </>
  )
}

function Remedies({ queue, holdout }: { readonly queue: string; readonly holdout: Holdout }) {
  const { sequence, state, dead_letter: dead } = holdout
  if (dead !== undefined) return <a href={place(['queues', queue, 'dead'])}>see dead letters</a>
  const at = (...more: string[]): string => path(['queues', queue, 'messages', sequence, ...more])
  return (
    <span class="acts">
      {state === 'leased' && (
        <button type="button" onClick={() => act(`#${sequence} released`, () => ask('POST', at('release')))}>
          Release<span class="hidden"> message {sequence}</span>
        </button>
      )}
      <button
        type="button"
        onClick={() => act(`#${sequence} is a dead letter now`, () => ask('POST', at('dead-letter')))}
      >
        Dead-letter<span class="hidden"> message {sequence}</span>
      </button>
    </span>
  )
}
