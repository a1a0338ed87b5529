import type { Overview, OverviewChoice, Peer } from '../../engine/peer.ts'
import type { EventStream, StreamEvent } from './event-stream.ts'
import type { Exchange, Reply } from './exchange.ts'
import { showClient, showConsumer, showLane, showOpenBatch, showQueueRow, showReleased } from './overview-views.ts'
import { accepted, badRequest, Problem } from './problem.ts'
import type { Route } from './routes.ts'
import { showBarrierInList, showHoldout, showQueue, time } from './views.ts'

/*
 * What the dashboard shows: one part of the server at a time, once or as a stream of what it has become. A part is
 * bounded, whatever the server holds; nothing is computed that nobody looks at.
 */

const VIEWS = ['batches', 'batch', 'queues', 'queue', 'timeline', 'clients', 'server'] as const
type View = (typeof VIEWS)[number]

/** Rows of a page. */
const PAGE_SIZES: Readonly<Record<View, number>> = {
  batches: 20,
  batch: 25,
  queues: 50,
  queue: 100,
  timeline: 10,
  clients: 50,
  server: 1,
}
const PAGE_MAX = 100_000
const RELEASED_SHOWN = 6
/** At most four updates a second. */
const UPDATE_MS = 250
/** And at most so much of the time goes into one reader: what takes 25 ms comes every 500 ms. */
const SHARE = 1 / 20

export const OVERVIEW_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/overview',
    summary: 'One part of the server as the dashboard shows it: view=batches, queues, queue, batch, timeline, …',
    statuses: [200, 400, 403, 404],
    right: 'token',
    answers: {},
    handle: once,
  },
  {
    method: 'GET',
    path: '/v1/overview/events',
    summary:
      'The same as events, each the whole part as it has become; at most four a second, none while nothing changes',
    statuses: [200, 400, 403, 404, 429],
    right: 'token',
    answers: {},
    handle: stream,
  },
]

function once(exchange: Exchange): Reply {
  const show = viewer(exchange)
  return { status: 200, json: { now: time(exchange.connection.peer.overview.now), ...show() } }
}

function stream(exchange: Exchange): Reply {
  const show = viewer(exchange)
  const { overview } = exchange.connection.peer
  // What cannot be shown at all is an answer of its own; what goes away later is told in the stream.
  show()
  return { status: 200, stream: events => follow(events, overview, show) }
}

/** Tells what there is whenever it is something else, as often as is good for reader and server. */
function follow(events: EventStream, overview: Overview, show: () => object): void {
  let told = ''
  let timer: NodeJS.Timeout | undefined
  const look = (): void => {
    const began = performance.now()
    if (!events.isFull) {
      const shown = JSON.stringify(shownOrProblem(show))
      // The time alone is no news.
      if (shown !== told && events.offer(event(overview.now, shown))) told = shown
    }
    timer = setTimeout(look, Math.max(UPDATE_MS, (performance.now() - began) / SHARE))
    timer.unref()
  }
  events.onEnd(() => clearTimeout(timer))
  look()
}

function event(now: number, shown: string): StreamEvent {
  return { data: `{"now":${JSON.stringify(time(now))},${shown.slice(1)}` }
}

function shownOrProblem(show: () => object): object {
  try {
    return show()
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return { problem: { code: error.code, detail: error.message } }
  }
}

/** Reads what is wanted, once; what comes back shows it as it is then. @throws Problem */
function viewer({ connection, query }: Exchange): () => object {
  const view = query.needed('view', query.oneOf('view', VIEWS))
  const queue = query.text('queue')
  const barrier = query.text('barrier')
  const page = query.integer('page', { min: 0, max: PAGE_MAX }) ?? 0
  const text = query.text('text')
  const only = query.oneOf('only', ['busy', 'paused', 'dead'])
  query.end()
  const limit = PAGE_SIZES[view]
  const choice: OverviewChoice = {
    first: page * limit,
    limit,
    ...(text === undefined ? {} : { text }),
    ...(only === undefined ? {} : { only }),
  }
  const { peer, shared, engine } = connection
  const paged = <T>({ total, items }: { total: number; items: readonly T[] }, show: (item: T) => object) => ({
    page,
    pages: Math.max(1, Math.ceil(total / limit)),
    total,
    items: items.map(show),
  })
  const head = () => ({
    view,
    principal: peer.overview.principal,
    ...(engine.pressure.on ? { stopped: engine.pressure.reason } : {}),
  })
  const named = (): string => {
    if (queue === undefined) throw badRequest('queue is missing', { parameter: 'queue' })
    return queue
  }
  switch (view) {
    case 'batches':
      return () => ({
        ...head(),
        totals: showTotals(peer.overview),
        ...paged(peer.overview.batches(choice), showOpenBatch),
        released: peer.overview.released(RELEASED_SHOWN).map(showReleased),
      })
    case 'queues':
      return () => ({ ...head(), ...paged(peer.overview.queues(choice), showQueueRow) })
    case 'timeline':
      return () => ({ ...head(), ...paged(peer.overview.lanes(choice), showLane) })
    case 'clients':
      return () => ({ ...head(), ...paged(accepted(peer.overview.clients(choice)), showClient) })
    case 'queue': {
      const name = named()
      return () => ({ ...head(), ...queuePart(peer, name, limit) })
    }
    case 'batch': {
      const [name, which] = [named(), query.needed('barrier', barrier)]
      return () => ({ ...head(), ...batchPart(peer, name, which, limit) })
    }
    case 'server':
      return () => ({
        ...head(),
        server: {
          version: shared.version,
          start: engine.start,
          ready: engine.readiness().ready,
          limits: { message_max: engine.limits.messageMax, frame_messages_max: engine.limits.frameMessagesMax },
        },
        totals: showTotals(peer.overview),
      })
  }
}

function showTotals(overview: Overview): object {
  const { barriersWaiting, ...totals } = overview.totals()
  return { ...totals, barriers_waiting: barriersWaiting }
}

function queuePart(peer: Peer, name: string, limit: number): object {
  const row = accepted(peer.overview.row(name))
  return {
    queue: { ...showQueue(accepted(peer.queue(name))), ...showQueueRow(row) },
    consumers: peer.overview.consumers(name, limit).items.map(showConsumer),
    lane: showLane(accepted(peer.overview.lane(name))),
  }
}

function batchPart(peer: Peer, queue: string, name: string, limit: number): object {
  const { rights, isPaused, counts } = accepted(peer.overview.row(queue))
  const barrier = accepted(peer.barrier(queue, name))
  const lane = accepted(peer.overview.lane(queue))
  const open = lane.open.find(({ sequence }) => sequence !== undefined && sequence === barrier.sequence)
  const mayName = rights.some(right => right === 'browse' || right === 'barrier' || right === 'admin')
  const now = peer.overview.now
  const holdouts = mayName && barrier.state === 'waiting' ? accepted(peer.holdouts(queue, name, { limit })) : []
  return {
    queue,
    rights,
    paused: isPaused,
    subscriptions: counts?.subscriptions,
    behind: open?.behind ?? 0,
    is_head: open?.isHead ?? false,
    forward: open?.forward ?? [],
    barrier: showBarrierInList(barrier, true),
    holdouts: holdouts.map(({ leaseAgeMs, ...holdout }) => ({
      ...showHoldout(holdout),
      // Absolute, so that what has not changed is the same text.
      leased_at: leaseAgeMs === undefined ? undefined : time(now - leaseAgeMs),
    })),
  }
}
