import type { Arrival, Barriers, Gathering, WaitingBarrier } from './barriers.ts'
import { timeAfter } from './durations.ts'
import type { BarrierRecord, BarrierTerms, BatchNumber, Sequence, Timestamp } from './facts.ts'
import type { IncomingBarrier } from './publishing.ts'
import type { Queue } from './queue.ts'
import { type Refusal, refuse } from './refusals.ts'
import type { Turn } from './turn.ts'

/** Bodies of all parties of a barrier together, in bytes. */
const PARTIES_BYTES_MAX: number = 1024 * 1024

/** What became of a barrier, or of one party of it. */
interface Placed {
  readonly sequence: Sequence
  readonly batch: BatchNumber
  readonly duplicate: boolean
}

/** What a barrier on its way says, as it comes in. */
export interface BarrierArrival {
  readonly name: string | undefined
  readonly bytes: Uint8Array
  readonly terms: BarrierTerms
  readonly party?: { readonly name: string; readonly count: number }
}

/** The barriers that another one has to go with: those of the queue, or these and what would be added to them. */
export interface KnownBarriers {
  readonly waitingCount: number
  /** Those that have come of a barrier whose parties gather, and the bytes of their bodies. */
  gathered(name: string): Gathered | undefined
  /** One that waits or is on record. */
  used(name: string): UsedName | undefined
}

interface Gathered {
  readonly count: number
  readonly arrived: ReadonlySet<string>
  readonly bytes: number
}

interface UsedName {
  readonly sequence?: Sequence
  readonly releasedAt?: Timestamp
  readonly parties?: { readonly count: number; readonly arrived: Iterable<string> }
}

/** How barriers come in and get their place: at once, or when their parties have come (B1, B14). */
export class Placing {
  readonly #queue: Queue

  constructor(queue: Queue) {
    this.#queue = queue
  }

  /** Why this barrier cannot be published now; `duplicate` of a party that has come already. */
  refusalOf(
    barrier: IncomingBarrier,
    bytes: number,
    known: KnownBarriers = knownOf(this.#queue.barriers),
  ): Refusal | 'duplicate' | undefined {
    const { name, party, parties } = barrier
    if (name?.startsWith('@') === true) {
      return refuse('invalid-message', `a barrier is not named "${name}": with "@" begin the sequence numbers`)
    }
    if (party !== undefined && (name === undefined || parties === undefined)) {
      return refuse('invalid-message', 'a party is of a barrier with a name, and says of how many')
    }
    if (parties !== undefined && party === undefined && barrier.forward === undefined) {
      return refuse('invalid-message', 'a barrier of several parties needs the name of this party')
    }
    const gathered = name === undefined ? undefined : known.gathered(name)
    if (gathered !== undefined) return mayJoin(gathered, barrier, bytes)
    const used = name === undefined ? undefined : known.used(name)
    if (used !== undefined) return nameIsUsed(used, barrier)
    const { barriersMax } = this.#queue.options
    if (known.waitingCount < barriersMax) return undefined
    return refuse('too-many-barriers', `${barriersMax} barriers wait already`, {
      limit: 'barriers_max',
      barriers_max: barriersMax,
    })
  }

  publish(turn: Turn, now: Timestamp, bytes: Uint8Array, barrier: IncomingBarrier): Placed | Refusal {
    const refusal = this.refusalOf(barrier, bytes.length)
    if (refusal === 'duplicate') return this.#repeated(barrier)
    if (refusal !== undefined) return refusal
    const { name, party, parties, deadlineMs, rest, forward } = barrier
    const terms: BarrierTerms = {
      ...(deadlineMs === undefined ? {} : { deadlineAt: timeAfter(now, deadlineMs) }),
      ...(rest === undefined ? {} : { rest }),
      ...(forward === undefined ? {} : { forward }),
      ...(forward !== undefined && party === undefined && parties !== undefined ? { forwardParties: parties } : {}),
    }
    const isParty = party !== undefined && parties !== undefined
    return this.arrive(turn, now, {
      name,
      bytes,
      terms,
      ...(isParty ? { party: { name: party, count: parties } } : {}),
    })
  }

  /** A party that comes again gets the number that it got, whatever has become of the barrier. */
  #repeated({ name = '', party = '' }: IncomingBarrier): Placed {
    const { barriers, open } = this.#queue
    const arrival = barriers.gatheringOf(name)?.arrivals.find(known => known.party === party)
    if (arrival !== undefined) return { sequence: arrival.sequence, batch: open.number, duplicate: true }
    const placed = barriers.find(name) as WaitingBarrier | BarrierRecord
    const parties = partiesOf(placed)
    const sequence = parties?.sequences?.[parties.arrived.indexOf(party)] ?? placed.sequence
    return { sequence, batch: placed.batch, duplicate: true }
  }

  /** A barrier, or one party of it, comes in; that it may has been decided. */
  arrive(turn: Turn, now: Timestamp, arrival: BarrierArrival): Placed {
    const queue = this.#queue
    const { name, bytes, terms, party } = arrival
    const sequence = queue.nextSequence
    queue.nextSequence += 1
    if (party === undefined || name === undefined) return this.#place(turn, now, { sequence, name, bytes, terms })
    if (party.count === 1) {
      const placed = { ...terms, parties: { count: 1, arrived: [party.name], bytes } }
      return this.#place(turn, now, { sequence, name, bytes, terms: placed })
    }
    queue.open.isDirty = true
    const of = { name, count: party.count, startedAt: now }
    const gathering = queue.barriers.gather(of, { sequence, party: party.name, terms, bytes })
    this.#keepParty(turn, now, gathering, gathering.arrivals.length - 1)
    if (gathering.arrivals.length < gathering.count) return { sequence, batch: queue.open.number, duplicate: false }
    return { sequence, batch: this.placeGathered(turn, now, gathering).batch, duplicate: false }
  }

  #keepParty(turn: Turn, at: Timestamp, { name, count, arrivals }: Gathering, index: number): void {
    const { sequence, party, terms, bytes } = arrivals[index] as Arrival
    turn.keep({ kind: 'partyArrived', queue: this.#queue.id, sequence, name, count, party, at, terms, bytes })
  }

  /** Another deadline for a barrier whose parties are still coming. */
  setDeadline(turn: Turn, now: Timestamp, gathering: Gathering, deadlineAt: Timestamp): void {
    const at = this.#queue.barriers.extend(gathering, deadlineAt)
    this.#keepParty(turn, at === 0 ? gathering.startedAt : now, gathering, at)
  }

  /**
   * Gives a barrier of several parties its place: behind everything that has come. That is the place of its last party
   * when all are there, and a number of its own when somebody is missing.
   */
  placeGathered(turn: Turn, now: Timestamp, gathering: Gathering): WaitingBarrier {
    const queue = this.#queue
    const { arrivals, name, count, deadlineAt } = gathering
    const last = arrivals[arrivals.length - 1] as Arrival
    const isComplete = arrivals.length === count
    const sequence = isComplete ? last.sequence : queue.nextSequence
    if (!isComplete) queue.nextSequence += 1
    const sequences = arrivals.map(arrival => arrival.sequence)
    queue.barriers.gathered(gathering)
    turn.keep({ kind: 'partiesPlaced', queue: queue.id, sequences })
    const terms: BarrierTerms = {
      ...termsOf(gathering),
      ...(deadlineAt === Number.POSITIVE_INFINITY ? {} : { deadlineAt }),
      parties: {
        count,
        arrived: arrivals.map(({ party }) => party),
        sequences,
        bytes: concatenated(arrivals.map(({ bytes }) => bytes)),
      },
    }
    this.#place(turn, now, { sequence, name, bytes: last.bytes, terms })
    return queue.barriers.find(name) as WaitingBarrier
  }

  #place(turn: Turn, now: Timestamp, barrier: Pick<WaitingBarrier, 'sequence' | 'name' | 'bytes' | 'terms'>): Placed {
    const queue = this.#queue
    const batch = queue.open
    batch.isDirty = true
    const next = queue.newBatch(batch.number + 1)
    next.isDirty = true
    queue.batches.push(next)
    queue.keepBarrier(turn, batch, { ...barrier, batch: batch.number, publishedAt: now, ended: undefined })
    return { sequence: barrier.sequence, batch: batch.number, duplicate: false }
  }
}

/**
 * The barriers of a queue, and those that a publish would add to them: what is taken whole or not at all is looked at
 * whole, before any of it is taken (P4, A4).
 */
export class PlannedBarriers implements KnownBarriers {
  readonly #known: KnownBarriers
  readonly #gathered = new Map<string, { count: number; arrived: Set<string>; bytes: number }>()
  readonly #used = new Map<string, UsedName>()
  waitingCount: number

  constructor(barriers: Barriers) {
    this.#known = knownOf(barriers)
    this.waitingCount = this.#known.waitingCount
  }

  gathered(name: string): Gathered | undefined {
    return this.#used.has(name) ? undefined : (this.#gathered.get(name) ?? this.#known.gathered(name))
  }

  used(name: string): UsedName | undefined {
    return this.#used.get(name) ?? this.#known.used(name)
  }

  /** One more, which nothing refuses. */
  add({ name, party, parties: count }: IncomingBarrier, bytes: number): void {
    const before = name === undefined ? undefined : this.gathered(name)
    if (before === undefined) this.waitingCount += 1
    if (name === undefined) return
    if (party === undefined || count === undefined) {
      this.#used.set(name, {})
      return
    }
    const gathered = this.#gathered.get(name) ?? { count, arrived: new Set(before?.arrived), bytes: before?.bytes ?? 0 }
    gathered.arrived.add(party)
    gathered.bytes += bytes
    this.#gathered.set(name, gathered)
    if (gathered.arrived.size === count) this.#used.set(name, { parties: gathered })
  }
}

function knownOf(barriers: Barriers): KnownBarriers {
  return {
    waitingCount: barriers.waitingCount,
    gathered: name => {
      const gathering = barriers.gatheringOf(name)
      if (gathering === undefined) return undefined
      const { count, arrivals } = gathering
      const bytes = arrivals.reduce((sum, arrival) => sum + arrival.bytes.length, 0)
      return { count, bytes, arrived: new Set(arrivals.map(({ party }) => party)) }
    },
    used: name => {
      const used = barriers.find(name)
      if (used === undefined) return undefined
      const parties = partiesOf(used)
      const { sequence } = used
      return {
        sequence,
        ...('releasedAt' in used ? { releasedAt: used.releasedAt } : {}),
        ...(parties === undefined ? {} : { parties }),
      }
    },
  }
}

function partiesOf(barrier: WaitingBarrier | BarrierRecord): BarrierTerms['parties'] {
  return 'releasedAt' in barrier ? barrier.parties : barrier.terms.parties
}

function mayJoin(
  { count, arrived, bytes }: Gathered,
  { name, party, parties }: IncomingBarrier,
  more: number,
): Refusal | 'duplicate' | undefined {
  if (parties !== count || party === undefined) return mismatch(name, count, parties)
  if (arrived.has(party)) return 'duplicate'
  if (bytes + more <= PARTIES_BYTES_MAX) return undefined
  return refuse('message-too-large', `the bodies of all parties of "${name}" are above ${PARTIES_BYTES_MAX} bytes`, {
    limit: 'parties_bytes',
    parties_bytes: PARTIES_BYTES_MAX,
  })
}

/** Used once as long as its record is kept; but a party of it that comes again is a duplicate. */
function nameIsUsed(
  { sequence, releasedAt, parties: known }: UsedName,
  { name, party, parties }: IncomingBarrier,
): Refusal | 'duplicate' {
  if (party !== undefined && known !== undefined) {
    if (parties !== known.count) return mismatch(name, known.count, parties)
    for (const arrived of known.arrived) if (arrived === party) return 'duplicate'
  }
  const when =
    sequence === undefined
      ? 'comes twice'
      : releasedAt === undefined
        ? 'is waiting'
        : `was released at ${new Date(releasedAt).toISOString()}`
  return refuse('barrier-exists', `barrier "${name}" ${when}`, {
    ...(sequence === undefined ? {} : { sequence }),
    ...(releasedAt === undefined ? {} : { released_at: releasedAt }),
  })
}

/** What all parties say together: the last word of each, and the batches that any of them has closed. */
export function termsOf({ arrivals }: Gathering): BarrierTerms {
  const batches = arrivals.flatMap(({ terms }) => terms.batches ?? [])
  return Object.assign({}, ...arrivals.map(({ terms }) => terms), batches.length === 0 ? {} : { batches })
}

function mismatch(name: string | undefined, count: number, parties: number | undefined): Refusal {
  const said = parties === undefined ? 'none' : `${parties}`
  return refuse('barrier-mismatch', `barrier "${name}" is of ${count} parties, and this one says ${said}`, {
    parties: count,
  })
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
