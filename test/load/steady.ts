import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { passed } from './server.ts'
import type { Latencies, SteadyOptions, Told } from './steady-load.ts'

const LOAD = path.join(import.meta.dirname, 'steady-load.ts')

/**
 * Publishes at a steady pace to a consumer beside it, with a barrier every five seconds; notes how long each message
 * takes, and has its history judged at the end. In a process of its own: what hurts the server must not hurt the watch.
 */
export class Steady {
  readonly #process: ChildProcess
  readonly #ended: Promise<never>

  private constructor(process: ChildProcess) {
    this.#process = process
    this.#ended = once(process, 'exit').then(([code]) =>
      Promise.reject(new Error(`the steady load ended with ${code}`)),
    )
    this.#ended.catch(() => {})
  }

  static async start(url: string, perSecond: number): Promise<Steady> {
    const options: SteadyOptions = { url, perSecond }
    const steady = new Steady(fork(LOAD, [JSON.stringify(options)], { execArgv: ['--import', 'tsx'] }))
    await steady.#told('ready')
    return steady
  }

  /**
   * Latencies of the messages of the next while.
   *
   * @param every told of those so far, each so many ms
   */
  async measure(ms: number, every?: { ms: number; tell: (soFar: Latencies) => void }): Promise<Latencies> {
    this.#process.send('begin')
    const endAt = performance.now() + ms
    for (;;) {
      await passed(Math.min(endAt - performance.now(), every?.ms ?? ms))
      const soFar = await this.#figures()
      if (performance.now() >= endAt) return soFar
      every?.tell(soFar)
    }
  }

  /** Ends it, when all that it has published is acked. @returns the checker's report, and whether its verdict is "pass" */
  async stop(): Promise<{ isValid: boolean; report: string }> {
    this.#process.send('stop')
    const { isValid, report } = await this.#told('stopped')
    return { isValid, report }
  }

  kill(): void {
    this.#process.kill('SIGKILL')
  }

  async #figures(): Promise<Latencies> {
    this.#process.send('figures')
    return (await this.#told('figures')).latencies
  }

  async #told<K extends Told['kind']>(kind: K): Promise<Extract<Told, { kind: K }>> {
    const message = new Promise<Told>(resolve => this.#process.once('message', resolve as (message: unknown) => void))
    const told = await Promise.race([message, this.#ended])
    if (told.kind !== kind) throw new Error(`the steady load told ${told.kind} where ${kind} was asked`)
    return told as Extract<Told, { kind: K }>
  }
}
