import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type BarriersPage, type BatchRecord, connect } from '@sluice/client'
import { ClientProcess } from './client-process.ts'
import { Disk, type Loss } from './disk.ts'
import { judgeEpisode, type Verdict } from './judge.ts'
import { Notebook } from './notes.ts'
import { ONCE, OUT, QUEUES, SIDE, WORK } from './queues.ts'
import { pick, seeded } from './seeded.ts'
import { ServerProcess } from './server-process.ts'

/** What happens to a running system in one round. */
export type Blow =
  | 'kill'
  | 'kill-while-starting'
  | 'power-loss'
  | 'terminate'
  | 'kill-consumer'
  | 'kill-publisher'
  | 'stop-consumer'
  | 'second-server'

const BLOWS: readonly (readonly [number, Blow])[] = [
  [38, 'kill'],
  [18, 'kill-while-starting'],
  [12, 'terminate'],
  [10, 'kill-consumer'],
  [5, 'kill-publisher'],
  [3, 'stop-consumer'],
  [3, 'second-server'],
]
const POWER_LOSS: readonly [number, Blow] = [25, 'power-loss']

/** Longer than the lease of `work`, and shorter than two heartbeats: the leases run out, the connection stays. */
const STOPPED_MS = 3_500
const DRAIN_MS = 120_000
const TERMINATE_MS = 30_000
/** A second server says within this that the folder is taken, the start of Node included. */
const REFUSE_MS = 20_000

export interface EpisodeOptions {
  readonly seed: number
  readonly rounds: number
  /** An empty folder for everything; stays with the caller. */
  readonly folder: string
  /** The preload library, if there is one. */
  readonly disk?: string | undefined
  readonly log?: (line: string) => void
  /** Only these blows. */
  readonly only?: readonly Blow[]
  /** The disk keeps to itself that it stops flushing when the load is on its way: what is found must be bad. */
  readonly isDiskLying?: boolean
}

export interface EpisodeResult extends Verdict {
  readonly blows: Readonly<Partial<Record<Blow, number>>>
  /** Writes that power losses took. */
  readonly writesLost: number
}

/**
 * One server folder, its clients, and a number of blows; then everything is drained and judged.
 */
export class Episode {
  readonly #options: EpisodeOptions
  readonly #random: () => number
  readonly #data: string
  readonly #disk: Disk | undefined
  readonly #notes: Notebook
  readonly #notebooks: string[] = []
  readonly #wrong: string[] = []
  readonly #blows: Partial<Record<Blow, number>> = {}
  #clients: ClientProcess[] = []
  #clientCount = 0
  #server: ServerProcess | undefined
  #port = 0
  #writesLost = 0

  constructor(options: EpisodeOptions) {
    this.#options = options
    this.#random = seeded(options.seed)
    this.#data = path.join(options.folder, 'data')
    const notebooks = path.join(options.folder, 'notebooks')
    mkdirSync(notebooks, { recursive: true })
    if (options.disk !== undefined) this.#disk = new Disk(options.disk, this.#data, path.join(options.folder, 'disk'))
    this.#notes = new Notebook(this.#notebook('nemesis'), 'nemesis')
  }

  async run(): Promise<EpisodeResult> {
    try {
      await this.#begin()
      for (let round = 1; round <= this.#options.rounds; round += 1) {
        await this.#pause(100 + this.#random() * 900)
        await this.#strike(round)
      }
      const records = await this.#drain()
      const verdict = judgeEpisode(this.#notebooks, records, this.#wrong)
      return { ...verdict, blows: this.#blows, writesLost: this.#writesLost }
    } finally {
      await Promise.all(this.#clients.map(client => client.kill()))
      await this.#server?.end('SIGKILL')
      this.#notes.close()
    }
  }

  // ── the system ─────────────────────────────────────────────────────────────────────────────────────────────────

  async #begin(): Promise<void> {
    await this.#up()
    const client = await connect(this.#url, { name: 'nemesis' })
    for (const [name, options] of Object.entries(QUEUES)) await client.queue(name).declare(options)
    await client.close()
    this.#add('publisher', '')
    this.#add('publisher', '')
    for (const queue of [WORK, WORK, WORK, SIDE, ONCE, OUT]) this.#add('consumer', queue)
    await Promise.all(this.#clients.map(client => client.ready))
    if (this.#options.isDiskLying) {
      await this.#pause(1_000)
      this.#disk?.fail('sync=swallow')
    }
  }

  #add(role: 'publisher' | 'consumer', queue: string): void {
    this.#clientCount += 1
    const name = `${role[0]}${this.#clientCount}`
    const seed = Math.floor(this.#random() * 2 ** 31)
    this.#clients.push(new ClientProcess({ role, name, queue, seed, url: this.#url, notebook: this.#notebook(name) }))
  }

  get #url(): string {
    return `ws://127.0.0.1:${this.#port}`
  }

  #notebook(name: string): string {
    const file = path.join(this.#options.folder, 'notebooks', `${name}.ndjson`)
    // It may be killed before it has begun to write.
    writeFileSync(file, '')
    this.#notebooks.push(file)
    return file
  }

  #spawn(): ServerProcess {
    this.#server = ServerProcess.spawn({ folder: this.#data, port: this.#port, env: this.#disk?.env ?? {} })
    return this.#server
  }

  async #up(): Promise<void> {
    this.#port = await this.#spawn().port
    this.#notes.event({ type: 'server-up' })
  }

  async #down(): Promise<void> {
    this.#notes.event({ type: 'server-kill' })
    await this.#server?.end('SIGKILL')
  }

  #pause(ms: number): Promise<void> {
    return new Promise(resolve => setTimeout(resolve, ms))
  }

  // ── blows ──────────────────────────────────────────────────────────────────────────────────────────────────────

  async #strike(round: number): Promise<void> {
    const choices = this.#disk ? [...BLOWS, POWER_LOSS] : BLOWS
    const { only } = this.#options
    const blow = pick(this.#random, only ? choices.filter(([, choice]) => only.includes(choice)) : choices)
    this.#blows[blow] = (this.#blows[blow] ?? 0) + 1
    this.#options.log?.(`round ${round}: ${blow}`)
    switch (blow) {
      case 'kill':
        await this.#down()
        return await this.#up()
      case 'kill-while-starting':
        return await this.#killWhileStarting()
      case 'power-loss':
        return await this.#powerLoss()
      case 'terminate':
        return await this.#terminate()
      case 'kill-consumer':
      case 'kill-publisher':
        return await this.#killClient(blow === 'kill-consumer' ? 'consumer' : 'publisher')
      case 'stop-consumer':
        return await this.#stopConsumer()
      case 'second-server':
        return await this.#secondServer()
    }
  }

  /** The kill comes in the start of Node, in the reading of the data, or soon after it is ready. */
  async #killWhileStarting(): Promise<void> {
    await this.#down()
    for (let times = 1 + Math.floor(this.#random() * 3); times > 0; times -= 1) {
      this.#spawn()
      await this.#pause(30 + this.#random() * 500)
      await this.#down()
      if (this.#disk && this.#random() < 0.5) this.#losePower()
    }
    await this.#up()
  }

  /** Most of them while a flush is under way: else the disk would have everything most of the time. */
  async #powerLoss(): Promise<void> {
    if (this.#random() < 0.8 && !this.#options.isDiskLying) {
      this.#disk?.fail(`sync=delay:${Math.round(20 + this.#random() * 400)}`)
      await this.#pause(this.#random() * 600)
    }
    await this.#down()
    this.#losePower()
    await this.#up()
  }

  #losePower(): void {
    const loss = pick<Loss>(this.#random, [
      [1, 'none'],
      [1, 'random'],
      [1, 'last'],
    ])
    // A disk that lies loses it all: a file with holes shows itself in ways that are not the point.
    this.#writesLost += this.#disk!.losePower(this.#options.isDiskLying ? 'none' : loss, this.#random)
  }

  async #terminate(): Promise<void> {
    this.#notes.event({ type: 'server-kill' })
    const ending = await Promise.race([this.#server!.end('SIGTERM'), this.#pause(TERMINATE_MS)])
    if (!ending) this.#wrong.push(`SIGTERM did not end the server within ${TERMINATE_MS} ms`)
    else if (ending.code !== 0) this.#wrong.push(`SIGTERM ended it with ${ending.signal ?? ending.code}`)
    await this.#server!.end('SIGKILL')
    await this.#up()
  }

  async #killClient(role: 'publisher' | 'consumer'): Promise<void> {
    const of = this.#clients.filter(client => client.options.role === role)
    const client = of[Math.floor(this.#random() * of.length)]!
    this.#notes.event({ type: 'disconnect', process: client.options.name })
    await client.kill()
    this.#clients = this.#clients.filter(other => other !== client)
    this.#add(role, client.options.queue)
  }

  async #stopConsumer(): Promise<void> {
    const of = this.#clients.filter(client => client.options.queue === WORK)
    const client = of[Math.floor(this.#random() * of.length)]!
    client.signal('SIGSTOP')
    await this.#pause(STOPPED_MS)
    client.signal('SIGCONT')
  }

  /** R7, C4: it says at once, and clearly, that the folder is in use. */
  async #secondServer(): Promise<void> {
    const second = ServerProcess.spawn({ folder: this.#data })
    const ending = await Promise.race([second.ended, this.#pause(REFUSE_MS)])
    if (ending?.code !== 1 || !second.stderr.includes('is in use by another server'))
      this.#wrong.push(`a second server was not refused: ${JSON.stringify(ending)} ${second.stderr}`)
    await second.end('SIGKILL')
  }

  // ── the end ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** No more blows: the publishers finish, a last barrier waits for the rest, the consumers go. */
  async #drain(): Promise<Readonly<Record<string, readonly BatchRecord[]>>> {
    const of = (role: string) => this.#clients.filter(client => client.options.role === role)
    await this.#all(of('publisher'))
    const client = await connect(this.#url, { name: 'nemesis' })
    const records: Record<string, readonly BatchRecord[]> = {}
    // `out` last: what still comes into it comes with acks of `work`.
    for (const name of [WORK, SIDE, ONCE, OUT]) {
      const queue = client.queue(name)
      try {
        this.#notes.event({ type: 'barrier-publish-invoke', queue: name, id: 'end' })
        const end = await queue.barrier({ name: 'end' })
        this.#notes.event({ type: 'barrier-publish-ok', queue: name, id: 'end' })
        await end.wait({ timeoutMs: DRAIN_MS, accept: ['with-dead'] })
      } catch (error) {
        this.#wrong.push(`${name} was not drained: ${error}`)
        continue
      }
      const { ready, leased, delayed, barriersWaiting } = await queue.show()
      if (ready + leased + delayed + barriersWaiting > 0)
        this.#wrong.push(`${name} is not empty: ${JSON.stringify({ ready, leased, delayed, barriersWaiting })}`)
      const names: string[] = []
      for (let after: number | undefined = 0; after !== undefined; ) {
        const page: BarriersPage = await queue.barriers({ state: 'released', after })
        names.push(...page.barriers.map(barrier => barrier.name))
        after = page.next
      }
      records[name] = await Promise.all(
        names.map(one => queue.batch(one).wait({ timeoutMs: 5_000, accept: ['with-dead'] })),
      )
    }
    await this.#all(of('consumer'))
    await client.close()
    await this.#terminateAtEnd()
    return records
  }

  async #all(clients: readonly ClientProcess[]): Promise<void> {
    const ends = await Promise.allSettled(clients.map(client => client.stop(DRAIN_MS)))
    for (const end of ends) if (end.status === 'rejected') this.#wrong.push(String(end.reason))
  }

  async #terminateAtEnd(): Promise<void> {
    const ending = await Promise.race([this.#server!.end('SIGTERM'), this.#pause(TERMINATE_MS)])
    if (ending?.code !== 0) this.#wrong.push(`the last SIGTERM ended the server with ${JSON.stringify(ending)}`)
  }
}
