import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

/**
 * Plants bugs in a copy of the core, one at a time, and lets the model look for each: a model that finds none is not to be
 * trusted. Not part of the tests, for it takes minutes:
 *
 *     npx tsx test/core/model/mutants.ts [number of runs, 5000] [first bug, 1]
 */
const BUGS: readonly { readonly what: string; readonly file: string; readonly from: string; readonly to: string }[] = [
  {
    what: 'B2: a barrier does not wait for what is delayed',
    file: 'batch.ts',
    from: 'this.groups.messages + this.leased + this.delayed',
    to: 'this.groups.messages + this.leased',
  },
  {
    what: 'B9: what stands behind a barrier does not rest on its release',
    file: 'releases.ts',
    from: 'queue.openedIn = turn.number',
    to: 'queue.openedIn = 0',
  },
  {
    what: 'B5: a subscription without credit gets no barrier',
    file: 'releases.ts',
    from: 'if (subscription.isClosed ||',
    to: 'if (subscription.isClosed || subscription.room === 0 ||',
  },
  {
    what: 'D6: one attempt too many counts when a connection is gone',
    file: 'returns.ts',
    from: 'isGone ? subscription.concurrency : 0',
    to: 'isGone ? subscription.concurrency + 1 : 0',
  },
  {
    what: 'D5: what was out comes again as new',
    file: 'returns.ts',
    from: 'run.delivered = true',
    to: 'run.delivered = run.delivered',
  },
  {
    what: 'D8: credit is not given back when a lease runs out',
    file: 'returns.ts',
    from: 'this.#queue.consumers.changed(subscription)',
    to: '',
  },
  {
    what: 'D8: one message more than fits into prefetch_bytes',
    file: 'subscription.ts',
    from: 'if (bytes + run.bytes <= bytesMax) return run.count',
    to: 'if (bytes + run.bytes <= bytesMax + 10) return run.count',
  },
  {
    what: 'D15: the next of a group does not wait for the end of the one before',
    file: 'queue.ts',
    from: 'next.turn = Math.max(next.turn, turn.number)',
    to: '',
  },
  {
    what: 'A4: an ack with publishes is carried out although a delivery is lost',
    file: 'broker.ts',
    from: 'if (fate === undefined) continue',
    to: "if (fate === undefined || fate.result === 'lease-lost') continue",
  },
  {
    what: 'A5: a dead letter forgets its attempts',
    file: 'dead-letters.ts',
    from: 'attempts: run.attempts,',
    to: 'attempts: 0,',
  },
  {
    what: 'A7: a full queue pushes out the oldest of the latest batch',
    file: 'overflow.ts',
    from: 'for (const batch of this.#queue.batches) {\n      const ready',
    to: 'for (const batch of [...this.#queue.batches].reverse()) {\n      const ready',
  },
  {
    what: 'B13: what is carried forgets that it was leased',
    file: 'endings.ts',
    from: 'to.leased += from.leased',
    to: '',
  },
  {
    what: 'B15: a join is complete with one branch less',
    file: 'placing.ts',
    from: 'if (gathering.arrivals.length < gathering.count)',
    to: 'if (gathering.arrivals.length < gathering.count - (terms.batches === undefined ? 0 : 1))',
  },
  {
    what: 'P3: numbers told before the disk are given again after a crash',
    file: 'reservation.ts',
    from: 'return Math.max(next, this.#granted, this.#asked?.below ?? 0)',
    to: 'return next',
  },
  {
    what: 'P5: the id of a barrier is not remembered',
    file: 'arrivals.ts',
    from: "if (!('code' in taken)) dedupe.remember",
    to: "if (!('code' in taken) && incoming.kind === 'messages') dedupe.remember",
  },
  {
    what: 'P9: a refused number is taken when it is sent again',
    file: 'numbering.ts',
    from: "if ('refusal' in answer) return",
    to: "if ('refusal' in answer && answer.refusal.code === 'queue-full') return",
  },
  {
    what: 'P4: what a queue declared anew has lost is taken, though the rest was refused',
    file: 'atomic.ts',
    from: 'refusal = firstAnswer(planned) ?? refusal ??',
    to: 'refusal = refusal ??',
  },
  {
    what: 'P9: a refused atomic publish uses no numbers',
    file: 'atomic.ts',
    from: 'if (numbering !== undefined && place !== undefined) numbers.keep',
    to: 'if (numbering !== undefined && place !== undefined && refusal === undefined) numbers.keep',
  },
]

const [runs = '5000', first = '1'] = process.argv.slice(2)
const root = resolve(import.meta.dirname, '../../..')
const missed: string[] = []

for (const [at, { what, file, from, to }] of BUGS.entries()) {
  if (at + 1 < Number(first)) continue
  const copy = mkdtempSync(join(tmpdir(), 'sluice-mutant-'))
  for (const part of [
    'src',
    'test/core',
    'test/support',
    'vitest.config.ts',
    'package.json',
    'tsconfig.base.json',
    'protocol',
  ])
    cpSync(join(root, part), join(copy, part), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
  const source = join(copy, 'src/core', file)
  const text = readFileSync(source, 'utf8')
  if (text.split(from).length !== 2) throw new Error(`"${from}" is in ${file} ${text.split(from).length - 1} times`)
  writeFileSync(source, text.replace(from, to))
  const fault = look(copy)
  rmSync(copy, { recursive: true, force: true })
  console.log(`${at + 1}. ${what}: ${fault ?? 'NOT FOUND'}`)
  if (fault === undefined) missed.push(what)
}
if (missed.length > 0) process.exitCode = 1

/** The first line of what the model says to it; undefined: nothing. */
function look(folder: string): string | undefined {
  const env = { ...process.env, SLUICE_MODEL_RUNS: runs, NO_COLOR: '1' }
  const test = ['vitest', 'run', '--project', 'unit', '-t', 'whatever comes', 'test/core/model.test.ts']
  try {
    execFileSync('npx', test, { cwd: folder, env, stdio: 'pipe' })
    return undefined
  } catch (error) {
    const { stdout, stderr } = error as { stdout: Buffer; stderr: Buffer }
    const said = `${stdout}${stderr}`
    return /after (\d+) runs?: .*/.exec(said)?.[0] ?? `it fails otherwise: ${said.slice(0, 2_000)}`
  }
}
