import { count, rate } from '../format.ts'
import { curveOf, rateOf } from '../live/rates.ts'
import { useLive } from '../live/use-live.ts'
import { BatchCard, ReleasedTable } from '../parts/batch-card.tsx'
import { Empty, Pager, Search, Tile, Waiting } from '../parts/common.tsx'
import { type Place, place } from '../route.ts'
import type { Head, Views } from '../shapes.ts'

/** Open batches first: what is asked of a server at night is whether the batch is done, and if not, why. */
export function Batches({ at }: { readonly at: Place }) {
  const { data, refused } = useLive('batches', { page: at.query['page'], text: at.query['text'] })
  if (data === undefined) return <Waiting refused={refused} />
  const { items, totals, released, now } = data
  const isNew = totals.queues === 0
  const closed = items.filter(({ state }) => state !== 'open')
  const open = items.filter(({ state }) => state === 'open')
  return (
    <>
      <h1 class="hidden">Batches</h1>
      <Figures data={data} />
      {data.stopped !== undefined && (
        <p class="notice bad" role="alert">
          <b>Nothing can be published:</b> {data.stopped}. Consumers go on.
        </p>
      )}
      {totals.paused > 0 && (
        <p class="notice warn">
          Ⅱ{' '}
          <a href={place(['queues'], { only: 'paused' })}>
            {totals.paused === 1 ? '1 queue is' : `${count(totals.paused)} queues are`} paused
          </a>
          : no deliveries, no barrier is released there.
        </p>
      )}
      <div class="bar-above">
        <h2>Open batches</h2>
        <Search at={at} label="Queue name contains" />
      </div>
      {closed.map(batch => (
        <BatchCard key={`${batch.queue} ${batch.state} ${batch.batch} ${batch.name}`} batch={batch} now={now} />
      ))}
      {closed.length === 0 && open.length > 0 && (
        <p class="muted">No barrier waits. Put one behind what is there, and its batch is here with its gate.</p>
      )}
      {open.length > 0 && (
        <>
          <h2>No barrier yet</h2>
          <div class="rows">
            {open.map(batch => (
              <BatchCard key={batch.queue} batch={batch} now={now} />
            ))}
          </div>
        </>
      )}
      {items.length > 0 && <Pager at={at} {...data} what="batch" />}
      {items.length === 0 && isNew && (
        <Empty
          title="No queues yet"
          command={
            'npx sluice queue declare sales --lease 60s\nnpx sluice publish sales \'{"item":"whisk"}\' --barrier=eof-2026-11-20'
          }
        >
          Declare a queue, publish to it and put a barrier behind: the batch appears here, and its gate opens when
          everything before it is done.
        </Empty>
      )}
      {items.length === 0 && !isNew && (
        <Empty
          title={at.query['text'] ? 'No open batch of such a queue' : 'Everything is done'}
          command="npx sluice publish sales '{&quot;item&quot;:&quot;whisk&quot;}' --barrier=eof-2026-11-20"
        >
          No message is waiting in any queue that you can see, and no barrier. Publish some, put a barrier behind them,
          and watch here how they are worked off.
        </Empty>
      )}
      {released.length > 0 && (
        <>
          <h2>Released lately</h2>
          <ReleasedTable released={released} now={now} />
        </>
      )}
    </>
  )
}

function Figures({ data }: { readonly data: Views['batches'] & Head }) {
  const { totals } = data
  const at = Date.parse(data.now)
  return (
    <section class="tiles" aria-label="The whole server">
      <Tile
        label="Published"
        value={rate(rateOf('published', at, totals.published))}
        unit="/s"
        curve={curveOf('published')}
      />
      <Tile label="Acked" value={rate(rateOf('acked', at, totals.acked))} unit="/s" curve={curveOf('acked')} />
      <Tile label="In flight" value={count(totals.leased)} unit={`of ${count(totals.live)} live`} />
      <Tile
        label="Dead letters"
        value={count(totals.dead)}
        href={place(['dead'])}
        {...(totals.dead > 0 ? { tone: 'bad' } : {})}
      />
    </section>
  )
}
