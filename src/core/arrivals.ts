import type { Batch } from './batch.ts'
import type { Seen } from './dedupe.ts'
import { timeAfter } from './durations.ts'
import { WORK_MAX } from './endings.ts'
import type { BatchNumber, EnqueuedRun, Sequence, Timestamp, TurnNumber } from './facts.ts'
import { PlannedBarriers } from './placing.ts'
import type { Incoming, IncomingMessages, IncomingRun, Publish, PublishAnswer } from './publishing.ts'
import type { Queue } from './queue.ts'
import { ownedBy, type Quota } from './quota.ts'
import { type Refusal, refuse } from './refusals.ts'
import type { Run } from './run.ts'
import type { Turn } from './turn.ts'

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
    const reason = publish.isAtomic === true ? this.#refusalOf(publish) : undefined
    if (reason !== undefined) return publish.incoming.map(({ index, count }) => ({ index, count, refusal: reason }))
    const answers: PublishAnswer[] = []
    for (const incoming of this.#judged(publish)) {
      const { index, count } = incoming
      const taken = this.#take(turn, publish, incoming, batch)
      answers.push('code' in taken ? { index, count, refusal: taken } : { index, count, ...taken })
    }
    return answers
  }

  #refusalOf({ incoming, now, owner }: Publish): Refusal | undefined {
    const quota = this.#queue.quotaOf(owner)
    return this.refusalIn(incoming, now, quota) ?? quota?.refusal
  }

  /** What is beyond the quota of its owner is refused; each stretch is judged when those before it have come in. */
  #judged(publish: Publish): Iterable<Incoming> {
    return publish.owner === undefined || publish.isJudged === true ? publish.incoming : this.#divided(publish)
  }

  *#divided({ incoming, now, owner }: Publish): Generator<Incoming, void, undefined> {
    for (const piece of incoming) {
      const quota = this.#queue.quotaOf(owner)
      const isNew = piece.kind === 'messages' && (piece.id === undefined || this.#seen(piece.id, now) === undefined)
      if (quota !== undefined && isNew) yield* quota.divided(piece)
      else yield piece
    }
  }

  /**
   * Why these cannot all come in: the first reason.
   *
   * @param quota is asked for room for what is new; what it says is known when all parts of a command were looked at
   */
  refusalIn(incoming: readonly Incoming[], now: Timestamp, quota?: Quota): Refusal | undefined {
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
      if (piece.kind === 'messages') {
        quota?.ask(piece.runs)
        continue
      }
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
      const run = this.#runOf(arrived, at, batch, publish, rests)
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

  #runOf(arrived: IncomingRun, first: Sequence, batch: Batch, { now, owner }: Publish, rests: TurnNumber): Run {
    const { expirationMs = Number.POSITIVE_INFINITY } = this.#queue.options
    const ttl = Math.min(arrived.ttlMs ?? Number.POSITIVE_INFINITY, expirationMs)
    const delay = Math.min(arrived.delayMs ?? 0, ttl)
    return {
      ...newRun(first, arrived.count, batch, rests),
      bytes: arrived.bodyBytes,
      priority: arrived.priority ?? 0,
      group: arrived.group,
      owned: owner && ownedBy(owner, arrived),
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
    const { priority = 0, group, origin, owned } = moved.run
    const plain = newRun(sequence, 1, batch, turn.number)
    queue.arrive(turn, { ...plain, bytes: moved.bytes, priority, group, origin, owned }, now)
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
    owned: undefined,
    expiresAt: Number.POSITIVE_INFINITY,
    dueAt: 0,
    attempts: 0,
    delivered: false,
    turn,
  }
}

function isPlainRun({ priority, group, dueAt, expiresAt, owned }: Run): boolean {
  const isTimeless = dueAt === 0 && expiresAt === Number.POSITIVE_INFINITY
  return isTimeless && priority === 0 && group === undefined && owned === undefined
}

function attributesOf(run: Run): EnqueuedRun {
  return {
    count: run.count,
    ...(run.priority === 0 ? {} : { priority: run.priority }),
    ...(run.group === undefined ? {} : { group: run.group }),
    ...(run.dueAt === 0 ? {} : { dueAt: run.dueAt }),
    ...(run.expiresAt === Number.POSITIVE_INFINITY ? {} : { expiresAt: run.expiresAt }),
    ...(run.owned === undefined ? {} : { owned: run.owned }),
  }
}
