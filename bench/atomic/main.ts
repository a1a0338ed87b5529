import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { connect, type SocketFactory } from '@sluice/client'
import { socketFactory } from '../../clients/typescript/src/socket.ts'

// Atomic publishes of three messages over three queues, with at most 500 unanswered: as version 2 of the protocol has
// them, one after the other, and as they are. In turns, so that what else the machine does falls on both.

const QUEUES = ['a', 'b', 'c']
const UNANSWERED_MAX = 500
const ROUNDS = 3
const BODY = { n: 1, text: 'x'.repeat(80) }
/** Where the version is in the first frame: behind length and type. */
const VERSION_AT = 5

const folder = mkdtempSync(join(process.env['SLUICE_BENCH_DATA'] ?? '/var/tmp', 'sluice-atomic-'))
const args = ['dist/main.js', 'serve', '--listen', '127.0.0.1:0', '--data', folder]
const server = spawn(process.execPath, args, {
  cwd: join(import.meta.dirname, '../..'),
  stdio: ['ignore', 'pipe', 'ignore'],
})
try {
  const url = await addressOf(server)
  for (let round = 1; round <= ROUNDS; round++) {
    const before = await perSecond(url, 2, 300)
    const after = await perSecond(url, undefined, 10_000)
    const ratio = (after / before).toFixed(1)
    console.log(`round ${round}: version 2 ${before.toFixed(0)}/s, now ${after.toFixed(0)}/s, ${ratio} times as many`)
  }
} finally {
  server.kill('SIGTERM')
  if (server.exitCode === null) await once(server, 'exit')
  rmSync(folder, { recursive: true })
}

/** @param version spoken at most; absent: the newest */
async function perSecond(url: string, version: number | undefined, count: number): Promise<number> {
  await using client = await connect(url, version === undefined ? {} : { socket: speaking(version) })
  const messages = QUEUES.map(name => ({ queue: client.queue(`${name}-${version ?? 'now'}`), body: BODY }))
  for (const { queue } of messages) await queue.declare()
  await client.publishAtomic(messages)
  const startedMs = performance.now()
  const unanswered: Promise<unknown>[] = []
  for (let k = 0; k < count; k++) {
    unanswered.push(client.publishAtomic(messages))
    if (unanswered.length === UNANSWERED_MAX) await Promise.all(unanswered.splice(0, UNANSWERED_MAX / 2))
  }
  await Promise.all(unanswered)
  return (count * 1_000) / (performance.now() - startedMs)
}

/** The hello says an older version. */
function speaking(version: number): SocketFactory {
  return async (url, events) => {
    const socket = await socketFactory()(url, events)
    let isFirst = true
    return {
      ...socket,
      send(bytes) {
        if (isFirst) bytes[VERSION_AT] = version
        isFirst = false
        socket.send(bytes)
      },
    }
  }
}

async function addressOf({ stdout }: ChildProcess): Promise<string> {
  for await (const chunk of stdout ?? []) {
    const url = /http:\/\/\S+/.exec(String(chunk))?.[0]
    if (url !== undefined) return url
  }
  throw new Error('the server did not start')
}
