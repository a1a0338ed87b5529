import type { Line } from './consumers.ts'
import type { BarrierRecord, Sequence, Timestamp, TurnNumber } from './facts.ts'
import { Ordered } from './ordered.ts'
import { cutBack, type Run } from './run.ts'

/** A filter as the core knows it: a predicate. Its language and the bodies are the engine's. */
export interface Predicate {
  /** Same text, same line: such subscriptions share what they have looked at. */
  readonly text: string
  matches(sequence: Sequence): boolean
  /** How many ordinary looks the last one was worth, from 1; absent: one. */
  readonly lastCost?: number
  matchesBarrier(record: BarrierRecord): boolean
}

/** Deliveries next to one another that a subscription has and has not settled. */
export interface Held {
  /** Delivery number of the first. */
  delivery: number
  readonly run: Run
  readonly subscription: Subscription
  /** When its lease runs out; `Infinity` when only the end of the connection ends it. */
  deadline: Timestamp
  readonly deliveredAt: Timestamp
  /** What the delivery rests on: not sent before that is on disk. */
  readonly rests: TurnNumber
  /** At most once: it is settled already, and only its credit is out. */
  readonly isSpent: boolean
}

export function compareDeadlines(a: Held, b: Held): number {
  return a.deadline - b.deadline || a.subscription.id - b.subscription.id || a.delivery - b.delivery
}

interface Lost {
  readonly first: number
  readonly count: number
  readonly sequence: Sequence
}

/** Lost deliveries that are remembered as such; an older one is answered as settled. */
const LOST_RANGES_MAX = 1_000

export interface SubscriptionTerms {
  readonly id: number
  readonly peer: number
  /** What the engine calls it; the core hands it back. */
  readonly tag: number
  readonly prefetch: number
  readonly concurrency: number
  readonly leaseMs: number | undefined
  readonly predicate: Predicate | undefined
  /** A pull takes its messages once; settling them gives no credit back. */
  readonly isPull: boolean
  /**
   * At most once: most bytes of bodies that may be given out and not be written yet. They are settled when they are given
   * out, so what waits for the socket is in memory alone (D11). Absent: as many as there is credit for.
   */
  readonly unsentMax?: number
}

/** A consumer's standing wish for messages of one queue, and what it holds of them. */
export class Subscription {
  readonly id: number
  readonly peer: number
  readonly tag: number
  readonly concurrency: number
  readonly leaseMs: number | undefined
  readonly isPull: boolean
  predicate: Predicate | undefined
  prefetch: number
  /** Deliveries it has not settled; of a pull all it ever got. */
  used = 0
  /** Of the bodies it has, and the most they may be. */
  bytes = 0
  bytesMax: number = Number.POSITIVE_INFINITY
  /** The next message does not fit: nothing more until something was settled, or another one comes next. */
  isHeavy = false
  /** Of the bodies that it got at most once, those not written to its socket yet, in bytes. */
  unsent = 0
  readonly unsentMax: number
  /** From this delivery on nothing has been written to its socket: if it comes back nobody has had it. */
  unsentFrom: number = Number.POSITIVE_INFINITY
  /** Delivery number of the next. */
  next = 1
  /** The socket is full: nothing goes out until it has drained (D11). */
  isStalled = false
  /** Takes no more; what it holds stays with it. */
  isClosed = false
  /** Nothing may overtake an earlier delivery of the same subscription: "up to" must never name what was not sent. */
  lastRests: TurnNumber = 0
  /** When it was last served, as a count. */
  served = 0
  line: Line | undefined
  heapAt = -1
  readonly held: Ordered<Held> = new Ordered((a, b) => a.delivery - b.delivery)
  readonly #lost: Lost[] = []

  constructor(terms: SubscriptionTerms) {
    this.id = terms.id
    this.peer = terms.peer
    this.tag = terms.tag
    this.prefetch = terms.prefetch
    this.concurrency = terms.concurrency
    this.leaseMs = terms.leaseMs
    this.predicate = terms.predicate
    this.isPull = terms.isPull
    this.unsentMax = terms.unsentMax ?? Number.POSITIVE_INFINITY
  }

  get room(): number {
    if (this.isStalled || this.isClosed || this.isHeavy) return 0
    return Math.max(0, this.prefetch - this.used)
  }

  /** How many messages of a run fit into the bytes it may have; one always does when it has nothing. */
  fitting(run: Run): number {
    return Math.min(fitting(run, this.bytes, this.bytesMax), fitting(run, this.unsent, this.unsentMax))
  }

  /**
   * Bytes that it got at most once have been written to its socket.
   *
   * @returns true when it waited for that
   */
  sent(bytes: number): boolean {
    this.unsent -= bytes
    const waited = this.isHeavy
    this.isHeavy = false
    return waited
  }

  /** The first of the deliveries from `first` to before `end` that it still holds, and those next to it. */
  stretchHeld(first: number, end: number): { readonly first: number; readonly count: number } | undefined {
    const before = this.held.before({ delivery: first + 1 } as Held)
    const isWithin = before !== undefined && before.delivery + before.run.count > first
    const held = isWithin ? before : this.held.ceiling({ delivery: first } as Held)
    if (held === undefined || held.delivery >= end) return undefined
    const from = Math.max(first, held.delivery)
    return { first: from, count: Math.min(end, held.delivery + held.run.count) - from }
  }

  /** Share of its credit that is used, 0 … 1. */
  get share(): number {
    return this.used / this.prefetch
  }

  /**
   * What is held of the deliveries `first` … `first + count - 1`, cut to them; it stays in `held`.
   *
   * @param cut called with each new piece, so that other lists of pieces follow.
   */
  pieces(first: number, count: number, cut: (back: Held) => void): Held[] {
    const end = first + count
    const probe = { delivery: first } as Held
    const found: Held[] = []
    this.cutAt(first, cut)
    for (
      let held = this.held.ceiling(probe);
      held !== undefined && held.delivery < end;
      held = this.held.ceiling({ delivery: held.delivery + 1 } as Held)
    ) {
      if (held.delivery + held.run.count > end) this.#cut(held, end, cut)
      found.push(held)
    }
    return found
  }

  /** If this delivery is held, a piece begins with it then. */
  cutAt(delivery: number, cut: (back: Held) => void): void {
    const before = this.held.before({ delivery } as Held)
    if (before !== undefined && before.delivery + before.run.count > delivery) this.#cut(before, delivery, cut)
  }

  /** Splits so that a piece begins at this delivery. */
  #cut(held: Held, at: number, cut: (back: Held) => void): void {
    const back: Held = { ...held, delivery: at, run: cutBack(held.run, at - held.delivery) }
    this.held.add(back)
    cut(back)
  }

  rememberLost(first: number, count: number, sequence: Sequence): void {
    this.#lost.push({ first, count, sequence })
    if (this.#lost.length > LOST_RANGES_MAX) this.#lost.shift()
  }

  /** The message of a delivery whose lease was lost. */
  lostSequence(delivery: number): Sequence | undefined {
    const lost = this.#lost.find(({ first, count }) => delivery >= first && delivery < first + count)
    return lost === undefined ? undefined : lost.sequence + (delivery - lost.first)
  }

  /** What became of deliveries of which none is held any more. */
  fates(first: number, count: number): Fate[] {
    const end = first + count
    const fates: Fate[] = []
    const add = (from: number, upTo: number, result: Fate['result']) => {
      if (upTo > from) fates.push({ first: from, count: upTo - from, result })
    }
    let at = Math.max(first, Math.min(1, end))
    add(first, at, 'unknown')
    const known = Math.max(at, Math.min(end, this.next))
    const lost = this.#lost
      .filter(range => range.first < known && range.first + range.count > at)
      .sort((a, b) => a.first - b.first)
    for (const range of lost) {
      add(at, range.first, 'already-settled')
      const upTo = Math.min(known, range.first + range.count)
      add(Math.max(at, range.first), upTo, 'lease-lost')
      at = Math.max(at, upTo)
    }
    add(at, known, 'already-settled')
    add(known, end, 'unknown')
    return fates
  }
}

/** How many messages of a run fit beside what is there; one always does where there is nothing. */
function fitting(run: Run, bytes: number, bytesMax: number): number {
  if (bytes + run.bytes <= bytesMax) return run.count
  const count = Math.max(0, Math.floor(((bytesMax - bytes) * run.count) / run.bytes))
  return count === 0 && bytes <= 0 ? 1 : count
}

/** Answer to a settle, for deliveries next to one another. */
export interface Fate {
  readonly first: number
  readonly count: number
  readonly result: 'unknown' | 'lease-lost' | 'already-settled'
}
