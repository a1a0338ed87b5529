import { parseArgs } from 'node:util'
import { Bench, type Statistics } from 'tinybench'
import { codecs } from './codecs.ts'
import { core } from './core.ts'
import { filters } from './filters.ts'
import { journals } from './journals.ts'
import type { Case } from './part.ts'

/** What the parts cost, alone and on one thread: in µs a message, whatever the size of the step that was timed. */
const PARTS = { codecs, core, filters, journals } as const

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { ms: { type: 'string', default: '500' }, json: { type: 'boolean', default: false } },
})

const wanted = positionals.length === 0 ? Object.keys(PARTS) : positionals
for (const name of wanted) {
  if (!(name in PARTS)) throw new Error(`there is no part ${name}, only ${Object.keys(PARTS).join(', ')}`)
}
for (const name of wanted as (keyof typeof PARTS)[]) {
  const { cases, end } = await PARTS[name]()
  for (const each of cases) report(name, each, await timed(each, Number(values.ms)))
  await end?.()
}

interface Figures {
  /** µs a message. */
  readonly median: number
  readonly p99: number
  readonly steps: number
}

async function timed({ name, messages, step }: Case, ms: number): Promise<Figures> {
  const bench = new Bench({ time: ms, warmupTime: ms / 4 })
  bench.add(name, step)
  await bench.run()
  const [task] = bench.tasks
  const result = task?.result
  if (result === undefined || !('latency' in result)) throw new Error(`${name}: not measured`)
  const { p50, p99, samplesCount } = (result as { readonly latency: Statistics }).latency
  return { median: (1_000 * p50) / messages, p99: (1_000 * p99) / messages, steps: samplesCount }
}

function report(part: string, { name, messages }: Case, { median, p99, steps }: Figures): void {
  if (values.json)
    process.stdout.write(`${JSON.stringify({ part, name, messages, median_us: median, p99_us: p99, steps })}\n`)
  else {
    const columns = [part.padEnd(9), name.padEnd(58), median.toFixed(3).padStart(9), p99.toFixed(3).padStart(9)]
    process.stdout.write(`${columns.join(' ')} µs a message (median, p99 of ${steps} steps of ${messages})\n`)
  }
}
