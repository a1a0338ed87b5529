import * as api from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } from '@opentelemetry/core'
import { BasicTracerProvider, type ReadableSpan } from '@opentelemetry/sdk-trace-base'
import { onTestFinished } from 'vitest'

/** A span that has ended, as tests look at it. */
export interface Seen {
  readonly name: string
  readonly kind: keyof typeof api.SpanKind
  readonly trace: string
  readonly id: string
  /** Id of the span above it; absent: it is the first of its trace. */
  readonly parent: string | undefined
  /** Ids of the spans that it is linked to. */
  readonly links: readonly string[]
  readonly attributes: ReadableSpan['attributes']
  readonly isError: boolean
  readonly exceptions: readonly unknown[]
  /** In ms since the epoch. */
  readonly from: number
  readonly to: number
}

export interface Spans {
  readonly api: typeof api
  readonly tracer: api.Tracer
  /** In the order in which they ended. */
  readonly ended: Seen[]
  /** How often the SDK was asked to hand on what it has. */
  flushes: number
  /** The first of that name. */
  of(name: string): Seen
  names(): readonly string[]
}

/** The SDK of OpenTelemetry, registered in this process until the test is over; it keeps what ends. */
export function recordSpans(): Spans {
  const spans: Spans = {
    api,
    get tracer() {
      return api.trace.getTracer('test')
    },
    ended: [],
    flushes: 0,
    of(name) {
      const found = spans.ended.find(span => span.name === name)
      if (found === undefined) throw new Error(`there is no span "${name}" among ${spans.names().join(', ')}`)
      return found
    },
    names: () => spans.ended.map(({ name }) => name),
  }
  const processor = {
    onStart: () => {},
    onEnd: (span: ReadableSpan) => void spans.ended.push(seen(span)),
    shutdown: async () => {},
    forceFlush: async () => {
      spans.flushes += 1
    },
  }
  api.trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [processor] }))
  api.context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  api.propagation.setGlobalPropagator(
    new CompositePropagator({ propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()] }),
  )
  onTestFinished(() => {
    api.trace.disable()
    api.context.disable()
    api.propagation.disable()
  })
  return spans
}

function seen(span: ReadableSpan): Seen {
  const { traceId, spanId } = span.spanContext()
  const ms = ([seconds, nanoseconds]: readonly [number, number]) => seconds * 1_000 + nanoseconds / 1e6
  return {
    name: span.name,
    kind: api.SpanKind[span.kind] as Seen['kind'],
    trace: traceId,
    id: spanId,
    parent: span.parentSpanContext?.spanId,
    links: span.links.map(({ context }) => context.spanId),
    attributes: span.attributes,
    isError: span.status.code === api.SpanStatusCode.ERROR,
    exceptions: span.events.filter(({ name }) => name === 'exception').map(e => e.attributes?.['exception.message']),
    from: ms(span.startTime),
    to: ms(span.endTime),
  }
}

/** `traceparent` of a span. */
export function traceparentOf({ trace, id }: Pick<Seen, 'trace' | 'id'>): string {
  return `00-${trace}-${id}-01`
}
