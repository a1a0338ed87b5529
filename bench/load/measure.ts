import { setTimeout as sleep } from 'node:timers/promises'
import type { Counter } from './counter.ts'
import { readUsage, type Usage } from './usage.ts'

/** What is measured: so long, or so many messages. */
export type Length = { readonly seconds: number } | { readonly messages: number }

/** What happened between two moments. */
export interface Measured {
  readonly messages: number
  readonly ms: number
  /** Messages per second in each tenth of the time, to show a stall; none when a number of messages was measured. */
  readonly windowRates: readonly number[]
  /** Memory of the server at the end of each tenth, to show growth. */
  readonly windowMemory: readonly Memory[]
  readonly server: Spent
  /** The load client: client library and harness. */
  readonly client: Spent
  /** Both moments on the monotonic clock, in µs: V8 stamps CPU profiles with the same. */
  readonly fromMicros: number
  readonly toMicros: number
  /** Of workloads that look at single messages. */
  readonly latency?: { readonly receive: Percentiles; readonly confirm: Percentiles }
  /** From the start of the process to the first delivery, in ms, where that is measured. */
  readonly startMs?: number
  /** What the server's folder takes, where that is measured. */
  readonly diskBytes?: number
  /** Resident memory at the end of a drain, where the memory above is that of the backlog. */
  readonly drainedRssBytes?: number
}

/** In ms. */
export interface Percentiles {
  readonly p50: number
  readonly p99: number
  readonly p999: number
}

/** In bytes; the heap only of systems that tell it. */
export interface Memory {
  readonly rss: number
  readonly heap?: number
}

/** CPU time in the time measured, and memory at its end. */
interface Spent {
  readonly cpuMs: number
  readonly mainThreadMs: number
  readonly rssBytes: number
}

const WINDOWS = 10

/**
 * Measures what is counted from now on.
 *
 * @param heapBytes asks the server for the bytes of its heap
 */
export async function measure(
  counter: Counter,
  serverPids: readonly number[],
  length: Length,
  heapBytes?: () => Promise<number>,
): Promise<Measured> {
  const from = reading(counter, serverPids)
  const windowRates: number[] = []
  const windowMemory: Memory[] = []
  if ('messages' in length) await counter.reached(from.count + length.messages)
  else {
    for (let window = 0, last: Moment = from; window < WINDOWS; window++) {
      await sleep((length.seconds * 1000) / WINDOWS)
      const now = moment(counter)
      windowRates.push(Math.round(((now.count - last.count) * 1e6) / (now.micros - last.micros)))
      last = now
      const { rssBytes: rss } = readUsage(serverPids)
      windowMemory.push(heapBytes === undefined ? { rss } : { rss, heap: await heapBytes() })
    }
  }
  const to = reading(counter, serverPids)
  return {
    messages: to.count - from.count,
    ms: (to.micros - from.micros) / 1000,
    windowRates,
    windowMemory,
    server: spent(from.server, to.server),
    client: spent(from.client, to.client),
    fromMicros: from.micros,
    toMicros: to.micros,
  }
}

interface Moment {
  readonly count: number
  readonly micros: number
}

interface Reading extends Moment {
  readonly server: Usage
  readonly client: Usage
}

function moment(counter: Counter): Moment {
  return { count: counter.value, micros: microsNow() }
}

/** The monotonic clock of the machine, the same in all processes. */
export function microsNow(): number {
  return Number(process.hrtime.bigint() / 1000n)
}

function reading(counter: Counter, serverPids: readonly number[]): Reading {
  return { ...moment(counter), server: readUsage(serverPids), client: readUsage([process.pid]) }
}

function spent(from: Usage, to: Usage): Spent {
  return {
    cpuMs: to.cpuMs - from.cpuMs,
    mainThreadMs: to.mainThreadMs - from.mainThreadMs,
    rssBytes: to.rssBytes,
  }
}
