import { ByteWriter, encodeMessage } from '@sluice/protocol'
import type { BatchRecord } from './batch.ts'
import type { Message } from './delivery.ts'
import { BatchError, SluiceError } from './errors.ts'
import type { Headers } from './options.ts'
import type { Carry, Carrying, ClientTracing, Sending, Tracing, Waiting } from './tracing.ts'

/**
 * What is used of the package `@opentelemetry/api`, from 1.3 on; a program gives the whole of it. Written down here so
 * that neither this package nor its types need that one.
 */
export interface OpenTelemetryApi {
  readonly ROOT_CONTEXT: TraceContext
  readonly trace: {
    getTracer(name: string): {
      startSpan(name: string, options?: SpanStart, context?: TraceContext): TraceSpan
    }
    setSpan(context: TraceContext, span: TraceSpan): TraceContext
    getSpanContext(context: TraceContext): TraceSpanContext | undefined
  }
  readonly context: {
    active(): TraceContext
    with<T>(context: TraceContext, work: () => T): T
  }
  readonly propagation: {
    inject<C>(context: TraceContext, carrier: C): void
    extract<C>(context: TraceContext, carrier: C): TraceContext
  }
}

/** `Context` of the API. */
export interface TraceContext {
  getValue(key: symbol): unknown
}

/** `SpanContext` of the API. */
export interface TraceSpanContext {
  readonly traceId: string
  readonly spanId: string
  readonly traceFlags: number
}

/** `SpanOptions` of the API. */
export interface SpanStart {
  readonly kind?: number
  readonly attributes?: Record<string, string | number | boolean>
  readonly links?: { readonly context: TraceSpanContext }[]
}

/** `Span` of the API. */
export interface TraceSpan {
  setAttributes(attributes: Record<string, string | number | boolean>): unknown
  setStatus(status: { readonly code: number; readonly message?: string }): unknown
  recordException(exception: Error | string): void
  /** From 1.9 on. */
  addLink?(link: { readonly context: TraceSpanContext }): unknown
  end(): void
}

type Attributes = Record<string, string | number | boolean>

// As the API numbers them.
const CLIENT = 2
const PRODUCER = 3
const CONSUMER = 4
const ERROR = 2

const TRACEPARENT = 'traceparent'
/** Most bytes of headers to which a trace is added: with all else that is said of a message they are below its limit. */
const HEADERS_BYTES_MAX: number = 32 * 1024
const NO_BODY = new Uint8Array(0)

/**
 * Traces what a client does with OpenTelemetry: `connect(url, { tracing: openTelemetry(api) })`, where `api` is all of
 * `@opentelemetry/api`. Spans are those of its semantic conventions for messaging. What goes wrong in a trace never
 * reaches the program.
 */
export function openTelemetry(api: OpenTelemetryApi): Tracing {
  return { client: about => new OpenTelemetryTracing(api, about) }
}

class OpenTelemetryTracing implements ClientTracing {
  readonly #api: OpenTelemetryApi
  readonly #tracer: ReturnType<OpenTelemetryApi['trace']['getTracer']>
  readonly #common: Attributes
  /** Where messages are worked on, for what their acks carry. */
  readonly #contexts = new WeakMap<Message, TraceContext>()
  readonly #scratch = new ByteWriter()

  constructor(api: OpenTelemetryApi, { name, url }: { readonly name: string; readonly url: string }) {
    const { hostname, port } = new URL(url)
    this.#api = api
    this.#tracer = api.trace.getTracer('@sluice/client')
    this.#common = {
      'messaging.system': 'sluice',
      'messaging.client.id': name,
      'server.address': hostname,
      ...(port === '' ? {} : { 'server.port': Number(port) }),
    }
  }

  publish<T>(sending: Sending, send: (carry: Carry) => Promise<T>): Promise<T> {
    const begun = quietly(() => this.#begin(sending))
    return begun === undefined ? send(unchanged) : followed(begun.span, () => send(begun.carry), published)
  }

  process<T>(message: Message, handle: () => T): Promise<Awaited<T>> {
    const begun = quietly(() => {
      const parent = this.#contextIn(message.headers)
      const span = this.#tracer.startSpan(
        `process ${message.queue}`,
        { kind: CONSUMER, attributes: { ...this.#about('process', 'process', message.queue), ...messageOf(message) } },
        parent,
      )
      const context = this.#api.trace.setSpan(parent, span)
      this.#contexts.set(message, context)
      return { span, context }
    })
    if (begun === undefined) return calling(handle)
    return followed(begun.span, () => this.#api.context.with(begun.context, () => calling(handle)))
  }

  wait<T>({ queue, barrier }: Waiting, wait: () => Promise<BatchRecord<T>>): Promise<BatchRecord<T>> {
    const begun = quietly(() => {
      const attributes = { ...this.#about('wait', undefined, queue), 'messaging.sluice.barrier.name': barrier }
      return this.#tracer.startSpan(`wait ${queue}`, { kind: CLIENT, attributes }, this.#api.context.active())
    })
    if (begun === undefined) return wait()
    return followed(begun, wait, (span, record) => {
      span.setAttributes(batchOf(record))
      const [link] = this.#linksTo(record.headers)
      if (link !== undefined) span.addLink?.(link)
    })
  }

  #begin({ operation, queue, properties, messages, barrier, acked }: Sending): { span: TraceSpan; carry: Carry } {
    const { trace, propagation } = this.#api
    const parent = acked === undefined ? this.#api.context.active() : this.#contextOf(acked)
    // A trace that the program gave is the message's; then this span is not where it comes from.
    const isGiven = properties?.headers !== undefined && TRACEPARENT in properties.headers
    const span = this.#tracer.startSpan(
      queue === undefined ? operation : `${operation} ${queue}`,
      {
        kind: isGiven ? CLIENT : PRODUCER,
        attributes: {
          ...this.#about(operation, 'send', queue),
          ...(properties?.messageId === undefined ? {} : { 'messaging.sluice.message_id': properties.messageId }),
          ...(properties?.correlationId === undefined
            ? {}
            : { 'messaging.message.conversation_id': properties.correlationId }),
          ...(typeof messages === 'number' ? { 'messaging.batch.message_count': messages } : {}),
          ...(barrier === undefined ? {} : { 'messaging.sluice.barrier.name': barrier }),
          ...(acked === undefined ? {} : ackOf(acked)),
        },
        links: isGiven ? this.#linksTo(properties.headers) : [],
      },
      parent,
    )
    const carrier: Record<string, string> = {}
    quietly(() => propagation.inject(trace.setSpan(parent, span), carrier))
    return { span, carry: this.#carrying(carrier) }
  }

  /** Half a trace of the program's and half of ours would be neither: one that is given stays whole. */
  #carrying(carrier: Headers): Carry {
    if (Object.keys(carrier).length === 0 || !this.#fits(carrier)) return unchanged
    const alone = { headers: carrier }
    return <P extends Carrying | undefined>(properties: P): P => {
      if (properties === undefined) return alone as P
      const { headers } = properties
      if (headers === undefined) return { ...properties, headers: carrier }
      if (TRACEPARENT in headers) return properties
      const both = { ...carrier, ...headers }
      return this.#fits(both) ? { ...properties, headers: both } : properties
    }
  }

  /** Whether a message may have these headers, with room for all else: none is refused because it is traced. */
  #fits(headers: Headers): boolean {
    try {
      encodeMessage(this.#scratch, { headers }, NO_BODY)
      return this.#scratch.length <= HEADERS_BYTES_MAX
    } catch {
      // Too many, or none that a message can have; then the publish itself says so.
      return false
    } finally {
      this.#scratch.rewind(0)
    }
  }

  /** Where what an ack carries comes from: the work on its message, or in a loop of the program's what is going on there. */
  #contextOf(message: Message): TraceContext {
    const active = this.#api.context.active()
    const known = this.#contexts.get(message)
    if (known !== undefined) return known
    return this.#api.trace.getSpanContext(active) === undefined ? this.#contextIn(message.headers) : active
  }

  /** Anybody may have published them: a propagator that cannot read them has found nothing. */
  #contextIn(headers: Headers): TraceContext {
    const { propagation, ROOT_CONTEXT } = this.#api
    return quietly(() => propagation.extract(ROOT_CONTEXT, headers)) ?? ROOT_CONTEXT
  }

  #linksTo(headers: Headers): { readonly context: TraceSpanContext }[] {
    const context = this.#api.trace.getSpanContext(this.#contextIn(headers))
    return context === undefined ? [] : [{ context }]
  }

  #about(name: string, type: string | undefined, queue: string | undefined): Attributes {
    return {
      ...this.#common,
      'messaging.operation.name': name,
      ...(type === undefined ? {} : { 'messaging.operation.type': type }),
      ...(queue === undefined ? {} : { 'messaging.destination.name': queue }),
    }
  }
}

const unchanged: Carry = properties => properties

function messageOf({ sequence, batch, attempt, messageId, properties }: Message): Attributes {
  const { correlationId } = properties
  return {
    'messaging.message.id': String(sequence),
    'messaging.sluice.batch.number': batch,
    'messaging.sluice.attempt': attempt,
    ...(messageId === undefined ? {} : { 'messaging.sluice.message_id': messageId }),
    ...(correlationId === undefined ? {} : { 'messaging.message.conversation_id': correlationId }),
  }
}

function ackOf({ queue, sequence }: Message): Attributes {
  return { 'messaging.sluice.acked.queue': queue, 'messaging.sluice.acked.message.id': String(sequence) }
}

function batchOf({ sequence, batch, outcome, stats }: BatchRecord): Attributes {
  const counts = Object.entries(stats).filter(([name, value]) => !name.endsWith('At') && !Number.isNaN(value))
  return {
    'messaging.message.id': String(sequence),
    'messaging.sluice.batch.number': batch,
    'messaging.sluice.batch.outcome': outcome,
    ...Object.fromEntries(counts.map(([name, value]) => [`messaging.sluice.batch.${name}`, value as number])),
  }
}

/** What a publish came to: a place, places, a count, a barrier, or the result of an ack. */
function published(span: TraceSpan, result: unknown): void {
  if (typeof result === 'string' && result !== 'acked') fail(span, result, `${result}, nothing was published`)
  if (typeof result !== 'object' || result === null) return
  if ('count' in result) span.setAttributes({ 'messaging.batch.message_count': Number(result.count) })
  if ('sequence' in result && result.sequence !== undefined)
    span.setAttributes({ 'messaging.message.id': String(result.sequence) })
  if ('duplicate' in result && result.duplicate === true) span.setAttributes({ 'messaging.sluice.duplicate': true })
}

/** Begins the work before it returns. @param told hears what came of it, and of a batch that ended otherwise its record */
async function followed<T>(
  span: TraceSpan,
  work: () => Promise<T>,
  told: (span: TraceSpan, result: T) => void = () => {},
): Promise<T> {
  try {
    const result = await work()
    quietly(() => told(span, result))
    return result
  } catch (error) {
    quietly(() => failed(span, error))
    if (error instanceof BatchError) quietly(() => told(span, error.record as T))
    throw error
  } finally {
    quietly(() => span.end())
  }
}

/** A handler that throws at once is like one that rejects. */
async function calling<T>(handle: () => T): Promise<Awaited<T>> {
  return await handle()
}

function failed(span: TraceSpan, error: unknown): void {
  const thrown = error instanceof Error ? error : String(error)
  span.recordException(thrown)
  const type = error instanceof SluiceError ? error.code : error instanceof Error ? error.name : '_OTHER'
  fail(span, type, typeof thrown === 'string' ? thrown : thrown.message)
}

function fail(span: TraceSpan, type: string, message: string): void {
  span.setAttributes({ 'error.type': type })
  span.setStatus({ code: ERROR, message })
}

/** A trace that fails is only a trace. */
function quietly<T>(trace: () => T): T | undefined {
  try {
    return trace()
  } catch {
    return undefined
  }
}
