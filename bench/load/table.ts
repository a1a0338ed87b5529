import { type Figures, type Spread, spreadOf } from './figures.ts'
import { FLUSH_BYTES } from './flush.ts'
import type { Measured } from './measure.ts'
import type { Results } from './results.ts'

const HEAD = ['workload', 'body', 'system', 'messages/s', 'min – max', '× echo', 'server µs', 'client µs', 'server MB']
/** The first columns hold words, the others figures. */
const WORD_COLUMNS = 3
/** From a measurement of this length on its memory is shown over the time. */
const MEMORY_FROM_SECONDS = 60

const MEANING = 'µs: CPU time per message, all threads, median. Every message was consumed exactly once.'

/** The results as a person reads them on a terminal. */
export function resultsText(results: Results): string {
  return [...heading(results), '', ...aligned(rowsOf(results)), '', ...details(results), MEANING].join('\n')
}

/** The same as Markdown. */
export function resultsMarkdown(results: Results): string {
  const [head = [], ...rows] = rowsOf(results)
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const rule = head.map((_, column) => (column < WORD_COLUMNS ? '---' : '---:'))
  const list = (lines: readonly string[]) => lines.map(text => `- ${text}`)
  return [
    `# ${results.options.name}, ${results.date.slice(0, 10)}`,
    '',
    ...list(heading(results)),
    '',
    ...[head, rule, ...rows].map(line),
    '',
    ...list([...details(results), MEANING]),
    '',
  ].join('\n')
}

/** What was measured, and on what. */
function heading({ machine, commit, options, baseline: { flushesPerSecond }, results }: Results): string[] {
  const systems = new Map(results.map(({ system, version, durability }) => [system, `${version}, ${durability}`]))
  return [
    `${machine.cpu}, ${machine.cores} cores, ${machine.fileSystem}, Node ${machine.node}, load ${machine.loadBefore}; commit ${commit}`,
    `codec ${options.codec}, window ${options.window}, prefetch ${options.prefetch}, ${options.consumers} consumers, ${options.rounds} rounds`,
    ...[...systems].map(([system, said]) => `${system} ${said}`),
    `disk: ${whole(flushesPerSecond.median)} flushes/s of ${FLUSH_BYTES / 1024} KiB (${whole(flushesPerSecond.min)} – ${whole(flushesPerSecond.max)})`,
  ]
}

function rowsOf({ options, baseline: { echo }, results }: Results): string[][] {
  return [
    HEAD,
    ['baseline', `${Math.min(...options.bodies)} B`, 'echo', ...cells(echo, 1)],
    ...results.map(result => [
      result.workload,
      `${result.bodyBytes} B`,
      result.system,
      ...cells(result, result.timesEcho),
    ]),
  ]
}

/** What only some workloads have: median over the rounds. */
function details({ results }: Results): string[] {
  return results.flatMap(({ workload, system, rounds }) => {
    const middle = (figure: (round: Measured) => number | undefined): string => {
      const { median } = spreadOf(rounds.map(round => figure(round) ?? Number.NaN))
      return median.toFixed(median < 100 ? 2 : 0)
    }
    const name = `${workload} ${system}`
    const ms = (what: 'receive' | 'confirm') =>
      (['p50', 'p99', 'p999'] as const).map(part => middle(({ latency }) => latency?.[what][part])).join(' / ')
    if (rounds[0]?.latency !== undefined)
      return [`${name}: p50 / p99 / p99.9 from publish to receipt ${ms('receive')} ms, to confirm ${ms('confirm')} ms`]
    if (rounds[0]?.startMs !== undefined)
      return [
        `${name}: ${middle(({ startMs }) => startMs)} ms from process start to the first delivery; ` +
          `${middle(({ diskBytes = Number.NaN }) => diskBytes / 2 ** 20)} MiB of disk; ` +
          `server MB with all of it waiting, ${middle(({ drainedRssBytes = Number.NaN }) => drainedRssBytes / 1e6)} MB after it was drained`,
      ]
    const seconds = (rounds[0]?.ms ?? 0) / 1000
    if (seconds >= MEMORY_FROM_SECONDS)
      return [`${name}: server MB in each tenth of ${whole(seconds)} s: ${memoryOf(rounds[0]!)}`]
    if (workload === 'W7') return [`${name}: ${middle(round => round.ms / 1000)} s for the job`]
    return []
  })
}

function memoryOf({ windowMemory }: Measured): string {
  const resident = windowMemory.map(({ rss }) => whole(rss / 1e6)).join(' ')
  const heap = windowMemory.flatMap(({ heap: bytes }) => (bytes === undefined ? [] : [whole(bytes / 1e6)]))
  return heap.length === 0 ? resident : `${resident}; of its heap ${heap.join(' ')}`
}

function cells(figures: Figures, timesEcho: number): string[] {
  const { messagesPerSecond: rate, serverMicros, clientMicros, serverRssBytes } = figures
  return [
    whole(rate.median),
    `${whole(rate.min)} – ${whole(rate.max)}`,
    timesEcho.toFixed(2),
    micros(serverMicros),
    micros(clientMicros),
    whole(serverRssBytes.median / 1e6),
  ]
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map(row => row[column]!.length)))
  return rows.map(row =>
    row
      .map((cell, column) => (column < WORD_COLUMNS ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd(),
  )
}

const NUMBERS = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })

function whole(value: number): string {
  return NUMBERS.format(value)
}

function micros({ median }: Spread): string {
  return median.toFixed(median < 10 ? 2 : 1)
}
