import type { BarrierRecord, DeadLetterOrigin, Fact, QueueId, Sequence, TurnNumber } from './facts.ts'
import type { Refusal } from './refusals.ts'
import type { Subscription } from './subscription.ts'

/** What is to be done once the turn it rests on is on disk. 0: at once. */
export type Effect =
  /** Messages next to one another, alike, numbered from `delivery` in their subscription. */
  | {
      readonly kind: 'deliver'
      readonly queue: QueueId
      readonly rests: TurnNumber
      readonly subscription: Subscription
      readonly delivery: number
      readonly first: Sequence
      readonly count: number
      readonly batch: number
      readonly attempt: number
      readonly redelivered: boolean
      readonly origin: DeadLetterOrigin | undefined
      /** At most once: the messages are settled by this turn, so their bytes must be read before it is appended. */
      readonly isSpent: boolean
      /** Of the bodies, as they are counted. */
      readonly bodyBytes: number
    }
  | {
      readonly kind: 'barrier'
      readonly rests: TurnNumber
      readonly subscription: Subscription
      readonly record: BarrierRecord
      readonly replayed: boolean
    }
  | {
      readonly kind: 'lease-lost'
      readonly rests: TurnNumber
      readonly subscription: Subscription
      readonly first: number
      readonly count: number
    }
  | {
      readonly kind: 'cancelled'
      readonly rests: TurnNumber
      readonly subscription: Subscription
      readonly why: Refusal
    }
  /** For those who wait without a subscription. */
  | { readonly kind: 'released'; readonly rests: TurnNumber; readonly queue: QueueId; readonly record: BarrierRecord }
  | { readonly kind: 'queue-deleted'; readonly rests: TurnNumber; readonly queue: QueueId }

/** One command and all that follows from it: the facts to keep and the effects to carry out. */
export class Turn {
  readonly number: TurnNumber
  readonly facts: Fact[] = []
  readonly effects: Effect[] = []

  constructor(number: TurnNumber) {
    this.number = number
  }

  keep(fact: Fact): void {
    this.facts.push(fact)
  }

  perform(effect: Effect): void {
    this.effects.push(effect)
  }
}
