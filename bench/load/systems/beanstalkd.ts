import { execFileSync } from 'node:child_process'
import type { Connection, ConsumeOptions, Consumer, Publish, System } from '../system.ts'
import { BeanstalkClient } from './beanstalk-client.ts'
import { type Payload, payloadOf } from './payload.ts'
import { freePort, missingProgram, startServerProcess } from './server-process.ts'

const POLL_MS = 5
/** A reserve that waits stops its connection; it ends after so many seconds. */
const RESERVE_SECONDS = 1
/** Time that a worker has for a job, in seconds. */
const TTR_SECONDS = 600

/** beanstalkd with a binlog. */
function beanstalk(fsync: 'always' | 'every 50 ms'): System {
  return {
    durability: fsync === 'always' ? 'flushed before confirm, each by itself (-f 0)' : 'flushed every 50 ms',
    missing: () => missingProgram('beanstalkd', 'beanstalkd'),

    async start({ folder }) {
      const port = await freePort()
      const server = await startServerProcess(
        ['beanstalkd', '-l', '127.0.0.1', '-p', String(port), '-b', folder, '-f', fsync === 'always' ? '0' : '50'],
        { folder, ready: port },
      )
      const version = execFileSync('beanstalkd', ['-v'], { encoding: 'utf8' }).trim().split(' ').at(-1) ?? ''
      return { ...server, address: String(port), pids: [server.pid], version }
    },

    async connect(address, { codec }) {
      return new BeanstalkConnection(Number(address), await BeanstalkClient.connect(Number(address)), payloadOf(codec))
    },
  }
}

export const beanstalkd: System = beanstalk('always')
export const beanstalkdLazy: System = beanstalk('every 50 ms')

class BeanstalkConnection implements Connection {
  readonly #port: number
  readonly #client: BeanstalkClient
  readonly #payload: Payload

  constructor(port: number, client: BeanstalkClient, payload: Payload) {
    this.#port = port
    this.#client = client
    this.#payload = payload
  }

  /** Tubes make themselves. */
  async declare(): Promise<void> {}

  publisher(queue: string): Publish {
    // Commands of a connection are carried out in order: the first put needs not wait.
    const using = this.#client.command(`use ${queue}`)
    return async body => {
      await using
      return this.#client.put(this.#payload.encode(body), TTR_SECONDS)
    }
  }

  /** One reserve at a time; the next one goes out before the delete of the last is answered. */
  consume(queue: string, { received }: ConsumeOptions): Consumer {
    let isStopped = false
    const takeAll = async () => {
      const client = await BeanstalkClient.connect(this.#port)
      await client.command(`watch ${queue}`)
      const deletes = new Set<Promise<unknown>>()
      while (!isStopped) {
        const { words, body } = await client.command(`reserve-with-timeout ${RESERVE_SECONDS}`)
        if (words[0] !== 'RESERVED') continue
        received(this.#payload.decode(body))
        const deleting = client.command(`delete ${words[1]}`).finally(() => deletes.delete(deleting))
        deletes.add(deleting)
      }
      await Promise.all(deletes)
      client.close()
    }
    const consuming = takeAll()
    return {
      stop() {
        isStopped = true
        return consuming
      },
    }
  }

  /** Looks at the tube until there is nothing ready or reserved. */
  async done(queue: string): Promise<void> {
    for (;;) {
      const { body } = await this.#client.command(`stats-tube ${queue}`)
      const stats = body.toString()
      const isEmpty = ['ready', 'reserved', 'delayed'].every(state => stats.includes(`current-jobs-${state}: 0`))
      if (isEmpty) return
      await new Promise(resolve => setTimeout(resolve, POLL_MS))
    }
  }

  async close(): Promise<void> {
    this.#client.close()
  }
}
