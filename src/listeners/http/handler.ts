import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { QUEUE_NAME_BYTES_MAX, utf8Length } from '@sluice/protocol'
import type { Engine, Refusal } from '../../engine/peer.ts'
import type { PublishRates } from '../../net/publish-rate.ts'
import { SendBuffers } from '../../net/send-buffers.ts'
import { whyForeign } from '../../net/source.ts'
import type { BackupDesk } from './backup.ts'
import { HungUp, type Shared } from './connection.ts'
import type { Dashboard } from './dashboard.ts'
import { checkRoom, HEARTBEAT_MS } from './event-stream.ts'
import { type Exchange, type Reply, send } from './exchange.ts'
import { type LoginRules, principalOf } from './login.ts'
import { openApi } from './openapi.ts'
import { Parameters } from './parameters.ts'
import { badRequest, Problem, problemReply } from './problem.ts'
import { type Place, placesAt, ROUTES, type Route } from './routes.ts'
import type { Reporting } from './server-routes.ts'
import type { TokenDesk } from './tokens.ts'
import { type RequestTracing, tracedEnd, tracedRequest } from './tracing.ts'
import { Wire } from './wire.ts'

/** Requests that one connection may have open at once. No client pipelines so many; what does is hostile. */
const REQUESTS_OPEN_MAX = 64

const SILENCE_MS_DEFAULT = 30_000
const PULLS_MAX_DEFAULT = 10_000

const STREAMS_MAX_DEFAULT = 1_000

const SHUTTING_DOWN: Refusal = { code: 'shutting-down', detail: 'the server is being stopped' }

export interface HandlerOptions extends LoginRules {
  /** Version of the program. */
  readonly version: string
  /** Names of this server, beside `localhost` and IP addresses, that a request may have as its host; see net/source.ts. */
  readonly hosts?: readonly string[]
  /** Where tokens are made and taken away; absent: nowhere. */
  readonly tokens?: TokenDesk
  /** Who takes backups; absent: none are taken. */
  readonly backups?: BackupDesk
  /** What is shown at `/`; absent: nothing. */
  readonly dashboard?: Dashboard | undefined
  /** How long a client may be silent in the middle of a body, or not read its answer, before it is cut; default 30 s. */
  readonly silenceMs?: number
  /** Most pulls that wait for messages at once, of all clients; default 10,000. */
  readonly pullsMax?: number
  /** How fast each principal, or without one each address, may publish; default as fast as it can. */
  readonly rates?: PublishRates
  /** What waits to be sent, by all connections of the server. */
  readonly sendBuffers?: SendBuffers
  /** Who knows how the server is. */
  readonly reporting?: Reporting
  /** Who follows requests; absent: nobody, and nothing is done for it. */
  readonly tracing?: RequestTracing
  /** How often an event stream shows that it lives; default 15 s. */
  readonly heartbeatMs?: number
  /** Most event streams at once; default 1,000. */
  readonly streamsMax?: number
  /** Told of every error that is a mistake of ours; the client has got 500. */
  readonly onBug: (error: unknown) => void
}

export interface HttpHandler {
  handle(request: IncomingMessage, response: ServerResponse): void
  /** Is the socket in the middle of an answer? */
  isAnswering(socket: Socket): boolean
  /** Answers what waits `shutting-down`, and what comes from now on too. */
  close(): void
}

/** Everything of HTTP but the sockets: a request goes in, its answer comes out. */
export function httpHandler(engine: Engine, options: HandlerOptions): HttpHandler {
  const { version, tokens, dashboard, reporting, silenceMs = SILENCE_MS_DEFAULT, heartbeatMs = HEARTBEAT_MS } = options
  let description: object | undefined
  const shared: Shared = {
    engine,
    version,
    tokens,
    description: () => {
      description ??= openApi(ROUTES, version)
      return description
    },
    dashboard,
    reporting,
    backups: options.backups,
    silenceMs,
    heartbeatMs,
    streams: { open: 0, max: options.streamsMax ?? STREAMS_MAX_DEFAULT },
    pullsMax: options.pullsMax ?? PULLS_MAX_DEFAULT,
    rates: options.rates,
    sendBuffers: options.sendBuffers ?? new SendBuffers(Number.POSITIVE_INFINITY),
    intakeBytes: 0,
    pulls: 0,
    isClosing: false,
  }
  const wires = new Map<Socket, Wire>()

  const wireOf = (socket: Socket): Wire => {
    const known = wires.get(socket)
    if (known !== undefined) return known
    const wire = new Wire(shared, socket)
    wires.set(socket, wire)
    socket.once('close', () => wires.delete(socket))
    return wire
  }

  return {
    handle(request, response) {
      const wire = wireOf(request.socket)
      if (wire.requestsOpen >= REQUESTS_OPEN_MAX) return void request.socket.destroy()
      respond(wire, request, response, options).catch(options.onBug)
    },
    isAnswering: socket => wires.get(socket)?.isAnswering ?? false,
    close() {
      shared.isClosing = true
      for (const wire of wires.values()) wire.giveUp(SHUTTING_DOWN)
    },
  }
}

async function respond(
  wire: Wire,
  request: IncomingMessage,
  response: ServerResponse,
  options: HandlerOptions,
): Promise<void> {
  const nobody = wire.connection(undefined)
  let exchange: Exchange = { connection: nobody, request, response, path: {}, query: new Parameters('') }
  let reply: Reply
  let trace: ReturnType<RequestTracing['begin']> | undefined
  let failure: unknown
  wire.requestsOpen += 1
  nobody.requestsOpen += 1
  try {
    try {
      checkSource(request, options.hosts)
      if (nobody.shared.isClosing) throw Problem.of(SHUTTING_DOWN)
      const { route, path, query } = findRoute(request)
      const traced = options.tracing && tracedRequest(request, route, path)
      trace = traced && options.tracing?.begin(traced)
      const principal = route.right === 'none' ? undefined : principalOf(request, wire, options)
      const connection = wire.connection(principal)
      if (connection !== nobody) connection.requestsOpen += 1
      exchange = { connection, request, response, path, query }
      reply = await route.handle(exchange)
      if (reply.stream !== undefined) checkRoom(connection.shared.streams)
    } catch (error) {
      if (error instanceof HungUp) return trace?.end({})
      failure = error
      if (!(error instanceof Problem)) options.onBug(error)
      reply = problemReply(
        error instanceof Problem ? error : new Problem('internal-error', 'a mistake of the server; it has been noted'),
      )
    }
    trace?.end(tracedEnd(reply, failure))
    await send(exchange, reply)
  } finally {
    wire.requestsOpen -= 1
    nobody.requestsOpen -= 1
    if (exchange.connection !== nobody) exchange.connection.requestsOpen -= 1
  }
}

/** @throws Problem `wrong-host`, `foreign-origin`, `invalid-request` */
function checkSource(request: IncomingMessage, hosts: readonly string[] | undefined): void {
  const foreign = whyForeign(request, hosts)
  if (foreign === undefined) return
  const { code, detail } = foreign
  const header = code === 'foreign-origin' ? 'origin' : 'host'
  throw new Problem(code === 'two-hosts' ? 'invalid-request' : code, detail, { header })
}

/** @throws Problem `no-such-route`, `method-not-allowed` with the methods allowed, `invalid-request` */
function findRoute(request: IncomingMessage): Pick<Exchange, 'path' | 'query'> & { readonly route: Route } {
  const url = request.url ?? ''
  const mark = url.indexOf('?')
  const pathname = mark === -1 ? url : url.slice(0, mark)
  if (!pathname.startsWith('/')) throw badRequest('the target of a request must be a path', { path: pathname })
  const segments = pathname.includes('%') ? pathname.split('/').map(decodeSegment) : pathname.split('/')
  const candidates = placesAt(segments)
  if (candidates.length === 0) throw new Problem('no-such-route', `there is nothing at ${pathname}`)
  const method = request.method === 'HEAD' ? 'GET' : request.method
  const place = candidates.find(candidate => candidate.route.method === method)
  if (place === undefined) throw methodNotAllowed(request.method ?? '', candidates)
  const path: Record<string, string> = Object.create(null)
  for (const { name, index } of place.names) {
    const value = segments[index]!
    checkName(name, value)
    path[name] = value
  }
  return { route: place.route, path, query: new Parameters(mark === -1 ? '' : url.slice(mark + 1)) }
}

function methodNotAllowed(method: string, places: readonly Place[]): Problem {
  const allowed = places.flatMap(({ route }) => (route.method === 'GET' ? ['GET', 'HEAD'] : [route.method]))
  return new Problem('method-not-allowed', `${method} is not possible here`, { allowed }, { allow: allowed.join(', ') })
}

/** Decoded after the path was split: a `/` that is part of a name is written `%2F`. */
function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    throw badRequest('the path is not percent-encoded UTF-8', { path: segment })
  }
}

/** Names of queues and barriers have the same bounds; anything else within them is merely a name that nobody has. */
function checkName(parameter: string, name: string): void {
  const bytes = utf8Length(name)
  if (bytes > QUEUE_NAME_BYTES_MAX) {
    const detail = `the name has ${bytes} bytes, at most ${QUEUE_NAME_BYTES_MAX} are allowed`
    throw badRequest(detail, { parameter, limit: QUEUE_NAME_BYTES_MAX })
  }
  if (/\p{Cc}/u.test(name)) throw badRequest('a name has no control characters', { parameter })
}
