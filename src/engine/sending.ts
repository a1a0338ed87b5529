import type { QueueId } from '../core/facts.ts'
import type { Subscription } from '../core/subscription.ts'
import type { Effect } from '../core/turn.ts'
import type { Bodies } from './bodies.ts'
import type { Delivery, Outbox } from './peer.ts'
import type { Rests } from './rests.ts'

type Deliver = Extract<Effect, { readonly kind: 'deliver' }>

/**
 * Bytes of records that are written in one go, or one message that is larger. Large enough that a frame's head costs
 * nothing, small beside the mark at which an outbox is full.
 */
const PIECE_BYTES: number = 256 * 1024
/**
 * Bytes of records that one party is sent in a turn of the loop: a socket may take tens of megabytes at once, and all
 * others would wait for that (R9).
 */
const STRETCH_BYTES: number = 256 * 1024
/**
 * At most once: bytes of bodies that one subscription may have been given and that are not written yet. As much again as
 * the mark at which an outbox is full, so that a commit's time is bridged.
 */
export const UNSENT_BYTES_MAX: number = 1024 * 1024

/** A delivery of which something waits to be written. Nothing is kept of it but this, unless it was at most once. */
interface Unsent {
  readonly effect: Deliver
  readonly queue: string
  /** Number of the first delivery that is not written. */
  next: number
  /** Of an at-most-once delivery its records: they are nowhere else any more. */
  readonly bytes: Uint8Array[] | undefined
}

/** What waits for one subscription, in order: deliveries, and what must not overtake them. */
interface Lane {
  readonly items: (Unsent | (() => void))[]
  /** Index of the first that waits. */
  at: number
}

/**
 * What a party is sent goes out in pieces, and only while its outbox takes it, with a rest after each stretch: what is left
 * waits as numbers, and its bytes are looked up when their turn comes (D11). Within a subscription nothing overtakes (B7).
 */
export class Sending {
  readonly #outbox: Outbox
  readonly #bodies: Bodies
  readonly #stall: (isStalled: boolean) => void
  readonly #hasRoom: (subscription: Subscription) => void
  readonly #written: (queue: QueueId, delivery: Delivery) => void
  readonly #rests: Pick<Rests, 'turn' | 'rest'>
  readonly #lanes = new Map<Subscription, Lane>()
  #isFull = false
  /** Bytes written in this turn of the loop, and which that is. */
  #stretchBytes = 0
  #stretchTurn = 0
  #isResting = false

  /**
   * @param terms.stall told when the outbox is full, so that the core gives out nothing more, and when it takes more again
   * @param terms.hasRoom told when a subscription may be given more that is sent at most once
   * @param terms.written told of each piece
   * @param terms.rests `rest` calls back when others had their turn; not at all once the party is gone
   */
  constructor(terms: {
    outbox: Outbox
    bodies: Bodies
    stall: (isStalled: boolean) => void
    hasRoom: (subscription: Subscription) => void
    written: (queue: QueueId, delivery: Delivery) => void
    rests: Pick<Rests, 'turn' | 'rest'>
  }) {
    this.#outbox = terms.outbox
    this.#bodies = terms.bodies
    this.#stall = terms.stall
    this.#hasRoom = terms.hasRoom
    this.#written = terms.written
    this.#rests = terms.rests
  }

  /** @param spent the records, if it is at most once */
  deliver(effect: Deliver, queue: string, spent: Uint8Array[] | undefined): void {
    const unsent: Unsent = { effect, queue, next: effect.delivery, bytes: spent }
    const { subscription } = effect
    if (!this.#isFull && !this.#isResting && !this.#lanes.has(subscription)) {
      for (let isDone = false; !isDone; ) {
        isDone = this.#write(unsent)
        if (this.#mayGoOn()) continue
        if (!isDone) this.#wait(subscription, unsent)
        if (this.#isFull) this.#stall(true)
        return
      }
      return
    }
    // A row of 16 MiB must not stay in memory for the few messages of it that wait.
    this.#wait(subscription, spent === undefined ? unsent : { ...unsent, bytes: spent.map(piece => piece.slice()) })
  }

  /** Tells a subscription something, behind all that waits for it. */
  tell(subscription: Subscription, tell: () => void): void {
    if (this.#lanes.has(subscription)) this.#wait(subscription, tell)
    else tell()
  }

  /** A subscription has ended: what waits for it is sent to nobody. */
  drop(subscription: Subscription): void {
    this.#lanes.delete(subscription)
  }

  /** The outbox may have room: each subscription gets a piece in turn. */
  goOn(): void {
    if (this.#isResting) return
    this.#isFull = this.#outbox.isFull()
    let mayGoOn = !this.#isFull
    for (let lane = this.#firstLane(); lane !== undefined && mayGoOn; lane = this.#firstLane()) {
      this.#step(...lane)
      mayGoOn = this.#mayGoOn()
    }
    if (this.#isFull) this.#stall(true)
    else if (this.#lanes.size === 0) this.#stall(false)
  }

  /** After something was written: whether the outbox takes more, and it is not the others' turn. */
  #mayGoOn(): boolean {
    this.#isFull = this.#outbox.isFull()
    if (this.#stretchBytes >= STRETCH_BYTES) {
      this.#stretchBytes = 0
      if (!this.#isFull) {
        this.#isResting = true
        this.#rests.rest(() => {
          this.#isResting = false
          this.goOn()
        })
      }
    }
    return !this.#isFull && !this.#isResting
  }

  #firstLane(): [Subscription, Lane] | undefined {
    for (const entry of this.#lanes) return entry
    return undefined
  }

  /** Writes the next piece for a subscription, which then waits behind the others. */
  #step(subscription: Subscription, lane: Lane): void {
    this.#lanes.delete(subscription)
    if (subscription.isClosed) return
    for (let isWritten = false; !isWritten && lane.at < lane.items.length; ) {
      const item = lane.items[lane.at] as Unsent | (() => void)
      if (typeof item === 'function') item()
      else isWritten = true
      if (typeof item === 'function' || this.#write(item)) lane.at += 1
    }
    subscription.unsentFrom = nextOf(lane)
    if (lane.at < lane.items.length) this.#lanes.set(subscription, lane)
  }

  #wait(subscription: Subscription, item: Unsent | (() => void)): void {
    const lane = this.#lanes.get(subscription)
    if (lane === undefined) this.#lanes.set(subscription, { items: [item], at: 0 })
    else lane.items.push(item)
    if (typeof item !== 'function') subscription.unsentFrom = Math.min(subscription.unsentFrom, item.next)
  }

  /** Writes a piece of a delivery. @returns whether that was the last */
  #write(unsent: Unsent): boolean {
    const { effect } = unsent
    const { subscription } = effect
    if (effect.isSpent) {
      this.#send(unsent, effect.delivery, effect.count, unsent.bytes ?? [])
      if (subscription.sent(effect.bodyBytes)) this.#hasRoom(subscription)
      return true
    }
    const end = effect.delivery + effect.count
    // What it lost while it waited, somebody else may have by now, or have settled.
    const held = subscription.stretchHeld(unsent.next, end)
    if (held === undefined) return true
    const sequence = effect.first + held.first - effect.delivery
    const { pieces, found } = this.#bodies.portion(effect.queue, sequence, held.count, PIECE_BYTES)
    if (found === 0) return true
    this.#send(unsent, held.first, found, pieces)
    unsent.next = held.first + found
    return unsent.next >= end
  }

  #send({ effect, queue }: Unsent, first: number, count: number, bytes: readonly Uint8Array[]): void {
    const { batch, attempt, redelivered, origin } = effect
    const delivery: Delivery = {
      subscription: effect.subscription.tag,
      delivery: first,
      queue,
      sequence: effect.first + first - effect.delivery,
      count,
      batch,
      attempt,
      redelivered,
      bytes,
      ...(origin === undefined ? {} : { origin }),
    }
    const { turn } = this.#rests
    if (turn !== this.#stretchTurn) this.#stretchBytes = 0
    this.#stretchTurn = turn
    for (const piece of bytes) this.#stretchBytes += piece.length
    this.#outbox.deliver(delivery)
    this.#written(effect.queue, delivery)
  }
}

/** Number of the first delivery that waits. */
function nextOf({ items, at }: Lane): number {
  for (let index = at; index < items.length; index += 1) {
    const item = items[index] as Unsent | (() => void)
    if (typeof item !== 'function') return item.next
  }
  return Number.POSITIVE_INFINITY
}
