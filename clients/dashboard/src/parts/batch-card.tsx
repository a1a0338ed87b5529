import { barrierName, clock, counted, duration, rate } from '../format.ts'
import { place } from '../route.ts'
import type { OpenBatch, Released } from '../shapes.ts'
import { Bar, Legend } from './bar.tsx'
import { BatchPicture } from './batch-picture.tsx'
import { Badge, Outcome, Table } from './common.tsx'
import { Holdouts } from './holdouts.tsx'
import { useNow } from './now.ts'

/** One batch that is not released. */
export function BatchCard({
  batch,
  now,
  isInQueue,
}: {
  readonly batch: OpenBatch
  readonly now: string
  readonly isInQueue?: boolean
}) {
  const { queue, state, paused, is_head: isHead, progress, behind, holdouts, rights, parties } = batch
  if (state === 'open') return <OpenRow batch={batch} isInQueue={isInQueue === true} />
  const title = barrierName(batch)
  const href = place(['batches', queue, batch.name ?? `@${batch.sequence}`])
  return (
    <article class={`card ${state}`}>
      <header>
        <h3>
          {!isInQueue && (
            <>
              <a class="from" href={place(['queues', queue])}>
                <bdi class="name">{queue}</bdi>
              </a>
              <span class="muted" aria-hidden="true">
                {' ▸ '}
              </span>
            </>
          )}
          <a href={href}>
            <bdi class="name">{title}</bdi>
          </a>
        </h3>
        <BatchState batch={batch} now={now} />
      </header>
      <BatchPicture progress={progress} gate={state === 'waiting' ? 'closed' : 'absent'} behind={behind} now={now} />
      {parties !== undefined && state === 'gathering' && (
        <p class="note">
          <b>{parties.arrived}</b> of {counted(parties.count, 'party', 'parties')} arrived; it holds nothing until the
          last one has
        </p>
      )}
      {batch.subscriptions === 0 && progress.published > progress.acked + progress.dead && !paused && isHead && (
        <p class="note warn-text">! No consumer is subscribed to this queue.</p>
      )}
      {holdouts !== undefined && holdouts.length > 0 && (
        <div class="holding">
          <h4>Holding it</h4>
          <Holdouts queue={queue} holdouts={holdouts} rights={rights} now={now} />
        </div>
      )}
    </article>
  )
}

/** A batch without a barrier is no more than what is in its queue now: a line is enough. */
function OpenRow({ batch, isInQueue }: { readonly batch: OpenBatch; readonly isInQueue: boolean }) {
  const { queue, paused, is_head: isHead, progress, subscriptions } = batch
  const isIdle = isHead && !paused && subscriptions === 0
  return (
    <article class="card open">
      <h3>
        {isInQueue ? (
          'No barrier yet'
        ) : (
          <a href={place(['queues', queue])}>
            <bdi class="name">{queue}</bdi>
          </a>
        )}
      </h3>
      <Bar progress={progress} />
      <Legend progress={progress} isShort />
      <p class="muted">
        {paused && <Badge tone="warn">Ⅱ paused</Badge>}
        {!isHead && 'behind a barrier'}
        {isIdle && <span class="warn-text">! no consumer</span>}
        {progress.rate_per_second !== undefined && (
          <>
            <b>{rate(progress.rate_per_second)}</b>/s
          </>
        )}
      </p>
    </article>
  )
}

export function BatchState({
  batch,
  now,
}: {
  readonly batch: Pick<OpenBatch, 'state' | 'paused' | 'is_head' | 'deadline_at' | 'forward'>
  readonly now: string
}) {
  const at = useNow(now)
  const { state, paused, is_head: isHead, deadline_at: deadline, forward } = batch
  return (
    <p class="state">
      {paused && <Badge tone="warn">Ⅱ paused</Badge>}
      {state === 'gathering' && <Badge tone="plain">parties gather</Badge>}
      {state === 'open' && <Badge tone="plain">open, no barrier yet</Badge>}
      {state === 'waiting' &&
        (isHead ? <Badge tone="main">in turn</Badge> : <Badge tone="plain">waits its turn</Badge>)}
      {forward.length > 0 && (
        <span class="muted">
          goes on to <bdi class="name">{forward.join(', ')}</bdi>
        </span>
      )}
      {deadline !== undefined && (
        <span class={Date.parse(deadline) < at + 60_000 ? 'bad-text' : 'muted'}>
          deadline {clock(deadline, at)},{' '}
          {Date.parse(deadline) < at ? 'passed' : `in ${duration(Date.parse(deadline) - at)}`}
        </span>
      )}
    </p>
  )
}

/** What is done: the latest first. */
export function ReleasedTable({
  released,
  now,
  isInQueue,
}: {
  readonly released: readonly Released[]
  readonly now: string
  readonly isInQueue?: boolean
}) {
  const at = Date.parse(now)
  return (
    <Table
      label="Released barriers"
      head={[
        ...(isInQueue ? [] : ['Queue']),
        'Barrier',
        'Outcome',
        'Released',
        ['Acked', 'number'],
        ['Dead', 'number'],
        ['Took', 'number'],
      ]}
    >
      {released.map(record => (
        <tr key={`${record.queue} ${record.sequence}`}>
          {!isInQueue && (
            <td>
              <a href={place(['queues', record.queue])}>
                <bdi class="name">{record.queue}</bdi>
              </a>
            </td>
          )}
          <td>
            <a href={place(['batches', record.queue, record.name ?? `@${record.sequence}`])}>
              <bdi class="name">{barrierName(record)}</bdi>
            </a>
          </td>
          <td>
            <Outcome outcome={record.outcome} />
          </td>
          <td>{clock(record.released_at, at)}</td>
          <td class="number">{record.stats.acked.toLocaleString('en')}</td>
          <td class="number">
            {(record.stats.dead + record.stats.expired + record.stats.dropped).toLocaleString('en')}
          </td>
          <td class="number">{took(record)}</td>
        </tr>
      ))}
    </Table>
  )
}

export function took({
  stats,
  published_at: publishedAt,
  released_at: releasedAt,
}: Pick<Released, 'stats' | 'published_at' | 'released_at'>): string {
  return duration(Date.parse(releasedAt) - Date.parse(stats.first_published_at ?? publishedAt))
}
