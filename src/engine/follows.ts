import { MessageCursor } from '@sluice/protocol'
import type { BarrierRecord, BatchNumber, QueueId } from '../core/facts.ts'
import type { Queue } from '../core/queue.ts'
import type { Refusal } from '../core/refusals.ts'
import type { ContentFilter } from './entitlement.ts'
import { isBarrierOf, Subject } from './expressions.ts'
import { recordWithoutCounts } from './hiding.ts'
import type { Delivery, DeliveryCopy, Followed, Follower } from './peer.ts'

interface Follow {
  readonly queue: string
  readonly follower: Follower
  /** Which barriers it may know of; absent: all. */
  readonly barriers: ContentFilter | undefined
  /** Which messages it may see copies of; absent: all. */
  readonly messages: ContentFilter | undefined
  readonly isWatching: boolean
}

/**
 * Who looks on, queue by queue: hears of released barriers and sees copies of what is delivered. Looking on is no
 * subscription: the core does not know of it, so it can hold nothing up. Where nobody watches a delivery costs one
 * comparison.
 */
export class Follows {
  readonly #queues = new Map<QueueId, Set<Follow>>()
  readonly #cursor = new MessageCursor()
  readonly #subject = new Subject()
  /** Follows that want copies, of all queues. */
  watchers = 0

  /**
   * @param committed turns up to this one are on disk
   * @param after batch number of the last barrier that was heard of; absent: only what comes from now on
   */
  begin(queue: Queue, follow: Follow, committed: number, after: BatchNumber | undefined): Followed {
    const follows = this.#queues.get(queue.id) ?? new Set()
    this.#queues.set(queue.id, follows)
    follows.add(follow)
    if (follow.isWatching) this.watchers += 1
    const { missed, records } = queue.barriers.since((after ?? -1) + 1, queue.head.number)
    // Those that are not on disk yet are told when they are, like all that come.
    const told = records.filter(({ turn }) => turn <= committed).map(({ record }) => record)
    const waiting = records.find(({ turn }) => turn > committed)
    const seen = after === undefined ? [] : told.flatMap(record => shown(follow, record))
    return {
      lastBatch: (waiting?.record.batch ?? queue.head.number) - 1,
      records: seen,
      barriersMissed: after === undefined ? 0 : missed,
      cancel: () => this.#end(queue.id, follow),
    }
  }

  released(queue: QueueId, record: BarrierRecord): void {
    for (const follow of this.#of(queue)) for (const each of shown(follow, record)) follow.follower.barrier(each)
  }

  delivered(queue: QueueId, delivery: Delivery, peer: string): void {
    for (const follow of this.#of(queue)) {
      if (!follow.isWatching) continue
      const { sequence, count, batch, attempt, redelivered, bytes } = delivery
      const copy = { sequence, count, batch, attempt, redelivered, bytes, peer }
      if (follow.messages === undefined) follow.follower.copy(copy)
      else for (const one of this.#allowed(copy, follow.messages, follow.queue)) follow.follower.copy(one)
    }
  }

  /** The queue is gone. */
  deleted(queue: QueueId, why: Refusal): void {
    for (const follow of this.#of(queue)) {
      this.#end(queue, follow)
      follow.follower.ended(why)
    }
  }

  /** A copy of the set: who is told may end it. */
  #of(queue: QueueId): readonly Follow[] {
    const follows = this.#queues.get(queue)
    return follows === undefined ? [] : [...follows]
  }

  *#allowed(copy: DeliveryCopy, content: ContentFilter, queue: string): Generator<DeliveryCopy, void, undefined> {
    let { sequence } = copy
    for (const piece of copy.bytes) {
      for (const cursor = this.#cursor.open(piece); cursor.next(); sequence += 1) {
        if (!content.matches(this.#subject.at(cursor, queue))) continue
        yield { ...copy, sequence, count: 1, bytes: [piece.subarray(cursor.recordStart, cursor.bodyEnd)] }
      }
    }
  }

  #end(queue: QueueId, follow: Follow): void {
    const follows = this.#queues.get(queue)
    if (follows?.delete(follow) !== true) return
    if (follow.isWatching) this.watchers -= 1
    if (follows.size === 0) this.#queues.delete(queue)
  }
}

/** None where it must not be known. */
function shown({ barriers, queue }: Follow, record: BarrierRecord): Parameters<Follower['barrier']>[0][] {
  if (barriers === undefined) return [record]
  return isBarrierOf(barriers, record, queue) ? [recordWithoutCounts(record)] : []
}
