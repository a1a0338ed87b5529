import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { serialize } from 'node:v8'
import { Random } from '../support/random.ts'
import type { ChildOptions } from './child.ts'
import { newPlan, Plan } from './plan.ts'
import { type Plant, plant } from './scan.ts'

const CHILD = path.join(import.meta.dirname, 'child.ts')

export interface SoakOptions {
  readonly folder: string
  readonly seed: number
  readonly minutes: number
  /** From one reopening to the next, at most; every second one is a `kill -9`. */
  readonly segmentSeconds: number
  readonly liveMax: number
  readonly bytesPerSecond: number
  /** Damage done before the last scan, to see that the scan finds it. */
  readonly plant?: Plant | undefined
  readonly say: (line: string) => void
}

export interface SoakResult {
  readonly turns: number
  readonly published: number
  readonly publishedBytes: number
  readonly settled: number
  readonly kills: number
  readonly closes: number
  readonly live: number
  readonly rows: number
  readonly restoreMsMax: number
  readonly fileBytesMax: number
  /** What anybody wrote to stderr: the library does so when it is in trouble. */
  readonly stderr: readonly string[]
  readonly wrong: readonly string[]
}

/** Keeps a journal busy, reopens it again and again, and looks at the end at all that is there. */
export async function soak(options: SoakOptions): Promise<SoakResult> {
  const run = new Soak(options)
  return await run.run()
}

class Soak {
  readonly #options: SoakOptions
  readonly #plan: Plan
  readonly #random: Random
  readonly #stderr: string[] = []
  readonly #wrong: string[] = []
  #kills = 0
  #closes = 0
  #restoreMsMax = 0
  #fileBytesMax = 0

  constructor(options: SoakOptions) {
    this.#options = options
    this.#plan = new Plan(newPlan(options.seed), options)
    this.#random = new Random(options.seed + 1)
  }

  async run(): Promise<SoakResult> {
    const { minutes, segmentSeconds, folder, say } = this.#options
    mkdirSync(folder, { recursive: true })
    const end = performance.now() + minutes * 60_000
    for (let segment = 0; performance.now() < end && this.#isWell; segment++) {
      const most = Math.min(segmentSeconds * 1_000, end - performance.now())
      await this.#segment(segment % 2 === 1 ? 'SIGKILL' : 'SIGTERM', most * (0.3 + 0.7 * this.#random.next()))
      const { turn, publishedCount, settledCount } = this.#plan.state
      const left = Math.round((end - performance.now()) / 1_000)
      const file = Math.round(this.#fileBytesMax / 2 ** 20)
      say(`turn ${turn}, published ${publishedCount}, settled ${settledCount}, file ${file} MiB, ${left} s to go`)
    }
    if (this.#options.plant) await plant(folder, this.#options.plant, this.#plan.state.queues)
    const [live, rows] = this.#isWell ? await this.#scan() : [0, 0]
    const { turn, publishedCount, publishedBytes, settledCount } = this.#plan.state
    return {
      turns: turn,
      published: publishedCount,
      publishedBytes,
      settled: settledCount,
      kills: this.#kills,
      closes: this.#closes,
      live,
      rows,
      restoreMsMax: this.#restoreMsMax,
      fileBytesMax: this.#fileBytesMax,
      stderr: this.#stderr,
      wrong: this.#wrong,
    }
  }

  get #isWell(): boolean {
    return this.#stderr.length === 0 && this.#wrong.length === 0
  }

  async #segment(end: 'SIGKILL' | 'SIGTERM', ms: number): Promise<void> {
    let told = 0
    const timer = { at: undefined as NodeJS.Timeout | undefined }
    const status = await this.#child('load', (child, line) => {
      const [word, turn] = line.split(' ')
      if (word === 'restored') timer.at = setTimeout(() => child.kill(end), ms)
      if (word === 'committed' || word === 'closed') told = Number(turn)
    })
    clearTimeout(timer.at)
    this.#plan.skipTo(told)
    if (end === 'SIGKILL') this.#kills++
    else this.#closes++
    const wanted = end === 'SIGKILL' ? 'SIGKILL' : 0
    if (status !== wanted) this.#wrong.push(`the process ended with ${status} and should have with ${wanted}`)
    this.#fileBytesMax = Math.max(this.#fileBytesMax, statSync(path.join(this.#options.folder, 'data.mdb')).size)
  }

  async #scan(): Promise<readonly [live: number, rows: number]> {
    let counts: readonly [number, number] = [0, 0]
    const status = await this.#child('scan', (_, line) => {
      const [word, live, rows] = line.split(' ')
      if (word === 'scanned') counts = [Number(live), Number(rows)]
    })
    if (status !== 0) this.#wrong.push(`the scan ended with ${status}`)
    return counts
  }

  /** Runs one child to its end and returns how it ended. */
  async #child(
    mode: ChildOptions['mode'],
    heard: (child: { kill(signal: NodeJS.Signals): boolean }, line: string) => void,
  ): Promise<number | NodeJS.Signals | null> {
    const { folder, liveMax, bytesPerSecond } = this.#options
    const planFile = path.join(folder, 'plan')
    writeFileSync(planFile, serialize(this.#plan.state))
    const options: ChildOptions = { folder: path.join(folder), planFile, mode, liveMax, bytesPerSecond }
    const child = spawn(process.execPath, ['--import', 'tsx', CHILD, JSON.stringify(options)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
    createInterface({ input: child.stderr }).on('line', line => this.#stderr.push(line))
    createInterface({ input: child.stdout }).on('line', line => {
      const [word, turn, ms] = line.split(' ')
      if (word === 'wrong') this.#wrong.push(line.slice(6))
      if (word === 'restored') {
        this.#plan.skipTo(Number(turn))
        this.#restoreMsMax = Math.max(this.#restoreMsMax, Number(ms))
      }
      heard(child, line)
    })
    const [code, signal] = await closed
    return signal ?? code
  }
}
