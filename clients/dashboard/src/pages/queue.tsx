import { ask, path } from '../api.ts'
import { bytes, count, counted, duration, rate } from '../format.ts'
import { curveOf, rateOf } from '../live/rates.ts'
import { useLive } from '../live/use-live.ts'
import { act, confirm, lost, typedFor } from '../parts/acting.tsx'
import { BatchCard, ReleasedTable } from '../parts/batch-card.tsx'
import { Badge, Empty, Menu, Table, Tile, Waiting } from '../parts/common.tsx'
import { Credit } from '../parts/credit.tsx'
import { useNow } from '../parts/now.ts'
import { place } from '../route.ts'
import type { Consumer, Head, QueuePart } from '../shapes.ts'
import { DeadLetters } from './queue-dead.tsx'
import { Messages } from './queue-messages.tsx'
import { Settings } from './queue-settings.tsx'

const TABS = [
  ['', 'Overview'],
  ['messages', 'Messages'],
  ['dead', 'Dead letters'],
  ['settings', 'Settings'],
] as const

export function Queue({ name, tab }: { readonly name: string; readonly tab: string }) {
  const { data, refused } = useLive('queue', { queue: name })
  return (
    <>
      <nav class="trail" aria-label="Where you are">
        <a href={place(['queues'])}>Queues</a>
        <span aria-hidden="true"> ▸ </span>
        <h1>
          <bdi class="name">{name}</bdi>
        </h1>
        {data?.queue.paused && <Badge tone="warn">Ⅱ paused</Badge>}
      </nav>
      {data === undefined ? <Waiting refused={refused} /> : <Shown data={data} tab={tab} />}
    </>
  )
}

function Shown({ data, tab }: { readonly data: QueuePart & Head; readonly tab: string }) {
  const { queue } = data
  const { name, rights } = queue
  const mayBrowse = rights.includes('browse')
  const mayOperate = rights.includes('admin')
  return (
    <>
      <div class="bar-above">
        <nav class="tabs" aria-label="Of this queue">
          {TABS.map(([key, words]) => (
            <a
              key={key}
              href={place(['queues', name, ...(key === '' ? [] : [key])])}
              aria-current={tab === key ? 'page' : undefined}
            >
              {words}
              {key === 'dead' && (queue.dead ?? 0) > 0 && <b class="bad-text"> {count(queue.dead)}</b>}
            </a>
          ))}
        </nav>
        {mayOperate && <Acts queue={queue} />}
      </div>
      {tab === 'messages' && <Messages queue={name} mayBrowse={mayBrowse} mayOperate={mayOperate} />}
      {tab === 'dead' && <DeadLetters queue={name} dead={queue.dead} mayBrowse={mayBrowse} mayOperate={mayOperate} />}
      {tab === 'settings' && <Settings queue={name} options={queue.options} mayOperate={mayOperate} />}
      {tab === '' && <Summary data={data} />}
    </>
  )
}

function Summary({ data }: { readonly data: QueuePart & Head }) {
  const { queue, consumers, lane, now } = data
  const { name } = queue
  const at = Date.parse(now)
  if (queue.ready === undefined)
    return <p class="note">Your token shows only some messages of this queue, so no counts are told.</p>
  return (
    <>
      <section class="tiles" aria-label="This queue">
        <Tile label="Ready" value={count(queue.ready)} unit={bytes(queue.bytes)} />
        <Tile label="In flight" value={count(queue.leased)} unit={counted(queue.subscriptions ?? 0, 'consumer')} />
        <Tile label="Delayed" value={count(queue.delayed)} unit="and retrying" />
        <Tile
          label="Published"
          value={rate(rateOf(`published ${name}`, at, queue.published_total ?? 0))}
          unit="/s"
          curve={curveOf(`published ${name}`)}
        />
        <Tile
          label="Acked"
          value={rate(rateOf(`acked ${name}`, at, queue.acked_total ?? 0))}
          unit="/s"
          curve={curveOf(`acked ${name}`)}
        />
      </section>
      <h2>Open batches</h2>
      {lane.open.map(batch => (
        <BatchCard key={`${batch.state} ${batch.batch} ${batch.name}`} batch={batch} now={now} isInQueue />
      ))}
      {lane.open.length === 0 && (
        <Empty
          title="Nothing waits here"
          command={`npx sluice publish ${shellWord(name)} '{"item":"whisk"}' --barrier=eof-2026-11-20`}
        >
          No message is live, and no barrier waits.
        </Empty>
      )}
      <h2>Consumers</h2>
      <Consumers consumers={consumers} total={queue.subscriptions ?? 0} now={now} queue={name} />
      {lane.released.length > 0 && (
        <>
          <h2>Released lately</h2>
          <ReleasedTable released={[...lane.released].reverse().slice(0, 10)} now={now} isInQueue />
        </>
      )}
    </>
  )
}

function Consumers({
  consumers,
  total,
  now,
  queue,
}: {
  readonly consumers: readonly Consumer[]
  readonly total: number
  readonly now: string
  readonly queue: string
}) {
  const at = useNow(now)
  if (consumers.length === 0)
    return (
      <Empty title="No consumer" command={`npx sluice consume ${shellWord(queue)} --exec ./work`}>
        Nobody is subscribed to this queue, so nothing of it is delivered.
      </Empty>
    )
  return (
    <>
      <Table label="Consumers" head={['Consumer', 'Credit used', 'Takes', 'Has its oldest for']}>
        {consumers.map((consumer, index) => (
          <tr key={index}>
            <th scope="row">
              <bdi class="name">{consumer.name}</bdi> {consumer.is_pull && <Badge tone="plain">pull</Badge>}
              {consumer.is_stalled && <Badge tone="warn">! does not read</Badge>}
            </th>
            <td>
              <Credit used={consumer.used} of={consumer.prefetch} />
            </td>
            <td>
              {consumer.prefetch === 0 ? (
                'barriers only'
              ) : consumer.filter === undefined ? (
                <span class="muted">everything</span>
              ) : (
                <code>{consumer.filter}</code>
              )}
            </td>
            <td>
              {consumer.leased_at === undefined ? (
                <span class="muted">has none</span>
              ) : (
                duration(at - Date.parse(consumer.leased_at))
              )}
            </td>
          </tr>
        ))}
      </Table>
      {total > consumers.length && (
        <p class="muted">
          the first {count(consumers.length)} of {count(total)}
        </p>
      )}
    </>
  )
}

function Acts({ queue }: { readonly queue: QueuePart['queue'] }) {
  const { name, paused, ready = 0, leased = 0, delayed = 0, barriers_waiting: barriers = 0, subscriptions = 0 } = queue
  const settle = (word: string): string =>
    barriers === 0
      ? ''
      : ` ${counted(barriers, 'barrier that waits is', 'barriers that wait are')} released as ${word}.`
  const purge = (isAll: boolean) => () =>
    confirm({
      title: `Purge "${name}"?`,
      text: `${lost(ready + delayed + (isAll ? leased : 0))} will be lost: ${count(ready)} ready, ${count(delayed)} delayed${
        isAll
          ? `, ${count(leased)} in flight`
          : `; ${count(leased)} in flight stay with their consumers, unless their batch has a barrier`
      }.${settle('cancelled')}`,
      button: 'Purge',
      typed: typedFor(name, ready + delayed + (isAll ? leased : 0)),
      act: async () => {
        const { purged } = await ask<{ purged: number }>(
          'DELETE',
          path(['queues', name, 'messages'], { leased: isAll ? 'true' : undefined }),
        )
        return `${lost(purged)} purged from ${name}`
      },
    })
  const remove = (): void =>
    confirm({
      title: `Delete "${name}"?`,
      text: `The queue and ${lost(ready + delayed + leased)} will be lost, with its settings and records. ${counted(subscriptions, 'consumer is', 'consumers are')} sent away.`,
      button: 'Delete the queue',
      typed: typedFor(name, ready + delayed + leased),
      act: async () => {
        await ask('DELETE', path(['queues', name]))
        location.hash = place(['queues'])
        return `The queue ${name} is deleted`
      },
    })
  return (
    <div class="acts">
      <button
        type="button"
        onClick={() =>
          act(paused ? 'The queue goes on' : 'The queue is paused', () =>
            ask('POST', path(['queues', name, paused ? 'resume' : 'pause'])),
          )
        }
      >
        {paused ? 'Resume' : 'Pause'}
      </button>
      <Menu title="Purge…">
        <button type="button" onClick={purge(false)}>
          what is not in flight
        </button>
        <button type="button" class="danger" onClick={purge(true)}>
          everything
        </button>
      </Menu>
      <button type="button" class="danger" onClick={remove}>
        Delete…
      </button>
    </div>
  )
}

/** A name as one word of a shell, to be copied. */
function shellWord(name: string): string {
  return /^[\w.@/-]+$/.test(name) ? name : `'${name.replaceAll("'", `'\\''`)}'`
}
