import { readCommandLine } from '../support/command-line.ts'
import { historyFile, reportAsText } from '../support/history/history.ts'
import { simulate } from './run.ts'

const values = readCommandLine({
  script: 'simulate',
  about: `Runs the whole server and its clients in virtual time, from seeds; docs/reliability.md tells what is simulated.
Ends with 1 when a run failed, and says how to see it again.`,
  options: {
    seed: { kind: 'number', text: 'this seed alone, with its report and the points at which the server crashed' },
    history: { kind: 'text', value: 'FILE', text: 'with --seed: where its history goes, as NDJSON' },
    from: { kind: 'number', text: 'the first of many seeds (default: by the clock)' },
    count: { kind: 'number', min: 1, text: 'how many seeds (default: as many as there is time for)' },
    seconds: { kind: 'number', isFraction: true, default: 60, text: 'how long, without --count' },
    scale: { kind: 'number', isFraction: true, default: 1, text: 'of the number of messages' },
  },
  examples: ['--seed 7 --history run.ndjson', '--seconds 60', '--from 1 --count 600'],
})
const { scale } = values

if (values.seed !== undefined) await one(values.seed, values.history)
else await many(values.from ?? Date.now() % 1_000_000_000)

async function one(seed: number, history: string | undefined): Promise<void> {
  const file = history === undefined ? undefined : historyFile(history)
  const result = await simulate(seed, { scale, listen: event => file?.write(event) })
  file?.close()
  console.log(reportAsText(result.report))
  const { hash, operations, events, starts, crashes, virtualMs, problems } = result
  console.log(
    `seed ${seed}: trace ${hash}, ${operations} operations, ${events} events, ${starts} starts, ${virtualMs} ms`,
  )
  if (crashes.length > 0) console.log(`crashed at ${crashes.join(', ')}`)
  for (const problem of problems) console.log(`✗ ${problem}`)
  process.exitCode = problems.length > 0 ? 1 : 0
}

async function many(from: number): Promise<void> {
  const began = performance.now()
  const cpuBefore = process.cpuUsage()
  const isOver = (done: number) =>
    values.count === undefined ? performance.now() - began >= values.seconds * 1_000 : done >= values.count
  const totals = { seeds: 0, failed: 0, operations: 0, starts: 0, virtualMs: 0 }
  for (let seed = from; !isOver(totals.seeds); seed += 1) {
    const { problems, operations, starts, virtualMs } = await simulate(seed, { scale })
    totals.seeds += 1
    totals.operations += operations
    totals.starts += starts
    totals.virtualMs += virtualMs
    if (problems.length === 0) continue
    totals.failed += 1
    console.log(
      `✗ seed ${seed}: ${problems[0]}\n  replay: npm run simulate -- --seed ${seed}${scale === 1 ? '' : ` --scale ${scale}`}`,
    )
  }
  const minutes = (performance.now() - began) / 60_000
  const { user, system } = process.cpuUsage(cpuBefore)
  const { seeds, failed, operations, starts, virtualMs } = totals
  console.log(
    `${seeds} seeds from ${from}, ${failed} failed; ${Math.round(seeds / minutes)} a minute ` +
      `(${Math.round((seeds * 60_000_000) / (user + system))} of a whole core), ` +
      `${Math.round(operations / seeds)} operations and ${(starts / seeds).toFixed(1)} starts each, ` +
      `${Math.round(virtualMs / 3_600_000)} h of virtual time`,
  )
  process.exitCode = failed > 0 ? 1 : 0
}
