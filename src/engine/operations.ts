import { timeAfter } from '../core/durations.ts'
import type { Sequence } from '../core/facts.ts'
import type { Queue } from '../core/queue.ts'
import { type Refusal, refuse } from '../core/refusals.ts'
import { type BarrierView, viewQueue } from '../core/snapshot.ts'
import type { Engine } from './engine.ts'
import { isRefusal } from './expressions.ts'
import type { Inspection } from './inspection.ts'
import type { BarrierName, BatchRest, DeadLetterChoice, QueueView } from './peer.ts'

/** Messages that one turn of a long operation deals with. */
const STEP = 1_000

type Answered<T> = (answer: T | Refusal) => void

/** What operators do to queues, barriers and messages. Long work goes in steps, and is answered when its last is on disk. */
export class Operations {
  readonly #engine: Engine
  readonly #inspection: Inspection
  /** Answers when all that was decided is on disk. */
  readonly #answer: (reply: () => void) => void

  constructor(terms: { engine: Engine; inspection: Inspection; answer: (reply: () => void) => void }) {
    this.#engine = terms.engine
    this.#inspection = terms.inspection
    this.#answer = terms.answer
  }

  pause(name: string, isPaused: boolean): QueueView | Refusal {
    const queue = this.#engine.find(name)
    if (isRefusal(queue)) return queue
    this.#engine.run((turn, now) => this.#engine.broker.pause(turn, now, queue, isPaused))
    return viewQueue(queue, this.#engine.clock.now())
  }

  purge(name: string, isLeasedToo: boolean, answered: Answered<{ readonly purged: number }>): void {
    const { broker, later } = this.#engine
    const queue = this.#engine.find(name)
    if (isRefusal(queue)) {
      this.#answer(() => answered(queue))
      return
    }
    const below = queue.nextSequence
    // What goes is what is there now: turns of others carry out a part of it.
    const purged = queue.purgeable(isLeasedToo)
    const step = () => {
      const { isDone } = this.#engine.run((turn, now) => broker.purge(turn, now, queue, { leased: isLeasedToo, below }))
      if (isDone) this.#answer(() => answered({ purged }))
      else later(step)
    }
    step()
  }

  operate(name: string, sequence: Sequence, act: 'release' | 'dead-letter' | 'delete'): 'done' | 'unknown' | Refusal {
    const { broker } = this.#engine
    const queue = this.#engine.find(name)
    if (isRefusal(queue)) return queue
    if (act === 'dead-letter' && broker.deadLetterName(queue) === undefined) {
      return refuse(
        'invalid-request',
        `queue "${name}" keeps no dead letters: delete the message, or name a queue in dead_letter first`,
      )
    }
    return this.#engine.run((turn, now) => {
      let answer: 'done' | 'unknown' = 'unknown'
      broker.change(turn, now, queue, () => {
        const held = act === 'release' ? queue.settling.leaseOf(sequence) : undefined
        if (held !== undefined) {
          queue.loseLease(turn, held)
          queue.giveBack(turn, now, held.run, 0)
          answer = 'done'
        }
        const run = act === 'release' ? undefined : queue.settling.takeOut(turn, sequence)
        if (run === undefined) return
        if (act === 'delete') queue.finish(turn, now, run, 'purged')
        else queue.deadLetter(turn, now, run, 'rejected', 'by an operator')
        answer = 'done'
      })
      return answer
    })
  }

  requeue(choice: DeadLetterChoice, answered: Answered<{ readonly requeued: number }>): void {
    const { broker } = this.#engine
    this.#eachDeadLetter(
      choice,
      (from, sequences) => this.#engine.run((turn, now) => broker.requeue(turn, now, from, sequences)),
      answer => answered(isRefusal(answer) ? answer : { requeued: answer }),
    )
  }

  purgeDead(choice: DeadLetterChoice, answered: Answered<{ readonly purged: number }>): void {
    const { broker } = this.#engine
    const purge = (from: Queue, sequences: readonly Sequence[]) =>
      this.#engine.run((turn, now) => {
        let count = 0
        broker.change(turn, now, from, () => {
          for (const sequence of sequences) {
            const run = from.settling.takeOut(turn, sequence)
            if (run === undefined) continue
            from.finish(turn, now, run, 'purged')
            count += 1
          }
        })
        return count
      })
    this.#eachDeadLetter(choice, purge, answer => answered(isRefusal(answer) ? answer : { purged: answer }))
  }

  /** Deals with dead letters that are there now, a step at a time. */
  #eachDeadLetter(
    choice: DeadLetterChoice,
    act: (from: Queue, sequences: readonly Sequence[]) => number,
    answered: Answered<number>,
  ): void {
    const found = this.#inspection.deadLettersOf(choice)
    if (isRefusal(found) || found.from === undefined) {
      this.#answer(() => answered(isRefusal(found) ? found : 0))
      return
    }
    const { from, belongs } = found
    const { sequence } = choice
    const below = sequence === undefined ? from.nextSequence : sequence + 1
    let after = sequence === undefined ? 0 : sequence - 1
    let count = 0
    const step = () => {
      const isThere = this.#engine.broker.queue(from.name) === from
      const some = this.#inspection.someOf(from, { belongs, filter: choice.filter, after, below, limit: STEP })
      if (!isThere || isRefusal(some)) {
        this.#answer(() => answered(isRefusal(some) ? some : count))
        return
      }
      if (some.sequences.length > 0) count += act(from, some.sequences)
      after = some.next ?? below
      if (after < below) this.#engine.later(step)
      else this.#answer(() => answered(count))
    }
    step()
  }

  cancelBarrier(name: string, barrierName: BarrierName, rest: BatchRest | undefined): BarrierView | Refusal {
    const queue = this.#engine.find(name)
    if (isRefusal(queue)) return queue
    const { broker } = this.#engine
    const refusal = this.#engine.run((turn, now) => broker.cancel(turn, now, queue, barrierName, rest))
    return refusal ?? this.#inspection.barrier(name, barrierName)
  }

  extendBarrier(name: string, barrierName: BarrierName, deadlineMs: number): BarrierView | Refusal {
    const queue = this.#engine.find(name)
    if (isRefusal(queue)) return queue
    const { broker } = this.#engine
    const refusal = this.#engine.run((turn, now) =>
      broker.extend(turn, now, queue, barrierName, timeAfter(now, deadlineMs)),
    )
    return refusal ?? this.#inspection.barrier(name, barrierName)
  }
}
