import type { Batch } from './batch.ts'
import type { Seen } from './dedupe.ts'
import { timeAfter } from './durations.ts'
import { WORK_MAX } from './endings.ts'
import type { BatchNumber, EnqueuedRun, Sequence, Timestamp, TurnNumber } from './facts.ts'
import { PlannedBarriers } from './placing.ts'
import type { Incoming, IncomingRun, Publish, PublishAnswer } from './publishing.ts'
import type { Queue } from './queue.ts'
import { type Refusal, refuse } from './refusals.ts'
import type { Run } from './run.ts'
import type { Turn } from './turn.ts'

type IncomingMessages = Extract<Incoming, { kind: 'messages' }>

/** What became of one stretch. */
interface Taken {
  readonly sequence: Sequence
  readonly batch: BatchNumber
  readonly duplicate: boolean
  readonly isEarly?: boolean
}

/** How messages come into a queue, and barriers with them. */
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
    // Else ids whose window is over would fill the memory until the clock is looked at.
    this.#queue.dedupe.forget(turn, publish.now, this.#queue.options, WORK_MAX)
    const reason = publish.isAtomic === true ? this.refusalIn(publish.incoming, publish.now) : undefined
    return publish.incoming.map((incoming): PublishAnswer => {
      const { index, count } = incoming
      if (reason !== undefined) return { index, count, refusal: reason }
      const taken = this.#take(turn, publish, incoming, batch)
      return 'code' in taken ? { index, count, refusal: taken } : { index, count, ...taken }
    })
  }

  /** Why these cannot all come in: the first reason. */
  refusalIn(incoming: readonly Incoming[], now: Timestamp): Refusal | undefined {
    const { barriers, dedupe, options, placing } = this.#queue
    const planned = new PlannedBarriers(barriers)
    const ids = new Set<string>()
    // Before a publish they are forgotten; this only asks, and changes nothing.
    const remembered = dedupe.sizeAt(now, options)
    for (const piece of incoming) {
      if (piece.kind === 'refused') return piece.refusal
      if (piece.id !== undefined) {
        // Without a window an id is only a property.
        if (options.dedupeWindowMs > 0 && (ids.has(piece.id) || this.#seen(piece.id, now) !== undefined)) continue
        ids.add(piece.id)
        if (remembered + ids.size > options.dedupeMax) return this.#memoryFull()
      }
      if (piece.kind === 'messages') continue
      const refusal = placing.refusalOf(piece.barrier, piece.bytes.length, planned)
      if (refusal === 'duplicate') continue
      if (refusal !== undefined) return refusal
      planned.add(piece.barrier, piece.bytes.length)
    }
    return undefined
  }

  #take(turn: Turn, publish: Publish, incoming: Incoming, batch: Batch | undefined): Taken | Refusal {
    if (incoming.kind === 'refused') return incoming.refusal
    const come = () =>
      incoming.kind === 'barrier'
        ? this.#queue.placing.publish(turn, publish.now, incoming.bytes, incoming.barrier)
        : this.#enqueue(turn, publish, incoming, batch ?? this.#queue.open)
    const { dedupe, options } = this.#queue
    const { id } = incoming
    if (id === undefined) return come()
    const seen = this.#seen(id, publish.now)
    if (seen !== undefined) return { sequence: seen.sequence, batch: seen.batch, duplicate: true }
    if (dedupe.size >= options.dedupeMax) return this.#memoryFull()
    const taken = come()
    // What is refused leaves no id behind.
    if (!('code' in taken)) dedupe.remember(turn, id, { sequence: taken.sequence, batch: taken.batch, at: publish.now })
    return taken
  }

  /** What this id was given, if its window is not over. */
  #seen(id: string, now: Timestamp): Seen | undefined {
    const seen = this.#queue.dedupe.find(id)
    return seen !== undefined && seen.at + this.#queue.options.dedupeWindowMs > now ? seen : undefined
  }

  #memoryFull(): Refusal {
    const { dedupeMax } = this.#queue.options
    return refuse('server-busy', `${dedupeMax} message ids are remembered, as many as dedupe_max allows`, {
      limit: 'dedupe_max',
      dedupe_max: dedupeMax,
    })
  }

  #enqueue(turn: Turn, publish: Publish, incoming: IncomingMessages, batch: Batch): Taken {
    const queue = this.#queue
    const first = queue.nextSequence
    queue.nextSequence += incoming.count
    queue.publishedTotal += incoming.count
    batch.countPublished(publish.now, incoming.count)
    const isEarly =
      publish.isAccepted === true && queue.reservation.covers(queue.nextSequence, turn.number, queue.committed)
    const rests = isEarly ? 0 : turn.number
    let at = first
    const runs = incoming.runs.map(arrived => {
      const run = this.#runOf(arrived, at, batch, publish.now, rests)
      at += arrived.count
      return run
    })
    const isPlain = runs.length === 1 && isPlainRun(runs[0] as Run)
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
    for (const run of runs) queue.arrive(turn, run, publish.now)
    return { sequence: first, batch: batch.number, duplicate: false, ...(isEarly ? { isEarly } : {}) }
  }

  #runOf(arrived: IncomingRun, first: Sequence, batch: Batch, now: Timestamp, rests: TurnNumber): Run {
    const { expirationMs = Number.POSITIVE_INFINITY } = this.#queue.options
    const ttl = Math.min(arrived.ttlMs ?? Number.POSITIVE_INFINITY, expirationMs)
    const delay = Math.min(arrived.delayMs ?? 0, ttl)
    return {
      ...newRun(first, arrived.count, batch, rests),
      bytes: arrived.bodyBytes,
      priority: arrived.priority ?? 0,
      group: arrived.group,
      expiresAt: ttl === Number.POSITIVE_INFINITY ? ttl : timeAfter(now, ttl),
      dueAt: delay > 0 ? timeAfter(now, delay) : 0,
    }
  }

  // ── dead letters ───────────────────────────────────────────────────────────────────────────────────────────────

  /** A dead letter of another queue comes in, or one of ours comes back; it is never refused (A7). */
  takeMoved(
    turn: Turn,
    now: Timestamp,
    moved: { bytes: number; run: Omit<EnqueuedRun, 'count'>; batch?: Batch },
  ): { sequence: Sequence; batch: BatchNumber } {
    const queue = this.#queue
    const batch = moved.batch ?? queue.open
    const sequence = queue.nextSequence
    queue.nextSequence += 1
    queue.publishedTotal += 1
    if (moved.batch === undefined) batch.countPublished(now, 1)
    const { priority = 0, group, origin } = moved.run
    queue.arrive(turn, { ...newRun(sequence, 1, batch, turn.number), bytes: moved.bytes, priority, group, origin }, now)
    return { sequence, batch: batch.number }
  }
}

/** A plain run: never delivered, neither delayed nor expiring. */
export function newRun(first: Sequence, count: number, batch: Batch, turn: number): Run {
  return {
    first,
    count,
    bytes: 0,
    batch,
    priority: 0,
    group: undefined,
    born: batch.number,
    isHead: false,
    origin: undefined,
    expiresAt: Number.POSITIVE_INFINITY,
    dueAt: 0,
    attempts: 0,
    delivered: false,
    turn,
  }
}

function isPlainRun(run: Run): boolean {
  return run.priority === 0 && run.group === undefined && run.dueAt === 0 && run.expiresAt === Number.POSITIVE_INFINITY
}

function attributesOf(run: Run): EnqueuedRun {
  return {
    count: run.count,
    ...(run.priority === 0 ? {} : { priority: run.priority }),
    ...(run.group === undefined ? {} : { group: run.group }),
    ...(run.dueAt === 0 ? {} : { dueAt: run.dueAt }),
    ...(run.expiresAt === Number.POSITIVE_INFINITY ? {} : { expiresAt: run.expiresAt }),
  }
}
