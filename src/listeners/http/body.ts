import { pipeline, Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { ByteWriter } from '@sluice/protocol'
import { formatDuration, formatSize } from '../../engine/units.ts'
import { HungUp } from './connection.ts'
import type { Exchange } from './exchange.ts'
import { JsonObject, parseJsonObject } from './json.ts'
import { badRequest, Problem } from './problem.ts'

/** Most bytes of bodies held at once while they are read, by all connections together. */
const INTAKE_BYTES_MAX = 256 * 1024 * 1024
/** Size of the pieces that a compressed body is unpacked in. */
const GUNZIP_CHUNK_BYTES = 64 * 1024
/** JSON shrinks to a tenth, rarely to a fiftieth; gzip can do a thousandth, and only a bomb does. */
const GUNZIP_RATIO_MAX = 200
/** So many unpacked bytes are always taken: a small body of blanks is no bomb. */
const GUNZIP_FREE_BYTES = 16 * 1024 * 1024

/** Largest body of a request that carries a command, not messages. */
const COMMAND_BYTES_MAX: number = 1024 * 1024

const NOTHING = new Uint8Array(0)
const NO_PARAMETERS: ReadonlyMap<string, string> = new Map()

/** A body over its limit: of a message, named after the option that says so. */
export function messageTooLarge(limit: number): Problem {
  const detail = `the body is larger than message_max allows, ${formatSize(limit)}`
  return new Problem('message-too-large', detail, { option: 'message_max', limit })
}

export function requestTooLarge(limit: number): Problem {
  return new Problem('request-too-large', `the request is larger than ${formatSize(limit)}`, { limit })
}

/**
 * The body of a request in the pieces it comes in; the next one is read when it is asked for. A client that expects
 * `100 Continue` gets it with the first.
 *
 * @throws Problem `request-timeout`, HungUp
 */
export async function* readChunks({ connection, request, response }: Exchange): AsyncGenerator<Buffer, void> {
  if (request.headers.expect !== undefined) response.writeContinue()
  // The request outlives its reading: destroying it would take the connection, and the answer, with it.
  const chunks: AsyncIterator<Buffer> = request.iterator({ destroyOnReturn: false })
  try {
    for (;;) {
      const { done, value } = await connection.untilEnded(within(connection.shared.silenceMs, chunks.next()))
      if (done === true) return
      yield value
    }
  } catch (error) {
    throw request.destroyed && !(error instanceof Problem) ? new HungUp() : error
  }
}

/**
 * The whole body; none of it is read when its length is told and too large.
 *
 * Read by the events of the request: through an iterator a small body would cost as much as all the rest of its publish.
 *
 * @throws Problem: `tooLarge`, `request-timeout`, `server-busy`; HungUp
 */
export function readBody(
  exchange: Exchange,
  bytesMax: number,
  tooLarge: (limit: number) => Problem = requestTooLarge,
): Promise<Uint8Array> {
  const { connection, request, response } = exchange
  const { silenceMs } = connection.shared
  return new Promise((resolve, reject) => {
    const told = Number(request.headers['content-length'] ?? 0)
    if (told > bytesMax) throw tooLarge(bytesMax)
    if (request.destroyed) throw new HungUp()
    let only: Uint8Array = NOTHING
    // Not a list of the pieces: of one byte each, they would cost a hundred times their size.
    const pieces = new ByteWriter(Buffer.allocUnsafe)
    const hold = new Hold(exchange)
    const take = (chunk: Buffer): void => {
      silence.refresh()
      try {
        if (pieces.length + chunk.length > bytesMax) throw tooLarge(bytesMax)
        hold.set(pieces.length + chunk.length)
        if (chunk.length === told) only = chunk
        else pieces.raw(chunk)
      } catch (error) {
        fail(error)
      }
    }
    const end = (): void => {
      stop()
      resolve(pieces.length === 0 ? only : pieces.take())
    }
    const hangUp = (): void => fail(new HungUp())
    const fail = (why: unknown): void => {
      stop()
      request.pause()
      reject(why)
    }
    const stop = (): void => {
      clearTimeout(silence)
      hold.set(0)
      forget()
      request.off('data', take).off('end', end).off('close', hangUp)
    }
    const forget = connection.whileComing(fail)
    const silence = setTimeout(() => fail(silent(silenceMs)), silenceMs)
    if (request.headers.expect !== undefined) response.writeContinue()
    request.on('data', take).on('end', end).on('close', hangUp)
  })
}

/** What one request holds of its body, counted among what all hold: many large bodies at once must not fill the memory. */
export class Hold {
  bytes = 0
  readonly #exchange: Exchange

  constructor(exchange: Exchange) {
    this.#exchange = exchange
  }

  /** @throws Problem `server-busy` when all together would hold too much; then nothing has changed. */
  set(bytes: number): void {
    const { shared } = this.#exchange.connection
    const more = bytes - this.bytes
    if (more > 0 && shared.intakeBytes + more > INTAKE_BYTES_MAX) {
      throw new Problem('server-busy', `requests are being read that hold ${formatSize(INTAKE_BYTES_MAX)} together`)
    }
    shared.intakeBytes += more
    this.bytes = bytes
  }
}

/**
 * Unpacks gzip piece by piece, reading on only as the pieces are taken.
 *
 * @throws Problem for what is no gzip, ends too early, or grows like a bomb
 */
export async function* gunzip(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
  const unpack = createGunzip({ chunkSize: GUNZIP_CHUNK_BYTES })
  // Errors of either end come out of the loop below.
  pipeline(Readable.from(chunks, { objectMode: false }), unpack, () => {})
  let bytes = 0
  try {
    for await (const chunk of unpack as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > GUNZIP_FREE_BYTES && bytes > unpack.bytesWritten * GUNZIP_RATIO_MAX) {
        throw new Problem('request-too-large', `gzip that unpacks to more than ${GUNZIP_RATIO_MAX} times its size`)
      }
      yield chunk
    }
  } catch (error) {
    const code = (error as { code?: unknown }).code
    if (typeof code !== 'string' || !code.startsWith('Z_')) throw error
    throw badRequest(`the body is not whole gzip: ${(error as Error).message}`, { header: 'content-encoding' })
  }
}

/**
 * A command in JSON; an empty body is an empty object. The content type must be JSON or absent: what a page of another
 * site can post without asking, a form or plain text, is no command.
 *
 * @throws Problem
 */
export async function readCommand(exchange: Exchange, bytesMax: number = COMMAND_BYTES_MAX): Promise<JsonObject> {
  const { type } = mediaType(exchange.request.headers['content-type'] ?? 'application/json')
  if (type !== 'application/json' && !type.endsWith('+json')) {
    const facts = { header: 'content-type', allowed: ['application/json'] }
    throw new Problem('unsupported-media-type', `a command is application/json, not ${type}`, facts)
  }
  contentEncoding(exchange, [])
  const bytes = await readBody(exchange, bytesMax)
  return bytes.length === 0 ? new JsonObject({}, '') : parseJsonObject(bytes)
}

/** Type and parameters of a `Content-Type`, in lower case but for the values. */
export function mediaType(header: string): { readonly type: string; readonly parameters: ReadonlyMap<string, string> } {
  if (!header.includes(';')) return { type: header.trim().toLowerCase(), parameters: NO_PARAMETERS }
  const [type = '', ...rest] = header.split(';').map(part => part.trim())
  const parameters = rest.map(part => {
    const [name = '', ...value] = part.split('=')
    return [
      name.trim().toLowerCase(),
      value
        .join('=')
        .trim()
        .replace(/^"(.*)"$/, '$1'),
    ] as const
  })
  return { type: type.toLowerCase(), parameters: new Map(parameters) }
}

/** Encodings that a body can have here. @throws Problem `unsupported-media-type` */
export function contentEncoding({ request }: Exchange, allowed: readonly string[]): string {
  const encoding = (request.headers['content-encoding'] ?? 'identity').toLowerCase()
  if (encoding === 'identity' || allowed.includes(encoding)) return encoding
  throw new Problem('unsupported-media-type', `a body in content-encoding ${encoding} is not taken here`, {
    header: 'content-encoding',
    allowed: ['identity', ...allowed],
  })
}

async function within<T>(silenceMs: number, next: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(silent(silenceMs)), silenceMs)
  })
  try {
    return await Promise.race([next, silence])
  } finally {
    clearTimeout(timer)
  }
}

function silent(ms: number): Problem {
  return new Problem('request-timeout', `nothing of the body came for ${formatDuration(ms)}`)
}
