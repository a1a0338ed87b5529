import type * as OpenTelemetry from '@opentelemetry/api'

type Api = Pick<typeof OpenTelemetry, 'ROOT_CONTEXT' | 'trace' | 'context' | 'propagation' | 'ProxyTracerProvider'>
type Attributes = Record<string, string | number | boolean>
type Headers = Readonly<Record<string, unknown>>

// As the API numbers them.
const INTERNAL = 0
const SERVER = 1
const ERROR = 2

/** Links of one span; OpenTelemetry keeps 128 by default. */
const LINKS_MAX = 128
/** Longest wait for what was not handed on yet, at a close. */
const FLUSH_MS_MAX = 2_000
const FIRST_ERROR_STATUS = 500

/** `no-package`: there is no `@opentelemetry/api`. `no-sdk`: nobody has registered a tracer provider with it. */
export type Missing = 'no-package' | 'no-sdk'

/** A request over HTTP as it comes, and how it ended. */
export interface RequestFacts {
  readonly operation: { readonly name: string; readonly type: string }
  readonly method: string
  readonly route: string
  readonly path: string
  readonly scheme: string
  readonly queue: string
  readonly headers: Headers
}

export interface RequestEnd {
  readonly status?: number
  readonly code?: string
  readonly messages?: number
  readonly sequence?: number
}

/** A released barrier. Times in ms since the epoch. */
export interface BatchFacts {
  readonly queue: string
  readonly name: string
  readonly sequence: number
  readonly batch: number
  readonly outcome: string
  /** By name; without those that are not numbers of messages. */
  readonly counts: Readonly<Record<string, number>>
  readonly publishedAt: number
  readonly releasedAt: number
  /** Of the first message of the batch, and of the last settle in it; absent: it was empty. */
  readonly firstPublishedAt?: number
  readonly lastSettledAt?: number
  /** Headers of the barrier's message, and of the messages of its parties. */
  readonly headers: Headers
  readonly parties: readonly Headers[]
}

/**
 * Looks for OpenTelemetry in this process: the package, and somebody who has registered an SDK with it before. That takes
 * a while once, and nothing after that.
 *
 * @param load for tests
 * @throws what the package throws while it is loaded
 */
export async function findTracing(
  load: () => Promise<Api> = () => import('@opentelemetry/api'),
): Promise<Tracing | Missing> {
  let api: Api
  try {
    api = await load()
  } catch (error) {
    // A file of it that is missing is something else: then it is there, and broken.
    if (error instanceof Error && error.message.startsWith('Cannot find package')) return 'no-package'
    throw error
  }
  const provider = api.trace.getTracerProvider()
  const isRegistered =
    !(provider instanceof api.ProxyTracerProvider) || provider.getDelegateTracer('sluice') !== undefined
  return isRegistered ? new Tracing(api) : 'no-sdk'
}

/** Tells OpenTelemetry of requests and of batches. What goes wrong in a trace never reaches the server. */
export class Tracing {
  readonly #api: Api
  readonly #tracer: OpenTelemetry.Tracer

  constructor(api: Api) {
    this.#api = api
    this.#tracer = api.trace.getTracer('sluice')
  }

  /** A child of the span in which the request comes, else of the client's; so it is once in a trace, whatever else looks on. */
  begin(request: RequestFacts): { end(end: RequestEnd): void } {
    const span = quietly(() => {
      const { context, trace, propagation } = this.#api
      const active = context.active()
      const isWithin = trace.getSpan(active) !== undefined
      return this.#tracer.startSpan(
        `${request.method} ${request.route}`,
        { kind: isWithin ? INTERNAL : SERVER, attributes: attributesOf(request) },
        isWithin ? active : propagation.extract(active, request.headers),
      )
    })
    return { end: end => void quietly(() => span && endRequest(span, end)) }
  }

  /**
   * A batch as one span, from its barrier's publish to its release, made when it is released: so it outlives a restart, and
   * nothing is kept for it. Its parent is the publish of the barrier, those of its parties are linked.
   */
  batch(facts: BatchFacts): void {
    quietly(() => {
      const { queue, sequence, batch, name, outcome, counts, publishedAt, releasedAt } = facts
      const { firstPublishedAt, lastSettledAt } = facts
      const attributes: Attributes = {
        'messaging.system': 'sluice',
        'messaging.operation.name': 'batch',
        'messaging.destination.name': queue,
        'messaging.message.id': String(sequence),
        'messaging.sluice.barrier.name': name,
        'messaging.sluice.batch.number': batch,
        'messaging.sluice.batch.outcome': outcome,
        ...Object.fromEntries(
          Object.entries(counts).map(([count, value]) => [`messaging.sluice.batch.${count}`, value]),
        ),
        ...(firstPublishedAt === undefined ? {} : { 'messaging.sluice.batch.first_published_at': firstPublishedAt }),
        ...(lastSettledAt === undefined ? {} : { 'messaging.sluice.batch.last_settled_at': lastSettledAt }),
      }
      const links = facts.parties.slice(0, LINKS_MAX).flatMap(headers => {
        const context = this.#api.trace.getSpanContext(this.#contextIn(headers))
        return context === undefined ? [] : [{ context }]
      })
      const start = { kind: INTERNAL, startTime: publishedAt, attributes, links }
      const span = this.#tracer.startSpan(`batch ${queue}`, start, this.#contextIn(facts.headers))
      if (outcome !== 'clean') {
        span.setAttribute('error.type', `batch-${outcome}`)
        span.setStatus({ code: ERROR, message: `batch ${name} ended ${outcome}` })
      }
      span.end(releasedAt)
    })
  }

  /** Lets the SDK hand on what it holds: the process may end behind this. Never rejects. */
  async flush(): Promise<void> {
    const provider = this.#api.trace.getTracerProvider()
    const registered =
      'getDelegate' in provider ? (provider as OpenTelemetry.ProxyTracerProvider).getDelegate() : provider
    const { forceFlush } = registered as { forceFlush?: () => Promise<void> }
    if (forceFlush === undefined) return
    let timer: NodeJS.Timeout | undefined
    const tooLong = new Promise<void>(resolve => {
      timer = setTimeout(resolve, FLUSH_MS_MAX)
    })
    const flushed = Promise.resolve(quietly(() => forceFlush.call(registered))).catch(() => {})
    await Promise.race([flushed, tooLong])
    clearTimeout(timer)
  }

  /** Anybody may have published them: a propagator that cannot read them has found nothing. */
  #contextIn(headers: Headers): OpenTelemetry.Context {
    const { propagation, ROOT_CONTEXT } = this.#api
    return quietly(() => propagation.extract(ROOT_CONTEXT, headers)) ?? ROOT_CONTEXT
  }
}

function attributesOf({ operation, method, route, path, scheme, queue }: RequestFacts): Attributes {
  return {
    'http.request.method': method,
    'http.route': route,
    'url.path': path,
    'url.scheme': scheme,
    'messaging.system': 'sluice',
    'messaging.operation.name': operation.name,
    'messaging.operation.type': operation.type,
    'messaging.destination.name': queue,
  }
}

/** A refusal is the client's affair: only what is ours makes the span one of an error. */
function endRequest(span: OpenTelemetry.Span, { status, code, messages, sequence }: RequestEnd): void {
  span.setAttributes({
    ...(status === undefined ? { 'error.type': 'hung-up' } : { 'http.response.status_code': status }),
    ...(code === undefined ? {} : { 'error.type': code }),
    ...(messages === undefined ? {} : { 'messaging.batch.message_count': messages }),
    ...(sequence === undefined ? {} : { 'messaging.message.id': String(sequence) }),
  })
  if (status !== undefined && status >= FIRST_ERROR_STATUS)
    span.setStatus({ code: ERROR, ...(code && { message: code }) })
  span.end()
}

function quietly<T>(trace: () => T): T | undefined {
  try {
    return trace()
  } catch {
    return undefined
  }
}
