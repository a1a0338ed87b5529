import type { QueueView } from '../../src/engine/peer.ts'
import type { HistoryEvent } from '../support/history/history.ts'
import { laneOf } from './lanes.ts'
import { isSteady, type Plan, WORK } from './plan.ts'
import type { Announcement } from './world.ts'

/** A message out in a group. */
interface Out {
  readonly id: string
  readonly subscriber: string
  readonly t: number
}

/** Outcomes of batches that did not wait for what was to come. */
const ENDED: ReadonlySet<string> = new Set(['expired', 'cancelled', 'failed'])

interface Announced {
  readonly messageId: string | undefined
  /** Its own, in the queue where it is announced. */
  readonly sequence: number
  readonly outcome: string
}

interface Since {
  readonly queue: string
  readonly t: number
  readonly lane: number | undefined
}

/** What must hold beside the history's own rules. */
export class Invariants {
  readonly wrong: string[] = []
  readonly #plan: Plan
  readonly #groups = new Map<string, Out>()
  readonly #groupOf = new Map<string, string>()
  /** Messages of groups that came as redelivered. */
  readonly #again = new Set<string>()
  /** Subscribers whose session has not ended. */
  readonly #there = new Set<string>()
  readonly #processOf = new Map<string, string>()
  /** Sequence numbers that each publisher was told, in the order of its publishes. */
  readonly #told = new Map<string, { readonly at: number; readonly seq: number }[]>()
  readonly #mustBeIn = new Map<string, number>()
  readonly #isIn = new Map<string, number>()
  readonly #since = new Map<string, Since>()
  readonly #left = new Set<string>()
  readonly #barriersOf = new Map<string, Set<string>>()
  readonly #parties = new Map<string, { readonly count: number; readonly begun: Set<number> }>()
  readonly #batchOf = new Map<string, number>()
  readonly #announced = new Map<string, Announced>()
  /** Outcomes of the barriers that are to be announced; known once all is drained. */
  readonly #released = new Map<string, string>()

  constructor(plan: Plan) {
    this.#plan = plan
  }

  say(text: string): void {
    if (this.wrong.length < 20) this.wrong.push(text)
  }

  // ── groups: one out at a time (D15) ────────────────────────────────────────────────────────────────────────────

  grouped(id: string, group: string): void {
    this.#groupOf.set(id, group)
  }

  take(event: HistoryEvent): void {
    const { type, queue, process = '' } = event
    if (type === 'deliver' && queue === WORK && event.batch_number !== undefined) {
      this.#isIn.set(`${event.id}`, event.batch_number)
      this.#inBatch(`${event.id}`)
    }
    if (event.subscriber !== undefined) this.#processOf.set(event.subscriber, process)
    if (type === 'subscribe') this.#there.add(`${event.subscriber}`)
    if (type === 'server-kill') {
      this.#groups.clear()
      this.#there.clear()
    } else if (type === 'disconnect' || type === 'unsubscribe') {
      for (const subscriber of this.#there) {
        const isMeant =
          event.subscriber === undefined ? this.#processOf.get(subscriber) === process : subscriber === event.subscriber
        if (isMeant) this.#there.delete(subscriber)
      }
      for (const [group, { subscriber }] of this.#groups) {
        const isMeant =
          event.subscriber === undefined ? this.#processOf.get(subscriber) === process : subscriber === event.subscriber
        if (isMeant) this.#groups.delete(group)
      }
    } else if (queue === WORK && type === 'discard') this.#groups.clear()
    else if (queue === WORK && event.id !== undefined) this.#onMessage(event, `${event.id}`)
  }

  #onMessage({ type, subscriber = '', redelivered, t }: HistoryEvent, id: string): void {
    const group = this.#groupOf.get(id)
    if (group === undefined) return
    if (type !== 'deliver') {
      if (type === 'ack-invoke' || type === 'nack' || type === 'lease-expired' || type === 'ack-fail')
        if (this.#groups.get(group)?.id === id) this.#groups.delete(group)
      return
    }
    // The first delivery, read after a later one: over a slow way, and its lease has ended long ago.
    if (redelivered === true) this.#again.add(id)
    else if (this.#again.has(id)) return
    // So is what is read after the server has given the subscription up.
    if (!this.#there.has(subscriber)) return
    const out = this.#groups.get(group)
    // A lease may have run out, and a batch may have been ended.
    const mayBeOver = this.#plan.work.leaseMs > 0 || !isSteady(this.#plan)
    if (out !== undefined && out.id !== id && !mayBeOver)
      this.say(`D15: ${id} of group ${group} came to ${subscriber} while ${out.subscriber} had ${out.id}`)
    this.#groups.set(group, { id, subscriber, t })
  }

  // ── work that makes work stays in its batch (B16) ──────────────────────────────────────────────────────────────

  child(id: string, batch: number): void {
    const { faults } = this.#plan
    if (isSteady(this.#plan) && faults.requeue === 0) this.#mustBeIn.set(id, batch)
    this.#inBatch(id)
  }

  #inBatch(id: string): void {
    const [wanted, is] = [this.#mustBeIn.get(id), this.#isIn.get(id)]
    if (wanted !== undefined && is !== undefined && wanted !== is)
      this.say(`B16: ${id} is in batch ${is}, and what it came of in ${wanted}`)
  }

  // ── publishers: numbers rise in the order of their publishes (P3) ──────────────────────────────────────────────

  told(lane: string, at: number, seq: number): void {
    const told = this.#told.get(lane) ?? []
    told.push({ at, seq })
    this.#told.set(lane, told)
  }

  // ── barriers: each once to a program that goes on over reconnects (B5, B11) ────────────────────────────────────

  /** @param lane whose messages and barriers it wants; absent: all */
  subscribed(subscriber: string, queue: string, t: number, lane: number | undefined): void {
    if (!this.#since.has(subscriber) && !this.#left.has(subscriber)) this.#since.set(subscriber, { queue, t, lane })
  }

  /** A party is about to be published. */
  party(barrier: string, count: number, party: number): void {
    const known = this.#parties.get(barrier) ?? { count, begun: new Set() }
    known.begun.add(party)
    this.#parties.set(barrier, known)
  }

  gone(subscriber: string): void {
    this.#since.delete(subscriber)
    this.#left.add(subscriber)
  }

  barrier(subscriber: string, name: string, batch: number, outcome: string): void {
    const parties = this.#parties.get(name)
    if (parties !== undefined && parties.begun.size < parties.count && !ENDED.has(outcome))
      this.say(`B14: ${subscriber} got barrier ${name} when ${parties.begun.size} of ${parties.count} parties had come`)
    const seen = this.#barriersOf.get(subscriber) ?? new Set()
    if (seen.has(name)) this.say(`B11: ${subscriber} got barrier ${name} twice`)
    const last = this.#batchOf.get(subscriber) ?? -1
    if (batch <= last) this.say(`B8: ${subscriber} got barrier ${name} of batch ${batch} after one of batch ${last}`)
    this.#batchOf.set(subscriber, batch)
    seen.add(name)
    this.#barriersOf.set(subscriber, seen)
  }

  // ── announcements: one for each released barrier, and none for others (B20) ────────────────────────────────────

  announced({ queue, name, sequence, outcome }: Announcement, by: Omit<Announced, 'outcome'>): void {
    const { messageId } = by
    const known = this.#announced.get(name)
    if (known !== undefined && (known.messageId !== messageId || known.sequence !== by.sequence))
      this.say(
        `B20: ${name} was announced by ${known.messageId} at ${known.sequence}, and ${messageId} at ${by.sequence}`,
      )
    const isItsOwn = messageId?.startsWith('barrier_') && messageId.endsWith(`-${sequence}`)
    if (queue !== WORK || !isItsOwn) this.say(`B20: ${name} at ${sequence} of ${queue} was announced by ${messageId}`)
    this.#announced.set(name, { ...by, outcome })
  }

  /** As the server has it on record when all is done. */
  released(name: string, outcome: string): void {
    this.#released.set(name, outcome)
  }

  #finishAnnouncements(): void {
    for (const [name, outcome] of this.#released) {
      const told = this.#announced.get(name)?.outcome
      if (told !== outcome) this.say(`B20: ${name} was released ${outcome}, and announced as ${told}`)
    }
    // Without records the run ended before it was drained, which is told.
    if (this.#released.size === 0) return
    for (const name of this.#announced.keys())
      if (!this.#released.has(name)) this.say(`B20: ${name} was announced, and is not released`)
  }

  /** While the run goes on. */
  seen(views: readonly QueueView[]): void {
    const { unackedMax } = this.#plan.work
    const work = views.find(view => view.name === WORK)
    if (unackedMax > 0 && work !== undefined && (work.leased ?? 0) > unackedMax)
      this.say(`D1: ${work.leased} messages are leased, and unacked_max is ${unackedMax}`)
  }

  /** At the end: barriers by queue, with the earliest time at which each was published. */
  finish(barriers: readonly { readonly queue: string; readonly name: string; readonly publishedAt: number }[]): void {
    this.#finishAnnouncements()
    for (const [lane, told] of this.#told) {
      const inOrder = [...told].sort((a, b) => a.at - b.at)
      for (let k = 1; k < inOrder.length; k += 1) {
        const [before, after] = [inOrder[k - 1] as { seq: number }, inOrder[k] as { seq: number }]
        if (after.seq <= before.seq) this.say(`P3: ${lane} was told ${after.seq} after ${before.seq}`)
      }
    }
    for (const [subscriber, { queue, t, lane }] of this.#since) {
      for (const barrier of barriers) {
        if (barrier.queue !== queue || barrier.publishedAt <= t) continue
        if (lane !== undefined && laneOf(barrier.name) !== lane) continue
        if (!this.#barriersOf.get(subscriber)?.has(barrier.name))
          this.say(`B5, B11: ${subscriber} was there from ${t} on and never got barrier ${barrier.name} of ${queue}`)
      }
    }
  }
}
