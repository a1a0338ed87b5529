import { createHash } from 'node:crypto'
import { Broker } from '../core/broker.ts'
import { badName, contradictionIn, differing, readOptions, withDefaults } from '../core/declaring.ts'
import type { BarrierRecord, Timestamp, TurnNumber } from '../core/facts.ts'
import { DEFAULT_OPTIONS, type QueueOptions } from '../core/options.ts'
import type { Queue } from '../core/queue.ts'
import { type Refusal, refuse } from '../core/refusals.ts'
import { viewQueue } from '../core/snapshot.ts'
import { type Effect, Turn } from '../core/turn.ts'
import type { Journal, JournalFailure } from '../journal/journal.ts'
import { Alarm } from './alarm.ts'
import { announcementOf } from './announcement.ts'
import { Bodies, isJournalFailure } from './bodies.ts'
import { circleIn } from './circles.ts'
import type { Clock } from './clock.ts'
import { Door } from './door.ts'
import { type ContentFilter, NOBODY } from './entitlement.ts'
import { compile, compileOptions, isRefusal, type QueueExpressions, Subject, TestSubject } from './expressions.ts'
import { Follows } from './follows.ts'
import { forwardedRecord } from './forwarded.ts'
import { type Deed, Gate } from './gate.ts'
import { Intake } from './intake.ts'
import { LeaseTokens } from './lease-tokens.ts'
import { Party } from './party.ts'
import type {
  AuditEntry,
  Engine as EngineDoor,
  FilterTestResult,
  Outbox,
  Peer,
  PeerIdentity,
  QueueOptionsInput,
  QueueView,
} from './peer.ts'
import type { Pressure } from './pressure.ts'
import type { Principal } from './principal.ts'
import { Rests } from './rests.ts'
import { Tally } from './tally.ts'
import { Waits } from './waits.ts'

const QUEUE_DELETED: Refusal = refuse('queue-deleted', 'the queue was deleted')

/** Messages that a trial of a filter looks at. */
const FILTER_TEST_MAX = 10_000
/** Matches of a trial that are named. */
const FILTER_TEST_FIRST = 10

export interface EngineOptions {
  readonly journal: Journal
  readonly clock: Clock
  /** Largest body, in bytes. */
  readonly messageMax: number
  /** Most messages in one publish. */
  readonly frameMessagesMax: number
  /** A publish to a queue that does not exist declares it with the defaults. */
  readonly autoCreate: boolean
  /** Most queues that clients may have declared; default no limit. What the server itself moves is not refused by it (A7). */
  readonly queuesMax?: number
  readonly pressure: Pressure
  /** Who comes must be somebody: a party without a principal may do nothing. */
  readonly isClosedToStrangers?: boolean
  /** Told of what operators do, and of what was not allowed. */
  readonly onAudit?: (entry: AuditEntry) => void
  /** Told of each barrier, by the name of its queue, when its release is on disk. */
  readonly onReleased?: (queue: string, record: BarrierRecord) => void
  /** Called once, when nothing may be confirmed any more: the process must end (P2). */
  readonly onFatal: (reason: JournalFailure) => void
  /** Calls back after what runs now has returned; default `queueMicrotask`. */
  readonly soon?: (callback: () => void) => void
  /** Calls back after what else is waiting; default `setImmediate`. */
  readonly later?: (callback: () => void) => void
}

/**
 * The one meeting place of clock, journal and peers: runs a command, appends its facts, and does what follows from it
 * once the turn it rests on is on disk.
 */
export class Engine implements EngineDoor {
  readonly broker: Broker
  readonly clock: Clock
  readonly bodies: Bodies
  readonly intake: Intake
  readonly waits: Waits = new Waits()
  readonly follows: Follows = new Follows()
  readonly tally: Tally = new Tally()
  /** Bytes of at-most-once deliveries that wait for the commit of their removal. */
  readonly spent: Map<Effect, Uint8Array[]> = new Map()
  /** Calls back when others had their turn: long work goes on in steps. */
  readonly later: (callback: () => void) => void
  /** Parties that have been sent much, until the others had their turn. */
  readonly rests: Rests
  readonly limits: { readonly messageMax: number; readonly frameMessagesMax: number }
  readonly soon: (callback: () => void) => void
  readonly audit: (entry: AuditEntry) => void
  /** The end is near: nothing new is begun. */
  isDraining = false
  tokens: LeaseTokens = new LeaseTokens(0)
  start = 0
  readonly #journal: Journal
  readonly #gate: Gate
  readonly #alarm: Alarm
  readonly #pressure: Pressure
  readonly #autoCreate: boolean
  readonly #queuesMax: number
  readonly #onFatal: (reason: JournalFailure) => void
  readonly #onReleased: EngineOptions['onReleased']
  readonly #expressions = new WeakMap<Queue, QueueExpressions>()
  readonly #parties = new Map<number, Party>()
  readonly #producers = new Map<string, Party>()
  readonly #isClosedToStrangers: boolean
  /** Why those who were sent away may not come again. */
  readonly #dismissed = new WeakMap<Principal, Refusal>()
  #nextPeer = 1
  #turn: TurnNumber = 0
  /** The last turn that had something to keep. */
  #appended: TurnNumber = 0
  #state: 'restoring' | 'ready' | 'closing' | 'failed' = 'restoring'

  constructor(options: EngineOptions) {
    this.clock = options.clock
    this.limits = { messageMax: options.messageMax, frameMessagesMax: options.frameMessagesMax }
    this.soon = options.soon ?? queueMicrotask
    this.later = options.later ?? (callback => void setImmediate(callback))
    this.rests = new Rests(this.later)
    this.bodies = new Bodies(options.journal, reason => this.fail(reason))
    this.intake = new Intake(options.messageMax)
    this.broker = new Broker({
      publishedAt: (queue, sequence) => this.bodies.publishedAt(queue, sequence),
      forwarded: forwardedRecord,
      announcement: (from, record, to) => announcementOf(from, record, to, this.expressions(to)),
    })
    this.#journal = options.journal
    this.#autoCreate = options.autoCreate
    this.#queuesMax = options.queuesMax ?? Number.POSITIVE_INFINITY
    this.#pressure = options.pressure
    this.#onFatal = options.onFatal
    this.#onReleased = options.onReleased
    this.#isClosedToStrangers = options.isClosedToStrangers ?? false
    this.audit = options.onAudit ?? (() => {})
    this.#gate = new Gate(
      deed => this.#perform(deed),
      this.soon,
      turn => this.#journal.hurry(turn),
    )
    this.#alarm = new Alarm(options.clock, () => this.run((turn, now) => this.broker.tick(turn, now)))
    options.pressure.onChange((on, reason) => {
      for (const party of this.#parties.values()) party.outbox.pressure(on, reason)
    })
  }

  /** Restores what the journal holds; then peers may attach. */
  async open(): Promise<void> {
    this.#journal.onCommitted(upTo => {
      if (this.#state === 'failed') return
      this.broker.committed = upTo
      this.tally.committed(upTo)
      this.#gate.open(upTo)
    })
    this.#journal.onFailed(reason => this.fail(reason))
    const now = this.clock.now()
    for await (const facts of this.#journal.restore()) {
      for (const fact of facts) {
        if (fact.kind === 'started') this.start = fact.start
        this.broker.restore(fact, now)
      }
    }
    this.tokens = new LeaseTokens(this.start)
    for (const queue of this.broker.queues()) this.#compiled(queue)
    this.#state = 'ready'
    this.run((turn, at) => this.broker.restored(turn, at))
  }

  /** Begins nothing new from now on: publishers stop, nothing is delivered; settles go on. */
  beginDrain(): void {
    this.isDraining = true
    this.#pressure.hold('the server is shutting down')
    for (const party of [...this.#parties.values()]) party.drain()
  }

  /** Lets everybody go, and returns when all that was decided is on disk. */
  async close(): Promise<void> {
    if (this.#state === 'ready') {
      this.#state = 'closing'
      this.run((turn, now) => this.broker.stop(turn, now))
      for (const party of [...this.#parties.values()]) party.end(refuse('shutting-down', 'the server is shutting down'))
    }
    this.#alarm.set(Number.POSITIVE_INFINITY)
    await this.#journal.close()
  }

  fail(reason: JournalFailure): void {
    if (this.#state === 'failed') return
    this.#state = 'failed'
    this.#gate.shut()
    this.#alarm.set(Number.POSITIVE_INFINITY)
    this.#onFatal(reason)
  }

  get isOpen(): boolean {
    return this.#state === 'ready'
  }

  readiness(): { readonly ready: boolean; readonly reason?: string } {
    if (this.#state !== 'ready') return { ready: false, reason: this.#state }
    if (this.isDraining) return { ready: false, reason: 'draining' }
    return { ready: true }
  }

  get pressure(): { readonly on: boolean; readonly reason: string } {
    return this.#pressure
  }

  // ── turns ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Runs one command of the core: its facts go to the journal, its effects to the gate. */
  run<T>(command: (turn: Turn, now: Timestamp) => T): T {
    this.#turn += 1
    const turn = new Turn(this.#turn)
    this.bodies.decided = turn.facts
    const now = this.clock.now()
    const result = command(turn, now)
    // What is settled as it is sent is out of the journal's reach once the facts are appended, and not yet within it if
    // this very turn brought it.
    for (const effect of turn.effects) {
      if (effect.kind !== 'deliver' || !effect.isSpent) continue
      const bytes = this.bodies.records(effect.queue, effect.first, effect.count)
      if (bytes !== undefined) this.spent.set(effect, bytes)
    }
    this.bodies.decided = []
    if (turn.facts.length > 0) {
      this.#appended = turn.number
      this.tally.decided(turn.number, now, turn.facts)
      this.#journal.append(turn.number, turn.facts)
    }
    this.tally.performs(turn.effects)
    for (const effect of turn.effects) this.#gate.pass(effect.rests, effect)
    this.#alarm.set(this.broker.nextDeadline)
    return result
  }

  /** Answers once everything decided so far is on disk. */
  answer(reply: () => void): void {
    this.#gate.pass(this.#appended, reply)
  }

  /** Answers once this turn is on disk; 0: soon. */
  answerAfter(rests: TurnNumber, reply: () => void): void {
    this.#gate.pass(rests, reply)
  }

  #perform(deed: Deed): void {
    try {
      if (typeof deed === 'function') deed()
      else this.#carryOut(deed)
    } catch (error) {
      if (!isJournalFailure(error)) throw error
      this.fail(error)
    }
  }

  #carryOut(effect: Effect): void {
    switch (effect.kind) {
      case 'released':
        this.waits.released(effect.queue, effect.record)
        this.follows.released(effect.queue, effect.record)
        this.#onReleased?.(this.broker.queueById(effect.queue)?.name ?? '', effect.record)
        break
      case 'queue-deleted':
        this.waits.deleted(effect.queue, QUEUE_DELETED)
        this.follows.deleted(effect.queue, QUEUE_DELETED)
        break
      default:
        this.#parties.get(effect.subscription.peer)?.carryOut(effect)
        this.spent.delete(effect)
    }
  }

  // ── peers ──────────────────────────────────────────────────────────────────────────────────────────────────────

  attach(introduced: PeerIdentity, outbox: Outbox): Peer {
    const identity = this.#known(introduced)
    const { producer, principal } = identity
    if (producer !== undefined) {
      this.#producers
        .get(producer)
        ?.end(refuse('producer-taken-over', 'another connection of the same client has taken over'))
    }
    const party = new Party({ engine: this, id: this.#nextPeer, identity, outbox })
    this.#nextPeer += 1
    this.#parties.set(party.id, party)
    if (producer !== undefined) this.#producers.set(producer, party)
    if (this.#pressure.on) this.answerAfter(0, () => outbox.pressure(true, this.#pressure.reason))
    const why = principal && this.#dismissed.get(principal)
    if (why !== undefined) {
      party.close()
      this.answerAfter(0, () => outbox.closed(why))
    }
    return new Door(this, party)
  }

  #known({ principal, producer, ...shown }: PeerIdentity): PeerIdentity {
    if (principal === undefined) return { ...shown, ...(producer && { producer }), ...this.#stranger }
    return { ...shown, principal, ...(producer && { producer: producerOf(principal, producer) }) }
  }

  get #stranger(): Pick<PeerIdentity, 'principal'> {
    return this.#isClosedToStrangers ? { principal: NOBODY } : {}
  }

  /** Ends all that somebody has here: its parties, and what it has pulled and not settled returns at once. */
  dismiss(principal: Principal, why: Refusal): void {
    this.#dismissed.set(principal, why)
    for (const party of [...this.#parties.values()]) if (party.identity.principal === principal) party.end(why)
    if (this.#state !== 'ready') return
    for (const { queue, subscription } of [...this.tokens.of(principal)]) {
      const deliveries = [{ first: 1, count: subscription.next - 1 }]
      const claims = [{ subscription, deliveries }]
      this.run((turn, now) => this.broker.settle(turn, now, queue, claims, { kind: 'release' }))
    }
  }

  /** A party is closed: nobody reaches it any more. */
  detach(party: Party): void {
    this.#parties.delete(party.id)
    const { producer } = party.identity
    if (producer !== undefined && this.#producers.get(producer) === party) this.#producers.delete(producer)
  }

  /** All that are connected. */
  get parties(): ReadonlyMap<number, Party> {
    return this.#parties
  }

  nameOf(peer: number): string | undefined {
    return this.#parties.get(peer)?.name
  }

  // ── queues ─────────────────────────────────────────────────────────────────────────────────────────────────────

  find(name: string): Queue | Refusal {
    return this.broker.queue(name) ?? refuse('no-such-queue', `there is no queue "${name}"`, { queue: name })
  }

  /** For a publish: with `auto_create` a queue that is missing is made. */
  findOrCreate(name: string): Queue | Refusal {
    const queue = this.find(name)
    if (!isRefusal(queue) || !this.#autoCreate) return queue
    const problem = badName(name)
    if (problem !== undefined) return refuse('invalid-request', problem)
    if (!this.hasRoomFor([name])) {
      const detail = `there is no queue "${name}", and queues_max, ${this.#queuesMax}, leaves no room for it`
      return refuse('no-such-queue', detail, { queue: name, limit: 'queues_max', queues_max: this.#queuesMax })
    }
    return this.run((turn, now) => this.broker.declare(turn, now, name, DEFAULT_OPTIONS))
  }

  /** A queue that the configuration names is there from the start; whoever declares it may still say how it is to be. */
  provide(name: string): Refusal | undefined {
    const problem = badName(name)
    if (problem !== undefined) return refuse('invalid-request', problem)
    if (this.broker.queue(name) !== undefined) return undefined
    const tooMany = this.#tooMany(name, DEFAULT_OPTIONS)
    if (tooMany === undefined) this.run((turn, now) => this.broker.declare(turn, now, name, DEFAULT_OPTIONS, true))
    return tooMany
  }

  /** Whether those of the names that are no queues yet may become some (`queues_max`). */
  hasRoomFor(names: readonly string[]): boolean {
    const missing = new Set(names.filter(name => this.broker.queue(name) === undefined))
    return missing.size === 0 || this.broker.queueCount + missing.size <= this.#queuesMax
  }

  /** A queue that another one names is declared with it. */
  #tooMany(name: string, { deadLetter, forwardBarrier, announce }: QueueOptions): Refusal | undefined {
    const single = [deadLetter === 'drop' ? undefined : deadLetter, announce].filter(other => other !== undefined)
    const named = [...single, ...forwardBarrier]
    if (this.hasRoomFor([name, ...named])) return undefined
    const detail = `there are ${this.broker.queueCount} queues, and queues_max is ${this.#queuesMax}`
    return refuse('too-many-queues', detail, { limit: 'queues_max', queues_max: this.#queuesMax })
  }

  expressions(queue: Queue): QueueExpressions {
    return this.#expressions.get(queue) ?? this.#compiled(queue)
  }

  #compiled(queue: Queue): QueueExpressions {
    const compiled = compileOptions(queue.options)
    // What was accepted when it was declared is accepted ever after.
    if (isRefusal(compiled))
      throw new Error(`queue "${queue.name}" has an expression that cannot be read: ${compiled.detail}`)
    this.#expressions.set(queue, compiled)
    return compiled
  }

  declare(name: string, input: QueueOptionsInput): { readonly created: boolean; readonly queue: QueueView } | Refusal {
    const problem = badName(name)
    if (problem !== undefined) return refuse('invalid-request', problem)
    const given = readOptions(input)
    if (isRefusal(given)) return given
    const known = this.broker.queue(name)
    const options = withDefaults(given)
    if (known !== undefined) {
      // Nobody has said yet how it is to be: as if it had been declared before the queue that names it. What has come in
      // came under the semantics it has.
      const isFree = known.nextSequence === 1 && known.consumers.all.size === 0
      const differs = !known.isImplicit
        ? differing(known.options, given)
        : options.semantics === known.options.semantics || isFree
          ? []
          : ['semantics']
      if (differs.length > 0) {
        return refuse('queue-mismatch', `queue "${name}" is declared otherwise: ${differs.join(', ')}`, { differs })
      }
      const refusal = known.isImplicit ? this.#change(known, options) : undefined
      return refusal ?? { created: false, queue: viewQueue(known, this.clock.now()) }
    }
    const contradiction = this.#problem(name, options) ?? this.#tooMany(name, options)
    if (contradiction !== undefined) return contradiction
    const queue = this.run((turn, now) => this.broker.declare(turn, now, name, options))
    return { created: true, queue: viewQueue(queue, this.clock.now()) }
  }

  /** Changes the options given, and leaves the others as they are. */
  update(name: string, input: QueueOptionsInput): QueueView | Refusal {
    const queue = this.find(name)
    if (isRefusal(queue)) return queue
    const given = readOptions(input)
    if (isRefusal(given)) return given
    if (given.semantics !== undefined && given.semantics !== queue.options.semantics) {
      return refuse('queue-mismatch', 'semantics never changes: declare another queue', { differs: ['semantics'] })
    }
    return this.#change(queue, withDefaults(given, queue.options)) ?? viewQueue(queue, this.clock.now())
  }

  #change(queue: Queue, options: QueueOptions): Refusal | undefined {
    const problem = this.#problem(queue.name, options) ?? this.#tooMany(queue.name, options)
    if (problem !== undefined) return problem
    this.run((turn, now) => this.broker.update(turn, now, queue, options))
    this.#compiled(queue)
    return undefined
  }

  /** Why a queue cannot have these options. */
  #problem(name: string, options: QueueOptions): Refusal | undefined {
    const contradiction = contradictionIn(name, options)
    if (contradiction !== undefined) return contradiction
    const expressions = compileOptions(options)
    if (isRefusal(expressions)) return expressions
    return circleIn(this.broker, name, options)
  }

  // ── trying out filters ─────────────────────────────────────────────────────────────────────────────────────────

  testFilter(expression: string, bodies: readonly Uint8Array[]): readonly boolean[] | Refusal {
    const filter = compile(expression, 'subscription')
    return isRefusal(filter) ? filter : bodies.map(body => filter.matches(new TestSubject(body)))
  }

  /** @param content what is looked at; absent: all */
  testFilterOnQueue(expression: string, name: string, content?: ContentFilter): FilterTestResult | Refusal {
    const filter = compile(expression, 'subscription')
    if (isRefusal(filter)) return filter
    const queue = this.find(name)
    if (isRefusal(queue)) return queue
    const subject = new Subject()
    const first: number[] = []
    let tested = 0
    let matched = 0
    for (const sequence of queue.readySequences()) {
      if (tested === FILTER_TEST_MAX) break
      const cursor = this.bodies.find(queue.id, sequence)
      if (cursor === undefined) continue
      subject.at(cursor, name)
      if (content?.matches(subject) === false) continue
      tested += 1
      if (!filter.matches(subject)) continue
      matched += 1
      if (first.length < FILTER_TEST_FIRST) first.push(sequence)
    }
    return { tested, matched, first }
  }
}

/** The numbers of a producer are its principal's alone: another who knows its id neither ends it nor counts on for it. */
function producerOf({ name }: Principal, producer: string): string {
  return createHash('sha256').update(`${producer} ${name}`).digest('hex').slice(0, producer.length)
}
