import type { ProducerAnswer, Timestamp } from './facts.ts'
import { PRODUCERS_MAX, Producers, UNANSWERED_MAX } from './producers.ts'
import type { PublishAnswer } from './publishing.ts'
import type { Queue } from './queue.ts'
import { type Refusal, refuse } from './refusals.ts'
import type { Turn } from './turn.ts'

/** A producer's own numbering of what it publishes (P9). */
export interface Numbering {
  readonly producer: string
  /** Of the first message. */
  readonly number: number
  readonly answeredUpTo: number
}

/** How many messages of a publish were taken before, and what they were answered. */
export interface NumberedPlace {
  readonly repeated: number
  readonly answers: PublishAnswer[]
}

export const NEW_PLACE: NumberedPlace = { repeated: 0, answers: [] }

/** The numbers of all producers in all queues: what is sent again gets its first answer. */
export class Numbers {
  #producers = 0
  #sweepAt: Timestamp = 0

  /** How many of these numbers were taken before, with their first answers; a sentence when they are out of turn. */
  placeOf(queue: Queue, numbering: Numbering, count: number): NumberedPlace | Refusal | string {
    const { producers } = queue
    const { producer, number, answeredUpTo } = numbering
    const isKnown = producers.isKnown(producer)
    // Of a producer that is new here, or has been forgotten, any number is the first. Numbers that were answered and are
    // not known were accepted, and a crash took them before they were on disk (P1): they leave no gap.
    const last = isKnown ? Math.max(producers.last(producer), Math.min(answeredUpTo, number - 1)) : number - 1
    if (number > last + 1)
      return `producer number ${number} in queue "${queue.name}" comes after ${last}: ${number - last - 1} are missing`
    if (!isKnown && this.#producers >= PRODUCERS_MAX) {
      return refuse('server-busy', `${PRODUCERS_MAX} producers are remembered already`, { limit: 'producers' })
    }
    const repeated = Math.min(count, last + 1 - number)
    const answers = repeated > 0 ? repeatedAnswers(producers, producer, number, repeated) : []
    if (typeof answers === 'string') return answers
    if (repeated < count && number + count - 1 - answeredUpTo > UNANSWERED_MAX)
      return `more than ${UNANSWERED_MAX} publishes of queue "${queue.name}" are unanswered`
    return { repeated, answers }
  }

  /** Keeps what numbers just taken were answered. */
  keep(turn: Turn, now: Timestamp, queue: Queue, numbering: Numbering, answers: readonly PublishAnswer[]): void {
    const { producer, number, answeredUpTo } = numbering
    if (!queue.producers.isKnown(producer)) this.#producers += 1
    const kept = answers.map(answer => keptAnswer(answer, number))
    queue.producers.take(turn, producer, kept, answeredUpTo, now)
  }

  /** Of this queue nobody is remembered any more. */
  deleted(queue: Queue): void {
    this.#producers -= queue.producers.size
  }

  restored(queue: Queue): void {
    this.#producers += queue.producers.size
  }

  /** Forgets producers that were idle too long; looks now and then. */
  sweep(turn: Turn, now: Timestamp, queues: Iterable<Queue>): void {
    if (now < this.#sweepAt) return
    this.#sweepAt = now + Producers.sweepMs
    this.#producers = 0
    for (const queue of queues) {
      queue.producers.sweep(turn, now)
      this.#producers += queue.producers.size
    }
  }
}

/** First answers of numbers that were taken before. */
function repeatedAnswers(
  producers: Producers,
  producer: string,
  number: number,
  count: number,
): PublishAnswer[] | string {
  const kept = producers.answers(producer, number, count)
  const found = kept.reduce((sum, answer) => sum + answer.count, 0)
  if (found !== count)
    return `producer numbers ${number} to ${number + count - 1} were answered, and the client said it has the answers`
  return kept.map(answer =>
    answer.refusal === undefined
      ? {
          index: answer.first - number,
          count: answer.count,
          sequence: answer.sequence,
          batch: answer.batch,
          duplicate: answer.duplicate ?? false,
        }
      : {
          index: answer.first - number,
          count: answer.count,
          refusal: refuse(answer.refusal as Refusal['code'], 'refused when it was first sent'),
        },
  )
}

function keptAnswer(answer: PublishAnswer, number: number): ProducerAnswer {
  const { index, count } = answer
  if ('refusal' in answer) return { first: number + index, count, sequence: 0, batch: 0, refusal: answer.refusal.code }
  const kept = { first: number + index, count, sequence: answer.sequence, batch: answer.batch }
  return answer.duplicate ? { ...kept, duplicate: true } : kept
}
