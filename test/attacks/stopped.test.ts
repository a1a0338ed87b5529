import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { ask, startVictim } from './support.ts'

const ROOT = join(import.meta.dirname, '../..')
const HEARTBEAT_MS = 5_000
const COUNT = 400
const BODY = 'x'.repeat(100_000)
const MIB = 2 ** 20

/** Nobody may notice it. */
const LATE_MS = 2_000

test('attack 27: a client that SIGSTOP has stopped costs little memory, is cut, and what it held returns; others go on', {
  timeout: 90_000,
}, async () => {
  const victim = await startVictim({ heartbeatMs: HEARTBEAT_MS })
  const command = { headers: { 'content-type': 'application/json' }, body: '{}' }
  for (const queue of ['q', 'other']) await ask(victim, 'PUT', `/v1/queues/${queue}`, command)
  const publish = (queue: string, count: number) =>
    ask(victim, 'POST', `/v1/queues/${queue}/messages`, {
      headers: { 'content-type': 'application/x-ndjson' },
      body: `"${BODY}"\n`.repeat(count),
    })
  for (let k = 0; k < COUNT; k += 50) expect((await publish('q', 50)).status).toBe(201)

  const args = ['--conditions=@sluice/source', '--import', 'tsx', 'test/attacks/stopped-client.ts', victim.url, 'q']
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  child.kill('SIGSTOP')
  const before = held()

  const stopped = async (): Promise<{ readonly buffered_bytes: number } | undefined> => {
    const { json } = await ask(victim, 'GET', '/v1/connections')
    return json.connections.find(({ name }: { readonly name: string }) => name === 'stopped')
  }
  expect(await stopped()).toBeDefined()
  let [most, mostUnsent, slowest, isThere] = [0, 0, 0, true]
  const began = performance.now()
  while (isThere && performance.now() - began < 60_000) {
    const started = performance.now()
    expect((await publish('other', 1)).status).toBe(201)
    const pulled = await ask(victim, 'POST', '/v1/queues/other/deliveries?wait=5s&ack=auto')
    expect(pulled.json.deliveries).toHaveLength(1)
    slowest = Math.max(slowest, performance.now() - started)
    most = Math.max(most, held() - before)
    const { buffered_bytes: unsent } = (await stopped()) ?? {}
    isThere = unsent !== undefined
    mostUnsent = Math.max(mostUnsent, unsent ?? 0)
    await new Promise(resolve => setTimeout(resolve, 100))
  }
  expect(isThere).toBe(false)
  // Two heartbeats, and what a busy machine adds.
  expect(performance.now() - began).toBeLessThan(2 * HEARTBEAT_MS + 10_000)
  expect(slowest).toBeLessThan(LATE_MS)
  // 40 MB wait for it; what is on its way is a share of 1 MiB and a piece, and what the kernel has taken.
  expect(mostUnsent).toBeLessThan(2 * MIB)
  expect(most).toBeLessThan(32 * MIB)

  // Still there, and stopped.
  expect([child.exitCode, child.signalCode]).toEqual([null, null])
  const { json } = await ask(victim, 'POST', '/v1/queues/q/deliveries?wait=5s')
  expect(json.deliveries[0]).toMatchObject({ sequence: 1, redelivered: true })
  const view = await ask(victim, 'GET', '/v1/queues/q')
  expect(view.json).toMatchObject({ ready: COUNT - 1, leased: 1 })
})

/** Of this process, in which the server is; the garbage of requests is among it. */
function held(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}
