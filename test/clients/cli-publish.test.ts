import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ServerChild, startServer } from './cli-support.ts'

let server: ServerChild
beforeAll(async () => {
  server = await startServer()
})
const folder = mkdtempSync(join(tmpdir(), 'sluice-cli-'))
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})
let files = 0

function fileOf(...lines: readonly string[]): string {
  const path = join(folder, `${++files}.ndjson`)
  writeFileSync(path, lines.map(line => `${line}\n`).join(''))
  return path
}

async function declared(name: string, ...options: readonly string[]): Promise<string> {
  expect((await server.sluice(['queue', 'declare', name, ...options])).exitCode).toBe(0)
  return name
}

/** Bodies in a queue, taken. */
async function bodies(queue: string, count: number): Promise<string[]> {
  return (await server.sluice(['consume', queue, '--count', String(count)])).stdout.split('\n').slice(0, -1)
}

describe('publish', () => {
  test('P6: a body goes in as it is, from the command line or from stdin', async () => {
    const queue = await declared('bodies')
    const one = await server.sluice(['publish', queue, '{"id": 1}'])
    expect(one).toEqual({ exitCode: 0, stdout: '', stderr: ' ✔ 1 message in bodies, sequence 1\n' })
    await server.sluice(['publish', queue, '-'], 'from stdin')
    expect(await bodies(queue, 2)).toEqual(['{"id": 1}', 'from stdin'])
  })

  test('P6: properties travel with it', async () => {
    const queue = await declared('properties')
    const given = ['--header', 'a=1', '--header', 'b=x=y', '--message-id', 'm-1', '--priority', '5', '--ttl', '1h']
    expect((await server.sluice(['publish', queue, 'hello', ...given])).exitCode).toBe(0)
    const { stdout } = await server.sluice(['consume', queue, '--count', '1', '--json'])
    expect(JSON.parse(stdout)).toMatchObject({
      kind: 'message',
      sequence: 1,
      attempt: 1,
      redelivered: false,
      message_id: 'm-1',
      priority: 5,
      headers: { a: '1', b: 'x=y' },
      body: 'hello',
    })
  })

  test('a file goes in line by line, in order, blank lines left out; so does a pipe', async () => {
    const queue = await declared('files')
    const numbers = Array.from({ length: 3_000 }, (_, id) => JSON.stringify({ id }))
    const fromFile = await server.sluice(['publish', queue, '--file', fileOf('', ...numbers, '  '), '--json'])
    expect(fromFile.exitCode).toBe(0)
    expect(JSON.parse(fromFile.stdout)).toMatchObject({
      queue,
      accepted: 3_000,
      first_sequence: 1,
      last_sequence: 3_000,
    })
    expect((await server.sluice(['publish', queue, '--file', '-'], numbers.join('\n'))).exitCode).toBe(0)
    expect(await bodies(queue, 6_000)).toEqual([...numbers, ...numbers])
  })

  test('P8, exit code 3: no such queue, and what to do', async () => {
    const { exitCode, stderr } = await server.sluice(['publish', 'nowhere', 'hello'])
    expect(exitCode).toBe(3)
    expect(stderr).toContain('no-such-queue')
    expect(stderr).toContain('sluice queue declare')
    expect((await server.sluice(['publish', 'nowhere', '--file', fileOf('1', '2')])).exitCode).toBe(3)
  })

  test('P8, exit code 4: lines that were refused are named, the others are in, and there is no barrier', async () => {
    const queue = await declared('picky', '--filter', '/amount > 0')
    const file = fileOf('{"amount":1}', '{"amount":0}', '', '{"amount":', '{"amount":2}')
    const { exitCode, stderr, stdout } = await server.sluice([
      'publish',
      queue,
      '--file',
      file,
      '--barrier=eof',
      '--json',
    ])
    expect(exitCode).toBe(4)
    expect(stderr).toContain('line 2: not-accepted: queue "')
    expect(stderr).toContain('line 4: invalid-message: not JSON')
    expect(stderr).toContain('2 of 4 messages refused. No barrier was put')
    const { accepted, refused } = JSON.parse(stdout)
    expect(accepted).toBe(2)
    expect(new Set(refused.map((one: { line: number }) => one.line))).toEqual(new Set([2, 4]))
    expect(await bodies(queue, 2)).toEqual(['{"amount":1}', '{"amount":2}'])
    expect((await server.sluice(['wait', queue, 'eof', '--timeout', '200ms'])).exitCode).toBe(6)
  })

  test('P5, exit code 4: --id-field asks for dedupe, which a queue must offer', async () => {
    const queue = await declared('ids')
    const { exitCode, stderr } = await server.sluice([
      'publish',
      queue,
      '--file',
      fileOf('{"id":7}'),
      '--id-field',
      '/id',
    ])
    expect(exitCode).toBe(4)
    expect(stderr).toContain('no-dedupe-window')
    expect(stderr).toContain('--dedupe-window')
    const missing = await server.sluice(['publish', queue, '--file', fileOf('{"no":7}'), '--id-field', '/id'])
    expect(missing.stderr).toContain('line 1: invalid-message')
  })

  test('progress is a line of JSON a second for programs, the last state among them', async () => {
    const queue = await declared('progress')
    const { stderr } = await server.sluice(['publish', queue, '--file', fileOf('1', '2'), '--progress', 'json'])
    expect(JSON.parse(stderr.split('\n')[0]!)).toMatchObject({ phase: 'publish', accepted: 2, refused: 0, fraction: 1 })
  })

  test('SIGINT, exit code 130: says what was accepted', async () => {
    const queue = await declared('interrupted')
    const publishing = server.start(['publish', queue, '--file', '-', '--barrier=eof', '--progress', 'json'])
    publishing.child.stdin!.write('1\n2\n3\n')
    await publishing.says('"accepted":3')
    const { exitCode, stderr } = await publishing.interrupt()
    expect(exitCode).toBe(130)
    expect(stderr).toContain('interrupted: 3 messages accepted; no barrier was put')
  })
})

describe('publish --barrier', () => {
  test('B1: a barrier of its own, with or without name and body', async () => {
    const queue = await declared('barriers')
    const bare = await server.sluice(['publish', queue, '--barrier'])
    expect(bare.exitCode).toBe(0)
    expect(bare.stderr).toContain('wait for it: sluice wait barriers @1')
    await server.sluice(['publish', queue, '--barrier=eof', '--barrier-body', '{"is_eof": 1}'])
    const { exitCode, stdout } = await server.sluice(['wait', queue, 'eof', '--json'])
    expect(exitCode).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ name: 'eof', sequence: 2, outcome: 'clean', body: '{"is_eof": 1}' })
    expect((await server.sluice(['wait', queue, '@1'])).exitCode).toBe(0)
  })

  test('B1, exit code 4: a name is used once', async () => {
    const queue = await declared('once')
    expect((await server.sluice(['publish', queue, '--barrier=eof'])).exitCode).toBe(0)
    const again = await server.sluice(['publish', queue, '--barrier=eof'])
    expect(again.exitCode).toBe(4)
    expect(again.stderr).toContain('barrier-exists')
  })

  test('B2, B12: file, barrier and wait are one line of a script; exit code 0 when all is acked', async () => {
    const queue = await declared('nightly')
    const consuming = server.start(['consume', queue, '--until-barrier=eof'])
    const file = fileOf(...Array.from({ length: 500 }, (_, id) => JSON.stringify({ id })))
    const { exitCode, stdout, stderr } = await server.sluice([
      'publish',
      queue,
      '--file',
      file,
      '--barrier=eof',
      '--wait',
      '--json',
    ])
    expect(exitCode).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      accepted: 500,
      barrier: { outcome: 'clean', stats: { published: 500, acked: 500 } },
    })
    expect(stderr).toMatch(/eof released after [\d.]+s {3}outcome clean {3}500 acked/)
    const consumed = await consuming.end()
    expect(consumed.exitCode).toBe(0)
    expect(consuming.lines).toHaveLength(500)
  })

  test('A2, B12, exit code 7: released with dead letters', async () => {
    const queue = await declared('poisoned')
    const rejecting = server.start(['consume', queue, '--exec', 'exit 65', '--until-barrier'])
    const { exitCode, stderr } = await server.sluice([
      'publish',
      queue,
      '--file',
      fileOf('1', '2'),
      '--barrier=eof',
      '--wait',
    ])
    expect(exitCode).toBe(7)
    expect(stderr).toContain('outcome with-dead')
    expect((await rejecting.end()).exitCode).toBe(7)
    expect((await server.sluice(['wait', queue, 'eof'])).exitCode).toBe(7)
  })

  test('B10, exit code 6: the wait is over, the barrier is not', async () => {
    const queue = await declared('slow')
    const { exitCode } = await server.sluice([
      'publish',
      queue,
      '--file',
      fileOf('1'),
      '--barrier=eof',
      '--wait',
      '--timeout',
      '200ms',
    ])
    expect(exitCode).toBe(6)
    await bodies(queue, 1)
    expect((await server.sluice(['wait', queue, 'eof'])).exitCode).toBe(0)
  })

  test('SIGINT while it waits, exit code 130: the batch goes on', async () => {
    const queue = await declared('waiting')
    const publishing = server.start(['publish', queue, '--file', fileOf('1'), '--barrier=eof', '--wait'])
    await publishing.says('waiting')
    const { exitCode, stderr } = await publishing.interrupt()
    expect(exitCode).toBe(130)
    expect(stderr).toContain('sluice wait waiting eof')
  })
})

describe('wait', () => {
  test('B10: waits for a name that nobody has put yet', async () => {
    const queue = await declared('early')
    const waiting = server.start(['wait', queue, 'eof'])
    await new Promise(resolve => setTimeout(resolve, 300))
    await server.sluice(['publish', queue, '--barrier=eof'])
    expect((await waiting.end()).exitCode).toBe(0)
  })

  test('B10, R1: goes on waiting when the server is killed and started again', async () => {
    await using durable = await startServer({ durable: true })
    await durable.sluice(['queue', 'declare', 'lasting'])
    await durable.sluice(['publish', 'lasting', '1'])
    await durable.sluice(['publish', 'lasting', '--barrier=eof'])
    const waiting = durable.start(['wait', 'lasting', 'eof', '--progress', 'json'])
    await waiting.says('"ready":1')
    await durable.crash()
    await waiting.says('connected again')
    await durable.sluice(['consume', 'lasting', '--count', '1'])
    const { exitCode, stderr } = await waiting.end()
    expect(exitCode).toBe(0)
    expect(stderr).toContain('the connection is gone')
  })

  test('exit code 3: no such queue', async () => {
    expect((await server.sluice(['wait', 'nowhere', 'eof'])).exitCode).toBe(3)
  })
})
