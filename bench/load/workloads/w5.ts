import { steady } from './steady.ts'
import type { Workload } from './workload.ts'

const QUEUES = 100

/** A hundred queues: one publisher goes round them, each has a consumer of its own; ten connections share those. */
export const w5: Workload = bench => steady(bench, { queues: QUEUES, connections: 10, consumersEach: 1 })
