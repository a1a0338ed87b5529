import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Clock } from '../engine/clock.ts'
import type { Answer } from './verdict.ts'

/** Of an answer's body so much is read, so that a receiver may end it well; nobody looks at it. */
const ANSWER_BYTES_MAX: number = 64 * 1024

export interface Post {
  readonly url: URL
  readonly headers: Readonly<Record<string, string | number>>
  readonly body: Uint8Array
  /** For all of it: to connect, to send, and to be answered. */
  readonly timeoutMs: number
}

/**
 * Sends one POST on a connection of its own. Redirects are an answer like any other.
 *
 * @param answered called once, unless it was aborted before
 * @returns how to call it off: nothing is called back any more
 */
export function post(
  { url, headers, body, timeoutMs }: Post,
  clock: Clock,
  answered: (answer: Answer) => void,
): { abort(): void } {
  let isOver = false
  const end = (answer: Answer) => {
    if (isOver) return
    isOver = true
    answered(answer)
  }
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest
  const request: ClientRequest = send(url, { method: 'POST', headers, agent: false }, response => {
    const { statusCode: status = 0, headers } = response
    end({ kind: 'answered', status, retryAfter: headers['retry-after'] })
    drop(response)
  })
  const cancelTimer = clock.at(clock.now() + timeoutMs, () => {
    end({ kind: 'timeout' })
    request.destroy()
  })
  request.on('error', error => {
    end({ kind: 'unreachable', code: (error as NodeJS.ErrnoException).code ?? 'failed' })
  })
  request.on('close', () => {
    cancelTimer()
    // Also when a connection ends without a word.
    end({ kind: 'unreachable', code: 'ECONNRESET' })
  })
  request.end(body)
  return {
    abort() {
      isOver = true
      request.destroy()
    },
  }
}

function drop(response: IncomingMessage): void {
  let left = ANSWER_BYTES_MAX
  response.on('data', (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) response.destroy()
  })
  // What goes wrong behind the status changes nothing.
  response.on('error', () => {})
}
