import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { copySources, plant } from './copy.ts'
import { MUTANTS, type Mutant } from './mutants.ts'

/*
 * npm run simulate:mutants                 every planted bug, which must be found within 2,000 seeds
 * npm run simulate:mutants -- --only gate  those whose name has this in it
 * npm run simulate:mutants -- --jobs 2     so many at once; default 1
 * npm run simulate:mutants -- --from 1001 --count 1000   a part of the hunt
 */
const SEEDS_MAX = 2_000
/** A bug may make the server go round for ever. */
const HANGS_MS = 1_200_000

interface Found {
  readonly seed?: number
  readonly problem?: string
}

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    jobs: { type: 'string', default: '1' },
    from: { type: 'string', default: '1' },
    count: { type: 'string', default: `${SEEDS_MAX}` },
  },
})
const wanted = MUTANTS.filter(({ name }) => name.includes(values.only))
const queue = [...wanted]
const results = new Map<Mutant, Found>()
console.log('| bug | found at seed | by |\n| --- | --- | --- |')
await Promise.all(Array.from({ length: Number(values.jobs) }, work))
const missed = wanted.filter(mutant => results.get(mutant)?.problem === undefined)
console.log(
  `\n${wanted.length - missed.length} of ${wanted.length} found within ${values.count} seeds from ${values.from}`,
)
process.exitCode = missed.length > 0 ? 1 : 0

async function work(): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-mutants-'))
  try {
    copySources(folder)
    for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
      const takeOut = plant(folder, mutant)
      const found = await hunt(folder)
      takeOut()
      results.set(mutant, found)
      console.log(`| ${mutant.name} | ${found.seed ?? '–'} | ${(found.problem ?? '**not found**').slice(0, 110)} |`)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function hunt(folder: string): Promise<Found> {
  const args = [
    '--max-semi-space-size=32',
    '--conditions=@sluice/source',
    '--import',
    'tsx',
    'test/simulation/mutants/hunt.ts',
    values.from,
    values.count,
  ]
  const child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], timeout: HANGS_MS })
  const text = { out: '', err: '' }
  child.stdout.on('data', chunk => (text.out += chunk))
  child.stderr.on('data', chunk => (text.err += chunk))
  return new Promise(resolve => {
    child.on('close', (code, signal) => {
      if (signal !== null) resolve({ problem: `the run did not end in ${HANGS_MS / 60_000} minutes` })
      else if (code === 0) resolve(JSON.parse(text.out.trim().split('\n').at(-1) ?? '{}') as Found)
      else resolve({ problem: `the run broke off: ${text.err.split('\n').find(line => line.includes('Error')) ?? ''}` })
    })
  })
}
