import { join } from 'node:path'
import { figuresOf, spreadOf } from './figures.ts'
import { flushesPerSecond } from './flush.ts'
import { commit, machineOf } from './machine.ts'
import { type Options, readOptions } from './options.ts'
import { profileText } from './profile.ts'
import { type Result, type Results, writeResults } from './results.ts'
import { type Run, runOnce } from './run.ts'
import type { System } from './system.ts'
import { echo } from './systems/echo.ts'
import { SYSTEMS } from './systems/index.ts'
import { resultsText } from './table.ts'
import { isJson } from './workloads/index.ts'

/** One line of the table, and its rounds so far. */
interface Case {
  readonly name: string
  readonly system: System
  readonly workload: string
  readonly bodyBytes: number
  readonly rounds: Run[]
}

const ECHO_SECONDS = 1

// Ctrl-C reaches server and load client as well: the run fails, and cleans up behind itself.
process.on('SIGINT', () => {})
try {
  await bench(readOptions())
} catch (error) {
  say(`bench: ${(error as Error).message}`)
  process.exitCode = 1
}

async function bench(options: Options): Promise<void> {
  const machine = machineOf(options.dataFolder)
  if (machine.fileSystem === 'tmpfs') say(`${options.dataFolder} is in memory, nothing there is durable: use --data`)
  const cases = casesOf(options, installed(options.systems))
  const baseline: Case = {
    name: 'echo',
    system: echo,
    workload: 'echo',
    bodyBytes: Math.min(...options.bodies),
    rounds: [],
  }
  const flushes: number[] = []
  // Rounds of everything, not everything of one: what else the machine does at the time falls on all alike.
  for (let round = 1; round <= options.rounds; round++) {
    flushes.push(flushesPerSecond(options.dataFolder))
    for (const one of [baseline, ...cases]) {
      say(`round ${round} of ${options.rounds}: ${one.workload} ${one.name} ${one.bodyBytes} B`)
      one.rounds.push(await runCase(one, options))
    }
  }
  const results: Results = {
    date: new Date().toISOString(),
    machine,
    commit: commit(),
    options,
    baseline: { flushesPerSecond: spreadOf(flushes), echo: figuresOf(baseline.rounds) },
    results: cases.map(one => resultOf(one, baseline)),
  }
  process.stdout.write(`${resultsText(results)}\n`)
  if (options.profileFolder !== undefined) showProfiles(cases, options.profileFolder)
  say(`written to ${writeResults(results)}`)
}

function installed(names: readonly string[]): string[] {
  const found: string[] = []
  for (const name of names) {
    const install = SYSTEMS[name]!.missing?.()
    if (install === undefined) found.push(name)
    else say(`${name} is left out, it is not installed: ${install}`)
  }
  return found
}

function casesOf({ workloads, bodies }: Options, systems: readonly string[]): Case[] {
  return workloads.flatMap(workload =>
    bodies.flatMap(bodyBytes =>
      systems.map(name => ({ name, system: SYSTEMS[name]!, workload, bodyBytes, rounds: [] })),
    ),
  )
}

/** @throws Error if a message was lost or came twice: such figures are worth nothing */
async function runCase(one: Case, options: Options): Promise<Run> {
  const isBaseline = one.system === echo
  const run = await runOnce(one, {
    load: {
      ...options,
      bodyBytes: one.bodyBytes,
      ...(isJson(one.workload) ? { codec: 'json' } : {}),
      ...(isBaseline ? { codec: 'bytes', plant: undefined } : {}),
      ...(isBaseline && 'seconds' in options.length
        ? { length: { seconds: Math.min(ECHO_SECONDS, options.length.seconds) } }
        : {}),
    },
    dataFolder: options.dataFolder,
    profileFolder: isBaseline ? undefined : options.profileFolder,
  })
  if (run.problems.length > 0) {
    throw new Error(`${one.workload} ${one.name}, of ${run.checked} messages: ${run.problems.join('; ')}`)
  }
  return run
}

function resultOf({ name, system, workload, bodyBytes, rounds }: Case, baseline: Case): Result {
  const figures = figuresOf(rounds)
  return {
    system: name,
    version: rounds[0]!.version,
    durability: system.durability,
    workload,
    bodyBytes,
    ...figures,
    timesEcho: figures.messagesPerSecond.median / figuresOf(baseline.rounds).messagesPerSecond.median,
    rounds,
  }
}

/** Of the last round. */
function showProfiles(cases: readonly Case[], profileFolder: string): void {
  for (const { name, workload, bodyBytes, rounds } of cases) {
    const { fromMicros, toMicros } = rounds.at(-1)!
    for (const side of ['server', 'client']) {
      const folder = join(profileFolder, `${workload}-${name}-${bodyBytes}`, side)
      process.stdout.write(
        `\n${profileText(`${workload} ${name} ${bodyBytes} B, ${side}`, folder, fromMicros, toMicros)}\n`,
      )
    }
  }
}

function say(text: string): void {
  process.stderr.write(`${text}\n`)
}
