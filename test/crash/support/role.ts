import { createInterface } from 'node:readline'
import { type Client, connect } from '@sluice/client'
import { consume } from './consumer.ts'
import { Notebook } from './notes.ts'
import { publish } from './publisher.ts'
import { seeded } from './seeded.ts'

/*
 * A client in a process of its own:
 *
 *   node --import tsx role.ts '{"role":"publisher", …}'
 *
 * It says `ready` when it is connected, and goes on until a line comes on its standard input, then finishes what it has begun and ends with 0.
 */

/** What a client process is told. */
export interface RoleOptions {
  readonly role: 'publisher' | 'consumer'
  /** Unique in the run. */
  readonly name: string
  readonly url: string
  /** Its notebook. */
  readonly notebook: string
  readonly seed: number
  /** Of a consumer: where from. */
  readonly queue: string
}

/** What both kinds work with. */
export interface Role extends RoleOptions {
  readonly client: Client
  readonly notes: Notebook
  readonly random: () => number
  readonly stopping: { isOver: boolean; readonly whenOver: Promise<void> }
}

async function run(options: RoleOptions): Promise<void> {
  const notes = new Notebook(options.notebook, options.name)
  const stopping = { isOver: false, whenOver: Promise.resolve() }
  stopping.whenOver = new Promise(resolve => {
    createInterface({ input: process.stdin })
      .once('line', () => resolve())
      // Whoever started this process is gone.
      .once('close', () => process.exit(2))
  })
  void stopping.whenOver.then(() => {
    stopping.isOver = true
  })
  const client = await connected(options, notes)
  client.addEventListener('reconnecting', () => notes.event({ type: 'disconnect' }))
  if (options.role === 'consumer') {
    // The SDK asks for the deliveries again before it says so.
    client.addEventListener('reconnected', () => notes.event({ type: 'subscribe', queue: options.queue }))
  }
  const role: Role = { ...options, client, notes, random: seeded(options.seed), stopping }
  process.stdout.write('ready\n')
  await (options.role === 'publisher' ? publish(role) : consume(role))
  notes.event({ type: 'disconnect' })
  await client.close()
  notes.close()
}

/** The server may be away just now. */
async function connected({ url, name }: RoleOptions, notes: Notebook): Promise<Client> {
  const deadline = performance.now() + 60_000
  for (;;) {
    try {
      return await connect(url, { name, heartbeatMs: 5_000, backoff: { baseMs: 20, maxMs: 200 } })
    } catch (error) {
      if (performance.now() < deadline) await new Promise(resolve => setTimeout(resolve, 50))
      else {
        notes.note({ note: 'wrong', what: `${name} could not connect: ${error}` })
        throw error
      }
    }
  }
}

run(JSON.parse(process.argv[2]!) as RoleOptions).then(
  () => process.exit(0),
  error => {
    console.error(error)
    process.exit(1)
  },
)
