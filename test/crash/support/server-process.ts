import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { machineNow } from './notes.ts'

const MAIN = path.join(import.meta.dirname, '../../../dist/main.js')
const READY = /^sluice ready on http:\/\/([^:]+):(\d+)$/
/** Far more than any start takes here. */
const READY_MS = 30_000

export interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** On the machine's monotonic clock, in ms. */
  readonly at: number
}

export interface ServerOptions {
  /** Absolute path of the data folder. */
  readonly folder: string
  /** 0: any free one. */
  readonly port?: number
  readonly env?: Readonly<Record<string, string>>
  /** Further flags of `sluice serve`. */
  readonly flags?: readonly string[]
  /** Flags of Node itself. */
  readonly nodeFlags?: readonly string[]
}

const running = new Set<ServerProcess>()
// Whoever ends this process ends its servers with it.
process.on('exit', () => {
  for (const server of running) process.kill(server.pid, 'SIGKILL')
})

/** A real server in a process of its own. */
export class ServerProcess {
  readonly #child: ChildProcessByStdio<null, Readable, Readable>
  readonly #ready: Promise<number>
  #stderr = ''
  #ending: Ending | undefined
  /** Resolves with how it ended. */
  readonly ended: Promise<Ending>

  private constructor({ folder, port = 0, env = {}, flags = [], nodeFlags = [] }: ServerOptions) {
    const args = [...nodeFlags, MAIN, 'serve', '--data', folder, '--listen', `127.0.0.1:${port}`, ...flags]
    this.#child = spawn(process.execPath, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      // An environment of its own: a setting of the shell must not change what is tested.
      env: { PATH: process.env['PATH'], ...env },
    })
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-64 * 1024)
    })
    running.add(this)
    this.ended = once(this.#child, 'close').then(([code, signal]) => {
      running.delete(this)
      this.#ending = { code, signal, at: machineNow() }
      return this.#ending
    })
    const lines = createInterface({ input: this.#child.stdout })
    this.#ready = new Promise((resolve, reject) => {
      lines.on('line', line => {
        const match = READY.exec(line)
        if (match) resolve(Number(match[2]))
      })
      const why = (how: string) => new Error(`the server ${how}; it said: ${this.#stderr}`)
      void this.ended.then(({ code, signal }) => reject(why(`ended with ${signal ?? code} before it was ready`)))
      setTimeout(() => reject(why(`was not ready after ${READY_MS} ms`)), READY_MS).unref()
    })
    // Who kills a server that starts does not wait for it.
    this.#ready.catch(() => {})
  }

  /** Starts it, and does not wait. */
  static spawn(options: ServerOptions): ServerProcess {
    return new ServerProcess(options)
  }

  /** Starts it, and resolves once it says that it is ready. */
  static async start(options: ServerOptions): Promise<ServerProcess> {
    const server = new ServerProcess(options)
    await server.#ready
    return server
  }

  /** The port it listens on, once it does. @throws (rejects) when it ends before */
  get port(): Promise<number> {
    return this.#ready
  }

  get pid(): number {
    return this.#child.pid!
  }

  get hasEnded(): boolean {
    return this.#ending !== undefined
  }

  /** The last 64 KiB that it wrote to standard error. */
  get stderr(): string {
    return this.#stderr
  }

  async url(): Promise<string> {
    return `ws://127.0.0.1:${await this.port}`
  }

  /** Sends a signal and waits until it has ended. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<Ending> {
    if (!this.hasEnded) this.#child.kill(signal)
    return await this.ended
  }
}
