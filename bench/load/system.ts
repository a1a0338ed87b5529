import type { Body, Codec } from './bodies.ts'

/**
 * A message queue that can be measured: what an adapter in `systems/` implements. `start` is called in the main process,
 * `connect` in the load client. A workload sees nothing else of a system, so all of them run the same one.
 */
export interface System {
  /** What is kept when a publish is confirmed, in a few words: it stands beside the figures. */
  readonly durability: string
  /** The line that installs it, when it is not on this machine. */
  missing?(): string | undefined
  /**
   * Starts a server of its own, listening on loopback, with its durable settings and all its files in `folder`; it goes on
   * with what is there.
   */
  start(options: StartOptions): Promise<RunningServer>
  /** Bytes of the objects of a running server, if it tells. */
  heapBytes?(address: string): Promise<number>
  /** A connection of its own. */
  connect(address: string, options: ConnectionOptions): Promise<Connection>
}

interface StartOptions {
  /** Its own; removed afterwards. */
  readonly folder: string
  /** Where the server leaves a CPU profile when it stops, if it can. */
  readonly profileFolder: string | undefined
}

export interface RunningServer {
  /** What `connect` gets. */
  readonly address: string
  /** Its processes, whose CPU and memory count as the server's. */
  readonly pids: readonly number[]
  readonly version: string
  /** Rejects when it ends without being asked to. */
  readonly failed: Promise<never>
  stop(): Promise<void>
}

interface ConnectionOptions {
  /** What bodies are; the client library, or the adapter, makes bytes of them and back. */
  readonly codec: Codec
}

/** One connection of a client, used the way that its library's documentation shows first. */
export interface Connection {
  /** Makes a durable queue with default options, and this barrier expression if the system has such a thing. */
  declare(queue: string, barrier?: string): Promise<unknown>
  /** A publish that resolves when the message is confirmed as durable. The body is not changed until then. */
  publisher(queue: string): Publish
  /** Takes messages with up to `prefetch` unsettled, tells each to `received`, and acks each, one by one. */
  consume(queue: string, options: ConsumeOptions): Consumer
  /**
   * Resolves when the program knows that these messages, the only ones published to the queue, are all worked on, by the
   * way that the system's users have for it.
   */
  done(queue: string, count: number): Promise<unknown>
  close(): Promise<void>
}

export interface ConsumeOptions {
  readonly prefetch: number
  readonly received: (body: Body) => void
  /** Somebody waits in `done`: where it takes the workers to know that, they tell. */
  readonly isAwaited?: boolean
}

export type Publish = (body: Body) => Promise<unknown>

export interface Consumer {
  /** Takes no more. Resolves when all its acks are with the server. Rejects with what ended it before. */
  stop(): Promise<void>
}
