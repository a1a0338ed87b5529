import { execFileSync } from 'node:child_process'
import { Redis } from 'ioredis'
import type { Connection, ConsumeOptions, Consumer, Publish, System } from '../system.ts'
import { type Payload, payloadOf } from './payload.ts'
import { freePort, missingProgram, startServerProcess } from './server-process.ts'

const GROUP = 'workers'
/** How long a read waits on the server when there is nothing. */
const BLOCK_MS = 100
const POLL_MS = 1

/** Redis streams with a consumer group. Acked entries stay in the stream: nobody takes them out in the time measured. */
function redisStreams(fsync: 'always' | 'everysec'): System {
  return {
    durability: fsync === 'always' ? 'flushed before confirm (appendfsync always)' : 'flushed once a second',
    missing: () => missingProgram('redis-server', 'redis-server'),

    async start({ folder }) {
      const port = await freePort()
      const durable = ['--appendonly', 'yes', '--appendfsync', fsync, '--save', '']
      const server = await startServerProcess(
        ['redis-server', '--bind', '127.0.0.1', '--port', String(port), '--dir', folder, ...durable],
        { folder, ready: /Ready to accept connections/ },
      )
      const [, version = ''] = /v=(\S+)/.exec(execFileSync('redis-server', ['--version'], { encoding: 'utf8' })) ?? []
      return { ...server, address: String(port), pids: [server.pid], version }
    },

    async connect(address, { codec }) {
      const redis = new Redis({ port: Number(address), host: '127.0.0.1', enableAutoPipelining: true })
      await redis.ping()
      return new RedisConnection(redis, payloadOf(codec))
    },
  }
}

export const redis: System = redisStreams('always')
export const redisEverysec: System = redisStreams('everysec')

class RedisConnection implements Connection {
  readonly #redis: Redis
  readonly #payload: Payload

  constructor(client: Redis, payload: Payload) {
    this.#redis = client
    this.#payload = payload
  }

  async declare(queue: string): Promise<unknown> {
    return this.#redis.xgroup('CREATE', queue, GROUP, '0', 'MKSTREAM')
  }

  publisher(queue: string): Publish {
    return body => this.#redis.xadd(queue, '*', 'body', this.#payload.encode(body))
  }

  /** A read that blocks stops its connection: acks go over the other one. */
  consume(queue: string, { prefetch, received, isAwaited }: ConsumeOptions): Consumer {
    const reader = this.#redis.duplicate()
    const name = `consumer-${reader.options.port}-${Math.random()}`
    const acks = new Set<Promise<unknown>>()
    let isStopped = false
    const track = (sent: Promise<unknown>) => {
      const done = sent.finally(() => acks.delete(done))
      acks.add(done)
    }
    const takeAll = async () => {
      while (!isStopped) {
        const streams = (await reader.xreadgroupBuffer(
          ...(['GROUP', GROUP, name, 'COUNT', prefetch, 'BLOCK', BLOCK_MS, 'STREAMS', queue, '>'] as const),
        )) as [Buffer, [Buffer, Buffer[]][]][] | null
        for (const [, entries] of streams ?? []) {
          for (const [id, fields] of entries) {
            received(this.#payload.decode(fields[1]!))
            track(this.#redis.xack(queue, GROUP, id))
            if (isAwaited === true) track(this.#redis.incr(doneKey(queue)))
          }
        }
        // With auto-pipelining all acks of a read are one write; the next read may begin before their answer.
      }
      await Promise.all(acks)
      reader.disconnect()
    }
    const consuming = takeAll()
    return {
      stop() {
        isStopped = true
        return consuming
      },
    }
  }

  /** A counter, and somebody who looks at it. */
  async done(queue: string, count: number): Promise<void> {
    while (Number(await this.#redis.get(doneKey(queue))) < count)
      await new Promise(resolve => setTimeout(resolve, POLL_MS))
  }

  async close(): Promise<void> {
    await this.#redis.quit()
  }
}

function doneKey(queue: string): string {
  return `${queue}:done`
}
