import type { CarriedPublish } from '../core/broker.ts'
import type { Queue } from '../core/queue.ts'
import { refuse } from '../core/refusals.ts'
import type { Claim, SettleHow } from '../core/settling.ts'
import type { Engine } from './engine.ts'
import { isRefusal } from './expressions.ts'
import type { Messages, SettleAnswer, SettleResult, TokenSettle } from './peer.ts'
import type { Principal } from './principal.ts'
import { type Publishing, UNLIMITED } from './publishing.ts'

/** How settles of one party reach the core: by delivery numbers, or by the lease tokens of pulls. */
export class Settles {
  readonly #engine: Engine
  readonly #publishing: Publishing
  /** Answers when all that was decided is on disk. */
  readonly #answer: (reply: () => void) => void
  readonly #soon: (reply: () => void) => void
  readonly #principal: Principal | undefined

  constructor(terms: {
    engine: Engine
    publishing: Publishing
    principal: Principal | undefined
    answer: (reply: () => void) => void
    soon: (reply: () => void) => void
  }) {
    this.#engine = terms.engine
    this.#publishing = terms.publishing
    this.#principal = terms.principal
    this.#answer = terms.answer
    this.#soon = terms.soon
  }

  /** Settles deliveries, and publishes what the ack carries. */
  settle(
    queue: Queue,
    claims: readonly Claim[],
    how: SettleHow,
    publish: readonly Messages[] | undefined,
    answered: ((answer: SettleAnswer) => void) | undefined,
  ): void {
    const carried = this.#carried(publish ?? [])
    if (isRefusal(carried)) {
      this.#refused(carried.code, publish)
      this.#soon(() => answered?.({ results: [], refusal: carried }))
      return
    }
    const { owner } = this.#publishing
    const answer = this.#engine.run((turn, now) => {
      const publishes = carried.map(
        ({ queue: target, incoming }): CarriedPublish => ({ queue: target, publish: { incoming, now, owner } }),
      )
      return this.#engine.broker.settle(turn, now, queue, claims, how, publishes)
    })
    if (answer.refusal !== undefined) this.#refused(answer.refusal.code, publish)
    if (answered === undefined) return
    this.#answer(() => answered({ ...answer, results: answer.results.flat() }))
  }

  #refused(code: string, publish: readonly Messages[] = []): void {
    for (const { count } of publish) this.#engine.tally.refuse(code, count)
  }

  #carried(publish: readonly Messages[]) {
    const carried = []
    for (const messages of publish) {
      const guard = this.#publishing.guard(messages.queue)
      if (isRefusal(guard)) return guard
      const queue = this.#engine.find(messages.queue)
      if (isRefusal(queue)) return queue
      const how = { isDedupeAsked: false, cutAt: 0, room: UNLIMITED, guard }
      const incoming = this.#publishing.read(queue, messages, how)
      if (isRefusal(incoming)) return incoming
      carried.push({ queue, incoming })
    }
    return carried
  }

  /** @param isShared tokens that others were given count too, where the queue says `acks = "any"` */
  settleTokens(command: TokenSettle, answered: (answer: SettleAnswer) => void, isShared = true): void {
    const queue = this.#engine.find(command.queue)
    if (isRefusal(queue)) {
      this.#soon(() => answered({ results: [], refusal: queue }))
      return
    }
    // One claim a token, so that the results come back in their order.
    const claims: Claim[] = []
    const by = isShared && queue.options.acks === 'any' ? 'anyone' : this.#principal
    const places: (SettleResult | undefined)[] = []
    for (const { leaseToken } of command.deliveries) {
      const named = this.#engine.tokens.read(leaseToken, queue, by)
      if (typeof named === 'string') {
        places.push(named)
        continue
      }
      places.push(undefined)
      claims.push({ subscription: named.subscription, deliveries: [{ first: named.delivery, count: 1 }] })
    }
    const lost = places.findIndex(place => place !== undefined)
    if (lost >= 0 && (command.publish?.length ?? 0) > 0) {
      const refusal = refuse(
        places[lost] === 'already-settled' ? 'already-settled' : 'lease-lost',
        `the lease token of delivery ${lost} holds nothing; nothing was published`,
        { index: lost },
      )
      this.#soon(() => answered({ results: [], refusal }))
      return
    }
    this.settle(queue, claims, command.how, command.publish, answer => {
      if (answer.refusal !== undefined) {
        answered(answer)
        return
      }
      const settled = answer.results[Symbol.iterator]()
      const results = places.map((place, index) => ({
        first: index,
        count: 1,
        result: place ?? settled.next().value?.result ?? ('unknown' as const),
      }))
      answered({ ...answer, results })
    })
  }
}
