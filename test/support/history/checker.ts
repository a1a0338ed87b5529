import type { HistoryEvent } from './events.ts'
import { judge } from './judge.ts'
import { type Counts, Findings, type HistoryReport, type ViolationKind } from './report.ts'
import {
  type Barrier,
  isAfter,
  isBefore,
  type Message,
  newBarrier,
  newMessage,
  publishesOf,
  QueueState,
  type Session,
} from './state.ts'

export interface CheckerOptions {
  /** Queues whose messages (or barriers) may appear on another one, without an event: dead letters, forwards, requeues. */
  readonly routes?: readonly { readonly from: string; readonly to: string }[]
  /** Length of the leases of a queue, in ms, less what clocks and the way may differ. */
  readonly leaseMs?: Readonly<Record<string, number>>
  /** Queues that deliver at most once: nothing comes twice, and a crash may lose what was on its way. */
  readonly atMostOnce?: ReadonlySet<string>
  /** Queues where an ack counts whoever sends it, also late. */
  readonly acksAny?: ReadonlySet<string>
  /** Messages with one `batch` exist all or not at all. */
  readonly atomicBatches?: boolean
  /** The publishes of one process to one queue keep their order although they are pipelined. */
  readonly fifoPublishers?: boolean
  /** *resurrected* is judged over all subscribers together. */
  readonly strict?: boolean
  /** How long after an answered ack a delivery sent before it may still be read by another; default 5,000. */
  readonly inFlightMs?: number
  /** Every session begins with a `subscribe`: what is delivered outside one was read late. */
  readonly sessionsAreTold?: boolean
  /** How long the server may go on sending to a connection whose client has noticed its end; default 30,000. */
  readonly halfOpenMs?: number
  /** Barriers that were ended early although nobody may have been told: `queue id`. */
  readonly endedEarly?: ReadonlySet<string>
  /** Barriers of whose batch so many messages were dropped without a word: `queue id`. */
  readonly dropped?: ReadonlyMap<string, number>
}

/** A suspicion that needs the whole history: that the message stands before the barrier, and was there. */
export interface Suspicion {
  readonly kind: 'barrier-early' | 'barrier-overtaken'
  readonly message: Message
  readonly barrier: Barrier
  readonly t: number
  /** What was delivered too early, for *overtaken*. */
  readonly overtaker?: Message
}

/** A message was delivered after one of a later batch: some barrier between them was passed. */
export interface Overtaking {
  readonly queue: QueueState
  readonly message: Message
  /** Its batch then. */
  readonly from: number
  readonly overtaker: Message
  readonly to: number
  readonly t: number
}

const IN_FLIGHT_MS = 5_000
const HALF_OPEN_MS = 30_000
/** Of one message before one barrier: the places of the first overtakers may turn out to be none behind it. */
const SUSPICIONS_MAX = 4

/**
 * Judges a history, event by event; what needs the end is judged in `finish`. Keeps a record of each message, not the
 * events.
 */
export class HistoryChecker {
  readonly options: CheckerOptions
  readonly findings: Findings = new Findings()
  readonly queues = new Map<string, QueueState>()
  readonly suspicions: Suspicion[] = []
  readonly overtakings: Overtaking[] = []
  readonly atomic = new Map<string, Message[]>()
  readonly counts: Counts = {
    attempts: 0,
    published_ok: 0,
    publish_failed: 0,
    publish_indeterminate: 0,
    deliveries: 0,
    delivered: 0,
    acked: 0,
    ok: 0,
    lost: 0,
    unexpected: 0,
    duplicated: 0,
    recovered: 0,
    outstanding: 0,
    barriers: 0,
    barrier_deliveries: 0,
  }
  /** Server kills so far. */
  epoch = 0
  lastKillAt: number = Number.NEGATIVE_INFINITY
  lastAt: number = Number.NEGATIVE_INFINITY
  #published = 0
  readonly #routesTo = new Map<string, string[]>()

  constructor(options: CheckerOptions = {}) {
    this.options = options
    for (const { from, to } of options.routes ?? []) {
      const known = this.#routesTo.get(to)
      if (known === undefined) this.#routesTo.set(to, [from])
      else known.push(from)
    }
  }

  take(event: HistoryEvent): void {
    this.lastAt = Math.max(this.lastAt, event.t)
    const { type } = event
    if (type === 'server-kill') this.#killed(event.t)
    else if (type === 'server-up') return
    else if (type === 'clock-jump') this.#clockJumped(event.by ?? 0)
    else if (type === 'disconnect') this.#disconnected(event)
    else this.#onQueue(event)
  }

  finish(): HistoryReport {
    judge(this)
    const { findings, counts } = this
    const isEmpty = counts.published_ok === 0 || counts.deliveries + counts.barrier_deliveries === 0
    const verdict = findings.violations.length > 0 ? 'fail' : isEmpty ? 'empty' : 'pass'
    return { verdict, counts, violations: findings.violations, violationCounts: findings.counts }
  }

  violation(kind: ViolationKind, of: { queue: string; id: string }, t: number, detail: string): void {
    this.findings.add({ kind, queue: of.queue, id: of.id, t, detail })
  }

  #onQueue(event: HistoryEvent): void {
    const queue = this.#queue(event.queue ?? '')
    const { type, phase } = event
    if (type === 'subscribe') this.#subscribed(queue, event)
    else if (type === 'unsubscribe') this.#unsubscribed(queue, event)
    else if (type === 'barrier-deliver') this.#barrierDelivered(queue, event)
    else if (type === 'barrier-publish') {
      if (phase === undefined) {
        this.#barrierPublish(queue, event, 'invoke')
        this.#barrierPublish(queue, event, 'ok')
      } else this.#barrierPublish(queue, event, phase)
    } else if (type.startsWith('barrier-publish-'))
      this.#barrierPublish(queue, event, type.slice('barrier-publish-'.length))
    else {
      const ids = event.ids ?? (event.id === undefined ? [] : [event.id])
      // Where a discard names nobody, all that there is may be gone.
      if (type === 'discard' && ids.length === 0) {
        queue.lastDiscardAt = event.t
        for (const message of queue.messages.values()) {
          message.isPerhapsGone = true
          queue.live.delete(message)
        }
      }
      for (const id of ids) this.#onMessage(queue, `${id}`, event.ids === undefined ? event : placeless(event))
    }
  }

  #onMessage(queue: QueueState, id: string, event: HistoryEvent): void {
    switch (event.type) {
      case 'publish-invoke':
        this.#publishInvoked(queue, id, event)
        break
      case 'publish-ok':
      case 'publish-fail':
      case 'publish-unknown':
        this.#publishAnswered(queue, id, event)
        break
      case 'deliver':
        this.#delivered(queue, id, event)
        break
      case 'ack-invoke':
      case 'ack-ok':
      case 'ack-fail':
        this.#acked(queue, id, event)
        break
      default:
        this.#gaveBack(queue, id, event)
    }
  }

  #queue(name: string): QueueState {
    const known = this.queues.get(name)
    if (known !== undefined) return known
    const queue = new QueueState(name)
    this.queues.set(name, queue)
    return queue
  }

  // ── publishing ─────────────────────────────────────────────────────────────────────────────────────────────────

  #publishInvoked(queue: QueueState, id: string, event: HistoryEvent): void {
    const message = queue.messages.get(id) ?? newMessage(queue.name, id, false)
    queue.messages.set(id, message)
    this.counts.attempts += 1
    message.attempts += 1
    if (event.dedupe) message.isDeduped = true
    if (event.cause !== undefined) message.isCarried = true
    if (event.level === 'accepted') message.isAccepted = true
    this.#invoked(message, event)
    if (event.ttl !== undefined) message.endsAt = Math.min(message.endsAt, event.t + event.ttl)
    if (event.batch !== undefined && message.atomic === undefined) {
      const group = `${event.batch}`
      message.atomic = group
      const members = this.atomic.get(group)
      if (members === undefined) this.atomic.set(group, [message])
      else members.push(message)
    }
    refresh(queue, message)
  }

  #invoked(place: Message | Barrier, { t, process = '' }: HistoryEvent): void {
    if (place.invokedAt !== undefined) return
    place.invokedAt = t
    place.publisher = process
    this.#published += 1
    place.publishedIndex = this.#published
  }

  #publishAnswered(queue: QueueState, id: string, event: HistoryEvent): void {
    const message = queue.messages.get(id)
    if (message === undefined) throw new Error(`${event.type} of ${id}, which was never invoked on ${queue.name}`)
    if (event.type === 'publish-fail') {
      message.fails += 1
      this.counts.publish_failed += 1
    } else if (event.type === 'publish-unknown') this.counts.publish_indeterminate += 1
    else {
      this.counts.published_ok += 1
      if (event.level === 'accepted' && message.confirmedAt === undefined) message.isAccepted = true
      message.confirmedAt ??= event.t
      this.#placed(queue, message, event)
    }
  }

  #barrierPublish(queue: QueueState, event: HistoryEvent, phase: string): void {
    const id = `${event.id ?? ''}`
    const barrier = queue.barriers.get(id) ?? newBarrier(queue.name, id, false)
    if (phase === 'invoke') {
      if (!queue.barriers.has(id)) this.counts.barriers += 1
      queue.barriers.set(id, barrier)
      queue.fences.add(barrier)
      barrier.attempts += 1
      this.#invoked(barrier, event)
    } else if (phase === 'ok') {
      barrier.confirmedAt ??= event.t
      this.#placed(queue, barrier, event)
    } else if (phase === 'fail') barrier.fails += 1
  }

  /** Notes where it is. */
  #placed(queue: QueueState, one: Message | Barrier, { seq, batch_number, t }: HistoryEvent): void {
    if (batch_number !== undefined) one.batch = batch_number
    if (seq === undefined) return
    // One that was requeued has a new number.
    one.seq = seq
    const other = queue.bySeq.get(seq)
    if (other !== undefined && other !== one.id)
      this.violation('sequence-reused', one, t, `${seq} was told for ${other} too`)
    queue.bySeq.set(seq, one.id)
    queue.highestSeq = Math.max(queue.highestSeq, seq)
  }

  // ── sessions ───────────────────────────────────────────────────────────────────────────────────────────────────

  #subscribed(queue: QueueState, event: HistoryEvent): Session {
    const { t, process = '', filter } = event
    const subscriber = event.subscriber ?? process
    const before = queue.sessions.get(subscriber)
    if (before?.isOpen) this.#end(before, t)
    const session: Session = {
      queue: queue.name,
      process,
      subscriber,
      startedAt: t,
      isFiltered: filter !== undefined && filter !== '',
      isOpen: true,
      held: new Set(),
      highestBatch: Number.NEGATIVE_INFINITY,
      highestSeq: Number.NEGATIVE_INFINITY,
      barriers: [],
      toldAt: new Map(),
      highestAtEnd: new Map(),
    }
    queue.sessions.set(subscriber, session)
    queue.allSessions.push(session)
    return session
  }

  /** The session of a delivery; none if it was read after its session had ended. */
  #sessionOf(queue: QueueState, event: HistoryEvent): Session | undefined {
    const session = queue.sessions.get(event.subscriber ?? event.process ?? '')
    if (session === undefined) return this.options.sessionsAreTold ? undefined : this.#subscribed(queue, event)
    return session.isOpen ? session : undefined
  }

  #unsubscribed(queue: QueueState, event: HistoryEvent): void {
    // Also before the answer to its subscribe was read: what was sent behind that answer comes back too.
    queue.lastReturnAt = event.t
    const session = queue.sessions.get(event.subscriber ?? event.process ?? '')
    if (session?.isOpen) this.#end(session, event.t)
  }

  #disconnected({ t, process, subscriber, queue: name }: HistoryEvent): void {
    for (const queue of this.queues.values()) {
      if (name !== undefined && queue.name !== name) continue
      // Also what was sent before the answer to its subscribe was read, and is not known here as a session.
      queue.lastReturnAt = t
      for (const session of queue.sessions.values()) {
        const isMeant = subscriber === undefined ? session.process === process : session.subscriber === subscriber
        if (session.isOpen && isMeant) this.#end(session, t)
      }
    }
  }

  #killed(t: number): void {
    this.epoch += 1
    this.lastKillAt = t
    for (const queue of this.queues.values())
      for (const session of queue.sessions.values()) if (session.isOpen) this.#end(session, t)
  }

  /** Ends of life count by the wall clock over a restart (R6). They may come later, too: what may be gone need not be. */
  #clockJumped(by: number): void {
    if (by <= 0) return
    for (const queue of this.queues.values()) for (const message of queue.messages.values()) message.endsAt -= by
  }

  #end(session: Session, t: number): void {
    session.isOpen = false
    const queue = this.#queue(session.queue)
    queue.lastReturnAt = t
    for (const message of session.held) {
      message.holder = undefined
      message.mayComeAgain = true
    }
    session.held.clear()
    for (const name of this.#routesTo.get(session.queue) ?? []) {
      const origin = this.queues.get(name)
      if (origin !== undefined) session.highestAtEnd.set(name, origin.highestSeq)
    }
  }

  // ── deliveries ─────────────────────────────────────────────────────────────────────────────────────────────────

  #delivered(queue: QueueState, id: string, event: HistoryEvent): void {
    const { t } = event
    this.counts.deliveries += 1
    const { subscriber = event.process ?? '', seq } = event
    const message = this.#livedAgain(queue, event, this.#found(queue, id, { seq, by: queue.sessions.get(subscriber) }))
    if (message === undefined || publishesOf(message) <= 0) {
      this.counts.unexpected += 1
      const why = message === undefined ? 'it was never published here' : 'its publish surely failed'
      this.violation('unexpected', { queue: queue.name, id }, t, why)
      return
    }
    if (message.movedAt !== undefined) {
      // It went elsewhere and cannot come back from there. One that was on its way may still be read, over a crash only by
      // whoever had it before.
      const isLate =
        t - message.movedAt > (this.options.halfOpenMs ?? HALF_OPEN_MS) || this.lastKillAt > message.movedAt
      if (isLate && this.#sessionOf(queue, event) !== undefined)
        this.violation('unexpected', message, t, `it had left the queue at ${message.movedAt}`)
      return
    }
    this.#flagged(queue, message, event)
    const session = this.#sessionOf(queue, event)
    // Attempts only rise, and so do the places of a message that was away, or that a crash took and its publisher sent again.
    const isOvertaken =
      (event.attempt !== undefined && event.attempt < message.highestAttempt) ||
      (event.seq !== undefined && event.seq < (message.seq ?? Number.NEGATIVE_INFINITY))
    if (event.attempt !== undefined) message.highestAttempt = Math.max(message.highestAttempt, event.attempt)
    message.deliveries += 1
    if (message.deliveries === 1) {
      this.counts.delivered += 1
      if (message.confirmedAt === undefined) this.counts.recovered += 1
    } else if (message.deliveries > message.attempts) this.counts.duplicated += 1
    // Read late: it was sent before something that is known already, and says nothing about the order.
    if (session === undefined || isOvertaken) {
      if (message.deliveries === 1) message.mayComeAgain = true
      // But it says which stay in the queue it was of: with another number it has been away, and is a new one.
      message.seq ??= event.seq
      // And that it was sent: what has to come before it must have been settled by then.
      if (session === undefined && !isOvertaken && event.attempt !== undefined && message.batch === undefined) {
        message.batch = event.batch_number
        if ((message.batch ?? -1) > (queue.furthest?.batch ?? -1)) queue.furthest = message
      }
      return
    }
    this.#placed(queue, message, event)
    this.#repeated(queue, message, session, event)
    message.holder?.held.delete(message)
    message.holder = session
    message.mayComeAgain = false
    message.lastDeliveredAt = t
    message.lastSession = session
    if (!this.options.acksAny?.has(queue.name)) message.acking.clear()
    if (message.ackedAt === undefined) session.held.add(message)
    refresh(queue, message)
    this.#ordered(queue, message, session, t)
    if (event.attempt !== undefined && !this.options.acksAny?.has(queue.name)) this.#behind(queue, message, t)
  }

  /** What is delivered now was not settled before: so nothing behind a barrier that it precedes can have gone out. */
  #behind(queue: QueueState, message: Message, t: number): void {
    const { furthest } = queue
    if (message.batch === undefined) return
    if (furthest?.batch === undefined || message.batch >= furthest.batch) {
      queue.furthest = message
      return
    }
    // Which barrier is between them is perhaps told only later.
    this.overtakings.push({ queue, message, from: message.batch, overtaker: furthest, to: furthest.batch, t })
  }

  /**
   * The message, also one that came over a route.
   *
   * @param read.by whose session read it
   */
  #found(
    queue: QueueState,
    id: string,
    { seq, by }: { readonly seq?: number | undefined; readonly by?: Session | undefined } = {},
  ): Message | undefined {
    const known = queue.messages.get(id)
    // With its old number it has not come back: it is read late.
    if (known !== undefined && (known.movedAt === undefined || (seq !== undefined && seq === known.seq))) return known
    for (const name of this.#routesTo.get(queue.name) ?? []) {
      const origin = this.queues.get(name)
      const before = origin?.messages.get(id) ?? (origin === undefined ? undefined : this.#throughOrigin(origin, id))
      if (origin === undefined || before === undefined || before.movedAt !== undefined || publishesOf(before) <= 0)
        continue
      // Acked there it has come to its end: what is read where it had left was sent before. So it is where the ack has no
      // answer, if it stands where others stood already when it was gone.
      const isOldPlace = known !== undefined && seq !== undefined && seq <= known.highestAtMove
      if (known !== undefined && (before.ackedAt !== undefined || (before.acking.size > 0 && isOldPlace))) continue
      before.movedAt = this.lastAt
      // Read late, it was here when the session ended that it was sent in, and may have gone back before it was read.
      const isLate = by !== undefined && !by.isOpen
      before.highestAtMove = (isLate ? by.highestAtEnd.get(name) : undefined) ?? origin.highestSeq
      before.holder?.held.delete(before)
      before.holder = undefined
      origin.live.delete(before)
      const moved = newMessage(queue.name, id, true)
      moved.invokedAt = before.invokedAt
      moved.confirmedAt = before.confirmedAt
      queue.messages.set(id, moved)
      return moved
    }
    return known
  }

  /** With another number it has been elsewhere and is back, though nobody got it there: a dead letter that was requeued. */
  #livedAgain(queue: QueueState, { seq }: HistoryEvent, message: Message | undefined): Message | undefined {
    if (message?.seq === undefined || seq === undefined || seq <= message.seq || message.deliveries === 0)
      return message
    const isRound = (this.#routesTo.get(queue.name) ?? []).some(name => this.#routesTo.get(name)?.includes(queue.name))
    if (!isRound) return message
    this.#letGo(message)
    message.movedAt = this.lastAt
    queue.live.delete(message)
    const again = newMessage(queue.name, message.id, true)
    again.invokedAt = message.invokedAt
    again.confirmedAt = message.confirmedAt
    queue.messages.set(message.id, again)
    return again
  }

  /** A message that nobody got in the queue between two routes. */
  #throughOrigin(origin: QueueState, id: string): Message | undefined {
    const isKnownFurther = (this.#routesTo.get(origin.name) ?? []).some(
      name => this.queues.get(name)?.messages.get(id)?.movedAt === undefined && this.queues.get(name)?.messages.has(id),
    )
    return isKnownFurther ? this.#found(origin, id) : undefined
  }

  #flagged(queue: QueueState, message: Message, { redelivered, t }: HistoryEvent): void {
    if (redelivered === false) {
      message.unflagged += 1
      // Accepted, delivered, taken by a crash, and sent again by a publisher without an answer: a new one to the server.
      const wasLost = message.isAccepted && this.lastKillAt >= (message.invokedAt ?? 0)
      if (message.unflagged > publishesOf(message) && !wasLost)
        this.violation(
          'redelivered-flag-missing',
          message,
          t,
          `delivery ${message.deliveries + 1} says it is the first`,
        )
    }
    if (redelivered !== true || message.deliveries > 0 || message.isMoved) return
    const since = message.invokedAt ?? t
    const leaseMs = this.options.leaseMs?.[queue.name]
    const mayHaveRunOut = leaseMs !== undefined && t - since >= leaseMs
    const goneSince = since - (this.options.halfOpenMs ?? HALF_OPEN_MS)
    if (queue.lastReturnAt >= goneSince || this.epoch > 0 || mayHaveRunOut) return
    this.violation('redelivered-flag-spurious', message, t, 'nobody can have had it before')
  }

  #repeated(queue: QueueState, message: Message, session: Session, { t }: HistoryEvent): void {
    if (message.deliveries === 1) return
    const { ackedAt } = message
    if (ackedAt !== undefined) {
      const isLate = t - ackedAt > (this.options.inFlightMs ?? IN_FLIGHT_MS)
      if (message.ackedBy === session.subscriber || this.epoch > message.ackedEpoch || isLate) {
        this.violation('acked-then-redelivered', message, t, `acked by ${message.ackedBy} at ${ackedAt}`)
        return
      }
    }
    if (message.deliveries <= publishesOf(message)) return
    const leaseMs = this.options.leaseMs?.[queue.name]
    const hasRunOut = leaseMs !== undefined && t - message.lastDeliveredAt >= leaseMs
    const isAllowed = this.options.atMostOnce?.has(queue.name) ? false : message.mayComeAgain || hasRunOut
    if (!isAllowed) this.violation('duplicate-without-cause', message, t, `${message.holder?.subscriber} still had it`)
  }

  #ordered(queue: QueueState, message: Message, session: Session, t: number): void {
    const isFifo = this.options.fifoPublishers ?? false
    const after = this.options.strict ? queue.barriers.values() : session.barriers
    for (const barrier of after) {
      if (barrier.deliveredAt === undefined || this.isEndedEarly(barrier) || !isBefore(message, barrier, isFifo))
        continue
      this.violation('barrier-resurrected', message, t, `it came after barrier ${barrier.id}`)
      break
    }
    if (message.batch !== undefined) session.highestBatch = Math.max(session.highestBatch, message.batch)
    if (message.seq !== undefined) session.highestSeq = Math.max(session.highestSeq, message.seq)
    for (const barrier of queue.fences) {
      if (barrier.isCleared || !isAfter(message, barrier, isFifo)) continue
      let isClear = true
      for (const earlier of queue.live) {
        if (earlier === message || t >= earlier.endsAt || isAfter(earlier, barrier, isFifo)) continue
        isClear = false
        const count = barrier.suspected.get(earlier) ?? 0
        if (count >= SUSPICIONS_MAX) continue
        barrier.suspected.set(earlier, count + 1)
        this.suspicions.push({ kind: 'barrier-overtaken', message: earlier, barrier, t, overtaker: message })
      }
      if (isClear) {
        barrier.isCleared = true
        queue.fences.delete(barrier)
      }
    }
  }

  #barrierDelivered(queue: QueueState, event: HistoryEvent): void {
    const { t, outcome, replayed = false, redelivered = false } = event
    const id = `${event.id ?? ''}`
    this.counts.barrier_deliveries += 1
    const barrier = queue.barriers.get(id) ?? this.#forwarded(queue, id)
    if (barrier === undefined || (!barrier.isMoved && barrier.attempts - barrier.fails <= 0)) {
      this.violation(
        'barrier-unexpected',
        { queue: queue.name, id },
        t,
        'it was never published here, or surely failed',
      )
      return
    }
    const session = this.#sessionOf(queue, event)
    if (outcome !== undefined) barrier.outcome = outcome
    this.#placed(queue, barrier, event)
    const subscriber = event.subscriber ?? event.process ?? ''
    const isFirst = barrier.deliveredAt === undefined
    barrier.deliveredAt ??= t
    if (session === undefined) return
    this.#barrierRepeated(barrier, session, { subscriber, isFlagged: replayed || redelivered, t })
    if (!replayed) {
      this.#barrierOrdered(barrier, session, t)
      session.toldAt.set(barrier, t)
    }
    barrier.deliveredTo.set(subscriber, session)
    session.barriers.push(barrier)
    if (!isFirst || this.isEndedEarly(barrier)) return
    queue.fences.delete(barrier)
    for (const message of queue.live) {
      if (t >= message.endsAt || isAfter(message, barrier, this.options.fifoPublishers ?? false)) continue
      this.suspicions.push({ kind: 'barrier-early', message, barrier, t })
    }
  }

  #forwarded(queue: QueueState, id: string): Barrier | undefined {
    if (!this.#canReach(queue.name, id, new Set())) return undefined
    const barrier = newBarrier(queue.name, id, true)
    queue.barriers.set(id, barrier)
    return barrier
  }

  /** Whether a barrier of that name was published where routes lead from. */
  #canReach(name: string, id: string, seen: Set<string>): boolean {
    if (seen.has(name)) return false
    seen.add(name)
    return (this.#routesTo.get(name) ?? []).some(
      from => this.queues.get(from)?.barriers.has(id) || this.#canReach(from, id, seen),
    )
  }

  #barrierRepeated(
    barrier: Barrier,
    session: Session,
    { subscriber, isFlagged, t }: { subscriber: string; isFlagged: boolean; t: number },
  ): void {
    if (barrier.ackedBy.has(subscriber)) {
      this.violation('barrier-duplicate', barrier, t, `${subscriber} had acked it`)
      return
    }
    if (!barrier.deliveredTo.has(subscriber)) return
    if (barrier.deliveredTo.get(subscriber) === session)
      this.violation('barrier-duplicate', barrier, t, `twice to ${subscriber}, without a cause`)
    else if (!isFlagged) this.violation('redelivered-flag-missing', barrier, t, `again to ${subscriber}, unmarked`)
  }

  #barrierOrdered(barrier: Barrier, session: Session, t: number): void {
    const isBehind =
      barrier.batch !== undefined && session.highestBatch > Number.NEGATIVE_INFINITY
        ? session.highestBatch > barrier.batch
        : barrier.seq !== undefined && session.highestSeq > barrier.seq
    if (isBehind) this.violation('barrier-order', barrier, t, `${session.subscriber} got what is behind it before`)
  }

  isEndedEarly(barrier: Barrier): boolean {
    const { outcome } = barrier
    if (this.options.endedEarly?.has(`${barrier.queue} ${barrier.id}`)) return true
    return outcome === 'expired' || outcome === 'cancelled' || outcome === 'failed'
  }

  /** Whether it may have been dropped with a batch that was ended early, and how many were in its queue. */
  mayBeDropped(message: Message): boolean {
    const queue = this.queues.get(message.queue)
    for (const barrier of queue?.barriers.values() ?? []) {
      const isFifo = this.options.fifoPublishers ?? false
      if (this.options.dropped?.has(`${barrier.queue} ${barrier.id}`) && !isAfter(message, barrier, isFifo)) return true
    }
    return false
  }

  // ── settling ───────────────────────────────────────────────────────────────────────────────────────────────────

  #acked(queue: QueueState, id: string, event: HistoryEvent): void {
    const subscriber = event.subscriber ?? event.process ?? ''
    const barrier = queue.barriers.get(id)
    const message = queue.messages.get(id)
    if (message === undefined) {
      if (event.type === 'ack-ok') barrier?.ackedBy.add(subscriber)
      return
    }
    if (event.type === 'ack-invoke') {
      message.acking.set(subscriber, { leftAt: event.t, delivery: event.delivery })
      message.acksOpen += 1
    } else if (event.type === 'ack-fail') {
      message.acksOpen -= 1
      // Of a delivery whose lease had run out (D7); the ack of the next one, to the same subscriber, is on its way.
      const isOther = message.acking.get(subscriber)?.delivery !== event.delivery
      if (isOther && message.acking.has(subscriber)) return
      // Where an ack counts whoever sends it, an earlier one may be why this one was refused.
      if (message.acksOpen <= 0 || !this.options.acksAny?.has(queue.name)) message.acking.delete(subscriber)
      message.mayComeAgain = true
      if (message.holder?.subscriber === subscriber) this.#letGo(message)
    } else {
      this.counts.acked += 1
      const leftAt = message.acking.get(subscriber)?.leftAt ?? event.t
      if (message.batch !== undefined)
        queue.lastAckOf.set(message.batch, Math.max(leftAt, queue.lastAckOf.get(message.batch) ?? leftAt))
      message.ackedAt ??= event.t
      message.ackedBy ??= subscriber
      message.ackedEpoch = this.epoch
      this.#letGo(message)
    }
    refresh(queue, message)
  }

  #letGo(message: Message): void {
    message.holder?.held.delete(message)
    message.holder = undefined
  }

  #gaveBack(queue: QueueState, id: string, event: HistoryEvent): void {
    const message = queue.messages.get(id)
    if (message === undefined) return
    const isEnd = event.type === 'nack' ? event.requeue === false : event.type !== 'lease-expired'
    if (isEnd) message.ended = event.type
    else queue.lastReturnAt = event.t
    message.mayComeAgain = true
    this.#letGo(message)
    if (event.type === 'dead-letter' && event.to !== undefined) this.#deadLettered(message, event.to)
    refresh(queue, message)
  }

  #deadLettered(message: Message, to: string): void {
    message.movedAt = this.lastAt
    const target = this.#queue(to)
    const moved = newMessage(to, message.id, true)
    moved.invokedAt = message.invokedAt
    moved.confirmedAt = message.confirmedAt
    target.messages.set(message.id, moved)
    refresh(target, moved)
  }
}

/** Keeps the set of what is live. */
function refresh(queue: QueueState, message: Message): void {
  const isOver =
    message.ackedAt !== undefined ||
    message.ended !== undefined ||
    message.movedAt !== undefined ||
    message.isPerhapsGone ||
    message.acking.size > 0
  if (isOver) queue.live.delete(message)
  else queue.live.add(message)
}

function placeless(event: HistoryEvent): HistoryEvent {
  const { seq: _, batch_number: __, attempt: ___, ...rest } = event
  return rest
}
