import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { type Client, connect, type Message } from '@sluice/client'
import { afterEach, expect, test } from 'vitest'

const MAIN = path.join(import.meta.dirname, '../../dist/main.js')

const folders: string[] = []
const processes: ChildProcess[] = []

afterEach(() => {
  for (const process of processes.splice(0)) process.kill('SIGKILL')
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-crash-'))
  folders.push(folder)
  return folder
}

/** Starts a server as a process of its own; resolves once it says that it is ready. */
async function start(
  folder: string,
  port = 0,
): Promise<{ readonly url: string; readonly port: number; kill(): Promise<void> }> {
  const child = spawn(process.execPath, [MAIN, 'serve', '--data', folder, '--listen', `127.0.0.1:${port}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  processes.push(child)
  const [line] = (await once(createInterface({ input: child.stdout! }), 'line')) as [string]
  const url = new URL(line.replace('sluice ready on http:', 'ws:'))
  return {
    url: url.href,
    port: Number(url.port),
    async kill() {
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** A random source that gives the same numbers for the same seed. */
function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

test('R1, R10, A1, P9: over five kills of the server no confirmed message is lost, no answered ack comes back, and every repeat is marked', {
  timeout: 120_000,
}, async () => {
  const seed = Number(process.env['SLUICE_CRASH_SEED'] ?? Date.now() % 1_000_000)
  console.log(`crash seed ${seed}: SLUICE_CRASH_SEED=${seed} npx vitest run --project slow test/crash`)
  const random = seeded(seed)
  const folder = temporaryFolder()
  let server = await start(folder)
  const { url, port } = server
  const confirmed = new Set<number>()
  const answered = new Set<number>()
  const deliveries = new Map<number, boolean[]>()
  const wrong: string[] = []
  let isOver = false

  const publisher = await connect(url, { name: 'publisher' })
  await publisher.queue<number>('q').declare({})
  let next = 0
  const publishing = (async () => {
    while (!isOver) {
      const burst = Array.from({ length: 50 }, () => {
        next += 1
        const id = next
        return publisher
          .queue<number>('q')
          .publish(id)
          .then(() => confirmed.add(id))
      })
      await Promise.all(burst)
    }
  })()

  const settle = async (message: Message<number>) => {
    const id = message.body
    if (answered.has(id)) wrong.push(`${id} came again after its ack was answered`)
    const seen = deliveries.get(id) ?? []
    if (seen.length > 0 && !message.redelivered) wrong.push(`${id} came again without the mark`)
    deliveries.set(id, [...seen, message.redelivered])
    const result = await message.ack({ durable: true }).catch(() => 'unknown')
    if (result === 'acked') answered.add(id)
  }
  const consumers: Client[] = []
  const consuming = [1, 2].map(async k => {
    const client = await connect(url, { name: `consumer ${k}` })
    consumers.push(client)
    for await (const message of client.queue<number>('q').consume({ prefetch: 50, barriers: false }))
      void settle(message)
  })

  for (let round = 0; round < 5; round += 1) {
    await new Promise(resolve => setTimeout(resolve, 200 + random() * 600))
    await server.kill()
    server = await start(folder, port)
  }
  isOver = true
  await publishing
  const day = await publisher.queue('q').barrier({ name: 'end' })
  const end = await day.wait({ timeoutMs: 60_000 })
  for (const client of consumers) await client.close()
  await Promise.allSettled(consuming)
  await publisher.close()

  expect(wrong).toEqual([])
  expect(confirmed.size).toBeGreaterThan(100)
  expect([...confirmed].filter(id => !deliveries.has(id))).toEqual([])
  // Every message was published once and acked once, however often its confirm or its ack was lost on the way.
  expect(end).toMatchObject({ outcome: 'clean', stats: { published: next, acked: next } })
})

test('R3, R4: with a million messages of 100 bytes the first delivery comes within a second of the start, in at most 200 MB', {
  timeout: 120_000,
}, async () => {
  const folder = temporaryFolder()
  const first = await start(folder)
  const publisher = await connect(first.url, { name: 'publisher' })
  const queue = publisher.queue<Uint8Array>('q', { codec: 'bytes' })
  await queue.declare({})
  const body = new Uint8Array(100)
  await queue.publishMany(
    (function* () {
      for (let k = 0; k < 1_000_000; k += 1) yield body
    })(),
    { chunk: 500 },
  )
  await publisher.close()
  await first.kill()
  const startedAt = performance.now()
  const second = await start(folder)
  const consumer = await connect(second.url, { name: 'consumer' })
  const deliveries = consumer
    .queue<Uint8Array>('q', { codec: 'bytes' })
    .consume({ prefetch: 1 })
    [Symbol.asyncIterator]()
  expect((await deliveries.next()).value?.body).toHaveLength(100)
  const ms = performance.now() - startedAt
  const { pid } = processes[processes.length - 1] as ChildProcess
  const { readFileSync } = await import('node:fs')
  const megabytes = Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
  console.log(`first delivery ${Math.round(ms)} ms after the start, resident ${Math.round(megabytes)} MiB`)
  await consumer.close()
  expect(ms).toBeLessThan(1_000)
  expect(megabytes).toBeLessThan(200)
})
