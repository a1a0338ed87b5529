import type { Batch } from './batch.ts'
import type { BatchNumber, DeadLetterOrigin, Owned, Sequence, Timestamp, TurnNumber } from './facts.ts'

/**
 * Live messages next to one another in a queue that are alike in everything the queue must know of them, so that a
 * thousand plain messages cost what one costs. A message that differs is a run of its own.
 *
 * A run is in one place at a time: ready, delayed, or held by a subscription.
 */
export interface Run {
  first: Sequence
  count: number
  /** Bytes of the bodies. A split shares them out evenly: exact in sum, estimated in part (large bodies come as runs of their own). */
  bytes: number
  batch: Batch
  readonly priority: number
  readonly group: string | undefined
  /** Number of the batch it came into, which it may have been carried on from. Within a group it comes before the sequence number. */
  readonly born: BatchNumber
  /** Of its group the one that may go out; the others wait behind it. */
  isHead: boolean
  readonly origin: DeadLetterOrigin | undefined
  /** Counted for somebody's quota, each alike: a cut needs no estimate. */
  readonly owned: Owned | undefined
  /** `Infinity` when it never expires. */
  readonly expiresAt: Timestamp
  /** Out of sight until then; 0 when it is not delayed. */
  dueAt: Timestamp
  /** Counted attempts that ended. */
  attempts: number
  /** An earlier delivery happened, or may have. */
  delivered: boolean
  /** The turn that enqueued it: nobody gets it before that is on disk. 0 once it may go out at any time. */
  turn: TurnNumber
}

/** Queue order within a batch: priority, then sequence number. */
export function compareRuns(a: Run, b: Run): number {
  return b.priority - a.priority || a.first - b.first
}

export function compareDue(a: Run, b: Run): number {
  return a.dueAt - b.dueAt || a.first - b.first
}

/** Cuts the first `count` messages off a run and returns them; the run keeps the rest, in its place. */
export function cutFront(run: Run, count: number): Run {
  const bytes = Math.round((run.bytes * count) / run.count)
  const front: Run = { ...run, count, bytes }
  run.first += count
  run.count -= count
  run.bytes -= bytes
  return front
}

/** Cuts off and returns everything from the message `offset` on; the run keeps what is before it. */
export function cutBack(run: Run, offset: number): Run {
  const bytes = Math.round((run.bytes * (run.count - offset)) / run.count)
  const back: Run = { ...run, first: run.first + offset, count: run.count - offset, bytes }
  run.count = offset
  run.bytes -= bytes
  return back
}

/** Bodies from this size on are not counted together with others of another size: the error of a cut stays small. */
const LARGE_BODY_BYTES = 16 * 1024

function isOwnedAlike(a: Owned | undefined, b: Owned | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && a.bytes === b.bytes && a.owner === b.owner)
}

function mayShare(run: Run, next: Run): boolean {
  const isLarge = run.bytes >= run.count * LARGE_BODY_BYTES || next.bytes >= next.count * LARGE_BODY_BYTES
  return !isLarge || run.bytes * next.count === next.bytes * run.count
}

/**
 * True when `next` was joined to the end of `run`.
 *
 * @param committed what is on disk must not wait for what is not: such runs stay apart.
 */
export function joined(run: Run, next: Run, committed: TurnNumber): boolean {
  if (
    run.first + run.count !== next.first ||
    run.batch !== next.batch ||
    run.priority !== next.priority ||
    run.attempts !== next.attempts ||
    run.delivered !== next.delivered ||
    run.expiresAt !== next.expiresAt ||
    run.group !== undefined ||
    next.group !== undefined ||
    run.origin !== undefined ||
    next.origin !== undefined ||
    !isOwnedAlike(run.owned, next.owned) ||
    (run.turn <= committed && next.turn > committed) ||
    !mayShare(run, next)
  )
    return false
  run.count += next.count
  run.bytes += next.bytes
  run.turn = Math.max(run.turn, next.turn)
  return true
}
