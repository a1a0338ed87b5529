import type { BatchRest, DeadReason, Fact, Timestamp, TurnNumber } from '../../../src/core/facts.ts'
import { DEFAULT_OPTIONS, type QueueOptions } from '../../../src/core/options.ts'
import type { Turn } from '../../../src/core/turn.ts'
import { Referee } from './referee.ts'
import { refusesBarrier, refusesCarried } from './refusing.ts'
import {
  type Answer,
  type Barrier,
  broken,
  type Change,
  colorOf,
  type Done,
  type Gathering,
  type How,
  heldAs,
  isBefore,
  isBusy,
  isEnding,
  type Message,
  must,
  NO_STATS,
  type Numbers,
  newQueue,
  open,
  type Piece,
  type PieceRun,
  type Queue,
  type Step,
  type Subscription,
  seenAs,
  sizeOf,
  statsOf,
  type Terms,
  takes,
} from './words.ts'

const DAY_MS = 86_400_000
const OUTCOMES = ['clean', 'with-dead', 'expired', 'cancelled', 'failed']

/** D15: what was carried goes before what came into the later batch. */
function inGroupOrder(a: Message, b: Message): number {
  return a.born - b.born || a.sequence - b.sequence
}

function worst(outcomes: readonly string[]): string {
  return OUTCOMES.findLast(outcome => outcomes.includes(outcome)) ?? 'clean'
}

/**
 * The reference: what `spec/queues.md` promises, in lists and linear scans. It knows the rules and nothing of the code.
 *
 * Where the rules leave a choice (who gets the next message among equals, in which order dead letters of one turn arrive)
 * it looks at what the core chose, says which rule that breaks, if any, and follows it.
 */
export class Model {
  readonly queues: Map<string, Queue> = new Map()
  readonly subscriptions: Map<number, Subscription> = new Map()
  /** Names by the numbers that the core gives to queues. */
  readonly names: Map<number, string> = new Map()
  #turn: TurnNumber = 0
  #now: Timestamp = 0
  #committed: TurnNumber = 0
  #touched = new Set<Queue>()
  #moves: { from: Queue; message: Message; to: string; reason: DeadReason }[] = []
  #referee: Referee | undefined
  #facts: readonly Fact[] = []
  /** Queues in which something of an ended batch went, in this turn. */
  #worked = new Set<string>()
  /** Messages that expired in this turn before a batch of their queue was ended. */
  #overBefore = new Map<string, number[]>()

  copy(): Model {
    const copy = new Model()
    for (const [id, name] of this.names) copy.names.set(id, name)
    for (const queue of this.queues.values()) copy.queues.set(queue.name, structuredClone(queue))
    for (const [id, subscription] of this.subscriptions) copy.subscriptions.set(id, structuredClone(subscription))
    return copy
  }

  /** Carries out a step as the rules want it, and checks what the core made of it. */
  step(done: Done): void {
    const { step, turn, now, committed, answers: got } = done
    this.#referee = new Referee(this, done)
    this.#turn = turn.number
    this.#now = now
    this.#committed = committed
    this.#facts = turn.facts
    this.#worked = this.#workedIn(turn)
    this.#overBefore = this.#overBeforeDeadlines(turn)
    const answers = this.#carryOut(step)
    must(answers.join() === got.join(), 'answers', () => `to ${step.kind} [${got}], should be [${answers}]`)
    // What is forwarded touches the queue it comes to.
    for (const fact of turn.facts) if (fact.kind === 'barrierPublished') this.#touchId(fact.queue)
    for (const queue of this.#touched) this.#expire(queue)
    this.#arriveDead(turn)
    for (const queue of this.#touched) this.#fail(queue)
    while ([...this.queues.values()].some(queue => this.#release(queue)));
    this.#touched.clear()
    for (const fact of turn.facts) {
      if (fact.kind === 'queueDeclared') this.names.set(fact.queue, fact.name)
      if (fact.kind === 'producerForgotten') this.#forget(this.queue(this.names.get(fact.queue) ?? ''), fact.producer)
    }
    for (const effect of turn.effects) this.#referee.follow(effect)
    this.#referee.finish()
  }

  /** At a tick another queue may touch this one before its own time is looked at: then its barrier may be due already. */
  #wasDone(queue: Queue, { sequence, ended }: Barrier): boolean {
    const isOurs = (id: number) => this.names.get(id) === queue.name
    const end = this.#facts.find(
      fact => fact.kind === 'barrierPublished' && isOurs(fact.queue) && fact.sequence === sequence && fact.ended,
    )
    // A message that expires in this turn may fail its batch before the deadline is looked at.
    if (end?.kind === 'barrierPublished') return end.ended?.outcome === 'failed'
    if (ended !== undefined) return false
    return this.#facts.some(
      fact => fact.kind === 'barrierReleased' && isOurs(fact.queue) && fact.record.sequence === sequence,
    )
  }

  #overBeforeDeadlines({ facts }: Turn): Map<string, number[]> {
    const over = new Map<string, number[]>()
    const ended = new Set<number>()
    for (const fact of facts) {
      if (fact.kind === 'barrierPublished' && fact.ended !== undefined) ended.add(fact.queue)
      const isExpiry =
        (fact.kind === 'settled' && fact.reason === 'expired') ||
        (fact.kind === 'moved' && fact.run.origin?.reason === 'expired')
      if (!isExpiry || ended.has(fact.queue)) continue
      const [first, count] = fact.kind === 'moved' ? [fact.sequence, 1] : [fact.first, fact.count]
      const name = this.names.get(fact.queue) ?? ''
      over.set(name, [...(over.get(name) ?? []), ...Array.from({ length: count }, (_, k) => first + k)])
    }
    return over
  }

  #workedIn({ facts }: Turn): Set<string> {
    const names = facts.flatMap(fact => {
      if (fact.kind === 'settled' && fact.reason === 'dropped') return [this.names.get(fact.queue) ?? '']
      const origin = fact.kind === 'moved' ? fact.run.origin : undefined
      return origin?.reason.startsWith('batch-') === true ? [origin.queue] : []
    })
    return new Set(names)
  }

  #carryOut(step: Step): Answer[] {
    switch (step.kind) {
      case 'declare':
        this.#declare(step.queue, step.options)
        return []
      case 'delete':
        return this.#delete(this.queue(step.queue))
      case 'publish':
        return this.#publish(this.queue(step.queue), step.pieces, { isAccepted: step.isAccepted })
      case 'numbered':
        return this.#publishNumbered(this.queue(step.queue), step.pieces, step)
      case 'subscribe':
        return this.#subscribe(this.queue(step.queue), step, step.afterBatch)
      case 'unsubscribe':
        this.#unsubscribe(this.subscription(step.subscription), step.isGone)
        return []
      case 'change':
        this.#change(this.subscription(step.subscription), step)
        return []
      case 'settle':
        return this.#settle(step)
      case 'tick':
        this.#tickAll()
        return []
      case 'requeue':
        return [`${this.#requeue(this.#touch(step.queue), step.sequences)} requeued`]
      case 'pause':
        this.#touch(step.queue).isPaused = step.isPaused
        return []
      case 'update':
        this.#touch(step.queue).options = step.options
        this.#declareNamed(step.options)
        return []
      case 'cancel':
      case 'extend':
        return [this.#endOrExtend(this.#touch(step.queue), step)]
      case 'purge':
        return [`${this.#purge(this.#touch(step.queue), step)} purged`]
      case 'stop':
        for (const queue of this.queues.values()) this.#stop(queue)
        return []
      case 'restart':
        for (const queue of this.queues.values()) this.#restart(queue, step.isClean)
        this.subscriptions.clear()
        return []
    }
  }

  queue(name: string): Queue {
    return this.queues.get(name) ?? broken('model', `there is no queue ${name}`)
  }

  #touchId(id: number): void {
    const queue = this.queues.get(this.names.get(id) ?? '')
    if (queue !== undefined) this.#touched.add(queue)
  }

  #touch(name: string): Queue {
    const queue = this.queue(name)
    this.#touched.add(queue)
    return queue
  }

  subscription(id: number): Subscription {
    return this.subscriptions.get(id) ?? broken('model', `there is no subscription ${id}`)
  }

  // ── queues ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #declare(name: string, options: QueueOptions): Queue {
    const queue = newQueue(name, this.#turn, options)
    this.queues.set(name, queue)
    this.#declareNamed(options)
    return queue
  }

  /** A7: what is named and missing is declared with it. A dead-letter queue has none of its own unless given. */
  #declareNamed({ deadLetter, forwardBarrier }: QueueOptions): void {
    if (deadLetter !== undefined && deadLetter !== 'drop' && !this.queues.has(deadLetter))
      this.#declare(deadLetter, { ...DEFAULT_OPTIONS, deadLetter: 'drop' })
    for (const name of forwardBarrier) if (!this.queues.has(name)) this.#declare(name, DEFAULT_OPTIONS)
  }

  #delete(queue: Queue): Answer[] {
    for (const other of this.queues.values())
      if (other !== queue && [other.options.deadLetter, ...other.options.forwardBarrier].includes(queue.name))
        return ['queue-in-use']
    for (const subscription of this.of(queue)) {
      this.#referee?.expect(subscription, 'cancelled queue-deleted')
      this.subscriptions.delete(subscription.id)
    }
    for (const message of queue.live) this.#touchHome(message)
    this.#touched.delete(queue)
    this.#referee?.expectOf(queue, 'deleted')
    this.queues.delete(queue.name)
    // B15: what waits there goes on as cancelled.
    for (const { name, color, batches = [] } of queue.waiting)
      this.#forward(queue, { name, color, batches: [...batches, 'cancelled'] })
    for (const { name } of queue.gathering) this.#forward(queue, { name, color: 0, batches: ['cancelled'] })
    return ['deleted']
  }

  /** Where dead letters go; undefined: dropped. A dead-letter queue has none of its own unless given (options table). */
  deadLetterName({ name, options }: Queue): string | undefined {
    if (options.deadLetter !== undefined) return options.deadLetter === 'drop' ? undefined : options.deadLetter
    for (const other of this.queues.values())
      if (other.name !== name && (other.options.deadLetter ?? `${other.name}.dead`) === name) return undefined
    return `${name}.dead`
  }

  // ── publishing ─────────────────────────────────────────────────────────────────────────────────────────────────

  #publish(queue: Queue, pieces: readonly Piece[], how: { isAccepted?: boolean; batch?: number }): Answer[] {
    this.#touched.add(queue)
    this.#forgetIds(queue)
    return pieces.flatMap((piece): Answer[] => {
      if (piece.kind === 'refused') return Array.from({ length: piece.count }, () => 'not-accepted')
      if (piece.kind === 'barrier') return [this.#publishBarrier(queue, piece)]
      const seen = piece.id === undefined ? undefined : seenAs(queue, piece.id, this.#now)
      if (seen !== undefined) return [`${seen.sequence} in ${seen.batch} duplicate`]
      if (piece.id !== undefined) {
        if (queue.seen.length >= queue.options.dedupeMax) return ['server-busy']
        const { id } = piece
        queue.seen = queue.seen.filter(other => other.id !== id)
        queue.seen.push({ id, sequence: queue.next, batch: how.batch ?? open(queue), at: this.#now })
      }
      return piece.runs.flatMap(run =>
        Array.from({ length: run.count }, () => this.#enqueue(queue, run, how.isAccepted === true, how.batch)),
      )
    })
  }

  /** From the oldest on, those whose window is over. */
  #forgetIds(queue: Queue): void {
    const isOver = ({ at }: Queue['seen'][number]) => at + queue.options.dedupeWindowMs <= this.#now
    while (queue.seen[0] !== undefined && isOver(queue.seen[0])) queue.seen.shift()
  }

  #enqueue(queue: Queue, run: PieceRun, isAccepted: boolean, batch = open(queue)): Answer {
    // P3: a number is told before the disk only when it is reserved there; the first such publish reserves for the later.
    const isEarly = isAccepted && queue.reservedIn > 0 && queue.reservedIn <= this.#committed
    if (isAccepted && queue.reservedIn === 0) queue.reservedIn = this.#turn
    const never = Number.POSITIVE_INFINITY
    const ttlMs = Math.min(run.ttlMs ?? never, queue.options.expirationMs ?? never)
    const message = this.#add(queue, batch, {
      priority: run.priority ?? 0,
      group: run.group,
      expiresAt: this.#now + ttlMs,
      dueAt: (run.delayMs ?? 0) > 0 ? this.#now + Math.min(run.delayMs ?? 0, ttlMs) : 0,
      enqueuedIn: isEarly ? 0 : this.#turn,
      origin: undefined,
    })
    return `${message.sequence} in ${batch}${isEarly ? ' early' : ''}`
  }

  #add(
    queue: Queue,
    batch: number,
    terms: Pick<Message, 'priority' | 'group' | 'expiresAt' | 'dueAt' | 'enqueuedIn' | 'origin'>,
    isBack = false,
  ): Message {
    const message: Message = {
      ...terms,
      sequence: queue.next,
      batch,
      born: batch,
      isHead: false,
      state: 'ready',
      attempts: 0,
      readyIn: 0,
      mayWaitFor: 0,
      delivered: 'no',
      lease: undefined,
    }
    queue.next += 1
    for (const other of queue.live) {
      if (other.enqueuedIn <= this.#committed) continue
      other.mayWaitFor = this.#turn
      message.mayWaitFor = this.#turn
    }
    queue.live.push(message)
    this.#place(queue, message)
    if (isBack) return message
    const stats = statsOf(queue, batch)
    stats.published += 1
    stats.firstPublishedAt ??= this.#now
    return message
  }

  /** D15: of a group in a batch one is the head, and the others wait behind it, whatever they are. */
  #place(queue: Queue, message: Message): void {
    const { group, batch } = message
    if (group !== undefined && !message.isHead) {
      if (queue.live.some(other => other.isHead && other.group === group && other.batch === batch)) {
        message.state = 'ready'
        return
      }
      message.isHead = true
    }
    message.state = message.dueAt > this.#now ? 'delayed' : 'ready'
  }

  /** The next of a group follows a head that is gone; it goes out once that one's end is on disk. */
  #promote(queue: Queue, { group, batch, isHead }: Message): void {
    if (group === undefined || !isHead) return
    const next = queue.live.filter(other => other.group === group && other.batch === batch).sort(inGroupOrder)[0]
    if (next === undefined) return
    next.enqueuedIn = Math.max(next.enqueuedIn, this.#turn)
    next.readyIn = this.#turn
    this.#place(queue, next)
  }

  #publishBarrier(queue: Queue, piece: Extract<Piece, { kind: 'barrier' }>): Answer {
    const refusal = refusesBarrier(queue, piece)
    const { name, color, rest, party, parties, deadlineMs = Number.POSITIVE_INFINITY } = piece
    if (refusal === 'duplicate') {
      const arrival = queue.gathering.find(other => other.name === name)?.arrivals.find(known => known.party === party)
      if (arrival !== undefined) return `${arrival.sequence} in ${open(queue)} duplicate`
      const placed = [...queue.waiting, ...queue.records].find(other => other.name === name)
      const at = placed?.parties?.arrived.indexOf(party ?? '') ?? -1
      return `${placed?.parties?.sequences[at]} in ${placed?.batch} duplicate`
    }
    if (refusal !== undefined) return refusal
    const batch = open(queue)
    const sequence = queue.next
    const deadlineAt = this.#now + deadlineMs
    queue.next += 1
    const answer = `${sequence} in ${batch}`
    if (name === undefined || party === undefined || parties === undefined || parties === 1) {
      const known = party === undefined ? {} : { parties: { count: 1, arrived: [party], sequences: [sequence] } }
      this.#placeBarrier(queue, { sequence, name, color, rest, deadlineAt, ...known })
      return answer
    }
    let gathering = queue.gathering.find(other => other.name === name)
    if (gathering === undefined) {
      gathering = { name, count: parties, deadlineAt, arrivals: [] }
      queue.gathering.push(gathering)
    }
    gathering.arrivals.push({ sequence, party, color, rest })
    if (gathering.deadlineAt === Number.POSITIVE_INFINITY) gathering.deadlineAt = deadlineAt
    if (gathering.arrivals.length === gathering.count) this.#placeGathered(queue, gathering)
    return answer
  }

  #placeBarrier(queue: Queue, barrier: Omit<Barrier, 'batch' | 'publishedAt' | 'ended'>): Barrier {
    const placed: Barrier = { ...barrier, batch: open(queue), publishedAt: this.#now, ended: undefined }
    queue.waiting.push(placed)
    queue.stats.push({ ...NO_STATS })
    return placed
  }

  /** B14: its place is that of the party that came last, if that was the last; of what they say the last word counts. */
  #placeGathered(queue: Queue, gathering: Gathering): Barrier {
    queue.gathering.splice(queue.gathering.indexOf(gathering), 1)
    const { name, count, arrivals, deadlineAt } = gathering
    const { sequence: last = 0, color = 0 } = arrivals.at(-1) ?? {}
    const sequence = arrivals.length === count ? last : queue.next
    if (arrivals.length < count) queue.next += 1
    const rest = arrivals.findLast(arrival => arrival.rest !== undefined)?.rest
    const sequences = arrivals.map(arrival => arrival.sequence)
    const parties = { count, arrived: arrivals.map(({ party }) => party), sequences }
    return this.#placeBarrier(queue, { sequence, name, color, rest, deadlineAt, parties })
  }

  /** P9: what was taken before gets its first answer, the rest is new. */
  #publishNumbered(queue: Queue, pieces: readonly Piece[], { producer, number, answeredUpTo }: Numbers): Answer[] {
    // Of a producer that is new, or has been forgotten, any number is the first.
    const known = queue.producers.get(producer) ?? { last: number - 1, usedAt: 0, answers: new Map() }
    if (number > known.last + 1) return ['out of turn']
    let at = number
    const fresh = pieces.filter(piece => {
      const isNew = at > known.last
      at += sizeOf(piece)
      return isNew
    })
    const answers: Answer[] = []
    for (let k = number; k < at && k <= known.last; k += 1)
      answers.push(known.answers.get(k) ?? broken('model', `producer number ${k} is asked for again`))
    if (fresh.length === 0) return answers
    const taken = this.#publish(queue, fresh, {})
    taken.forEach((answer, k) => {
      known.answers.set(known.last + 1 + k, answer.replace(' duplicate', ''))
    })
    known.last += taken.length
    known.usedAt = this.#now
    for (const k of known.answers.keys()) if (k <= answeredUpTo) known.answers.delete(k)
    queue.producers.set(producer, known)
    return [...answers, ...taken]
  }

  #forget(queue: Queue, producer: string): void {
    const known = queue.producers.get(producer)
    const isOver = known !== undefined && this.#now - known.usedAt >= DAY_MS
    must(isOver, 'P9', () => `producer ${producer} is forgotten before its day is over`)
    queue.producers.delete(producer)
  }

  // ── subscriptions ──────────────────────────────────────────────────────────────────────────────────────────────

  #subscribe(queue: Queue, terms: Terms, afterBatch: number | undefined): Answer[] {
    const { subscription: id, prefetch, filter, concurrency, leaseMs } = terms
    const fixed = { id, queue: queue.name, concurrency, leaseMs, lost: new Map<number, number>() }
    const subscription: Subscription = {
      ...fixed,
      prefetch,
      filter,
      isStalled: false,
      next: 1,
      lastRests: 0,
      spent: [],
    }
    this.subscriptions.set(id, subscription)
    this.#touched.add(queue)
    if (afterBatch === undefined || afterBatch >= queue.released) return ['missed 0']
    const replays = queue.records.filter(record => record.batch >= afterBatch)
    for (const record of replays)
      if (takes(filter, record.color)) this.#referee?.expect(subscription, `barrier ${record.sequence} replayed`)
    return [`missed ${queue.released - afterBatch - replays.length}`]
  }

  /** D6, D10: all leases return at once; of what had been sent the first `concurrency` count when the connection is gone. */
  #unsubscribe(subscription: Subscription, isGone: boolean): void {
    const queue = this.queue(subscription.queue)
    this.#touched.add(queue)
    this.#takeBack(queue, subscription, isGone ? subscription.concurrency : 0)
  }

  /** Ends a subscription; of the deliveries it was sent the attempts of the first `counted` count. */
  #takeBack(queue: Queue, subscription: Subscription, counted: number): void {
    let left = counted
    for (const message of this.held(subscription)) {
      if ((message.lease?.rests ?? 0) > this.#committed) {
        message.state = 'ready'
        message.lease = undefined
      } else if (left > 0) {
        left -= 1
        this.#retry(queue, message, 0)
      } else this.#giveBack(queue, message, 0)
    }
    this.subscriptions.delete(subscription.id)
  }

  #change(subscription: Subscription, { prefetch, filter, isStalled }: Change): void {
    if (prefetch !== undefined) subscription.prefetch = prefetch
    if (filter !== undefined) subscription.filter = filter ?? undefined
    if (isStalled !== undefined) subscription.isStalled = isStalled
    this.#touched.add(this.queue(subscription.queue))
  }

  of(queue: Queue): Subscription[] {
    return [...this.subscriptions.values()].filter(subscription => subscription.queue === queue.name)
  }

  /** In the order of their delivery numbers. */
  held(subscription: Subscription): Message[] {
    return this.queue(subscription.queue)
      .live.filter(({ lease }) => lease?.subscription === subscription.id)
      .sort((a, b) => (a.lease?.delivery ?? 0) - (b.lease?.delivery ?? 0))
  }

  // ── settling ───────────────────────────────────────────────────────────────────────────────────────────────────

  #settle({ queue: name, claims, how, carried }: Extract<Step, { kind: 'settle' }>): Answer[] {
    const queue = this.queue(name)
    const named = claims.flatMap(({ subscription, ranges }) => {
      const holder = this.subscription(subscription)
      return ranges.flatMap(({ first, count }) =>
        Array.from({ length: count }, (_, k) => ({ holder, delivery: first + k })),
      )
    })
    if (carried.length > 0 && queue.options.semantics === 'at-most-once') return ['invalid-request']
    if (carried.length === 0) {
      this.#touched.add(queue)
      return claims.flatMap(({ subscription, ranges }) =>
        ranges.flatMap(range => this.#settleRange(queue, this.subscription(subscription), range, how)),
      )
    }
    // A4: all or nothing.
    for (const { holder, delivery } of named) {
      const fate = this.#fate(queue, holder, delivery)
      if (typeof fate === 'string') return [fate === 'already-settled' ? fate : 'lease-lost']
    }
    const refusal = refusesCarried(this, carried, this.#now)
    if (refusal !== undefined) return [refusal]
    // B16: in its own queue it joins the lowest batch of what is acked.
    const batch = Math.min(...named.map(({ holder, delivery }) => heldAs(queue, holder, delivery)?.batch ?? 0))
    const published = carried.flatMap(({ queue: target, pieces }) =>
      this.#publish(this.queue(target), pieces, target === name ? { batch } : {}),
    )
    this.#touched.add(queue)
    return [...published, ...named.map(({ holder, delivery }) => this.#settleOne(queue, holder, delivery, how))]
  }

  /** A3: a range with `first` 0 is everything up to `count` that is still out. */
  #settleRange(
    queue: Queue,
    holder: Subscription,
    { first, count }: { first: number; count: number },
    how: How,
  ): Answer[] {
    const out = [
      ...this.held(holder).map(({ lease }) => lease?.delivery ?? 0),
      ...holder.spent.map(({ delivery }) => delivery),
    ]
    const deliveries =
      first === 0
        ? out.filter(delivery => delivery <= count).sort((a, b) => a - b)
        : Array.from({ length: count }, (_, k) => first + k)
    return deliveries.map(delivery => this.#settleOne(queue, holder, delivery, how))
  }

  #fate(queue: Queue, holder: Subscription, delivery: number): Message | 'unknown' | 'lease-lost' | 'already-settled' {
    if (delivery < 1 || delivery >= holder.next) return 'unknown'
    return heldAs(queue, holder, delivery) ?? (holder.lost.has(delivery) ? 'lease-lost' : 'already-settled')
  }

  #settleOne(queue: Queue, holder: Subscription, delivery: number, how: How): Answer {
    if (how.kind !== 'extend') holder.spent = holder.spent.filter(spent => spent.delivery !== delivery)
    const message = this.#fate(queue, holder, delivery)
    if (message === 'lease-lost' && how.kind === 'ack' && queue.options.acks === 'any') {
      // D7: whoever has done the work may say so, as long as nobody else has.
      const lost = queue.live.find(({ sequence }) => sequence === holder.lost.get(delivery))
      if (lost === undefined) return 'already-settled'
      this.#loseLease(lost)
      this.#end(queue, lost, 'acked')
      return 'acked'
    }
    if (typeof message === 'string') return message
    switch (how.kind) {
      case 'ack':
        this.#end(queue, message, 'acked')
        return 'acked'
      case 'nack':
        this.#retry(queue, message, how.delayMs)
        return 'nacked'
      case 'release':
        this.#giveBack(queue, message, 0)
        return 'released'
      case 'reject':
        message.attempts += 1
        this.#die(queue, message, 'rejected')
        return 'rejected'
      case 'extend':
        // Without a deadline there is none to move.
        if (message.lease !== undefined && message.lease.deadline !== Number.POSITIVE_INFINITY)
          message.lease.deadline = this.#now + how.leaseMs
        return 'extended'
    }
  }

  #retry(queue: Queue, message: Message, delayMs: number | undefined): void {
    message.attempts += 1
    const { deliveriesMax, retryDelay } = queue.options
    if (deliveriesMax !== undefined && message.attempts >= deliveriesMax) this.#die(queue, message, 'deliveries')
    else {
      const { baseMs, factor, maxMs } = retryDelay
      this.#giveBack(queue, message, delayMs ?? Math.min(maxMs, baseMs * factor ** (message.attempts - 1)))
    }
  }

  #giveBack(queue: Queue, message: Message, delayMs: number): void {
    message.lease = undefined
    message.delivered = 'maybe'
    // D16: it ends with its lease.
    if (message.expiresAt <= this.#now) this.#die(queue, message, 'expired')
    else {
      message.dueAt = delayMs > 0 ? Math.min(this.#now + delayMs, message.expiresAt) : 0
      message.state = delayMs > 0 ? 'delayed' : 'ready'
    }
  }

  #die(queue: Queue, message: Message, reason: DeadReason): void {
    const to = this.deadLetterName(queue)
    if (to === undefined && reason !== 'expired') statsOf(queue, message.batch).unkept += 1
    this.#end(queue, message, reason === 'expired' ? 'expired' : to === undefined ? 'dropped' : 'dead')
    if (to === undefined) return
    this.#declareNamed({ ...DEFAULT_OPTIONS, deadLetter: to })
    this.#moves.push({ from: queue, message, to, reason })
    this.#touched.add(this.queue(to))
  }

  #end(queue: Queue, message: Message, how: 'acked' | 'dead' | 'expired' | 'dropped'): void {
    queue.live.splice(queue.live.indexOf(message), 1)
    this.#promote(queue, message)
    this.#touchHome(message)
    const stats = statsOf(queue, message.batch)
    stats[how] += 1
    stats.lastSettledAt = this.#now
  }

  /** What a dead letter came from may wait for it. */
  #touchHome({ origin }: Message): void {
    const home = this.queues.get(origin?.queue ?? '')
    if (home !== undefined && home.life === origin?.life && origin.batch >= home.released) this.#touched.add(home)
  }

  /** A5: each dead letter is moved by one fact, and says where it comes from. Their order in one turn is free. */
  #arriveDead(turn: Turn): void {
    for (const fact of turn.facts) {
      if (fact.kind !== 'moved') continue
      const { origin } = fact.run
      if (origin === undefined) continue
      const at = this.#moves.findIndex(
        ({ from, message }) => from.name === origin.queue && message.sequence === origin.sequence,
      )
      const move = this.#moves[at]
      if (move === undefined)
        broken('INV-2 no-silent-end', `${origin.queue} ${origin.sequence} is moved: ${origin.reason}`)
      this.#moves.splice(at, 1)
      const { message, reason } = move
      const { batch, attempts, priority, group } = message
      const target = this.queue(move.to)
      const right = `${message.batch} ${message.attempts} ${reason} ${this.#now} → ${target.next} in ${open(target)}`
      const got = `${origin.batch} ${origin.attempts} ${origin.reason} ${origin.deadAt} → ${fact.toSequence} in ${fact.toBatch}`
      must(right === got, 'A5, INV-25 dead-letter-atomic', () => `${origin.sequence} tells ${got}, it is ${right}`)
      this.#add(target, open(target), {
        priority: 0,
        group: undefined,
        expiresAt: Number.POSITIVE_INFINITY,
        dueAt: 0,
        enqueuedIn: this.#turn,
        origin: {
          queue: origin.queue,
          life: move.from.life,
          sequence: origin.sequence,
          batch,
          attempts,
          reason,
          priority,
          group,
        },
      })
    }
    for (const left of this.#moves)
      broken('A5, INV-25 dead-letter-atomic', `${left.from.name} ${left.message.sequence} is not moved`)
  }

  /** A5, B16: back to its origin with a new number, in its batch while that waits and was not ended, else in the open one. */
  #requeue(from: Queue, sequences: readonly number[]): number {
    let count = 0
    for (const sequence of sequences) {
      const message = from.live.find(other => other.sequence === sequence)
      const { origin } = message ?? {}
      const to = this.queues.get(origin?.queue ?? '')
      if (message === undefined || origin === undefined || to === undefined || to.life !== origin.life) continue
      count += 1
      this.#loseLease(message)
      from.live.splice(from.live.indexOf(message), 1)
      statsOf(from, message.batch).published -= 1
      const isHome = origin.batch >= to.released && to.waiting[origin.batch - to.released]?.ended === undefined
      if (isHome) statsOf(to, origin.batch)[origin.reason === 'expired' ? 'expired' : 'dead'] -= 1
      const { priority, group } = origin
      const terms = { priority, group, dueAt: 0, expiresAt: Number.POSITIVE_INFINITY, origin: undefined }
      this.#add(to, isHome ? origin.batch : open(to), { ...terms, enqueuedIn: this.#turn }, isHome)
      this.#touched.add(to)
    }
    return count
  }

  // ── time ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** D16, INV-27: what is ready and over ends, whatever else happens in the queue. */
  #expire(queue: Queue): void {
    const isOver = (message: Message) => message.state === 'ready' && message.expiresAt <= this.#now
    for (const message of queue.live.filter(isOver)) this.#die(queue, message, 'expired')
  }

  /** R9: of the queues with long work in hand one gets on at a time; which one is free. */
  #tickAll(): void {
    const busy = [...this.queues.values()].filter(isBusy)
    const chosen =
      busy.length > 1
        ? // All that was left of it may have expired by now.
          (busy.find(({ name }) => this.#worked.has(name)) ?? busy.find(({ name }) => this.#overBefore.has(name)))
        : busy[0]
    must(busy.length === 0 || chosen !== undefined, 'B13', () => `of ${busy.map(({ name }) => name)} none gets on`)
    for (const queue of [...this.queues.values()]) {
      if (busy.includes(queue) && queue !== chosen) continue
      this.#tick(queue)
      // What else is due in the queue may come before its deadlines, when another queue has touched it, or after.
      const early = this.#overBefore.get(queue.name) ?? []
      const isEarly = ({ state, expiresAt, sequence }: Message) =>
        state === 'ready' && expiresAt <= this.#now && early.includes(sequence)
      for (const message of queue.live.filter(isEarly)) this.#die(queue, message, 'expired')
      for (const gathering of [...queue.gathering])
        if (gathering.deadlineAt <= this.#now) this.#placeGathered(queue, gathering)
      for (const barrier of queue.waiting)
        if (barrier.deadlineAt <= this.#now && !this.#wasDone(queue, barrier))
          this.#endBatch(queue, barrier, 'expired', undefined)
      this.#work(queue)
    }
  }

  /** Leases run out and delays end when the clock is told, never by themselves. */
  #tick(queue: Queue): void {
    this.#touched.add(queue)
    this.#forgetIds(queue)
    for (const message of [...queue.live]) {
      const { lease } = message
      if ((lease?.deadline ?? message.dueAt) <= this.#now && message.state !== 'ready') message.readyIn = this.#turn
      if (lease !== undefined && lease.deadline <= this.#now) {
        this.#loseLease(message)
        this.#retry(queue, message, 0)
      } else if (message.state === 'delayed' && message.dueAt <= this.#now) {
        message.state = 'ready'
        if (message.expiresAt <= this.#now) this.#die(queue, message, 'expired')
      }
    }
  }

  /** R2: what is out at a clean stop comes back, and no attempt counts. Nobody gets anything any more. */
  #stop(queue: Queue): void {
    this.#touched.add(queue)
    queue.reservedIn = 0
    for (const subscription of this.of(queue)) this.#takeBack(queue, subscription, 0)
  }

  /** R1, R2: leases are gone, all else is as it was; after an unclean stop everything may have been delivered (D5). */
  #restart(queue: Queue, isClean: boolean): void {
    this.#touched.add(queue)
    queue.openedIn = 0
    queue.reservedIn = 0
    for (const record of queue.records) (record as { releasedIn: number }).releasedIn = 0
    queue.seen.sort((a, b) => a.at - b.at || a.sequence - b.sequence)
    queue.live.sort(inGroupOrder)
    for (const message of queue.live) message.isHead = false
    for (const message of queue.live) {
      message.lease = undefined
      this.#place(queue, message)
      message.enqueuedIn = 0
      if (!isClean) message.delivered = 'maybe'
    }
  }

  // ── barriers ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** B2, B8: while the first that waits has nothing live in front of it, it is released. */
  #release(queue: Queue): boolean {
    let hasReleased = false
    for (let barrier = queue.waiting[0]; barrier !== undefined; barrier = queue.waiting[0]) {
      const { batch, sequence, color, ended } = barrier
      if (queue.isPaused || queue.live.some(message => message.batch <= batch)) return hasReleased
      // B18: credit that is out of an at-most-once queue.
      const isOut = this.of(queue).some(({ spent }) => spent.some(out => out.batch === batch))
      if (ended === undefined && isOut) return hasReleased
      if (ended === undefined && queue.options.onDead === 'hold' && this.deadLettersOf(queue, batch).length > 0)
        return hasReleased
      const stats = queue.stats.shift() ?? broken('model', 'a batch has statistics')
      const own = ended?.outcome ?? (stats.acked === stats.published ? 'clean' : 'with-dead')
      const outcome = worst([own, ...(barrier.batches ?? [])])
      queue.waiting.shift()
      queue.records.push({ ...barrier, outcome, stats, releasedAt: this.#now, releasedIn: this.#turn })
      while (queue.records.length > queue.options.barrierRecords) queue.records.shift()
      queue.released += 1
      queue.openedIn = this.#turn
      for (const subscription of this.of(queue))
        if (takes(subscription.filter, color)) this.#referee?.expect(subscription, `barrier ${sequence} ${outcome}`)
      this.#referee?.expectOf(queue, `released ${sequence} ${outcome}`)
      this.#forward(queue, { name: barrier.name, color, batches: [...(barrier.batches ?? []), outcome] })
      hasReleased = true
    }
    return hasReleased
  }

  /** Dead letters of a batch that nobody has dealt with, wherever they are. */
  deadLettersOf(queue: Queue, batch: number): Message[] {
    return [...this.queues.values()].flatMap(({ live }) =>
      live.filter(({ origin }) => origin?.queue === queue.name && origin.life === queue.life && origin.batch === batch),
    )
  }

  // ── batches that end early ─────────────────────────────────────────────────────────────────────────────────────

  /** B13: one act with an outcome and a rest. What is carried is in the next batch that was not itself carried on. */
  #endBatch(queue: Queue, barrier: Barrier, outcome: string, wish: BatchRest | undefined): void {
    if (barrier.ended !== undefined) return
    const rest = wish ?? barrier.rest ?? queue.options.deadlineRest
    barrier.ended = { outcome, rest }
    if (rest !== 'carry') return
    let heir = barrier.batch + 1
    while (queue.waiting[heir - queue.released]?.ended?.rest === 'carry') heir += 1
    const from = statsOf(queue, barrier.batch)
    const to = statsOf(queue, heir)
    for (const message of queue.live.filter(({ batch }) => batch === barrier.batch)) {
      // Its group goes in front of those over there.
      for (const other of queue.live) {
        if (!message.isHead || other.batch !== heir || other.group !== message.group || !other.isHead) continue
        other.isHead = false
        other.state = 'ready'
      }
      message.batch = heir
      from.published -= 1
      to.published += 1
      to.carried += 1
      if (from.firstPublishedAt !== undefined) to.firstPublishedAt ??= from.firstPublishedAt
    }
  }

  #endOrExtend(queue: Queue, step: Extract<Step, { kind: 'cancel' | 'extend' }>): Answer {
    const gathering = queue.gathering.find(({ name }) => name === step.barrier)
    if (gathering !== undefined) {
      if (step.kind === 'cancel') this.#endBatch(queue, this.#placeGathered(queue, gathering), 'cancelled', step.rest)
      else gathering.deadlineAt = step.deadlineAt
      return step.kind === 'cancel' ? 'cancelled' : 'extended'
    }
    const isMeant = ({ name, sequence }: Barrier) => name === step.barrier || `@${sequence}` === step.barrier
    const barrier = queue.waiting.find(isMeant)
    if (barrier === undefined) return queue.records.some(isMeant) ? 'barrier-exists' : 'no-such-barrier'
    if (barrier.ended !== undefined) return 'invalid-request'
    if (step.kind === 'cancel') this.#endBatch(queue, barrier, 'cancelled', step.rest)
    else barrier.deadlineAt = step.deadlineAt
    return step.kind === 'cancel' ? 'cancelled' : 'extended'
  }

  /** `on_dead: fail`. */
  #fail(queue: Queue): void {
    if (queue.options.onDead !== 'fail') return
    for (const barrier of queue.waiting) {
      const { dead, expired, unkept } = statsOf(queue, barrier.batch)
      if (dead + expired + unkept > 0) this.#endBatch(queue, barrier, 'failed', undefined)
    }
  }

  /** What is left of batches that were ended early goes. */
  #work(queue: Queue): number {
    const rest = queue.live.filter(({ batch }) => isEnding(queue, batch))
    for (const message of rest) {
      const { ended } = queue.waiting[message.batch - queue.released] ?? {}
      this.#loseLease(message)
      if (ended?.rest === 'drop') this.#end(queue, message, 'dropped')
      else this.#die(queue, message, `batch-${ended?.outcome}` as DeadReason)
    }
    return rest.length
  }

  /** A6. */
  #purge(queue: Queue, { leased, below }: { readonly leased: boolean; readonly below: number }): number {
    for (const barrier of queue.waiting)
      if (barrier.sequence < below) this.#endBatch(queue, barrier, 'cancelled', 'drop')
    const count = this.#work(queue)
    const purged = queue.live.filter(({ sequence, state }) => sequence < below && (leased || state !== 'leased'))
    for (const message of purged) {
      this.#loseLease(message)
      this.#end(queue, message, 'dropped')
    }
    for (const gathering of [...queue.gathering])
      if ((gathering.arrivals[0]?.sequence ?? 0) < below)
        this.#endBatch(queue, this.#placeGathered(queue, gathering), 'cancelled', 'carry')
    return count + purged.length
  }

  #loseLease({ lease, sequence }: Message): void {
    if (lease === undefined) return
    const holder = this.subscription(lease.subscription)
    holder.lost.set(lease.delivery, sequence)
    this.#referee?.expect(holder, `lost ${lease.delivery}`)
  }

  /** B15, A7: it goes on in the same commit and is never refused; where its name is taken it has none. */
  #forward(from: Queue, { name, ...going }: Pick<Barrier, 'name' | 'color' | 'batches'>): void {
    for (const target of from.options.forwardBarrier) {
      const queue = this.#touch(target)
      const sequence = queue.next
      const isOurs = (fact: { readonly queue: number }) => this.names.get(fact.queue) === target
      // Whose record goes in this very turn may have been there still.
      const isFree =
        !this.#facts.some(fact => fact.kind === 'barrierForgotten' && isOurs(fact)) ||
        this.#facts.some(
          fact => fact.kind === 'barrierPublished' && isOurs(fact) && fact.sequence === sequence && fact.name === name,
        )
      const isTaken = !isFree || [...queue.waiting, ...queue.records].some(other => other.name === name)
      queue.next += 1
      const terms = { rest: undefined, deadlineAt: Number.POSITIVE_INFINITY }
      this.#placeBarrier(queue, { ...going, ...terms, sequence, name: isTaken ? undefined : name })
      this.#fail(queue)
    }
  }

  /** First ready message in queue order that this subscription takes. */
  firstFor(queue: Queue, { filter }: Subscription, counts = (_message: Message) => true): Message | undefined {
    let first: Message | undefined
    if (queue.isPaused || isEnding(queue, queue.released)) return undefined
    for (const message of queue.live) {
      if (message.state !== 'ready' || message.batch !== queue.released || message.expiresAt <= this.#now) continue
      if (message.group !== undefined && !message.isHead) continue
      if (!takes(filter, colorOf(message.sequence)) || !counts(message)) continue
      if (first === undefined || isBefore(message, first)) first = message
    }
    return first
  }

  /** Of its credit: what it holds, and what it was sent at most once and has not acked. */
  used(subscription: Subscription): number {
    return this.held(subscription).length + subscription.spent.length
  }

  /** D9: settled as it is sent; only its credit is out. */
  spend(queue: Queue, message: Message, holder: Subscription, rests: TurnNumber): void {
    const { sequence, batch, attempts } = message
    this.#end(queue, message, 'acked')
    holder.spent.push({ delivery: holder.next, sequence, batch, attempts, at: this.#now, rests })
  }

  hasRoom(subscription: Subscription): boolean {
    return !subscription.isStalled && this.used(subscription) < subscription.prefetch
  }

  mayLease({ options: { unackedMax }, live }: Queue): boolean {
    return unackedMax === undefined || live.filter(({ state }) => state === 'leased').length < unackedMax
  }
}
