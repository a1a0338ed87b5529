import { PassThrough } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { closeOptionalValues, readDuration, readHeader, readSize } from '../../clients/cli/src/arguments.ts'
import { run } from '../../clients/cli/src/index.ts'

/** Runs a command that ends before it needs a server. */
async function usage(...argv: string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()]
  const exitCode = await run(argv, { stdin, stdout, stderr, env: { SLUICE_URL: 'ws://127.0.0.1:9' } })
  return { exitCode, stdout: String(stdout.read() ?? ''), stderr: String(stderr.read() ?? '') }
}

describe('a barrier name is given with "="', () => {
  test.each([
    ['behind the flag', ['publish', 'sales', '--barrier', 'eof']],
    ['before the flag', ['publish', 'sales', 'eof', '--barrier']],
    ['with a common option first', ['--url', 'ws://127.0.0.1:9', 'publish', 'sales', '--barrier', 'eof']],
  ])('a BODY %s is a mistake', async (_, argv) => {
    const { exitCode, stderr } = await usage(...argv)
    expect(exitCode).toBe(2)
    expect(stderr).toContain('did you mean --barrier=NAME?')
    expect(stderr).toContain('sluice publish sales --barrier=eof')
  })

  test('so it is with --until-barrier', async () => {
    const { exitCode, stderr } = await usage('consume', 'sales', '--until-barrier', 'eof')
    expect(exitCode).toBe(2)
    expect(stderr).toContain('did you mean --until-barrier=NAME?')
    expect(stderr).toContain('sluice consume sales --until-barrier=eof')
  })

  test('a bare flag takes no word, for its own command only', () => {
    expect(closeOptionalValues(['publish', 'q', '--barrier', 'x'])).toEqual(['publish', 'q', '--barrier=', 'x'])
    expect(closeOptionalValues(['consume', '--until-barrier', 'q'])).toEqual(['consume', '--until-barrier=', 'q'])
    expect(closeOptionalValues(['publish', 'q', '--barrier=x'])).toEqual(['publish', 'q', '--barrier=x'])
    const declare = ['queue', 'declare', 'publish', '--barrier', '/is_eof = 1']
    expect(closeOptionalValues(declare)).toEqual(declare)
    expect(closeOptionalValues(['publish', 'q', '--', '--barrier'])).toEqual(['publish', 'q', '--', '--barrier'])
  })
})

describe('usage: exit code 2 and a sentence', () => {
  test.each([
    ['There is nothing to publish', ['publish', 'q']],
    ['--url is like ws://127.0.0.1:7420', ['publish', 'q', 'hello', '--url', 'localhost']],
    ['not both', ['publish', 'q', 'hello', '--file', 'f.ndjson']],
    ['needs --barrier', ['publish', 'q', 'hello', '--wait']],
    ['needs --barrier', ['publish', 'q', 'hello', '--barrier-body', '{}']],
    ['--deadline needs --barrier', ['publish', 'q', 'hello', '--deadline', '1h']],
    ['--forward needs --barrier', ['publish', 'q', 'hello', '--forward', 'other']],
    ['Parties meet at a name', ['publish', 'q', '--barrier', '--parties', '3', '--party', 'a']],
    ['--dedupe needs --message-id', ['publish', 'q', 'hello', '--dedupe']],
    ['Allowed choices are carry, dead-letter, drop', ['barrier', 'cancel', 'q', 'eof', '--rest', 'keep']],
    ['whole number, 1 or more', ['dead', 'show', 'q', 'first']],
    ['Say what to change', ['queue', 'update', 'q']],
    ['--peek takes nothing', ['consume', 'q', '--peek', '--until-barrier']],
    ['needs --wait', ['publish', 'q', '--barrier', '--timeout', '5s']],
    ['It is JSON', ['publish', 'q', '--barrier', '--barrier-body', '{is_eof:1}']],
    ['A duration is a number and a unit', ['publish', 'q', 'hello', '--ttl', '24']],
    ['A header is given as name=value', ['publish', 'q', 'hello', '--header', 'plain']],
    ['--message-id is for one BODY', ['publish', 'q', '--file', 'f', '--message-id', 'm1']],
    ['--id-field is for --file', ['publish', 'q', 'hello', '--id-field', '/id']],
    ['there is no such file', ['publish', 'q', '--file', '/no/such.ndjson']],
    ['--concurrency needs --exec', ['consume', 'q', '--concurrency', '4']],
    ['One queue at a time', ['consume', 'q', 'other']],
    ["missing required argument 'barrier'", ['wait', 'q']],
    ["unknown command 'pubish'", ['pubish', 'q']],
    ["unknown option '--prefech'", ['consume', 'q', '--prefech', '1']],
    ['Allowed choices are', ['queue', 'declare', 'q', '--on-dead', 'ignore']],
    ['whole number, 1 or more', ['queue', 'declare', 'q', '--deliveries-max', '0']],
  ])('%s: %j', async (sentence, argv) => {
    const { exitCode, stdout, stderr } = await usage(...argv)
    expect(stderr).toContain(sentence)
    expect(exitCode).toBe(2)
    expect(stdout).toBe('')
  })

  test('help is an answer: exit code 0, on stdout, with examples and every exit code', async () => {
    const { exitCode, stdout, stderr } = await usage('--help')
    expect(exitCode).toBe(0)
    expect(stderr).toBe('')
    for (const word of [
      'serve',
      'publish',
      'consume',
      'wait',
      'queue',
      'barrier',
      'dead',
      'Examples:',
      '130 interrupted',
    ])
      expect(stdout).toContain(word)
    for (const command of ['publish', 'consume', 'wait', 'queue', 'barrier', 'dead', 'server import-amps']) {
      const help = await usage(...command.split(' '), '--help')
      expect(help.exitCode).toBe(0)
      expect(help.stdout).toContain('Examples:')
    }
  })

  test('a server that is not there: exit code 5, and how to start one', async () => {
    const { exitCode, stderr } = await usage('publish', 'q', 'hello')
    expect(exitCode).toBe(5)
    expect(stderr).toContain('sluice serve')
    expect((await usage('queue', 'list')).exitCode).toBe(5)
  })
})

test('durations and sizes have units', () => {
  expect(['500ms', '30s', '5m', '24h', '7d', '1.5s', '0'].map(readDuration)).toEqual([
    500, 30_000, 300_000, 86_400_000, 604_800_000, 1_500, 0,
  ])
  expect(['64KiB', '1MiB', '100'].map(readSize)).toEqual([65_536, 1_048_576, 100])
  for (const text of ['', '30', 's', '-1s', '1 s', '1w']) expect(() => readDuration(text)).toThrow('A duration')
  for (const text of ['1.5KiB', '1kb', '']) expect(() => readSize(text)).toThrow('A size')
})

test('headers gather, and keep what stands behind the first "="', () => {
  expect(readHeader('b=2=3', readHeader('a=1'))).toEqual({ a: '1', b: '2=3' })
})
