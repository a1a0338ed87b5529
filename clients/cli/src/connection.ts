import { type Client, connect } from '@sluice/client'
import type { Shell } from './io.ts'

/** How long a command tries to reach its server before it says that it cannot. */
const CONNECT_TIMEOUT_MS = 5_000

/**
 * Connects once: somebody is waiting, so a server that is not there is said at once. One that goes away later is waited
 * for, and that is said too.
 */
export async function connected(shell: Shell): Promise<Client> {
  // Read now, so that a file that is not there is no server that is not there.
  shell.tls?.()
  const client = await connect(shell.url, {
    name: `sluice-cli-${process.pid}`,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    ...(shell.token === undefined ? {} : { token: shell.token }),
    ...(shell.tls === undefined ? {} : { tls: shell.tls }),
  })
  client.addEventListener('reconnecting', ({ detail }) => {
    if (detail.attempt === 1) shell.talk.warn(`the connection is gone (${detail.error.message}); trying again`)
  })
  client.addEventListener('reconnected', () => shell.talk.done('connected again, going on'))
  client.addEventListener('warning', ({ detail }) => shell.talk.warn(detail.detail))
  return client
}
