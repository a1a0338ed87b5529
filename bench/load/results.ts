import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { chart } from './chart.ts'
import type { Figures, Spread } from './figures.ts'
import type { Machine } from './machine.ts'
import type { Options } from './options.ts'
import type { Run } from './run.ts'
import { resultsMarkdown } from './table.ts'

/** What a call of the bench found: the file in `bench/results`. */
export interface Results {
  /** ISO 8601. */
  readonly date: string
  readonly machine: Machine
  readonly commit: string
  readonly options: Options
  readonly baseline: Baseline
  readonly results: readonly Result[]
}

/** The bare machine, measured in the same rounds. */
interface Baseline {
  /** Appends of 64 KiB, each flushed, per second. */
  readonly flushesPerSecond: Spread
  /** A message in a WebSocket frame to a server and back, with the same window and the smallest body. */
  readonly echo: Figures
}

export interface Result extends Figures {
  readonly system: string
  readonly version: string
  readonly durability: string
  readonly workload: string
  readonly bodyBytes: number
  /** Median rate as a multiple of the echo's. */
  readonly timesEcho: number
  readonly rounds: readonly Run[]
}

/** Writes them as JSON, Markdown and a chart. @returns where the JSON is; files of the same day and name are replaced */
export function writeResults(results: Results): string {
  // Where they are is no part of what was measured.
  const { outFolder, ...options } = results.options
  mkdirSync(outFolder, { recursive: true })
  const file = (ending: string) => join(outFolder, `${results.date.slice(0, 10)}-${options.name}.${ending}`)
  writeFileSync(file('json'), `${JSON.stringify({ ...results, options }, null, 2)}\n`)
  writeFileSync(file('md'), resultsMarkdown(results))
  writeFileSync(file('svg'), chart(results))
  return file('json')
}
