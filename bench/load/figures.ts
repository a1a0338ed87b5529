import type { Measured } from './measure.ts'

/** Over rounds. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** What one workload came to on one system. */
export interface Figures {
  readonly messagesPerSecond: Spread
  /** CPU time per message. */
  readonly serverMicros: Spread
  /** The part of the server's first thread. */
  readonly serverMainThreadMicros: Spread
  readonly clientMicros: Spread
  /** Resident memory at the end of the measuring, in bytes. */
  readonly serverRssBytes: Spread
}

export function figuresOf(rounds: readonly Measured[]): Figures {
  const over = (figure: (round: Measured) => number) => spreadOf(rounds.map(figure))
  return {
    messagesPerSecond: over(({ messages, ms }) => (messages * 1000) / ms),
    serverMicros: over(({ messages, server }) => (server.cpuMs * 1000) / messages),
    serverMainThreadMicros: over(({ messages, server }) => (server.mainThreadMs * 1000) / messages),
    clientMicros: over(({ messages, client }) => (client.cpuMs * 1000) / messages),
    serverRssBytes: over(({ server }) => server.rssBytes),
  }
}

/** @param values at least one */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  return {
    median: (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2,
    min: sorted[0]!,
    max: sorted.at(-1)!,
  }
}
