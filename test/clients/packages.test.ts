import { execFile, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { until } from '../access/support.ts'

const run = promisify(execFile)
const ROOT = path.join(import.meta.dirname, '../..')
const PACKAGES = [
  ['@sluice/protocol', 'protocol'],
  ['@sluice/client', 'clients/typescript'],
  ['@sluice/cli', 'clients/cli'],
  ['sluice', '.'],
] as const
/** Files for the server, not for programs. */
const PAGES = ['@sluice/dashboard', 'clients/dashboard'] as const
const ALL = [...PACKAGES, PAGES]

const folder = mkdtempSync(path.join(tmpdir(), 'sluice-packages-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Packed {
  readonly name: string
  readonly filename: string
  readonly files: readonly { readonly path: string; readonly mode: number }[]
}

/** As they would be published, by name. */
const packed = new Map<string, Packed>()

beforeAll(async () => {
  for (const [name, at] of ALL) {
    // Built they are already, and would be built anew for each.
    const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder]
    const { stdout } = await run('npm', args, { cwd: path.join(ROOT, at) })
    packed.set(name, JSON.parse(stdout)[0])
  }
}, 120_000)

const tarballOf = (name: string) => path.join(folder, packed.get(name)?.filename ?? '')

describe.each(PACKAGES)('%s', (name, at) => {
  test('has a README, a licence, its types and its sources, and nothing that nobody needs', () => {
    const files = packed.get(name)?.files.map(file => file.path) ?? []
    expect(files).toEqual(expect.arrayContaining(['README.md', 'LICENSE', 'package.json']))
    const main = name === 'sluice' ? 'server' : 'index'
    expect(files).toEqual(expect.arrayContaining([`dist/${main}.js`, `dist/${main}.d.ts`, `src/${main}.ts`]))
    const allowed =
      /^(dist|src)\/(?!.*(\.tsbuildinfo|\.test\.[jt]s)$)|^(README\.md|LICENSE|CHANGELOG\.md|package\.json)$/
    expect(files.filter(file => !allowed.test(file))).toEqual([])
  })

  test('publint finds nothing wrong with it', async () => {
    const tarball = readFileSync(tarballOf(name))
    const { messages } = await publint({
      pack: { tarball: tarball.buffer.slice(tarball.byteOffset, tarball.byteOffset + tarball.length) },
    })
    const manifest = JSON.parse(readFileSync(path.join(ROOT, at, 'package.json'), 'utf8'))
    expect(messages.map(message => formatMessage(message, manifest, { color: false }))).toEqual([])
  })

  test('its types are found by who imports it', async () => {
    // It is of modules alone, so what `require` of old would find is not asked.
    const args = ['attw', tarballOf(name), '--profile', 'esm-only', '--format', 'json']
    const { stdout } = await run('npx', args, { cwd: ROOT, maxBuffer: 2 ** 26 }).catch(
      (error: { stdout: string }) => error,
    )
    const { analysis } = JSON.parse(stdout)
    const problems = analysis.problems.filter(
      ({ resolutionKind }: { resolutionKind?: string }) => !['node10', 'node16-cjs'].includes(resolutionKind ?? ''),
    )
    expect({ types: analysis.types !== false, problems }).toEqual({ types: true, problems: [] })
  })
})

test('the dashboard is its page, what that loads, a README and a licence', () => {
  const files = packed.get(PAGES[0])?.files.map(file => file.path) ?? []
  expect(files).toEqual(expect.arrayContaining(['README.md', 'LICENSE', 'package.json', 'dist/index.html']))
  expect(files.filter(file => !/^(dist\/(index\.html|assets\/)|README\.md|LICENSE|package\.json)/.test(file))).toEqual(
    [],
  )
})

test('installed in an empty folder, the first example of the README runs against the server', async () => {
  const home = path.join(folder, 'home')
  mkdirSync(home)
  writeFileSync(path.join(home, 'package.json'), '{"name":"home","private":true,"type":"module"}')
  const tarballs = ALL.map(([name]) => tarballOf(name))
  // No script of anybody's runs: the binaries come with the packages.
  const flags = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund']
  await run('npm', ['install', ...flags, ...tarballs], { cwd: home })
  expect(existsSync(path.join(home, 'node_modules/@sluice/client/node_modules/@sluice'))).toBe(false)
  // Traces are for who installs it; here it is missing, and everything works.
  expect(existsSync(path.join(home, 'node_modules/@opentelemetry'))).toBe(false)

  const server = spawn('node_modules/.bin/sluice', ['serve', '--listen', '127.0.0.1:0', '--data', 'data'], {
    cwd: home,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  onTestFinished(async () => {
    server.kill('SIGTERM')
    await until(() => server.exitCode !== null || server.signalCode !== null)
  })
  let said = ''
  server.stdout.on('data', data => (said += data))
  await until(() => said.includes('\n'), 30_000)
  const url = /http:\/\/\S+/.exec(said)?.[0] ?? ''

  const page = await fetch(url)
  expect([page.status, page.headers.get('content-type')]).toEqual([200, expect.stringContaining('text/html')])

  const readme = readFileSync(path.join(home, 'node_modules/@sluice/client/README.md'), 'utf8')
  const example = /```js\n(.*?)```/s.exec(readme)?.[1] ?? ''
  expect(example).toContain('ws://127.0.0.1:7420')
  writeFileSync(path.join(home, 'example.js'), example.replace('ws://127.0.0.1:7420', url))
  const { stdout } = await run(process.execPath, ['example.js'], { cwd: home, timeout: 30_000 })
  expect(stdout).toBe('spatula\nwhisk\n2 sales are in\n')
})
