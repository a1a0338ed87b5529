import type { ServerResponse } from 'node:http'
import { Problem } from './problem.ts'

/** One event of a `text/event-stream` (HTML standard, 9.2: server-sent events). */
export interface StreamEvent {
  /** Comes back as `Last-Event-ID` when the client connects again. One line. */
  readonly id?: string | number
  /** What a page listens for; default `message`. One line. */
  readonly event?: string
  /** Any text; each of its lines becomes a `data:` line. */
  readonly data: string
}

export interface StreamTerms {
  /** A comment goes out this often, so that proxies see life and a reader that has gone is noticed. Default 15 s. */
  readonly heartbeatMs?: number
  /** Bytes that may wait for a slow reader. Beyond it nothing more is taken. Default 256 KiB. */
  readonly bufferMax?: number
  /** How long a client should wait before it connects again; default 2 s. */
  readonly retryMs?: number
  /** Told how many bytes wait for the reader, whenever that changes. */
  readonly waits?: (bytes: number) => void
  /** Bytes that may wait for any one reader now, where all together have a limit. */
  readonly share?: () => number
}

/** Streams open at once, over all connections: each holds a socket and a buffer. */
export interface StreamCount {
  open: number
  readonly max: number
}

export const HEARTBEAT_MS = 15_000
const BUFFER_MAX = 256 * 1024
const RETRY_MS = 2_000

/**
 * Server-sent events to one reader, on an answer that does not end.
 *
 * The reader decides the pace. What it has not read waits in a buffer that is bounded; when that is full there are three
 * ways on, and the caller chooses: `send` cuts the reader (it comes back and says where it was), `offer` drops the event
 * and says so, and `paced` leaves out what has been overtaken. A reader that takes nothing for the time of two
 * heartbeats while something waits for it is cut.
 */
export class EventStream {
  readonly #response: ServerResponse
  readonly #terms: StreamTerms
  readonly #heartbeat: NodeJS.Timeout
  readonly #ended: (() => void)[] = []
  readonly #drained: (() => void)[] = []
  #isOpen = true

  /** @param response its head has been written; it is the stream's from now on */
  constructor(response: ServerResponse, terms: StreamTerms = {}) {
    this.#response = response
    this.#terms = terms
    const heartbeatMs = terms.heartbeatMs ?? HEARTBEAT_MS
    this.#heartbeat = setInterval(() => this.#beat(), heartbeatMs)
    this.#heartbeat.unref()
    // Node begins anew with each byte that the socket takes.
    response.setTimeout(2 * heartbeatMs, () => {
      if (this.bufferedBytes > 0) this.cut()
    })
    response.on('drain', () => {
      terms.waits?.(this.bufferedBytes)
      if (!this.isFull) for (const drained of this.#drained) drained()
    })
    response.once('close', () => this.#close())
    this.#write(`retry: ${terms.retryMs ?? RETRY_MS}\n\n`)
  }

  get isOpen(): boolean {
    return this.#isOpen && !this.#response.destroyed
  }

  /** Bytes that the reader has not taken yet, in this process. */
  get bufferedBytes(): number {
    return this.#response.writableLength
  }

  get isFull(): boolean {
    const { bufferMax = BUFFER_MAX, share } = this.#terms
    return this.bufferedBytes >= Math.min(bufferMax, share?.() ?? bufferMax)
  }

  /** For events that must not be missed. A reader that is too slow for them is cut. */
  send(event: StreamEvent): void {
    if (!this.isOpen) return
    if (this.isFull) this.cut()
    else this.#write(eventText(event))
  }

  /** For events that may be missed. @returns whether it was taken */
  offer(event: StreamEvent): boolean {
    if (!this.isOpen || this.isFull) return false
    this.#write(eventText(event))
    return true
  }

  /** The reader has caught up: `isFull` is false again. */
  onDrained(drained: () => void): void {
    this.#drained.push(drained)
  }

  /** Called once, however it ends; at once if it has. */
  onEnd(ended: () => void): void {
    if (this.#isOpen) this.#ended.push(ended)
    else ended()
  }

  /** Ends it in order, after this event if there is one. */
  end(last?: StreamEvent): void {
    if (!this.#isOpen) return
    // Also to a reader that is behind: it is the last one, and what it waited for.
    if (last !== undefined) this.#write(eventText(last))
    this.#response.end()
    this.#close()
    // A reader that does not read would keep the socket for ever.
    const cut = setTimeout(() => this.#response.destroy(), RETRY_MS)
    cut.unref()
    this.#response.once('close', () => clearTimeout(cut))
  }

  /** Ends it here and now; what waits is thrown away. */
  cut(): void {
    this.#response.destroy()
    this.#close()
  }

  #beat(): void {
    if (this.bufferedBytes === 0) this.#write(':\n\n')
  }

  #write(text: string): void {
    this.#response.write(text)
    this.#terms.waits?.(this.bufferedBytes)
  }

  #close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    clearInterval(this.#heartbeat)
    for (const ended of this.#ended) ended()
  }
}

/**
 * For a state that changes more often than anybody wants to read it: at most one event in `everyMs`, none while the
 * reader is behind, and always one for the last change.
 *
 * @param make the event of the state as it is then; undefined: nothing worth telling
 * @returns to be called at each change
 */
export function paced(stream: EventStream, everyMs: number, make: () => StreamEvent | undefined): () => void {
  let hasChanged = false
  let timer: NodeJS.Timeout | undefined
  const tell = (): void => {
    if (!hasChanged || timer !== undefined || !stream.isOpen || stream.isFull) return
    hasChanged = false
    timer = setTimeout(() => {
      timer = undefined
      tell()
    }, everyMs)
    timer.unref()
    const event = make()
    if (event !== undefined) stream.offer(event)
  }
  stream.onDrained(tell)
  stream.onEnd(() => clearTimeout(timer))
  return () => {
    hasChanged = true
    tell()
  }
}

/** @throws Problem `too-many-streams` */
export function checkRoom({ open, max }: StreamCount): void {
  if (open < max) return
  const detail = `${open} event streams are open, and streams_max allows ${max}`
  throw new Problem('too-many-streams', detail, { limit: max })
}

/** @throws Error for an `id` or `event` that is not one line: it would be read as something else */
export function eventText({ id, event, data }: StreamEvent): string {
  let text = ''
  if (id !== undefined) text += `id: ${oneLine(`${id}`)}\n`
  if (event !== undefined) text += `event: ${oneLine(event)}\n`
  for (const line of data.split(/\r\n|\r|\n/)) text += `data: ${line}\n`
  return `${text}\n`
}

function oneLine(text: string): string {
  if (/[\r\n\0]/.test(text)) throw new Error(`not one line: ${JSON.stringify(text)}`)
  return text
}
