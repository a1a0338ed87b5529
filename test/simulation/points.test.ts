import { expect, test } from 'vitest'
import { planOf } from './plan.ts'
import { crashesOf, POINTS } from './points.ts'
import { Random } from './random.ts'
import { simulate } from './run.ts'

/** Of the messages of a run: what is looked for here are the moments, and most come early. */
const SCALE = 0.3
/** As many as the rarest point may need; most of them are never run. */
const SEEDS = 6_000

test('each point has a name and a text of its own, and there are 30 at least', () => {
  expect(new Set(POINTS.map(({ name }) => name)).size).toBe(POINTS.length)
  expect(new Set(POINTS.map(({ what }) => what)).size).toBe(POINTS.length)
  expect(POINTS.length).toBeGreaterThanOrEqual(30)
})

test('a third of the seeds has points, and draws the same ones each time', () => {
  const seeds = Array.from({ length: 3_000 }, (_, k) => k + 1)
  const pointed = seeds.filter(seed => plannedFor(seed).length > 0)
  expect(pointed.length / seeds.length).toBeGreaterThan(0.27)
  expect(pointed.length / seeds.length).toBeLessThan(0.37)
  for (const seed of pointed) expect(plannedFor(seed)).toEqual(plannedFor(seed))
})

test('the server crashes at every point, and what it promises holds', { timeout: 180_000 }, async () => {
  const missing = new Set(POINTS.map(({ name }) => name))
  const failed: string[] = []
  for (let seed = 1; seed <= SEEDS && missing.size > 0; seed += 1) {
    if (!plannedFor(seed).some(({ point }) => missing.has(point.name))) continue
    const { crashes, problems } = await simulate(seed, { scale: SCALE })
    for (const name of crashes) missing.delete(name)
    if (problems.length > 0) failed.push(`seed ${seed}, scale ${SCALE}: ${problems[0]}`)
  }
  expect(failed).toEqual([])
  expect([...missing]).toEqual([])
})

function plannedFor(seed: number) {
  return crashesOf(seed, planOf(new Random(seed).fork(), SCALE))
}
