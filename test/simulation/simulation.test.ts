import path from 'node:path'
import { expect, test } from 'vitest'
import { simulate } from './run.ts'

/** How long seeds are run; each is another world. */
const SECONDS = Number(process.env['SLUICE_SIMULATION_SECONDS'] ?? 20)
/** Of that, for seeds that nobody has run before. A fault that is found by them may be as old as the project. */
const FRESH_SHARE = 0.05
/** The others are the same each time, as far as the time reaches: what they find is new. */
const STANDING = { from: 104_001, count: 5_440 }
const SAME_SEEDS = 100
const SOURCES = path.join(import.meta.dirname, '../..')
const given = process.env['SLUICE_SIMULATION_SEED']

test('P1, P2, P9, D2, D5, A1, B2, B4, B5, B7, B9, B11, B20, R1, R2: fresh seeds of the whole server pass', {
  timeout: SECONDS * 1_000 + 120_000,
}, async () => {
  const from = Number(given ?? Date.now() % 1_000_000_000)
  await pass({ from, count: Number.POSITIVE_INFINITY, seconds: given === undefined ? SECONDS * FRESH_SHARE : SECONDS })
})

test.skipIf(given !== undefined)('the seeds of every time pass', { timeout: SECONDS * 1_000 + 120_000 }, async () => {
  await pass({ ...STANDING, seconds: SECONDS * (1 - FRESH_SHARE) })
})

async function pass({ from, count, seconds }: { from: number; count: number; seconds: number }): Promise<void> {
  const began = performance.now()
  // Before the first: one that does not end tells nothing more.
  console.log(`simulation: SLUICE_SIMULATION_SEED=${from} begins here again`)
  const failed: string[] = []
  let seed = from
  for (; seed < from + count && performance.now() - began < seconds * 1_000; seed += 1) {
    const { problems } = await simulate(seed)
    if (problems.length > 0) failed.push(`npm run simulate -- --seed ${seed}: ${problems[0]}`)
  }
  console.log(`simulation: ${seed - from} seeds, ${from} to ${seed - 1}`)
  expect(failed).toEqual([])
  expect(seed).toBeGreaterThan(from)
}

test(`the same seed is the same run, event for event: ${SAME_SEEDS} seeds twice`, { timeout: 600_000 }, async () => {
  const hashes = new Set<string>()
  for (let seed = 1; seed <= SAME_SEEDS; seed += 1) {
    const [first, second] = [await simulate(seed, { scale: 0.1 }), await simulate(seed, { scale: 0.1 })]
    expect(second.hash, `seed ${seed}`).toBe(first.hash)
    hashes.add(first.hash)
  }
  // Another seed is another run.
  expect(hashes.size).toBeGreaterThan(SAME_SEEDS - 3)
})

test('nothing that is simulated asks the real clock, or chance', { timeout: 60_000 }, async () => {
  const asked: string[] = []
  const watched = [
    [Date, 'now'],
    [Math, 'random'],
    [performance, 'now'],
    [globalThis, 'setTimeout'],
    [globalThis, 'setInterval'],
    [crypto, 'getRandomValues'],
  ] as const
  const originals = watched.map(([owner, name]) => (owner as unknown as Record<string, unknown>)[name])
  watched.forEach(([owner, name], k) => {
    const original = originals[k] as (...args: unknown[]) => unknown
    const watching = function (this: unknown, ...args: unknown[]): unknown {
      const line = new Error(name).stack?.split('\n')[2] ?? ''
      // The time-out of a body over HTTP, which is there already here: it is called off at once.
      if (line.includes('/listeners/http/body.ts')) return original.apply(this, args)
      if (line.includes(SOURCES) && !line.includes('node_modules')) asked.push(`${name}${line.trim()}`)
      return original.apply(this, args)
    }
    Object.defineProperty(owner, name, { value: watching, configurable: true, writable: true })
  })
  try {
    for (let seed = 1; seed <= 5; seed += 1) await simulate(seed, { scale: 0.2 })
  } finally {
    watched.forEach(([owner, name], k) => {
      Object.defineProperty(owner, name, { value: originals[k], configurable: true, writable: true })
    })
  }
  expect(asked).toEqual([])
})
