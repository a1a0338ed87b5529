import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Client, connect, type Message, type Subscription } from '@sluice/client'
import type { Body, Codec } from '../bodies.ts'
import type { Connection, ConsumeOptions, Consumer, System } from '../system.ts'
import { startServerProcess } from './server-process.ts'

const ROOT = new URL('../../../', import.meta.url)

export const sluice: System = {
  durability: 'flushed before confirm, in groups',

  async start({ folder, profileFolder }) {
    const profile = profileFolder === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profileFolder]
    const main = fileURLToPath(new URL('dist/main.js', ROOT))
    const options = ['--data', join(folder, 'data'), '--listen', '127.0.0.1:0']
    const server = await startServerProcess([process.execPath, ...profile, main, 'serve', ...options], {
      folder,
      ready: /^sluice ready on (\S+)$/m,
    })
    const { version } = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8')) as { version: string }
    return { address: server.said, pids: [server.pid], version, failed: server.failed, stop: () => server.stop() }
  },

  async heapBytes(address) {
    const metrics = await fetch(new URL('/metrics', address.replace(/^ws/, 'http')))
    return Number(/^nodejs_heap_size_used_bytes (\S+)$/m.exec(await metrics.text())?.[1])
  },

  async connect(address, { codec }) {
    return new SluiceConnection(await connect(address), codec)
  },
}

class SluiceConnection implements Connection {
  readonly #client: Client
  readonly #codec: Codec

  constructor(client: Client, codec: Codec) {
    this.#client = client
    this.#codec = codec
  }

  declare(queue: string, barrier?: string): Promise<unknown> {
    return this.#client.queue(queue).declare(barrier === undefined ? {} : { barrier })
  }

  publisher(name: string): (body: Body) => Promise<unknown> {
    const queue = this.#client.queue(name, { codec: this.#codec })
    return body => queue.publish(body)
  }

  consume(name: string, options: ConsumeOptions): Consumer {
    const queue = this.#client.queue(name, { codec: this.#codec })
    const messages = queue.consume({ prefetch: options.prefetch, barriers: false })
    const consuming = takeAll(messages, options.received)
    return {
      stop: async () => {
        await messages.stop()
        await consuming
        await this.#client.flush()
      },
    }
  }

  async done(name: string): Promise<unknown> {
    const barrier = await this.#client.queue(name, { codec: this.#codec }).barrier()
    return barrier.wait()
  }

  close(): Promise<void> {
    return this.#client.close()
  }
}

/** The loop of the SDK's first page. */
async function takeAll(messages: Subscription<Body, Message<Body>>, received: (body: Body) => void): Promise<void> {
  for await (const message of messages) {
    received(message.body)
    await message.ack()
  }
}
