import { spawnSync } from 'node:child_process'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { MAIN } from '../clients/cli-support.ts'
import { newFolder } from './support.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8')

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  await new Promise(resolve => server.close(resolve))
  return port
}

test('the commands of docs/operations.md do what it says', { timeout: 120_000 }, async () => {
  const blocks = [...read('docs/operations.md').matchAll(/```sh\n# runs.*\n([\s\S]*?)```/g)].map(([, block]) => block)
  expect(blocks.length).toBeGreaterThanOrEqual(6)
  const folder = newFolder()
  writeFileSync(join(folder, 'sluice'), `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`)
  chmodSync(join(folder, 'sluice'), 0o755)
  const port = await freePort()
  // Nothing is left running, however it ends.
  const script = `set -em\ntrap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n${blocks.join('\necho ----\n')}`
  const { status, stdout, stderr } = spawnSync('bash', ['-c', script], {
    cwd: folder,
    encoding: 'utf8',
    timeout: 100_000,
    env: {
      PATH: `${folder}:${process.env['PATH']}`,
      SLUICE_LISTEN: `127.0.0.1:${port}`,
      SLUICE_URL: `ws://127.0.0.1:${port}`,
      SLUICE_DISK_FREE_MIN: '1MiB',
    },
  })
  expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' })
  expect(stdout).toContain('drain = "30s"')
  expect(stdout.match(/^sales\t1\t/gm)?.length).toBeGreaterThanOrEqual(4)
})

test('every setting is one of the documents, and every one that docs/operations.md names is a setting', async () => {
  const { SETTINGS } = await import('../../src/config/settings.ts')
  const keys = Object.values(SETTINGS).map(({ key }) => key)
  const docs = `${read('docs/operations.md')}${read('docs/security.md')}${read('docs/guarantees.md')}${read('README.md')}`
  expect(keys.filter(key => !docs.includes(key))).toEqual([])
})

test('the unit, the image and the help have the same exit codes, settings and folders as the program', async () => {
  const unit = read('docs/sluice.service')
  const { EXIT_JOURNAL_FAILED } = await import('../../src/server.ts')
  expect(unit).toContain(`# ${EXIT_JOURNAL_FAILED}: `)
  expect(unit).toMatch(/^Restart=on-failure$/m)
  const { SETTINGS } = await import('../../src/config/settings.ts')
  const variables = Object.values(SETTINGS).map(({ key }) => `SLUICE_${key.toUpperCase()}`)
  const known = [...variables, 'SLUICE_CONFIG', 'SLUICE_TOKEN_FILE']
  for (const text of [unit, read('Dockerfile')]) {
    const named = [...text.matchAll(/\bSLUICE_[A-Z_]+/g)].map(([name]) => name)
    expect(named.filter(name => !known.includes(name))).toEqual([])
    expect(named).toContain('SLUICE_DATA')
  }
  const files = [...read('Dockerfile').matchAll(/^COPY (?!--)(.*) \S+$/gm)].flatMap(([, sources = '']) =>
    sources.split(' '),
  )
  const ignored = read('.dockerignore').split('\n')
  expect(files.length).toBeGreaterThan(5)
  for (const file of files) expect(ignored).toContain(`!${file}`)
})
