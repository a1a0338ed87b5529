import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Reply } from './exchange.ts'
import { Problem } from './problem.ts'
import type { Route } from './routes.ts'

/** What a request does with messages, by the words of OpenTelemetry. */
export interface Operation {
  readonly name: string
  readonly type: 'send' | 'receive' | 'settle'
}

/** A request that publishes, pulls or settles. */
export interface TracedRequest {
  readonly operation: Operation
  readonly method: string
  /** With names in braces, as the table of routes has it. */
  readonly route: string
  /** Without its query. */
  readonly path: string
  readonly scheme: 'http' | 'https'
  readonly queue: string
  readonly headers: IncomingHttpHeaders
}

/** How a request ended. */
export interface TracedEnd {
  /** Absent: the client had hung up. */
  readonly status?: number
  /** Of the problem that was answered. */
  readonly code?: string
  /** How many, where it may be many; of one its place. */
  readonly messages?: number
  readonly sequence?: number
}

/** Who follows requests, for traces. Neither call throws. */
export interface RequestTracing {
  begin(request: TracedRequest): { end(end: TracedEnd): void }
}

/** What a trace is told of a request as it comes; undefined: it has nothing to do with messages. */
export function tracedRequest(
  request: IncomingMessage,
  { operation, path: route }: Route,
  path: Readonly<Record<string, string>>,
): TracedRequest | undefined {
  if (operation === undefined) return undefined
  return {
    operation,
    method: request.method ?? '',
    route,
    path: (request.url ?? '').split('?')[0] ?? '',
    scheme: 'encrypted' in request.socket ? 'https' : 'http',
    queue: path['queue'] ?? '',
    headers: request.headers,
  }
}

/** What a trace is told of its answer. @param error why it was none of success */
export function tracedEnd({ status, json }: Reply, error: unknown): TracedEnd {
  if (error !== undefined) return { status, code: error instanceof Problem ? error.code : 'internal-error' }
  const { count, deliveries, results, sequence } = (json ?? {}) as Readonly<Record<string, unknown>>
  const many = Array.isArray(deliveries) ? deliveries.length : Array.isArray(results) ? results.length : count
  return {
    status,
    ...(typeof many === 'number' ? { messages: many } : {}),
    ...(typeof sequence === 'number' ? { sequence } : {}),
  }
}
