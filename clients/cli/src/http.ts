import { type IncomingMessage, type OutgoingHttpHeaders, request, STATUS_CODES } from 'node:http'
import { request as requestTls } from 'node:https'
import { text as readText } from 'node:stream/consumers'
import type { SecureContextOptions } from 'node:tls'
import { ConnectionError, RefusedError, type TlsOptions } from '@sluice/client'
import type { Shell } from './io.ts'

const TIMEOUT_MS = 30_000

/** For what the server carries out in many turns: a purge or a requeue of millions. */
export const LONG_TIMEOUT_MS = 600_000

/** A document as the server gives it. */
export type Document = Readonly<Record<string, unknown>>

export type QueryValue = string | number | boolean | undefined

/**
 * Asks the server over HTTP, for what is one question and one answer.
 *
 * @returns the answer's document, empty if it has none
 * @throws RefusedError with the code of the problem; ConnectionError `unreachable`
 */
export async function ask(
  shell: Shell,
  method: string,
  path: string,
  body?: Document,
  timeoutMs: number = TIMEOUT_MS,
): Promise<Document> {
  const url = new URL(path, shell.url.replace(/^ws/, 'http'))
  const tls = shell.tls?.()
  const given = body === undefined ? '' : JSON.stringify(body)
  const headers = {
    ...(shell.token === undefined ? {} : { authorization: `Bearer ${shell.token}` }),
    ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(given) }),
  }
  const { status, text } = await exchange(url, { method, headers, timeoutMs, tls }, given).catch((error: Error) => {
    throw new ConnectionError('unreachable', error.message, error)
  })
  const document = (text === '' ? {} : JSON.parse(text)) as Document
  if (status >= 200 && status < 300) return document
  const { code, detail, ...facts } = document
  throw new RefusedError(String(code ?? status), String(detail ?? STATUS_CODES[status]), facts)
}

interface Request {
  readonly method: string
  readonly headers: OutgoingHttpHeaders
  readonly timeoutMs: number
  readonly tls: TlsOptions | undefined
}

/** Not `fetch`: it takes no certificates. */
function exchange(
  url: URL,
  { method, headers, timeoutMs, tls }: Request,
  body: string,
): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const options = { method, headers, signal: AbortSignal.timeout(timeoutMs), agent: false as const }
    const answered = (response: IncomingMessage): void => {
      readText(response).then(text => resolve({ status: response.statusCode ?? 0, text }), reject)
    }
    const asked =
      url.protocol === 'https:'
        ? requestTls(url, { ...options, ...(tls as SecureContextOptions), rejectUnauthorized: true }, answered)
        : request(url, options, answered)
    asked.on('error', error => reject(reasonOf(error)))
    asked.end(body)
  })
}

/** Of several addresses that were tried in vain, the error has no message of its own. */
function reasonOf(error: Error): Error {
  const [first] = error instanceof AggregateError ? error.errors : []
  return error.message === '' && first instanceof Error ? first : error
}

export function queuePath(name: string): string {
  return `/v1/queues/${encodeURIComponent(name)}`
}

export function barrierPath(queue: string, barrier: string): string {
  return `${queuePath(queue)}/barriers/${encodeURIComponent(barrier)}`
}

/** A path with those parameters that have a value. */
export function withQuery(path: string, query: Readonly<Record<string, QueryValue>>): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined)
  const parameters = new URLSearchParams(given.map(([name, value]): [string, string] => [name, String(value)]))
  return given.length === 0 ? path : `${path}?${parameters}`
}
