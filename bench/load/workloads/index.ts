import { echo } from './echo.ts'
import { w1 } from './w1.ts'
import { w2 } from './w2.ts'
import { w3 } from './w3.ts'
import type { Workload } from './workload.ts'

/** All there are, by the name that the command line uses. */
export const WORKLOADS: Readonly<Record<string, Workload>> = { W1: w1, W2: w2, W3: w3 }

/** Not for the command line: it runs against the echo only. */
export const BASELINE: Workload = echo
