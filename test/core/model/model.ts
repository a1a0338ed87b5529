import type { BatchRest, DeadReason, Timestamp, TurnNumber } from '../../../src/core/facts.ts'
import { DEFAULT_OPTIONS, type QueueOptions } from '../../../src/core/options.ts'
import { carryOut } from './carry-out.ts'
import { Referee } from './referee.ts'
import {
  type Arrival,
  type Barrier,
  type BarrierTerms,
  type Gathering,
  isEnding,
  type Message,
  NO_STATS,
  open,
  type Queue,
  type Stats,
  type Subscription,
} from './state.ts'
import {
  type Answer,
  type BarrierPiece,
  BODY_BYTES,
  broken,
  colorOf,
  type Done,
  type How,
  type MessagesPiece,
  must,
  type Part,
  type Piece,
  type Range,
  type Step,
  sizeOf,
  takes,
} from './words.ts'

const NEVER = Number.POSITIVE_INFINITY
const DAY_MS = 86_400_000
const OUTCOMES = ['clean', 'with-dead', 'expired', 'cancelled', 'failed']

/**
 * The reference: what the rules of `docs/guarantees.md` say, in lists and linear scans. It knows the rules and nothing of
 * the code, so it looks nowhere up what it can find by looking through everything.
 *
 * A command does what it says to its queue and to those it touches; then each touched queue settles down, by its number.
 * Two things are free and read off the core's turn: who of several equals gets a message, and in which order the dead
 * letters of one act line up. The referee checks that the core chose what it may.
 */
export class Model {
  readonly queues: Map<string, Queue> = new Map()
  readonly subscriptions: Map<number, Subscription> = new Map()
  #nextQueue = 1
  /** Queue that did the last step of long work. */
  lastBusy = 0
  #touched = new Set<Queue>()
  /** Of the step in hand: its turn, when it is, what was on disk before, and what the core made of it. */
  #turn: TurnNumber = 0
  #now: Timestamp = 0
  #committed: TurnNumber = 0
  #referee!: Referee

  copy(): Model {
    const copy = new Model()
    copy.#nextQueue = this.#nextQueue
    copy.lastBusy = this.lastBusy
    for (const queue of this.queues.values()) copy.queues.set(queue.name, structuredClone(queue))
    for (const subscription of this.subscriptions.values())
      copy.subscriptions.set(subscription.id, structuredClone(subscription))
    return copy
  }

  /** Carries out a step as the rules want it, and checks what the core made of it. */
  step(done: Done): void {
    this.#turn = done.turn.number
    this.#now = done.now
    this.#committed = done.committed
    this.#referee = new Referee(this, done)
    const answers = carryOut(this, done.step)
    must(
      answers.join() === done.answers.join(),
      'answers',
      () => `to ${done.step.kind} [${done.answers}], should be [${answers}]`,
    )
    while (this.#touched.size > 0)
      for (const queue of [...this.#touched].sort((a, b) => a.id - b.id)) {
        this.#touched.delete(queue)
        this.#settleDown(queue)
      }
    this.#referee.finish()
  }

  /** What ends every command, in this order. A command itself expires, releases and gives out nothing. */
  #settleDown(queue: Queue): void {
    // D16, INV-27: what is ready and over ends, whatever else happens in the queue.
    for (const message of queue.live.filter(({ state, expiresAt }) => state === 'ready' && expiresAt <= this.#now))
      this.#die(queue, message, 'expired')
    this.#giveOut(queue)
    if (this.#makeRoom(queue)) this.#giveOut(queue)
  }

  #giveOut(queue: Queue): void {
    this.#failBatches(queue)
    // D14.
    if (queue.isPaused) return
    while (this.#release(queue));
    if (!isEnding(queue, queue.released)) this.#referee.handOut(queue)
  }

  queue(name: string): Queue {
    return this.queues.get(name) ?? broken('model', `there is no queue ${name}`)
  }

  subscription(id: number): Subscription {
    return this.subscriptions.get(id) ?? broken('model', `there is no subscription ${id}`)
  }

  touch(name: string): Queue {
    const queue = this.queue(name)
    this.#touched.add(queue)
    return queue
  }

  // ── queues ─────────────────────────────────────────────────────────────────────────────────────────────────────

  declare(name: string, options: QueueOptions): void {
    const counts = { next: 1, released: 0, openedIn: 0, reservedIn: 0, isPaused: false }
    const lists = { live: [], stats: [{ ...NO_STATS }], waiting: [], gathering: [], seen: [], records: [] }
    this.queues.set(name, { id: this.#nextQueue, name, options, ...counts, ...lists, producers: new Map() })
    this.#nextQueue += 1
    this.declareNamed(options)
  }

  /** A7: what is named and missing is declared with it. A dead-letter queue has none of its own unless given. */
  declareNamed({ deadLetter, forwardBarrier }: Pick<QueueOptions, 'deadLetter' | 'forwardBarrier'>): void {
    if (deadLetter !== undefined && deadLetter !== 'drop' && !this.queues.has(deadLetter))
      this.declare(deadLetter, { ...DEFAULT_OPTIONS, deadLetter: 'drop' })
    for (const name of forwardBarrier) if (!this.queues.has(name)) this.declare(name, DEFAULT_OPTIONS)
  }

  delete(queue: Queue): Answer {
    for (const { name, options } of this.queues.values())
      if (name !== queue.name && [options.deadLetter, ...options.forwardBarrier].includes(queue.name))
        return 'queue-in-use'
    for (const message of queue.live) this.#touchHome(message)
    for (const subscription of this.subscriptions.values()) {
      if (subscription.queue !== queue.name) continue
      if (!subscription.isClosed) this.#referee.tell(subscription, 'cancelled queue-deleted')
      this.subscriptions.delete(subscription.id)
    }
    this.#referee.tell(queue, 'deleted')
    // B15: what waits or gathers there goes on as cancelled; where its barrier is awaited it counts as come.
    const gone = { queue: queue.name, outcome: 'cancelled' }
    for (const { name, color, terms } of queue.waiting) this.#forward(queue, { name, color, terms }, gone)
    for (const { name, arrivals } of queue.gathering)
      this.#forward(queue, { name, color: 0, terms: termsOf(arrivals) }, gone)
    for (const target of queue.options.forwardBarrier.map(name => this.queue(name)))
      for (const { name, arrivals } of [...target.gathering])
        if (
          arrivals.some(({ terms }) => terms.batches !== undefined) &&
          arrivals.every(({ party }) => party !== queue.name)
        )
          this.#arrive(queue, target, { name, color: 0, batches: [gone], terms: {} })
    this.queues.delete(queue.name)
    this.#touched.delete(queue)
    return 'deleted'
  }

  /** Where dead letters go; undefined: they are dropped. A dead-letter queue has none of its own unless given. */
  deadLetterName({ name, options }: Queue): string | undefined {
    if (options.deadLetter !== undefined) return options.deadLetter === 'drop' ? undefined : options.deadLetter
    for (const other of this.queues.values())
      if (other.name !== name && (other.options.deadLetter ?? `${other.name}.dead`) === name) return undefined
    return `${name}.dead`
  }

  // ── publishing ─────────────────────────────────────────────────────────────────────────────────────────────────

  publish(queue: Queue, pieces: readonly Piece[], how: { isAccepted?: boolean; batch?: number }): Answer[] {
    this.#forgetIds(queue)
    return pieces.flatMap((piece): Answer[] => {
      if (piece.kind === 'refused') return Array.from({ length: piece.count }, () => piece.code)
      const { id } = piece
      // P5.
      const seen = queue.seen.find(other => other.id === id && other.at + queue.options.dedupeWindowMs > this.#now)
      if (seen !== undefined) return [`${seen.answer} duplicate`]
      if (id !== undefined && queue.seen.length >= queue.options.dedupeMax) return ['server-busy']
      const answers = piece.kind === 'barrier' ? [this.#publishBarrier(queue, piece)] : this.#enqueue(queue, piece, how)
      const [answer = ''] = answers
      if (id !== undefined && !isRefusal(answer)) {
        const [sequence, , batch] = answer.split(' ')
        queue.seen = queue.seen.filter(other => other.id !== id)
        queue.seen.push({ id, sequence: Number(sequence), answer: `${sequence} in ${batch}`, at: this.#now })
      }
      return answers
    })
  }

  /** From the oldest on, those whose window is over. */
  #forgetIds({ seen, options }: Queue): void {
    while (seen[0] !== undefined && seen[0].at + options.dedupeWindowMs <= this.#now) seen.shift()
  }

  #enqueue(queue: Queue, piece: MessagesPiece, how: { isAccepted?: boolean; batch?: number }): Answer[] {
    const { batch = open(queue), isAccepted = false } = how
    // P3: a number is told before the disk only when it is reserved there; the first such publish reserves for the later.
    const isEarly = isAccepted && queue.reservedIn > 0 && queue.reservedIn <= this.#committed
    if (isAccepted && queue.reservedIn === 0) queue.reservedIn = this.#turn
    return piece.runs.flatMap(({ count, priority = 0, group, ttlMs = NEVER, delayMs = 0 }) =>
      Array.from({ length: count }, () => {
        const ttl = Math.min(ttlMs, queue.options.expirationMs ?? NEVER)
        const dueAt = delayMs > 0 ? this.#now + Math.min(delayMs, ttl) : 0
        const restsOn = isEarly ? 0 : this.#turn
        const { sequence } = this.#add(queue, batch, { priority, group, dueAt, expiresAt: this.#now + ttl, restsOn })
        return `${sequence} in ${batch}${isEarly ? ' early' : ''}`
      }),
    )
  }

  /** A message comes in: published, dead-lettered, or back from there, perhaps to a batch that has counted it already. */
  #add(queue: Queue, batch: number, given: Partial<Message>, isCounted = false): Message {
    const message: Message = {
      ...{ sequence: queue.next, batch, born: batch, priority: 0, group: undefined, origin: undefined },
      ...{ state: 'ready', expiresAt: NEVER, dueAt: 0, isDue: false, attempts: 0, isSuspect: false, lease: undefined },
      ...{ restsOn: this.#turn, mayRestOn: 0 },
      ...given,
    }
    const unwritten = queue.live.filter(other => other.restsOn > this.#committed)
    if (unwritten.length > 0) for (const other of [...unwritten, message]) other.mayRestOn = this.#turn
    queue.next = Math.max(queue.next, message.sequence + 1)
    queue.live.push(message)
    this.#place(queue, message)
    if (isCounted) return message
    const stats = this.statsOf(queue, batch)
    stats.published += 1
    stats.firstPublishedAt ??= this.#now
    return message
  }

  /** P7: a delay, of a message that does not wait in its group anyway. One that is over is over, wherever it stands later. */
  #place(queue: Queue, message: Message): void {
    message.state = 'ready'
    if (!this.isFirst(queue, message)) return
    if (message.dueAt > this.#now && !message.isDue) message.state = 'delayed'
    else message.isDue = true
  }

  /** D15: of a group in a batch the first may go out, and the others wait behind it, whatever they are. */
  isFirst({ live }: Queue, message: Message): boolean {
    return !live.some(other => isSameGroup(other, message) && inGroupOrder(other, message) < 0)
  }

  /** P4, P9: publishes with producer numbers, and those of several queues, which are taken whole or not at all. */
  publishAtomic(parts: readonly Part[], isAtomic: boolean, isMissing = false): Answer[] {
    const known = parts.map(({ queue, numbers, pieces }) => {
      // Of a producer that is new, or has been forgotten, any number is the first.
      const first = numbers?.number ?? 1
      const producer = this.queue(queue).producers.get(numbers?.producer ?? '') ?? {
        last: first - 1,
        usedAt: 0,
        answers: new Map(),
      }
      const count = pieces.reduce((sum, piece) => sum + sizeOf(piece), 0)
      const numbersOf = Array.from({ length: count }, (_, k) => first + k)
      return { producer, first, taken: numbersOf.filter(number => number <= producer.last), count }
    })
    if (known.some(({ first, producer }) => first > producer.last + 1)) return ['out of turn']
    if (isAtomic && known.some(({ taken, count }) => taken.length > 0 && taken.length < count)) return ['out of turn']
    const before = known.map(({ taken, producer }) =>
      taken.map(number => producer.answers.get(number) ?? broken('model', 'it is asked for again')),
    )
    // What nobody remembers goes the way of the rest, which was taken or refused as one.
    const fresh = parts.filter((_, k) => known[k]?.taken.length === 0)
    const missing = isMissing ? 'no-such-queue' : undefined
    const refusal = isAtomic ? (before.flat().find(isRefusal) ?? missing ?? this.#refusalOf(fresh)) : undefined
    return parts.flatMap(({ queue: name, numbers, pieces }, k) => {
      const { producer, taken, count } = known[k] as (typeof known)[number]
      const first = before[k] as Answer[]
      if (taken.length === count) return first
      const queue = this.touch(name)
      const sizeUpTo = (at: number) => pieces.slice(0, at + 1).reduce((sum, piece) => sum + sizeOf(piece), 0)
      const left = pieces.filter((_, at) => sizeUpTo(at) > taken.length)
      const answers =
        refusal === undefined ? this.publish(queue, left, {}) : Array.from({ length: count }, () => refusal)
      if (numbers === undefined) return answers
      for (const answer of answers) {
        producer.last += 1
        producer.answers.set(producer.last, answer)
      }
      producer.usedAt = this.#now
      for (const number of producer.answers.keys()) if (number <= numbers.answeredUpTo) producer.answers.delete(number)
      queue.producers.set(numbers.producer, producer)
      return [...first, ...answers]
    })
  }

  /** P4, A4: the first refusal that any of these would meet, tried on copies of the queues. */
  #refusalOf(parts: readonly Part[]): Answer | undefined {
    for (const name of new Set(parts.map(({ queue }) => queue))) {
      const trial = structuredClone(this.queue(name))
      const pieces = parts.filter(({ queue }) => queue === name).flatMap(part => part.pieces)
      const refusal = this.publish(trial, pieces, {}).find(isRefusal)
      if (refusal !== undefined) return refusal
    }
    return undefined
  }

  // ── barriers ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** B1, B14. */
  #publishBarrier(queue: Queue, piece: BarrierPiece): Answer {
    const { name, color, party, parties, deadlineMs = NEVER, rest, forward } = piece
    const gathering = queue.gathering.find(other => other.name === name)
    const placed = [...queue.waiting, ...queue.records].find(other => name !== undefined && other.name === name)
    const count = gathering?.count ?? placed?.parties?.count
    if (count !== undefined && parties !== count && (gathering !== undefined || party !== undefined))
      return 'barrier-mismatch'
    if (gathering !== undefined && party === undefined) return 'barrier-mismatch'
    const isSame = (other: Arrival) => other.party === party
    const arrival = gathering?.arrivals.find(isSame) ?? placed?.parties?.arrived.find(isSame)
    if (arrival !== undefined) return `${arrival.sequence} in ${placed?.batch ?? open(queue)} duplicate`
    if (placed !== undefined) return 'barrier-exists'
    if (gathering === undefined && queue.waiting.length + queue.gathering.length >= queue.options.barriersMax)
      return 'too-many-barriers'
    const terms = {
      ...(rest === undefined ? {} : { rest }),
      ...(forward === undefined ? {} : { forward }),
      ...(forward === undefined || parties === undefined || party !== undefined ? {} : { forwardParties: parties }),
    }
    const isOne = { party: party === undefined || parties === undefined ? undefined : { name: party, count: parties } }
    return this.#barrierArrives(queue, { name, color, terms, deadlineAt: this.#now + deadlineMs, ...isOne })
  }

  /** A barrier, or one party of it. Of a single party it is a barrier like any other. */
  #barrierArrives(
    queue: Queue,
    arriving: Pick<Barrier, 'name' | 'color' | 'terms' | 'deadlineAt'> & {
      party: { name: string; count: number } | undefined
    },
  ): Answer {
    const { name, color, terms, deadlineAt, party } = arriving
    const sequence = queue.next
    const answer = `${sequence} in ${open(queue)}`
    queue.next += 1
    if (name === undefined || party === undefined || party.count === 1) {
      const arrived = party === undefined ? [] : [{ sequence, party: party.name, color, terms }]
      const parties = name === undefined || party === undefined ? undefined : { count: 1, arrived }
      this.#placeBarrier(queue, { sequence, name, color, terms, deadlineAt, parties })
      return answer
    }
    let gathering = queue.gathering.find(other => other.name === name)
    if (gathering === undefined) {
      gathering = { name, count: party.count, deadlineAt: NEVER, arrivals: [] }
      queue.gathering.push(gathering)
    }
    gathering.arrivals.push({ sequence, party: party.name, color, terms })
    if (gathering.deadlineAt === NEVER) gathering.deadlineAt = deadlineAt
    if (gathering.arrivals.length === gathering.count) this.#placeGathered(queue, gathering)
    return answer
  }

  #placeBarrier(queue: Queue, barrier: Omit<Barrier, 'batch' | 'publishedAt' | 'ended'>): Barrier {
    const placed = { ...barrier, batch: open(queue), publishedAt: this.#now, ended: undefined }
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
    queue.next = Math.max(queue.next, sequence + 1)
    const parties = { count, arrived: arrivals }
    return this.#placeBarrier(queue, { sequence, name, color, terms: termsOf(arrivals), deadlineAt, parties })
  }

  /** B2, B8, B12: the first that waits is released when nothing of its batch is live. */
  #release(queue: Queue): boolean {
    const [barrier] = queue.waiting
    if (barrier === undefined || queue.live.some(({ batch }) => batch <= barrier.batch)) return false
    const { batch, sequence, ended, terms } = barrier
    // B18: credit that is out of an at-most-once queue; then `on_dead: hold`. A batch that was ended waits for neither.
    const isOut = this.all(queue).some(({ spent }) => spent.some(out => out.batch === batch))
    const isHeld = queue.options.onDead === 'hold' && this.deadLettersOf(queue, batch).length > 0
    if (ended === undefined && (isOut || isHeld)) return false
    const stats = this.statsOf(queue, batch)
    const own = ended?.outcome ?? (stats.dead + stats.expired + stats.dropped > 0 ? 'with-dead' : 'clean')
    const outcomes = [own, ...(terms.batches ?? []).map(({ outcome }) => outcome)]
    const outcome = OUTCOMES.findLast(one => outcomes.includes(one)) ?? own
    queue.waiting.shift()
    queue.stats.shift()
    queue.released += 1
    queue.openedIn = this.#turn
    // B10.
    queue.records.push({ ...barrier, outcome, stats, releasedAt: this.#now, releasedIn: this.#turn })
    while (queue.records.length > queue.options.barrierRecords) queue.records.shift()
    // B5.
    for (const subscription of this.of(queue))
      if (takes(subscription.filter, barrier.color)) this.#referee.tell(subscription, `barrier ${sequence} ${outcome}`)
    this.#referee.tell(queue, `released ${sequence} ${outcome}`)
    this.#forward(queue, barrier, { queue: queue.name, outcome })
    return true
  }

  /** Dead letters of a batch that nobody has dealt with, wherever they are. */
  deadLettersOf({ id }: Queue, batch: number): Message[] {
    return [...this.queues.values()].flatMap(({ live }) =>
      live.filter(({ origin }) => origin?.queue === id && origin.batch === batch),
    )
  }

  /** B15: with what is known of the batches that it has closed. */
  #forward(
    from: Queue,
    { name, color, terms }: Pick<Barrier, 'name' | 'color' | 'terms'>,
    own: { queue: string; outcome: string },
  ): void {
    for (const target of terms.forward ?? from.options.forwardBarrier) {
      this.declareNamed({ forwardBarrier: [target] })
      this.#arrive(from, this.queue(target), { name, color, terms, batches: [...(terms.batches ?? []), own] })
    }
  }

  /** A7, B15: it is a party named by its queue, and never refused; where it can join nobody and its name is taken it has none. */
  #arrive(
    from: Queue,
    target: Queue,
    { name, color, terms, batches }: Pick<Barrier, 'name' | 'color' | 'terms'> & Pick<BarrierTerms, 'batches'>,
  ): void {
    const gathering = target.gathering.find(other => other.name === name)
    const forwarders = [...this.queues.values()].filter(({ options }) => options.forwardBarrier.includes(target.name))
    const count = terms.forwardParties ?? gathering?.count ?? Math.max(1, forwarders.length)
    const isAwaited =
      gathering === undefined ||
      (gathering.count === count && gathering.arrivals.every(({ party }) => party !== from.name))
    const isFree = isAwaited && [...target.waiting, ...target.records].every(other => other.name !== name)
    const party = count > 1 && isFree && name !== undefined ? { name: from.name, count } : undefined
    this.#barrierArrives(target, {
      name: isFree ? name : undefined,
      color,
      terms: { ...(batches && { batches }) },
      deadlineAt: NEVER,
      party,
    })
    this.#touched.add(target)
  }

  // ── batches that end early ─────────────────────────────────────────────────────────────────────────────────────

  /** B13: one act with an outcome and a rest. What is carried is in the next batch that was not itself carried on. */
  #endBatch(queue: Queue, barrier: Barrier, outcome: string, wish?: BatchRest): void {
    if (barrier.ended !== undefined) return
    const rest = wish ?? barrier.terms.rest ?? queue.options.deadlineRest
    barrier.ended = { outcome, rest }
    if (rest !== 'carry') return
    let heir = barrier.batch + 1
    while (queue.waiting[heir - queue.released]?.ended?.rest === 'carry') heir += 1
    const from = this.statsOf(queue, barrier.batch)
    const to = this.statsOf(queue, heir)
    for (const message of queue.live.filter(({ batch }) => batch === barrier.batch)) {
      message.batch = heir
      from.published -= 1
      to.published += 1
      to.carried += 1
    }
    // Its groups go in front of those over there.
    for (const message of queue.live) if (!this.isFirst(queue, message)) message.state = 'ready'
  }

  /** B13, B14: a barrier that gathers gets its place by a cancel. */
  endOrExtend(queue: Queue, step: Extract<Step, { kind: 'cancel' | 'extend' }>): Answer {
    const isMeant = ({ name, sequence }: Barrier) => name === step.barrier || `@${sequence}` === step.barrier
    const gathering = queue.gathering.find(({ name }) => name === step.barrier)
    const barrier = gathering ?? queue.waiting.find(isMeant)
    if (barrier === undefined) return queue.records.some(isMeant) ? 'barrier-exists' : 'no-such-barrier'
    if ('ended' in barrier && barrier.ended !== undefined) return 'invalid-request'
    if (step.kind === 'extend') barrier.deadlineAt = step.deadlineAt
    else {
      const placed = 'arrivals' in barrier ? this.#placeGathered(queue, barrier) : barrier
      this.#endBatch(queue, placed, 'cancelled', step.rest)
    }
    return step.kind === 'cancel' ? 'cancelled' : 'extended'
  }

  /** `on_dead: fail`, once the barrier is published. What was purged or pushed out by choice fails nothing. */
  #failBatches(queue: Queue): void {
    if (queue.options.onDead !== 'fail') return
    for (const barrier of queue.waiting) {
      const { dead, expired, unkept } = this.statsOf(queue, barrier.batch)
      if (dead + expired + unkept > 0) this.#endBatch(queue, barrier, 'failed')
    }
  }

  /** What is left of batches that were ended goes. */
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
  purge(queue: Queue, { leased, below }: { readonly leased: boolean; readonly below: number }): number {
    for (const barrier of queue.waiting)
      if (barrier.sequence < below) this.#endBatch(queue, barrier, 'cancelled', 'drop')
    const count = this.#work(queue)
    const purged = queue.live.filter(({ sequence, state }) => sequence < below && (leased || state !== 'leased'))
    for (const message of purged) {
      this.#loseLease(message)
      this.#end(queue, message, 'dropped')
    }
    for (const gathering of queue.gathering.filter(({ arrivals }) => (arrivals[0]?.sequence ?? 0) < below))
      this.#endBatch(queue, this.#placeGathered(queue, gathering), 'cancelled', 'carry')
    return count + purged.length
  }

  // ── subscriptions ──────────────────────────────────────────────────────────────────────────────────────────────

  /** B11: whoever was away gets the barriers since, as far as there are records. */
  subscribe(queue: Queue, step: Extract<Step, { kind: 'subscribe' }>): Answer {
    const { subscription: id, prefetch, filter, concurrency, leaseMs, isPull, afterBatch = queue.released } = step
    const wish = { id, queue: queue.name, prefetch, filter, concurrency, leaseMs, isPull }
    const now = { isStalled: false, isClosed: false, next: 1, lastRests: 0, lost: new Map(), spent: [] }
    const subscription: Subscription = { ...wish, ...now }
    this.subscriptions.set(id, subscription)
    const replays = queue.records.filter(({ batch }) => batch >= afterBatch)
    for (const { sequence, color } of replays)
      if (takes(filter, color)) this.#referee.tell(subscription, `barrier ${sequence} replayed`)
    return `missed ${Math.max(0, queue.released - afterBatch) - replays.length}`
  }

  /** D6, D10: its leases return at once; of the deliveries that it was sent the attempts of the first `counted` count. */
  unsubscribe(subscription: Subscription, counted: number): void {
    const queue = this.touch(subscription.queue)
    let left = counted
    for (const message of this.held(subscription)) {
      const isSent = (message.lease?.rests ?? 0) <= this.#committed
      if (!isSent) this.#putBack(queue, message)
      else if (left <= 0) this.#giveBack(queue, message, 0)
      else {
        left -= 1
        this.#fail(queue, message, 0)
      }
    }
    this.subscriptions.delete(subscription.id)
  }

  /** D8: a pull has its answer, with what was sent until then; what it holds of that stays until its lease runs out. */
  answerPull(
    subscription: Subscription,
    { sent, isSettled }: { readonly sent: number; readonly isSettled: boolean },
  ): Answer[] {
    const queue = this.touch(subscription.queue)
    subscription.isClosed = true
    subscription.spent = []
    for (const message of this.held(subscription).filter(({ lease }) => (lease?.delivery ?? 0) > sent))
      this.#putBack(queue, message)
    for (let delivery = 1; isSettled && delivery <= sent; delivery += 1)
      this.#settleOne(queue, subscription, delivery, { kind: 'ack' })
    return []
  }

  /** R2: what is out at a clean stop comes back, and no attempt counts. Nobody gets anything any more. */
  stop(queue: Queue): void {
    this.#touched.add(queue)
    queue.reservedIn = 0
    for (const subscription of this.all(queue)) this.unsubscribe(subscription, 0)
  }

  /** R1, R2: leases are gone, all else is as it was; after an unclean stop everything may have been delivered (D5). */
  restart(queue: Queue, isClean: boolean): void {
    this.#touched.add(queue)
    queue.openedIn = 0
    queue.reservedIn = 0
    for (const record of queue.records) record.releasedIn = 0
    queue.seen.sort((a, b) => a.at - b.at || a.sequence - b.sequence)
    for (const message of queue.live) {
      Object.assign(message, { lease: undefined, restsOn: 0, isDue: false, isSuspect: message.isSuspect || !isClean })
      this.#place(queue, message)
    }
  }

  /** Those that get messages and barriers. */
  of(queue: Queue): Subscription[] {
    return this.all(queue).filter(({ isClosed }) => !isClosed)
  }

  all({ name }: Queue): Subscription[] {
    return [...this.subscriptions.values()].filter(({ queue }) => queue === name)
  }

  /** In the order of their delivery numbers. */
  held({ id, queue }: Subscription): Message[] {
    const held = this.queue(queue).live.filter(({ lease }) => lease?.holder === id)
    return held.sort((a, b) => (a.lease?.delivery ?? 0) - (b.lease?.delivery ?? 0))
  }

  // ── settling ───────────────────────────────────────────────────────────────────────────────────────────────────

  settle({ queue: name, claims, how, carried }: Extract<Step, { kind: 'settle' }>): Answer[] {
    const queue = this.queue(name)
    const named = claims.flatMap(({ subscription, ranges }) =>
      ranges.map(range => ({ holder: this.subscription(subscription), range })),
    )
    const answers: Answer[] = []
    if (carried.length > 0) {
      // A4: all or nothing.
      if (queue.options.semantics === 'at-most-once') return ['invalid-request']
      const fates = named.flatMap(({ holder, range }) =>
        numbersOf(range).map(delivery => this.#fate(queue, holder, delivery)),
      )
      const lost = fates.find(fate => typeof fate === 'string')
      const refusal = lost === undefined ? this.#refusalOf(carried) : lost === 'already-settled' ? lost : 'lease-lost'
      if (refusal !== undefined) return [refusal]
      // B16: in its own queue it joins the lowest batch of what is acked.
      const batch = Math.min(...fates.map(fate => (typeof fate === 'string' ? NEVER : fate.batch)))
      for (const { queue: target, pieces } of carried)
        answers.push(...this.publish(this.touch(target), pieces, target === name ? { batch } : {}))
    }
    this.#touched.add(queue)
    for (const { holder, range } of named)
      for (const delivery of range.first === 0 ? this.#outUpTo(holder, range.count) : numbersOf(range))
        answers.push(this.#settleOne(queue, holder, delivery, how))
    return answers
  }

  /** A3: everything up to a delivery is what of that is still out. */
  #outUpTo(holder: Subscription, last: number): number[] {
    const held = this.held(holder).map(({ lease }) => lease?.delivery ?? 0)
    const out = [...held, ...holder.spent.map(({ delivery }) => delivery)]
    return out.filter(delivery => delivery <= last).sort((a, b) => a - b)
  }

  /** A3: what became of a delivery; the message while it is held. */
  #fate(queue: Queue, holder: Subscription, delivery: number): Message | 'unknown' | 'lease-lost' | 'already-settled' {
    if (delivery < 1 || delivery >= holder.next) return 'unknown'
    const held = queue.live.find(({ lease }) => lease?.holder === holder.id && lease.delivery === delivery)
    return held ?? (holder.lost.has(delivery) ? 'lease-lost' : 'already-settled')
  }

  /** A1, A2. */
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
        this.#fail(queue, message, how.delayMs)
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
        if (message.lease !== undefined && message.lease.deadline !== NEVER)
          message.lease.deadline = this.#now + how.leaseMs
        return 'extended'
    }
  }

  /** A2: an attempt failed; it counts, and the message comes back unless that was the last. */
  #fail(queue: Queue, message: Message, delayMs: number | undefined): void {
    message.attempts += 1
    const { deliveriesMax = NEVER, retryDelay } = queue.options
    const { baseMs, factor, maxMs } = retryDelay
    if (message.attempts >= deliveriesMax) this.#die(queue, message, 'deliveries')
    else this.#giveBack(queue, message, delayMs ?? Math.min(maxMs, baseMs * factor ** (message.attempts - 1)))
  }

  /** D4: it keeps its place, now or after a delay. */
  #giveBack(queue: Queue, message: Message, delayMs: number): void {
    message.isSuspect = true
    message.dueAt = delayMs > 0 ? Math.min(this.#now + delayMs, message.expiresAt) : 0
    this.#putBack(queue, message)
    if (delayMs > 0) Object.assign(message, { state: 'delayed', isDue: false })
  }

  /** It is ready, or over: what expires while it is leased or delayed ends with that (D16). */
  #putBack(queue: Queue, message: Message): void {
    message.lease = undefined
    message.state = 'ready'
    message.isDue = true
    if (message.expiresAt <= this.#now) this.#die(queue, message, 'expired')
  }

  /** D7: its lease is gone, and whoever had it is told. */
  #loseLease({ lease, sequence }: Message): void {
    if (lease === undefined) return
    const holder = this.subscription(lease.holder)
    holder.lost.set(lease.delivery, sequence)
    this.#referee.lost(holder, lease.delivery)
  }

  // ── ends ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A5: out of one queue and into the other. It loses priority, group and expiration, and knows where it comes from. */
  #die(queue: Queue, message: Message, reason: DeadReason): void {
    const to = this.deadLetterName(queue)
    if (to === undefined && reason !== 'expired') this.statsOf(queue, message.batch).unkept += 1
    this.#end(queue, message, reason === 'expired' ? 'expired' : to === undefined ? 'dropped' : 'dead')
    if (to === undefined) return
    this.declareNamed({ deadLetter: to, forwardBarrier: [] })
    const target = this.touch(to)
    const { sequence, batch, attempts, priority, group } = message
    const origin = { queue: queue.id, sequence, batch, attempts, priority, group, reason }
    this.#add(target, open(target), { sequence: this.#referee.moved(queue, target, origin), origin })
  }

  /** A5, B16: back to its origin with a new number, in its batch while that waits and was not ended, else in the open one. */
  requeue(from: Queue, sequences: readonly number[]): number {
    const meant = sequences.map(sequence => from.live.find(message => message.sequence === sequence))
    return meant.filter(message => {
      const to = [...this.queues.values()].find(({ id }) => id === message?.origin?.queue)
      if (message?.origin === undefined || to === undefined) return false
      const { batch, reason, priority, group } = message.origin
      this.#loseLease(message)
      from.live.splice(from.live.indexOf(message), 1)
      this.#promote(from, message)
      this.statsOf(from, message.batch).published -= 1
      const isHome = batch >= to.released && to.waiting[batch - to.released]?.ended === undefined
      if (isHome) this.statsOf(to, batch)[reason === 'expired' ? 'expired' : 'dead'] -= 1
      this.#add(to, isHome ? batch : open(to), { priority, group }, isHome)
      this.#touched.add(to)
      return true
    }).length
  }

  #end(queue: Queue, message: Message, how: 'acked' | 'dead' | 'expired' | 'dropped'): void {
    queue.live.splice(queue.live.indexOf(message), 1)
    this.#promote(queue, message)
    this.#touchHome(message)
    const stats = this.statsOf(queue, message.batch)
    stats[how] += 1
    stats.lastSettledAt = this.#now
  }

  /** D15: the next of a group follows a head that is gone; it goes out once that one's end is on disk. */
  #promote(queue: Queue, gone: Message): void {
    const next = queue.live.filter(other => isSameGroup(other, gone)).sort(inGroupOrder)[0]
    if (next === undefined || inGroupOrder(next, gone) < 0) return
    next.restsOn = Math.max(next.restsOn, this.#turn)
    this.#place(queue, next)
  }

  /** What a dead letter came from may wait for it. */
  #touchHome({ origin }: Message): void {
    for (const queue of this.queues.values())
      if (queue.id === origin?.queue && origin.batch >= queue.released) this.#touched.add(queue)
  }

  /** D9: settled as it is sent; only its credit is out. */
  spend(queue: Queue, message: Message, holder: Subscription, rests: TurnNumber): void {
    const { sequence, batch, attempts } = message
    this.#end(queue, message, 'acked')
    holder.spent.push({ delivery: holder.next, sequence, batch, attempts, at: this.#now, rests })
  }

  statsOf(queue: Queue, batch: number): Stats {
    return queue.stats[batch - queue.released] ?? broken('model', `batch ${batch} is released`)
  }

  // ── time and limits ────────────────────────────────────────────────────────────────────────────────────────────

  /** Leases run out, delays and batches end when the clock is told, never by themselves; of long works one goes on (R9). */
  tick(): void {
    const queues = [...this.queues.values()].sort((a, b) => a.id - b.id)
    const busy = queues.filter(queue => this.deadlineOf(queue) === 0)
    const chosen = busy.find(({ id }) => id > this.lastBusy) ?? busy[0]
    if (chosen !== undefined) this.lastBusy = chosen.id
    const due = queues.filter(
      queue => this.deadlineOf(queue) <= this.#now && (queue === chosen || !busy.includes(queue)),
    )
    for (const queue of due) this.#tickOne(queue)
    // P9: a producer is forgotten a day after its last publish, now and then.
    for (const queue of this.queues.values())
      for (const [id, { usedAt }] of queue.producers)
        if (this.#referee.forgets(queue, id, this.#now - usedAt >= DAY_MS)) queue.producers.delete(id)
  }

  /** When something is due in a queue; 0: there is work in hand. */
  deadlineOf(queue: Queue): Timestamp {
    if (queue.live.some(({ batch }) => isEnding(queue, batch))) return 0
    return Math.min(
      (queue.seen[0]?.at ?? NEVER) + queue.options.dedupeWindowMs,
      ...queue.gathering.map(({ deadlineAt }) => deadlineAt),
      ...queue.waiting.map(({ deadlineAt, ended }) => (ended === undefined ? deadlineAt : NEVER)),
      ...queue.live.map(({ state, lease, dueAt, expiresAt }) =>
        state === 'leased' ? (lease?.deadline ?? NEVER) : state === 'delayed' ? dueAt : expiresAt,
      ),
    )
  }

  #tickOne(queue: Queue): void {
    this.#touched.add(queue)
    for (const message of queue.live.filter(({ lease }) => (lease?.deadline ?? NEVER) <= this.#now)) {
      this.#loseLease(message)
      this.#fail(queue, message, 0)
    }
    for (const message of queue.live.filter(({ state, dueAt }) => state === 'delayed' && dueAt <= this.#now))
      this.#putBack(queue, message)
    this.#forgetIds(queue)
    for (const gathering of queue.gathering.filter(({ deadlineAt }) => deadlineAt <= this.#now))
      this.#placeGathered(queue, gathering)
    for (const barrier of queue.waiting) if (barrier.deadlineAt <= this.#now) this.#endBatch(queue, barrier, 'expired')
    this.#work(queue)
  }

  /** A7: how much may come in. Where what is ready can be pushed out, that much more, and each message has all of it. */
  room({ options, live }: Queue): { readonly messages: number; readonly bytes: number; readonly isShared: boolean } {
    const { messagesMax = NEVER, bytesMax = NEVER, overflow } = options
    const isShared = overflow !== 'refuse'
    const staying = live.filter(({ state }) => !isShared || state !== 'ready').length
    return { messages: messagesMax - staying, bytes: bytesMax - staying * BODY_BYTES, isShared }
  }

  /** A7: the oldest ready messages of the earliest batch go until the limits are kept. */
  #makeRoom(queue: Queue): boolean {
    const { messagesMax = NEVER, bytesMax = NEVER, overflow } = queue.options
    let isMade = false
    while (overflow !== 'refuse' && (queue.live.length > messagesMax || queue.live.length * BODY_BYTES > bytesMax)) {
      const ready = queue.live.filter(({ state }) => state === 'ready')
      const [oldest] = ready.sort((a, b) => a.batch - b.batch || a.sequence - b.sequence)
      if (oldest === undefined) break
      if (overflow === 'drop-oldest') this.#end(queue, oldest, 'dropped')
      else this.#die(queue, oldest, 'overflow')
      isMade = true
    }
    return isMade
  }

  // ── who may have what (D1) ─────────────────────────────────────────────────────────────────────────────────────

  /** The first ready message in queue order that this subscription takes. */
  firstFor(queue: Queue, { filter }: Subscription): Message | undefined {
    if (queue.isPaused || isEnding(queue, queue.released)) return undefined
    const open = queue.live.filter(({ state, batch }) => state === 'ready' && batch === queue.released)
    const taken = open.filter(message => takes(filter, colorOf(message.sequence)) && this.isFirst(queue, message))
    return taken.sort((a, b) => b.priority - a.priority || a.sequence - b.sequence)[0]
  }

  /** Of its credit: what it holds, and what it was sent at most once and has not acked. A pull gets none back. */
  used(subscription: Subscription): number {
    return subscription.isPull ? subscription.next - 1 : this.held(subscription).length + subscription.spent.length
  }

  /** D8: credit and bytes, but always one message. D11: its socket. */
  hasRoom(queue: Queue, subscription: Subscription): boolean {
    const out = this.held(subscription).length + subscription.spent.length
    const isLight = out === 0 || (out + 1) * BODY_BYTES <= queue.options.prefetchBytes
    const isOpen = !subscription.isClosed && !subscription.isStalled
    return isOpen && isLight && this.used(subscription) < subscription.prefetch
  }

  /** `unacked_max`. */
  mayLease({ options: { unackedMax = NEVER }, live }: Queue): boolean {
    return live.filter(({ state }) => state === 'leased').length < unackedMax
  }
}

function termsOf(arrivals: readonly Arrival[]): BarrierTerms {
  const batches = arrivals.flatMap(({ terms }) => terms.batches ?? [])
  return Object.assign({}, ...arrivals.map(({ terms }) => terms), batches.length === 0 ? {} : { batches })
}

function isSameGroup(a: Message, b: Message): boolean {
  return a.group !== undefined && a.group === b.group && a.batch === b.batch
}

/** D15: what was carried goes before what came into the later batch. */
function inGroupOrder(a: Message, b: Message): number {
  return a.born - b.born || a.sequence - b.sequence
}

function numbersOf({ first, count }: Range): number[] {
  return Array.from({ length: count }, (_, k) => first + k)
}

/** An answer that is no number: why a message was not taken. */
function isRefusal(answer: Answer): boolean {
  return !/^\d/.test(answer)
}
