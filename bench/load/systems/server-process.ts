import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

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

/**
 * Starts a server and waits until its standard output says that it is ready. Its standard error goes to `folder/server.log`,
 * and into the error if it fails.
 */
export async function startServerProcess(
  command: readonly [string, ...string[]],
  { folder, ready }: { readonly folder: string; readonly ready: RegExp },
): Promise<ServerProcess> {
  const [program, ...args] = command
  const log = join(folder, 'server.log')
  const logFile = openSync(log, 'w')
  // An environment of its own: a setting of the shell that starts the bench must not change what is measured.
  const child = spawn(program, args, { env: { PATH: process.env['PATH'] }, stdio: ['ignore', 'pipe', logFile] })
  closeSync(logFile)
  let stopping = false
  const failed = exited(child).then(how => {
    // Never settles: what was asked for is no failure.
    if (stopping) return new Promise<never>(() => {})
    throw new Error(`${program} ended with ${how}: ${readFileSync(log, 'utf8')}`)
  })
  const said = await Promise.race([firstMatch(child, ready), failed])
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

async function exited(child: ChildProcess): Promise<string> {
  const [code, signal] = await once(child, 'exit')
  return String(signal ?? code)
}
