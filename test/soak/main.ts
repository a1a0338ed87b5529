import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { readCommandLine } from '../support/command-line.ts'
import { PLANTS } from './scan.ts'
import { soak } from './soak.ts'

const values = readCommandLine({
  script: 'soak',
  about: `Publishes, consumes and reopens for a long time, and looks at everything that is on disk. Ends with 1 when
something was not sound; the data are kept then.`,
  options: {
    minutes: { kind: 'number', isFraction: true, default: 30, text: 'how long' },
    segment: {
      kind: 'number',
      isFraction: true,
      default: 180,
      text: 'seconds from one reopening to the next, at most; every second one is a kill -9',
    },
    live: { kind: 'number', min: 1, default: 512, text: 'MiB of messages that are there at most' },
    rate: { kind: 'number', min: 1, default: 40, text: 'MiB published a second, at most' },
    seed: { kind: 'number', text: '(default: by the clock)' },
    folder: { kind: 'text', value: 'DIR', text: 'where the data are, and stay (default: a new one)' },
    plant: {
      kind: 'text',
      value: PLANTS.join('|'),
      among: PLANTS,
      text: 'damages the data before the last scan: the soak must fail',
    },
  },
  examples: ['--minutes 35 --segment 150 --rate 25'],
})

async function run(): Promise<void> {
  const folder = values.folder ?? mkdtempSync(path.join(tmpdir(), 'sluice-soak-'))
  const seed = values.seed ?? Date.now() % 1_000_000
  console.log(`seed ${seed}, folder ${folder}`)
  const result = await soak({
    folder,
    seed,
    minutes: values.minutes,
    segmentSeconds: values.segment,
    liveMax: values.live * 2 ** 20,
    bytesPerSecond: values.rate * 2 ** 20,
    plant: PLANTS.find(one => one === values.plant),
    say: line => console.log(`${new Date().toISOString()} ${line}`),
  })
  console.log(JSON.stringify(result, undefined, 2))
  const isWell = result.stderr.length === 0 && result.wrong.length === 0
  console.log(isWell ? 'sound' : `NOT SOUND; the data are kept in ${folder}`)
  if (isWell && !values.folder) rmSync(folder, { recursive: true })
  process.exitCode = isWell ? 0 : 1
}

await run()
