import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** The `sluice` command of this checkout. */
export const SLUICE: string = fileURLToPath(new URL('../../../../dist/main.js', import.meta.url))

/** A server in a process of its own, on a folder of its own. */
export class ServerProcess {
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  readonly folder: string
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, url: string, folder: string) {
    this.#child = child
    this.url = url
    this.folder = folder
  }

  /**
   * Resolves when the server is ready.
   *
   * @param listen address; port 0 takes a free one
   * @throws Error with what the server said, if it ended instead
   */
  static async start(folder: string, listen = '127.0.0.1:0'): Promise<ServerProcess> {
    const log = join(folder, 'server.log')
    const args = ['serve', '--data', join(folder, 'data'), '--listen', listen]
    // A process group of its own: Ctrl-C is for the demo, which ends its server in order.
    const child = spawn(process.execPath, [SLUICE, ...args], {
      stdio: ['ignore', 'pipe', openSync(log, 'a')],
      detached: true,
    })
    const ended = once(child, 'exit').then(() => undefined)
    const line = await Promise.race([firstLine(child), ended])
    const url = line?.match(/http:\S+/)?.[0]
    if (url === undefined) throw new Error(`The server did not start.\n${readFileSync(log, 'utf8')}`)
    return new ServerProcess(child, url, folder)
  }

  get pid(): number {
    return this.#child.pid!
  }

  /** For clients. */
  get socketUrl(): string {
    return this.url.replace('http', 'ws')
  }

  /** Dies as in a power cut, and comes back at the same address on the same folder. */
  async crashAndRestart(): Promise<ServerProcess> {
    await this.end('SIGKILL')
    return await ServerProcess.start(this.folder, new URL(this.url).host)
  }

  async end(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exit = once(this.#child, 'exit')
    this.#child.kill(signal)
    await exit
  }

  /** Lets it run on when this process ends. */
  leave(): void {
    this.#child.stdout?.destroy()
    this.#child.unref()
  }
}

async function firstLine(child: ChildProcess): Promise<string | undefined> {
  for await (const line of createInterface({ input: child.stdout! })) {
    // What comes after it is not read, but must not fill the pipe either.
    child.stdout!.resume()
    return line
  }
  return undefined
}
