import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'

/*
 * The program as a process: what it prints, and how it ends.
 */

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
// Found from here, not from the folder that the program runs in.
const TSX = import.meta.resolve('tsx')

interface Serving {
  readonly process: ChildProcessByStdio<null, Readable, Readable>
  readonly folder: string
  out: string
  err: string
}

function serve(flags: readonly string[], folder: string = temporaryFolder()): Serving {
  const child = spawn(process.execPath, ['--conditions=@sluice/source', '--import', TSX, MAIN, 'serve', ...flags], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] },
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const serving: Serving = { process: child, folder, out: '', err: '' }
  child.stdout.on('data', chunk => {
    serving.out += chunk
  })
  child.stderr.on('data', chunk => {
    serving.err += chunk
  })
  return serving
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-serve-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

async function ready(serving: Serving): Promise<string> {
  while (!serving.out.includes('\n')) await Promise.race([once(serving.process.stdout, 'data'), failed(serving)])
  return serving.out.trim().replace('sluice ready on ', '')
}

async function failed(serving: Serving): Promise<never> {
  await once(serving.process, 'exit')
  throw new Error(serving.err)
}

async function ended(serving: Serving): Promise<number | null> {
  const [code] = await once(serving.process, 'close')
  return code
}

test('serve prints the one line that it is ready, serves, and ends with 0 on SIGTERM', async () => {
  const serving = serve(['--listen', '127.0.0.1:0', '--memory'])
  const url = await ready(serving)
  expect((await fetch(`${url}/livez`)).status).toBe(200)
  serving.process.kill('SIGTERM')
  expect(await ended(serving)).toBe(0)
  expect(serving.out).toMatch(/^sluice ready on http:\/\/127\.0\.0\.1:\d+\n$/)
})

test('R7: a second server on the same data is refused, at once and clearly', async () => {
  const flags = ['--listen', '127.0.0.1:0', '--data', 'data']
  const first = serve(flags)
  await ready(first)
  const second = serve(flags, first.folder)
  expect(await ended(second)).toBe(1)
  expect(second.out).toBe('')
  expect(second.err).toMatch(/^sluice: data is in use by another server.*\n$/)
})

test('a configuration that cannot be is told in a line with its place, and ends with 1', async () => {
  const folder = temporaryFolder()
  writeFileSync(join(folder, 'sluice.toml'), '[[queue]]\nname = "Q"\nlease = "60 s"\n')
  const serving = serve(['--config', 'sluice.toml', '--listen', '127.0.0.1:0', '--memory'], folder)
  expect(await ended(serving)).toBe(1)
  expect(serving.err).toMatch(/^sluice: sluice\.toml:3:1: queue "Q": lease: .*\n$/)
})

test('a flag that is none ends with 2', async () => {
  const serving = serve(['--leese'])
  expect(await ended(serving)).toBe(2)
  expect(serving.err).toBe('sluice: Unknown option \'--leese\'\nTry "sluice serve --help".\n')
  expect(serving.out).toBe('')
})

test('a queue that is there with other options is updated by the file at the next start, and that is logged', async () => {
  const folder = temporaryFolder()
  const flags = ['--config', 'sluice.toml', '--listen', '127.0.0.1:0', '--data', 'data']
  const start = (toml: string) => {
    writeFileSync(join(folder, 'sluice.toml'), toml)
    return serve(flags, folder)
  }
  const first = start('[[queue]]\nname = "Q"\nlease = "30s"\nunacked_max = 7\n')
  await ready(first)
  first.process.kill('SIGTERM')
  await ended(first)
  expect(first.err).not.toContain('queue-updated')

  const second = start('[[queue]]\nname = "Q"\nlease = "60s"\n')
  const url = await ready(second)
  const { options } = (await (await fetch(`${url}/v1/queues/Q`)).json()) as { options: object }
  expect(options).toMatchObject({ lease: '1m', unacked_max: 7 })
  const logged = second.err.split('\n').find(line => line.includes('"queue-updated"')) ?? '{}'
  expect(JSON.parse(logged)).toMatchObject({ level: 'info', queue: 'Q', place: 'sluice.toml:1:1' })
  expect(logged).toContain('lease')
})
