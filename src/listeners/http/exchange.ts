import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Connection } from './connection.ts'
import { EventStream } from './event-stream.ts'
import type { Parameters } from './parameters.ts'

/** What a handler answers; without `json`, `text` or `stream` the body is empty. */
export interface Reply {
  readonly status: number
  readonly json?: object
  /** Its type is in `headers`. */
  readonly text?: string | Uint8Array
  /** The answer is a stream of events that does not end by itself; called once its head is on its way. */
  readonly stream?: (stream: EventStream) => void
  readonly headers?: Readonly<Record<string, string>>
  /** Undoes what the answer tells of, if the client hangs up before it has left. */
  readonly unsent?: () => void
}

/** One request on its way to its answer. */
export interface Exchange {
  readonly connection: Connection
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** What stands for the names in braces of the route's path, decoded. */
  readonly path: Readonly<Record<string, string>>
  readonly query: Parameters
}

/** How long a client that is still sending is listened to after its answer. */
const LINGER_MS = 2_000

/**
 * Sends the answer. Comes back when it has left, or the client has gone.
 *
 * If the request has not been read to its end the connection closes. A socket closed with bytes unread resets the
 * connection, and a reset takes the answer away from a client that has not read it yet: so we go on reading a while.
 */
export async function send(exchange: Exchange, reply: Reply): Promise<void> {
  const { connection, request, response } = exchange
  if (reply.stream !== undefined && request.method !== 'HEAD') return sendStream(exchange, reply.stream)
  const sent = reply.unsent === undefined ? undefined : connection.undoIfUnsent(reply.unsent)
  if (response.destroyed || request.socket.destroyed) return
  const left = new Promise<void>(resolve => response.once('close', resolve))
  // It "finishes" too when the socket could not be written to.
  if (sent !== undefined) response.once('finish', () => isSound(request.socket) && sent())
  const isUnread = hasUnreadBody(request)
  const body = reply.json === undefined ? (reply.text ?? '') : `${JSON.stringify(reply.json)}\n`
  const bytes = Buffer.byteLength(body)
  connection.wire.isAnswering = true
  response.writeHead(reply.status, headOf(reply, { bytes, isLast: isUnread || connection.shared.isClosing }))
  if (isUnread) response.write(body)
  else response.end(body)
  const forget = isWithKernel(response) ? undefined : watch(exchange, bytes)
  if (isUnread) {
    await readOn(request)
    response.end()
  }
  await left
  forget?.()
  connection.wire.isAnswering = false
}

/** nginx passes events on as they come only if it is told. */
const EVENT_STREAM: readonly string[] = ['content-type', 'text/event-stream', 'x-accel-buffering', 'no']
/** What every answer has. */
const SAFE: readonly string[] = ['x-content-type-options', 'nosniff']
const OF_NOW: readonly string[] = ['cache-control', 'no-store']

/** Names and values in turn, which Node writes as they are: half as dear as having it put them in order. */
function headOf(reply: Reply, { bytes, isLast }: { bytes: number; isLast: boolean }): string[] {
  const { headers = {}, status, json, stream } = reply
  const head = headers['cache-control'] === undefined ? [...SAFE, ...OF_NOW] : [...SAFE]
  if (json !== undefined && headers['content-type'] === undefined) head.push('content-type', 'application/json')
  if (stream !== undefined) head.push(...EVENT_STREAM)
  else if (status !== 204) head.push('content-length', String(bytes))
  if (isLast) head.push('connection', 'close')
  for (const name in headers) head.push(name, headers[name]!)
  return head
}

/** Nothing of the answer is left here, and it is not behind others of its connection. */
function isWithKernel(response: ServerResponse): boolean {
  return response.socket !== null && response.socket.writableLength === 0 && response.writableLength === 0
}

/** An answer that waits to be read: it counts among what all hold, and not for ever. @returns to be called when it has left */
function watch({ connection, request, response }: Exchange, bytes: number): () => void {
  response.setTimeout(connection.shared.silenceMs, () => request.socket.destroy())
  const buffered = connection.shared.sendBuffers.join(() => request.socket.destroy())
  buffered.set(bytes)
  return () => buffered.leave()
}

/** Comes back when the stream has ended: by its handler, its reader, the engine, or the end of the server. */
async function sendStream({ connection, response }: Exchange, begin: NonNullable<Reply['stream']>): Promise<void> {
  const { shared } = connection
  if (response.destroyed) return
  response.writeHead(200, [...SAFE, ...OF_NOW, ...EVENT_STREAM, 'connection', 'close'])
  const { sendBuffers } = shared
  const buffered = sendBuffers.join(() => response.destroy())
  const stream = new EventStream(response, {
    heartbeatMs: shared.heartbeatMs,
    waits: bytes => buffered.set(bytes),
    share: () => sendBuffers.share,
  })
  connection.wire.isAnswering = true
  shared.streams.open += 1
  const forget = connection.onEnded(why => stream.end(why && { event: 'end', data: JSON.stringify(why) }))
  await new Promise<void>(resolve => {
    stream.onEnd(resolve)
    begin(stream)
  })
  forget()
  buffered.leave()
  shared.streams.open -= 1
  connection.wire.isAnswering = false
}

function isSound(socket: Socket): boolean {
  return !socket.destroyed && socket.errored === null
}

/** `complete` alone is false too for a request without a body that is answered at once. */
function hasUnreadBody({ complete, headers }: IncomingMessage): boolean {
  return !complete && (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0)
}

/** Throws away what still comes, until it ends or the time is over. */
function readOn(request: IncomingMessage): Promise<void> {
  return new Promise(resolve => {
    const stop = (): void => {
      clearTimeout(timer)
      request.off('end', stop).off('close', stop)
      resolve()
    }
    const timer = setTimeout(stop, LINGER_MS)
    request.on('end', stop).on('close', stop).resume()
  })
}
