import type { Sequence } from '../core/facts.ts'
import type { Queue } from '../core/queue.ts'
import { type Refusal, refuse } from '../core/refusals.ts'
import type { Run } from '../core/run.ts'
import { type BarrierView, holdouts, type QueueView, viewBarrier, viewGathering, viewQueue } from '../core/snapshot.ts'
import type { Held } from '../core/subscription.ts'
import type { Engine } from './engine.ts'
import { compile, isRefusal, Subject } from './expressions.ts'
import type { BarrierName, BrowseCommand, DeadLetterChoice, Holdout, MessageView } from './peer.ts'

/** Most messages of one page. */
const PAGE_MAX = 1_000
/** Messages that one page looks at: a filter that matches little gives a short page, and where to go on. */
const LOOK_MAX = 20_000

interface Page {
  readonly messages: readonly MessageView[]
  /** Where to go on; absent when this was the last page. */
  readonly next?: Sequence
}

interface Choice {
  readonly runs: Iterable<{ readonly run: Run; readonly held: Held | undefined; readonly state: MessageView['state'] }>
  readonly filter: string | undefined
  readonly after: Sequence
  readonly limit: number
}

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

  barriers(name: string): readonly BarrierView[] | Refusal {
    const queue = this.#engine.find(name)
    if (isRefusal(queue)) return queue
    const now = this.#engine.clock.now()
    const released = [...queue.barriers.records()].map(({ record }) => viewBarrier(queue, record, now))
    const waiting = [...queue.barriers.waiting()].map(barrier => viewBarrier(queue, barrier, now))
    return [
      ...released,
      ...waiting,
      ...[...queue.barriers.gathering()].map(gathering => viewGathering(queue, gathering, now)),
    ]
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

  browse(command: BrowseCommand): Page | Refusal {
    const queue = this.#engine.find(command.queue)
    if (isRefusal(queue)) return queue
    const { state, filter, after = 0, limit } = command
    return this.#page(queue, { runs: placesOf(queue, state), filter, after, limit })
  }

  deadLetters(choice: DeadLetterChoice & { readonly after?: Sequence; readonly limit: number }): Page | Refusal {
    const found = this.deadLettersOf(choice)
    if (isRefusal(found)) return found
    const { from, belongs } = found
    if (from === undefined) return { messages: [] }
    const runs = [...placesOf(from, undefined)].filter(({ run }) => belongs(run))
    return this.#page(from, { runs, filter: choice.filter, after: choice.after ?? 0, limit: choice.limit })
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

  /** Sequence numbers of the dead letters meant, oldest first. */
  deadSequences(
    choice: DeadLetterChoice,
  ): { readonly from: Queue; readonly sequences: readonly Sequence[] } | Refusal | undefined {
    const found = this.deadLettersOf(choice)
    if (isRefusal(found)) return found
    const { from, belongs } = found
    if (from === undefined) return undefined
    const matches = this.#matcher(from, choice.filter)
    if (isRefusal(matches)) return matches
    const sequences: Sequence[] = []
    for (const run of from.runs()) {
      if (!belongs(run)) continue
      for (let k = 0; k < run.count; k += 1) if (matches(run.first + k)) sequences.push(run.first + k)
    }
    return { from, sequences: sequences.sort((a, b) => a - b) }
  }

  #matcher(queue: Queue, text: string | undefined): ((sequence: Sequence) => boolean) | Refusal {
    if (text === undefined || text === '') return () => true
    const filter = compile(text, 'subscription')
    if (isRefusal(filter)) return filter
    const subject = new Subject()
    return sequence => {
      const cursor = this.#engine.bodies.find(queue.id, sequence)
      return cursor !== undefined && filter.matches(subject.at(cursor, queue.name))
    }
  }

  #page(queue: Queue, { runs, filter, after, limit }: Choice): Page | Refusal {
    const matches = this.#matcher(queue, filter)
    if (isRefusal(matches)) return matches
    const places = [...runs]
      .filter(({ run }) => run.first + run.count > after + 1)
      .sort((a, b) => a.run.first - b.run.first)
    const messages: MessageView[] = []
    let looked = 0
    for (const place of places) {
      const from = Math.max(place.run.first, after + 1)
      for (let sequence = from; sequence < place.run.first + place.run.count; sequence += 1) {
        if (messages.length === Math.min(limit, PAGE_MAX) || looked === LOOK_MAX)
          return { messages, next: sequence - 1 }
        looked += 1
        const view = matches(sequence) ? this.#view(queue, sequence, place) : undefined
        if (view !== undefined) messages.push(view)
      }
    }
    return { messages }
  }

  #view(
    queue: Queue,
    sequence: Sequence,
    { run, held, state }: { run: Run; held: Held | undefined; state: MessageView['state'] },
  ): MessageView | undefined {
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

function* placesOf(
  queue: Queue,
  state: MessageView['state'] | undefined,
): Generator<{ run: Run; held: Held | undefined; state: MessageView['state'] }> {
  if (state === undefined || state === 'ready') {
    for (const batch of queue.batches) {
      for (const run of batch.ready) yield { run, held: undefined, state: 'ready' }
      for (const run of batch.groups) yield { run, held: undefined, state: 'ready' }
    }
  }
  if (state === undefined || state === 'delayed')
    for (const run of queue.delayed) yield { run, held: undefined, state: 'delayed' }
  if (state !== undefined && state !== 'leased') return
  for (const held of queue.heldRuns()) if (!held.isSpent) yield { run: held.run, held, state: 'leased' }
}

export function noSuchBarrier(queue: string, barrier: string): Refusal {
  return refuse('no-such-barrier', `queue "${queue}" has no barrier "${barrier}", waiting or on record`, {
    queue,
    barrier,
  })
}
