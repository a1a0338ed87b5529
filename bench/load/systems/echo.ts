import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { WebSocket } from 'ws'
import type { Connection, System } from '../system.ts'
import { startServerProcess } from './server-process.ts'

/** No queue, but what carries one: a WebSocket server that sends every frame back, a message in each. The baseline of ratios. */
export const echo: System = {
  durability: 'keeps nothing',

  async start({ folder }) {
    const program = fileURLToPath(new URL('echo-server.ts', import.meta.url))
    const server = await startServerProcess([process.execPath, ...process.execArgv, program], {
      folder,
      ready: /^ready on (\S+)$/m,
    })
    return { address: server.said, pids: [server.pid], version: '', failed: server.failed, stop: () => server.stop() }
  },

  async connect(address) {
    const socket = new WebSocket(address)
    await once(socket, 'open')
    return connection(socket)
  },
}

function connection(socket: WebSocket): Connection {
  // A ring would be faster than the array's `shift`, but for a window of a thousand not measurably.
  const waiting: (() => void)[] = []
  socket.on('message', () => waiting.shift()!())
  return {
    declare: () => Promise.resolve(),
    publisher: () => body =>
      new Promise<void>(resolve => {
        waiting.push(resolve)
        socket.send(body as Uint8Array)
      }),
    consume: keepsNothing,
    done: keepsNothing,
    async close() {
      socket.close()
      await once(socket, 'close')
    },
  }
}

function keepsNothing(): never {
  throw new Error('the echo keeps nothing')
}
