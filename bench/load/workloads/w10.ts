import { steady } from './steady.ts'
import { drain } from './w2.ts'
import type { Workload } from './workload.ts'

/** Consumers beyond that share connections: what is asked is what a consumer costs, not a socket. */
const CONNECTIONS_MAX = 20

/** How the cost of a message grows: with the consumers of a queue, with its backlog, with the queues. */
export const w10: Readonly<Record<string, Workload>> = {
  ...each([1, 10, 100, 1_000], count => [
    `W10-${count}-consumers`,
    bench => steady(bench, { queues: 1, connections: Math.min(count, CONNECTIONS_MAX), consumersEach: count }),
  ]),
  ...each([10_000, 100_000, 1_000_000], count => [`W10-${count}-backlog`, bench => drain(bench, count)]),
  ...each([1, 100, 10_000], count => [
    `W10-${count}-queues`,
    bench => steady(bench, { queues: count, connections: Math.min(count, CONNECTIONS_MAX), consumersEach: 1 }),
  ]),
}

function each(counts: readonly number[], one: (count: number) => [string, Workload]): Record<string, Workload> {
  return Object.fromEntries(counts.map(one))
}
