import { BACKUP_ROUTES } from './backup.ts'
import { BARRIER_ROUTES } from './barriers.ts'
import { CONNECTION_ROUTES } from './connections.ts'
import { CONTENT_ROUTES } from './contents.ts'
import { DASHBOARD_ROUTES } from './dashboard.ts'
import { DEAD_LETTER_ROUTES } from './dead-letters.ts'
import { DELIVERY_ROUTES } from './deliveries.ts'
import { EVENT_ROUTES } from './events.ts'
import type { Exchange, Reply } from './exchange.ts'
import { FILTER_ROUTES } from './filters.ts'
import { MESSAGE_ROUTES } from './messages.ts'
import { OVERVIEW_ROUTES } from './overview.ts'
import { QUEUE_ROUTES } from './queues.ts'
import type { Content, Parameter } from './schema.ts'
import { SERVER_ROUTES } from './server-routes.ts'
import { TOKEN_ROUTES } from './tokens.ts'
import type { Operation } from './tracing.ts'

type Right = 'publish' | 'consume' | 'browse' | 'barrier' | 'admin'

/** One thing that can be asked for. Throws a Problem for every answer that is no success. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Names in braces stand for one segment each. */
  readonly path: string
  readonly summary: string
  /** All that it answers beside what any request can meet: 401, 403, 421 and 503 before it is looked at, 500. */
  readonly statuses: readonly number[]
  /** What it takes: nothing, any token, `admin` on `*`, or one of these rights on the queue. */
  readonly right: 'none' | 'token' | 'server' | readonly Right[]
  /** All that the query may hold, and headers that mean something. */
  readonly parameters?: readonly Parameter[]
  /** What the request brings; absent: nothing. */
  readonly body?: Content
  /** What its successes hold; everything else is a problem. */
  readonly answers: Readonly<Record<number, Content>>
  /** What it does with messages, for traces; absent: it is in none. */
  readonly operation?: Operation
  readonly handle: (exchange: Exchange) => Promise<Reply> | Reply
}

export const ROUTES: readonly Route[] = [
  ...SERVER_ROUTES,
  ...QUEUE_ROUTES,
  ...MESSAGE_ROUTES,
  ...CONTENT_ROUTES,
  ...DELIVERY_ROUTES,
  ...BARRIER_ROUTES,
  ...DEAD_LETTER_ROUTES,
  ...EVENT_ROUTES,
  ...FILTER_ROUTES,
  ...CONNECTION_ROUTES,
  ...TOKEN_ROUTES,
  ...BACKUP_ROUTES,
]

/** The page and what it shows: made for each other, described to nobody else. */
const PAGE_ROUTES: readonly Route[] = [...OVERVIEW_ROUTES, ...DASHBOARD_ROUTES]

/** Where a route is found: its path, taken apart. */
export interface Place {
  readonly route: Route
  readonly segments: readonly string[]
  /** Segments that a name in braces stands for. */
  readonly names: readonly { readonly name: string; readonly index: number }[]
}

const ANY = '{}'

/** By the number of their segments. */
const PLACES: readonly (readonly Place[])[] = byLength([...ROUTES, ...PAGE_ROUTES].map(placeOf))

/** The routes of a path, of any method. */
export function placesAt(segments: readonly string[]): readonly Place[] {
  return (PLACES[segments.length] ?? []).filter(place => isMatch(place.segments, segments))
}

function placeOf(route: Route): Place {
  const segments = route.path.split('/')
  const names = segments.flatMap((part, index) => (part.startsWith('{') ? [{ name: part.slice(1, -1), index }] : []))
  return { route, segments: segments.map(part => (part.startsWith('{') ? ANY : part)), names }
}

function byLength(places: readonly Place[]): readonly (readonly Place[])[] {
  const lists: Place[][] = []
  for (const place of places) {
    const { length } = place.segments
    lists[length] = [...(lists[length] ?? []), place]
  }
  return lists
}

/** A name stands for anything but an empty segment. */
function isMatch(pattern: readonly string[], segments: readonly string[]): boolean {
  return pattern.every((part, index) => (part === ANY ? segments[index] !== '' : part === segments[index]))
}
