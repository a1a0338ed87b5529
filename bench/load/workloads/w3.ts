import { steady } from './steady.ts'
import type { Workload } from './workload.ts'

/** Steady: the publisher of W1 and the consumers of W2 at once; what is counted is consumed. */
export const w3: Workload = bench => {
  const { consumers } = bench.load
  return steady(bench, { queues: 1, connections: consumers, consumersEach: consumers })
}
