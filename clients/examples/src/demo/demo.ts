/*
 * `npm run demo`: the nightly batch, from a server that is not there yet to a result that is known to be right.
 *
 * Starts a server on an empty folder and four workers, publishes all lines of the Brown corpus, puts a barrier behind
 * them, kills a worker half way, waits, adds up what the workers counted and compares it with a plain count.
 *
 *   npm run demo -- [--crash-server] [--keep]
 *
 *   --crash-server  kills the server too, half way through publishing, and starts it again on the same folder
 *   --keep          leaves the server running afterwards, and tells how to look at it
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { connect } from '@sluice/client'
import { count } from '../shared/processes.ts'
import { addUp, type Total } from './add-up.ts'
import { BatchRun } from './batch-run.ts'
import { readCorpus } from './corpus.ts'
import { countPlainly, differences } from './plain-count.ts'
import { COUNTS, type Counts, LINES, type Line } from './queues.ts'
import { paint, say } from './screen.ts'
import { ServerProcess, SLUICE } from './server-process.ts'
import { Workers } from './workers.ts'

const WORKERS = 4
const DIFFERENCES_SAID_MAX = 5
const INTERRUPTED = 130

const { values: options } = parseArgs({
  options: { 'crash-server': { type: 'boolean', default: false }, keep: { type: 'boolean', default: false } },
})
const folder = mkdtempSync(join(tmpdir(), 'sluice-demo-'))
let server: ServerProcess | undefined
let workers: Workers | undefined

let isInterrupted = false
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    isInterrupted = true
    void end(false).then(() => process.exit(INTERRUPTED))
  })
}
try {
  await demo()
  await end(options.keep)
} catch (error) {
  // What is pulled down on the way out fails, and is nobody's concern.
  if (isInterrupted) await new Promise(() => {})
  say(paint('red', '✖'), (error as Error).message)
  process.exitCode = 1
  await end(false)
}

/** @throws Error with the reason if anything is not as it must be */
async function demo(): Promise<void> {
  const corpus = readCorpus()
  say('corpus', `Brown: 500 files, ${count(corpus.length)} lines of text; count the words of each`)
  server = await ServerProcess.start(folder)
  say('server', `ready on ${server.url}, data in ${folder}`)
  await using client = await connect(server.socketUrl, { name: 'demo' })
  const lines = client.queue<Line>(LINES)
  const counts = client.queue<Counts>(COUNTS)
  await lines.declare({ barrier: '/is_eof = 1' })
  await counts.declare()
  workers = await Workers.start(WORKERS, server.socketUrl)
  say('workers', `${WORKERS} processes: ${workers.pids.join(', ')}`)

  const startedMs = performance.now()
  const run = new BatchRun(lines, corpus, { halfPublished, halfCounted })
  const { outcome } = await Promise.race([run.run(), workers.trouble])
  const seconds = (performance.now() - startedMs) / 1_000

  const total = await addUp(counts)
  check(total, corpus.length)
  sayWorkers(total)
  const redelivered = `${count(total.redelivered)} ${options['crash-server'] ? 'marked as redelivered' : 'redelivered'}`
  say('time', `${seconds.toFixed(1)} s, ${count(Math.round(corpus.length / seconds))} messages/s, ${redelivered}`)
  say(
    paint('green', '✔'),
    paint('bold', `${count(corpus.length)} lines, each counted exactly once, outcome ${outcome}`),
  )
}

async function halfPublished(): Promise<void> {
  if (!options['crash-server'] || server === undefined) return
  const startedMs = performance.now()
  say(paint('yellow', 'kill -9'), `the server, process ${server.pid}, half way through publishing`)
  server = await server.crashAndRestart()
  say('restart', `same folder, same port, ready after ${((performance.now() - startedMs) / 1_000).toFixed(1)} s`)
}

function halfCounted(): void {
  say(
    paint('yellow', 'kill -9'),
    `worker ${workers?.killOne()}, half way through counting; the others get what it held`,
  )
}

function check(total: Total, linesExpected: number): void {
  const startedMs = performance.now()
  const expected = countPlainly()
  const seconds = (performance.now() - startedMs) / 1_000
  const wrong = differences(total.words, expected)
  if (total.lines !== linesExpected)
    wrong.unshift(`${count(total.lines)} lines were counted, and not ${count(linesExpected)}`)
  if (wrong.length > 0) {
    throw new Error(
      `The result is wrong in ${wrong.length} ways:\n   ${wrong.slice(0, DIFFERENCES_SAID_MAX).join('\n   ')}`,
    )
  }
  const all = [...expected.values()].reduce((sum, times) => sum + times, 0)
  say(
    'result',
    `${count(all)} words, ${count(expected.size)} different, "more" ${count(expected.get('more') ?? 0)} times`,
  )
  say('check', `the same as one process counts in ${seconds.toFixed(1)} s, word for word`)
}

function sayWorkers({ byWorker }: Total): void {
  const shares = workers!.pids.map(
    pid => `${count(byWorker.get(pid) ?? 0)}${pid === workers?.killed ? ' (killed)' : ''}`,
  )
  say('lines', `${shares.join('   ')}`)
}

/** Ends what was started, or leaves the server and tells how to look at it. */
async function end(keep: boolean): Promise<void> {
  workers?.end()
  if (keep && server !== undefined) return leave(server)
  await server?.end()
  rmSync(folder, { recursive: true, force: true })
}

function leave(server: ServerProcess): void {
  const sluice = `node ${SLUICE}`
  console.log(`
The server is still running. Look at it:

  ${sluice} queue list --url ${server.socketUrl}
  ${sluice} wait ${LINES} end-of-corpus --json --url ${server.socketUrl}
  curl -s ${server.url}/v1/queues/${LINES}

End it, and remove its data:

  kill ${server.pid}; rm -r ${server.folder}
`)
  server.leave()
}
