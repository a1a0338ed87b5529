import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'

const COLLECT = path.join(import.meta.dirname, 'collect.mjs')
const MAIN = path.join(import.meta.dirname, '../../dist/main.js')

export interface ServerOptions {
  /** Kept at the end; else a folder of its own that goes with it. */
  readonly folder?: string
  /** `SLUICE_*` settings by their keys. */
  readonly settings?: Readonly<Record<string, string | number>>
  readonly nodeOptions?: readonly string[]
  /** Most open files. */
  readonly filesMax?: number
}

/** A server as a process of its own, to be hurt. */
export class HurtServer {
  readonly url: string
  readonly port: number
  readonly folder: string
  readonly startMs: number
  readonly #process: ChildProcess
  readonly #removesFolder: boolean
  #code: number | null | undefined

  private constructor(process: ChildProcess, url: URL, folder: string, removesFolder: boolean, startMs: number) {
    this.#process = process
    this.url = url.href
    this.port = Number(url.port)
    this.folder = folder
    this.startMs = startMs
    this.#removesFolder = removesFolder
    process.once('exit', code => {
      this.#code = code
    })
  }

  static async start({ folder, settings = {}, nodeOptions = [], filesMax }: ServerOptions = {}): Promise<HurtServer> {
    const own = folder ?? mkdtempSync(path.join(tmpdir(), 'sluice-hurt-'))
    const given = Object.entries(settings).map(([key, value]) => [`SLUICE_${key.toUpperCase()}`, String(value)])
    const loaded = ['--expose-gc', '--import', COLLECT]
    const command = [
      process.execPath,
      ...loaded,
      ...nodeOptions,
      MAIN,
      'serve',
      '--data',
      own,
      '--listen',
      '127.0.0.1:0',
    ]
    const limited =
      filesMax === undefined ? command : ['bash', '-c', `ulimit -n ${filesMax}; exec "$@"`, 'bash', ...command]
    const startedAt = performance.now()
    const child = spawn(limited[0]!, limited.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { ...process.env, ...Object.fromEntries(given) },
    })
    const errors: string[] = []
    child.stderr?.on('data', chunk => {
      errors.push(String(chunk))
      errors.splice(0, errors.length - 20)
    })
    const first = await Promise.race([
      once(createInterface({ input: child.stdout as Readable }), 'line').then(([line]) => String(line)),
      once(child, 'exit').then(() => undefined),
    ])
    if (first === undefined) throw new Error(`the server did not start: ${errors.join('')}`)
    const url = new URL(first.replace('sluice ready on http:', 'ws:'))
    return new HurtServer(child, url, own, folder === undefined, performance.now() - startedAt)
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  /** Memory of the process now, in bytes; not counting the pages of the database's file that the kernel shows it. */
  get residentBytes(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8')
    return Number(/^RssAnon:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1_024
  }

  /** What the server holds when its garbage is collected now: on its heap and in buffers, in bytes. */
  async heldBytes(): Promise<number> {
    this.#process.send('collect')
    const [{ heapUsed, external }] = (await once(this.#process, 'message')) as [NodeJS.MemoryUsage]
    return heapUsed + external
  }

  get isAlive(): boolean {
    return this.#code === undefined && this.#process.signalCode === null
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.isAlive) {
      const ended = once(this.#process, 'exit')
      this.#process.kill(signal)
      await ended
    }
    if (this.#removesFolder) rmSync(this.folder, { recursive: true, force: true })
  }
}

/** Comes back once it is so. @throws after the deadline */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  deadlineMs = 60_000,
): Promise<number> {
  const startedAt = performance.now()
  while (!(await isSo())) {
    if (performance.now() - startedAt > deadlineMs) throw new Error(`${what} was not so within ${deadlineMs} ms`)
    await passed(20)
  }
  return performance.now() - startedAt
}

export function passed(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}

export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
