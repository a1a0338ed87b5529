import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface, type Interface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'

const LOAD = fileURLToPath(new URL('load.ts', import.meta.url))

/** Another process that puts a journal under load, and says what it is told. */
export class Child {
  readonly #process: ChildProcessByStdio<null, Readable, null>
  readonly #lines: Interface
  readonly #unread: string[] = []
  #hasMore: () => void = () => {}

  private constructor(command: string, parameters: readonly string[]) {
    this.#process = spawn(command, parameters, { stdio: ['ignore', 'pipe', 'ignore'] })
    this.#lines = createInterface(this.#process.stdout)
    this.#lines.on('line', line => {
      this.#unread.push(line)
      this.#hasMore()
    })
    this.#lines.on('close', () => this.#hasMore())
  }

  /** @param fileMax largest file it can write, in KiB: a disk that becomes full */
  static load(folder: string, { fileMax }: { fileMax?: number } = {}): Child {
    const node = [process.execPath, '--import', 'tsx', LOAD, folder]
    if (fileMax === undefined) return new Child(node[0]!, node.slice(1))
    return new Child('bash', ['-c', `ulimit -f ${fileMax}; exec "$@"`, 'bash', ...node])
  }

  get pid(): number {
    return this.#process.pid!
  }

  /** The next line of this shape. */
  async line(shape: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      for (let line = this.#unread.shift(); line !== undefined; line = this.#unread.shift()) {
        const match = shape.exec(line)
        if (match) return match
      }
      if (this.#process.exitCode !== null)
        throw new Error(`the process ended with ${this.#process.exitCode} before ${shape}`)
      await new Promise<void>(resolve => (this.#hasMore = resolve))
    }
  }

  stop(): void {
    this.#process.kill('SIGSTOP')
  }

  /** Ends it with SIGKILL. Returns the turns that it told and nobody read. */
  async kill(): Promise<readonly string[]> {
    const closed = once(this.#process, 'close')
    this.#process.kill('SIGKILL')
    await closed
    return this.#unread.map(line => line.replace('committed ', ''))
  }
}
