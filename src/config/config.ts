import type { QueueOptionsInput } from '../engine/peer.ts'

/** What a server is started with: everything checked, every default filled in. */
export interface ServerConfig {
  /** Data folder, relative to the working directory. */
  readonly data: string
  /** Nothing is kept: no data folder is opened. */
  readonly memory: boolean
  readonly listen: Address
  /** Certificate and key in PEM, relative to the working directory: with them only TLS is spoken. Both or none. */
  readonly tlsCert?: string
  readonly tlsKey?: string
  /** CAs of client certificates; with it no client gets in without one. Only with the two above. */
  readonly tlsClientCa?: string
  /** Their revoked certificates. Only with `tlsClientCa`. */
  readonly tlsClientCrl?: string
  /** Host names that requests may name beside `localhost` and IP addresses; absent: any, unless we listen on loopback alone. */
  readonly hosts?: readonly string[]
  /** `tokens`: whoever connects says with a token who he is, and may do what that grants. */
  readonly auth: 'none' | 'tokens'
  /** Lets anybody reach a server that asks nobody who he is, also from other machines. */
  readonly allowUnauthenticatedNetwork: boolean
  /** Origins beside our own whose pages may open WebSockets, as `https://host:port`; `*` is every origin. */
  readonly origins?: readonly string[]
  /** Largest body of a message, in bytes. */
  readonly messageMax: number
  /** Most bytes of bodies in memory. */
  readonly memoryMax: number
  /** Free bytes on disk below which publishing stops; absent: the larger of 5 % and 512 MiB. */
  readonly diskFreeMin?: number
  /** Publishing to a queue that does not exist declares it. */
  readonly autoCreate: boolean
  readonly heartbeatMs: number
  /** How long a stop waits for what is being worked on. */
  readonly drainMs: number
  /** Most connections at once, of all kinds. */
  readonly connectionsMax: number
  /** Of one address other than loopback; of IPv6 one /64. */
  readonly connectionsPerAddress: number
  /** Most queues that clients and the file may declare. */
  readonly queuesMax: number
  /** Most pulls that wait for messages, of all clients. */
  readonly pullsMax: number
  /** Messages a second that a connection (over HTTP an address) may publish; absent: no limit. */
  readonly publishRate?: number
  /** Bytes a second likewise. */
  readonly publishBytesRate?: number
  /** Most bytes that wait to be sent, for all clients; absent: the larger of 256 MiB and four times `messageMax`. */
  readonly sendBuffersMax?: number
  /** Most event streams at once. */
  readonly streamsMax: number
  /** Most queues that the metrics name; the others are added up. */
  readonly metricsQueuesMax: number
  /** Spans for OpenTelemetry: `auto`, where an SDK is registered in this process; `on`: no start without one. */
  readonly tracing: 'auto' | 'on' | 'off'
  /** In the order of the file. */
  readonly queues: readonly QueueConfig[]
  /** In the order of the file, one a queue; absent: none. */
  readonly webhooks?: readonly WebhookConfig[]
}

export interface Address {
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
}

/** A `[[queue]]` table: names of options are checked, their values are the engine's to judge. */
export interface QueueConfig {
  readonly name: string
  readonly options: QueueOptionsInput
  /** Where the table and each of its options stand, as `sluice.toml:7:1`. */
  readonly place: string
  readonly places: Readonly<Record<string, string>>
}

/** A `[[webhook]]` table: the messages of a queue are posted to a URL. */
export interface WebhookConfig {
  readonly queue: string
  readonly url: URL
  /** Keys of the signatures, the newest first: 1 to 4. */
  readonly secrets: readonly Uint8Array[]
  /** Where they were read from; absent: they are in the configuration. */
  readonly secretFile?: string
  /** Most requests at once. */
  readonly concurrency: number
  /** How long a request may take. */
  readonly timeoutMs: number
  /** Where the table stands. */
  readonly place: string
}

/** The configuration cannot be used. One line for each thing that is wrong. */
export class ConfigError extends Error {
  readonly code = 'bad-config'
  readonly problems: readonly string[]

  constructor(problems: readonly string[], options?: { cause?: unknown }) {
    super(problems.join('\n'), options)
    this.name = 'ConfigError'
    this.problems = problems
  }
}

/**
 * Says a refusal of the engine at the place in the file that caused it: the option it names in `facts.option`, or first
 * in `facts.differs`, else the table.
 */
export function queueConfigError(
  queue: QueueConfig,
  refusal: { readonly detail: string; readonly facts?: Readonly<Record<string, unknown>> },
): ConfigError {
  const [option] = [refusal.facts?.['option'] ?? refusal.facts?.['differs']].flat()
  const place = (typeof option === 'string' ? queue.places[option] : undefined) ?? queue.place
  return new ConfigError([`${place}: queue "${queue.name}": ${refusal.detail}`])
}
