/**
 * A server for the tests of programs, in their own process.
 *
 * @module @sluice/client/testing
 */

import { type Client, connect } from './client.ts'
import type { ConnectOptions } from './options.ts'

/** A server in this process, with the real engine and nothing on disk. */
export interface MemoryServer extends AsyncDisposable {
  /** `ws://127.0.0.1:PORT` */
  readonly url: string
  /** A client of it; closed with the server. */
  connect(options?: ConnectOptions): Promise<Client>
  /** Moves the virtual clock on: leases, delays and deadlines that fall into it happen. Throws with the real clock. */
  advance(ms: number): Promise<void>
  /** Closes the clients that it made, then the server. */
  close(): Promise<void>
}

/** How a server for tests runs. */
export interface MemoryServerOptions {
  /** `virtual`: the server's time stands still but for `advance`. Default `real`. */
  readonly clock?: 'virtual' | 'real'
}

/** What the package `sluice` offers to tests. */
interface ServerPackage {
  startMemoryServer(options: { readonly virtualClock?: boolean }): Promise<{
    readonly url: string
    advance(ms: number): Promise<void>
    close(): Promise<void>
  }>
}

/** Not a literal: clients do not depend on the server, and no bundler is to look for it. */
const SERVER_PACKAGE: string = 'sluice'

/**
 * Starts a server for a test. The package `sluice` must be installed.
 *
 * @example
 * await using server = await memoryServer({ clock: 'virtual' })
 * await using client = await server.connect()
 */
export async function memoryServer({ clock = 'real' }: MemoryServerOptions = {}): Promise<MemoryServer> {
  const { startMemoryServer } = (await import(SERVER_PACKAGE)) as ServerPackage
  const server = await startMemoryServer({ virtualClock: clock === 'virtual' })
  const clients: Client[] = []
  const close = async () => {
    await Promise.all(clients.map(client => client.close()))
    await server.close()
  }
  return {
    url: server.url,
    async connect(options = {}) {
      const client = await connect(server.url, options)
      clients.push(client)
      return client
    },
    advance(ms) {
      if (clock === 'real') throw new Error("only a server with clock 'virtual' can be moved on")
      return server.advance(ms)
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
