import type { Codec } from './bodies.ts'
import type { Length, Measured } from './measure.ts'

/** What the main process tells the load client, as its first message. */
export interface Job {
  readonly system: string
  readonly workload: string
  readonly address: string
  readonly serverPids: readonly number[]
  readonly load: Load
}

export interface Load {
  readonly bodyBytes: number
  readonly codec: Codec
  /** Publishes that are unconfirmed at once. */
  readonly window: number
  /** Deliveries that each consumer may have unsettled. */
  readonly prefetch: number
  /** Each on a connection of its own. */
  readonly consumers: number
  readonly warmupSeconds: number
  readonly length: Length
  readonly plant: Fault | undefined
}

/** Wrong on purpose, once in a run, to see that the check finds it: a message confirmed but not sent, or sent twice. */
export type Fault = 'lose' | 'repeat'

/** Sent by the load client: the server is to end and to start again on the same files. The answer is `Restarted`. */
export const RESTART = 'restart'

export interface Restarted {
  readonly address: string
  readonly serverPids: readonly number[]
  /** When the new process was started, on the clock of `microsNow`. */
  readonly startedAtMicros: number
  /** What its files took in between. */
  readonly diskBytes: number
}

/** What the load client answers. */
export interface Report extends Measured {
  /** Messages that were published in the whole run, each consumed exactly once unless `problems` tells. */
  readonly checked: number
  readonly problems: readonly string[]
}
