import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { buildDisk, NO_DISK } from './support/disk.ts'
import { Episode } from './support/episode.ts'
import { runRounds } from './support/rounds.ts'

const ROUNDS = Number(process.env['SLUICE_CRASH_ROUNDS'] ?? 40)
const library = buildDisk()

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

function newFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-rounds-'))
  folders.push(folder)
  return folder
}

function newSeed(file: string): number {
  const seed = Number(process.env['SLUICE_CRASH_SEED'] ?? Date.now() % 1_000_000)
  console.log(`crash seed ${seed}: SLUICE_CRASH_SEED=${seed} npx vitest run --project slow test/crash/${file}`)
  return seed
}

test(`R1, R2, R7, R10, P4, P5, P9, A1, A4, B2, B3, B4, B5, B10: over ${ROUNDS} kills, terminations, losses of power and stops of server and clients nothing told is untrue`, {
  timeout: 20 * 60_000,
}, async () => {
  if (library === undefined) console.log(`without losses of power. ${NO_DISK}`)
  const total = await runRounds({
    rounds: ROUNDS,
    seed: newSeed('rounds.test.ts'),
    folder: newFolder(),
    disk: library,
  })
  console.log(`${total.rounds} rounds: ${JSON.stringify(total.blows)}; ${JSON.stringify(total.counts)}`)
  expect(total.failures).toEqual([])
  expect(total.rounds).toBe(ROUNDS)
  // What happened was worth judging.
  expect(total.counts).toMatchObject({ lost: 0, unexpected: 0 })
  for (const count of ['acked', 'duplicated', 'recovered', 'barrier_deliveries'])
    expect(total.counts[count], count).toBeGreaterThan(0)
})

if (library === undefined) console.log(NO_DISK)

test.skipIf(library === undefined)(
  'R1: power is lost in the middle of flushes, and nothing that was told is lost',
  {
    timeout: 10 * 60_000,
  },
  async () => {
    const total = await runRounds({
      rounds: 10,
      seed: newSeed('rounds.test.ts'),
      folder: newFolder(),
      disk: library,
      only: ['power-loss'],
    })
    console.log(`${total.rounds} losses of power took ${total.writesLost} writes; ${JSON.stringify(total.counts)}`)
    expect(total.failures).toEqual([])
    // Else nothing was at stake.
    expect(total.writesLost).toBeGreaterThan(0)
  },
)

test.skipIf(library === undefined)(
  'the control: a disk that says it has flushed, and has not, is found out',
  {
    timeout: 10 * 60_000,
  },
  async () => {
    const { report, wrong } = await new Episode({
      seed: newSeed('rounds.test.ts'),
      rounds: 1,
      folder: newFolder(),
      disk: library,
      only: ['power-loss'],
      isDiskLying: true,
    }).run()
    console.log(`a lying disk: ${JSON.stringify(report.violationCounts)}; ${wrong.length} other faults`)
    expect(report.verdict).toBe('fail')
    expect(report.violationCounts.lost).toBeGreaterThan(0)
  },
)
