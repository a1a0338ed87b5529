import { BARRIER_BODY_BYTES_MAX, MessageCursor, type MessageProperties, ProtocolError } from '@sluice/protocol'
import type { QueueOptions } from '../core/options.ts'
import type { Incoming, IncomingRun } from '../core/publishing.ts'
import { type Refusal, refuse } from '../core/refusals.ts'
import { type QueueExpressions, Subject } from './expressions.ts'

/** Bodies from this size on are counted one by one; smaller ones share a run, and its bytes evenly. */
const LARGE_BODY_BYTES = 16 * 1024

interface Target {
  readonly name: string
  readonly options: QueueOptions
  readonly expressions: QueueExpressions
}

interface Asked {
  readonly bytes: Uint8Array
  /** How many records there must be. */
  readonly count: number
  readonly isDedupeAsked: boolean
  /** A stretch ends before the message of this index. */
  readonly cutAt: number
}

/**
 * Reads a publish once, message by message: which are barriers, which must be refused, and what the queue must know of
 * the rest. Plain messages next to one another stay one stretch of the buffer, as they came.
 */
export class Intake {
  readonly #messageMax: number
  readonly #cursor = new MessageCursor()
  readonly #subject = new Subject()

  constructor(messageMax: number) {
    this.#messageMax = messageMax
  }

  /** @returns a refusal of the whole when the bytes are not `count` records. */
  read(target: Target, asked: Asked): Incoming[] | Refusal {
    const { options, expressions } = target
    const cursor = this.#cursor.open(asked.bytes)
    const stretches = new Stretches(asked.bytes)
    const looks =
      expressions.filter !== undefined || expressions.barrier !== undefined || expressions.priority !== undefined
    let index = 0
    try {
      for (; cursor.next(); index += 1) {
        if (index === asked.cutAt) stretches.end()
        const bodyBytes = cursor.bodyEnd - cursor.bodyStart
        if (!looks && !cursor.hasProperties && bodyBytes <= this.#messageMax && !asked.isDedupeAsked) {
          stretches.addPlain(index, cursor.recordStart, cursor.bodyEnd, bodyBytes)
          continue
        }
        const properties = cursor.properties()
        const subject = looks ? this.#subject.at(cursor, target.name) : undefined
        const refusal = this.#refusal(bodyBytes, properties, options, asked.isDedupeAsked)
        if (refusal !== undefined) {
          stretches.refuse(index, refusal)
          continue
        }
        const isBarrier =
          properties?.barrier !== undefined || (subject !== undefined && expressions.barrier?.matches(subject) === true)
        if (isBarrier) {
          const problem = barrierProblem(properties, bodyBytes)
          if (problem === undefined)
            stretches.addBarrier(index, cursor.recordStart, cursor.bodyEnd, properties?.barrier?.name)
          else stretches.refuse(index, problem)
          continue
        }
        if (subject !== undefined && expressions.filter?.matches(subject) === false) {
          stretches.refuse(
            index,
            refuse('not-accepted', `queue "${target.name}" takes only messages that match ${options.filter}`, {
              filter: options.filter ?? '',
            }),
          )
          continue
        }
        const priority =
          expressions.priority !== undefined && subject !== undefined
            ? expressions.priority.number(subject)
            : options.priority === 'property'
              ? properties?.priority
              : undefined
        stretches.add(index, cursor.recordStart, cursor.bodyEnd, {
          count: 1,
          bodyBytes,
          ...(priority === undefined || priority === 0 ? {} : { priority }),
          ...(properties?.delayMs === undefined ? {} : { delayMs: properties.delayMs }),
          ...(properties?.ttlMs === undefined ? {} : { ttlMs: properties.ttlMs }),
        })
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      return refuse('invalid-message', `message ${index} of the publish: ${error.message}`, { index })
    }
    if (index !== asked.count)
      return refuse('invalid-message', `the publish says ${asked.count} messages and has ${index}`)
    return stretches.end()
  }

  #refusal(
    bodyBytes: number,
    properties: MessageProperties | undefined,
    options: QueueOptions,
    isDedupeAsked: boolean,
  ): Refusal | undefined {
    if (bodyBytes > this.#messageMax) {
      return refuse('message-too-large', `a body of ${bodyBytes} bytes is above message_max, ${this.#messageMax}`, {
        limit: 'message_max',
        message_max: this.#messageMax,
      })
    }
    if (isDedupeAsked && options.dedupeWindowMs === 0) {
      return refuse('no-dedupe-window', 'dedupe was asked for, and the queue has no dedupe_window')
    }
    if (properties?.group !== undefined && options.group !== undefined)
      return refuse('invalid-message', 'groups are not carried out by this version yet')
    return undefined
  }
}

function barrierProblem(properties: MessageProperties | undefined, bodyBytes: number): Refusal | undefined {
  if (bodyBytes > BARRIER_BODY_BYTES_MAX) {
    return refuse(
      'message-too-large',
      `a barrier's body has at most ${BARRIER_BODY_BYTES_MAX} bytes, this one ${bodyBytes}`,
      { limit: 'barrier_body', barrier_body: BARRIER_BODY_BYTES_MAX },
    )
  }
  if (properties?.delayMs !== undefined && properties.delayMs > 0)
    return refuse('invalid-message', 'a barrier cannot be delayed')
  const barrier = properties?.barrier
  if (barrier?.name?.startsWith('@'))
    return refuse('invalid-message', 'a barrier name does not begin with "@": that is how sequence numbers are written')
  const later = (['deadlineMs', 'rest', 'parties', 'party', 'forward'] as const).find(
    option => barrier?.[option] !== undefined,
  )
  if (later !== undefined)
    return refuse('invalid-message', `a barrier's "${later}" is not carried out by this version yet`)
  return undefined
}

/** Collects what was read into stretches of one kind. */
class Stretches {
  readonly #bytes: Uint8Array
  readonly #done: Incoming[] = []
  #runs: { count: number; bodyBytes: number; priority?: number; delayMs?: number; ttlMs?: number }[] = []
  #index = 0
  #count = 0
  #start = 0
  #stop = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** A message that needs nothing but its place: the hot path. */
  addPlain(index: number, start: number, stop: number, bodyBytes: number): void {
    const last = this.#runs[this.#runs.length - 1]
    if (
      last !== undefined &&
      bodyBytes < LARGE_BODY_BYTES &&
      last.priority === undefined &&
      last.delayMs === undefined &&
      last.ttlMs === undefined &&
      last.bodyBytes < last.count * LARGE_BODY_BYTES
    ) {
      last.count += 1
      last.bodyBytes += bodyBytes
      this.#count += 1
      this.#stop = stop
    } else this.add(index, start, stop, { count: 1, bodyBytes })
  }

  add(index: number, start: number, stop: number, run: IncomingRun): void {
    if (this.#count === 0) {
      this.#index = index
      this.#start = start
    }
    this.#count += 1
    this.#stop = stop
    const last = this.#runs[this.#runs.length - 1]
    const isAlike =
      last !== undefined && last.priority === run.priority && last.delayMs === run.delayMs && last.ttlMs === run.ttlMs
    if (isAlike && run.bodyBytes < LARGE_BODY_BYTES && last.bodyBytes < last.count * LARGE_BODY_BYTES) {
      last.count += run.count
      last.bodyBytes += run.bodyBytes
    } else this.#runs.push({ ...run })
  }

  addBarrier(index: number, start: number, stop: number, name: string | undefined): void {
    this.end()
    // A copy: a barrier is kept in memory as long as it waits and longer, and must not hold the frame it came in.
    this.#done.push({ kind: 'barrier', index, count: 1, bytes: this.#bytes.slice(start, stop), name })
  }

  refuse(index: number, refusal: Refusal): void {
    this.end()
    this.#done.push({ kind: 'refused', index, count: 1, refusal })
  }

  end(): Incoming[] {
    if (this.#count > 0) {
      const bytes = this.#bytes.subarray(this.#start, this.#stop)
      this.#done.push({ kind: 'messages', index: this.#index, count: this.#count, bytes, runs: this.#runs })
      this.#runs = []
      this.#count = 0
    }
    return this.#done
  }
}
