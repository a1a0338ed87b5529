import { execFileSync } from 'node:child_process'
import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import type { Connection, ConsumeOptions, Consumer, Publish, System } from '../system.ts'
import { type Payload, payloadOf } from './payload.ts'
import { freePort, missingProgram, startServerProcess } from './server-process.ts'

const GROUP = 'workers'
const POLL_MS = 5
/** Most messages on their way. With 100, the default, it comes to a hundredth of the rate while somebody publishes. */
const PULL_MESSAGES = 1_000

/** NATS JetStream: a work-queue stream on file and a durable pull consumer. */
export const nats: System = {
  durability: 'written, not flushed, before confirm (file storage; 2.9 flushes every 2 minutes)',
  missing: () => missingProgram('nats-server', 'nats-server'),

  async start({ folder }) {
    const port = await freePort()
    const server = await startServerProcess(
      // It logs to its standard error; standard output is where we read.
      ['sh', '-c', `exec nats-server --jetstream --store_dir '${folder}' --addr 127.0.0.1 --port ${port} 2>&1`],
      { folder, ready: /Server is ready/ },
    )
    const [, version = ''] = /v(\d\S*)/.exec(execFileSync('nats-server', ['--version'], { encoding: 'utf8' })) ?? []
    return { ...server, address: `127.0.0.1:${port}`, pids: [server.pid], version }
  },

  async connect(address, { codec }) {
    const connection = await connect({ servers: address })
    return new NatsJetStream(connection, await jetstreamManager(connection), payloadOf(codec))
  },
}

class NatsJetStream implements Connection {
  readonly #connection: NatsConnection
  readonly #manager: JetStreamManager
  readonly #stream: JetStreamClient
  readonly #payload: Payload

  constructor(connection: NatsConnection, manager: JetStreamManager, payload: Payload) {
    this.#connection = connection
    this.#manager = manager
    this.#stream = jetstream(connection)
    this.#payload = payload
  }

  async declare(queue: string): Promise<unknown> {
    await this.#manager.streams.add({ name: queue, subjects: [queue], storage: 'file', retention: 'workqueue' })
    return this.#manager.consumers.add(queue, { durable_name: GROUP, ack_policy: 'explicit', max_ack_pending: 65_535 })
  }

  publisher(queue: string): Publish {
    return body => this.#stream.publish(queue, this.#payload.encode(body))
  }

  consume(queue: string, { prefetch, received }: ConsumeOptions): Consumer {
    const starting = this.#start(queue, prefetch)
    const consuming = starting.then(async messages => {
      for await (const message of messages) {
        received(this.#payload.decode(message.data))
        message.ack()
      }
    })
    return {
      stop: async () => {
        const messages = await starting
        await messages.close()
        await consuming
        await this.#connection.flush()
      },
    }
  }

  async #start(queue: string, prefetch: number) {
    const consumer = await this.#stream.consumers.get(queue, GROUP)
    return consumer.consume({ max_messages: Math.max(prefetch, PULL_MESSAGES) })
  }

  /** Looks at the consumer until nothing is pending. */
  async done(queue: string): Promise<void> {
    for (;;) {
      const { num_pending, num_ack_pending } = await this.#manager.consumers.info(queue, GROUP)
      if (num_pending === 0 && num_ack_pending === 0) return
      await new Promise(resolve => setTimeout(resolve, POLL_MS))
    }
  }

  async close(): Promise<void> {
    await this.#connection.close()
  }
}
