import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { reportAsText } from '../support/history/history.ts'
import { buildDisk, NO_DISK } from './support/disk.ts'
import { runRounds } from './support/rounds.ts'

const USAGE = `npm run crash -- [--rounds 100] [--seed N] [--history FILE] [--minutes M] [--verbose]

Runs a server and its clients as processes and kills them, --rounds times (or until --minutes are over, whichever comes
first), and judges what the clients saw. --history keeps all events, one JSON object a line; the history of an episode
that fails is kept anyway.
`

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '100' },
    seed: { type: 'string' },
    history: { type: 'string' },
    minutes: { type: 'string' },
    verbose: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) process.stdout.write(USAGE)
else {
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-crash-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130))
  const seed = Number(values.seed ?? Date.now() % 1_000_000)
  const disk = buildDisk()
  if (disk === undefined) console.log(NO_DISK)
  if (values.history !== undefined) {
    mkdirSync(path.dirname(path.resolve(values.history)), { recursive: true })
    writeFileSync(values.history, '')
  }
  console.log(`seed ${seed}`)
  const started = performance.now()
  const total = await runRounds({
    rounds: Number(values.rounds),
    seed,
    folder,
    disk,
    deadline: values.minutes === undefined ? Number.POSITIVE_INFINITY : started + Number(values.minutes) * 60_000,
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
}
