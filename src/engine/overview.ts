import type { Timestamp } from '../core/facts.ts'
import type { Queue } from '../core/queue.ts'
import { type Refusal, refuse } from '../core/refusals.ts'
import type { Engine } from './engine.ts'
import type { Entitlement } from './entitlement.ts'
import { isRefusal } from './expressions.ts'
import { viewConsumer, viewGatheringBatch, viewOpen, viewReleased, viewWaiting } from './overview-rows.ts'
import type {
  ClientRow,
  ConsumerRow,
  Lane,
  OpenBatch,
  OverviewChoice,
  OverviewPage,
  OverviewTotals,
  Overview as OverviewView,
  QueueRow,
  ReleasedBatch,
} from './overviewing.ts'
import type { Right } from './principal.ts'

const RIGHTS: readonly Right[] = ['publish', 'consume', 'browse', 'barrier', 'admin']
/** What takes a walk over all queues is made anew this often, however often it is asked for. */
const WALK_MS = 1_000
/** Released batches that a lane shows. */
const LANE_RECORDS_MAX = 24
/** Batches of a lane that are not released. */
const LANE_OPEN_MAX = 12

interface SeenQueue {
  readonly queue: Queue
  readonly rights: readonly Right[]
  /** Sees every message: is told what counts them. */
  readonly isWhole: boolean
}

/** What one walk over all queues has found. */
interface Walk {
  readonly at: Timestamp
  readonly totals: OverviewTotals
  /** Names of queues that keep dead letters of others. */
  readonly deadQueues: ReadonlySet<string>
  readonly released: readonly ReleasedBatch[]
}

/**
 * The server as a whole, for somebody who looks at it again and again: a page costs what is on it, and what takes a walk
 * over all queues is kept for a second.
 */
export class Overview implements OverviewView {
  readonly #engine: Engine
  readonly #entitlement: Entitlement | undefined
  #seen: readonly SeenQueue[] = []
  #seenOf = ''
  #walk: Walk | undefined

  constructor(engine: Engine, entitlement: Entitlement | undefined) {
    this.#engine = engine
    this.#entitlement = entitlement
  }

  get now(): Timestamp {
    return this.#engine.clock.now()
  }

  get principal(): string | undefined {
    return this.#entitlement?.principal.name
  }

  totals(): OverviewTotals {
    return this.#walked().totals
  }

  released(limit: number): readonly ReleasedBatch[] {
    return this.#walked().released.slice(0, limit)
  }

  batches(choice: OverviewChoice): OverviewPage<OpenBatch> {
    const page = new Pager<OpenBatch>(choice)
    const queues = this.#named(choice.text).filter(({ isWhole }) => isWhole)
    for (const seen of queues) {
      const { barriers } = seen.queue
      if (barriers.waitingCount > 0) page.take(barriers.waiting(), barrier => viewWaiting(this.#look(seen), barrier))
    }
    for (const seen of queues) {
      const { barriers } = seen.queue
      if (barriers.waitingCount > 0)
        page.take(barriers.gathering(), gathering => viewGatheringBatch(this.#look(seen), gathering))
    }
    const { deadQueues } = this.#walked()
    for (const seen of queues) {
      if (seen.queue.messages === 0 || seen.queue.open.live === 0 || deadQueues.has(seen.queue.name)) continue
      page.take([seen], () => viewOpen(this.#look(seen)))
    }
    return page.end()
  }

  queues(choice: OverviewChoice): OverviewPage<QueueRow> {
    const page = new Pager<QueueRow>(choice)
    for (const seen of this.#named(choice.text)) {
      if (this.#isMeant(seen, choice.only)) page.take([seen], () => this.#row(seen))
    }
    return page.end()
  }

  row(name: string): QueueRow | Refusal {
    const seen = this.#find(name)
    return isRefusal(seen) ? seen : this.#row(seen)
  }

  consumers(name: string, limit: number): OverviewPage<ConsumerRow> {
    const seen = this.#find(name)
    if (isRefusal(seen) || !seen.isWhole) return { total: 0, items: [] }
    const page = new Pager<ConsumerRow>({ first: 0, limit })
    page.take(seen.queue.consumers.all, subscription =>
      viewConsumer(subscription, this.#engine.nameOf(subscription.peer) ?? ''),
    )
    return page.end()
  }

  lanes(choice: OverviewChoice): OverviewPage<Lane> {
    const page = new Pager<Lane>(choice)
    for (const seen of this.#named(choice.text)) {
      const { barriers } = seen.queue
      if (seen.isWhole && (barriers.latest !== undefined || barriers.waitingCount > 0))
        page.take([seen], () => this.#lane(seen))
    }
    return page.end()
  }

  lane(name: string): Lane | Refusal {
    const seen = this.#find(name)
    if (isRefusal(seen)) return seen
    return seen.isWhole ? this.#lane(seen) : { queue: name, released: [], open: [] }
  }

  clients(choice: OverviewChoice): OverviewPage<ClientRow> | Refusal {
    const { principal } = this.#entitlement ?? {}
    if (principal !== undefined && !principal.isAdmin)
      return refuse('not-allowed', 'only a token with admin on "*" may see who is connected')
    const page = new Pager<ClientRow>(choice)
    for (const party of this.#engine.parties.values()) {
      if (choice.text !== undefined && !party.name.includes(choice.text)) continue
      page.take([party], ({ view: { id, name, protocol, principal: who, since } }) => ({
        id,
        name,
        protocol,
        since,
        ...(who === undefined ? {} : { principal: who }),
        subscriptions: party.subscribed(),
      }))
    }
    return page.end()
  }

  // ── one queue ──────────────────────────────────────────────────────────────────────────────────────────────────

  #look({ queue, rights }: SeenQueue) {
    return { queue, rights, now: this.now, nameOf: (peer: number) => this.#engine.nameOf(peer) }
  }

  #row(seen: SeenQueue): QueueRow {
    const { queue, rights, isWhole } = seen
    const shared = { name: queue.name, isPaused: queue.isPaused, rights }
    if (!isWhole) return shared
    let ready = 0
    let delayed = 0
    for (const batch of queue.batches) {
      ready += batch.ready.messages + batch.groups.messages
      delayed += batch.delayed
    }
    return {
      ...shared,
      counts: {
        ready,
        delayed,
        leased: queue.leased,
        bytes: Math.round(queue.bytes),
        subscriptions: queue.consumers.all.size,
        barriersWaiting: queue.barriers.waitingCount,
        published: queue.publishedTotal,
        acked: queue.ackedTotal,
        dead: this.#deadOf(queue),
      },
    }
  }

  #lane(seen: SeenQueue): Lane {
    const { queue } = seen
    const { barriers } = queue
    const records = [...barriers.records()].slice(-LANE_RECORDS_MAX)
    const open: OpenBatch[] = []
    for (const barrier of barriers.waiting()) {
      if (open.length === LANE_OPEN_MAX) break
      open.push(viewWaiting(this.#look(seen), barrier))
    }
    for (const gathering of barriers.gathering()) {
      if (open.length === LANE_OPEN_MAX) break
      open.push(viewGatheringBatch(this.#look(seen), gathering))
    }
    if (queue.open.live > 0) open.push(viewOpen(this.#look(seen)))
    return { queue: queue.name, released: records.map(({ record }) => viewReleased(queue.name, record)), open }
  }

  #isMeant({ queue, isWhole }: SeenQueue, only: OverviewChoice['only']): boolean {
    if (only === undefined) return true
    if (only === 'paused') return queue.isPaused
    if (!isWhole) return false
    return only === 'busy' ? queue.messages > 0 : this.#deadOf(queue) > 0
  }

  /** Of a dead-letter queue that others share it is told only to those who may see it. */
  #deadOf(queue: Queue): number {
    const name = deadLettersOf(queue)
    const dead = name === undefined ? undefined : this.#engine.broker.queue(name)
    if (dead === undefined || dead.messages === 0) return 0
    const isKnown =
      name === `${queue.name}.dead` || this.#entitlement === undefined || isWhole(this.#entitlement, dead.name)
    return isKnown ? dead.messages : 0
  }

  // ── all queues ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** The queues one may know of, by name. What a token allows never changes, so neither does this but with the queues. */
  #all(): readonly SeenQueue[] {
    const { broker } = this.#engine
    if (this.#seenOf === broker.queuesKey) return this.#seen
    const entitlement = this.#entitlement
    const seen: SeenQueue[] = []
    for (const queue of broker.queues()) {
      if (entitlement === undefined) seen.push({ queue, rights: RIGHTS, isWhole: true })
      else if (entitlement.knows(queue.name)) {
        const rights = RIGHTS.filter(right => entitlement.principal.may(queue.name, right) !== undefined)
        seen.push({ queue, rights, isWhole: isWhole(entitlement, queue.name) })
      }
    }
    this.#seen = seen.sort((a, b) => (a.queue.name < b.queue.name ? -1 : 1))
    this.#seenOf = broker.queuesKey
    this.#walk = undefined
    return this.#seen
  }

  #named(text: string | undefined): readonly SeenQueue[] {
    const all = this.#all()
    return text === undefined ? all : all.filter(({ queue }) => queue.name.includes(text))
  }

  #find(name: string): SeenQueue | Refusal {
    const refused = this.#entitlement?.allowState(name)
    if (isRefusal(refused)) return refused
    return this.#all().find(({ queue }) => queue.name === name) ?? (this.#engine.find(name) as Refusal)
  }

  #walked(): Walk {
    const all = this.#all()
    const at = this.now
    if (this.#walk !== undefined && at - this.#walk.at < WALK_MS && at >= this.#walk.at) return this.#walk
    const sums = { queues: all.length, paused: 0, live: 0, leased: 0, dead: 0, subscriptions: 0, barriersWaiting: 0 }
    let published = 0
    let acked = 0
    const deadQueues = new Set<string>()
    const released: ReleasedBatch[] = []
    for (const { queue, isWhole: isCounted } of all) {
      if (queue.isPaused) sums.paused += 1
      if (!isCounted) continue
      sums.leased += queue.leased
      sums.subscriptions += queue.consumers.all.size
      sums.barriersWaiting += queue.barriers.waitingCount
      published += queue.publishedTotal
      acked += queue.ackedTotal
      const dead = deadLettersOf(queue)
      if (dead !== undefined) deadQueues.add(dead)
      const { latest } = queue.barriers
      if (latest !== undefined) released.push(viewReleased(queue.name, latest))
    }
    for (const { queue, isWhole: isCounted } of all) {
      if (!isCounted) continue
      if (deadQueues.has(queue.name)) sums.dead += queue.messages
      else sums.live += queue.messages
    }
    released.sort((a, b) => b.record.releasedAt - a.record.releasedAt)
    this.#walk = { at, totals: { ...sums, published, acked }, deadQueues, released }
    return this.#walk
  }
}

/** Where its dead letters would be: asked of each queue, so without a walk over all of them. */
function deadLettersOf({ name, options: { deadLetter } }: Queue): string | undefined {
  return deadLetter === 'drop' ? undefined : (deadLetter ?? `${name}.dead`)
}

function isWhole(entitlement: Entitlement, queue: string): boolean {
  const allowed = entitlement.knows(queue) ? entitlement.allowState(queue) : undefined
  return allowed !== undefined && !isRefusal(allowed) && allowed.content === undefined
}

/** Counts all, and makes only what is on the page. */
class Pager<T> {
  readonly #items: T[] = []
  readonly #first: number
  readonly #limit: number
  #total = 0

  constructor({ first, limit }: { readonly first: number; readonly limit: number }) {
    this.#first = first
    this.#limit = limit
  }

  take<S>(some: Iterable<S>, make: (one: S) => T): void {
    for (const one of some) {
      if (this.#total >= this.#first && this.#items.length < this.#limit) this.#items.push(make(one))
      this.#total += 1
    }
  }

  end(): OverviewPage<T> {
    return { total: this.#total, items: this.#items }
  }
}
