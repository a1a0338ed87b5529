export type { BackoffOptions } from './backoff.ts'
export {
  type BarrierOutcome,
  BatchHandle,
  type BatchProgress,
  type BatchRecord,
  type BatchStats,
  type BatchView,
  type Holdout,
  type WaitOptions,
} from './batch.ts'
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
export {
  BatchError,
  ConnectionError,
  type ErrorCode,
  type ErrorFacts,
  PermanentError,
  RefusedError,
  SluiceError,
  TimeoutError,
} from './errors.ts'
export { ClientEvent, type ClientEvents, type Warning } from './events.ts'
export type { LinkStatus } from './link.ts'
export type {
  BarrierOptions,
  ConnectOptions,
  ConsumeOptions,
  Headers,
  PublishManyOptions,
  PublishOptions,
  QueueOptions,
} from './options.ts'
export type { Published } from './publisher.ts'
export { type BodyOptions, Queue, type QueueView } from './queue.ts'
export type { Socket, SocketEvents, SocketFactory } from './socket.ts'
export type { Subscription } from './subscription.ts'
export type { Timers } from './timers.ts'
export { Worker, type WorkerOptions, worker } from './worker.ts'
