import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { run } from '../../clients/cli/src/index.ts'
import { type Ended, type ServerChild, startServer } from './cli-support.ts'

let folder: string
let server: ServerChild
let admin: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-token-'))
  writeFileSync(
    join(folder, 'sluice.toml'),
    'auth = "tokens"\n[[queue]]\nname = "orders.eu"\nbarrier = "/is_eof = 1"\n',
  )
  const data = join(folder, 'data')
  server = await startServer({ config: join(folder, 'sluice.toml'), data })
  admin = join(data, 'admin.token')
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

/** Runs a command with just this environment. */
async function sluice(args: readonly string[], env: Record<string, string> = {}, input = ''): Promise<Ended> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const said = Promise.all([text(stdout), text(stderr)])
  const stdin = Readable.from([Buffer.from(input)])
  const exitCode = await run(args, { stdin, stdout, stderr, env: { SLUICE_URL: server.url, ...env } })
  stdout.end()
  stderr.end()
  const [out, err] = await said
  return { exitCode, stdout: out, stderr: err }
}

const asAdmin = (...args: string[]) => sluice(args, { SLUICE_TOKEN_FILE: admin })

test('without a token a command is refused with 4, and says how to give one', async () => {
  const ended = await sluice(['queue', 'list'])
  expect(ended.exitCode).toBe(4)
  expect(ended.stderr).toContain('unauthenticated')
  expect(ended.stderr).toContain('--token-file')
})

test('token create writes the secret alone on stdout, and that is what a token is good for', async () => {
  const made = await asAdmin('token', 'create', 'loader', '--allow', 'publish,barrier:orders.*')
  expect(made.exitCode).toBe(0)
  expect(made.stdout).toMatch(/^slc_[\w-]{43}\n$/)
  expect(made.stderr).toContain('this once')
  const token = { SLUICE_TOKEN: made.stdout.trim() }
  expect((await sluice(['publish', 'orders.eu', '{"n":1}', '--barrier=end'], token)).exitCode).toBe(0)
  expect((await sluice(['publish', 'other', '{"n":1}'], token)).exitCode).toBe(4)
  const taken = await sluice(['consume', 'orders.eu', '--count', '1'], token)
  expect([taken.exitCode, taken.stdout]).toEqual([4, ''])
  expect(taken.stderr).toContain('not-allowed')
})

test('a token comes from --token, --token-file, $SLUICE_TOKEN or $SLUICE_TOKEN_FILE; what was typed goes first', async () => {
  const secret = readFileSync(admin, 'utf8').trim()
  const wrong = join(folder, 'wrong.token')
  writeFileSync(wrong, 'slc_wrong\n')
  const exit = async (args: string[], env = {}) => (await sluice(['queue', 'list', ...args], env)).exitCode
  expect(await exit(['--token', secret], { SLUICE_TOKEN: 'wrong' })).toBe(0)
  expect(await exit(['--token-file', admin], { SLUICE_TOKEN: 'wrong' })).toBe(0)
  expect(await exit([], { SLUICE_TOKEN: secret, SLUICE_TOKEN_FILE: wrong })).toBe(0)
  expect(await exit([], { SLUICE_TOKEN: '', SLUICE_TOKEN_FILE: admin })).toBe(0)
  expect(await exit(['--token-file', wrong], { SLUICE_TOKEN: secret })).toBe(4)
  expect(await exit(['--token', secret, '--token-file', admin])).toBe(2)
  const missing = await sluice(['queue', 'list', '--token-file', join(folder, 'absent')])
  expect(missing.exitCode).toBe(2)
  expect(missing.stderr).toContain('ENOENT')
})

test('a filter and a time are those of the token, and list tells them, but no secret', async () => {
  const made = await asAdmin(
    'token',
    'create',
    'eu',
    '--allow',
    'consume,browse:orders.*',
    '--allow',
    'publish:audit:eu',
    '--filter',
    "/region = 'EU'",
    '--expires',
    '30d',
    '--json',
  )
  const token = JSON.parse(made.stdout)
  expect(token).toMatchObject({
    name: 'eu',
    grants: [
      { queue: 'orders.*', rights: ['consume', 'browse'], filter: "/region = 'EU'" },
      { queue: 'audit:eu', rights: ['publish'], filter: "/region = 'EU'" },
    ],
    has_secret: true,
  })
  expect(Date.parse(token.expires_at) - Date.parse(token.created_at)).toBe(30 * 86_400_000)
  const table = await asAdmin('token', 'list')
  expect(table.stdout).toContain("consume,browse:orders.* (/region = 'EU')")
  const listed = await asAdmin('token', 'list', '--json')
  expect(JSON.parse(listed.stdout).find(({ name }: { name: string }) => name === 'eu')).not.toHaveProperty('secret')
  expect(table.stdout + listed.stdout).not.toContain(token.secret.slice(4))
})

test('attack 23: --stored-bytes-max is a quota, whose refusal a publish tells, and list says how much of it is used', async () => {
  const made = await asAdmin('token', 'create', 'small', '--allow', 'publish:orders.*', '--stored-bytes-max', '1KiB')
  expect(made.exitCode).toBe(0)
  const token = { SLUICE_TOKEN: made.stdout.trim() }
  // Each has 256 bytes for what is kept beside it.
  for (const body of ['"a"', '"b"', '"c"'])
    expect((await sluice(['publish', 'orders.eu', body], token)).exitCode).toBe(0)
  const full = await sluice(['publish', 'orders.eu', '"d"'], token)
  expect(full.exitCode).toBe(4)
  expect(full.stderr).toContain('queue-full: this token has ')
  const { stdout } = await asAdmin('token', 'list')
  expect(stdout.split('\n')[0]).toBe('TOKEN\tALLOWS\tEXPIRES\tCREATED\tSTORED\tSTORED-MAX\tBY')
  expect(stdout).toMatch(/^small\tpublish:orders\.\*\t\t[^\t]+\t\d{3}\t1024\tsecret$/m)
  const wrong = await asAdmin('token', 'create', 'y', '--allow', 'publish:q', '--stored-bytes-max', '1KB')
  expect(wrong.exitCode).toBe(2)
})

test('--no-secret makes an entry for a certificate', async () => {
  const made = await asAdmin('token', 'create', 'host-7', '--allow', 'consume:*', '--no-secret')
  expect([made.exitCode, made.stdout]).toEqual([0, ''])
  expect((await asAdmin('token', 'list')).stdout).toMatch(/^host-7\tconsume:\*\t.*\tcertificate$/m)
})

test('what is no token is refused: in the command line with 2, by the server with 4', async () => {
  for (const allow of ['orders.*', 'own:orders.*', 'publish', 'publish:', ',publish:q'])
    expect((await asAdmin('token', 'create', 'x', '--allow', allow)).exitCode, allow).toBe(2)
  expect((await asAdmin('token', 'create', 'x')).exitCode).toBe(2)
  const bad = await asAdmin('token', 'create', 'x', '--allow', 'publish:q', '--filter', '/a =')
  expect(bad.exitCode).toBe(4)
  expect(bad.stderr).toContain('filter')
  expect((await asAdmin('token', 'create', 'admin', '--allow', 'publish:q')).exitCode).toBe(4)
})

test('token revoke asks, or demands --yes, and then the token is good for nothing', async () => {
  const { stdout } = await asAdmin('token', 'create', 'gone', '--allow', 'browse:*')
  const token = { SLUICE_TOKEN: stdout.trim() }
  expect((await asAdmin('token', 'revoke', 'gone')).exitCode).toBe(2)
  expect((await sluice(['queue', 'list'], token)).exitCode).toBe(0)
  expect((await asAdmin('token', 'revoke', 'gone', '--yes')).exitCode).toBe(0)
  expect((await sluice(['queue', 'list'], token)).exitCode).toBe(4)
  const absent = await asAdmin('token', 'revoke', 'gone', '--yes')
  expect(absent.exitCode).toBe(3)
})

test('counts that a token is not told are left open, not zero', async () => {
  const { stdout } = await asAdmin('token', 'create', 'some', '--allow', 'browse:orders.*', '--filter', '/n > 0')
  const token = { SLUICE_TOKEN: stdout.trim() }
  const [, row] = (await sluice(['queue', 'list'], token)).stdout.split('\n')
  expect(row?.split('\t')).toEqual(['orders.eu', '', '', '', '', '0', '', ''])
  expect((await sluice(['barrier', 'list', 'orders.eu'], token)).exitCode).toBe(0)
})
