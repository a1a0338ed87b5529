import type { Timestamp } from '../../core/facts.ts'

/** What is kept of a message that was delivered and came back. */
export interface Returned {
  readonly attempts: number
  readonly dueAt?: Timestamp
}

/** By place in the row. */
export type ReturnedMessages = Map<number, Returned>

/** Neighbours that are alike, as the note of a row: place of the first, how many, attempts, and when they are due. */
export type ReturnedRun = readonly [place: number, count: number, attempts: number, dueAt?: Timestamp]

export function toRuns(messages: ReturnedMessages): readonly ReturnedRun[] {
  const runs: [place: number, count: number, attempts: number, dueAt?: Timestamp][] = []
  for (const [place, { attempts, dueAt }] of [...messages].sort(([a], [b]) => a - b)) {
    const last = runs.at(-1)
    if (last && last[0] + last[1] === place && last[2] === attempts && last[3] === dueAt) last[1]++
    else runs.push(dueAt === undefined ? [place, 1, attempts] : [place, 1, attempts, dueAt])
  }
  return runs
}

export function fromRuns(runs: readonly ReturnedRun[]): ReturnedMessages {
  const messages: ReturnedMessages = new Map()
  for (const [place, count, attempts, dueAt] of runs) {
    const returned: Returned = dueAt === undefined ? { attempts } : { attempts, dueAt }
    for (let next = place; next < place + count; next++) messages.set(next, returned)
  }
  return messages
}
