import { simulate } from '../run.ts'

/** Runs seeds until one fails, and prints which and why as JSON. Started by main.ts in a copy of the sources. */
const countMax = Number(process.argv[2] ?? 2_000)
for (let seed = 1; seed <= countMax; seed += 1) {
  const { problems } = await simulate(seed)
  if (problems.length === 0) continue
  console.log(JSON.stringify({ seed, problem: problems[0]?.split('\n')[0], count: problems.length }))
  process.exit(0)
}
console.log(JSON.stringify({}))
