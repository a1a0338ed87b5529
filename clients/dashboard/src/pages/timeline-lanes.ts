import { barrierName } from '../format.ts'
import type { Lane } from '../shapes.ts'

/** One batch in its lane; times in ms. */
export interface Bar {
  readonly key: string
  readonly name: string
  readonly from: number
  readonly to: number
  readonly tone: string
  readonly words: string
  readonly mark: string
  readonly hasGate: boolean
  /** Of those that are open at once, which row and of how many. */
  readonly row: number
  readonly rows: number
}

/** Open batches of a lane that are drawn. */
const ROWS_MAX = 2

/** A barrier that went on to another lane. */
export interface Link {
  readonly key: string
  readonly words: string
  readonly fromLane: number
  readonly fromAt: number
  readonly toLane: number
  readonly toAt: number
}

const MARKS: Readonly<Record<string, string>> = {
  clean: '✓',
  'with-dead': '!',
  failed: '✕',
  cancelled: '✕',
  expired: '✕',
}
const SPAN_MS_MIN = 1_000

export function lanesOf(
  items: readonly Lane[],
  now: number,
  spanMs: number,
): {
  readonly lanes: readonly { readonly queue: string; readonly bars: readonly Bar[] }[]
  readonly links: readonly Link[]
  readonly from: number
  readonly to: number
} {
  const oldest = now - spanMs
  const all = items.map(lane => ({ queue: lane.queue, bars: barsOf(lane, now).filter(({ to }) => to >= oldest) }))
  const first = Math.min(now - SPAN_MS_MIN, ...all.flatMap(({ bars }) => bars.map(({ from }) => from)))
  return { lanes: all, links: linksOf(items, Math.max(oldest, first)), from: Math.max(oldest, first), to: now }
}

function barsOf({ released, open }: Lane, now: number): Bar[] {
  return [
    ...released.map(record => ({
      key: `${record.sequence}`,
      name: barrierName(record),
      from: Date.parse(record.stats.first_published_at ?? record.published_at),
      to: Date.parse(record.released_at),
      tone: record.outcome,
      words: record.outcome,
      mark: MARKS[record.outcome] ?? '',
      hasGate: true,
      row: 0,
      rows: 1,
    })),
    ...open.slice(0, ROWS_MAX).map((batch, row, { length }) => ({
      key: `open ${batch.batch} ${batch.name}`,
      name: barrierName(batch),
      from: Date.parse(batch.first_published_at ?? batch.published_at ?? new Date(now).toISOString()),
      to: now,
      tone: batch.state,
      words: batch.state === 'waiting' ? 'its barrier waits' : 'open',
      mark: '…',
      hasGate: batch.state === 'waiting',
      row,
      rows: length,
    })),
  ]
}

/** From the release in one queue to the release in the next, where both are shown. */
function linksOf(items: readonly Lane[], from: number): Link[] {
  const places = new Map<string, { lane: number; at: number }>()
  for (const [lane, { released }] of items.entries())
    for (const { queue, sequence, released_at: at } of released)
      places.set(`${queue} ${sequence}`, { lane, at: Date.parse(at) })
  return items.flatMap(({ released }, toLane) =>
    released.flatMap(record =>
      (record.batches ?? []).flatMap(({ queue, sequence }) => {
        const origin = places.get(`${queue} ${sequence}`)
        if (origin === undefined || origin.at < from) return []
        return [
          {
            key: `${queue} ${sequence} ${record.queue} ${record.sequence}`,
            words: `${barrierName(record)} went on from ${queue} to ${record.queue}`,
            fromLane: origin.lane,
            fromAt: origin.at,
            toLane,
            toAt: Date.parse(record.released_at),
          },
        ]
      }),
    ),
  )
}
