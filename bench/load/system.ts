import type { Body, Codec } from './bodies.ts'

/**
 * A message queue that can be measured: what an adapter in `systems/` implements. `start` is called in the main process,
 * `connect` in the load client. A workload sees nothing else of a system, so all of them run the same one.
 */
export interface System {
  /** What is kept when a publish is confirmed, in a few words: it stands beside the figures. */
  readonly durability: string
  /** The line that installs it, when it is not on this machine. */
  missing?(): Promise<string | undefined>
  /** Starts a server of its own, listening on loopback, with its durable settings and all its files in `folder`. */
  start(options: StartOptions): Promise<RunningServer>
  /** A connection of its own. */
  connect(address: string, options: ConnectionOptions): Promise<Connection>
}

interface StartOptions {
  /** Empty, and removed afterwards. */
  readonly folder: string
  /** Where the server leaves a CPU profile when it stops, if it can. */
  readonly profileFolder: string | undefined
}

interface RunningServer {
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
  /** Makes a durable queue with default options. */
  declare(queue: string): Promise<unknown>
  /** A publish that resolves when the message is confirmed as durable. The body is not changed until then. */
  publisher(queue: string): Publish
  /** Takes messages with up to `prefetch` unsettled, tells each to `received`, and acks each, one by one. */
  consume(queue: string, options: { readonly prefetch: number; readonly received: (body: Body) => void }): Consumer
  close(): Promise<void>
}

export type Publish = (body: Body) => Promise<unknown>

export interface Consumer {
  /** Takes no more. Resolves when all its acks are with the server. Rejects with what ended it before. */
  stop(): Promise<void>
}
