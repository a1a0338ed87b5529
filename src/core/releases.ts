import { recordOf, type WaitingBarrier } from './barriers.ts'
import type { Batch } from './batch.ts'
import type { BarrierRecord, BatchNumber, Timestamp } from './facts.ts'
import type { Queue } from './queue.ts'
import type { Subscription } from './subscription.ts'
import type { Turn } from './turn.ts'

/** How barriers open: when, in which order, and who hears of it. */
export class Releases {
  readonly #queue: Queue
  /** Sends a released barrier on to other queues (B15), and tells them of it (B20). */
  readonly #released: (turn: Turn, now: Timestamp, barrier: WaitingBarrier, record: BarrierRecord) => void

  constructor(
    queue: Queue,
    released: (turn: Turn, now: Timestamp, barrier: WaitingBarrier, record: BarrierRecord) => void,
  ) {
    this.#queue = queue
    this.#released = released
  }

  /** Releases what is due, one after another. */
  release(turn: Turn, now: Timestamp): void {
    const queue = this.#queue
    for (let batch = queue.head; this.#isDue(batch); batch = queue.head) {
      const barrier = batch.barrier as WaitingBarrier
      const record = recordOf(barrier, batch, now, queue.barriers.placeBefore(batch.number))
      turn.keep({ kind: 'barrierReleased', queue: queue.id, record })
      queue.barriers.release(record, turn.number)
      for (const sequence of queue.barriers.forgetAbove(queue.options.barrierRecords))
        turn.keep({ kind: 'barrierForgotten', queue: queue.id, sequence })
      queue.batches.shift()
      batch.isDirty = false
      // The counts of the released batch go; the open one's keep the next sequence number.
      queue.open.isDirty = true
      queue.openedIn = turn.number
      for (const subscription of queue.consumers.all) {
        if (subscription.isClosed || subscription.predicate?.matchesBarrier(record) === false) continue
        subscription.lastRests = turn.number
        turn.perform({ kind: 'barrier', rests: turn.number, subscription, record, replayed: false })
      }
      turn.perform({ kind: 'released', rests: turn.number, queue: queue.id, record })
      this.#released(turn, now, barrier, record)
    }
  }

  /**
   * B2: its batch has nothing live, nothing that waits for its credit (B18), and no dead letter that holds. A batch that
   * was ended early waits for nothing but its rest: neither a consumer nor a dead letter can put its end off.
   */
  #isDue(batch: Batch): boolean {
    if (batch.barrier === undefined || batch.live > 0) return false
    if (batch.barrier.ended !== undefined) return true
    return batch.spent === 0 && (this.#queue.options.onDead !== 'hold' || batch.holding === 0)
  }

  /** Sends the matching barriers released since the batch that the consumer was in (B11); returns how many are gone. */
  replay(turn: Turn, subscription: Subscription, afterBatch: BatchNumber): number {
    const { records, missed } = this.#queue.barriers.since(afterBatch, this.#queue.head.number)
    for (const { record, turn: releasedIn } of records) {
      if (subscription.predicate?.matchesBarrier(record) === false) continue
      subscription.lastRests = Math.max(subscription.lastRests, releasedIn)
      turn.perform({ kind: 'barrier', rests: subscription.lastRests, subscription, record, replayed: true })
    }
    return missed
  }
}
