import type { Figures, Spread } from './figures.ts'
import { FLUSH_BYTES } from './flush.ts'
import type { Results } from './results.ts'

const HEAD = ['workload', 'body', 'system', 'messages/s', 'min – max', '× echo', 'server µs', 'client µs', 'server MB']
/** The first columns hold words, the others figures. */
const WORD_COLUMNS = 3

/** The results as a person reads them on a terminal. */
export function resultsText({ machine, commit, options, baseline, results }: Results): string {
  const { flushesPerSecond, echo } = baseline
  const rows = [
    HEAD,
    ['baseline', `${Math.min(...options.bodies)} B`, 'echo', ...cells(echo, 1)],
    ...results.map(result => [
      result.workload,
      `${result.bodyBytes} B`,
      result.system,
      ...cells(result, result.timesEcho),
    ]),
  ]
  const systems = new Map(results.map(({ system, version, durability }) => [system, `${version}, ${durability}`]))
  return [
    `${machine.cpu}, ${machine.cores} cores, ${machine.fileSystem}, Node ${machine.node}, load ${machine.loadBefore}; commit ${commit}`,
    `codec ${options.codec}, window ${options.window}, prefetch ${options.prefetch}, ${options.consumers} consumers, ${options.rounds} rounds`,
    ...[...systems].map(([system, said]) => `${system} ${said}`),
    `disk: ${whole(flushesPerSecond.median)} flushes/s of ${FLUSH_BYTES / 1024} KiB (${whole(flushesPerSecond.min)} – ${whole(flushesPerSecond.max)})`,
    '',
    ...aligned(rows),
    '',
    'µs: CPU time per message, all threads, median. Every message was consumed exactly once.',
  ].join('\n')
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
