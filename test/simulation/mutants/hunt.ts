import { simulate } from '../run.ts'

/** Runs so many seeds from one on until one fails, and prints which and why as JSON. Started by main.ts in a copy of the sources. */
const [from = 1, count = 2_000] = process.argv.slice(2).map(Number)
for (let seed = from; seed < from + count; seed += 1) {
  const { problems } = await simulate(seed)
  if (problems.length === 0) continue
  console.log(JSON.stringify({ seed, problem: problems[0]?.split('\n')[0], count: problems.length }))
  process.exit(0)
}
console.log(JSON.stringify({}))
