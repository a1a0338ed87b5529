import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { PLANTS } from './scan.ts'
import { soak } from './soak.ts'

const USAGE = `npm run soak -- [--minutes 30] [--seed N] [--segment 180] [--live 512] [--rate 40] [--folder DIR] [--plant ${PLANTS.join('|')}]

  --segment  seconds from one reopening to the next, at most; every second one is a kill -9
  --live     MiB of messages that are there at most
  --rate     MiB published a second, at most
  --plant    damages the data before the last scan: the soak must fail`

async function run(): Promise<void> {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '30' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      segment: { type: 'string', default: '180' },
      live: { type: 'string', default: '512' },
      rate: { type: 'string', default: '40' },
      folder: { type: 'string' },
      plant: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(USAGE)
  const folder = values.folder ?? mkdtempSync(path.join(tmpdir(), 'sluice-soak-'))
  const seed = Number(values.seed)
  console.log(`seed ${seed}, folder ${folder}`)
  const result = await soak({
    folder,
    seed,
    minutes: Number(values.minutes),
    segmentSeconds: Number(values.segment),
    liveMax: Number(values.live) * 2 ** 20,
    bytesPerSecond: Number(values.rate) * 2 ** 20,
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
