import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { until } from '../access/support.ts'
import { MAIN } from '../clients/cli-support.ts'
import { newFolder } from './support.ts'

const ROOT = join(import.meta.dirname, '..', '..')

const isHere = (program: string) => spawnSync(program, ['--version']).status === 0
const hasSystemd = isHere('systemd-analyze') && isHere('systemd-notify')
if (!hasSystemd) console.warn('the unit is not read by systemd: apt-get install -y systemd')
const hasPython = isHere('python3')
if (!hasPython) console.warn('nobody hears what systemd is told: apt-get install -y python3')

/** Hears what a service manager would: Node has no datagram sockets of UNIX. */
const MANAGER = `
import socket, sys
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind(sys.argv[1])
print("listening", flush=True)
while True:
    print(manager.recv(4096).decode(), flush=True)
`

function started(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child: ChildProcess = spawn(program, args, { env: { ...process.env, ...env } })
  onTestFinished(() => void child.kill('SIGKILL'))
  const heard = { out: '', err: '' }
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (heard.out += text))
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (heard.err += text))
  return { child, heard }
}

const SERVE = [MAIN, 'serve', '--memory', '--listen', '127.0.0.1:0']

test.skipIf(!hasSystemd || !hasPython)('systemd is told when the server is ready, and when it stops', async () => {
  const socket = join(newFolder(), 'notify')
  const manager = started('python3', ['-c', MANAGER, socket])
  await until(() => manager.heard.out.includes('listening'))
  const server = started(process.execPath, SERVE, { NOTIFY_SOCKET: socket })
  await until(() => manager.heard.out.includes('READY=1'))
  expect(server.heard.out).toContain('sluice ready on ')
  expect(manager.heard.out).not.toContain('STOPPING=1')
  server.child.kill('SIGTERM')
  const [code] = await once(server.child, 'exit')
  expect(code).toBe(0)
  await until(() => manager.heard.out.includes('STOPPING=1'))
  expect(server.heard.err).not.toContain('service-manager-not-told')
})

test('a server that cannot tell serves, and logs that it could not', async () => {
  const env = { NOTIFY_SOCKET: '/nowhere', PATH: newFolder() }
  const { child, heard } = started(process.execPath, SERVE, env)
  await until(() => heard.err.includes('service-manager-not-told'))
  const url = /ready on (\S+)/.exec(heard.out)?.[1] ?? ''
  expect((await fetch(`${url}/readyz`)).status).toBe(200)
  child.kill('SIGTERM')
  expect((await once(child, 'exit'))[0]).toBe(0)
})

test.skipIf(!hasSystemd)('the unit is one that systemd understands', () => {
  const unit = readFileSync(join(ROOT, 'docs/sluice.service'), 'utf8')
  const verify = (text: string) => {
    const file = join(newFolder(), 'sluice.service')
    // Where the program is, is the reader's.
    writeFileSync(file, text.replace('/usr/local/bin/sluice', process.execPath))
    const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' })
    return { status, said: `${stdout}${stderr}` }
  }
  expect(verify(unit)).toEqual({ status: 0, said: '' })
  // It can say no.
  expect(verify(unit.replace('NotifyAccess=all', 'NotifyAcces=all')).said).toContain('NotifyAcces')
})
