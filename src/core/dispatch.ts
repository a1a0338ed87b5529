import type { Batch } from './batch.ts'
import { type Find, type Line, SEARCH_MAX } from './consumers.ts'
import { timeAfter } from './durations.ts'
import type { Timestamp } from './facts.ts'
import { invariant } from './invariant.ts'
import type { Queue } from './queue.ts'
import { compareRuns, type Run } from './run.ts'
import type { Held, Subscription } from './subscription.ts'
import type { Turn } from './turn.ts'

/**
 * Deliveries of one turn; what is left goes on in the next. Messages that are not alike are a delivery each, and a
 * consumer may have credit for 65,535: everybody else would wait for it, and it may not even read (R9).
 */
export const DELIVERIES_MAX = 250

interface Pick extends Find {
  readonly line: Line
}

/**
 * Gives out what may go out now, of the batch in turn: to whom is D1.
 *
 * @returns true when it has to go on in another turn
 */
export function dispatch(queue: Queue, turn: Turn, now: Timestamp): boolean {
  const batch = queue.head
  const unackedMax = queue.options.unackedMax ?? Number.POSITIVE_INFINITY
  let steps = 0
  let deliveries = 0
  const spend = (looks: number) => {
    steps += looks
    return steps <= SEARCH_MAX
  }
  const hasExpired = () => (queue.expiring.first?.expiresAt ?? Number.POSITIVE_INFINITY) <= now
  // More has expired than one turn deals with: it must not go out meanwhile (D16).
  const mayGoOn = () => batch.ready.messages > 0 && queue.leased < unackedMax && !hasExpired()
  readmit(queue, batch, spend)
  queue.consumers.startDeal(Math.min(batch.ready.messages, unackedMax - queue.leased))
  while (mayGoOn()) {
    if (deliveries === DELIVERIES_MAX) return true
    const pick = pickNext(queue, batch, spend)
    if (pick === undefined) {
      if (!readmit(queue, batch, spend)) break
      continue
    }
    const subscription = pick.line.heap.first
    invariant(subscription !== undefined, 'a line is picked only if somebody in it has room')
    const portion = queue.consumers.portion(pick.line, subscription, pick.count)
    const count = Math.min(unackedMax - queue.leased, portion, subscription.fitting(pick.run))
    if (count === 0) {
      queue.consumers.tooHeavy(pick.line, subscription, pick.run.first + pick.offset)
      continue
    }
    deliver(queue, turn, now, subscription, batch.ready.take(pick.run, pick.offset, count))
    deliveries += 1
  }
  return steps > SEARCH_MAX
}

/**
 * Lets those in again for whom the next message was too large, once it is another one that comes next: a smaller one in
 * front of it, or one behind it that somebody else has taken.
 *
 * @returns true when there was one
 */
function readmit(queue: Queue, batch: Batch, spend: (looks: number) => boolean): boolean {
  let isOne = false
  for (const line of queue.consumers.lines.values()) {
    if (line.heavy.size === 0) continue
    const find = line.find(batch, spend)
    if (find === undefined || find.run.first + find.offset === line.heavySequence) continue
    queue.consumers.readmit(line)
    isOne = true
  }
  return isOne
}

/** The first ready messages that somebody with room may have, and the line that gets them. */
function pickNext(queue: Queue, batch: Batch, spend: (looks: number) => boolean): Pick | undefined {
  let best: Pick | undefined
  for (const line of queue.consumers.lines.values()) {
    if (line.heap.first === undefined) continue
    const find = line.find(batch, spend)
    if (find !== undefined) best = best === undefined ? { ...find, line } : better(queue, best, { ...find, line })
  }
  return best
}

/** The earlier of two, cut off where the other one begins; of two that begin together the one whose turn it is. */
function better(queue: Queue, a: Pick, b: Pick): Pick {
  const order = a.run === b.run ? a.offset - b.offset : compareRuns(a.run, b.run)
  if (order === 0) {
    const isB = queue.consumers.before(b.line.heap.first as Subscription, a.line.heap.first as Subscription)
    return { ...(isB ? b : a), count: 1 }
  }
  const [earlier, later] = order < 0 ? [a, b] : [b, a]
  return a.run === b.run ? { ...earlier, count: Math.min(earlier.count, later.offset - earlier.offset) } : earlier
}

function deliver(queue: Queue, turn: Turn, now: Timestamp, subscription: Subscription, run: Run): void {
  const isSpent = queue.options.semantics === 'at-most-once'
  const leaseMs = isSpent ? undefined : (subscription.leaseMs ?? queue.options.leaseMs)
  // Its removal first: nobody may get it twice (D9).
  const rests = isSpent ? turn.number : Math.max(run.turn, queue.openedIn, subscription.lastRests)
  const deadline = leaseMs === undefined ? Number.POSITIVE_INFINITY : timeAfter(now, leaseMs)
  const held: Held = { delivery: subscription.next, run, subscription, deadline, deliveredAt: now, rests, isSpent }
  subscription.lastRests = rests
  subscription.next += run.count
  subscription.used += run.count
  subscription.bytes += run.bytes
  if (isSpent) subscription.unsent += run.bytes
  subscription.held.add(held)
  if (deadline !== Number.POSITIVE_INFINITY) queue.leases.add(held)
  if (isSpent) run.batch.spent += run.count
  else {
    run.batch.leased += run.count
    queue.leased += run.count
  }
  queue.consumers.served(subscription)
  turn.perform({
    kind: 'deliver',
    queue: queue.id,
    rests,
    subscription,
    delivery: held.delivery,
    first: run.first,
    count: run.count,
    batch: run.batch.number,
    attempt: run.attempts + 1,
    redelivered: run.delivered,
    origin: run.origin,
    isSpent,
    bodyBytes: run.bytes,
  })
  if (isSpent) queue.finish(turn, now, run, 'acked')
}
