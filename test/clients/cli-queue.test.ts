import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ServerChild, startServer } from './cli-support.ts'

let server: ServerChild
beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server[Symbol.asyncDispose]())

describe('queue', () => {
  test('declare makes it, list and show tell of it, delete ends it', async () => {
    const options = ['--barrier', '/is_eof = 1', '--lease', '60s', '--deliveries-max', '5', '--announce', 'alerts']
    expect((await server.sluice(['queue', 'declare', 'sales', ...options])).exitCode).toBe(0)
    await server.sluice(['publish', 'sales', 'hello'])
    const list = await server.sluice(['queue', 'list'])
    expect(list.stdout).toMatch(/^QUEUE\tREADY\t(?:.*\n)*sales\t1\t0\t0\t/)
    const show = await server.sluice(['queue', 'show', 'sales', '--json'])
    expect(JSON.parse(show.stdout)).toMatchObject({
      name: 'sales',
      ready: 1,
      options: { barrier: '/is_eof = 1', lease: '1m', deliveries_max: 5, announce: 'alerts' },
    })
    expect((await server.sluice(['queue', 'show', 'sales'])).stdout).toContain('barrier\t/is_eof = 1\n')
    expect((await server.sluice(['queue', 'delete', 'sales', '--yes'])).exitCode).toBe(0)
    expect((await server.sluice(['queue', 'show', 'sales'])).exitCode).toBe(3)
    expect((await server.sluice(['queue', 'delete', 'alerts', '--yes'])).exitCode).toBe(0)
    expect(JSON.parse((await server.sluice(['queue', 'list', '--json'])).stdout)).toEqual([])
  })

  test('exit code 4: declared again with another option, which is named; with the same it is no mistake', async () => {
    const declare = (lease: string) => server.sluice(['queue', 'declare', 'twice', '--lease', lease])
    expect((await declare('30s')).exitCode).toBe(0)
    expect((await declare('30s')).exitCode).toBe(0)
    const other = await declare('40s')
    expect(other.exitCode).toBe(4)
    expect(other.stderr).toContain('queue-mismatch')
    expect(other.stderr).toContain('lease')
    const bad = await server.sluice(['queue', 'declare', 'bad', '--barrier', '/is_eof ='])
    expect(bad.exitCode).toBe(4)
    expect(bad.stderr).toContain('bad-filter')
  })

  test('exit code 2: delete does not ask where nobody can answer, and says what would be lost', async () => {
    await server.sluice(['queue', 'declare', 'precious'])
    await server.sluice(['publish', 'precious', 'hello'])
    const { exitCode, stderr } = await server.sluice(['queue', 'delete', 'precious'])
    expect(exitCode).toBe(2)
    expect(stderr).toContain('1 message')
    expect(stderr).toContain('--yes')
    expect((await server.sluice(['queue', 'show', 'precious'])).exitCode).toBe(0)
  })

  test('a name may have any character a name may have', async () => {
    const name = 'Umsätze 2026/11?'
    expect((await server.sluice(['queue', 'declare', name])).exitCode).toBe(0)
    expect((await server.sluice(['publish', name, 'hello'])).exitCode).toBe(0)
    expect((await server.sluice(['queue', 'list'])).stdout).toContain(`${name}\t1\t`)
  })
})

describe('filter test', () => {
  test('tries an expression on a body, a file and a queue', async () => {
    const body = await server.sluice(['filter', 'test', '/is_eof = 1', '--body', '{"is_eof":1}'])
    expect(body).toEqual({ exitCode: 0, stdout: 'true\n', stderr: '' })
    const file = await server.sluice(['filter', 'test', '/n > 1', '--file', '-'], '{"n":1}\n{"n":2}\n{"n":3}\n')
    expect(file.stdout).toBe('{"n":2}\n{"n":3}\n')
    expect(file.stderr).toContain('2 of 3 lines match')
    await server.sluice(['queue', 'declare', 'tried'])
    await server.sluice(['publish', 'tried', '--file', '-'], '{"n":1}\n{"n":2}\n')
    const queue = await server.sluice(['filter', 'test', '/n > 1', '--queue', 'tried', '--json'])
    expect(JSON.parse(queue.stdout)).toEqual({ tested: 2, matched: 1, first: [2] })
  })

  test('B1: --batches says where a file would be split, which lines no barrier closes, and what is no JSON', async () => {
    const lines = [
      '{"n":1}',
      '{"n":2}',
      '{"eof":1}',
      '',
      'no',
      '{"n":3}',
      '{"eof":1}',
      '{"eof":1}',
      '{"n":4}',
      '{"n":5}',
    ]
    const command = ['filter', 'test', '/eof = 1', '--file', '-', '--batches']
    const { exitCode, stdout, stderr } = await server.sluice(command, lines.join('\n'))
    expect(exitCode).toBe(0)
    expect(stdout.split('\n').slice(0, -1)).toEqual([
      'BATCH\tFROM\tTO\tMESSAGES\tBARRIER LINE\tBARRIER',
      '1\t1\t2\t2\t3\t{"eof":1}',
      '2\t6\t6\t1\t7\t{"eof":1}',
      '3\t\t\t0\t8\t{"eof":1}',
      '4\t9\t10\t2\t\t',
    ])
    expect(stderr).toContain('1 line left out that are no JSON; the first is line 5')
    expect(stderr).toContain('3 barriers, 3 batches closed')
    expect(stderr).toContain('2 lines from line 9 on: no barrier closes their batch')
    const answer = await server.sluice([...command, '--json'], lines.join('\n'))
    expect(JSON.parse(answer.stdout)).toEqual({
      batches: [
        { from_line: 1, to_line: 2, count: 2, barrier_line: 3, barrier: '{"eof":1}' },
        { from_line: 6, to_line: 6, count: 1, barrier_line: 7, barrier: '{"eof":1}' },
        { count: 0, barrier_line: 8, barrier: '{"eof":1}' },
      ],
      open: { from_line: 9, to_line: 10, count: 2 },
    })
    expect((await server.run(['filter', 'test', '/eof = 1', '--body', '{}', '--batches'])).exitCode).toBe(2)
  })

  test('B1: what --batches says of a file is what a queue makes of it', async () => {
    const lines = Array.from({ length: 1_203 }, (_, n) => JSON.stringify(n % 400 === 399 ? { n, eof: 1 } : { n }))
    const file = lines.join('\n')
    const answer = await server.run(['filter', 'test', '/eof = 1', '--file', '-', '--batches', '--json'], file)
    const { batches, open } = JSON.parse(answer.stdout)
    await server.run(['queue', 'declare', 'split', '--barrier', '/eof = 1'])
    expect((await server.run(['publish', 'split', '--file', '-'], file)).exitCode).toBe(0)
    const listed = JSON.parse((await server.run(['barrier', 'list', 'split', '--json'])).stdout)
    const counts = listed.map(({ sequence, progress }: { sequence: number; progress: { published: number } }) => ({
      barrier_line: sequence,
      count: progress.published,
    }))
    expect(batches).toMatchObject(counts)
    expect(open).toMatchObject({ from_line: 1_201, to_line: 1_203, count: 3 })
  })

  test('exit code 4: a bad expression, with the place', async () => {
    const { exitCode, stderr } = await server.sluice(['filter', 'test', '/a = ', '--body', '{}'])
    expect(exitCode).toBe(4)
    expect(stderr).toContain('bad-filter')
  })
})
