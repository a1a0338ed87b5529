import { open } from 'node:fs/promises'
import { addAbortSignal, type Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { Stop, USAGE } from './exit.ts'
import { readLines } from './ndjson.ts'
import type { Outgoing, RefusedMessage } from './sender.ts'

/** What `publish` reads: messages, and lines that cannot be one. */
export interface Source {
  /** In portions, as they come. When the signal is aborted the reading ends with an error, wherever it is. */
  items(signal?: AbortSignal): AsyncIterable<readonly (Outgoing | { readonly refused: RefusedMessage })[]>
  /** How much of the input has been read, 0 … 1; undefined while nobody can tell. */
  fraction(): number | undefined
}

/** One message: BODY itself, or all of stdin for `-`. */
export function oneMessage(body: string, stdin: Readable, messageId: string | undefined): Source {
  return {
    async *items(signal) {
      const bytes = body === '-' ? await buffer(abortable(stdin, signal)) : Buffer.from(body)
      yield [messageId === undefined ? { body: bytes } : { body: bytes, messageId }]
    },
    fraction: () => undefined,
  }
}

/** A message a line of a file of JSON lines, read as fast as it is sent; `-` reads stdin. */
export async function linesOf(path: string, stdin: Readable, idField: string | undefined): Promise<Source> {
  const idOf = idField === undefined ? undefined : fieldReader(idField)
  const { stream, size } = path === '-' ? { stream: stdin, size: undefined } : await openFile(path)
  let bytesRead = 0
  async function* counted(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
    for await (const chunk of chunks) {
      bytesRead += chunk.length
      yield chunk
    }
  }
  return {
    async *items(signal) {
      for await (const lines of readLines(counted(abortable(stream, signal)))) {
        yield lines.map(line => messageOf(line.bytes, line.number, idOf))
      }
    },
    fraction: () => (size ? bytesRead / size : undefined),
  }
}

function abortable(stream: Readable, signal: AbortSignal | undefined): Readable {
  return signal === undefined ? stream : addAbortSignal(signal, stream)
}

async function openFile(path: string): Promise<{ readonly stream: Readable; readonly size: number | undefined }> {
  try {
    const file = await open(path)
    const status = await file.stat()
    if (status.isDirectory()) throw new Error('it is a folder')
    return {
      stream: file.createReadStream({ highWaterMark: 256 * 1_024 }),
      size: status.isFile() ? status.size : undefined,
    }
  } catch (error) {
    const isGone = (error as NodeJS.ErrnoException).code === 'ENOENT'
    throw new Stop(USAGE, `Cannot read ${path}: ${isGone ? 'there is no such file' : (error as Error).message}.`)
  }
}

type IdReader = (value: unknown) => string | undefined

function messageOf(
  body: Uint8Array,
  line: number,
  idOf: IdReader | undefined,
): Outgoing | { readonly refused: RefusedMessage } {
  let value: unknown
  try {
    value = JSON.parse(UTF8.decode(body))
  } catch (error) {
    return { refused: { line, code: 'invalid-message', detail: `not JSON: ${(error as Error).message}` } }
  }
  if (idOf === undefined) return { body, line }
  const messageId = idOf(value)
  if (messageId === undefined)
    return { refused: { line, code: 'invalid-message', detail: 'the id field is not there, or empty' } }
  return { body, line, messageId }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false })

/** Reads `/order/id` out of a value; only text and numbers can be an id. */
function fieldReader(path: string): IdReader {
  const steps = path.split('/').slice(1)
  if (!path.startsWith('/') || steps.some(step => step === '')) {
    throw new Stop(USAGE, `--id-field is a path such as /order_id or /order/id, not "${path}".`)
  }
  return value => {
    let at: unknown = value
    for (const step of steps) {
      if (typeof at !== 'object' || at === null || !Object.hasOwn(at, step)) return undefined
      at = (at as Record<string, unknown>)[step]
    }
    return typeof at === 'number' || (typeof at === 'string' && at !== '') ? String(at) : undefined
  }
}
