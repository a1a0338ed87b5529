import { ConnectionError, RefusedError } from '@sluice/client'
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
  const response = await fetch(url, {
    method,
    signal: AbortSignal.timeout(timeoutMs),
    headers: {
      ...(shell.token === undefined ? {} : { authorization: `Bearer ${shell.token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  }).catch((error: Error) => {
    throw new ConnectionError('unreachable', reasonOf(error), error)
  })
  const text = await response.text()
  const document = (text === '' ? {} : JSON.parse(text)) as Document
  if (response.ok) return document
  const { code, detail, ...facts } = document
  throw new RefusedError(String(code ?? response.status), String(detail ?? response.statusText), facts)
}

/** `fetch` says only that it failed; why is in the cause. */
function reasonOf(error: Error): string {
  return error.cause instanceof Error && error.cause.message !== '' ? error.cause.message : error.message
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
