import { PassThrough } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { run } from '../../clients/cli/src/index.ts'
import { type Ended, type ServerChild, startServer } from './cli-support.ts'

let server: ServerChild
beforeAll(async () => {
  server = await startServer({ durable: true })
})
afterAll(() => server[Symbol.asyncDispose]())

const done = async (...args: string[]): Promise<Ended> => {
  const ended = await server.run(args)
  expect(ended).toMatchObject({ exitCode: 0 })
  return ended
}

async function filled(name: string, bodies: readonly string[], ...options: readonly string[]): Promise<string> {
  await done('queue', 'declare', name, ...options)
  if (bodies.length > 0)
    expect((await server.sluice(['publish', name, '--file', '-'], bodies.join('\n'))).exitCode).toBe(0)
  return name
}

async function state(queue: string): Promise<Record<string, unknown>> {
  return JSON.parse((await done('queue', 'show', queue, '--json')).stdout)
}

const documents = ({ stdout }: Ended) =>
  stdout
    .split('\n')
    .slice(0, -1)
    .map(line => JSON.parse(line))

/** Runs a command as if at a terminal, with this answer. */
async function answered(answer: string, ...argv: string[]): Promise<{ exitCode: number; stderr: string }> {
  const terminal = () => Object.assign(new PassThrough(), { isTTY: true, columns: 80 })
  const [stdin, stdout, stderr] = [terminal(), terminal(), terminal()]
  let said = ''
  stderr.on('data', chunk => (said += chunk))
  stderr.on(
    'data',
    chunk =>
      String(chunk).includes('[y/N]') &&
      stdin.write(`${answer}
`),
  )
  const exitCode = await run([...argv, '--progress', 'none'], {
    stdin,
    stdout,
    stderr,
    env: { SLUICE_URL: server.url },
  })
  return { exitCode, stderr: said }
}

describe('queue update', () => {
  test('changes what is given, and nothing else', async () => {
    const queue = await filled('changing', [], '--lease', '30s', '--deliveries-max', '5')
    const { stderr } = await done('queue', 'update', queue, '--lease', '60s', '--expiration', '1h')
    expect(stderr).toBe(' ✔ lease, expiration of queue changing are as said\n')
    expect(await state(queue)).toMatchObject({ options: { lease: '1m', expiration: '1h', deliveries_max: 5 } })
    await done('queue', 'update', queue, '--expiration', 'none', '--deliveries-max', 'none')
    expect(await state(queue)).toMatchObject({ options: { lease: '1m', expiration: 'none', deliveries_max: 'none' } })
  })

  test('exit code 4: semantics never change; exit code 2: nothing to change; exit code 3: no such queue', async () => {
    const queue = await filled('constant', [])
    const refused = await server.sluice(['queue', 'update', queue, '--semantics', 'at-most-once'])
    expect(refused.exitCode).toBe(4)
    expect(refused.stderr).toContain('semantics')
    expect((await server.sluice(['queue', 'update', queue])).exitCode).toBe(2)
    expect((await server.sluice(['queue', 'update', 'nowhere', '--lease', '1s'])).exitCode).toBe(3)
  })
})

describe('queue pause', () => {
  test('D14: no delivery and no release while it is paused, over a restart; publishing goes on', async () => {
    const queue = await filled('pausing', ['1'])
    await done('publish', queue, '--barrier=eof')
    expect((await done('queue', 'pause', queue)).stderr).toContain('sluice queue resume pausing')
    await server.crash()
    expect(await state(queue)).toMatchObject({ paused: true })
    await done('publish', queue, '2')
    const consuming = server.start(['consume', queue, '--count', '2'])
    expect((await server.sluice(['wait', queue, 'eof', '--timeout', '500ms'])).exitCode).toBe(6)
    expect(consuming.stdout).toBe('')
    await done('queue', 'resume', queue)
    expect((await consuming.end()).stdout).toBe('1\n2\n')
    expect((await server.sluice(['wait', queue, 'eof'])).exitCode).toBe(0)
  })
})

describe('queue purge', () => {
  test('A6, B13, exit code 8: the waiting batches end as cancelled, with their leases; what is ready and delayed goes', async () => {
    const queue = await filled('purged', ['1', '2', '3'])
    await using holding = holder(server, queue)
    await holding.holds('1')
    await done('publish', queue, '--barrier=eof')
    await done('publish', queue, 'late', '--delay', '1h')
    const refused = await server.sluice(['queue', 'purge', queue])
    expect(refused.exitCode).toBe(2)
    expect(refused.stderr).toContain('Delete 4 messages, and cancel 1 barrier, of purged?')
    expect(refused.stderr).toContain('--yes')
    const { stdout, stderr } = await done('queue', 'purge', queue, '--yes', '--json')
    expect(JSON.parse(stdout).purged).toBe(4)
    expect(stderr).toContain('of purged purged')
    expect((await server.sluice(['wait', queue, 'eof', '--timeout', '5s'])).exitCode).toBe(8)
    expect(await state(queue)).toMatchObject({ ready: 0, leased: 0, delayed: 0, barriers_waiting: 0 })
  })

  test('A6: of the open batch what is leased stays; with --leased nothing does', async () => {
    const queue = await filled('emptied', ['1', '2'])
    await using holding = holder(server, queue)
    await holding.holds('1')
    await done('queue', 'purge', queue, '--yes')
    expect(await state(queue)).toMatchObject({ ready: 0, leased: 1, delayed: 0 })
    const { stderr } = await server.sluice(['queue', 'purge', queue, '--leased'])
    expect(stderr).toContain('Delete 1 message of emptied?')
    await done('queue', 'purge', queue, '--leased', '--yes')
    expect(await state(queue)).toMatchObject({ ready: 0, leased: 0, delayed: 0 })
  })

  test('A6: one message is shown, released, dead-lettered and deleted by its number', async () => {
    const queue = await filled('one-by-one', ['"a"', '"b"', '"c"'], '--deliveries-max', '5')
    await using holding = holder(server, queue)
    await holding.holds('"a"')
    const shown = JSON.parse((await done('queue', 'message', queue, '1', '--json')).stdout)
    expect(shown).toMatchObject({ sequence: 1, state: 'leased', body: '"a"' })
    expect((await done('queue', 'message', queue, '2')).stdout).toContain('body\t"b"\n')
    expect((await done('queue', 'message', queue, '1', '--release')).stderr).toContain(
      'message 1 of one-by-one is released',
    )
    const answer = await done('queue', 'message', queue, '2', '--dead-letter', '--json')
    expect(JSON.parse(answer.stdout)).toEqual({ sequence: 2, result: 'dead-lettered' })
    expect((await done('dead', 'list', queue)).stdout).toContain('by an operator')
    const refused = await server.run(['queue', 'message', queue, '3', '--delete'])
    expect(refused).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('--yes') })
    await done('queue', 'message', queue, '3', '--delete', '--yes')
    for (const act of [[], ['--release'], ['--dead-letter'], ['--delete', '--yes']])
      expect((await server.run(['queue', 'message', queue, '3', ...act])).exitCode, act.join()).toBe(3)
    expect((await server.run(['queue', 'message', queue, '1', '--release', '--delete'])).exitCode).toBe(2)
    expect((await server.run(['queue', 'message', queue, 'first'])).exitCode).toBe(2)
  })

  test('on a terminal it asks: only yes is yes', async () => {
    const queue = await filled('asked', ['1', '2'])
    const no = await answered('', 'queue', 'purge', queue)
    expect(no.exitCode).toBe(130)
    expect(no.stderr).toContain('Delete 2 messages of asked? [y/N]')
    expect(no.stderr).toContain('Nothing was changed.')
    expect(await state(queue)).toMatchObject({ ready: 2 })
    expect((await answered('yes', 'queue', 'purge', queue)).exitCode).toBe(0)
    expect(await state(queue)).toMatchObject({ ready: 0 })
  })
})

describe('queue peek, consume --peek', () => {
  test('D5: looking changes nothing: no lease, no attempt, no redelivery', async () => {
    const queue = await filled('looked-at', ['{"id":1}', '{"id":2}', '{"id":3}'])
    await done('publish', queue, 'later', '--delay', '1h', '--header', 'a=1')
    const { stdout } = await done('queue', 'peek', queue)
    expect(stdout.split('\n').map(line => line.split('\t').slice(0, 4).join(' '))).toEqual([
      'SEQUENCE BATCH STATE ATTEMPTS',
      '1 0 ready 0',
      '2 0 ready 0',
      '3 0 ready 0',
      '4 0 delayed 0',
      '',
    ])
    expect(documents(await done('queue', 'peek', queue, '--state', 'delayed', '--json'))).toMatchObject([
      { sequence: 4, state: 'delayed', body: 'later', headers: { a: '1' } },
    ])
    const bodies = await done('consume', queue, '--peek', '--filter', '/id > 1')
    expect(bodies.stdout).toBe('{"id":2}\n{"id":3}\n')
    expect(bodies.stderr).toBe(' ✔ 2 messages shown, none taken\n')
    expect((await done('consume', queue, '--peek', '--count', '1')).stdout).toBe('{"id":1}\n')
    const [first] = documents(await done('consume', queue, '--count', '1', '--json'))
    expect(first).toMatchObject({ sequence: 1, attempt: 1, redelivered: false })
  })

  test('who has a message, page by page', async () => {
    const queue = await filled('pages', ['1', '2', '3'])
    await using holding = holder(server, queue)
    await holding.holds('1')
    const leased = documents(await done('queue', 'peek', queue, '--state', 'leased', '--json'))
    expect(leased).toMatchObject([{ sequence: 1, holder: expect.stringContaining('sluice-cli') }])
    const first = await done('queue', 'peek', queue, '--limit', '2', '--json')
    expect(documents(first).map(({ sequence }) => sequence)).toEqual([1, 2])
    expect(first.stderr).toContain('--after 2')
    const rest = documents(await done('queue', 'peek', queue, '--after', '2', '--json'))
    expect(rest.map(({ sequence }) => sequence)).toEqual([3])
  })

  test('more messages than a page holds', async () => {
    const bodies = Array.from({ length: 1_300 }, (_, id) => JSON.stringify({ id }))
    const queue = await filled('many', bodies)
    expect((await done('consume', queue, '--peek')).stdout).toBe(bodies.map(body => `${body}\n`).join(''))
    expect(documents(await done('queue', 'peek', queue, '--limit', '1200', '--json'))).toHaveLength(1_200)
  })

  test('bytes that are no text come as they are', async () => {
    const queue = await filled('bytes', [])
    const response = await fetch(`${server.url.replace('ws', 'http')}/v1/queues/${queue}/messages`, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
      body: Uint8Array.of(0xff, 0x41),
    })
    expect(response.status).toBe(201)
    expect(documents(await done('consume', queue, '--peek', '--json'))).toMatchObject([{ body_base64: '/0E=' }])
    expect((await done('queue', 'peek', queue)).stdout).toContain('(2 bytes that are no text)')
  })

  test('exit code 4: a bad expression; exit code 2: what does not go with it; exit code 3: no such queue', async () => {
    const queue = await filled('wrong', [])
    expect(await server.sluice(['queue', 'peek', queue, '--filter', '/a ='])).toMatchObject({ exitCode: 4 })
    expect((await server.sluice(['consume', queue, '--peek', '--exec', 'true'])).exitCode).toBe(2)
    expect((await server.sluice(['queue', 'peek', 'nowhere'])).exitCode).toBe(3)
  })
})

/** A consumer that takes one message and keeps it. */
function holder(server: ServerChild, queue: string): AsyncDisposable & { holds(body: string): Promise<void> } {
  const running = server.start([
    'consume',
    queue,
    '--exec',
    'echo $(cat) held; exec sleep 15 >/dev/null 2>&1',
    '--count',
    '1',
  ])
  return {
    holds: body => running.says(`${body} held`),
    async [Symbol.asyncDispose]() {
      running.child.kill('SIGKILL')
      await running.ended()
    },
  }
}
