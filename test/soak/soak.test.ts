import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { PLANTS } from './scan.ts'
import { type SoakOptions, type SoakResult, soak } from './soak.ts'

/* The soak of `npm run soak`, some seconds of it, and that it would find what it looks for. */

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

function run(options: Partial<SoakOptions>): Promise<SoakResult> {
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-soak-'))
  folders.push(folder)
  const seed = Number(process.env['SLUICE_SOAK_SEED'] ?? Date.now() % 1_000_000)
  console.log(`soak seed ${seed}: SLUICE_SOAK_SEED=${seed} npx vitest run --project slow test/soak`)
  const sizes = { segmentSeconds: 4, liveMax: 32 * 2 ** 20, bytesPerSecond: 40 * 2 ** 20 }
  return soak({ folder, seed, minutes: 0.05, ...sizes, say: () => {}, ...options })
}

test('R1, R8: over clean stops and kills every row is as planned, and the database has nothing to complain of', async () => {
  const result = await run({ minutes: 0.25 })
  expect(result).toMatchObject({ stderr: [], wrong: [] })
  expect(result.kills).toBeGreaterThan(0)
  expect(result.closes).toBeGreaterThan(0)
  expect(result.settled).toBeGreaterThan(100)
})

test.each(PLANTS)('R8: a soak finds a planted difference: %s', async plant => {
  const { stderr, wrong } = await run({ plant })
  expect([...stderr, ...wrong]).not.toEqual([])
})
