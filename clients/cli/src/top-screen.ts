import { drawBar } from './bar.ts'
import { count, counted, elapsed, rate } from './format.ts'
import { plain } from './table.ts'
import type { Talk } from './talk.ts'

/** A queue as it is shown; counts that a token is not told are NaN. */
export interface TopQueue {
  readonly name: string
  readonly isPaused: boolean
  readonly ready: number
  readonly leased: number
  readonly delayed: number
  /** A second. */
  readonly inRate: number
  readonly ackRate: number
  readonly consumers: number
  readonly barriers: number
}

export interface TopBarrier {
  readonly queue: string
  readonly name: string
  /** Of the parties that come, or of the messages before it. */
  readonly done: number
  readonly all: number
  readonly isGathering: boolean
  readonly ratePerSecond: number | undefined
  readonly etaMs: number | undefined
}

export interface TopView {
  readonly server: string
  /** What is wrong: nothing is read, or what is shown is old. */
  readonly trouble: string | undefined
  readonly queues: readonly TopQueue[]
  readonly barriers: readonly TopBarrier[]
}

export interface TopState {
  /** Index of the column it is sorted by. */
  sort: number
  isReversed: boolean
  /** Queues above the window. */
  offset: number
}

interface Column {
  readonly title: string
  readonly width: number
  readonly value: (queue: TopQueue) => number | string
}

const NAME_MIN = 12

export const COLUMNS: readonly Column[] = [
  { title: 'QUEUE', width: 0, value: queue => queue.name },
  { title: 'READY', width: 8, value: queue => queue.ready },
  { title: 'LEASED', width: 7, value: queue => queue.leased },
  { title: 'DELAYED', width: 8, value: queue => queue.delayed },
  { title: 'IN/S', width: 7, value: queue => queue.inRate },
  { title: 'ACK/S', width: 7, value: queue => queue.ackRate },
  { title: 'CONS', width: 5, value: queue => queue.consumers },
  { title: 'BARR', width: 5, value: queue => queue.barriers },
]

type Paint = Talk['style']

/**
 * The whole screen, a line each, none wider than the screen: head, queues, waiting barriers, keys. What does not fit is
 * scrolled to or left out, never wrapped.
 */
export function drawTop(
  view: TopView,
  state: TopState,
  { columns, rows }: { readonly columns: number; readonly rows: number },
  paint: Paint,
): readonly string[] {
  const width = Math.max(columns, 40)
  const barrierRows = Math.min(view.barriers.length, Math.max(1, Math.floor((rows - 5) / 3)))
  const barriers = drawBarriers(view, barrierRows, width, paint)
  const room = Math.max(1, rows - 4 - barriers.length)
  const sorted = sortedQueues(view.queues, state)
  state.offset = Math.max(0, Math.min(state.offset, sorted.length - room))
  const shown = sorted.slice(state.offset, state.offset + room)
  const lines = [
    headLine(view, width, paint),
    '',
    paint('bold', headOf(state, width)),
    ...shown.map(queue => rowOf(queue, width, paint)),
    ...Array.from({ length: Math.max(0, room - shown.length) }, () => ''),
    ...barriers,
    paint('dim', cut(keysLine(sorted.length, state.offset, shown.length), width)),
  ]
  return lines.slice(0, rows)
}

export function sortedQueues(queues: readonly TopQueue[], { sort, isReversed }: TopState): readonly TopQueue[] {
  const { value } = COLUMNS[sort] ?? COLUMNS[0]!
  // Names from A, numbers from the highest; equal ones by name, so that lines do not jump.
  const sign = isReversed ? -1 : 1
  return [...queues].sort((a, b) => sign * compared(value(a), value(b)) || (a.name < b.name ? -1 : 1))
}

function compared(a: number | string, b: number | string): number {
  if (typeof a === 'string' || typeof b === 'string') return a < b ? -1 : a > b ? 1 : 0
  return (Number.isNaN(b) ? -1 : b) - (Number.isNaN(a) ? -1 : a)
}

function headLine({ server, queues, barriers, trouble }: TopView, width: number, paint: Paint): string {
  if (trouble !== undefined) return paint('red', cut(` ✖ ${trouble}`, width))
  const sum = (of: (queue: TopQueue) => number) => queues.reduce((total, queue) => total + (of(queue) || 0), 0)
  const parts = [
    server,
    counted(queues.length, 'queue'),
    counted(barriers.length, 'barrier'),
    `in ${rate(sum(queue => queue.inRate))}`,
    `acked ${rate(sum(queue => queue.ackRate))}`,
  ]
  return cut(` ${parts.join('   ')}`, width)
}

function nameWidth(width: number): number {
  return Math.max(NAME_MIN, width - 2 - COLUMNS.reduce((sum, column) => sum + column.width + 1, 0))
}

function headOf({ sort, isReversed }: TopState, width: number): string {
  const titles = COLUMNS.map(({ title }, index) => (index === sort ? `${title}${isReversed ? '▲' : '▼'}` : title))
  return row(titles, width)
}

function rowOf(queue: TopQueue, width: number, paint: Paint): string {
  const cells = COLUMNS.map(({ value }, index) => {
    const shown = value(queue)
    return typeof shown === 'string' ? plain(shown) : short(shown, COLUMNS[index]?.width ?? 0)
  })
  const text = queue.isPaused ? row([`${cells[0]} (paused)`, ...cells.slice(1)], width) : row(cells, width)
  return queue.isPaused ? paint('yellow', text) : text
}

function row(cells: readonly string[], width: number): string {
  const [name = '', ...rest] = cells
  const numbers = rest.map((cell, index) => cell.padStart(COLUMNS[index + 1]?.width ?? 0))
  return cut(` ${[cut(name, nameWidth(width)).padEnd(nameWidth(width)), ...numbers].join(' ')}`, width)
}

/** `1,234,567`, or where that is too wide `12.3M`. */
function short(value: number, width: number): string {
  if (Number.isNaN(value)) return '?'
  const whole = count(value)
  if (whole.length <= width) return whole
  const [unit, size] = value >= 1e9 ? ['G', 1e9] : value >= 1e6 ? ['M', 1e6] : (['k', 1e3] as const)
  return `${(value / Number(size)).toFixed(1)}${unit}`
}

function drawBarriers({ barriers }: TopView, rowsMax: number, width: number, paint: Paint): readonly string[] {
  if (barriers.length === 0) return []
  const shown = barriers.length > rowsMax ? barriers.slice(0, Math.max(1, rowsMax - 1)) : barriers
  const names = shown.map(({ queue, name }) => plain(`${queue} ${name}`))
  const label = Math.min(Math.max(...names.map(name => name.length), NAME_MIN), Math.floor(width * 0.4))
  const lines = shown.map((barrier, index) => {
    const { done, all, isGathering, ratePerSecond, etaMs } = barrier
    const fraction = all > 0 ? done / all : all === 0 ? 1 : undefined
    const step = {
      label: '',
      ...(fraction === undefined ? {} : { fraction }),
      parts: [
        isGathering ? `${count(done)} of ${count(all)} parties` : `${count(all - done)} left`,
        ...(etaMs === undefined ? [] : [`${elapsed(etaMs)} to go`]),
        ...(ratePerSecond === undefined ? [] : [rate(ratePerSecond)]),
      ],
      report: {},
    }
    const name = cut(names[index] ?? '', label).padEnd(label)
    // `drawBar` begins with an empty label of ten columns.
    return ` ${name} ${drawBar(step, width - label - 2 + 10, paint).slice(10)}`
  })
  const more = barriers.length - shown.length
  return [paint('bold', ' BARRIERS'), ...lines, ...(more > 0 ? [` … and ${count(more)} more`] : [])]
}

function keysLine(all: number, offset: number, shown: number): string {
  const place = all > shown ? `   ${offset + 1}–${offset + shown} of ${count(all)}` : ''
  return ` q quit   ←→ sort by   r reverse   ↑↓ scroll${place}`
}

function cut(text: string, width: number): string {
  const characters = [...text]
  return characters.length <= width ? text : `${characters.slice(0, Math.max(0, width - 1)).join('')}…`
}
