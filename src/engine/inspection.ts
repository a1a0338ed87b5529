import type { Sequence } from '../core/facts.ts'
import type { Queue } from '../core/queue.ts'
import { type Refusal, refuse } from '../core/refusals.ts'
import type { Run } from '../core/run.ts'
import { type BarrierView, holdouts, type QueueView, viewBarrier, viewGathering, viewQueue } from '../core/snapshot.ts'
import type { Engine } from './engine.ts'
import type { ContentFilter } from './entitlement.ts'
import { compile, isRefusal, predicateOf } from './expressions.ts'
import type {
  BarrierName,
  BarriersCommand,
  BarriersPage,
  BrowseCommand,
  DeadLetterChoice,
  Holdout,
  MessageView,
  PageCommand,
} from './peer.ts'
import { type Place, placesAfter } from './places.ts'
import { type Receipt, receiptOf } from './receipt.ts'

/** Most messages of one page. */
const PAGE_MAX = 1_000
/** Bytes of messages that end a page, if the command does not say. */
const PAGE_BYTES: number = 8 * 1024 * 1024
/** What one page may cost, so that it holds nobody up (R9): a message passed over counts 1, one that a filter looks at 10. */
const WORK_MAX = 20_000
const FILTER_WORK = 10
/** A page ends after so long, once it has done a little: filters and reading back may take their time. */
const PAGE_MS = 10
const WORK_MIN = 100

interface Page {
  readonly messages: readonly MessageView[]
  /** Where to go on; absent when this was the last page. */
  readonly next?: Sequence
}

/** Which messages of a queue, and from where on. */
interface Choice {
  readonly state?: MessageView['state'] | undefined
  readonly belongs?: (run: Run) => boolean
  readonly filter?: string | undefined
  readonly content?: ContentFilter | undefined
  readonly after?: Sequence | undefined
  readonly below?: Sequence
}

/** Ends a page. */
interface Budget {
  work: number
  isOver(): boolean
}

/** What a barrier costs in a list, about, and each batch that it has closed on its way and each party that is named. */
const BARRIER_BYTES = 256
const NAMES_MAX = 100

/** What can be seen of queues, barriers and messages. Nothing is changed by looking. */
export class Inspection {
  readonly #engine: Engine

  constructor(engine: Engine) {
    this.#engine = engine
  }

  queues(): readonly QueueView[] {
    const now = this.#engine.clock.now()
    return [...this.#engine.broker.queues()].map(queue => viewQueue(queue, now))
  }

  queue(name: string): QueueView | Refusal {
    const queue = this.#engine.find(name)
    return isRefusal(queue) ? queue : viewQueue(queue, this.#engine.clock.now())
  }

  barriers({
    queue: name,
    state,
    bodies,
    after = 0,
    limit,
    bytesMax = PAGE_BYTES,
  }: BarriersCommand): BarriersPage | Refusal {
    const queue = this.#engine.find(name)
    if (isRefusal(queue)) return queue
    const now = this.#engine.clock.now()
    const places = barriersAfter(queue, after, state)
    const barriers: BarrierView[] = []
    let bytes = 0
    for (const { sequence, view } of places) {
      if (barriers.length >= Math.min(limit, PAGE_MAX) || bytes >= bytesMax) {
        const next = barriers.at(-1)?.sequence ?? sequence - 1
        return { barriers, next }
      }
      const barrier = view(now)
      barriers.push(barrier)
      const names = (barrier.parties ?? barrier.record?.parties)?.arrived.length ?? 0
      bytes += BARRIER_BYTES * (1 + (barrier.record?.batches?.length ?? 0) + Math.min(names, NAMES_MAX))
      if (bodies === true) bytes += barrier.record?.bytes.length ?? 0
    }
    return { barriers }
  }

  barrier(name: string, barrierName: BarrierName): BarrierView | Refusal {
    const queue = this.#engine.find(name)
    if (isRefusal(queue)) return queue
    const now = this.#engine.clock.now()
    const barrier = queue.barriers.find(barrierName)
    if (barrier !== undefined) return viewBarrier(queue, barrier, now)
    const gathering = queue.barriers.gatheringOf(barrierName)
    return gathering === undefined ? noSuchBarrier(name, barrierName) : viewGathering(queue, gathering, now)
  }

  receipt(name: string, barrierName: BarrierName): Receipt | Refusal {
    const view = this.barrier(name, barrierName)
    if (isRefusal(view)) return view
    if (view.record !== undefined) return receiptOf(name, view.record)
    const detail = `barrier "${barrierName}" of "${name}" is ${view.state}: there is a receipt once it is released`
    return refuse('not-released', detail, { queue: name, barrier: barrierName, state: view.state })
  }

  holdouts(
    name: string,
    barrierName: BarrierName,
    page: { readonly after?: Sequence; readonly limit: number },
  ): readonly Holdout[] | Refusal {
    const queue = this.#engine.find(name)
    if (isRefusal(queue)) return queue
    const barrier = queue.barriers.find(barrierName)
    if (barrier === undefined)
      return queue.barriers.gatheringOf(barrierName) === undefined ? noSuchBarrier(name, barrierName) : []
    if ('releasedAt' in barrier) return []
    const limit = Math.min(page.limit, PAGE_MAX)
    return holdouts(queue, barrier, { after: page.after ?? 0, limit }, this.#engine.clock.now()).map(
      ({ holder, ...holdout }) => {
        const named = holder === undefined ? undefined : this.#engine.nameOf(holder)
        return named === undefined ? holdout : { ...holdout, holder: named }
      },
    )
  }

  /** @param content what of the queue may be seen; absent: all */
  browse(command: BrowseCommand, content?: ContentFilter): Page | Refusal {
    const queue = this.#engine.find(command.queue)
    return isRefusal(queue) ? queue : this.#page(queue, { ...command, content }, command)
  }

  deadLetters(choice: DeadLetterChoice & PageCommand, content?: ContentFilter): Page | Refusal {
    const found = this.deadLettersOf(choice)
    if (isRefusal(found)) return found
    const { from, belongs } = found
    if (from === undefined) return { messages: [] }
    const { filter, sequence, after } = choice
    const part = sequence === undefined ? { after } : { after: Math.max(sequence - 1, after ?? 0), below: sequence + 1 }
    return this.#page(from, { belongs, filter, content, ...part }, choice)
  }

  /** The queue that holds the dead letters of another one, and which of them are meant. */
  deadLettersOf(choice: DeadLetterChoice): { readonly from: Queue | undefined; belongs(run: Run): boolean } | Refusal {
    const { broker } = this.#engine
    const queue = this.#engine.find(choice.queue)
    if (isRefusal(queue)) return queue
    let batch: number | undefined
    if (choice.batch !== undefined) {
      const barrier = queue.barriers.find(choice.batch)
      if (barrier === undefined) return noSuchBarrier(choice.queue, choice.batch)
      batch = barrier.batch
    }
    const name = broker.deadLetterName(queue)
    return {
      from: name === undefined ? undefined : broker.queue(name),
      belongs: ({ origin }) => origin?.queueId === queue.id && (batch === undefined || origin.batch === batch),
    }
  }

  /**
   * Sequence numbers of dead letters, oldest first: at most `limit` of those that `choice` means, behind `after`, as many
   * as one step may look for.
   */
  someOf(
    queue: Queue,
    choice: Choice & { readonly limit: number },
  ): { readonly sequences: readonly Sequence[]; readonly next?: Sequence } | Refusal {
    const sequences: Sequence[] = []
    const next = this.#walk(
      queue,
      choice,
      () => sequences.length === choice.limit,
      sequence => {
        sequences.push(sequence)
      },
    )
    if (isRefusal(next)) return next
    return next === undefined ? { sequences } : { sequences, next }
  }

  #matcher(
    queue: Queue,
    text: string | undefined,
    content: ContentFilter | undefined,
  ): ((sequence: Sequence) => boolean) | Refusal {
    const filter = text === undefined || text === '' ? undefined : compile(text, 'subscription')
    if (isRefusal(filter)) return filter
    if (filter === undefined && content === undefined) return EVERY
    const { matches } = predicateOf(filter, content, queue, this.#engine.bodies)
    return matches
  }

  #page(queue: Queue, choice: Choice, { limit, bytesMax = PAGE_BYTES }: PageCommand): Page | Refusal {
    const messages: MessageView[] = []
    const countMax = Math.min(limit, PAGE_MAX)
    let bytes = 0
    const isFull = () => messages.length >= countMax || bytes >= bytesMax
    const next = this.#walk(queue, choice, isFull, (sequence, place) => {
      const view = this.#view(queue, sequence, place)
      if (view === undefined) return
      messages.push(view)
      bytes += view.bytes.length
    })
    if (isRefusal(next)) return next
    return next === undefined ? { messages } : { messages, next }
  }

  /** Goes from message to message until it is told to stop, or has done enough for now. @returns where to go on */
  #walk(
    queue: Queue,
    { state, belongs, filter, content, after = 0, below = Number.POSITIVE_INFINITY }: Choice,
    isFull: () => boolean,
    found: (sequence: Sequence, place: Place) => void,
  ): Sequence | Refusal | undefined {
    const matches = this.#matcher(queue, filter, content)
    if (isRefusal(matches)) return matches
    const budget = this.#budget()
    const work = matches === EVERY ? 1 : FILTER_WORK
    for (const place of placesAfter(queue, after, state)) {
      const { first, count } = place.run
      if (first >= below) return undefined
      const isMeant = belongs?.(place.run) ?? true
      const end = Math.min(first + count, below)
      if (!isMeant) budget.work += 1
      for (let sequence = Math.max(first, after + 1); isMeant && sequence < end; sequence += 1) {
        if (isFull() || budget.isOver()) return sequence - 1
        budget.work += work
        if (matches(sequence)) found(sequence, place)
      }
      if (!isMeant && budget.isOver()) return end - 1
    }
    return undefined
  }

  #budget(): Budget {
    const { clock } = this.#engine
    const startedAt = clock.now()
    const budget = {
      work: 0,
      isOver: () => budget.work >= WORK_MAX || (budget.work >= WORK_MIN && clock.now() - startedAt >= PAGE_MS),
    }
    return budget
  }

  #view(queue: Queue, sequence: Sequence, { run, held, state }: Place): MessageView | undefined {
    const { bodies, clock } = this.#engine
    const [bytes] = bodies.records(queue.id, sequence, 1) ?? []
    if (bytes === undefined) return undefined
    const holder = held === undefined ? undefined : this.#engine.nameOf(held.subscription.peer)
    return {
      sequence,
      batch: run.batch.number,
      state,
      attempts: run.attempts,
      redelivered: run.delivered,
      publishedAt: bodies.publishedAt(queue.id, sequence) ?? 0,
      ...(run.dueAt > 0 ? { dueAt: run.dueAt } : {}),
      ...(run.expiresAt === Number.POSITIVE_INFINITY ? {} : { expiresAt: run.expiresAt }),
      ...(holder === undefined ? {} : { holder }),
      ...(held === undefined ? {} : { leaseAgeMs: clock.now() - held.deliveredAt }),
      ...(run.origin === undefined ? {} : { origin: run.origin }),
      bytes,
    }
  }
}

/** Barriers behind `after`, by sequence number; of one that gathers that is the last party's. */
function barriersAfter(
  queue: Queue,
  after: Sequence,
  state: BarrierView['state'] | undefined,
): readonly { readonly sequence: Sequence; view(now: number): BarrierView }[] {
  const found: { sequence: Sequence; view(now: number): BarrierView }[] = []
  const add = (sequence: Sequence, view: (now: number) => BarrierView) => {
    if (sequence > after) found.push({ sequence, view })
  }
  const { barriers } = queue
  if (state === undefined || state === 'released')
    for (const { record } of barriers.records()) add(record.sequence, now => viewBarrier(queue, record, now))
  if (state === undefined || state === 'waiting')
    for (const barrier of barriers.waiting()) add(barrier.sequence, now => viewBarrier(queue, barrier, now))
  if (state === undefined || state === 'gathering')
    for (const one of barriers.gathering())
      add(one.arrivals.at(-1)?.sequence ?? 0, now => viewGathering(queue, one, now))
  return found.sort((a, b) => a.sequence - b.sequence)
}

function EVERY(): boolean {
  return true
}

export function noSuchBarrier(queue: string, barrier: string): Refusal {
  return refuse('no-such-barrier', `queue "${queue}" has no barrier "${barrier}", waiting or on record`, {
    queue,
    barrier,
  })
}
