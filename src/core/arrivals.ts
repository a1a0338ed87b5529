import type { Gathering, WaitingBarrier } from './barriers.ts'
import type { Batch } from './batch.ts'
import type { Seen } from './dedupe.ts'
import { WORK_MAX } from './endings.ts'
import type { BarrierTerms, BatchNumber, EnqueuedRun, Sequence, Timestamp, TurnNumber } from './facts.ts'
import type { Incoming, IncomingBarrier, IncomingRun, Publish, PublishAnswer } from './publishing.ts'
import type { Queue } from './queue.ts'
import { type Refusal, refuse } from './refusals.ts'
import type { Run } from './run.ts'
import type { Turn } from './turn.ts'

/** Bodies of all parties of a barrier together, in bytes. */
const PARTIES_BYTES_MAX: number = 1024 * 1024

type IncomingMessages = Extract<Incoming, { kind: 'messages' }>

/** What became of one stretch. */
interface Taken {
  readonly sequence: Sequence
  readonly batch: BatchNumber
  readonly duplicate: boolean
  readonly isEarly?: boolean
}

/** What a barrier on its way says, as it comes in. */
export interface BarrierArrival {
  readonly name: string | undefined
  readonly bytes: Uint8Array
  readonly terms: BarrierTerms
  readonly party?: { readonly name: string; readonly count: number }
}

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
    const { barriers, dedupe, options } = this.#queue
    const names = new Set<string>()
    const ids = new Set<string>()
    let waiting = barriers.waitingCount
    for (const piece of incoming) {
      if (piece.kind === 'refused') return piece.refusal
      if (piece.id !== undefined) {
        if (ids.has(piece.id) || this.#seen(piece.id, now) !== undefined) continue
        ids.add(piece.id)
        if (dedupe.size + ids.size > options.dedupeMax) return this.#memoryFull()
      }
      if (piece.kind === 'messages') continue
      const { name } = piece.barrier
      const refusal = this.mayPublishBarrier(piece.barrier, piece.bytes.length)
      if (refusal === 'duplicate') continue
      if (refusal !== undefined) return refusal
      if (name !== undefined && names.has(name)) return refuse('barrier-exists', `barrier "${name}" comes twice`)
      if (name !== undefined) names.add(name)
      if (name !== undefined && barriers.gatheringOf(name) !== undefined) continue
      waiting += 1
      if (waiting > options.barriersMax) return this.#tooManyBarriers()
    }
    return undefined
  }

  #take(turn: Turn, publish: Publish, incoming: Incoming, batch: Batch | undefined): Taken | Refusal {
    if (incoming.kind === 'refused') return incoming.refusal
    const come = () =>
      incoming.kind === 'barrier'
        ? this.#publishBarrier(turn, publish.now, incoming.bytes, incoming.barrier)
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
      expiresAt: now + ttl,
      dueAt: delay > 0 ? now + delay : 0,
    }
  }

  // ── barriers ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** Why this barrier cannot be published now; `duplicate` of a party that has come already. */
  mayPublishBarrier(barrier: IncomingBarrier, bytes: number): Refusal | 'duplicate' | undefined {
    const { name, party, parties } = barrier
    const { barriers, options } = this.#queue
    if (name?.startsWith('@') === true) {
      return refuse('invalid-message', `a barrier is not named "${name}": with "@" begin the sequence numbers`)
    }
    if (party !== undefined && (name === undefined || parties === undefined)) {
      return refuse('invalid-message', 'a party is of a barrier with a name, and says of how many')
    }
    if (parties !== undefined && party === undefined && barrier.forward === undefined) {
      return refuse('invalid-message', 'a barrier of several parties needs the name of this party')
    }
    const gathering = name === undefined ? undefined : barriers.gatheringOf(name)
    if (gathering !== undefined) return mayJoin(gathering, barrier) ?? mayGrow(gathering, bytes)
    const used = name === undefined ? undefined : barriers.find(name)
    if (used !== undefined) {
      const known = 'releasedAt' in used ? used.parties : used.terms.parties
      if (party !== undefined && known !== undefined && parties !== known.count)
        return mismatch(name, known.count, parties)
      if (party !== undefined && known?.arrived.includes(party) === true) return 'duplicate'
      const isReleased = 'releasedAt' in used
      const when = isReleased ? `was released at ${new Date(used.releasedAt).toISOString()}` : 'is waiting'
      return refuse('barrier-exists', `barrier "${name}" ${when}`, {
        sequence: used.sequence,
        ...(isReleased ? { released_at: used.releasedAt } : {}),
      })
    }
    return barriers.waitingCount < options.barriersMax ? undefined : this.#tooManyBarriers()
  }

  #tooManyBarriers(): Refusal {
    const { barriersMax } = this.#queue.options
    return refuse('too-many-barriers', `${barriersMax} barriers wait already`, {
      limit: 'barriers_max',
      barriers_max: barriersMax,
    })
  }

  #publishBarrier(turn: Turn, now: Timestamp, bytes: Uint8Array, barrier: IncomingBarrier): Taken | Refusal {
    const refusal = this.mayPublishBarrier(barrier, bytes.length)
    if (refusal === 'duplicate') return this.#repeated(barrier)
    if (refusal !== undefined) return refusal
    const { name, party, parties, deadlineMs, rest, forward } = barrier
    const terms: BarrierTerms = {
      ...(deadlineMs === undefined ? {} : { deadlineAt: now + deadlineMs }),
      ...(rest === undefined ? {} : { rest }),
      ...(forward === undefined ? {} : { forward }),
      ...(forward !== undefined && party === undefined && parties !== undefined ? { forwardParties: parties } : {}),
    }
    const isParty = party !== undefined && parties !== undefined
    return this.barrierArrives(turn, now, {
      name,
      bytes,
      terms,
      ...(isParty ? { party: { name: party, count: parties } } : {}),
    })
  }

  #repeated({ name = '', party }: IncomingBarrier): Taken {
    const { barriers, open } = this.#queue
    const arrival = barriers.gatheringOf(name)?.arrivals.find(known => known.party === party)
    if (arrival !== undefined) return { sequence: arrival.sequence, batch: open.number, duplicate: true }
    const placed = barriers.find(name) as WaitingBarrier
    return { sequence: placed.sequence, batch: placed.batch, duplicate: true }
  }

  /** A barrier, or one party of it, comes in; that it may has been decided. */
  barrierArrives(turn: Turn, now: Timestamp, arrival: BarrierArrival): Taken {
    const queue = this.#queue
    const { name, bytes, terms, party } = arrival
    const sequence = queue.nextSequence
    if (party === undefined || name === undefined || party.count === 1) {
      queue.nextSequence += 1
      const placed =
        party === undefined || name === undefined
          ? terms
          : { ...terms, parties: { count: 1, arrived: [party.name], bytes } }
      return this.#place(turn, now, { sequence, name, bytes, terms: placed })
    }
    const gathering: Gathering = queue.barriers.gatheringOf(name) ?? {
      name,
      count: party.count,
      startedAt: now,
      arrivals: [],
      deadlineAt: Number.POSITIVE_INFINITY,
    }
    queue.nextSequence += 1
    queue.open.isDirty = true
    gathering.arrivals.push({ sequence, party: party.name, terms, bytes })
    gathering.deadlineAt = Math.min(gathering.deadlineAt, terms.deadlineAt ?? Number.POSITIVE_INFINITY)
    queue.barriers.gather(gathering)
    this.#keepParty(turn, now, gathering, gathering.arrivals.length - 1)
    if (gathering.arrivals.length < gathering.count) return { sequence, batch: queue.open.number, duplicate: false }
    const barrier = this.placeGathered(turn, now, gathering)
    return { sequence: barrier.sequence, batch: barrier.batch, duplicate: false }
  }

  #keepParty(turn: Turn, at: Timestamp, { name, count, arrivals }: Gathering, index: number): void {
    const { sequence, party, terms, bytes } = arrivals[index] as Gathering['arrivals'][number]
    turn.keep({ kind: 'partyArrived', queue: this.#queue.id, sequence, name, count, party, at, terms, bytes })
  }

  /** Another deadline for a barrier whose parties are still coming: kept with those that named one, or with the first. */
  setDeadline(turn: Turn, now: Timestamp, gathering: Gathering, deadlineAt: Timestamp): void {
    const { arrivals } = gathering
    const isNamed = arrivals.some(({ terms }) => terms.deadlineAt !== undefined)
    arrivals.forEach((arrival, k) => {
      if (isNamed ? arrival.terms.deadlineAt === undefined : k > 0) return
      arrivals[k] = { ...arrival, terms: { ...arrival.terms, deadlineAt } }
      this.#keepParty(turn, k === 0 ? gathering.startedAt : now, gathering, k)
    })
    this.#queue.barriers.gather({ ...gathering, deadlineAt })
  }

  /** Gives a barrier of several parties its place: behind everything that has come. */
  placeGathered(turn: Turn, now: Timestamp, gathering: Gathering): WaitingBarrier {
    const queue = this.#queue
    const { arrivals, name, count } = gathering
    const last = arrivals[arrivals.length - 1] as Gathering['arrivals'][number]
    queue.barriers.gathered(gathering)
    turn.keep({ kind: 'partiesPlaced', queue: queue.id, sequences: arrivals.map(({ sequence }) => sequence) })
    const batches = arrivals.flatMap(({ terms }) => terms.batches ?? [])
    const terms: BarrierTerms = {
      ...Object.assign({}, ...arrivals.map(arrival => arrival.terms)),
      ...(gathering.deadlineAt === Number.POSITIVE_INFINITY ? {} : { deadlineAt: gathering.deadlineAt }),
      ...(batches.length === 0 ? {} : { batches }),
      parties: {
        count,
        arrived: arrivals.map(({ party }) => party),
        bytes: concatenated(arrivals.map(({ bytes }) => bytes)),
      },
    }
    const { sequence } = last
    this.#place(turn, now, { sequence, name, bytes: last.bytes, terms })
    return queue.barriers.find(name) as WaitingBarrier
  }

  #place(
    turn: Turn,
    now: Timestamp,
    {
      sequence,
      name,
      bytes,
      terms,
    }: { sequence: Sequence; name: string | undefined; bytes: Uint8Array; terms: BarrierTerms },
  ): Taken {
    const queue = this.#queue
    const batch = queue.open
    const barrier: WaitingBarrier = {
      sequence,
      batch: batch.number,
      name,
      publishedAt: now,
      bytes,
      terms,
      ended: undefined,
    }
    batch.isDirty = true
    const next = queue.newBatch(batch.number + 1)
    next.isDirty = true
    queue.batches.push(next)
    queue.keepBarrier(turn, batch, barrier)
    return { sequence, batch: batch.number, duplicate: false }
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

function mayJoin(gathering: Gathering, { name, party, parties }: IncomingBarrier): Refusal | 'duplicate' | undefined {
  if (parties !== gathering.count || party === undefined) return mismatch(name, gathering.count, parties)
  return gathering.arrivals.some(arrival => arrival.party === party) ? 'duplicate' : undefined
}

function mayGrow({ name, arrivals }: Gathering, more: number): Refusal | undefined {
  if (arrivals.reduce((sum, { bytes }) => sum + bytes.length, more) <= PARTIES_BYTES_MAX) return undefined
  return refuse('message-too-large', `the bodies of all parties of "${name}" are above ${PARTIES_BYTES_MAX} bytes`, {
    limit: 'parties_bytes',
    parties_bytes: PARTIES_BYTES_MAX,
  })
}

function mismatch(name: string | undefined, count: number, parties: number | undefined): Refusal {
  const said = parties === undefined ? 'none' : `${parties}`
  return refuse('barrier-mismatch', `barrier "${name}" is of ${count} parties, and this one says ${said}`, {
    parties: count,
  })
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

function concatenated(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const piece of pieces) {
    all.set(piece, at)
    at += piece.length
  }
  return all
}
