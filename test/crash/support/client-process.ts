import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import type { Readable, Writable } from 'node:stream'
import type { RoleOptions } from './role.ts'

const ROLE = path.join(import.meta.dirname, 'role.ts')

/** A publisher or consumer in a process of its own. */
export class ClientProcess {
  readonly options: RoleOptions
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #ended: Promise<string>
  /** Resolves once it is connected; rejects if it ends before. */
  readonly ready: Promise<void>
  #said = ''
  hasEnded = false

  constructor(options: RoleOptions) {
    this.options = options
    this.#child = spawn(process.execPath, ['--import', 'tsx', ROLE, JSON.stringify(options)], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.#child.stdin.on('error', () => {})
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#said = (this.#said + text).slice(-4_096)
    })
    this.#ended = once(this.#child, 'close').then(([code, signal]) => {
      this.hasEnded = true
      return String(signal ?? code)
    })
    this.ready = Promise.race([
      once(this.#child.stdout, 'data').then(() => {}),
      this.#ended.then(how => Promise.reject(new Error(`${options.name} ended with ${how}: ${this.#said}`))),
    ])
    this.ready.catch(() => {})
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(signal)
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
  }

  /** Lets it finish what it has begun. @throws (rejects) when it does not, or when it ended by itself before */
  async stop(timeoutMs: number): Promise<void> {
    const { name } = this.options
    if (this.hasEnded) throw new Error(`${name} had ended with ${await this.#ended}: ${this.#said}`)
    this.#child.stdin.write('stop\n')
    let timer: NodeJS.Timeout | undefined
    const tooLong = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`${name} did not finish within ${timeoutMs} ms`)), timeoutMs)
    })
    try {
      const how = await Promise.race([this.#ended, tooLong])
      if (how !== '0') throw new Error(`${name} ended with ${how}: ${this.#said}`)
    } finally {
      clearTimeout(timer)
    }
  }
}
