import { MessageCursor, type MessageProperties } from '@sluice/protocol'
import type { Clock } from '../engine/clock.ts'
import type { Delivery, Engine, Outbox, Peer, Range, Refusal } from '../engine/peer.ts'
import type { Principal } from '../engine/principal.ts'
import { post } from './post.ts'
import { signatureOf, webhookId } from './signature.ts'
import { type Answer, type FailureReason, type Verdict, verdictOf } from './verdict.ts'

export interface WebhookTerms {
  readonly queue: string
  readonly url: URL
  readonly secrets: readonly Uint8Array[]
  readonly concurrency: number
  readonly timeoutMs: number
}

export interface WebhookParts {
  readonly engine: Pick<Engine, 'attach'>
  readonly clock: Clock
  /** Milliseconds since the epoch as others have them: receivers compare the timestamp with their own clock. */
  readonly wallClock: () => number
  readonly userAgent: string
  /** Names a place in a queue for good, in letters, digits and `-`; undefined: the queue is gone. */
  readonly placeOf: (queue: string, sequence: number) => string | undefined
  /** Told of each attempt that failed. Never a URL, a body or a secret. */
  readonly onFailed: (failure: WebhookFailure) => void
}

export interface WebhookFailure {
  readonly queue: string
  readonly reason: FailureReason
  readonly attempt: number
  readonly status?: number
  /** Of the connection, such as `ECONNREFUSED`. */
  readonly error?: string
}

/** Requests since the server started. */
export interface WebhookCounts {
  readonly delivered: number
  readonly failed: Readonly<Record<FailureReason, number>>
}

/** The lease is longer than a request may take: it ends only if something is wrong with us. */
const LEASE_SPARE_MS = 30_000
/** How soon it looks again for a queue that is gone, and comes back after it was cut. */
const REOPEN_MS = 1_000
/** Wait before the next attempt where the queue has no `retry_delay`: nobody means a loop. Doubled at each attempt. */
const BACKOFF_MS_MIN = 1_000
const BACKOFF_MS_MAX = 300_000
/** Failures in a row by which it is the receiver and not the message; then it rests, twice as long each time. */
const PATIENCE = 3
const REST_MS_MIN = 250
const REST_MS_MAX = 30_000
/** What may stand in a header. */
const CONTENT_TYPE = /^[\x20-\x7e]{1,256}$/

/** One message on its way to the receiver. */
interface Attempt {
  readonly subscription: number
  /** Delivery number. */
  readonly number: number
  readonly attempt: number
  abort(): void
}

/**
 * Posts the messages of a queue to a URL: a consumer like any other, by the engine's door, that may consume this queue and
 * do nothing else. Attempts, retries and dead letters are the queue's.
 */
export class Webhook implements Outbox {
  readonly #terms: WebhookTerms
  readonly #parts: WebhookParts
  readonly #attempts = new Map<number, Attempt>()
  readonly #cursor = new MessageCursor()
  readonly #counts = { delivered: 0, failed: { rejected: 0, status: 0, timeout: 0, unreachable: 0 } }
  #peer: Peer | undefined
  #subscription = 0
  #failuresInARow = 0
  /** When it may go on; 0: it does not rest. */
  #restsUntil = 0
  /** Before then the receiver wants nothing, whatever else it takes. */
  #askedUntil = 0
  #cancelRest = () => {}
  #cancelReopen = () => {}
  #isClosed = false

  constructor(terms: WebhookTerms, parts: WebhookParts) {
    this.#terms = terms
    this.#parts = parts
  }

  get queue(): string {
    return this.#terms.queue
  }

  get counts(): WebhookCounts {
    return this.#counts
  }

  open(): void {
    if (this.#isClosed) return
    const { queue, concurrency, timeoutMs } = this.#terms
    this.#peer ??= this.#parts.engine.attach(this.#identity, this)
    this.#subscription += 1
    const answer = this.#peer.subscribe({
      subscription: this.#subscription,
      queue,
      prefetch: this.#restsUntil > 0 ? 0 : concurrency,
      concurrency,
      leaseMs: timeoutMs + LEASE_SPARE_MS,
    })
    if ('code' in answer) this.#reopenLater()
  }

  /** Requests under way are called off, and their messages given back untouched: they come again, with the same id. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#cancelRest()
    this.#cancelReopen()
    this.#abortAll()
    // First, for what a lost connection held counts as tried.
    this.#peer?.unsubscribe(this.#subscription)
    this.#peer?.close()
  }

  get #identity(): { name: string; protocol: string; principal: Principal } {
    const { queue, url } = this.#terms
    return {
      // Not the path: with many receivers it is the secret.
      name: `webhook to ${url.origin}`,
      protocol: 'webhook',
      principal: {
        name: 'webhook',
        isAdmin: false,
        may: (name, right) => (name === queue && right === 'consume' ? {} : undefined),
      },
    }
  }

  #abortAll(): void {
    for (const { abort } of this.#attempts.values()) abort()
    this.#attempts.clear()
  }

  #reopenLater(): void {
    if (this.#isClosed) return
    const { clock } = this.#parts
    this.#cancelReopen()
    this.#cancelReopen = clock.at(clock.now() + REOPEN_MS, () => this.open())
  }

  // ── what the engine says ───────────────────────────────────────────────────────────────────────────────────────

  deliver(delivery: Delivery): void {
    let k = 0
    for (const bytes of delivery.bytes) {
      for (this.#cursor.open(bytes); this.#cursor.next(); k += 1) {
        // A copy: the journal's buffer is not ours to keep for as long as a receiver takes.
        this.#send(delivery, k, this.#cursor.properties(), new Uint8Array(this.#cursor.body()))
      }
    }
  }

  /** Barriers are not messages; a queue with `announce` tells of them in one. */
  barrier(): void {}

  /** Somebody has taken it out, or its time was over: what is under way has nobody to be told to. */
  leaseLost(_subscription: number, { first, count }: Range): void {
    for (let number = first; number < first + count; number += 1) {
      this.#attempts.get(number)?.abort()
      this.#attempts.delete(number)
    }
  }

  cancelled(): void {
    this.#abortAll()
    this.#reopenLater()
  }

  closed(_why: Refusal): void {
    this.#peer = undefined
    this.#abortAll()
    this.#reopenLater()
  }

  isFull(): boolean {
    return false
  }

  pressure(): void {}

  // ── one message ────────────────────────────────────────────────────────────────────────────────────────────────

  #send(
    { subscription, delivery, queue, sequence, attempt }: Delivery,
    k: number,
    properties: MessageProperties | undefined,
    body: Uint8Array,
  ): void {
    const { placeOf, clock, wallClock, userAgent } = this.#parts
    const { url, secrets, timeoutMs } = this.#terms
    const place = placeOf(queue, sequence + k)
    if (place === undefined) return
    const number = delivery + k
    const id = webhookId(properties?.messageId, place)
    const timestamp = Math.floor(wallClock() / 1_000)
    const type = properties?.contentType ?? ''
    const headers = {
      'content-type': CONTENT_TYPE.test(type) ? type : 'application/octet-stream',
      'content-length': body.length,
      'user-agent': userAgent,
      'webhook-id': id,
      'webhook-timestamp': timestamp,
      'webhook-signature': signatureOf(secrets, { id, timestamp, body }),
      'sluice-queue': encodeURIComponent(queue),
      'sluice-attempt': attempt,
    }
    const { abort } = post({ url, headers, body, timeoutMs }, clock, answer => {
      this.#attempts.delete(number)
      this.#end({ subscription, number, attempt, abort }, answer)
    })
    this.#attempts.set(number, { subscription, number, attempt, abort })
  }

  #end({ subscription, number, attempt }: Attempt, answer: Answer): void {
    const verdict = verdictOf(answer, this.#parts.wallClock())
    const deliveries = [{ first: number, count: 1 }]
    if (verdict.kind === 'delivered') {
      this.#counts.delivered += 1
      this.#goOn()
      this.#peer?.settle({ subscription, deliveries, how: { kind: 'ack' } })
      return
    }
    this.#tell(verdict, answer, attempt)
    if (verdict.kind === 'rejected') {
      // It was answered: nothing is wrong with the receiver.
      this.#goOn()
      const reason = `the webhook was answered ${verdict.status}`
      this.#peer?.settle({ subscription, deliveries, how: { kind: 'reject', reason } })
      return
    }
    // Before it is given back: else it would be out again at once.
    this.#rest(verdict.afterMs)
    const delayMs = verdict.afterMs ?? this.#backoffMs(attempt)
    this.#peer?.settle({
      subscription,
      deliveries,
      how: { kind: 'nack', ...(delayMs === undefined ? {} : { delayMs }) },
    })
  }

  #tell(verdict: Exclude<Verdict, { kind: 'delivered' }>, answer: Answer, attempt: number): void {
    const reason = verdict.kind === 'rejected' ? 'rejected' : verdict.reason
    this.#counts.failed[reason] += 1
    this.#parts.onFailed({
      queue: this.#terms.queue,
      reason,
      attempt,
      ...(answer.kind === 'answered' ? { status: answer.status } : {}),
      ...(answer.kind === 'unreachable' ? { error: answer.code } : {}),
    })
  }

  /** Undefined: as the queue says. */
  #backoffMs(attempt: number): number | undefined {
    const queue = this.#peer?.queue(this.#terms.queue)
    if (queue === undefined || 'code' in queue || queue.options.retryDelay.baseMs > 0) return undefined
    return Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** (attempt - 1))
  }

  // ── a receiver that is down ────────────────────────────────────────────────────────────────────────────────────

  /** Takes nothing for a while: else a queue would use up the attempts of all its messages on a receiver that is down. */
  #rest(afterMs = 0): void {
    this.#failuresInARow += 1
    const over = this.#failuresInARow - PATIENCE
    const ownMs = over < 0 ? 0 : Math.min(REST_MS_MAX, REST_MS_MIN * 2 ** over)
    const { clock } = this.#parts
    if (afterMs > 0) this.#askedUntil = Math.max(this.#askedUntil, clock.now() + afterMs)
    const until = clock.now() + Math.max(ownMs, afterMs)
    if (this.#isClosed || until <= Math.max(clock.now(), this.#restsUntil)) return
    this.#restsUntil = until
    this.#peer?.resubscribe(this.#subscription, { prefetch: 0 })
    this.#cancelRest()
    this.#cancelRest = clock.at(until, () => this.#wake())
  }

  #goOn(): void {
    this.#failuresInARow = 0
    if (this.#restsUntil > 0 && this.#askedUntil <= this.#parts.clock.now()) this.#wake()
  }

  #wake(): void {
    this.#cancelRest()
    this.#restsUntil = 0
    this.#peer?.resubscribe(this.#subscription, { prefetch: this.#terms.concurrency })
  }
}
