import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { connect } from '@sluice/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Ended, type ServerChild, startServer } from './cli-support.ts'

const hasJq = spawnSync('jq', ['--version']).status === 0
if (!hasJq) console.warn('the hash of a receipt is not computed by jq: apt-get install -y jq')

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

/** Runs one whose document is asked for. */
// biome-ignore lint/suspicious/noExplicitAny: what it holds is what the tests say
async function document(...args: string[]): Promise<any> {
  return JSON.parse((await done(...args, '--json')).stdout)
}

/** A queue with so many messages and a barrier behind them. */
async function batch(name: string, messages: number, ...barrier: readonly string[]): Promise<string> {
  await done('queue', 'declare', name)
  for (let id = 0; id < messages; id++) await done('publish', name, JSON.stringify({ id }))
  await done('publish', name, '--barrier=eof', ...barrier)
  return name
}

const exitCodeOfWait = async (queue: string, barrier = 'eof') =>
  (await server.sluice(['wait', queue, barrier, '--timeout', '10s'])).exitCode

describe('barrier list, show, holdouts', () => {
  test('B17: how far it is, and what holds it', async () => {
    const queue = await batch('held', 3)
    await done('consume', queue, '--count', '1')
    expect(await document('barrier', 'show', queue, 'eof')).toMatchObject({
      name: 'eof',
      state: 'waiting',
      progress: { published: 3, acked: 1, ready: 2, leased: 0, delayed: 0, dead: 0 },
    })
    const holdouts = await document('barrier', 'holdouts', queue, 'eof')
    expect(holdouts.map(({ sequence, state }: { sequence: number; state: string }) => [sequence, state])).toEqual([
      [2, 'ready'],
      [3, 'ready'],
    ])
    const page = await done('barrier', 'holdouts', queue, 'eof', '--limit', '1')
    expect(page.stdout).toMatch(/^SEQUENCE\tSTATE\tREASON\tATTEMPT\tHOLDER\tLEASED\n2\tready\t[a-z-]+\t1\t\t\n$/)
    expect(page.stderr).toContain('--after 2')
    expect((await done('barrier', 'holdouts', queue, 'eof', '--after', '2')).stdout).toMatch(/\n3\tready/)
  })

  test('B10: the record, by name or @ and sequence number', async () => {
    const queue = await batch('recorded', 1, '--barrier-body', '{"is_eof":1}')
    await done('publish', queue, '--barrier')
    await done('consume', queue, '--count', '1')
    expect(await exitCodeOfWait(queue, '@3')).toBe(0)
    for (const name of ['eof', '@2']) {
      expect(await document('barrier', 'show', queue, name)).toMatchObject({
        sequence: 2,
        state: 'released',
        outcome: 'clean',
        stats: { published: 1, acked: 1 },
        body: '{"is_eof":1}',
      })
    }
    const list = (await done('barrier', 'list', queue)).stdout.split('\n').map(line => line.split('\t').slice(0, 4))
    expect(list).toEqual([
      ['BARRIER', 'SEQUENCE', 'STATE', 'OUTCOME'],
      ['eof', '2', 'released', 'clean'],
      ['@3', '3', 'released', 'clean'],
      [''],
    ])
    expect((await done('barrier', 'show', queue, 'eof')).stdout).toContain('outcome\tclean\n')
  })

  test('B10: a receipt is the same through every door, and anybody can compute its hash', async () => {
    const queue = await batch('filed', 2, '--barrier-body', '{"is_eof":1}')
    const waiting = await server.sluice(['barrier', 'show', queue, 'eof', '--receipt'])
    expect(waiting).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('once it is released') })
    await done('consume', queue, '--count', '2')
    expect(await exitCodeOfWait(queue)).toBe(0)

    const { receipt, sha256 } = await document('barrier', 'show', queue, 'eof', '--receipt')
    const hashOf = (text: string) => createHash('sha256').update(text).digest('hex')
    expect(receipt).toEqual({
      receipt: 1,
      queue,
      name: 'eof',
      sequence: 3,
      batch: 0,
      first_sequence: 1,
      last_sequence: 2,
      outcome: 'clean',
      counts: { published: 2, acked: 2, dead: 0, expired: 0, dropped: 0, carried: 0 },
      first_published_at: expect.stringMatching(/Z$/),
      last_settled_at: expect.stringMatching(/Z$/),
      published_at: expect.stringMatching(/Z$/),
      released_at: expect.stringMatching(/Z$/),
      body_sha256: hashOf('{"is_eof":1}'),
    })
    // Flat but for the counts: names sorted, no white space.
    const sorted = (value: object) => Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    expect(sha256).toBe(hashOf(JSON.stringify(sorted({ ...receipt, counts: sorted(receipt.counts) }))))

    await using client = await connect(server.url, { name: 'auditor' })
    const told = await client.queue(queue).batch('eof').receipt()
    expect(told.sha256).toBe(sha256)
    expect(hashOf(told.text)).toBe(sha256)
    expect(told.document).toEqual(receipt)
    const url = `${server.url.replace('ws', 'http')}/v1/queues/${queue}/barriers/%403/receipt`
    expect(await (await fetch(url)).json()).toEqual({ receipt, sha256 })
    expect((await done('barrier', 'show', queue, 'eof', '--receipt')).stdout).toContain(`sha256\t${sha256}\n`)
  })

  test.skipIf(!hasJq)('B10: jq and sha256sum compute the hash of a receipt', async () => {
    const queue = await batch('filé ✓', 0, '--barrier-body', '"Ende ✓"')
    expect(await exitCodeOfWait(queue)).toBe(0)
    const { stdout } = await done('barrier', 'show', queue, 'eof', '--receipt', '--json')
    const computed = execFileSync('bash', ['-c', 'jq -cjS .receipt | sha256sum'], { input: stdout, encoding: 'utf8' })
    expect(computed.slice(0, 64)).toBe(JSON.parse(stdout).sha256)
  })

  test('exit code 3: no such queue, no such barrier, and where to look', async () => {
    const queue = await batch('known', 0)
    const { exitCode, stderr } = await server.sluice(['barrier', 'show', queue, 'monday'])
    expect(exitCode).toBe(3)
    expect(stderr).toContain('sluice barrier list')
    expect((await server.sluice(['barrier', 'list', 'nowhere'])).exitCode).toBe(3)
    expect((await server.sluice(['barrier', 'holdouts', queue, '@77'])).exitCode).toBe(3)
  })
})

describe('barrier cancel, extend', () => {
  test('B13, exit code 8: cancel ends the batch, once it is said what that means', async () => {
    const queue = await batch('cancelled', 3)
    const waiting = server.start(['wait', queue, 'eof'])
    const refused = await server.sluice(['barrier', 'cancel', queue, 'eof', '--rest', 'drop'])
    expect(refused.exitCode).toBe(2)
    expect(refused.stderr).toContain('3 of its 3 messages are not done, and are dropped')
    await done('barrier', 'cancel', queue, 'eof', '--rest', 'drop', '--yes')
    const { exitCode, stderr } = await waiting.end()
    expect(exitCode).toBe(8)
    expect(stderr).toContain('outcome cancelled')
    expect(await document('barrier', 'show', queue, 'eof')).toMatchObject({
      outcome: 'cancelled',
      stats: { dropped: 3 },
    })
  })

  test('B13: with --rest carry the rest joins the next batch', async () => {
    const queue = await batch('carried', 2)
    await done('barrier', 'cancel', queue, 'eof', '--rest', 'carry', '--yes')
    expect(await exitCodeOfWait(queue)).toBe(8)
    await done('publish', queue, '--barrier=next')
    expect((await done('consume', queue, '--until-barrier=next')).stdout).toBe('{"id":0}\n{"id":1}\n')
    expect(await exitCodeOfWait(queue, 'next')).toBe(0)
  })

  test('B13, exit code 8: a deadline that passes; extended, it does not', async () => {
    const expiring = await batch('expiring', 1, '--deadline', '300ms', '--rest', 'dead-letter')
    const { exitCode, stderr } = await server.sluice(['wait', expiring, 'eof', '--timeout', '10s'])
    expect(exitCode).toBe(8)
    expect(stderr).toContain('outcome expired')
    const extended = await batch('extended', 1, '--deadline', '2s')
    expect((await done('barrier', 'extend', extended, 'eof', '--deadline', '6h')).stderr).toContain('6h from now')
    await new Promise(resolve => setTimeout(resolve, 2_500))
    expect(await document('barrier', 'show', extended, 'eof')).toMatchObject({ state: 'waiting' })
    await done('consume', extended, '--count', '1')
    expect(await exitCodeOfWait(extended)).toBe(0)
  })

  test('B13, B12, exit code 8: publish --wait and consume --until-barrier tell of a failed batch', async () => {
    await done('queue', 'declare', 'failing', '--on-dead', 'fail')
    const rejecting = server.start(['consume', 'failing', '--exec', 'exit 65', '--until-barrier=eof'])
    const publishing = await server.sluice([
      'publish',
      'failing',
      'poison',
      '--barrier=eof',
      '--wait',
      '--timeout',
      '20s',
    ])
    expect(publishing.exitCode).toBe(8)
    expect(publishing.stderr).toContain('outcome failed')
    expect((await rejecting.end()).exitCode).toBe(8)
  })

  test('exit codes 2, 3 and 4: a deadline that is none, what is not there, what is released already', async () => {
    const queue = await batch('mistaken', 0)
    expect((await server.sluice(['barrier', 'cancel', queue, 'nobody', '--yes'])).exitCode).toBe(3)
    expect((await server.sluice(['barrier', 'extend', queue, 'nobody', '--deadline', '1h'])).exitCode).toBe(3)
    expect((await server.sluice(['barrier', 'extend', queue, 'eof', '--deadline', 'soon'])).exitCode).toBe(2)
    expect((await server.sluice(['barrier', 'extend', queue, 'eof'])).exitCode).toBe(2)
    const late = await server.sluice(['barrier', 'cancel', queue, 'eof'])
    expect(late.exitCode).toBe(4)
    expect(late.stderr).toContain('was released at')
    expect(late.stderr).not.toContain('choose another')
  })
})

describe('publish --barrier with parties and forward', () => {
  test('B14: three stores end one day; the record has what each of them said', async () => {
    await done('queue', 'declare', 'stores')
    const party = (store: number) => [
      'publish',
      'stores',
      `{"store":${store}}`,
      '--barrier=day',
      '--parties',
      '3',
      '--party',
      `store-${store}`,
      '--barrier-body',
      `{"sold":${store}}`,
    ]
    await done(...party(1))
    await done(...party(2))
    await done(...party(2))
    expect(await document('barrier', 'show', 'stores', 'day')).toMatchObject({
      state: 'gathering',
      parties: { count: 3, arrived: ['store-1', 'store-2'] },
    })
    const other = ['publish', 'stores', '--barrier=day', '--parties', '4', '--party', 'store-4']
    expect(await server.sluice(other)).toMatchObject({
      exitCode: 4,
      stderr: expect.stringContaining('barrier-mismatch'),
    })
    await done(...party(3))
    expect((await done('consume', 'stores', '--until-barrier=day')).stdout).toBe(
      [1, 2, 2, 3].map(store => `{"store":${store}}\n`).join(''),
    )
    // From HTTP and over the native protocol.
    for (const args of [['barrier', 'show'], ['wait']]) {
      const { parties } = await document(...args, 'stores', 'day')
      expect(parties).toMatchObject({
        count: 3,
        missing: 0,
        arrived: ['store-1', 'store-2', 'store-3'],
        messages: [1, 2, 3].map(store => ({ party: `store-${store}`, body: `{"sold":${store}}` })),
      })
    }
  })

  test('B14: what is missing is on the record of a day that was cancelled', async () => {
    await done('queue', 'declare', 'absent')
    await done('publish', 'absent', '--barrier=day', '--parties', '2', '--party', 'store-1')
    const refused = await server.sluice(['barrier', 'cancel', 'absent', 'day'])
    expect(refused.stderr).toContain('1 of 2 parties have come')
    await done('barrier', 'cancel', 'absent', 'day', '--yes')
    expect(await exitCodeOfWait('absent', 'day')).toBe(8)
    expect(await document('barrier', 'show', 'absent', 'day')).toMatchObject({
      outcome: 'cancelled',
      parties: { count: 2, missing: 1, arrived: ['store-1'] },
    })
  })

  test('B15: a barrier on two queues with --forward is a join: done when both are', async () => {
    for (const queue of ['left', 'right', 'joined']) await done('queue', 'declare', queue)
    for (const queue of ['left', 'right']) {
      await done('publish', queue, '1')
      await done('publish', queue, '--barrier=all', '--forward', 'joined', '--parties', '2')
    }
    await done('consume', 'left', '--count', '1')
    expect((await server.sluice(['wait', 'joined', 'all', '--timeout', '300ms'])).exitCode).toBe(6)
    await done('consume', 'right', '--count', '1')
    const { outcome, batches } = await document('wait', 'joined', 'all')
    expect(outcome).toBe('clean')
    const summaries = batches.map(({ queue, stats }: { queue: string; stats: { acked: number } }) => [
      queue,
      stats.acked,
    ])
    expect(summaries).toEqual([
      ['left', 1],
      ['right', 1],
    ])
  })
})

describe('publish', () => {
  test('P5: --dedupe with --message-id leaves a repetition out, where there is a window', async () => {
    await done('queue', 'declare', 'deduped')
    const publish = ['publish', 'deduped', 'hello', '--message-id', 'm-1', '--dedupe']
    const refused = await server.sluice(publish)
    expect(refused.exitCode).toBe(4)
    expect(refused.stderr).toContain('no-dedupe-window')
    expect(refused.stderr).toContain('sluice queue update')
    await done('queue', 'update', 'deduped', '--dedupe-window', '1h')
    await done(...publish)
    expect((await done(...publish)).stderr).toContain('1 duplicate left out')
    expect(await document('queue', 'show', 'deduped')).toMatchObject({ ready: 1 })
  })

  test('P5: --id-field leaves repeated lines of a file out, and the same file sent again', async () => {
    await done('queue', 'declare', 'lines', '--dedupe-window', '1h')
    const send = () =>
      server.sluice(['publish', 'lines', '--file', '-', '--id-field', '/id', '--json'], '{"id":1}\n{"id":2}\n{"id":1}')
    expect(JSON.parse((await send()).stdout)).toMatchObject({ accepted: 3, duplicates: 1, first_sequence: 1 })
    expect(JSON.parse((await send()).stdout)).toMatchObject({ accepted: 3, duplicates: 3 })
    expect(await document('queue', 'show', 'lines')).toMatchObject({ ready: 2 })
  })

  test('D15: --group keeps the messages of a group in order, one at a time', async () => {
    await done('queue', 'declare', 'grouped', '--group', 'property')
    for (const body of ['1', '2']) await done('publish', 'grouped', body, '--group', 'a')
    await done('publish', 'grouped', '3', '--group', 'b')
    const running = server.start([
      'consume',
      'grouped',
      '--exec',
      'echo $(cat); exec sleep 15 >/dev/null 2>&1',
      '--concurrency',
      '3',
    ])
    await running.says('3')
    await new Promise(resolve => setTimeout(resolve, 300))
    expect([...running.lines].sort()).toEqual(['1', '3'])
    running.child.kill('SIGKILL')
    await running.ended()
  })
})
