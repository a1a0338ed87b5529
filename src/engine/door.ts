import type { Engine } from './engine.ts'
import { ALL, type Allowed } from './entitlement.ts'
import { isRefusal } from './expressions.ts'
import { barrierWithoutCounts, knowsBarrier, recordWithoutCounts, seesMessage, withoutCounts } from './hiding.ts'
import { Inspection, noSuchBarrier } from './inspection.ts'
import { Operations } from './operations.ts'
import { Overview } from './overview.ts'
import type { Party } from './party.ts'
import type {
  BarrierName,
  BarrierRecord,
  BarriersCommand,
  BarriersPage,
  BarrierView,
  BatchRest,
  BrowseCommand,
  ConnectionView,
  DeadLetterChoice,
  FilterTestResult,
  FollowCommand,
  Followed,
  Follower,
  Holdout,
  MessageView,
  PageCommand,
  Peer,
  PublishAnswer,
  PublishCommand,
  PullCommand,
  Pulled,
  QueueOptionsInput,
  QueueView,
  Refusal,
  Sequence,
  SettleAnswer,
  SettleCommand,
  SubscribeCommand,
  Subscribed,
  SubscriptionId,
  TokenSettle,
} from './peer.ts'
import type { Right } from './principal.ts'
import type { Receipt } from './receipt.ts'

/** Holdouts that one answer looks at for somebody who may see only some. */
const LOOK_MAX = 20_000
const PAGE_MAX = 1_000

type Page = { readonly messages: readonly MessageView[]; readonly next?: Sequence }
type Answered<T> = (answer: T | Refusal) => void

/**
 * What a listener calls: whatever the protocol, here is asked whether the party may do it, before anything is looked
 * for. What operators do is told, by whom.
 */
export class Door implements Peer {
  readonly #engine: Engine
  readonly #party: Party
  readonly #inspection: Inspection
  readonly #operations: Operations
  #overview: Overview | undefined

  constructor(engine: Engine, party: Party) {
    this.#engine = engine
    this.#party = party
    this.#inspection = new Inspection(engine)
    this.#operations = new Operations({
      engine,
      inspection: this.#inspection,
      answer: reply => party.answer(reply),
    })
  }

  get id(): number {
    return this.#party.id
  }

  get name(): string {
    return this.#party.name
  }

  // ── messages ───────────────────────────────────────────────────────────────────────────────────────────────────

  publish(command: PublishCommand, answered: (answers: readonly PublishAnswer[]) => void, kept?: () => void): void {
    this.#party.publish(command, answered, kept)
  }

  publishAtomic(
    parts: readonly PublishCommand[],
    answered: (answers: readonly (readonly PublishAnswer[])[]) => void,
    spends?: boolean,
  ): void {
    this.#party.publishAtomic(parts, answered, spends)
  }

  subscribe(command: SubscribeCommand): Subscribed | Refusal {
    const allowed = this.#may(command.queue, 'consume')
    return isRefusal(allowed) ? allowed : this.#party.subscribe(command, allowed.content)
  }

  resubscribe(
    subscription: SubscriptionId,
    change: { readonly prefetch?: number; readonly filter?: string | null },
  ): Refusal | undefined {
    return this.#party.resubscribe(subscription, change)
  }

  unsubscribe(subscription: SubscriptionId): void {
    this.#party.unsubscribe(subscription)
  }

  settle(command: SettleCommand, answered?: (answer: SettleAnswer) => void): void {
    this.#party.settle(command, answered)
  }

  pull(command: PullCommand, answered: Answered<Pulled>): { cancel(): void } {
    const allowed = this.#may(command.queue, 'consume')
    if (!isRefusal(allowed)) return this.#party.pull(command, answered, allowed.content)
    this.#party.soon(() => answered(allowed))
    return { cancel() {} }
  }

  settleTokens(command: TokenSettle, answered: (answer: SettleAnswer) => void): void {
    const allowed = this.#may(command.queue, 'consume')
    if (isRefusal(allowed)) this.#party.soon(() => answered({ results: [], refusal: allowed }))
    else this.#party.settleTokens(command, answered, allowed.content === undefined)
  }

  drained(): void {
    this.#party.drained()
  }

  close(): void {
    this.#party.close()
  }

  get overview(): Overview {
    this.#overview ??= new Overview(this.#engine, this.#party.entitlement)
    return this.#overview
  }

  // ── looking ────────────────────────────────────────────────────────────────────────────────────────────────────

  browse(command: BrowseCommand): Page | Refusal {
    const allowed = this.#may(command.queue, 'browse')
    return isRefusal(allowed) ? allowed : this.#inspection.browse(command, allowed.content)
  }

  deadLetters(choice: DeadLetterChoice & PageCommand): Page | Refusal {
    const { queue, batch } = choice
    const allowed = this.#may(queue, 'browse')
    if (isRefusal(allowed)) return allowed
    if (batch !== undefined && !this.#knows(allowed, queue, batch)) return noSuchBarrier(queue, batch)
    return this.#inspection.deadLetters(choice, allowed.content)
  }

  testFilter(expression: string, queue: string): FilterTestResult | Refusal {
    const allowed = this.#may(queue, 'browse')
    return isRefusal(allowed) ? allowed : this.#engine.testFilterOnQueue(expression, queue, allowed.content)
  }

  queues(): readonly QueueView[] {
    const { entitlement } = this.#party
    const all = this.#inspection.queues()
    if (entitlement === undefined) return all
    return all.filter(({ name }) => entitlement.knows(name)).map(view => this.#shown(view))
  }

  queue(name: string): QueueView | Refusal {
    const allowed = this.#party.entitlement?.allowState(name)
    if (isRefusal(allowed)) return allowed
    const view = this.#inspection.queue(name)
    return isRefusal(view) ? view : this.#shown(view)
  }

  #shown(view: QueueView): QueueView {
    const allowed = this.#party.entitlement?.allowState(view.name) ?? ALL
    return isRefusal(allowed) || allowed.content !== undefined ? withoutCounts(view) : view
  }

  barriers(command: BarriersCommand): BarriersPage | Refusal {
    const { queue } = command
    const allowed = this.#party.entitlement?.allowBarriers(queue) ?? ALL
    if (isRefusal(allowed)) return allowed
    const page = this.#inspection.barriers(command)
    if (isRefusal(page) || allowed.content === undefined) return page
    // A page can be short, or empty, and have a next one.
    const barriers = page.barriers.filter(({ name, sequence }) => this.#knows(allowed, queue, name ?? `@${sequence}`))
    return { ...page, barriers: barriers.map(barrierWithoutCounts) }
  }

  barrier(queue: string, name: BarrierName): BarrierView | Refusal {
    const allowed = this.#party.entitlement?.allowBarriers(queue) ?? ALL
    if (isRefusal(allowed)) return allowed
    const view = this.#inspection.barrier(queue, name)
    if (isRefusal(view) || allowed.content === undefined) return view
    return this.#knows(allowed, queue, name) ? barrierWithoutCounts(view) : noSuchBarrier(queue, name)
  }

  receipt(queue: string, name: BarrierName): Receipt | Refusal {
    const allowed = this.#party.entitlement?.allowBarriers(queue) ?? ALL
    if (isRefusal(allowed)) return allowed
    if (allowed.content === undefined) return this.#inspection.receipt(queue, name)
    if (!this.#knows(allowed, queue, name)) return noSuchBarrier(queue, name)
    const detail = `a receipt counts every message of its batch, and this token sees only some of "${queue}"`
    return { code: 'not-allowed', detail, facts: { queue } }
  }

  waitForBarrier(
    queue: string,
    name: BarrierName,
    timeoutMs: number | undefined,
    answered: Answered<BarrierRecord>,
  ): { cancel(): void } {
    const allowed = this.#party.entitlement?.allowBarriers(queue) ?? ALL
    if (isRefusal(allowed)) {
      this.#party.soon(() => answered(allowed))
      return { cancel() {} }
    }
    const { content } = allowed
    const shown: Answered<BarrierRecord> = answer =>
      answered(content === undefined || isRefusal(answer) ? answer : recordWithoutCounts(answer))
    return this.#party.waitForBarrier(queue, name, timeoutMs, shown, content)
  }

  follow(command: FollowCommand, follower: Follower): Followed | Refusal {
    const barriers = this.#party.entitlement?.allowBarriers(command.queue) ?? ALL
    const messages = command.isWatching === true ? this.#may(command.queue, 'browse') : ALL
    if (isRefusal(barriers)) return barriers
    if (isRefusal(messages)) return messages
    return this.#party.follow(command, follower, { barriers: barriers.content, messages: messages.content })
  }

  holdouts(
    queue: string,
    name: BarrierName,
    page: { readonly after?: Sequence; readonly limit: number },
  ): readonly Holdout[] | Refusal {
    const allowed = this.#party.entitlement?.allowHoldouts(queue) ?? ALL
    if (isRefusal(allowed)) return allowed
    if (allowed.content === undefined) return this.#inspection.holdouts(queue, name, page)
    return this.#knows(allowed, queue, name)
      ? this.#someHoldouts(queue, name, page, allowed)
      : noSuchBarrier(queue, name)
  }

  #someHoldouts(
    queue: string,
    name: BarrierName,
    { after = 0, limit }: { readonly after?: Sequence; readonly limit: number },
    { content }: Allowed,
  ): readonly Holdout[] | Refusal {
    const seen: Holdout[] = []
    let from = after
    for (let looked = 0; looked < LOOK_MAX && seen.length < limit; ) {
      const page = this.#inspection.holdouts(queue, name, { after: from, limit: PAGE_MAX })
      if (isRefusal(page)) return page
      for (const holdout of page) {
        const at = holdout.deadLetter ?? { queue, sequence: holdout.sequence }
        if (content === undefined || seesMessage(this.#engine, content, at.queue, at.sequence)) seen.push(holdout)
      }
      if (page.length < PAGE_MAX) break
      looked += page.length
      from = page[page.length - 1]?.sequence ?? from
    }
    return seen.slice(0, limit)
  }

  #knows({ content }: Allowed, queue: string, barrier: BarrierName): boolean {
    return content === undefined || knowsBarrier(this.#engine, content, queue, barrier)
  }

  // ── what operators do ──────────────────────────────────────────────────────────────────────────────────────────

  declare(
    name: string,
    options: QueueOptionsInput,
    answered: Answered<{ readonly created: boolean; readonly queue: QueueView }>,
  ): void {
    const answer = this.#mayName(name, options) ?? this.#engine.declare(name, options)
    if (isRefusal(answer)) this.#answer(answered, this.#withoutOthers(answer))
    else {
      if (answer.created) this.#tell('declare', name)
      this.#answer(answered, { ...answer, queue: this.#shown(answer.queue) })
    }
  }

  update(name: string, options: QueueOptionsInput, answered: Answered<QueueView>): void {
    const answer = this.#mayName(name, options) ?? this.#engine.update(name, options)
    if (isRefusal(answer)) this.#answer(answered, this.#withoutOthers(answer))
    else {
      this.#tell('update', name, Object.keys(options).join(', '))
      this.#answer(answered, this.#shown(answer))
    }
  }

  deleteQueue(name: string, answered: (answer: Refusal | undefined) => void): void {
    const queue = this.#operator(name) ?? this.#engine.find(name)
    const refusal = isRefusal(queue)
      ? queue
      : this.#engine.run((turn, now) => this.#engine.broker.delete(turn, now, queue))
    if (refusal === undefined) this.#tell('delete', name)
    this.#party.answer(() => answered(refusal && this.#withoutOthers(refusal)))
  }

  pause(name: string, isPaused: boolean, answered: Answered<QueueView>): void {
    const answer = this.#operator(name) ?? this.#operations.pause(name, isPaused)
    if (!isRefusal(answer)) this.#tell(isPaused ? 'pause' : 'resume', name)
    this.#answer(answered, isRefusal(answer) ? answer : this.#shown(answer))
  }

  purge(name: string, how: { readonly leased: boolean }, answered: Answered<{ readonly purged: number }>): void {
    const refusal = this.#begin('purge', name)
    if (refusal !== undefined) this.#party.soon(() => answered(refusal))
    else this.#operations.purge(name, how.leased, answered)
  }

  operate(
    queue: string,
    sequence: Sequence,
    act: 'release' | 'dead-letter' | 'delete',
    answered: Answered<'done' | 'unknown'>,
  ): void {
    const answer = this.#operator(queue) ?? this.#operations.operate(queue, sequence, act)
    if (answer === 'done') this.#tell(`message-${act}`, queue, `${sequence}`)
    this.#answer(answered, answer)
  }

  requeueDeadLetters(choice: DeadLetterChoice, answered: Answered<{ readonly requeued: number }>): void {
    const refusal = this.#begin('requeue', choice.queue, aboutOf(choice))
    if (refusal !== undefined) this.#party.soon(() => answered(refusal))
    else this.#operations.requeue(choice, answered)
  }

  purgeDeadLetters(choice: DeadLetterChoice, answered: Answered<{ readonly purged: number }>): void {
    const refusal = this.#begin('purge-dead', choice.queue, aboutOf(choice))
    if (refusal !== undefined) this.#party.soon(() => answered(refusal))
    else this.#operations.purgeDead(choice, answered)
  }

  cancelBarrier(queue: string, name: BarrierName, rest: BatchRest | undefined, answered: Answered<BarrierView>): void {
    const answer = this.#operator(queue) ?? this.#operations.cancelBarrier(queue, name, rest)
    if (!isRefusal(answer)) this.#tell('cancel-barrier', queue, name)
    this.#answer(answered, answer)
  }

  extendBarrier(queue: string, name: BarrierName, deadlineMs: number, answered: Answered<BarrierView>): void {
    const answer = this.#operator(queue) ?? this.#operations.extendBarrier(queue, name, deadlineMs)
    if (!isRefusal(answer)) this.#tell('extend-barrier', queue, name)
    this.#answer(answered, answer)
  }

  // ── the whole server ───────────────────────────────────────────────────────────────────────────────────────────

  connections(): readonly ConnectionView[] | Refusal {
    return this.mayAdminister() ?? [...this.#engine.parties.values()].map(({ view }) => view)
  }

  disconnect(id: number): 'done' | 'unknown' | Refusal {
    const refusal = this.mayAdminister()
    if (refusal !== undefined) return refusal
    const party = this.#engine.parties.get(id)
    if (party === undefined) return 'unknown'
    this.#tell('disconnect', '', party.name)
    party.end({ code: 'disconnected', detail: 'an operator has closed this connection' })
    return 'done'
  }

  mayAdminister(): Refusal | undefined {
    const { entitlement } = this.#party
    if (entitlement === undefined || entitlement.principal.isAdmin) return undefined
    return { code: 'not-allowed', detail: 'this token may not administer the server', facts: { right: 'admin' } }
  }

  // ── whether it may ─────────────────────────────────────────────────────────────────────────────────────────────

  #may(queue: string, right: Right): Allowed | Refusal {
    return this.#party.entitlement?.allow(queue, right) ?? ALL
  }

  #operator(queue: string): Refusal | undefined {
    const allowed = this.#party.refusal() ?? this.#may(queue, 'admin')
    return isRefusal(allowed) ? allowed : undefined
  }

  #mayName(queue: string, options: QueueOptionsInput): Refusal | undefined {
    return this.#operator(queue) ?? this.#party.entitlement?.checkTargets(queue, options)
  }

  /** A refusal that names queues of others, for somebody who has no right on them. */
  #withoutOthers(refusal: Refusal): Refusal {
    const { entitlement } = this.#party
    const { queue, option } = refusal.facts ?? {}
    if (entitlement === undefined || entitlement.principal.isAdmin) return refusal
    if (refusal.code === 'queue-in-use' && typeof queue === 'string' && !entitlement.knows(queue)) {
      return { code: refusal.code, detail: 'another queue names it as its dead_letter, forward_barrier or announce' }
    }
    if (refusal.code === 'invalid-options' && refusal.detail.includes(' → '))
      return { ...refusal, detail: `${option}: goes round in a circle` }
    return refusal
  }

  // ── answering and telling ──────────────────────────────────────────────────────────────────────────────────────

  #answer<T>(answered: (answer: T) => void, answer: T): void {
    this.#party.answer(() => answered(answer))
  }

  /** Of what takes many turns it is told at the start: whoever began it may be gone before its end. */
  #begin(act: string, queue: string, about?: string): Refusal | undefined {
    const found = this.#operator(queue) ?? this.#engine.find(queue)
    if (isRefusal(found)) return found
    this.#tell(act, queue, about)
    return undefined
  }

  #tell(act: string, queue: string, about?: string): void {
    const { name, entitlement } = this.#party
    const principal = entitlement?.principal.name
    this.#engine.audit({
      act,
      queue,
      peer: name,
      ...(principal !== undefined && { principal }),
      ...(about !== undefined && { about }),
    })
  }
}

/** Which of them, for who reads the log. */
function aboutOf({ batch, sequence }: DeadLetterChoice): string | undefined {
  return sequence === undefined ? batch : `${sequence}`
}
