/**
 * A client of a Sluice server, for Node and browsers: `connect` makes one.
 *
 * @module @sluice/client
 */

export type { AtomicMessage } from './atomic.ts'
export type { BackoffOptions } from './backoff.ts'
export {
  type BarrierOutcome,
  type BarriersOptions,
  type BarriersPage,
  BatchHandle,
  type BatchParties,
  type BatchParty,
  type BatchProgress,
  type BatchReceipt,
  type BatchRecord,
  type BatchStats,
  type BatchSummary,
  type BatchView,
  type Holdout,
  type WaitOptions,
} from './batch.ts'
export {
  type BrowsedMessage,
  type BrowseOptions,
  type DeadLetterChoice,
  DeadLetters,
  type MessagePage,
  type MessagePlace,
  type PageOptions,
} from './browsing.ts'
export { Client, type ClientListener, connect, type ListenOptions } from './client.ts'
export type { Codec, CodecName, SchemaIssue, SchemaResult, StandardSchema } from './codecs.ts'
export {
  type AckResult,
  type Barrier,
  type DeadLetterOrigin,
  type Delivery,
  InvalidMessageError,
  Message,
  type MessageState,
  type Outgoing,
  type OutputQueue,
} from './delivery.ts'
export { ERROR_CODES, type ErrorCode, type ErrorKind } from './error-codes.ts'
export {
  BatchError,
  ConnectionError,
  type ErrorFacts,
  PermanentError,
  RefusedError,
  SluiceError,
  TimeoutError,
} from './errors.ts'
export { ClientEvent, type ClientEvents, type Warning } from './events.ts'
export type { Published } from './lane.ts'
export type { LinkStatus } from './link.ts'
export { MessageHandle } from './one-message.ts'
export {
  type OpenTelemetryApi,
  openTelemetry,
  type SpanStart,
  type TraceContext,
  type TraceSpan,
  type TraceSpanContext,
} from './open-telemetry.ts'
export type {
  BarrierOptions,
  ConnectOptions,
  ConsumeOptions,
  Headers,
  PublishManyOptions,
  PublishOptions,
  QueueOptions,
  QueueUpdate,
  UnconfirmedOptions,
} from './options.ts'
export { type BodyOptions, Queue, type QueueView } from './queue.ts'
export type { Pem, Socket, SocketEvents, SocketFactory, TlsOptions } from './socket.ts'
export type { Subscription } from './subscription.ts'
export type { Timers } from './timers.ts'
export type { Carry, Carrying, ClientTracing, Sending, Tracing, Waiting } from './tracing.ts'
export { Worker, type WorkerOptions, worker } from './worker.ts'
