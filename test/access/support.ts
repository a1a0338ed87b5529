import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Client, connect } from '@sluice/client'
import { onTestFinished } from 'vitest'
import type { ServerConfig } from '../../src/config/config.ts'
import type { Clock } from '../../src/engine/clock.ts'
import { jsonLog } from '../../src/observe/log.ts'
import { startServer } from '../../src/server.ts'

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly json: Record<string, unknown> & { readonly code?: string }
}

export interface Grant {
  readonly queue: string
  readonly rights: readonly string[]
  readonly filter?: string
}

/** A server that asks for tokens. */
export interface AskingServer {
  readonly url: string
  readonly folder: string
  /** Secret of its first token. */
  readonly admin: string
  /** What it has logged, as it would be printed. */
  readonly log: string[]
  /** Of the events of this name. */
  logged(event: string): Record<string, unknown>[]
  /** One request; `token` absent: none is shown. */
  call(
    method: string,
    path: string,
    asked?: { token?: string; body?: string | object; headers?: Record<string, string>; signal?: AbortSignal },
  ): Promise<Answer>
  /** Makes a token. @returns its secret */
  token(name: string, grants: readonly Grant[], more?: object): Promise<string>
  /** A client that goes with the test. */
  client(token: string, name?: string): Promise<Client>
  close(): Promise<void>
}

interface Wishes {
  readonly folder?: string
  readonly clock?: Clock
  readonly config?: Partial<ServerConfig>
}

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-access-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export const CONFIG: ServerConfig = {
  data: '',
  memory: true,
  listen: { host: '127.0.0.1', port: 0 },
  auth: 'tokens',
  allowUnauthenticatedNetwork: false,
  messageMax: 2 ** 20,
  memoryMax: 2 ** 26,
  autoCreate: false,
  heartbeatMs: 20_000,
  drainMs: 10_000,
  connectionsMax: 1_000,
  connectionsPerAddress: 1_000,
  queuesMax: 10_000,
  pullsMax: 10_000,
  streamsMax: 1_000,
  metricsQueuesMax: 200,
  tracing: 'off',
  queues: [],
}

/** @param wishes `folder`: keeps what it has there; absent: nothing is kept */
export async function askingServer({ folder, clock, config }: Wishes = {}): Promise<AskingServer> {
  const log: string[] = []
  const running = await startServer(
    { ...CONFIG, ...(folder === undefined ? {} : { memory: false, data: join(folder, 'data') }), ...config },
    { log: jsonLog(line => log.push(line)), ...(clock && { clock }) },
  )
  let isClosed = false
  const close = async () => {
    if (isClosed) return
    isClosed = true
    await running.close()
  }
  onTestFinished(close)
  const logged = (event: string) => log.map(line => JSON.parse(line)).filter(line => line.event === event)
  const [written] = logged('admin-token-written')
  const file = written?.['file'] ?? (folder && join(folder, 'data', 'admin.token'))
  const admin = file === undefined ? '' : readFileSync(file as string, 'utf8').trim()
  const call: AskingServer['call'] = async (method, path, { token, body, headers, signal } = {}) => {
    const response = await fetch(new URL(path, running.url), {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(typeof body === 'object' ? { 'content-type': 'application/json' } : {}),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'object' ? JSON.stringify(body) : body }),
      ...(signal === undefined ? {} : { signal }),
    })
    const text = await response.text()
    return { status: response.status, headers: response.headers, json: text === '' ? {} : JSON.parse(text) }
  }
  return {
    url: running.url,
    folder: folder ?? '',
    admin,
    log,
    logged,
    call,
    async token(name, grants, more = {}) {
      const { status, json } = await call('POST', '/v1/tokens', { token: admin, body: { name, grants, ...more } })
      if (status !== 201) throw new Error(JSON.stringify(json))
      return json['secret'] as string
    },
    async client(token, name = 'test') {
      const client = await connect(running.url, { token, name })
      onTestFinished(() => client.close())
      return client
    },
    close,
  }
}

/** Waits until something is so. */
export async function until(what: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<number> {
  const startedMs = performance.now()
  while (!(await what())) {
    if (performance.now() - startedMs > withinMs) throw new Error(`still not so after ${withinMs} ms: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  return performance.now() - startedMs
}
