import { Stop, USAGE } from './exit.ts'

/** What is kept of a queue. */
export interface QueueContents {
  readonly queue: string
  readonly messages: number
  readonly bytes: number
  readonly barriers: number
  readonly records: number
  readonly producers: number
  readonly messageIds: number
  readonly parties: number
}

export interface DataContents {
  readonly format: number
  readonly rows: number
  readonly queues: readonly QueueContents[]
  /** What is wrong and where, the first hundred of `damagedCount`. */
  readonly damage: readonly string[]
  readonly damagedCount: number
}

/** Why something was not done; a sentence each. */
export interface NotDone {
  readonly code: string
  readonly problems: readonly string[]
}

interface CheckedConfig {
  readonly settings: readonly object[]
  readonly queues: readonly string[]
  readonly toml: string
}

interface Restored {
  /** ISO 8601. */
  readonly takenAt: string
  /** Version that took the backup. */
  readonly sluice: string
  readonly contents: DataContents
}

/** What is done on this machine, without a server. The package of the server brings it; this one is its client. */
export interface Here {
  check(
    file: string | undefined,
    environment: Readonly<Record<string, string | undefined>>,
  ): Promise<CheckedConfig | NotDone>
  scan(folder: string): Promise<DataContents | NotDone>
  restore(from: string, data: string): Promise<Restored | NotDone>
}

/** @throws Stop where there is only the client */
export function hereOf(here: Here | undefined): Here {
  if (here !== undefined) return here
  throw new Stop(
    USAGE,
    'This is the client alone; the command belongs to the package sluice, on the machine of the data.',
  )
}
