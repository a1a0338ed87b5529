import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { readCommandLine } from '../../support/command-line.ts'
import { copySources, plant } from './copy.ts'
import { MUTANTS, type Mutant } from './mutants.ts'

const SEEDS_MAX = 2_000
/** A bug may make the server go round for ever. */
const HANGS_MS = 1_200_000

interface Found {
  readonly seed?: number
  readonly problem?: string
}

const values = readCommandLine({
  script: 'simulate:mutants',
  about: `Plants one bug after the other in a copy of the sources, and hunts each with the simulation's seeds. Ends with 1
when one was not found.`,
  options: {
    only: { kind: 'text', value: 'TEXT', default: '', text: 'bugs whose name has this in it; nothing: all' },
    jobs: { kind: 'number', min: 1, default: 1, text: 'how many are hunted at once' },
    from: { kind: 'number', default: 1, text: 'the first seed' },
    count: { kind: 'number', min: 1, default: SEEDS_MAX, text: 'the most seeds for each' },
  },
  examples: ['--only gate', '--from 1001 --count 1000 --jobs 2'],
})
const wanted = MUTANTS.filter(({ name }) => name.includes(values.only))
const queue = [...wanted]
const results = new Map<Mutant, Found>()
console.log('| bug | found at seed | by |\n| --- | --- | --- |')
await Promise.all(Array.from({ length: values.jobs }, work))
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
    `${values.from}`,
    `${values.count}`,
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
