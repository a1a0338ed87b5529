import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MAIN, type ServerChild, startServer } from './cli-support.ts'

let server: ServerChild
beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server[Symbol.asyncDispose]())

/** Declares a queue and publishes these to it. */
async function filled(name: string, bodies: readonly string[], ...options: readonly string[]): Promise<string> {
  expect((await server.sluice(['queue', 'declare', name, ...options])).exitCode).toBe(0)
  if (bodies.length > 0) {
    expect((await server.sluice(['publish', name, '--file', '-'], bodies.join('\n'))).exitCode).toBe(0)
  }
  return name
}

async function state(queue: string): Promise<Record<string, number>> {
  return JSON.parse((await server.sluice(['queue', 'show', queue, '--json'])).stdout)
}

/** What a pipe of Linux holds. */
const PIPE_BYTES = 65_536
const LARGE_BYTES = 2_048
const large = Array.from({ length: 500 }, (_, id) => JSON.stringify({ id, padding: '' }).padEnd(LARGE_BYTES - 1))

/** Runs a line of bash, in which node "$SLUICE" is the command. */
async function shell(line: string): Promise<{ exitCode: unknown; stdout: string }> {
  const env = { ...process.env, SLUICE: MAIN, SLUICE_URL: server.url }
  const child = spawn('bash', ['-c', line], { env, stdio: ['ignore', 'pipe', 'ignore'] })
  let stdout = ''
  child.stdout.on('data', chunk => (stdout += chunk))
  return new Promise(resolve => child.on('close', exitCode => resolve({ exitCode, stdout })))
}

const numbers = (count: number) => Array.from({ length: count }, (_, id) => JSON.stringify({ id }))

describe('consume', () => {
  test('A1: --count takes so many, each a line on stdout, and leaves the rest', async () => {
    const queue = await filled('some', numbers(10))
    const { exitCode, stdout, stderr } = await server.sluice(['consume', queue, '--count', '4'])
    expect(exitCode).toBe(0)
    expect(stdout).toBe(numbers(4).join('\n').concat('\n'))
    expect(stderr).toBe(' ✔ 4 messages acked\n')
    expect(await state(queue)).toMatchObject({ ready: 6, leased: 0, acked_total: 4 })
  })

  test('D1, D3: --filter takes what matches and leaves what does not', async () => {
    const queue = await filled('matching', numbers(10))
    const { stdout } = await server.sluice(['consume', queue, '--filter', '/id > 6', '--count', '3'])
    expect(stdout).toBe('{"id":7}\n{"id":8}\n{"id":9}\n')
    const bad = await server.sluice(['consume', queue, '--filter', '/id >'])
    expect(bad.exitCode).toBe(4)
    expect(bad.stderr).toContain('bad-filter')
  })

  test('exit code 3: no such queue', async () => {
    expect((await server.sluice(['consume', 'nowhere', '--count', '1'])).exitCode).toBe(3)
  })

  test('SIGINT, exit code 130: what was written is acked, the rest is given back', async () => {
    const queue = await filled('interrupted', numbers(3))
    const consuming = server.start(['consume', queue])
    await consuming.says('{"id":2}')
    const { exitCode, stderr } = await consuming.interrupt()
    expect(exitCode).toBe(130)
    expect(stderr).toContain('interrupted: 3 messages acked')
    expect(await state(queue)).toMatchObject({ ready: 0, leased: 0, subscriptions: 0 })
  })

  test('D4, D10: what a reader who goes away was not written stays in the queue', async () => {
    const queue = await filled('piped', large)
    const { exitCode, stdout } = await shell(`node "$SLUICE" consume piped | head -n 3; exit $PIPESTATUS`)
    expect({ exitCode, stdout }).toEqual({
      exitCode: 0,
      stdout: large
        .slice(0, 3)
        .map(line => `${line}\n`)
        .join(''),
    })
    const { acked_total: acked, ready, leased } = await state(queue)
    expect(acked).toBeGreaterThanOrEqual(3)
    // What head had read, and what was on its way to it; not what waited in our process.
    expect(acked).toBeLessThanOrEqual((2 * PIPE_BYTES) / LARGE_BYTES + 1)
    expect({ ready, leased }).toEqual({ ready: large.length - acked!, leased: 0 })
  })

  test('D10: a reader that is gone before the first message takes none', async () => {
    const queue = await filled('unread', ['1'])
    const { exitCode } = await shell('node "$SLUICE" consume unread | true; exit $PIPESTATUS')
    expect(exitCode).toBe(0)
    expect(await state(queue)).toMatchObject({ ready: 1, leased: 0, acked_total: 0 })
  })

  test('D11: a reader that pauses holds the messages back unacked, and gets all of them', async () => {
    const queue = await filled('paused', large)
    const folder = mkdtempSync(join(tmpdir(), 'sluice-pausing-'))
    const go = join(folder, 'go')
    // The reader begins when it is told to, however slow the machine is.
    const reader = `(until [ -e ${go} ]; do sleep 0.05; done; cat)`
    const reading = shell(`node "$SLUICE" consume paused --count ${large.length} | ${reader}`)
    await expect.poll(async () => (await state(queue))['leased'], { timeout: 10_000 }).toBeGreaterThan(0)
    await new Promise(resolve => setTimeout(resolve, 300))
    expect((await state(queue))['acked_total']).toBeLessThanOrEqual(PIPE_BYTES / LARGE_BYTES + 1)
    writeFileSync(go, '')
    expect((await reading).stdout).toBe(large.map(line => `${line}\n`).join(''))
    expect(await state(queue)).toMatchObject({ ready: 0, leased: 0, acked_total: large.length })
    rmSync(folder, { recursive: true })
  })
})

describe('consume --until-barrier', () => {
  test('B7: ends at the next barrier, after everything before it and nothing behind it', async () => {
    const queue = await filled('two-days', numbers(3))
    await server.sluice(['publish', queue, '--barrier=monday'])
    await server.sluice(['publish', queue, '{"id":"tuesday"}'])
    const { exitCode, stdout, stderr } = await server.sluice(['consume', queue, '--until-barrier', '--json'])
    expect(exitCode).toBe(0)
    const documents = stdout
      .split('\n')
      .slice(0, -1)
      .map(line => JSON.parse(line))
    expect(documents.map(({ kind, name, body }) => name ?? body ?? kind)).toEqual([...numbers(3), 'monday'])
    expect(documents[3]).toMatchObject({ kind: 'barrier', outcome: 'clean', stats: { acked: 3 } })
    expect(stderr).toContain('3 messages acked')
    expect(await state(queue)).toMatchObject({ ready: 1, leased: 0 })
  })

  test('B7: goes on to the barrier that is named', async () => {
    const queue = await filled('three-days', ['1'])
    for (const day of ['monday', 'tuesday', 'wednesday']) {
      await server.sluice(['publish', queue, `"${day}"`])
      await server.sluice(['publish', queue, `--barrier=${day}`])
    }
    const { exitCode, stdout } = await server.sluice(['consume', queue, '--until-barrier=tuesday'])
    expect(exitCode).toBe(0)
    expect(stdout).toBe('1\n"monday"\n"tuesday"\n')
    expect(await state(queue)).toMatchObject({ ready: 1, leased: 0 })
  })

  test('B10: ends at once if that barrier is released already, and takes nothing', async () => {
    const queue = await filled('yesterday', [])
    await server.sluice(['publish', queue, '--barrier=eof'])
    await server.sluice(['publish', queue, 'today'])
    const { exitCode, stdout, stderr } = await server.sluice(['consume', queue, '--until-barrier=eof'])
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: '' })
    expect(stderr).toContain('released already')
    expect(await state(queue)).toMatchObject({ ready: 1, acked_total: 0 })
  })

  test('B5: ends although its filter does not match the barrier', async () => {
    const queue = await filled('filtered', numbers(2))
    const consuming = server.start(['consume', queue, '--filter', '/id >= 0', '--until-barrier=eof'])
    await consuming.says('{"id":1}')
    await server.sluice(['publish', queue, '--barrier=eof', '--barrier-body', '{"is_eof":1}'])
    expect((await consuming.end()).exitCode).toBe(0)
  })
})

describe('consume --exec', () => {
  test('A1: a process for each message, its body on stdin; exit 0 acks', async () => {
    const queue = await filled('commands', numbers(3))
    const command = 'cat; echo " $SLUICE_QUEUE $SLUICE_SEQUENCE $SLUICE_ATTEMPT"'
    const { exitCode, stdout, stderr } = await server.sluice(['consume', queue, '--exec', command, '--count', '3'])
    expect(exitCode).toBe(0)
    expect(stdout).toBe('{"id":0} commands 1 1\n{"id":1} commands 2 1\n{"id":2} commands 3 1\n')
    expect(stderr).toBe(' ✔ 3 messages acked\n')
  })

  test('A2: exit 65 rejects, anything else nacks', async () => {
    const queue = await filled('exits', ['65', '1', '0'], '--deliveries-max', '3')
    await server.sluice(['publish', queue, '--barrier=eof'])
    const { exitCode, stderr } = await server.sluice(['consume', queue, '--exec', 'exit $(cat)', '--until-barrier=eof'])
    expect(exitCode).toBe(7)
    expect(stderr).toContain('1 message acked, 1 rejected, 3 nacked')
    expect(await state('exits.dead')).toMatchObject({ ready: 2 })
  })

  test('as many at once as --concurrency says', async () => {
    const queue = await filled('parallel', numbers(8))
    const startedMs = performance.now()
    await server.sluice(['consume', queue, '--exec', 'sleep 0.5', '--concurrency', '8', '--count', '8'])
    expect(performance.now() - startedMs).toBeLessThan(3_000)
  })

  test('a command that cannot be found stops the consumer, before it has spoilt the queue', async () => {
    const queue = await filled('mistyped', numbers(5), '--deliveries-max', '1')
    const { exitCode, stderr } = await server.sluice(['consume', queue, '--exec', 'no-such-command-here'])
    expect(exitCode).toBe(1)
    expect(stderr).toContain('cannot be run')
    expect(await state(queue)).toMatchObject({ ready: 4 })
  })

  test('D7: a command whose lease ran out is ended, and its message goes to the next', async () => {
    const queue = await filled('overtaken', ['1'], '--lease', '300ms')
    const slow = server.start(['consume', queue, '--exec', 'exec sleep 20', '--count', '1'])
    await new Promise(resolve => setTimeout(resolve, 300))
    const { stdout } = await server.sluice(['consume', queue, '--count', '1', '--json'])
    expect(JSON.parse(stdout)).toMatchObject({ attempt: 2, redelivered: true })
    expect((await slow.end()).stderr).toContain('1 lost')
  })
})
