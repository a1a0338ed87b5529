import { newRun } from './arrivals.ts'
import type { Batch } from './batch.ts'
import type { BatchNumber, Fact, Sequence, Timestamp } from './facts.ts'
import { inGroupOrder } from './groups.ts'
import { invariant } from './invariant.ts'
import type { Queue } from './queue.ts'
import { cutFront, type Run } from './run.ts'

/** Rebuilds one queue from its facts, in the order in which a journal restores them. */
export class Restoring {
  readonly #queue: Queue
  readonly #isClean: boolean
  /** Where to look for a message of which only the number is known. */
  readonly #priorities = new Set<number>()
  /** Delayed by what was published. */
  readonly #hidden = new Set<Run>()
  /** Those that belong to groups: put in their order, when all are here. */
  #grouped: Run[] = []
  #isFirst = true

  /** @param isClean the stop before was: else every message may have been delivered (D5) */
  constructor(queue: Queue, isClean: boolean) {
    this.#queue = queue
    this.#isClean = isClean
  }

  restore(fact: Fact, now: Timestamp): void {
    const queue = this.#queue
    switch (fact.kind) {
      case 'batchCounted':
        this.#batchAt(fact.batch).restore(fact.stats, fact.unkept ?? 0)
        queue.nextSequence = Math.max(queue.nextSequence, fact.nextSequence)
        break
      case 'barrierPublished': {
        const { sequence, batch, name, at: publishedAt, bytes, terms = {}, ended } = fact
        const barrier = { sequence, batch, name, publishedAt, bytes, terms, ended }
        const closed = this.#batchAt(batch)
        closed.barrier = barrier
        queue.endings.restored(closed)
        this.#batchAt(batch + 1)
        queue.barriers.put(barrier)
        queue.nextSequence = Math.max(queue.nextSequence, sequence + 1)
        break
      }
      case 'partyArrived': {
        const { name, count, at: startedAt, sequence, party, terms = {}, bytes } = fact
        queue.barriers.gather({ name, count, startedAt }, { sequence, party, terms, bytes })
        queue.nextSequence = Math.max(queue.nextSequence, sequence + 1)
        break
      }
      case 'seen':
        queue.dedupe.restore(fact.id, { sequence: fact.sequence, batch: fact.batch, at: fact.at })
        break
      case 'barrierReleased':
        queue.barriers.release(fact.record, 0)
        queue.nextSequence = Math.max(queue.nextSequence, fact.record.sequence + 1)
        break
      case 'producerTaken':
        queue.producers.restore(fact)
        break
      case 'enqueued':
        this.#messages(fact, now)
        break
      case 'returned':
        this.finish(now)
        for (const run of this.#take(fact.first, fact.count)) {
          run.attempts = fact.attempts
          run.delivered = true
          run.dueAt = fact.dueAt ?? 0
          if (run.group === undefined || run.isHead) queue.put(run, now)
        }
        break
      default:
        invariant(false, `a queue restores no ${fact.kind}`)
    }
  }

  /** All messages are here. */
  finish(now: Timestamp): void {
    for (const run of this.#grouped.sort(inGroupOrder)) this.#put(run, now)
    this.#grouped = []
  }

  #messages(fact: Extract<Fact, { kind: 'enqueued' }>, now: Timestamp): void {
    const queue = this.#queue
    // What is live and of a released batch, or of one ended with `carry`, was carried to the next (B13).
    const batch = queue.endings.heir(this.#batchAt(Math.max(fact.batch, this.#isFirst ? 0 : queue.head.number)))
    let first = fact.first
    for (const arrived of fact.runs ?? [{ count: fact.count }]) {
      const { count, priority = 0, group, origin, owned, dueAt = 0, expiresAt = Number.POSITIVE_INFINITY } = arrived
      this.#priorities.add(priority)
      const run: Run = {
        ...newRun(first, count, batch, 0),
        priority,
        group,
        born: fact.batch,
        origin,
        owned,
        expiresAt,
        dueAt,
        delivered: !this.#isClean || first + count <= queue.suspectBelow,
      }
      run.bytes = Math.round(((fact.bodyBytes ?? 0) * count) / fact.count)
      queue.count(run)
      first += count
      const suspects = queue.suspectBelow - run.first
      if (this.#isClean && suspects > 0 && suspects < run.count) {
        const front = cutFront(run, suspects)
        front.delivered = true
        this.#place(front, now)
      }
      this.#place(run, now)
    }
    queue.nextSequence = Math.max(queue.nextSequence, first)
  }

  #place(run: Run, now: Timestamp): void {
    if (run.group === undefined) {
      this.#put(run, now)
      return
    }
    while (run.count > 1) this.#grouped.push(cutFront(run, 1))
    this.#grouped.push(run)
  }

  #put(run: Run, now: Timestamp): void {
    this.#queue.put(run, now)
    if (run.dueAt > now && (run.group === undefined || run.isHead)) this.#hidden.add(run)
  }

  /** Takes restored messages out again, by their numbers; those that wait behind the head of a group stay where they are. */
  *#take(first: Sequence, count: number): Generator<Run, void, undefined> {
    const end = first + count
    yield* this.#outOfSight(first, end)
    for (const { ready } of this.#queue.batches) {
      for (const priority of this.#priorities) {
        const probe = { priority, first } as Run
        const before = ready.before(probe)
        const isStraddling = before !== undefined && before.priority === priority && before.first + before.count > first
        let run = isStraddling ? before : ready.ceiling(probe)
        while (run !== undefined && run.priority === priority && run.first < end) {
          const from = Math.max(first, run.first)
          const taken = ready.take(run, from - run.first, Math.min(end, run.first + run.count) - from)
          const next = { priority, first: taken.first + taken.count } as Run
          yield taken
          run = ready.ceiling(next)
        }
      }
    }
  }

  /**
   * Restored as delayed by what was published, or as waiting in a group. Few are: a message comes back after its delay,
   * and as the head of its group.
   */
  *#outOfSight(first: Sequence, end: Sequence): Generator<Run, void, undefined> {
    const { delayed, batches } = this.#queue
    for (const run of this.#hidden) {
      if (run.first >= end || run.first + run.count <= first) continue
      const from = Math.max(first, run.first)
      yield delayed.takePart(run, from - run.first, Math.min(end, run.first + run.count) - from)
    }
    for (const { groups } of batches) {
      if (groups.messages === 0) continue
      for (let sequence = first; sequence < end; sequence += 1) {
        const run = groups.find(sequence)
        if (run !== undefined) yield run
      }
    }
  }

  /** The batch of this number, made with all between it and those that are there. */
  #batchAt(number: BatchNumber): Batch {
    const queue = this.#queue
    if (this.#isFirst) queue.batches[0] = queue.newBatch(number)
    this.#isFirst = false
    while (number < queue.head.number) queue.batches.unshift(queue.newBatch(queue.head.number - 1))
    while (number > queue.open.number) queue.batches.push(queue.newBatch(queue.open.number + 1))
    return this.#queue.batchAt(number)
  }
}
