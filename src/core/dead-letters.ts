import type { Batch } from './batch.ts'
import type { Broker } from './broker.ts'
import type { DeadLetterOrigin, DeadReason, EnqueuedRun, QueueId, Sequence, Timestamp } from './facts.ts'
import { DEFAULT_OPTIONS } from './options.ts'
import type { DeadLetterPlace, Queue } from './queue.ts'
import type { Run } from './run.ts'
import type { Turn } from './turn.ts'

interface Move {
  readonly from: Queue
  readonly sequence: Sequence
  readonly to: Queue
  readonly bytes: number
  readonly run: Omit<EnqueuedRun, 'count'>
  readonly batch?: Batch
}

/** Messages moved aside: out of one queue and into another in one fact, and back (A5). */
export class DeadLetters {
  readonly #broker: Broker
  readonly #publishedAt: (queue: QueueId, sequence: Sequence) => Timestamp | undefined

  constructor(broker: Broker, publishedAt: (queue: QueueId, sequence: Sequence) => Timestamp | undefined) {
    this.#broker = broker
    this.#publishedAt = publishedAt
  }

  /** Where dead letters of a queue go; undefined: they are dropped. */
  nameFor(queue: Queue): string | undefined {
    const { deadLetter } = queue.options
    if (deadLetter === 'drop') return undefined
    if (deadLetter !== undefined) return deadLetter
    for (const other of this.#broker.queues()) {
      if (other !== queue && (other.options.deadLetter ?? `${other.name}.dead`) === queue.name) return undefined
    }
    return `${queue.name}.dead`
  }

  /** One that is made because it is needed keeps what it gets: it has no dead letters of its own. */
  queueNamed(turn: Turn, now: Timestamp, name: string): Queue {
    const options = { ...DEFAULT_OPTIONS, deadLetter: 'drop' }
    return this.#broker.queue(name) ?? this.#broker.declare(turn, now, name, options, true)
  }

  /** Moves each message of the run aside, or drops it where nobody keeps dead letters. */
  take(turn: Turn, now: Timestamp, queue: Queue, run: Run, why: { reason: DeadReason; detail?: string }): void {
    const { reason, detail } = why
    const name = this.nameFor(queue)
    if (name === undefined) {
      if (reason !== 'expired') run.batch.unkept += run.count
      queue.finish(turn, now, run, reason === 'expired' ? 'expired' : 'dropped')
      return
    }
    const to = this.queueNamed(turn, now, name)
    const { batch, priority, group } = run
    for (let k = 0; k < run.count; k += 1) {
      const origin: DeadLetterOrigin = {
        queue: queue.name,
        queueId: queue.id,
        sequence: run.first + k,
        batch: batch.number,
        attempts: run.attempts,
        publishedAt: this.#publishedAt(queue.id, run.first + k) ?? now,
        deadAt: now,
        reason,
        ...(detail === undefined ? {} : { detail }),
        ...(priority === 0 ? {} : { priority }),
        ...(group === undefined ? {} : { group }),
      }
      const moved = { origin, ...ownedOf(run) }
      this.#move(turn, now, { from: queue, sequence: run.first + k, to, bytes: run.bytes / run.count, run: moved })
      batch.holding += 1
    }
    queue.moved(turn, now, run, reason === 'expired' ? 'expired' : 'dead')
  }

  /**
   * Sends dead letters back to where they came from: with a new sequence number, in their batch while its barrier waits
   * for it (B16), else in the open one. A batch that was ended early takes nothing back.
   */
  requeue(turn: Turn, now: Timestamp, from: Queue, sequences: readonly Sequence[]): number {
    let count = 0
    for (const sequence of sequences) {
      const origin = from.settling.find(sequence)?.origin
      const to = origin === undefined ? undefined : this.#broker.queueById(origin.queueId)
      const run = origin === undefined || to === undefined ? undefined : from.settling.takeOut(turn, sequence)
      if (origin === undefined || to === undefined || run === undefined) continue
      count += 1
      const home = this.#batchOf(origin)
      const batch = home?.barrier?.ended === undefined ? home : undefined
      const { priority, group, reason } = origin
      const attributes = {
        ...(priority === undefined ? {} : { priority }),
        ...(group === undefined ? {} : { group }),
        ...ownedOf(run),
      }
      if (batch !== undefined) {
        batch[reason === 'expired' ? 'expired' : 'dead'] -= 1
        batch.isDirty = true
      }
      const isBack = batch === undefined ? {} : { batch }
      this.#move(turn, now, { from, sequence, to, bytes: run.bytes, run: attributes, ...isBack })
      from.givenBack(turn, now, run)
    }
    return count
  }

  #move(turn: Turn, now: Timestamp, { from, sequence, to, bytes, run, batch }: Move): void {
    const taken = to.arrivals.takeMoved(turn, now, { bytes, run, ...(batch === undefined ? {} : { batch }) })
    turn.keep({
      kind: 'moved',
      queue: from.id,
      sequence,
      to: to.id,
      toSequence: taken.sequence,
      toBatch: taken.batch,
      at: now,
      run: { count: 1, ...run },
    })
    this.#broker.touch(to)
  }

  /** A dead letter has left the queue that had taken it in: it holds its batch no more. */
  gone({ origin, count }: Run): void {
    const queue = origin === undefined ? undefined : this.#broker.queueById(origin.queueId)
    const batch = this.#batchOf(origin)
    if (queue === undefined || batch === undefined) return
    batch.holding -= count
    this.#broker.touch(queue)
  }

  /** Those that came from this batch and that nobody has dealt with; as a rule they are all in one queue. */
  *of(queue: Queue, batch: Batch): Generator<DeadLetterPlace, void, undefined> {
    let left = batch.holding
    const usual = this.#broker.queue(this.nameFor(queue) ?? '')
    for (const place of new Set([...(usual === undefined ? [] : [usual]), ...this.#broker.queues()])) {
      if (left <= 0) return
      for (const run of place.runs()) {
        if (run.origin?.queueId !== queue.id || run.origin.batch !== batch.number) continue
        left -= run.count
        yield { queue: place.name, run }
      }
    }
  }

  /** After a restart: what holds is counted anew (B3). */
  restored(): void {
    for (const queue of this.#broker.queues()) {
      for (const { origin, count } of queue.runs()) {
        const batch = this.#batchOf(origin)
        if (batch !== undefined) batch.holding += count
      }
    }
  }

  /** The batch that a dead letter came from, if its barrier is not released. */
  #batchOf(origin: DeadLetterOrigin | undefined): Batch | undefined {
    const queue = origin === undefined ? undefined : this.#broker.queueById(origin.queueId)
    return origin === undefined || queue === undefined ? undefined : queue.batches[origin.batch - queue.head.number]
  }
}

/** Who published it has it stored, wherever it is. */
function ownedOf({ owned }: Run): Pick<EnqueuedRun, 'owned'> {
  return owned === undefined ? {} : { owned }
}
