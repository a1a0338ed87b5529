import type { BarrierRecord, QueueId } from '../core/facts.ts'
import type { Refusal } from '../core/refusals.ts'

type Answered = (answer: BarrierRecord | Refusal) => void

/** Who waits for which barrier, without a subscription (B10). Also for names that nobody has published yet. */
export class Waits {
  readonly #queues = new Map<QueueId, Map<string, Set<Answered>>>()

  add(queue: QueueId, name: string, answered: Answered): () => void {
    const names = this.#queues.get(queue) ?? new Map<string, Set<Answered>>()
    this.#queues.set(queue, names)
    const waiters = names.get(name) ?? new Set<Answered>()
    names.set(name, waiters)
    waiters.add(answered)
    return () => {
      waiters.delete(answered)
      if (waiters.size === 0 && names.get(name) === waiters) names.delete(name)
      if (names.size === 0 && this.#queues.get(queue) === names) this.#queues.delete(queue)
    }
  }

  released(queue: QueueId, record: BarrierRecord): void {
    const names = this.#queues.get(queue)
    if (names === undefined) return
    for (const name of [record.name, `@${record.sequence}`]) {
      for (const answered of [...((name === undefined ? undefined : names.get(name)) ?? [])]) answered(record)
    }
  }

  deleted(queue: QueueId, why: Refusal): void {
    const names = this.#queues.get(queue)
    this.#queues.delete(queue)
    for (const waiters of names?.values() ?? []) for (const answered of [...waiters]) answered(why)
  }
}
