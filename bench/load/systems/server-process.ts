import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** How often a port is tried. */
const PORT_MS = 20

/** A server as a child process, known to be ready. */
export interface ServerProcess {
  readonly pid: number
  /** What `ready` captured first. */
  readonly said: string
  /** Rejects when it ends without being asked to. */
  readonly failed: Promise<never>
  /** Asks it to end, and waits until it has. */
  stop(): Promise<void>
}

interface Expectations {
  /** Where its log goes. */
  readonly folder: string
  /** What its standard output says when it is ready; a number: the port of loopback that answers then. */
  readonly ready: RegExp | number
  readonly env?: Readonly<Record<string, string>>
}

/**
 * Starts a server and waits until it is ready. Its standard error goes to `folder/server.log`, and into the error if it
 * fails.
 */
export async function startServerProcess(
  command: readonly [string, ...string[]],
  { folder, ready, env }: Expectations,
): Promise<ServerProcess> {
  const [program, ...args] = command
  const log = join(folder, 'server.log')
  const logFile = openSync(log, 'a')
  // An environment of its own: a setting of the shell that starts the bench must not change what is measured.
  const child = spawn(program, args, { env: { PATH: process.env['PATH'], ...env }, stdio: ['ignore', 'pipe', logFile] })
  closeSync(logFile)
  let stopping = false
  const failed = exited(child).then(how => {
    // Never settles: what was asked for is no failure.
    if (stopping) return new Promise<never>(() => {})
    throw new Error(`${program} ended with ${how}: ${readFileSync(log, 'utf8')}`)
  })
  const isReady = typeof ready === 'number' ? answering(child, ready) : firstMatch(child, ready)
  const said = await Promise.race([isReady, failed])
  return {
    pid: child.pid!,
    said,
    failed,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      stopping = true
      child.kill('SIGTERM')
      await once(child, 'exit')
    },
  }
}

/** Goes on reading afterwards: a server whose output nobody reads would stop at a full pipe. */
function firstMatch(child: ChildProcess, pattern: RegExp): Promise<string> {
  return new Promise(resolve => {
    let text = ''
    let isFound = false
    child.stdout!.setEncoding('utf8').on('data', chunk => {
      if (isFound) return
      text += chunk
      const match = pattern.exec(text)
      if (match === null) return
      isFound = true
      resolve(match[1] ?? '')
    })
  })
}

/** For servers that say nothing when they are ready. */
async function answering(child: ChildProcess, port: number): Promise<string> {
  child.stdout!.resume()
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    const isOpen = await new Promise<boolean>(resolve => {
      socket.once('connect', () => resolve(true))
      socket.once('error', () => resolve(false))
    })
    socket.destroy()
    if (isOpen) return ''
    await sleep(PORT_MS)
  }
}

/** A port that nobody has now; for servers that cannot pick one themselves. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** @returns the line that installs a Debian package, if the program is not on this machine */
export function missingProgram(program: string, debianPackage: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/usr/lib/rabbitmq/bin']
  const isThere = folders.some(folder => existsSync(join(folder, program)))
  return isThere ? undefined : `apt-get install -y ${debianPackage}`
}

async function exited(child: ChildProcess): Promise<string> {
  const [code, signal] = await once(child, 'exit')
  return String(signal ?? code)
}
