import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { type Ended, Running } from '../clients/cli-support.ts'

const DEMO = fileURLToPath(new URL('../../clients/examples/dist/demo/demo.js', import.meta.url))

async function demo(...args: readonly string[]): Promise<Ended & { readonly left: readonly string[] }> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-demo-test-'))
  try {
    const ended = await new Running([DEMO, ...args], { ...process.env, TMPDIR: folder }).end()
    return { ...ended, left: readdirSync(folder) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function expectRight(stdout: string): void {
  expect(stdout).toContain('1,013,319 words, 49,796 different, "more" 2,215 times')
  expect(stdout).toMatch(/the same as one process counts in [\d.]+ s, word for word/)
  expect(stdout).toMatch(/kill -9 +worker \d+, half way/)
  expect(stdout).toContain('57,340 lines, each counted exactly once, outcome clean')
}

test('P9, D6, B2: the demo counts right though a worker is killed', async () => {
  const { exitCode, stdout, stderr, left } = await demo()
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
  expectRight(stdout)
  expect(left).toEqual([])
})

test('P9, R1, B3, B9: the demo counts right though the server is killed as well', async () => {
  const { exitCode, stdout, stderr, left } = await demo('--crash-server')
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
  expectRight(stdout)
  expect(stdout).toMatch(/kill -9 +the server, process \d+, half way through publishing/)
  expect(stdout).toMatch(/restart +same folder, same port/)
  expect(left).toEqual([])
})

test('B10: the demo leaves its server running when asked to, and tells how to look at it', async () => {
  const { exitCode, stdout } = await demo('--keep')
  expect(exitCode).toBe(0)
  const [, pid] = /kill (\d+); rm/.exec(stdout)!
  try {
    const [, url] = /--url (\S+)/.exec(stdout)!
    const sluice = fileURLToPath(new URL('../../dist/main.js', import.meta.url))
    const wait = await new Running([sluice, 'wait', 'brown.lines', 'end-of-corpus', '--json', '--url', url!]).end()
    expect(JSON.parse(wait.stdout)).toMatchObject({ outcome: 'clean', stats: { published: 57_340, acked: 57_340 } })
  } finally {
    process.kill(Number(pid))
  }
})
