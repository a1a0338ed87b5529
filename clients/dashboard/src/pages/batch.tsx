import { ask, path } from '../api.ts'
import { barrierName, clock, count, duration } from '../format.ts'
import { useLive } from '../live/use-live.ts'
import { act, confirm, lost } from '../parts/acting.tsx'
import { BatchState, took } from '../parts/batch-card.tsx'
import { BatchPicture, Parties } from '../parts/batch-picture.tsx'
import { Empty, Menu, Outcome, Waiting } from '../parts/common.tsx'
import { Holdouts } from '../parts/holdouts.tsx'
import { Body } from '../parts/message.tsx'
import { place } from '../route.ts'
import type { Barrier, BatchPart, Head } from '../shapes.ts'

/** One batch: how far it is, and what holds it. */
export function Batch({ queue, barrier: name }: { readonly queue: string; readonly barrier: string }) {
  const { data, refused } = useLive('batch', { queue, barrier: name })
  return (
    <>
      <nav class="trail" aria-label="Where you are">
        <a href={place(['queues', queue])}>
          <bdi class="name">{queue}</bdi>
        </a>
        <span aria-hidden="true"> ▸ </span>
        <h1>
          <bdi class="name">{name}</bdi>
        </h1>
      </nav>
      {data === undefined ? <Waiting refused={refused} /> : <Shown data={data} />}
    </>
  )
}

function Shown({ data }: { readonly data: BatchPart & Head }) {
  const { barrier, rights, behind, now, holdouts, queue } = data
  const isReleased = barrier.state === 'released'
  const at = Date.parse(now)
  const { progress } = barrier
  const isLeft = progress !== undefined && progress.acked + progress.dead < progress.published
  return (
    <>
      <div class="bar-above">
        {isReleased ? (
          <p class="state">
            <Outcome outcome={barrier.outcome ?? ''} />
            {barrier.released_at !== undefined && <span>released {clock(barrier.released_at, at)}</span>}
          </p>
        ) : (
          <BatchState
            now={now}
            batch={{
              state: barrier.state === 'gathering' ? 'gathering' : 'waiting',
              paused: data.paused,
              is_head: data.is_head,
              forward: data.forward,
              ...(barrier.deadline_at === undefined ? {} : { deadline_at: barrier.deadline_at }),
            }}
          />
        )}
        {rights.includes('admin') && <Acts data={data} />}
      </div>
      {progress === undefined ? (
        <p class="note">Your token shows only some messages of this queue, so no counts are told.</p>
      ) : (
        <article class="card hero">
          <BatchPicture
            progress={progress}
            gate={isReleased ? 'open' : barrier.state === 'gathering' ? 'absent' : 'closed'}
            behind={behind}
            now={now}
          />
        </article>
      )}
      {!isReleased && (
        <section>
          <h2>Holding it</h2>
          {data.paused && (
            <p class="note warn-text">
              Ⅱ The queue is paused: nothing is delivered, and no barrier is released.{' '}
              {rights.includes('admin') && (
                <button
                  type="button"
                  onClick={() => act('The queue goes on', () => ask('POST', path(['queues', queue, 'resume'])))}
                >
                  Resume
                </button>
              )}
            </p>
          )}
          {data.subscriptions === 0 && isLeft && (
            <p class="note warn-text">
              ! No consumer is subscribed. Start one: <code>npx sluice consume {queue} --exec ./work</code>
            </p>
          )}
          {!data.is_head && barrier.state === 'waiting' && (
            <p class="note">An earlier barrier of this queue waits too; this one follows it.</p>
          )}
          {barrier.parties !== undefined && barrier.state === 'gathering' && (
            <Parties count={barrier.parties.count} arrived={barrier.parties.count - barrier.parties.missing} />
          )}
          {holdouts.length > 0 && (
            <div class="card">
              <Holdouts queue={queue} holdouts={holdouts} rights={rights} now={now} />
              {progress !== undefined && <More progress={progress} shown={holdouts.length} />}
            </div>
          )}
          {holdouts.length === 0 && !isLeft && barrier.state === 'waiting' && !data.paused && (
            <p class="muted">No message holds it any more.</p>
          )}
        </section>
      )}
      <Facts barrier={barrier} at={at} />
    </>
  )
}

function More({ progress, shown }: { readonly progress: NonNullable<Barrier['progress']>; readonly shown: number }) {
  const left = progress.leased + progress.ready + progress.delayed
  if (left <= shown) return null
  return (
    <p class="muted">
      the first {count(shown)} of {count(left)}, the oldest first
    </p>
  )
}

function Acts({ data }: { readonly data: BatchPart }) {
  const { queue, barrier } = data
  const { progress } = barrier
  const title = barrierName(barrier)
  const which = barrier.state === 'gathering' ? (barrier.name ?? '') : `@${barrier.sequence}`
  const left = progress === undefined ? 0 : progress.leased + progress.ready + progress.delayed
  const dead = progress?.dead ?? 0
  const cancel = (rest: 'carry' | 'dead-letter' | 'drop') => () =>
    confirm({
      title: 'Cancel this batch?',
      text: `The barrier "${title}" is released now, with the outcome cancelled. ${RESTS[rest](left)}`,
      button: 'Cancel the batch',
      act: async () => {
        await ask('POST', path(['queues', queue, 'barriers', which, 'cancel'], { rest }))
        return `The batch ${title} is cancelled`
      },
    })
  const extend = (): void =>
    confirm({
      title: 'New deadline',
      text: `How long from now until the batch "${title}" is ended early.`,
      button: 'Set the deadline',
      isHarmless: true,
      input: { label: 'From now', value: '1h', hint: 'for example 30m, 6h, 2d' },
      act: async value => {
        await ask('POST', path(['queues', queue, 'barriers', which, 'extend'], { deadline: value }))
        return 'The deadline is set'
      },
    })
  const requeue = (): void =>
    confirm({
      title: 'Requeue the dead letters of this batch?',
      text: `${lost(dead)} of this batch ended dead. Those that are dead letters go back into "${queue}", with new attempts${barrier.state === 'released' ? '; its barrier is released, so they join the batch that is open now' : ', in this batch'}.`,
      button: 'Requeue',
      isHarmless: true,
      act: async () => {
        const { requeued } = await ask<{ requeued: number }>(
          'POST',
          path(['queues', queue, 'dead', 'requeue'], { batch: which }),
        )
        return `${lost(requeued)} requeued`
      },
    })
  return (
    <div class="acts">
      {dead > 0 && (
        <button type="button" onClick={requeue}>
          Requeue dead letters…
        </button>
      )}
      {barrier.state !== 'released' && (
        <>
          <button type="button" onClick={extend}>
            Set deadline…
          </button>
          <Menu title="Cancel…">
            <button type="button" onClick={cancel('carry')}>
              and carry the rest on
            </button>
            <button type="button" onClick={cancel('dead-letter')}>
              and dead-letter the rest
            </button>
            <button type="button" class="danger" onClick={cancel('drop')}>
              and drop the rest
            </button>
          </Menu>
        </>
      )}
    </div>
  )
}

const RESTS = {
  carry: (left: number) => `${lost(left)} not done join the next batch; nothing is lost.`,
  'dead-letter': (left: number) => `${lost(left)} not done become dead letters.`,
  drop: (left: number) => `${lost(left)} not done will be lost.`,
} as const

function Facts({ barrier, at }: { readonly barrier: Barrier; readonly at: number }) {
  const { stats, batches, parties } = barrier
  const body = barrier.body ?? barrier.body_base64
  return (
    <section>
      <h2>Facts</h2>
      <dl class="facts">
        <dt>Sequence number</dt>
        <dd>#{count(barrier.sequence)}</dd>
        <dt>Batch number</dt>
        <dd>{count(barrier.batch)}</dd>
        <dt>Barrier published</dt>
        <dd>{clock(barrier.published_at, at)}</dd>
        {stats?.first_published_at !== undefined && (
          <>
            <dt>First message</dt>
            <dd>{clock(stats.first_published_at, at)}</dd>
          </>
        )}
        {stats !== undefined && barrier.released_at !== undefined && (
          <>
            <dt>Took</dt>
            <dd>{took({ stats, published_at: barrier.published_at, released_at: barrier.released_at })}</dd>
            <dt>Dead-lettered, expired, dropped, carried on</dt>
            <dd>
              {count(stats.dead)}, {count(stats.expired)}, {count(stats.dropped)}, {count(stats.carried)}
            </dd>
          </>
        )}
        {barrier.state === 'waiting' && (
          <>
            <dt>Waits for</dt>
            <dd>{duration(at - Date.parse(barrier.published_at))}</dd>
          </>
        )}
        {parties !== undefined && (
          <>
            <dt>Parties</dt>
            <dd>
              {count(parties.count - parties.missing)} of {count(parties.count)}:{' '}
              <bdi class="name">{parties.arrived.slice(0, 50).join(', ')}</bdi>
            </dd>
          </>
        )}
        {batches?.map(summary => (
          <>
            <dt>Came through</dt>
            <dd>
              <bdi class="name">{summary.queue}</bdi> <Outcome outcome={summary.outcome} />
            </dd>
          </>
        ))}
      </dl>
      {body !== undefined && body !== '' && (
        <>
          <h3>Body</h3>
          <Body body={barrier.body} base64={barrier.body_base64} />
        </>
      )}
      {barrier.state === 'gathering' && (
        <Empty title="Waits for its parties">
          It has no place in the queue and holds nothing until the last one has come.
        </Empty>
      )}
    </section>
  )
}
