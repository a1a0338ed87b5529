import type { Bodies } from '../bodies.ts'
import type { Counter } from '../counter.ts'
import type { Load, Restarted } from '../job.ts'
import type { Ledger } from '../ledger.ts'
import type { Length, Measured } from '../measure.ts'
import type { Connection } from '../system.ts'
import type { Usage } from '../usage.ts'

/** What a workload works with. Every message it publishes must have been consumed, through the ledger, when it ends. */
export interface Bench {
  readonly load: Load
  readonly ledger: Ledger
  readonly bodies: Bodies
  /** A connection of its own, closed when the run ends. */
  connect(): Promise<Connection>
  /** Ends the server, and all connections, and starts it again on its files. */
  restart(): Promise<Restarted>
  /** Of the server, now. */
  usage(): Usage
  /** Measures what is counted from now on. */
  measure(counter: Counter, length?: Length): Promise<Measured>
}

export type Workload = (bench: Bench) => Promise<Measured>
