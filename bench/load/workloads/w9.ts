import { steady } from './steady.ts'
import { publishing } from './w1.ts'
import type { Bench, Workload } from './workload.ts'

/** No body has this field: the price of asking each. */
const BARRIER = '/is_eof = 1'

/** What a barrier expression costs: W1 and W3 with JSON bodies, on a queue without one and on a queue with. */
export const w9: Readonly<Record<string, Workload>> = {
  'W9-W1-without': bench => publishing(bench),
  'W9-W1-with': bench => publishing(bench, BARRIER),
  'W9-W3-without': bench => steady(bench, shape(bench)),
  'W9-W3-with': bench => steady(bench, { ...shape(bench), barrier: BARRIER }),
}

function shape({ load: { consumers } }: Bench) {
  return { queues: 1, connections: consumers, consumersEach: consumers }
}
