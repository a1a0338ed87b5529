import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { bodiesOf } from '../../bench/load/bodies.ts'
import { Ledger } from '../../bench/load/ledger.ts'
import type { Results } from '../../bench/load/results.ts'
import { SYSTEMS } from '../../bench/load/systems/index.ts'

const MAIN = new URL('../../bench/load/main.ts', import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-test-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** The bench as `npm run bench` starts it, but brief. */
function bench(...args: string[]) {
  const brief = ['--rounds', '1', '--warmup', '0.1', '--out', folder]
  return spawnSync(process.execPath, ['--import', 'tsx', MAIN, ...brief, ...args], {
    encoding: 'utf8',
    timeout: 180_000,
  })
}

describe('the bench', { timeout: 180_000 }, () => {
  test('runs every workload against a real server, prints a table and keeps the details', () => {
    const { status, stdout, stderr } = bench('--messages', '2000', '--name', 'brief')

    expect(status, stderr).toBe(0)
    for (const workload of ['W1', 'W2', 'W3']) {
      expect(stdout).toMatch(
        new RegExp(`^${workload} +100 B +sluice +[\\d,]+ +[\\d,]+ – [\\d,]+ +\\d+\\.\\d\\d +`, 'm'),
      )
    }
    const file = readdirSync(folder).find(name => /^\d{4}-\d\d-\d\d-brief\.json$/.test(name))
    const { results, baseline } = JSON.parse(readFileSync(join(folder, file!), 'utf8')) as Results
    expect(results.map(({ workload }) => workload)).toEqual(['W1', 'W2', 'W3'])
    for (const { rounds, messagesPerSecond, serverMicros, clientMicros, serverRssBytes } of results) {
      expect(rounds).toMatchObject([{ problems: [] }])
      expect(rounds[0]!.checked).toBeGreaterThanOrEqual(2_000)
      for (const { median } of [messagesPerSecond, serverMicros, clientMicros, serverRssBytes]) {
        expect(median).toBeGreaterThan(0)
      }
    }
    expect(baseline.flushesPerSecond.median).toBeGreaterThan(0)
    expect(baseline.echo.messagesPerSecond.median).toBeGreaterThan(0)
  })

  test('has a workload for latency, many queues, a backlog over a restart, the whole job, and the price of a barrier', () => {
    const { status, stdout, stderr } = bench('--workloads', 'W4,W5,W6,W7,W9', '--messages', '3000', '--name', 'more')

    expect(status, stderr).toBe(0)
    expect(stdout).toMatch(
      /^W4 sluice: p50 \/ p99 \/ p99\.9 from publish to receipt [\d. /]+ ms, to confirm [\d. /]+ ms$/m,
    )
    expect(stdout).toMatch(
      /^W6 sluice: [\d.]+ ms from process start to the first delivery; [\d.]+ MiB of disk; .*, [\d.]+ MB after it was drained$/m,
    )
    expect(stdout).toMatch(/^W7 sluice: [\d.]+ s for the job$/m)
    for (const name of ['W5', 'W9-W1-without', 'W9-W1-with', 'W9-W3-without', 'W9-W3-with']) {
      expect(stdout).toMatch(new RegExp(`^${name} +100 B +sluice +[\\d,]+ +`, 'm'))
    }
  })

  for (const [name, { missing }] of Object.entries(SYSTEMS)) {
    const install = missing?.()
    if (install !== undefined) console.log(`skipped: ${name} is not on this machine; to install it: ${install}`)
    test.skipIf(install !== undefined)(`measures ${name} by the same workloads, and leaves a table and a chart`, () => {
      const { status, stderr } = bench(
        '--systems',
        name,
        '--workloads',
        'W1,W3,W7',
        '--messages',
        '300',
        '--name',
        name,
      )

      expect(status, stderr).toBe(0)
      const [table, chart] = ['md', 'svg'].map(ending => {
        const file = readdirSync(folder).find(file => file.endsWith(`-${name}.${ending}`) && /^[\d-]+-/.test(file))
        return readFileSync(join(folder, file!), 'utf8')
      })
      for (const workload of ['W1', 'W3', 'W7']) {
        expect(table).toContain(`| ${workload} | 100 B | ${name} |`)
        expect(chart).toMatch(new RegExp(`>${workload}: [a-z, ]+, 100 B</text>`))
      }
    })
  }

  test('measures a time too, JSON bodies, memory on the way, and shows where the time of server and client goes', () => {
    const profiles = join(folder, 'profiles')
    const { status, stdout, stderr } = bench(
      ...['--workloads', 'W3', '--seconds', '0.2', '--codec', 'json', '--cpu-prof', profiles, '--name', 'timed'],
    )

    expect(status, stderr).toBe(0)
    expect(stdout).toMatch(/^W3 sluice 100 B, server: main thread busy \d+\.\d %, of it$/m)
    expect(stdout).toMatch(/^W3 sluice 100 B, client: main thread busy \d+\.\d %, of it$/m)
    const file = readdirSync(folder).find(name => name.endsWith('-timed.json')) as string
    const { results } = JSON.parse(readFileSync(join(folder, file), 'utf8')) as Results
    const memory = results[0]!.rounds[0]!.windowMemory
    expect(memory).toHaveLength(10)
    for (const { rss, heap = 0 } of memory) {
      expect(heap).toBeGreaterThan(2 ** 20)
      expect(rss).toBeGreaterThan(heap)
    }
  })

  test.each([
    ['lose', '1 lost (99)'],
    ['repeat', '1 consumed more than once (99)'],
  ])('fails when messages go wrong: --plant %s', (fault, found) => {
    const { status, stdout, stderr } = bench('--workloads', 'W1', '--messages', '500', '--plant', fault)

    expect(stderr).toContain(found)
    expect(status).toBe(1)
    expect(stdout).toBe('')
  })

  test('says what it does not understand', () => {
    const { status, stderr } = bench('--systems', 'sluce')

    expect(stderr).toContain('bench: --systems: there is no sluce; there are sluice, ')
    expect(status).toBe(2)
  })
})

describe('the ledger', () => {
  test('finds a loss that a duplicate makes up for, and what nobody published', () => {
    const ledger = new Ledger()
    for (let message = 0; message < 3; message++) ledger.nextNumber()
    for (let message = 0; message < 2; message++) ledger.confirmed.add()
    for (const number of [0, 2, 2, 3]) ledger.take(number)

    expect(ledger.problems()).toEqual([
      '1 not confirmed',
      '1 lost (1)',
      '1 consumed more than once (2)',
      '1 received that nobody published',
    ])
  })

  test.each(['bytes', 'json'] as const)('knows a body of codec %s that is not as it was published', codec => {
    const bodies = bodiesOf(codec, 100)
    const body = bodies.writer()(7)

    expect(bodies.read(body)).toBe(7)
    const changed = codec === 'bytes' ? (body as Uint8Array).subarray(1) : { ...(body as object), text: 'x' }
    expect(bodies.read(changed)).toBe(-1)
  })
})
