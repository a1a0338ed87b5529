import { execFile, execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startMemoryServer } from '../../src/server.ts'

/*
 * The examples of docs/http.md, run by a shell from top to bottom against one server, as a reader would.
 */

interface Example {
  readonly line: number
  readonly command: string
  /** What the answer holds at least; "…" stands for anything. */
  readonly answer: unknown
}

const PAGE = path.join(import.meta.dirname, '../../docs/http.md')
const ADDRESS = 'http://127.0.0.1:7420'

function examples(): Example[] {
  const text = readFileSync(PAGE, 'utf8')
  return [...text.matchAll(/^```sh\n([\s\S]*?)^```\n(?:\n```json\n([\s\S]*?)^```\n)?/gm)].map(match => ({
    line: text.slice(0, match.index).split('\n').length,
    command: match[1]!,
    answer: match[2] === undefined ? undefined : JSON.parse(match[2]),
  }))
}

function isThere(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

const HAS_CURL = isThere('curl')
if (!HAS_CURL) console.warn('docs/http.md is not run: there is no curl; apt-get install -y curl')

test('a page of examples is one that the others can be read from', () => {
  const all = examples()
  expect(all.length).toBeGreaterThan(40)
  for (const { command, line } of all) expect(command, `line ${line}`).toContain(ADDRESS)
})

test.skipIf(!HAS_CURL)(
  'the examples of docs/http.md do what the page says',
  async () => {
    const server = await startMemoryServer()
    onTestFinished(() => server.close())
    for (const { line, command, answer } of examples()) {
      const output = await run(command.replaceAll(ADDRESS, server.url).replaceAll(/\bcurl /g, 'curl -sS '))
      if (answer === undefined) continue
      expect(JSON.parse(output), `docs/http.md:${line}: ${command}`).toMatchObject(open(answer) as object)
    }
  },
  120_000,
)

function open(answer: unknown): unknown {
  if (answer === '…') return expect.anything()
  if (Array.isArray(answer)) return answer.map(open)
  if (typeof answer !== 'object' || answer === null) return answer
  return Object.fromEntries(Object.entries(answer).map(([key, value]) => [key, open(value)]))
}

function run(script: string): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile('bash', ['-euo', 'pipefail', '-c', script], { timeout: 30_000 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(new Error(`${script}\n${stderr}`, { cause: error }))
    })
  })
}
