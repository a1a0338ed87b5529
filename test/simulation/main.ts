import { parseArgs } from 'node:util'
import { historyFile, reportAsText } from '../support/history/history.ts'
import { simulate } from './run.ts'

/*
 * npm run simulate -- --seed 7                 one seed, with what went wrong
 * npm run simulate -- --seed 7 --history FILE  … and its history, as NDJSON
 * npm run simulate -- --seconds 60             as many as go into a minute, from a fresh base
 * npm run simulate -- --from 1 --count 600
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    from: { type: 'string' },
    count: { type: 'string' },
    seconds: { type: 'string' },
    history: { type: 'string' },
  },
})

if (values.seed !== undefined) await one(Number(values.seed), values.history)
else await many(Number(values.from ?? Date.now() % 1_000_000_000))

async function one(seed: number, history: string | undefined): Promise<void> {
  const file = history === undefined ? undefined : historyFile(history)
  const result = await simulate(seed, { listen: event => file?.write(event) })
  file?.close()
  console.log(reportAsText(result.report))
  const { hash, operations, events, starts, virtualMs, problems } = result
  console.log(
    `seed ${seed}: trace ${hash}, ${operations} operations, ${events} events, ${starts} starts, ${virtualMs} ms`,
  )
  for (const problem of problems) console.log(`✗ ${problem}`)
  process.exitCode = problems.length > 0 ? 1 : 0
}

async function many(from: number): Promise<void> {
  const began = performance.now()
  const cpuBefore = process.cpuUsage()
  const isOver = (done: number) =>
    values.count === undefined
      ? performance.now() - began >= Number(values.seconds ?? 60) * 1_000
      : done >= Number(values.count)
  const totals = { seeds: 0, failed: 0, operations: 0, starts: 0, virtualMs: 0 }
  for (let seed = from; !isOver(totals.seeds); seed += 1) {
    const { problems, operations, starts, virtualMs } = await simulate(seed)
    totals.seeds += 1
    totals.operations += operations
    totals.starts += starts
    totals.virtualMs += virtualMs
    if (problems.length === 0) continue
    totals.failed += 1
    console.log(`✗ seed ${seed}: ${problems[0]}\n  replay: npm run simulate -- --seed ${seed}`)
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
