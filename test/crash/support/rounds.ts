import { appendFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { reportAsText } from '../../support/history/history.ts'
import { type Blow, Episode, type EpisodeResult } from './episode.ts'

/** Enough that what one blow leaves meets the next ones, few enough that a failing history can be read. */
const ROUNDS_PER_EPISODE = 10

export interface RoundsOptions {
  readonly rounds: number
  /** The same seed gives the same blows; what happens between them is the machine's. */
  readonly seed: number
  readonly folder: string
  readonly disk: string | undefined
  /** No episode is begun after this time of `performance.now()`. */
  readonly deadline?: number
  /** Where all events go. */
  readonly history?: string
  readonly only?: readonly Blow[]
  readonly log?: (line: string) => void
  readonly onEpisode?: (episode: { seed: number; rounds: number; result: EpisodeResult }) => void
}

export interface RoundsTotal {
  rounds: number
  readonly blows: Partial<Record<Blow, number>>
  readonly counts: Record<string, number>
  writesLost: number
  /** What was wrong, an episode each. */
  readonly failures: string[]
  /** Histories of the episodes that failed. */
  readonly kept: string[]
}

/** Episode after episode, each with a folder of its own, until all rounds are done. */
export async function runRounds(options: RoundsOptions): Promise<RoundsTotal> {
  const { rounds, seed, deadline = Number.POSITIVE_INFINITY } = options
  const total: RoundsTotal = { rounds: 0, blows: {}, counts: {}, writesLost: 0, failures: [], kept: [] }
  for (let episode = 0; total.rounds < rounds && performance.now() < deadline; episode += 1) {
    const episodeSeed = seed + episode
    const count = Math.min(ROUNDS_PER_EPISODE, rounds - total.rounds)
    const folder = path.join(options.folder, `episode-${episodeSeed}`)
    mkdirSync(folder, { recursive: true })
    const { disk, only, log } = options
    const result = await new Episode({
      seed: episodeSeed,
      rounds: count,
      folder,
      disk,
      ...(only === undefined ? {} : { only }),
      ...(log === undefined ? {} : { log }),
    }).run()
    add(total, count, result)
    const text = result.events.map(event => `${JSON.stringify(event)}\n`).join('')
    if (options.history !== undefined) appendFileSync(options.history, text)
    options.onEpisode?.({ seed: episodeSeed, rounds: count, result })
    if (result.report.verdict !== 'pass' || result.wrong.length > 0) {
      const kept = path.join(tmpdir(), `sluice-crash-history-${episodeSeed}-${process.pid}.ndjson`)
      writeFileSync(kept, text)
      total.kept.push(kept)
      total.failures.push(
        [`seed ${episodeSeed} (history in ${kept})`, reportAsText(result.report), ...result.wrong].join('\n'),
      )
    }
    rmSync(folder, { recursive: true, force: true })
  }
  return total
}

function add(total: RoundsTotal, rounds: number, { blows, report, writesLost }: EpisodeResult): void {
  total.rounds += rounds
  total.writesLost += writesLost
  for (const [blow, count] of Object.entries(blows) as [Blow, number][])
    total.blows[blow] = (total.blows[blow] ?? 0) + count
  for (const [name, count] of Object.entries(report.counts)) total.counts[name] = (total.counts[name] ?? 0) + count
}
