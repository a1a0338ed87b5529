import type { BarrierRecord, QueueId, Timestamp } from '../core/facts.ts'
import type { PublishAnswer } from '../core/publishing.ts'
import type { Queue } from '../core/queue.ts'
import { type Refusal, refuse } from '../core/refusals.ts'
import type { Predicate, Subscription } from '../core/subscription.ts'
import type { Effect } from '../core/turn.ts'
import type { Engine } from './engine.ts'
import { type ContentFilter, Entitlement } from './entitlement.ts'
import { compile, contentOf, isBarrierOf, isRefusal, predicateOf } from './expressions.ts'
import { recordWithoutCounts } from './hiding.ts'
import type {
  BarrierName,
  ConnectionView,
  Delivery,
  FollowCommand,
  Followed,
  Follower,
  Outbox,
  PeerIdentity,
  PublishCommand,
  PullCommand,
  Pulled,
  SettleAnswer,
  SettleCommand,
  SubscribeCommand,
  Subscribed,
  SubscriptionId,
  TokenSettle,
} from './peer.ts'
import { Publishing } from './publishing.ts'
import { Pulls } from './pulls.ts'
import { Sending, UNSENT_BYTES_MAX } from './sending.ts'
import { Settles } from './settles.ts'

type SubscriptionEffect = Extract<Effect, { readonly subscription: Subscription }>

interface Subscribed_ {
  readonly queue: Queue
  readonly subscription: Subscription
}

/**
 * One connected party: what it has subscribed to, holds and waits for. Listeners reach it through its door, which knows
 * what it may do; what it publishes is judged here, message by message, as it is read.
 */
export class Party {
  readonly id: number
  readonly identity: PeerIdentity
  readonly outbox: Outbox
  /** What it may do; absent: everything. */
  readonly entitlement: Entitlement | undefined
  readonly #engine: Engine
  readonly #subscriptions = new Map<SubscriptionId, Subscribed_>()
  readonly #pulls: Pulls
  readonly #publishing: Publishing
  readonly #settles: Settles
  readonly #sending: Sending
  readonly #since: Timestamp
  readonly #waits = new Set<() => void>()
  #isStalled = false
  #isClosed = false

  constructor(terms: { engine: Engine; id: number; identity: PeerIdentity; outbox: Outbox }) {
    this.#engine = terms.engine
    this.id = terms.id
    this.identity = terms.identity
    this.outbox = terms.outbox
    this.#since = terms.engine.clock.now()
    const { principal, producer } = terms.identity
    this.entitlement =
      principal &&
      new Entitlement(principal, (act, queue) => {
        terms.engine.audit({ act, queue, peer: this.name, principal: principal.name, refused: 'not-allowed' })
      })
    this.#publishing = new Publishing(terms.engine, producer, this.entitlement)
    this.#settles = new Settles({
      engine: terms.engine,
      publishing: this.#publishing,
      principal,
      answer: reply => this.answer(reply),
      soon: reply => this.soon(reply),
    })
    this.#sending = new Sending({
      outbox: terms.outbox,
      bodies: terms.engine.bodies,
      stall: isStalled => this.#stall(isStalled),
      hasRoom: subscription => this.#hasRoom(subscription),
      written: (queue, delivery) => this.#copy(queue, delivery),
      rests: {
        get turn() {
          return terms.engine.rests.turn
        },
        rest: goOn => terms.engine.rests.rest(() => this.soon(goOn)),
      },
    })
    this.#pulls = new Pulls({
      engine: terms.engine,
      peer: terms.id,
      principal,
      answer: reply => this.answer(reply),
    })
  }

  get name(): string {
    return this.identity.name
  }

  /** What it has subscribed to, without its pulls. */
  subscribed(): readonly { readonly queue: string; readonly prefetch: number; readonly used: number }[] {
    return [...this.#subscriptions.values()].map(({ queue, subscription: { prefetch, used } }) => ({
      queue: queue.name,
      prefetch,
      used,
    }))
  }

  // ── publishing ─────────────────────────────────────────────────────────────────────────────────────────────────

  publish(command: PublishCommand, answered: (answers: readonly PublishAnswer[]) => void, kept?: () => void): void {
    const answers = this.refusal() ?? this.#publishing.publish(command)
    if (Array.isArray(answers)) this.#engine.tally.answered(answers)
    if (typeof answers === 'string') this.end(refuse('protocol-error', answers))
    else if (isRefusal(answers)) {
      this.#engine.tally.refuse(answers.code, command.count)
      this.soon(() => answered([{ index: 0, count: command.count, refusal: answers }]))
    } else if (command.confirm === 'none') this.soon(() => answered(answers.filter(answer => 'refusal' in answer)))
    else if (command.confirm === 'accepted' && answers.every(answer => isEarly(answer, command)))
      this.soon(() => answered(answers))
    else this.answer(() => answered(answers))
    if (kept !== undefined) this.answer(kept)
  }

  publishAtomic(
    parts: readonly PublishCommand[],
    answered: (answers: readonly (readonly PublishAnswer[])[]) => void,
    spends = false,
  ): void {
    const answers = this.refusal() ?? this.#publishing.publishAtomic(parts, spends)
    if (Array.isArray(answers)) for (const part of answers) this.#engine.tally.answered(part)
    if (typeof answers === 'string') this.end(refuse('protocol-error', answers))
    else if (isRefusal(answers)) {
      for (const { count } of parts) this.#engine.tally.refuse(answers.code, count)
      this.soon(() => answered(parts.map(({ count }) => [{ index: 0, count, refusal: answers }])))
    } else this.answer(() => answered(answers))
  }

  // ── subscriptions ──────────────────────────────────────────────────────────────────────────────────────────────

  /** @param content what it may see of the queue; absent: all */
  subscribe(command: SubscribeCommand, content?: ContentFilter): Subscribed | Refusal {
    const queue = this.refusal() ?? this.#engine.find(command.queue)
    if (isRefusal(queue)) return queue
    if (this.#subscriptions.has(command.subscription))
      return refuse('invalid-request', `subscription ${command.subscription} is there already`)
    const predicate = this.#predicate(queue, command.filter, content)
    if (isRefusal(predicate)) return predicate
    const { subscription, missed } = this.#engine.run((turn, now) =>
      this.#engine.broker.subscribe(
        turn,
        now,
        queue,
        {
          peer: this.id,
          tag: command.subscription,
          prefetch: Math.min(command.prefetch, queue.options.prefetchMax),
          concurrency: command.concurrency ?? 1,
          leaseMs: command.leaseMs,
          predicate,
          isPull: false,
          ...(queue.options.semantics === 'at-most-once' ? { unsentMax: UNSENT_BYTES_MAX } : {}),
        },
        command.afterBatch,
      ),
    )
    this.#subscriptions.set(command.subscription, { queue, subscription })
    if (this.#isStalled || this.#engine.isDraining) this.#stallOne(queue, subscription, true)
    return { batch: queue.batchOnDisk, barriersMissed: missed }
  }

  resubscribe(
    id: SubscriptionId,
    change: { readonly prefetch?: number; readonly filter?: string | null },
  ): Refusal | undefined {
    const found = this.#subscriptions.get(id)
    if (found === undefined) return refuse('invalid-request', `there is no subscription ${id}`)
    const { queue, subscription } = found
    const predicate =
      change.filter === undefined
        ? subscription.predicate
        : this.#predicate(queue, change.filter ?? undefined, contentOf(subscription.predicate))
    if (isRefusal(predicate)) return predicate
    this.#change(queue, () => {
      if (change.filter !== undefined) {
        queue.consumers.leave(subscription)
        subscription.predicate = predicate
        queue.consumers.join(subscription)
      }
      if (change.prefetch !== undefined)
        queue.consumers.setPrefetch(subscription, Math.min(change.prefetch, queue.options.prefetchMax))
    })
    return undefined
  }

  unsubscribe(id: SubscriptionId): void {
    const found = this.#subscriptions.get(id)
    if (found === undefined) return
    this.#subscriptions.delete(id)
    this.#engine.run((turn, now) => this.#engine.broker.unsubscribe(turn, now, found.queue, found.subscription, false))
    this.#sending.drop(found.subscription)
  }

  #predicate(
    queue: Queue,
    text: string | undefined,
    content: ContentFilter | undefined,
  ): Predicate | undefined | Refusal {
    const filter = text === undefined || text === '' ? undefined : compile(text, 'subscription')
    if (isRefusal(filter)) return filter
    if (filter === undefined && content === undefined) return undefined
    return predicateOf(filter, content, queue, this.#engine.bodies)
  }

  /** An effect of the core for one of this party's subscriptions. */
  carryOut(effect: SubscriptionEffect): void {
    const { subscription } = effect
    if (effect.kind === 'cancelled') {
      this.#pulls.end(subscription, effect.why)
      this.#sending.drop(subscription)
      if (this.#subscriptions.delete(subscription.tag)) this.outbox.cancelled(subscription.tag, effect.why)
      return
    }
    const pull = this.#pulls.get(subscription)
    const queue = pull?.queue ?? this.#subscriptions.get(subscription.tag)?.queue
    // Decided before it was closed: the core has taken back what it held.
    if (queue === undefined || subscription.isClosed) return
    if (effect.kind === 'lease-lost') {
      const { first, count } = effect
      if (pull === undefined)
        this.#sending.tell(subscription, () => this.outbox.leaseLost(subscription.tag, { first, count }))
      return
    }
    if (effect.kind === 'barrier') {
      const delivery = {
        subscription: subscription.tag,
        queue: queue.name,
        record: contentOf(subscription.predicate) === undefined ? effect.record : recordWithoutCounts(effect.record),
        replayed: effect.replayed,
      }
      if (pull !== undefined) pull.barrier(delivery)
      else this.#sending.tell(subscription, () => this.outbox.barrier(delivery))
      return
    }
    if (pull === undefined) {
      this.#sending.deliver(effect, queue.name, this.#engine.spent.get(effect))
      return
    }
    const bytes = this.#bytesOf(effect)
    // Its lease ran out while it waited for the disk, and somebody else has settled it.
    if (bytes === undefined) return
    const delivery: Delivery = {
      subscription: subscription.tag,
      delivery: effect.delivery,
      queue: queue.name,
      sequence: effect.first,
      count: effect.count,
      batch: effect.batch,
      attempt: effect.attempt,
      redelivered: effect.redelivered,
      bytes,
      ...(effect.origin === undefined ? {} : { origin: effect.origin }),
    }
    this.#copy(effect.queue, delivery)
    pull.deliver(delivery)
  }

  /** For those who look on. */
  #copy(queue: QueueId, delivery: Delivery): void {
    const { follows } = this.#engine
    if (follows.watchers > 0) follows.delivered(queue, delivery, this.name)
  }

  #bytesOf(effect: Extract<Effect, { kind: 'deliver' }>): Uint8Array[] | undefined {
    const { bodies, spent } = this.#engine
    return effect.isSpent ? spent.get(effect) : bodies.records(effect.queue, effect.first, effect.count)
  }

  /** Nothing is begun any more: its subscriptions get no more messages, its pulls are answered. */
  drain(): void {
    this.#stall(true)
    this.#pulls.finishAll()
  }

  drained(): void {
    this.soon(() => this.#sending.goOn())
  }

  #hasRoom(subscription: Subscription): void {
    const found = this.#subscriptions.get(subscription.tag)
    if (found !== undefined) this.#change(found.queue, () => found.queue.consumers.changed(subscription))
  }

  #stall(isStalled: boolean): void {
    if (this.#isStalled === isStalled || (this.#engine.isDraining && !isStalled)) return
    this.#isStalled = isStalled
    for (const { queue, subscription } of this.#subscriptions.values()) this.#stallOne(queue, subscription, isStalled)
  }

  #stallOne(queue: Queue, subscription: Subscription, isStalled: boolean): void {
    this.#change(queue, () => {
      subscription.isStalled = isStalled
      queue.consumers.changed(subscription)
    })
  }

  #change(queue: Queue, change: () => void): void {
    this.#engine.run((turn, now) => this.#engine.broker.change(turn, now, queue, change))
  }

  // ── settling ───────────────────────────────────────────────────────────────────────────────────────────────────

  settle(command: SettleCommand, answered?: (answer: SettleAnswer) => void): void {
    const found = this.#subscriptions.get(command.subscription)
    if (found === undefined) {
      const results = command.deliveries.map(range => ({ ...range, result: 'unknown' as const }))
      this.soon(() => answered?.({ results }))
      return
    }
    const claims = [{ subscription: found.subscription, deliveries: command.deliveries }]
    this.#settles.settle(found.queue, claims, command.how, command.publish, answered)
  }

  // ── pulls ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** @param content what it may see of the queue; absent: all */
  pull(
    command: PullCommand,
    answered: (answer: Pulled | Refusal) => void,
    content?: ContentFilter,
  ): { cancel(): void } {
    const nothing = { cancel() {} }
    const queue = this.refusal() ?? this.#drainRefusal() ?? this.#engine.find(command.queue)
    const predicate = isRefusal(queue) ? queue : this.#predicate(queue, command.filter, content)
    if (isRefusal(queue) || isRefusal(predicate)) {
      this.soon(() => answered((isRefusal(queue) ? queue : predicate) as Refusal))
      return nothing
    }
    return this.#pulls.begin({ queue, predicate, command, answered })
  }

  settleTokens(command: TokenSettle, answered: (answer: SettleAnswer) => void, isShared: boolean): void {
    this.#settles.settleTokens(command, answered, isShared)
  }

  // ── waiting ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** @param content which barriers it may know of: of others it hears nothing, as if they were not there */
  waitForBarrier(
    name: string,
    barrierName: BarrierName,
    timeoutMs: number | undefined,
    answered: (answer: BarrierRecord | Refusal) => void,
    content?: ContentFilter,
  ): { cancel(): void } {
    const queue = this.refusal() ?? this.#engine.find(name)
    if (isRefusal(queue)) {
      this.soon(() => answered(queue))
      return { cancel() {} }
    }
    const { clock, waits } = this.#engine
    let isOver = false
    const finish = () => {
      if (isOver) return false
      isOver = true
      this.#waits.delete(finish)
      stopWaiting()
      cancelTimer()
      return true
    }
    const end = (answer: BarrierRecord | Refusal) => {
      if (content !== undefined && !isRefusal(answer) && !isBarrierOf(content, answer, name)) return
      if (finish()) answered(answer)
    }
    const stopWaiting = waits.add(queue.id, barrierName, end)
    const cancelTimer =
      timeoutMs === undefined ? () => {} : clock.at(clock.now() + timeoutMs, () => end(timedOut(name, barrierName)))
    this.#waits.add(finish)
    const known = queue.barriers.find(barrierName)
    if (known !== undefined && 'releasedAt' in known)
      this.#engine.answerAfter(queue.barriers.releasedIn(known.sequence), () => end(known))
    return { cancel: finish }
  }

  // ── looking on ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** @param content which barriers and messages it may know of; absent: all */
  follow(
    command: FollowCommand,
    follower: Follower,
    content: { readonly barriers?: ContentFilter | undefined; readonly messages?: ContentFilter | undefined },
  ): Followed | Refusal {
    const queue = this.refusal() ?? this.#engine.find(command.queue)
    if (isRefusal(queue)) return queue
    const { barriers, messages } = content
    const follow = { queue: queue.name, follower, barriers, messages, isWatching: command.isWatching === true }
    const followed = this.#engine.follows.begin(queue, follow, this.#engine.broker.committed, command.after)
    const cancel = () => {
      this.#waits.delete(cancel)
      followed.cancel()
    }
    this.#waits.add(cancel)
    return { ...followed, cancel }
  }

  get view(): ConnectionView {
    const { name, address, protocol = 'unknown', principal } = this.identity
    let creditUsed = this.#pulls.creditUsed
    for (const { subscription } of this.#subscriptions.values()) creditUsed += subscription.used
    return {
      id: this.id,
      name,
      protocol,
      ...(address !== undefined && { address }),
      ...(principal !== undefined && { principal: principal.name }),
      since: this.#since,
      subscriptions: this.#subscriptions.size,
      pulls: this.#pulls.count,
      creditUsed,
      bufferedBytes: this.outbox.bufferedBytes?.() ?? 0,
    }
  }

  // ── the end ────────────────────────────────────────────────────────────────────────────────────────────────────

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const finish of [...this.#waits]) finish()
    this.#pulls.cancelAll()
    const { broker } = this.#engine
    for (const { queue, subscription } of this.#subscriptions.values()) {
      if (!subscription.isClosed)
        this.#engine.run((turn, now) => broker.unsubscribe(turn, now, queue, subscription, true))
    }
    this.#subscriptions.clear()
    this.#engine.detach(this)
  }

  /** Closes it and tells it why. */
  end(why: Refusal): void {
    if (this.#isClosed) return
    this.close()
    this.outbox.closed(why)
  }

  refusal(): Refusal | undefined {
    if (this.#isClosed) return refuse('shutting-down', 'this connection has been closed')
    return this.#engine.isOpen ? undefined : refuse('shutting-down', 'the server is shutting down')
  }

  #drainRefusal(): Refusal | undefined {
    return this.#engine.isDraining
      ? refuse('shutting-down', 'the server is shutting down: ask again in a moment')
      : undefined
  }

  /** Answers when all that was decided is on disk, if anybody is left to hear it. */
  answer(reply: () => void): void {
    this.#engine.answer(() => {
      if (!this.#isClosed) reply()
    })
  }

  soon(reply: () => void): void {
    this.#engine.answerAfter(0, () => {
      if (!this.#isClosed) reply()
    })
  }
}

/** Whether an answer may be given before the disk: a number that is told is never given again (P3). */
/**
 * May be told before it is on disk. A refusal that has used a number may not: a crash could take it, the frame could come
 * again behind one that has no answer yet, and what its publisher was told is surely not stored would be stored (P9).
 */
function isEarly(answer: PublishAnswer, { number }: PublishCommand): boolean {
  return 'refusal' in answer ? number === undefined : answer.isEarly === true
}

function timedOut(queue: string, barrier: string): Refusal {
  return refuse('timed-out', `barrier "${barrier}" of queue "${queue}" was not released in time`, { queue, barrier })
}
