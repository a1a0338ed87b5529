import type { Effect, Turn } from '../../../src/core/turn.ts'
import type { Model } from './model.ts'
import { type Answer, must } from './words.ts'

interface Told {
  /** Sequence numbers that somebody was told: consumers by a delivery, publishers by a confirm. */
  readonly sequences: Set<number>
  /** Messages that somebody got. */
  readonly delivered: Set<number>
  /** The last barrier that somebody was told of. */
  releasedBatch: number
}

/**
 * What the world outside has seen, which no crash takes back. It checks what the model cannot, because the model is
 * taken back with the disk.
 */
export class Witness {
  readonly #queues = new Map<string, Told>()
  /** Last delivery number that a subscription saw. */
  readonly #deliveries = new Map<number, number>()
  readonly #nameOf: (id: number) => string | undefined

  /** @param nameOf name of one of the core's queues */
  constructor(nameOf: (id: number) => string | undefined) {
    this.#nameOf = nameOf
  }

  #of(model: Model, name: string): Told {
    const key = `${name} ${model.queue(name).id}`
    let told = this.#queues.get(key)
    if (told === undefined) {
      told = { sequences: new Set(), delivered: new Set(), releasedBatch: -1 }
      this.#queues.set(key, told)
    }
    return told
  }

  decided(turn: Turn, model: Model, answers: readonly Answer[]): void {
    for (const fact of turn.facts) {
      if (fact.kind !== 'enqueued' && fact.kind !== 'moved') continue
      const [id, first, count] =
        fact.kind === 'moved' ? [fact.to, fact.toSequence, 1] : [fact.queue, fact.first, fact.count]
      const name = this.#nameOf(id)
      if (name === undefined) continue
      const { sequences } = this.#of(model, name)
      for (let sequence = first; sequence < first + count; sequence += 1) {
        must(!sequences.has(sequence), 'P3 told', () => `${name} gives sequence number ${sequence} again`)
        if (
          fact.kind === 'enqueued' &&
          answers.some(answer => answer.startsWith(`${sequence} `) && answer.endsWith(' early'))
        )
          sequences.add(sequence)
      }
    }
    for (const effect of turn.effects) {
      if (effect.kind !== 'deliver') continue
      const { delivered } = this.#of(model, model.subscription(effect.subscription.tag).queue)
      for (let k = 0; k < effect.count; k += 1)
        must(
          effect.redelivered || !delivered.has(effect.first + k),
          'D5, INV-8, R10',
          () => `${effect.first + k} was delivered before and is not marked`,
        )
    }
  }

  carriedOut(effect: Effect, model: Model): void {
    if (effect.kind === 'released' || effect.kind === 'queue-deleted' || effect.kind === 'cancelled') return
    const { tag } = effect.subscription
    const subscription = model.subscriptions.get(tag)
    // Gone meanwhile: the engine tells it nothing more.
    if (subscription === undefined) return
    const told = this.#of(model, subscription.queue)
    const seen = this.#deliveries.get(tag) ?? 0
    if (effect.kind === 'lease-lost') {
      const last = effect.first + effect.count - 1
      must(last <= seen, 'D7, gate', () => `subscription ${tag} loses delivery ${last} before it has got it`)
    } else if (effect.kind === 'barrier') told.releasedBatch = Math.max(told.releasedBatch, effect.record.batch)
    else {
      must(effect.delivery === seen + 1, 'A3, B7', () => `subscription ${tag} gets ${effect.delivery} after ${seen}`)
      must(
        effect.batch > told.releasedBatch,
        'INV-21 no-resurrection',
        () => `${effect.first} of batch ${effect.batch} comes after barrier ${told.releasedBatch}`,
      )
      this.#deliveries.set(tag, seen + effect.count)
      for (let k = 0; k < effect.count; k += 1) {
        told.sequences.add(effect.first + k)
        // Of a pull nothing goes out before its answer, and that may never come.
        if (!subscription.isPull) told.delivered.add(effect.first + k)
      }
    }
  }

  restarted(): void {
    this.#deliveries.clear()
  }
}
