import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import autocannon from 'autocannon'
import { spreadOf } from '../load/figures.ts'
import { commit, machineOf } from '../load/machine.ts'
import { startServerProcess } from '../load/systems/server-process.ts'
import { sluice } from '../load/systems/sluice.ts'

/** W8: publishing by HTTP, one message a request and a hundred lines a request, against a bare handler that reads the same body. */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    connections: { type: 'string', default: '128' },
    body: { type: 'string', default: '100' },
    data: { type: 'string', default: tmpdir() },
    out: { type: 'string', default: fileURLToPath(new URL('../results', import.meta.url)) },
  },
})
const LINES = 100

interface Shot {
  readonly name: string
  readonly url: string
  readonly headers: Record<string, string>
  readonly body: string
  readonly messages: number
}

interface Round {
  readonly messagesPerSecond: number
  readonly p99Ms: number
}

const folder = mkdtempSync(join(values.data, 'sluice-bench-http-'))
const server = await sluice.start({ folder, profileFolder: undefined })
const bare = await startServerProcess(
  [process.execPath, ...process.execArgv, fileURLToPath(new URL('bare-server.ts', import.meta.url))],
  { folder, ready: /^ready on (\S+)$/m },
)
try {
  await fetch(`${server.address}/v1/queues/w8`, {
    method: 'PUT',
    body: '{}',
    headers: { 'content-type': 'application/json' },
  })
  const rounds = new Map<string, Round[]>()
  for (let round = 1; round <= Number(values.rounds); round++) {
    for (const shot of shots()) {
      process.stderr.write(`round ${round} of ${values.rounds}: ${shot.name}\n`)
      rounds.set(shot.name, [...(rounds.get(shot.name) ?? []), await fire(shot)])
    }
  }
  report(rounds)
} finally {
  await Promise.all([server.stop(), bare.stop()])
  rmSync(folder, { recursive: true, force: true })
}

function shots(): Shot[] {
  const messages = `${server.address}/v1/queues/w8/messages`
  const text = JSON.stringify({ text: 'x'.repeat(Math.max(0, Number(values.body) - 11)) })
  const one = { headers: { 'content-type': 'application/json' }, body: text, messages: 1 }
  const many = { headers: { 'content-type': 'application/x-ndjson' }, body: `${text}\n`.repeat(LINES), messages: LINES }
  return [
    { name: 'bare, one', url: bare.said, ...one },
    { name: 'sluice, one', url: messages, ...one },
    { name: `bare, ${LINES} lines`, url: bare.said, ...many },
    { name: `sluice, ${LINES} lines`, url: messages, ...many },
  ]
}

/** @throws Error if one request failed: such figures are worth nothing */
async function fire({ name, url, headers, body, messages }: Shot): Promise<Round> {
  const result = await autocannon({
    url,
    method: 'POST',
    headers,
    body,
    connections: Number(values.connections),
    duration: Number(values.seconds),
  })
  if (result.errors > 0 || result.non2xx > 0)
    throw new Error(`${name}: ${result.errors} requests failed, ${result.non2xx} were refused`)
  return { messagesPerSecond: (result['2xx'] * messages) / result.duration, p99Ms: result.latency.p99 }
}

function report(rounds: ReadonlyMap<string, readonly Round[]>): void {
  const median = (name: string) => spreadOf(rounds.get(name)!.map(({ messagesPerSecond }) => messagesPerSecond))
  const rows = [...rounds.keys()].map(name => {
    const rate = median(name)
    const { median: p99Ms } = spreadOf(rounds.get(name)!.map(round => round.p99Ms))
    const ofBare = rate.median / median(name.replace('sluice', 'bare')).median
    return { name, messagesPerSecond: rate, p99Ms, ofBare }
  })
  for (const { name, messagesPerSecond: rate, p99Ms, ofBare } of rows) {
    const [middle, min, max] = [rate.median, rate.min, rate.max].map(value => Math.round(value).toLocaleString('en-US'))
    process.stdout.write(
      `${name.padEnd(20)} ${middle} messages/s (${min} – ${max}), p99 ${p99Ms} ms, ${(100 * ofBare).toFixed(0)} % of bare\n`,
    )
  }
  const date = new Date().toISOString()
  // Where they are is no part of what was measured.
  const { out, ...options } = values
  const file = join(out, `${date.slice(0, 10)}-W8.json`)
  writeFileSync(
    file,
    `${JSON.stringify({ date, machine: machineOf(values.data), commit: commit(), options, rows }, null, 2)}\n`,
  )
  process.stderr.write(`written to ${file}\n`)
}
