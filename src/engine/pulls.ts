import { MessageCursor } from '@sluice/protocol'
import type { Queue } from '../core/queue.ts'
import type { Refusal } from '../core/refusals.ts'
import type { Predicate, Subscription } from '../core/subscription.ts'
import type { Engine } from './engine.ts'
import type { Delivery, PullCommand, Pulled } from './peer.ts'
import type { Principal } from './principal.ts'
import { Pull } from './pull.ts'

/** Lease of a pull where neither it nor the queue says one, in ms. */
export const PULL_LEASE_MS_DEFAULT = 30_000
/** Longest lease of a pull, in ms: 12 h. */
export const PULL_LEASE_MS_MAX: number = 12 * 3_600_000
/** Tag of subscriptions that are pulls: their deliveries go to the pull, not to the outbox. */
const PULL_TAG = -1

interface Begun {
  readonly queue: Queue
  readonly predicate: Predicate | undefined
  readonly command: PullCommand
  readonly answered: (answer: Pulled | Refusal) => void
}

/** The pulls of a party that wait for their answer. What an answered one holds belongs to time, not to the party. */
export class Pulls {
  readonly #engine: Engine
  readonly #peer: number
  readonly #principal: Principal | undefined
  /** Answers when all that was decided is on disk. */
  readonly #answer: (reply: () => void) => void
  readonly #waiting = new Map<Subscription, Pull>()

  constructor(terms: {
    engine: Engine
    peer: number
    principal: Principal | undefined
    answer: (reply: () => void) => void
  }) {
    this.#engine = terms.engine
    this.#peer = terms.peer
    this.#principal = terms.principal
    this.#answer = terms.answer
  }

  get(subscription: Subscription): Pull | undefined {
    return this.#waiting.get(subscription)
  }

  /** How many wait for their answer. */
  get count(): number {
    return this.#waiting.size
  }

  get creditUsed(): number {
    let used = 0
    for (const { used: own } of this.#waiting.keys()) used += own
    return used
  }

  begin({ queue, predicate, command, answered }: Begun): { cancel(): void } {
    const { broker, clock, soon, tokens } = this.#engine
    const pull = new Pull({
      queue,
      messagesMax: command.messagesMax,
      since: command.afterBatch ?? queue.batchOnDisk,
      answered,
      finish: done => this.#finish(done, command.settle === 'on-delivery'),
      soon,
    })
    const leaseMs = Math.min(PULL_LEASE_MS_MAX, command.leaseMs ?? queue.options.leaseMs ?? PULL_LEASE_MS_DEFAULT)
    const { subscription, missed } = this.#engine.run((turn, now) => {
      const prefetch = command.messagesMax
      const terms = { peer: this.#peer, tag: PULL_TAG, prefetch, concurrency: 0, leaseMs, predicate, isPull: true }
      return broker.subscribe(turn, now, queue, terms, command.afterBatch)
    })
    pull.subscription = subscription
    pull.missed = missed
    tokens.add(queue, subscription, this.#principal)
    this.#waiting.set(subscription, pull)
    pull.cancelTimer = clock.at(clock.now() + command.waitMs, () => pull.finish())
    return { cancel: () => this.#cancel(pull) }
  }

  /** Its queue is gone. */
  end(subscription: Subscription, why: Refusal): void {
    const pull = this.#waiting.get(subscription)
    this.#waiting.delete(subscription)
    if (pull?.cancel() === true) pull.answer(why)
  }

  /** Answers all of them with what they have. */
  finishAll(): void {
    for (const pull of [...this.#waiting.values()]) pull.finish()
  }

  cancelAll(): void {
    for (const pull of [...this.#waiting.values()]) this.#cancel(pull)
  }

  #cancel(pull: Pull): void {
    if (!pull.cancel()) return
    this.#waiting.delete(pull.subscription)
    this.#close(pull, 0, false)
  }

  #finish(pull: Pull, isSettledNow: boolean): void {
    const { subscription } = pull
    this.#waiting.delete(subscription)
    this.#close(pull, pull.sent, isSettledNow)
    const deliveries = pull.deliveries.flatMap(delivery => this.#single(subscription, delivery))
    const answer = { deliveries, barriers: pull.barriers, batch: pull.batch, barriersMissed: pull.missed }
    if (isSettledNow) this.#answer(() => pull.answer(answer))
    else pull.answer(answer)
  }

  #close({ queue, subscription }: Pull, sent: number, isSettledNow: boolean): void {
    this.#engine.run((turn, now) =>
      this.#engine.broker.change(turn, now, queue, () => {
        queue.closePull(turn, now, subscription, sent)
        if (!isSettledNow || sent === 0) return
        queue.settling.settle(turn, now, subscription, {
          deliveries: [{ first: 1, count: sent }],
          how: { kind: 'ack' },
        })
      }),
    )
  }

  /** A token is for one message: runs are taken apart. */
  #single(subscription: Subscription, delivery: Delivery): (Delivery & { readonly leaseToken: string })[] {
    const cursor = new MessageCursor()
    const singles: (Delivery & { readonly leaseToken: string })[] = []
    for (const bytes of delivery.bytes) {
      for (cursor.open(bytes); cursor.next(); ) {
        const number = delivery.delivery + singles.length
        singles.push({
          ...delivery,
          delivery: number,
          sequence: delivery.sequence + singles.length,
          count: 1,
          bytes: [bytes.subarray(cursor.recordStart, cursor.bodyEnd)],
          leaseToken: this.#engine.tokens.write(subscription, number),
        })
      }
    }
    return singles
  }
}
