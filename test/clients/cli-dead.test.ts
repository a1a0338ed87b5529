import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Ended, type ServerChild, startServer } from './cli-support.ts'

let server: ServerChild
beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server[Symbol.asyncDispose]())

const done = async (...args: string[]): Promise<Ended> => {
  const ended = await server.run(args)
  expect(ended).toMatchObject({ exitCode: 0 })
  return ended
}

const documents = ({ stdout }: Ended) =>
  stdout
    .split('\n')
    .slice(0, -1)
    .map(line => JSON.parse(line))

const bodies = (ended: Ended) => documents(ended).map(({ body }) => body)

/** A queue whose messages were all rejected; a barrier behind them if asked. */
async function rejected(queue: string, count: number, barrier?: string): Promise<string> {
  await server.sluice(['queue', 'declare', queue])
  const lines = Array.from({ length: count }, (_, id) => JSON.stringify({ id }))
  expect((await server.sluice(['publish', queue, '--file', '-'], lines.join('\n'))).exitCode).toBe(0)
  await done('consume', queue, '--exec', 'exit 65', '--count', String(count))
  if (barrier !== undefined) await done('publish', queue, `--barrier=${barrier}`)
  return queue
}

describe('dead', () => {
  test('A5: list and show tell where they come from and why', async () => {
    const queue = await rejected('told', 2)
    const { stdout, stderr } = await done('dead', 'list', queue)
    const rows = stdout.split('\n').map(line => line.split('\t'))
    expect(rows[0]).toEqual(['SEQUENCE', 'REASON', 'ATTEMPTS', 'WAS SEQUENCE', 'BATCH', 'DIED', 'DETAIL', 'BODY'])
    expect(rows[1]!.slice(0, 5)).toEqual(['1', 'rejected', '1', '1', '0'])
    expect(rows[1]!.slice(6)).toEqual(['rejected by exit 65', '{"id":0}'])
    expect(stderr).toContain('2 messages')
    const shown = JSON.parse((await done('dead', 'show', queue, '2', '--json')).stdout)
    expect(shown).toMatchObject({
      sequence: 2,
      body: '{"id":1}',
      origin: { queue, sequence: 2, batch: 0, attempts: 1, reason: 'rejected', detail: 'rejected by exit 65' },
    })
    expect((await done('dead', 'show', queue, '2')).stdout).toContain('origin.reason\trejected\n')
    const page = await done('dead', 'list', queue, '--limit', '1', '--json')
    expect(bodies(page)).toEqual(['{"id":0}'])
    expect(page.stderr).toContain('--after 1')
  })

  test('A5: by filter and by batch', async () => {
    const queue = await rejected('chosen', 3, 'monday')
    await rejected(queue, 2, 'tuesday')
    expect(bodies(await done('dead', 'list', queue, '--batch', 'tuesday', '--json'))).toEqual(['{"id":0}', '{"id":1}'])
    expect(bodies(await done('dead', 'list', queue, '--filter', '/id = 1', '--json'))).toEqual(['{"id":1}', '{"id":1}'])
    const both = ['--filter', '/id > 1', '--batch', 'monday', '--json']
    expect(bodies(await done('dead', 'list', queue, ...both))).toEqual(['{"id":2}'])
  })

  test('A5: requeue puts them back where they come from, as new messages', async () => {
    const queue = await rejected('again', 4)
    expect((await done('dead', 'requeue', queue, '--filter', '/id = 2')).stderr).toBe(' ✔ 1 message back in again\n')
    expect(JSON.parse((await done('dead', 'requeue', queue, '--json')).stdout)).toEqual({ requeued: 3 })
    expect(documents(await done('dead', 'list', queue, '--json'))).toEqual([])
    const back = documents(await done('consume', queue, '--count', '4', '--json'))
    expect(back.map(({ sequence, body }) => [sequence, body])).toEqual([
      [5, '{"id":2}'],
      [6, '{"id":0}'],
      [7, '{"id":1}'],
      [8, '{"id":3}'],
    ])
  })

  test('A5: one is requeued or purged by its number, and one that is not there is exit code 3', async () => {
    const queue = await rejected('numbered', 3)
    expect(bodies(await done('dead', 'list', queue, '--sequence', '2', '--json'))).toEqual(['{"id":1}'])
    const requeued = await done('dead', 'requeue', queue, '--sequence', '2', '--json')
    expect(JSON.parse(requeued.stdout)).toEqual({ requeued: 1 })
    expect(bodies(await done('dead', 'list', queue, '--json'))).toEqual(['{"id":0}', '{"id":2}'])
    expect(bodies(await done('consume', queue, '--count', '1', '--json'))).toEqual(['{"id":1}'])
    const again = await server.run(['dead', 'requeue', queue, '--sequence', '2'])
    expect(again).toMatchObject({ exitCode: 3, stderr: expect.stringContaining('no dead letter 2') })
    const both = ['dead', 'requeue', queue, '--sequence', '1', '--filter', '/id = 2']
    expect((await server.run(both)).exitCode).toBe(3)
    expect((await server.run(['dead', 'purge', queue, '--sequence', '3'])).stderr).toContain('Delete 1 dead letter of')
    await done('dead', 'purge', queue, '--sequence', '3', '--yes')
    expect(bodies(await done('dead', 'list', queue, '--json'))).toEqual(['{"id":0}'])
  })

  test('A5, B12: a batch whose dead letters are requeued in time is clean', async () => {
    await done('queue', 'declare', 'mended', '--on-dead', 'hold')
    await done('publish', 'mended', '{"id":0}')
    await done('consume', 'mended', '--exec', 'exit 65', '--count', '1')
    await done('publish', 'mended', '--barrier=eof')
    expect((await server.sluice(['wait', 'mended', 'eof', '--timeout', '300ms'])).exitCode).toBe(6)
    expect((await done('barrier', 'holdouts', 'mended', 'eof')).stdout).toContain('dead-letter')
    await done('dead', 'requeue', 'mended', '--batch', 'eof')
    await done('consume', 'mended', '--count', '1')
    expect((await server.sluice(['wait', 'mended', 'eof', '--timeout', '10s'])).exitCode).toBe(0)
  })

  test('A5: purge says how many, wants a yes, and leaves those of others', async () => {
    const queue = await rejected('gone', 3)
    const refused = await server.sluice(['dead', 'purge', queue])
    expect(refused.exitCode).toBe(2)
    expect(refused.stderr).toContain('Delete 3 dead letters of gone?')
    expect(refused.stderr).toContain('--yes')
    await done('dead', 'purge', queue, '--filter', '/id = 0', '--yes')
    expect(bodies(await done('dead', 'list', queue, '--json'))).toEqual(['{"id":1}', '{"id":2}'])
    expect(JSON.parse((await done('dead', 'purge', queue, '--yes', '--json')).stdout)).toEqual({ purged: 2 })
    expect((await done('dead', 'list', queue)).stderr).toContain('0 messages')
  })

  test('exit code 3: no such queue, no such dead letter; exit code 2: no number; exit code 4: a bad expression', async () => {
    const queue = await rejected('few', 1)
    expect((await server.sluice(['dead', 'list', 'nowhere'])).exitCode).toBe(3)
    expect((await server.sluice(['dead', 'show', queue, '7'])).exitCode).toBe(3)
    expect((await server.sluice(['dead', 'show', queue, 'first'])).exitCode).toBe(2)
    expect((await server.sluice(['dead', 'requeue', queue, '--filter', '/a ='])).exitCode).toBe(4)
  })
})
