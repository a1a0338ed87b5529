import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { readCommandLine } from '../support/command-line.ts'
import { reportAsText } from '../support/history/history.ts'
import { buildDisk, NO_DISK } from './support/disk.ts'
import { runRounds } from './support/rounds.ts'

const values = readCommandLine({
  script: 'crash',
  about: `Runs a server and its clients as processes and kills them, and judges what the clients saw. The history of an
episode that fails is kept. Ends with 1 when one failed.`,
  options: {
    rounds: { kind: 'number', min: 1, default: 100, text: 'how often something is killed, at most' },
    minutes: { kind: 'number', isFraction: true, text: 'how long at most (default: until all rounds are done)' },
    seed: { kind: 'number', text: 'of the first episode (default: by the clock)' },
    history: { kind: 'text', value: 'FILE', text: 'keeps all events, one JSON object a line' },
    verbose: { kind: 'flag', text: 'says what happens as it happens' },
  },
  examples: ['--rounds 1000 --seed 7000', '--rounds 50 --history run.ndjson --verbose'],
})

const folder = mkdtempSync(path.join(tmpdir(), 'sluice-crash-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130))
const seed = values.seed ?? Date.now() % 1_000_000
const disk = buildDisk()
if (disk === undefined) console.log(NO_DISK)
if (values.history !== undefined) {
  mkdirSync(path.dirname(path.resolve(values.history)), { recursive: true })
  writeFileSync(values.history, '')
}
console.log(`seed ${seed}`)
const started = performance.now()
const total = await runRounds({
  rounds: values.rounds,
  seed,
  folder,
  disk,
  deadline: values.minutes === undefined ? Number.POSITIVE_INFINITY : started + values.minutes * 60_000,
  ...(values.history === undefined ? {} : { history: values.history }),
  onEpisode: ({ seed, rounds, result }) => {
    console.log(`episode ${seed}: ${rounds} rounds, ${reportAsText(result.report)}`)
    for (const wrong of result.wrong) console.log(`  ${wrong}`)
  },
  log: values.verbose ? line => console.log(line) : () => {},
})
const minutes = ((performance.now() - started) / 60_000).toFixed(1)
console.log(`${total.rounds} rounds in ${minutes} min: ${JSON.stringify(total.blows)}`)
console.log(`counts: ${JSON.stringify(total.counts)}, writes taken by power losses: ${total.writesLost}`)
for (const kept of total.kept) console.log(`kept: ${kept}`)
console.log(total.failures.length === 0 ? 'pass' : `FAIL: ${total.failures.length} episodes`)
process.exitCode = total.failures.length === 0 ? 0 : 1
