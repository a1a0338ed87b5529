import { emitKeypressEvents } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { SluiceError } from '@sluice/client'
import { Command } from 'commander'
import type { Act } from './act.ts'
import { DONE, INTERRUPTED } from './exit.ts'
import { elapsed } from './format.ts'
import { ask, queuePath, withQuery } from './http.ts'
import { printJson, type Shell, write } from './io.ts'
import { printTable } from './table.ts'
import {
  COLUMNS,
  drawTop,
  sortedQueues,
  type TopBarrier,
  type TopQueue,
  type TopState,
  type TopView,
} from './top-screen.ts'

const REFRESH_MS = 500
/** Over which rates are taken: shorter, they jump; longer, they lag. */
const RATE_MS = 3_000
/** Queues whose barriers are asked for, those with the most first, and barriers of each. */
const BARRIER_QUEUES_MAX = 20
const BARRIERS_MAX = 5
/** A server that is slower than this is said to be. */
const ASK_TIMEOUT_MS = 5_000

export function topCommand(act: Act): Command {
  return new Command('top')
    .summary('live table of queues, rates and waiting barriers')
    .description('Shows queues, rates and waiting barriers, twice a second. Where there is no terminal: once.')
    .addHelpText('after', EXAMPLES)
    .action(act(top))
}

const EXAMPLES = `
Keys: q quits   left and right choose the column to sort by   r reverses   up and down scroll

Examples:
  $ sluice top
  $ sluice top --json | jq '.barriers[] | select(.eta_ms > 3600000)'
`

async function top(shell: Shell): Promise<number> {
  const { stdin, stdout } = shell.io
  const sampler = new Sampler(shell)
  await sampler.sample()
  if (stdin.isTTY && stdout.isTTY && !shell.json) return live(shell, sampler)
  await sleep(REFRESH_MS)
  await sampler.sample()
  const { queues, barriers } = sampler.view()
  if (shell.json) await printJson(shell, documentOf(queues, barriers))
  else {
    const sorted = sortedQueues(queues, { sort: 0, isReversed: false, offset: 0 })
    const rows = sorted.map(queue => COLUMNS.map(({ value }) => whole(value(queue))))
    await printTable(
      shell,
      COLUMNS.map(({ title }) => title),
      rows,
    )
  }
  return DONE
}

function whole(value: number | string): number | string {
  return typeof value === 'number' ? Math.round(value) : value
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10
}

function documentOf(queues: readonly TopQueue[], barriers: readonly TopBarrier[]): object {
  return {
    queues: queues.map(({ name, isPaused, ready, leased, delayed, inRate, ackRate, consumers, barriers: waiting }) => ({
      name,
      paused: isPaused,
      ready,
      leased,
      delayed,
      published_per_second: tenths(inRate),
      acked_per_second: tenths(ackRate),
      subscriptions: consumers,
      barriers_waiting: waiting,
    })),
    barriers: barriers.map(({ queue, name, done, all, isGathering, ratePerSecond, etaMs }) => ({
      queue,
      name,
      state: isGathering ? 'gathering' : 'waiting',
      done,
      all,
      rate_per_second: ratePerSecond === undefined ? null : tenths(ratePerSecond),
      eta_ms: etaMs ?? null,
    })),
  }
}

/** Draws until `q`. The terminal is given back as it was, however it ends. */
async function live(shell: Shell, sampler: Sampler): Promise<number> {
  const stdin = shell.io.stdin as NodeJS.ReadStream
  const stdout = shell.io.stdout as NodeJS.WriteStream
  const state: TopState = { sort: 1, isReversed: false, offset: 0 }
  const ended = new AbortController()
  let exitCode = DONE
  const draw = (): void => {
    const size = { columns: stdout.columns ?? 80, rows: stdout.rows ?? 24 }
    const lines = drawTop(sampler.view(), state, size, (style, text) => shell.talk.style(style, text))
    // Over what is there, in one write, and shown at once where the terminal knows how: nothing flickers.
    stdout.write(`\u001b[?2026h\u001b[H${lines.map(line => `${line}\u001b[K`).join('\r\n')}\u001b[J\u001b[?2026l`)
  }
  const onKey = (_: string, key: { readonly name?: string; readonly ctrl?: boolean }): void => {
    if (key.name === 'c' && key.ctrl === true) exitCode = INTERRUPTED
    if (key.name === 'q' || (key.name === 'c' && key.ctrl === true)) ended.abort()
    else if (turn(state, key.name ?? '', stdout.rows ?? 24)) draw()
  }
  const stop = (): void => {
    exitCode = INTERRUPTED
    ended.abort()
  }
  emitKeypressEvents(stdin)
  stdin.setRawMode(true)
  stdin.on('keypress', onKey)
  stdin.resume()
  stdout.on('resize', draw)
  process.on('SIGTERM', stop)
  // A screen of its own, without a cursor.
  stdout.write('\u001b[?1049h\u001b[?25l')
  try {
    while (!ended.signal.aborted) {
      draw()
      await sleep(REFRESH_MS, undefined, { signal: ended.signal }).catch(() => {})
      if (!ended.signal.aborted) await Promise.race([sampler.sample(), aborted(ended.signal)])
    }
  } finally {
    process.off('SIGTERM', stop)
    stdout.off('resize', draw)
    stdin.off('keypress', onKey)
    stdin.setRawMode(false)
    stdin.pause()
    await write(stdout, '\u001b[?25h\u001b[?1049l')
  }
  return exitCode
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** @returns whether the key means something */
function turn(state: TopState, key: string, rows: number): boolean {
  const page = Math.max(1, rows - 8)
  const scrolls: Readonly<Record<string, number>> = { up: -1, down: 1, pageup: -page, pagedown: page }
  const moves: Readonly<Record<string, number>> = { left: COLUMNS.length - 1, right: 1 }
  if (key === 'r') state.isReversed = !state.isReversed
  else if (scrolls[key] !== undefined) state.offset += scrolls[key]
  else if (moves[key] !== undefined) state.sort = (state.sort + moves[key]) % COLUMNS.length
  else return false
  return true
}

interface QueueDocument {
  readonly name: string
  readonly paused: boolean
  readonly ready?: number
  readonly leased?: number
  readonly delayed?: number
  readonly subscriptions?: number
  readonly barriers_waiting?: number
  readonly published_total?: number
  readonly acked_total?: number
}

interface BarrierDocument {
  readonly name?: string
  readonly sequence: number
  readonly state: 'gathering' | 'waiting'
  readonly parties?: { readonly count: number; readonly arrived: readonly string[] }
  readonly progress?: {
    readonly published: number
    readonly acked: number
    readonly dead: number
    readonly rate_per_second?: number
    readonly eta_ms?: number
  }
}

interface Sample {
  readonly atMs: number
  readonly queues: readonly QueueDocument[]
}

/** Asks the server again and again, and makes rates of what it counts. */
class Sampler {
  readonly #shell: Shell
  #samples: Sample[] = []
  #barriers: readonly TopBarrier[] = []
  #trouble: string | undefined

  constructor(shell: Shell) {
    this.#shell = shell
  }

  /** @throws what the first one meets; later ones are remembered as trouble, for a server that restarts comes back */
  async sample(): Promise<void> {
    try {
      const { queues } = (await this.#ask('/v1/queues')) as { queues: readonly QueueDocument[] }
      const barriers = await this.#askBarriers(queues)
      const atMs = performance.now()
      this.#samples = [...this.#samples.filter(sample => atMs - sample.atMs < RATE_MS), { atMs, queues }]
      this.#barriers = barriers
      this.#trouble = undefined
    } catch (error) {
      const last = this.#samples.at(-1)
      if (last === undefined || !(error instanceof SluiceError)) throw error
      this.#trouble = `this is ${elapsed(performance.now() - last.atMs)} old: ${error.message}`
    }
  }

  view(): TopView {
    const first = this.#samples[0]
    const last = this.#samples.at(-1)
    const before = new Map(first?.queues.map(queue => [queue.name, queue]))
    const seconds = first === undefined || last === undefined ? 0 : (last.atMs - first.atMs) / 1_000
    const rateOf = (now: number | undefined, then: number | undefined): number => {
      if (now === undefined) return Number.NaN
      // Less than before: the server was started anew.
      return seconds === 0 || then === undefined ? 0 : Math.max(0, now - then) / seconds
    }
    const queues = (last?.queues ?? []).map(
      (queue): TopQueue => ({
        name: queue.name,
        isPaused: queue.paused,
        ready: queue.ready ?? Number.NaN,
        leased: queue.leased ?? Number.NaN,
        delayed: queue.delayed ?? Number.NaN,
        inRate: rateOf(queue.published_total, before.get(queue.name)?.published_total),
        ackRate: rateOf(queue.acked_total, before.get(queue.name)?.acked_total),
        consumers: queue.subscriptions ?? Number.NaN,
        barriers: queue.barriers_waiting ?? Number.NaN,
      }),
    )
    return { server: this.#shell.url, trouble: this.#trouble, queues, barriers: this.#barriers }
  }

  #ask(path: string) {
    return ask(this.#shell, 'GET', path, undefined, ASK_TIMEOUT_MS)
  }

  async #askBarriers(queues: readonly QueueDocument[]): Promise<readonly TopBarrier[]> {
    const waiting = queues
      .filter(({ barriers_waiting = 0 }) => barriers_waiting > 0)
      .sort((a, b) => (b.barriers_waiting ?? 0) - (a.barriers_waiting ?? 0) || (a.name < b.name ? -1 : 1))
      .slice(0, BARRIER_QUEUES_MAX)
    const found = await Promise.all(waiting.map(({ name }) => this.#barriersOf(name)))
    return found.flat().sort((a, b) => (a.etaMs ?? Infinity) - (b.etaMs ?? Infinity) || 0)
  }

  async #barriersOf(queue: string): Promise<readonly TopBarrier[]> {
    const pages = ['waiting', 'gathering'].map(async state => {
      const path = withQuery(`${queuePath(queue)}/barriers`, { state, limit: BARRIERS_MAX })
      return ((await this.#ask(path)) as { barriers: readonly BarrierDocument[] }).barriers
    })
    return (await Promise.all(pages)).flat().map(({ name, sequence, state, parties, progress }) => {
      const isGathering = state === 'gathering'
      return {
        queue,
        name: name ?? `@${sequence}`,
        isGathering,
        done: isGathering ? (parties?.arrived.length ?? 0) : progress ? progress.acked + progress.dead : Number.NaN,
        all: isGathering ? (parties?.count ?? 0) : (progress?.published ?? Number.NaN),
        ratePerSecond: progress?.rate_per_second,
        etaMs: progress?.eta_ms,
      }
    })
  }
}
