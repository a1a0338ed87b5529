import type { Broker } from './broker.ts'
import type { Lookup } from './commands.ts'
import type { BarrierRecord, Timestamp } from './facts.ts'
import { DEFAULT_OPTIONS } from './options.ts'
import type { Queue } from './queue.ts'
import type { Turn } from './turn.ts'

/** Released barriers that are told of by a message in another queue, in the same commit (B20). */
export class Announcing {
  readonly #broker: Broker
  readonly #announcement: Lookup['announcement']

  constructor(broker: Broker, announcement: Lookup['announcement']) {
    this.#broker = broker
    this.#announcement = announcement
  }

  /**
   * What the server publishes itself is never refused (A7). Its id is only a property: what is published with the release
   * comes once, and an id that somebody has used before must not keep it out.
   */
  released(turn: Turn, now: Timestamp, from: Queue, record: BarrierRecord): void {
    const name = from.options.announce
    if (name === undefined) return
    const to = this.#broker.queue(name) ?? this.#broker.declare(turn, now, name, DEFAULT_OPTIONS, true)
    const { bytes, run } = this.#announcement(from, record, to)
    to.arrivals.publish(turn, { now, incoming: [{ kind: 'messages', index: 0, count: 1, bytes, runs: [run] }] })
    this.#broker.touch(to)
  }
}
