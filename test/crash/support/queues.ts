import type { QueueOptions } from '@sluice/client'

/** Where most happens: publishes in every form, barriers, acks that carry publishes, leases that run out. */
export const WORK = 'work'
/** The other half of atomic publishes, and what is only `accepted`. */
export const SIDE = 'side'
/** Every message twice, under its message id. */
export const ONCE = 'once'
/** What acks of `work` bring along. */
export const OUT = 'out'

export const LEASE_MS = 2_500

export const QUEUES: Readonly<Record<string, QueueOptions>> = {
  [WORK]: { leaseMs: LEASE_MS },
  [SIDE]: {},
  [ONCE]: { dedupeWindowMs: 3_600_000 },
  [OUT]: {},
}
