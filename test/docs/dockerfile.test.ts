import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { ROOT, read } from './markdown.ts'

/*
 * The Dockerfile without Docker: what it copies is copied, what it runs in its folder is run, and what it would start is
 * started. What only an image has (users, links in /usr, volumes) is read, not tried.
 */

const base = mkdtempSync(path.join(tmpdir(), 'sluice-image-'))
afterAll(() => rmSync(base, { recursive: true, force: true }))

/** Instructions of each stage, lines that go on put together. */
const STAGES = read('Dockerfile')
  .replace(/^#.*\n/gm, '')
  .replaceAll('\\\n', ' ')
  .split(/^FROM .*$/m)
  .slice(1)
  .map(stage => stage.split('\n').map(line => line.trim()))

const argumentsOf = (stage: readonly string[] | undefined, instruction: string) =>
  (stage ?? []).filter(line => line.startsWith(`${instruction} `)).map(line => line.slice(instruction.length + 1))

/** As .dockerignore lets it through, which is all that a build can see. */
function copySources(from: string, to: string): void {
  const allowed = read('.dockerignore').split('\n')
  expect(allowed, `.dockerignore keeps ${from} out`).toContain(`!${from}`)
  const filter = (name: string) => !/(^|\/)(node_modules|dist)$|\.tsbuildinfo$/.test(name)
  cpSync(path.join(ROOT, from), path.join(to, from), { recursive: true, filter })
}

test('the image can be built from what is copied into it, and serves, healthy, with what is left', {
  timeout: 300_000,
}, async () => {
  const [build, image] = STAGES
  const [buildApp, app] = [path.join(base, 'build'), path.join(base, 'image')]
  for (const folder of [buildApp, app]) mkdirSync(folder)
  for (const copied of argumentsOf(build, 'COPY')) {
    const words = copied.split(/\s+/)
    for (const from of words.slice(0, -1)) copySources(from, buildApp)
  }
  for (const command of argumentsOf(build, 'RUN')) {
    const { status, stderr } = spawnSync('bash', ['-c', command], { cwd: buildApp, encoding: 'utf8' })
    expect(status, stderr).toBe(0)
  }

  for (const copied of argumentsOf(image, 'COPY')) {
    const [, from = '', to = ''] = /^--from=build \/app\/(\S+) (\S+)$/.exec(copied) ?? []
    const target = to === './' ? path.join(app, from) : path.join(app, to)
    cpSync(path.join(buildApp, from), target, { recursive: true, verbatimSymlinks: true })
  }
  // What only builds and tests is gone.
  const isThere = (name: string) => existsSync(path.join(app, 'node_modules', name))
  expect(['lmdb', 'pino', 'ws'].filter(isThere)).toEqual(['lmdb', 'pino', 'ws'])
  expect(['vitest', 'vite', 'knip', 'typescript'].filter(isThere)).toEqual([])
  expect(existsSync(path.join(app, 'clients/reference/node_modules/typedoc'))).toBe(false)

  const [entry = '[]'] = argumentsOf(image, 'ENTRYPOINT')
  const [command = '[]'] = argumentsOf(image, 'CMD')
  const [node, main, ...words] = [...JSON.parse(entry), ...JSON.parse(command)] as string[]
  expect([node, ...words]).toEqual(['node', 'serve'])
  const env = {
    ...process.env,
    NODE_ENV: 'production',
    SLUICE_DATA: path.join(base, 'data'),
    SLUICE_LISTEN: '127.0.0.1:0',
    SLUICE_AUTH: 'tokens',
  }
  const server = spawn(process.execPath, [path.join(app, path.relative('/app', main ?? '')), ...words], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const ended = once(server, 'exit').then(([code]) => Promise.reject(new Error(`the server ended with ${code}`)))
    const [line] = (await Promise.race([once(server.stdout.setEncoding('utf8'), 'data'), ended])) as [string]
    ended.catch(() => {})
    const url = /^sluice ready on (\S+)\n$/.exec(line)?.[1] ?? ''
    const [health = ''] = /\["node", "-e", .*\]/.exec(argumentsOf(image, 'HEALTHCHECK').join()) ?? []
    const [, ...check] = JSON.parse(health) as string[]
    const ask = (at: string) => spawnSync(process.execPath, check, { env: { ...env, HEALTH_URL: at } }).status
    expect(ask(`${url}/livez`)).toBe(0)
    expect(ask(`${url}/no-such-thing`)).toBe(1)
    expect((await fetch(url)).headers.get('content-type')).toContain('text/html')
  } finally {
    if (server.exitCode === null) {
      server.kill('SIGTERM')
      await once(server, 'exit')
    }
  }
  expect(server.exitCode).toBe(0)
})
