import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import {
  ByteWriter,
  decodeFrames,
  encodeFrame,
  type FrameFrom,
  type FrameInputs,
  type FrameName,
} from '@sluice/protocol'
import { onTestFinished } from 'vitest'
import { WebSocket } from 'ws'
import type { ServerConfig } from '../../src/config/config.ts'
import { loadConfig } from '../../src/config/load.ts'
import type { Log, LogFacts } from '../../src/observe/log.ts'
import { type RunningServer, startServer } from '../../src/server.ts'

/** A whole server as it is configured by default, but in memory and on a free port, that a test attacks. */
export interface Victim extends RunningServer {
  readonly port: number
  /** What it logged, as `event {facts}`. */
  readonly logged: { readonly event: string; readonly facts: LogFacts }[]
}

export async function startVictim(
  config: Partial<ServerConfig> = {},
  parts: { readonly isLoopback?: (address: string) => boolean } = {},
): Promise<Victim> {
  const logged: { event: string; facts: LogFacts }[] = []
  const note = (event: string, facts: LogFacts = {}) => void logged.push({ event, facts })
  const log: Log = { info: note, warn: note, error: note }
  const listen = { host: '127.0.0.1', port: 0 }
  const server = await startServer({ ...loadConfig({}).config, memory: true, listen, ...config }, { log, ...parts })
  onTestFinished(() => server.close())
  return { ...server, port: Number(new URL(server.url).port), logged }
}

/** A WebSocket that speaks the native protocol, and keeps what it gets. */
export class Native {
  readonly socket: WebSocket
  readonly frames: FrameFrom<'server'>[] = []
  readonly closed: Promise<number>

  constructor(url: string, options: ConstructorParameters<typeof WebSocket>[2] = {}) {
    this.socket = new WebSocket(`${url.replace('http', 'ws')}/v1/ws`, 'sluice.v1', options)
    this.socket.on('error', () => {})
    this.socket.on('message', (data: Buffer) => this.frames.push(...decodeFrames(data, 'server')))
    // Not `once` of node:events: an error in front of it is no failure here.
    this.closed = new Promise(resolve => this.socket.once('close', resolve))
    onTestFinished(() => this.socket.terminate())
  }

  static async welcomed(url: string, options?: ConstructorParameters<typeof WebSocket>[2]): Promise<Native> {
    const native = new Native(url, options)
    await once(native.socket, 'open')
    native.send('hello', {
      version: 1,
      name: 'test',
      producer: randomBytes(16).toString('hex'),
      token: '',
      heartbeatMs: 0,
    })
    await native.next('welcome')
    return native
  }

  send<N extends FrameName>(name: N, fields: FrameInputs[N]): void {
    const writer = new ByteWriter()
    encodeFrame(writer, name, fields)
    this.socket.send(writer.take())
  }

  async next<N extends FrameName>(name: N): Promise<Extract<FrameFrom<'server'>, { name: N }>['fields']> {
    for (;;) {
      const found = this.frames.findIndex(frame => frame.name === name)
      if (found >= 0) return this.frames.splice(found, 1)[0]?.fields as never
      await once(this.socket, 'message')
    }
  }

  /** Status with which the upgrade is refused; 101 if it is not. */
  upgradeStatus(): Promise<number> {
    return new Promise(resolve => {
      this.socket.once('unexpected-response', (_, response) => resolve(response.statusCode ?? 0))
      this.socket.once('open', () => resolve(101))
    })
  }
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  // biome-ignore lint/suspicious/noExplicitAny: what a test says about an answer is checked by the test
  readonly json: any
}

interface Asked {
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly body?: string | Uint8Array
  /** Our end of the connection. */
  readonly localAddress?: string
}

/** One request over a connection of its own. */
export function ask(
  { port }: { readonly port: number },
  method: string,
  path: string,
  { headers = {}, body, localAddress }: Asked = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, method, path, agent: false, headers: headers as Record<string, string> }
    const asked = request({ ...options, ...(localAddress === undefined ? {} : { localAddress }) }, response => {
      const chunks: Buffer[] = []
      response.on('data', chunk => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        const json = text === '' ? undefined : JSON.parse(text)
        resolve({ status: response.statusCode ?? 0, headers: response.headers, json })
      })
    })
    asked.on('error', reject)
    asked.end(body)
  })
}

/** A connection below HTTP; what comes back is kept. */
export class Raw {
  readonly socket: Socket
  readonly closed: Promise<void>
  text = ''

  constructor(port: number, options: { readonly localAddress?: string } = {}) {
    this.socket = connect({ port, host: '127.0.0.1', ...options })
    this.socket.on('error', () => {})
    this.socket.setEncoding('latin1').on('data', chunk => {
      this.text += chunk
    })
    this.closed = new Promise(resolve => this.socket.once('close', () => resolve()))
    onTestFinished(() => void this.socket.destroy())
  }

  /** What is answered to bytes, until the server closes. */
  static async exchange(port: number, bytes: string | Uint8Array): Promise<string> {
    const raw = new Raw(port)
    raw.socket.write(bytes)
    await raw.closed
    return raw.text
  }
}

/** Comes back once it is so. @throws after ten seconds */
export async function until(
  isSo: () => boolean | Promise<boolean>,
  what = 'what was waited for did not happen',
): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(what)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}
