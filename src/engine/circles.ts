import type { Broker } from '../core/broker.ts'
import type { QueueOptions } from '../core/options.ts'
import { type Refusal, refuse } from '../core/refusals.ts'

/**
 * Why a queue cannot have these options: messages or barriers would go round in a circle. What `announce` tells may: an
 * announcement is no barrier, so nothing follows from it.
 */
export function circleIn(broker: Broker, name: string, options: QueueOptions): Refusal | undefined {
  const optionsOf = (queue: string) => (queue === name ? options : broker.queue(queue)?.options)
  const deadLetters = circle(name, next => [optionsOf(next)?.deadLetter])
  if (deadLetters !== undefined)
    return refuse('invalid-options', `dead_letter: ${deadLetters} goes round in a circle`, { option: 'dead_letter' })
  const forwards = circle(name, next => optionsOf(next)?.forwardBarrier ?? [])
  if (forwards === undefined) return undefined
  return refuse('invalid-options', `forward_barrier: ${forwards} goes round in a circle`, { option: 'forward_barrier' })
}

/** The way from a queue back to itself, as text. */
function circle(name: string, nextOf: (name: string) => readonly (string | undefined)[]): string | undefined {
  const seen = new Set<string>()
  const walk = (at: string, path: readonly string[]): string | undefined => {
    for (const next of nextOf(at)) {
      if (next === undefined || next === 'drop') continue
      if (next === name) return [...path, next].join(' → ')
      if (seen.has(next)) continue
      seen.add(next)
      const found = walk(next, [...path, next])
      if (found !== undefined) return found
    }
    return undefined
  }
  return walk(name, [name])
}
