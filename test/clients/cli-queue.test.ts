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

  test('exit code 4: a bad expression, with the place', async () => {
    const { exitCode, stderr } = await server.sluice(['filter', 'test', '/a = ', '--body', '{}'])
    expect(exitCode).toBe(4)
    expect(stderr).toContain('bad-filter')
  })
})
