import { clock, count, duration } from '../format.ts'
import { useLive } from '../live/use-live.ts'
import { ReleasedTable } from '../parts/batch-card.tsx'
import { Empty, Pager, Search, Waiting } from '../parts/common.tsx'
import { choose, type Place, place } from '../route.ts'
import type { Head, Views } from '../shapes.ts'
import { type Bar, type Link, lanesOf } from './timeline-lanes.ts'

const SPANS = [
  ['', 'all that is known', Number.POSITIVE_INFINITY],
  ['10m', 'last 10 minutes', 600_000],
  ['1h', 'last hour', 3_600_000],
  ['1d', 'last day', 86_400_000],
] as const

const LANE_HEIGHT = 46

/** Batches of each queue in time; a barrier that went on is joined to where it came. */
export function Timeline({ at }: { readonly at: Place }) {
  const { data, refused } = useLive('timeline', { page: at.query['page'], text: at.query['text'] })
  const span = SPANS.find(([key]) => key === (at.query['span'] ?? '')) ?? SPANS[0]
  return (
    <>
      <div class="bar-above">
        <h1>Timeline</h1>
        <div class="choices">
          <label>
            <span class="hidden">How far back</span>
            <select value={span[0]} onChange={event => choose(at, { span: event.currentTarget.value })}>
              {SPANS.map(([key, words]) => (
                <option key={key} value={key}>
                  {words}
                </option>
              ))}
            </select>
          </label>
          <Search at={at} label="Queue name contains" />
        </div>
      </div>
      {data === undefined && <Waiting refused={refused} />}
      {data !== undefined && data.items.length === 0 && (
        <Empty
          title="No barriers yet"
          command="npx sluice publish sales '{&quot;item&quot;:&quot;whisk&quot;}' --barrier=eof-2026-11-20"
        >
          A queue has a lane here once a barrier was put into it. Its batches stand one after another, each with its
          gate.
        </Empty>
      )}
      {data !== undefined && data.items.length > 0 && (
        <>
          <Lanes data={data} spanMs={span[2]} />
          <Pager at={at} {...data} what="queue" />
          <h2>Released, as a table</h2>
          <ReleasedTable
            released={data.items
              .flatMap(lane => lane.released)
              .sort((a, b) => Date.parse(b.released_at) - Date.parse(a.released_at))
              .slice(0, 30)}
            now={data.now}
          />
        </>
      )}
    </>
  )
}

function Lanes({ data, spanMs }: { readonly data: Views['timeline'] & Head; readonly spanMs: number }) {
  const now = Date.parse(data.now)
  const { lanes, links, from, to } = lanesOf(data.items, now, spanMs)
  const x = (at: number): number => ((at - from) / (to - from)) * 100
  const ticks = [0, 0.25, 0.5, 0.75, 1].map(share => from + share * (to - from))
  return (
    <section class="lanes" aria-label="Batches in time; the table below tells the same">
      <div class="names">
        {lanes.map(({ queue }) => (
          <a key={queue} href={place(['queues', queue])}>
            <bdi class="name">{queue}</bdi>
          </a>
        ))}
      </div>
      <div class="times">
        <svg
          height={lanes.length * LANE_HEIGHT}
          width="100%"
          role="img"
          aria-label={`${count(lanes.length)} queues over ${duration(to - from)}`}
        >
          {ticks.map(tick => (
            <line key={tick} class="tick" x1={`${x(tick)}%`} x2={`${x(tick)}%`} y1="0" y2="100%" />
          ))}
          {lanes.map(({ queue, bars }, lane) => (
            <g key={queue}>
              {bars.map(bar => (
                <LaneBar key={bar.key} bar={bar} x={x} top={lane * LANE_HEIGHT} now={now} />
              ))}
            </g>
          ))}
          {links.map(link => (
            <Joined key={link.key} link={link} x={x} />
          ))}
        </svg>
        <div class="axis">
          {ticks.map(tick => (
            <span key={tick}>{clock(tick, now)}</span>
          ))}
        </div>
      </div>
    </section>
  )
}

function LaneBar({
  bar,
  x,
  top,
  now,
}: {
  readonly bar: Bar
  readonly x: (at: number) => number
  readonly top: number
  readonly now: number
}) {
  const left = Math.max(0, x(bar.from))
  const width = Math.max(0.3, x(bar.to) - left)
  const height = bar.rows === 1 ? 28 : 36 / bar.rows - 1
  const y = top + (bar.rows === 1 ? 9 : 5 + bar.row * (36 / bar.rows))
  return (
    <g>
      <title>
        {bar.name}: {bar.words}, {clock(bar.from, now)} to {clock(bar.to, now)}
      </title>
      <rect class={`span ${bar.tone}`} x={`${left}%`} y={y} width={`${width}%`} height={height} rx="3" />
      {bar.hasGate && (
        <line
          class={`post ${bar.tone}`}
          x1={`${left + width}%`}
          x2={`${left + width}%`}
          y1={y - 4}
          y2={y + height + 4}
        />
      )}
      {width > 7 && (
        <svg x={`${left}%`} y={y} width={`${width}%`} height={height} aria-hidden="true">
          <text class={bar.rows === 1 ? '' : 'small'} x="7" y={height / 2 + 4}>
            {bar.mark} {bar.name}
          </text>
        </svg>
      )}
    </g>
  )
}

function Joined({ link, x }: { readonly link: Link; readonly x: (at: number) => number }) {
  const y = (lane: number): number => lane * LANE_HEIGHT + 23
  return (
    <g class="joined">
      <title>{link.words}</title>
      <line x1={`${x(link.fromAt)}%`} y1={y(link.fromLane)} x2={`${x(link.toAt)}%`} y2={y(link.toLane)} />
      <circle cx={`${x(link.fromAt)}%`} cy={y(link.fromLane)} r="3.5" />
      <circle cx={`${x(link.toAt)}%`} cy={y(link.toLane)} r="3.5" />
    </g>
  )
}
