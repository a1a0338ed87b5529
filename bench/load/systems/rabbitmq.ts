import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Channel, type ChannelModel, type ConfirmChannel, connect } from 'amqplib'
import type { Connection, ConsumeOptions, Consumer, Publish, System } from '../system.ts'
import { type Payload, payloadOf } from './payload.ts'
import { freePort, missingProgram, startServerProcess } from './server-process.ts'

const BIN = '/usr/lib/rabbitmq/bin/rabbitmq-server'

function rabbitQueues(type: 'quorum' | 'classic'): System {
  return {
    durability: `flushed before confirm, in groups (${type} queue, one node)`,
    missing: () => missingProgram('rabbitmq-server', 'rabbitmq-server'),

    async start({ folder }) {
      const [port, distributionPort, namesPort] = [await freePort(), await freePort(), await freePort()]
      const env = {
        HOME: folder,
        RABBITMQ_NODENAME: 'bench@localhost',
        RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
        RABBITMQ_NODE_PORT: String(port),
        RABBITMQ_DIST_PORT: String(distributionPort),
        ERL_EPMD_PORT: String(namesPort),
        RABBITMQ_MNESIA_BASE: join(folder, 'mnesia'),
        RABBITMQ_LOG_BASE: join(folder, 'log'),
        RABBITMQ_PID_FILE: join(folder, 'pid'),
        RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'plugins'),
        RABBITMQ_CONFIG_FILE: join(folder, 'none'),
      }
      const server = await startServerProcess([BIN], { folder, ready: /completed with \d+ plugins/, env })
      return {
        ...server,
        address: `amqp://127.0.0.1:${port}`,
        pids: [server.pid, ...descendants(server.pid)],
        version: versionOf(),
        async stop() {
          await server.stop()
          // The name server of Erlang outlives its nodes.
          execFileSync('epmd', ['-port', String(namesPort), '-kill'], { stdio: 'ignore' })
        },
      }
    },

    async connect(address, { codec }) {
      const model = await connect(address)
      return new RabbitConnection(model, await model.createConfirmChannel(), type, payloadOf(codec))
    },
  }
}

export const rabbitmq: System = rabbitQueues('quorum')
export const rabbitmqClassic: System = rabbitQueues('classic')

class RabbitConnection implements Connection {
  readonly #model: ChannelModel
  readonly #channel: ConfirmChannel
  readonly #type: string
  readonly #payload: Payload

  constructor(model: ChannelModel, channel: ConfirmChannel, type: string, payload: Payload) {
    this.#model = model
    this.#channel = channel
    this.#type = type
    this.#payload = payload
  }

  async declare(queue: string): Promise<unknown> {
    const options = { durable: true, arguments: { 'x-queue-type': this.#type } }
    await this.#channel.assertQueue(doneQueue(queue), options)
    return this.#channel.assertQueue(queue, options)
  }

  publisher(queue: string): Publish {
    return body =>
      new Promise<void>((resolve, reject) => {
        const content = this.#payload.encode(body)
        this.#channel.sendToQueue(queue, content, { persistent: true }, error => (error ? reject(error) : resolve()))
      })
  }

  consume(queue: string, { prefetch, received, isAwaited }: ConsumeOptions): Consumer {
    const starting = this.#start(queue, { prefetch, received, isAwaited: isAwaited === true })
    return {
      stop: async () => {
        const { channel, consumerTag } = await starting
        await channel.cancel(consumerTag)
        await channel.close()
      },
    }
  }

  async #start(queue: string, { prefetch, received, isAwaited }: Required<ConsumeOptions>) {
    const channel: Channel = await this.#model.createChannel()
    await channel.prefetch(prefetch)
    const { consumerTag } = await channel.consume(queue, message => {
      if (message === null) return
      received(this.#payload.decode(message.content))
      if (!isAwaited) channel.ack(message)
      else {
        // The result must be safe before the work is acked, or a crash makes a hole that nobody counts.
        this.#channel.sendToQueue(doneQueue(queue), Buffer.alloc(1), { persistent: true }, () => channel.ack(message))
      }
    })
    return { channel, consumerTag }
  }

  /** A queue of results, counted in the program. */
  async done(queue: string, count: number): Promise<void> {
    const channel = await this.#model.createChannel()
    await channel.prefetch(1_000)
    let seen = 0
    await new Promise<void>((resolve, reject) => {
      const take = (message: Parameters<Parameters<Channel['consume']>[1]>[0]) => {
        if (message === null) return
        channel.ack(message)
        seen += 1
        if (seen === count) resolve()
      }
      channel.consume(doneQueue(queue), take).catch(reject)
    })
    await channel.close()
  }

  async close(): Promise<void> {
    await this.#model.close()
  }
}

function doneQueue(queue: string): string {
  return `${queue}.done`
}

/** The server is a script that starts the virtual machine, which starts helpers. */
function descendants(pid: number): number[] {
  const parents = readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(name => [Number(name), parentOf(name)] as const)
  const children = parents.filter(([, parent]) => parent === pid).map(([child]) => child)
  return children.flatMap(child => [child, ...descendants(child)])
}

function parentOf(pid: string): number {
  try {
    return Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)
  } catch {
    // It ended since it was listed.
    return 0
  }
}

function versionOf(): string {
  const listed = execFileSync('dpkg-query', ['-W', 'rabbitmq-server'], { encoding: 'utf8' })
  return /\t([^\s-]+)/.exec(listed)?.[1] ?? ''
}
