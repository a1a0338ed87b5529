import type { AtomicPart, CarriedPublish } from './commands.ts'
import type { Timestamp } from './facts.ts'
import { NEW_PLACE, type NumberedPlace, type Numbers } from './numbering.ts'
import type { Incoming, PublishAnswer } from './publishing.ts'
import type { Queue } from './queue.ts'
import type { Refusal } from './refusals.ts'
import type { Turn } from './turn.ts'

/** How an atomic publish is to be taken. */
export interface AtomicTerms {
  /** It was refused before it came here: nothing is published, and the numbers are used. */
  readonly refusal?: Refusal | undefined
  /**
   * A refusal uses the numbers of every part, so that a producer may send ahead. False: one that is not about a message
   * uses none, as older producers expect.
   */
  readonly spends?: boolean
}

/** What there is to do for one part. */
interface Planned {
  readonly part: AtomicPart
  /** Absent: no room for another producer, so its numbers cannot be kept. Where it is unknown any number is the first. */
  readonly place: NumberedPlace | undefined
  readonly isRepeated: boolean
}

/**
 * Publishes to several queues, all or nothing (P4). Parts that were taken before get their first answers; what was not,
 * because its queue was declared anew or its producer forgotten meanwhile, goes the way of those: is refused with them, or
 * taken, all of it or nothing.
 *
 * @returns a sentence when the numbers are out of turn
 */
export function publishAtomic(
  { numbers, touched }: { readonly numbers: Numbers; readonly touched: Set<Queue> },
  turn: Turn,
  parts: readonly AtomicPart[],
  { refusal: given, spends = true }: AtomicTerms,
): (readonly PublishAnswer[])[] | Refusal | string {
  const planned: Planned[] = []
  let refusal = given
  for (const part of parts) {
    const { queue, count, numbering } = part
    const place = numbering === undefined ? NEW_PLACE : numbers.placeOf(queue, numbering, count)
    if (typeof place === 'string') return place
    if ('code' in place) {
      if (!spends) return place
      refusal ??= place
      planned.push({ part, place: undefined, isRepeated: false })
    } else if (place.repeated > 0 && place.repeated < count)
      return 'of a part of an atomic publish some messages were taken before, and others were not'
    else planned.push({ part, place, isRepeated: place.repeated > 0 })
  }
  const fresh = planned.filter(({ isRepeated }) => !isRepeated).map(({ part }) => part)
  if (fresh.length > 0) refusal = firstAnswer(planned) ?? refusal ?? firstRefusal(fresh)
  return planned.map(({ part, place, isRepeated }) => {
    if (isRepeated) return place?.answers ?? []
    const { queue, publish, count, numbering } = part
    touched.add(queue)
    const own: PublishAnswer[] =
      refusal === undefined
        ? queue.arrivals.publish(turn, { ...publish, isJudged: true })
        : [{ index: 0, count, refusal }]
    if (numbering !== undefined && place !== undefined) numbers.keep(turn, publish.now, queue, numbering, own)
    return own
  })
}

/** How the whole was refused when it was first sent, as far as anybody remembers. */
function firstAnswer(planned: readonly Planned[]): Refusal | undefined {
  const answers = planned.flatMap(({ place }) => place?.answers ?? [])
  return answers.map(answer => ('refusal' in answer ? answer.refusal : undefined)).find(said => said !== undefined)
}

/**
 * Why these cannot all be published: the first reason. What goes to one queue is looked at together, and for the quota of
 * who publishes them all of it.
 *
 * @param ending what of his the same command ends, in bytes
 */
export function firstRefusal(parts: readonly CarriedPublish[], ending = 0): Refusal | undefined {
  const [first] = parts
  const quota = first?.queue.quotaOf(first.publish.owner, ending)
  const incoming = new Map<Queue, { readonly pieces: Incoming[]; readonly now: Timestamp }>()
  for (const { queue, publish } of parts) {
    const known = incoming.get(queue)
    if (known === undefined) incoming.set(queue, { pieces: [...publish.incoming], now: publish.now })
    else known.pieces.push(...publish.incoming)
  }
  for (const [queue, { pieces, now }] of incoming) {
    const refusal = queue.arrivals.refusalIn(pieces, now, quota)
    if (refusal !== undefined) return refusal
  }
  return quota?.refusal
}
