import { echo } from './echo.ts'
import { w1 } from './w1.ts'
import { w2 } from './w2.ts'
import { w3 } from './w3.ts'
import { w4 } from './w4.ts'
import { w5 } from './w5.ts'
import { w6 } from './w6.ts'
import { w7 } from './w7.ts'
import { w9 } from './w9.ts'
import { w10 } from './w10.ts'
import type { Workload } from './workload.ts'

/** All there are, by the name that the command line uses. W8 speaks HTTP and is a program of its own (`bench/http`). */
export const WORKLOADS: Readonly<Record<string, Workload>> = {
  W1: w1,
  W2: w2,
  W3: w3,
  W4: w4,
  W5: w5,
  W6: w6,
  W7: w7,
  ...w9,
  ...w10,
}

/** What the command line takes for several. */
export const GROUPS: Readonly<Record<string, readonly string[]>> = { W9: Object.keys(w9), W10: Object.keys(w10) }

/** Those that are run when none is named. */
export const USUAL: readonly string[] = ['W1', 'W2', 'W3']

/** Bodies of these are JSON, whatever the codec asked for. */
export const isJson = (workload: string): boolean => workload in w9

/** Not for the command line: it runs against the echo only. */
export const BASELINE: Workload = echo
