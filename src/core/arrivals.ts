import type { WaitingBarrier } from './barriers.ts'
import type { Batch } from './batch.ts'
import type { BatchNumber, DeadLetterOrigin, Fact, Sequence, Timestamp } from './facts.ts'
import type { Incoming, IncomingRun, Publish, PublishAnswer } from './publishing.ts'
import type { Queue } from './queue.ts'
import { type Refusal, refuse } from './refusals.ts'
import type { Run } from './run.ts'
import type { Turn } from './turn.ts'

/** How messages and barriers come into a queue. */
export class Arrivals {
  readonly #queue: Queue

  constructor(queue: Queue) {
    this.#queue = queue
  }

  /**
   * Takes what may come in and answers for each stretch of it, in order.
   *
   * @param batch of work that makes work: the batch of the message whose ack carries it (B16). Default: the open one.
   */
  publish(turn: Turn, publish: Publish, batch?: Batch): PublishAnswer[] {
    const queue = this.#queue
    const reason =
      publish.isAtomic === true ? publish.incoming.find(incoming => incoming.kind === 'refused') : undefined
    return publish.incoming.map((incoming): PublishAnswer => {
      const { index, count } = incoming
      if (reason !== undefined) return { index, count, refusal: reason.refusal }
      if (incoming.kind === 'refused') return { index, count, refusal: incoming.refusal }
      const target = incoming.kind === 'barrier' ? queue.open : (batch ?? queue.open)
      const taken =
        incoming.kind === 'barrier'
          ? this.#publishBarrier(turn, publish.now, incoming)
          : this.#enqueue(turn, publish, incoming, target)
      if (typeof taken !== 'number') return { index, count, refusal: taken }
      return { index, count, sequence: taken, batch: target.number, duplicate: false }
    })
  }

  #enqueue(turn: Turn, publish: Publish, incoming: Extract<Incoming, { kind: 'messages' }>, batch: Batch): Sequence {
    const queue = this.#queue
    const first = queue.nextSequence
    queue.nextSequence += incoming.count
    queue.publishedTotal += incoming.count
    batch.countPublished(publish.now, incoming.count)
    const isPlain =
      incoming.runs.length === 1 &&
      isPlainRun(incoming.runs[0] as IncomingRun) &&
      queue.options.expirationMs === undefined
    let at = first
    const runs = incoming.runs.map(arrived => {
      const run = this.#runOf(arrived, at, batch, publish, turn)
      at += arrived.count
      return run
    })
    turn.keep({
      kind: 'enqueued',
      queue: queue.id,
      first,
      count: incoming.count,
      batch: batch.number,
      at: publish.now,
      bytes: incoming.bytes,
      ...(isPlain ? {} : { runs: runs.map(attributesOf) }),
    })
    for (const run of runs) queue.place(turn, run, publish.now)
    return first
  }

  #runOf(arrived: IncomingRun, first: Sequence, batch: Batch, publish: Publish, turn: Turn): Run {
    const queue = this.#queue
    const ttl = Math.min(
      arrived.ttlMs ?? Number.POSITIVE_INFINITY,
      queue.options.expirationMs ?? Number.POSITIVE_INFINITY,
    )
    return {
      first,
      count: arrived.count,
      bytes: arrived.bodyBytes,
      batch,
      priority: arrived.priority ?? 0,
      group: arrived.group,
      origin: undefined,
      expiresAt: publish.now + ttl,
      dueAt: arrived.delayMs === undefined || arrived.delayMs === 0 ? 0 : publish.now + Math.min(arrived.delayMs, ttl),
      attempts: 0,
      delivered: false,
      turn: publish.isAccepted === true ? 0 : turn.number,
    }
  }

  /** Why no barrier of this name can be published now. */
  mayPublishBarrier(name: string | undefined): Refusal | undefined {
    const queue = this.#queue
    const used = name === undefined ? undefined : queue.barriers.find(name)
    if (used !== undefined) {
      const isReleased = 'releasedAt' in used
      return refuse(
        'barrier-exists',
        `barrier "${name}" ${isReleased ? `was released at ${new Date(used.releasedAt).toISOString()}` : 'is waiting'}`,
        {
          sequence: used.sequence,
          ...(isReleased ? { released_at: used.releasedAt } : {}),
        },
      )
    }
    const { barriersMax } = queue.options
    if (queue.barriers.waitingCount < barriersMax) return undefined
    return refuse('too-many-barriers', `${barriersMax} barriers wait already`, {
      limit: 'barriers_max',
      barriers_max: barriersMax,
    })
  }

  #publishBarrier(turn: Turn, now: Timestamp, incoming: Extract<Incoming, { kind: 'barrier' }>): Sequence | Refusal {
    const queue = this.#queue
    const { name, bytes } = incoming
    const refusal = this.mayPublishBarrier(name)
    if (refusal !== undefined) return refusal
    const sequence = queue.nextSequence
    queue.nextSequence += 1
    const batch = queue.open
    const barrier: WaitingBarrier = { sequence, batch: batch.number, name, publishedAt: now, bytes }
    turn.keep({
      kind: 'barrierPublished',
      queue: queue.id,
      sequence,
      batch: batch.number,
      at: now,
      bytes,
      ...(name === undefined ? {} : { name }),
    })
    batch.barrier = barrier
    batch.isDirty = true
    queue.barriers.add(barrier)
    const next = queue.newBatch(batch.number + 1)
    next.isDirty = true
    queue.batches.push(next)
    return sequence
  }

  /** A dead letter of another queue comes in; it is never refused (A7). */
  takeDeadLetter(
    turn: Turn,
    now: Timestamp,
    bytes: number,
    origin: DeadLetterOrigin,
  ): { sequence: Sequence; batch: BatchNumber } {
    const queue = this.#queue
    const batch = queue.open
    const sequence = queue.nextSequence
    queue.nextSequence += 1
    queue.publishedTotal += 1
    batch.countPublished(now, 1)
    const never = Number.POSITIVE_INFINITY
    const run: Run = {
      first: sequence,
      count: 1,
      bytes,
      batch,
      priority: 0,
      group: undefined,
      origin,
      expiresAt: never,
      dueAt: 0,
      attempts: 0,
      delivered: false,
      turn: turn.number,
    }
    queue.put(run, now)
    return { sequence, batch: batch.number }
  }
}

function isPlainRun(run: IncomingRun): boolean {
  return run.priority === undefined && run.group === undefined && run.delayMs === undefined && run.ttlMs === undefined
}

function attributesOf(run: Run): NonNullable<Extract<Fact, { kind: 'enqueued' }>['runs']>[number] {
  return {
    count: run.count,
    ...(run.priority === 0 ? {} : { priority: run.priority }),
    ...(run.group === undefined ? {} : { group: run.group }),
    ...(run.dueAt === 0 ? {} : { dueAt: run.dueAt }),
    ...(run.expiresAt === Number.POSITIVE_INFINITY ? {} : { expiresAt: run.expiresAt }),
  }
}
