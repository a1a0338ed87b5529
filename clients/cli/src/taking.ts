import type { Barrier, BarrierOutcome, Delivery, Message, Queue } from '@sluice/client'
import type { Step } from './bar.ts'
import { exitCodeOf, recordDocument, type Watch } from './batch.ts'
import { Crew } from './crew.ts'
import { DONE, INTERRUPTED } from './exit.ts'
import { count, counted, rate } from './format.ts'
import { printJson, type Shell } from './io.ts'
import { Meter } from './meter.ts'

/** What becomes of a message. */
export type Settled = 'acked' | 'rejected' | 'nacked' | 'lost'
/** Does what is to be done with a message, settling it too. */
export type Handler = (message: Message<Uint8Array>) => Promise<Settled>

export interface TakeOptions {
  readonly handle: Handler
  /** How many messages are handled at once. */
  readonly places: number
  readonly prefetch: number
  readonly filter: string | undefined
  /** End after so many messages. */
  readonly countMax: number
  /** End at this barrier; `any`: at the first that comes. */
  readonly until: Watch | 'any' | undefined
}

/** Takes messages of a queue until there is a reason to stop, lets what is being handled end, and gives back the rest. */
export class Taking {
  readonly #shell: Shell
  readonly #queue: Queue<Uint8Array>
  readonly #options: TakeOptions
  readonly #settled: Record<Settled, number> = { acked: 0, rejected: 0, nacked: 0, lost: 0 }
  #taken = 0
  #outcome: BarrierOutcome | undefined

  constructor(shell: Shell, queue: Queue<Uint8Array>, options: TakeOptions) {
    this.#shell = shell
    this.#queue = queue
    this.#options = options
  }

  /** @returns the exit code */
  async run(interrupted: AbortSignal): Promise<number> {
    const { io, talk } = this.#shell
    // A bar among the lines on the same screen would spoil both.
    const isShown = !(io.stdout.isTTY && talk.hasBar)
    const finish = isShown ? talk.progress(this.#step()) : () => {}
    try {
      await this.#take(interrupted)
    } finally {
      finish()
      this.#sayAccount(interrupted.aborted)
    }
    if (interrupted.aborted) return INTERRUPTED
    return this.#outcome === undefined ? DONE : exitCodeOf(this.#outcome)
  }

  async #take(interrupted: AbortSignal): Promise<void> {
    const { prefetch, filter, places, until } = this.#options
    await using deliveries = this.#queue.consume({
      prefetch,
      concurrency: places,
      ...(filter === undefined ? {} : { filter }),
    })
    // The loop ends; what is being handled can still be settled, and the rest is given back.
    const stop = () => {
      crew.close()
      void deliveries.stop()
    }
    const crew = new Crew(places, stop)
    interrupted.addEventListener('abort', stop, { once: true })
    try {
      if (typeof until === 'object') this.#watch(until, stop)
      if (interrupted.aborted) stop()
      for await (const delivery of deliveries) {
        if (!(await this.#handle(delivery, crew))) stop()
      }
      await crew.finished()
    } finally {
      interrupted.removeEventListener('abort', stop)
    }
  }

  /** @returns whether to go on */
  async #handle(delivery: Delivery<Uint8Array>, crew: Crew): Promise<boolean> {
    if (delivery.kind === 'barrier') return !(await this.#isLast(delivery))
    this.#taken += 1
    const isStarted = await crew.start(async () => {
      this.#settled[await this.#options.handle(delivery)] += 1
    })
    return isStarted && this.#taken < this.#options.countMax
  }

  async #isLast(barrier: Barrier): Promise<boolean> {
    const { until } = this.#options
    this.#shell.talk.say(` barrier  ${barrier.name}   outcome ${barrier.outcome}`)
    if (this.#shell.json)
      await printJson(this.#shell, { kind: 'barrier', ...recordDocument(barrier as Barrier<Uint8Array>) })
    const isLast = until === 'any' || until?.name === barrier.name || until?.name === `@${barrier.sequence}`
    if (!isLast) return false
    this.#outcome = barrier.outcome
    return true
  }

  /** The barrier may be released before we are subscribed, or not match our filter: so it is watched too. */
  #watch({ released }: Watch, stop: () => void): void {
    released.then(
      record => {
        this.#outcome ??= record.outcome
        stop()
      },
      // Whatever ends the watch ends the taking too, and is told there.
      () => {},
    )
  }

  #step(): () => Step {
    const meter = new Meter()
    const { countMax } = this.#options
    return () => {
      const { acked, rejected, nacked } = this.#settled
      const perSecond = meter.rate(this.#taken, performance.now())
      return {
        label: 'consume',
        ...(Number.isFinite(countMax) ? { fraction: this.#taken / countMax } : {}),
        parts: [counted(this.#taken, 'message'), rate(perSecond), ...this.#failures()],
        report: {
          phase: 'consume',
          taken: this.#taken,
          acked,
          rejected,
          nacked,
          rate_per_second: Math.round(perSecond),
        },
      }
    }
  }

  #failures(): string[] {
    const { rejected, nacked, lost } = this.#settled
    return Object.entries({ rejected, nacked, lost }).flatMap(([what, n]) => (n === 0 ? [] : [`${count(n)} ${what}`]))
  }

  #sayAccount(isInterrupted: boolean): void {
    const account = [`${counted(this.#settled.acked, 'message')} acked`, ...this.#failures()].join(', ')
    if (isInterrupted) this.#shell.talk.warn(`interrupted: ${account}; the rest is given back`)
    else this.#shell.talk.done(account)
  }
}
