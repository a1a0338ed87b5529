import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { run } from '../../clients/cli/src/index.ts'

/** The built command: these tests meet what users meet. */
export const MAIN: string = fileURLToPath(new URL('../../dist/main.js', import.meta.url))

export interface Ended {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/** A server in a process of its own. */
export interface ServerChild extends AsyncDisposable {
  readonly url: string
  /** Runs a command against it to its end. */
  sluice(args: readonly string[], input?: string): Promise<Ended>
  /** The same without a process of its own, for all that is not about one: much faster. */
  run(args: readonly string[], input?: string): Promise<Ended>
  /** Starts a command, to be ended by the test. */
  start(args: readonly string[]): Running
  /** kill -9, and a new start on the same folder and port. */
  crash(): Promise<void>
}

interface ServerOptions {
  /** On a folder that lives as long as it; default in memory. */
  readonly durable?: boolean
  /** Its folder, which the test takes away. */
  readonly data?: string
  /** A configuration file. */
  readonly config?: string
}

/** Starts a server. */
export async function startServer({ durable = false, data, config }: ServerOptions = {}): Promise<ServerChild> {
  const folder = durable ? mkdtempSync(join(tmpdir(), 'sluice-test-')) : undefined
  const given = config === undefined ? [] : ['--config', config]
  const place = folder ?? data
  const store = [...given, ...(place === undefined ? ['--memory'] : ['--data', place])]
  let { child, url } = await serve([...store, '--listen', '127.0.0.1:0'])
  const env = { ...process.env, SLUICE_URL: url.replace('http', 'ws') }
  return {
    url: url.replace('http', 'ws'),
    sluice: (args, input) => new Running([MAIN, ...args], env).end(input),
    run: (args, input) => runInside(args, env, input),
    start: args => new Running([MAIN, ...args], env),
    async crash() {
      child.kill('SIGKILL')
      await once(child, 'exit')
      child = (await serve([...store, '--listen', new URL(url).host])).child
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function runInside(args: readonly string[], env: NodeJS.ProcessEnv, input = ''): Promise<Ended> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const said = Promise.all([text(stdout), text(stderr)])
  const exitCode = await run(args, { stdin: Readable.from([Buffer.from(input)]), stdout, stderr, env })
  stdout.end()
  stderr.end()
  const [out, err] = await said
  return { exitCode, stdout: out, stderr: err }
}

async function serve(args: readonly string[]): Promise<{ child: ChildProcess; url: string }> {
  const child = spawn(process.execPath, [MAIN, 'serve', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stderr.on('data', chunk => (said += chunk))
  for await (const chunk of child.stdout) {
    const url = /ready on (http:\S+)/.exec(String(chunk))?.[1]
    if (url !== undefined) return { child, url }
  }
  throw new Error(`the server did not start: ${said}`)
}

/** A program that runs, and what it has said so far. */
export class Running {
  stdout = ''
  stderr = ''
  readonly child: ChildProcess
  readonly #closed: Promise<unknown>

  constructor(args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
    this.child = spawn(process.execPath, args, { env, stdio: 'pipe' })
    this.child.stdout!.on('data', chunk => (this.stdout += chunk))
    this.child.stderr!.on('data', chunk => (this.stderr += chunk))
    this.child.stdin!.on('error', () => {})
    this.#closed = once(this.child, 'close')
  }

  get lines(): string[] {
    return this.stdout.split('\n').slice(0, -1)
  }

  /** Resolves once it has said this, on either stream. */
  async says(text: string): Promise<void> {
    const deadlineMs = performance.now() + 20_000
    while (!`${this.stdout}${this.stderr}`.includes(text)) {
      const isOver = this.child.exitCode !== null || performance.now() > deadlineMs
      if (isOver) throw new Error(`over without "${text}": ${this.stdout}${this.stderr}`)
      await new Promise(resolve => setTimeout(resolve, 10))
    }
  }

  /** Ctrl-C; its stdin stays open. */
  interrupt(): Promise<Ended> {
    this.child.kill('SIGINT')
    return this.ended()
  }

  end(input = ''): Promise<Ended> {
    this.child.stdin!.end(input)
    return this.ended()
  }

  async ended(): Promise<Ended> {
    await this.#closed
    return { exitCode: this.child.exitCode ?? -1, stdout: this.stdout, stderr: this.stderr }
  }
}
