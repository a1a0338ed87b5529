import { BARRIER_BODY_BYTES_MAX, MessageCursor, type MessageProperties, ProtocolError } from '@sluice/protocol'
import { badName } from '../core/declaring.ts'
import type { QueueOptions } from '../core/options.ts'
import type { Room } from '../core/overflow.ts'
import type { Incoming, IncomingRun } from '../core/publishing.ts'
import { type Refusal, refuse } from '../core/refusals.ts'
import type { PublishGuard } from './entitlement.ts'
import { type QueueExpressions, Subject } from './expressions.ts'

/** Bodies from this size on are counted one by one; smaller ones share a run, and its bytes evenly. */
const LARGE_BODY_BYTES = 16 * 1024

export interface IntakeTarget {
  readonly name: string
  readonly options: QueueOptions
  readonly expressions: QueueExpressions
  /** What is beyond is refused `queue-full`. */
  readonly room: Room
  /** Inside the dedupe window. */
  isSeen(id: string): boolean
  /** What the publisher may do; absent: all. */
  readonly guard?: PublishGuard | undefined
  /** Whether those that are no queues yet may become some. */
  hasRoomFor(queues: readonly string[]): boolean
}

export interface IntakeAsked {
  readonly bytes: Uint8Array
  /** How many records there must be. */
  readonly count: number
  readonly isDedupeAsked: boolean
  /** A stretch ends before the message of this index, and what is before it was taken already. */
  readonly cutAt: number
  /** What is stored counts for somebody: messages share a run only if their records are of one length. */
  readonly isOwned: boolean
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
  read(target: IntakeTarget, asked: IntakeAsked): Incoming[] | Refusal {
    const { options, expressions, guard } = target
    const cursor = this.#cursor.open(asked.bytes)
    const stretches = new Stretches(asked.bytes, asked.isOwned)
    const { barrier } = expressions
    const looksBeyond =
      expressions.filter !== undefined || expressions.priority !== undefined || expressions.group !== undefined
    const looks = looksBeyond || barrier !== undefined
    let room = new RoomLeft(target.room)
    const isPlain = !looksBeyond && guard?.allowsMessages !== false && !asked.isDedupeAsked && room.isUnlimited
    // A barrier's right and its terms are looked at below: here come only those that are none.
    const isNoBarrier = (): boolean =>
      barrier === undefined || (guard === undefined && !barrier.matches(this.#subject.at(cursor, target.name)))
    let index = 0
    try {
      for (; cursor.next(); index += 1) {
        if (index === asked.cutAt) {
          stretches.end()
          room = new RoomLeft(target.room)
        }
        const bodyBytes = cursor.bodyEnd - cursor.bodyStart
        if (isPlain && !cursor.hasProperties && bodyBytes <= this.#messageMax && isNoBarrier()) {
          stretches.addPlain(index, cursor.recordStart, cursor.bodyEnd, bodyBytes)
          continue
        }
        const properties = cursor.properties()
        const subject = looks || guard !== undefined ? this.#subject.at(cursor, target.name) : undefined
        const refusal = this.#refusal(bodyBytes, options, asked.isDedupeAsked)
        if (refusal !== undefined) {
          stretches.refuse(index, refusal)
          continue
        }
        if (properties?.barrier !== undefined || (subject !== undefined && barrier?.matches(subject) === true)) {
          const problem =
            (subject && guard?.barrier(subject, properties?.barrier?.forward ?? [])) ??
            barrierProblem(target, properties, bodyBytes)
          if (problem === undefined)
            stretches.addBarrier(
              index,
              cursor.recordStart,
              cursor.bodyEnd,
              properties?.barrier ?? {},
              options.dedupeWindowMs > 0 ? properties?.messageId : undefined,
            )
          else stretches.refuse(index, problem)
          continue
        }
        const notTaken =
          subject &&
          (guard?.message(subject) ??
            (expressions.filter?.matches(subject) === false ? notAccepted(target) : undefined))
        if (notTaken !== undefined) {
          stretches.refuse(index, notTaken)
          continue
        }
        const id = options.dedupeWindowMs > 0 ? properties?.messageId : undefined
        if (id === undefined || !target.isSeen(id)) {
          const full = room.take(bodyBytes, (properties?.delayMs ?? 0) > 0)
          if (full !== undefined) {
            stretches.refuse(index, queueFull(target, full))
            continue
          }
        }
        const run = { count: 1, bodyBytes, ...attributes(options, expressions, subject, properties) }
        if (id === undefined) stretches.add(index, cursor.recordStart, cursor.bodyEnd, run)
        else stretches.addNamed(index, cursor.recordStart, cursor.bodyEnd, run, id)
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      return refuse('invalid-message', `message ${index} of the publish: ${error.message}`, { index })
    }
    if (index !== asked.count)
      return refuse('invalid-message', `the publish says ${asked.count} messages and has ${index}`)
    return stretches.end()
  }

  #refusal(bodyBytes: number, options: QueueOptions, isDedupeAsked: boolean): Refusal | undefined {
    if (bodyBytes > this.#messageMax) {
      return refuse('message-too-large', `a body of ${bodyBytes} bytes is above message_max, ${this.#messageMax}`, {
        limit: 'message_max',
        message_max: this.#messageMax,
      })
    }
    if (isDedupeAsked && options.dedupeWindowMs === 0) {
      return refuse('no-dedupe-window', 'dedupe was asked for, and the queue has no dedupe_window')
    }
    return undefined
  }
}

/** What is left of the room of a queue while a publish is read. */
class RoomLeft {
  readonly #isShared: boolean
  #messages: number
  #bytes: number

  constructor({ messages, bytes, isShared }: Room) {
    this.#messages = messages
    this.#bytes = bytes
    this.#isShared = isShared
  }

  get isUnlimited(): boolean {
    return this.#messages === Number.POSITIVE_INFINITY && this.#bytes === Number.POSITIVE_INFINITY
  }

  /** @returns the limit that this message does not fit into, and then it takes nothing */
  take(bodyBytes: number, isDelayed: boolean): 'messages_max' | 'bytes_max' | undefined {
    if (this.#messages < 1) return 'messages_max'
    if (this.#bytes < bodyBytes) return 'bytes_max'
    // What is out of sight cannot be pushed out.
    if (this.#isShared && !isDelayed) return undefined
    this.#messages -= 1
    this.#bytes -= bodyBytes
    return undefined
  }
}

/** What the queue must know of a message, by its options and by what the message says. */
export function attributes(
  options: QueueOptions,
  expressions: QueueExpressions,
  subject: Subject | undefined,
  properties: MessageProperties | undefined,
): Omit<IncomingRun, 'count' | 'bodyBytes'> {
  const priority =
    subject !== undefined && expressions.priority !== undefined
      ? expressions.priority.number(subject)
      : options.priority === 'property'
        ? properties?.priority
        : undefined
  const group =
    subject !== undefined && expressions.group !== undefined
      ? expressions.group.string(subject)
      : options.group === 'property'
        ? properties?.group
        : undefined
  return {
    ...(priority === undefined || priority === 0 ? {} : { priority }),
    ...(group === undefined ? {} : { group }),
    ...(properties?.delayMs === undefined ? {} : { delayMs: properties.delayMs }),
    ...(properties?.ttlMs === undefined ? {} : { ttlMs: properties.ttlMs }),
  }
}

function notAccepted({ name, options: { filter = '' } }: IntakeTarget): Refusal {
  return refuse('not-accepted', `queue "${name}" takes only messages that match ${filter}`, { filter })
}

function queueFull({ name, options }: IntakeTarget, limit: 'messages_max' | 'bytes_max'): Refusal {
  const value = (limit === 'messages_max' ? options.messagesMax : options.bytesMax) ?? 0
  return refuse('queue-full', `queue "${name}" is full: ${limit} is ${value}`, { limit, [limit]: value })
}

function barrierProblem(
  { name: queue, hasRoomFor }: IntakeTarget,
  properties: MessageProperties | undefined,
  bodyBytes: number,
): Refusal | undefined {
  if (bodyBytes > BARRIER_BODY_BYTES_MAX) {
    return refuse(
      'message-too-large',
      `a barrier's body has at most ${BARRIER_BODY_BYTES_MAX} bytes, this one ${bodyBytes}`,
      {
        limit: 'barrier_body',
        barrier_body: BARRIER_BODY_BYTES_MAX,
      },
    )
  }
  if (properties?.delayMs !== undefined && properties.delayMs > 0)
    return refuse('invalid-message', 'a barrier cannot be delayed')
  for (const name of properties?.barrier?.forward ?? []) {
    const problem = name === queue ? 'a barrier is not forwarded to the queue it is in' : badName(name)
    if (problem !== undefined) return refuse('invalid-message', `forward "${name}": ${problem}`)
  }
  if (!hasRoomFor(properties?.barrier?.forward ?? []))
    return refuse('too-many-queues', 'queues_max leaves no room for the queues that forward names', {
      limit: 'queues_max',
    })
  return undefined
}

/** Collects what was read into stretches of one kind. */
class Stretches {
  readonly #bytes: Uint8Array
  readonly #isOwned: boolean
  readonly #done: Incoming[] = []
  #runs: (Omit<IncomingRun, 'count' | 'bodyBytes'> & { count: number; bodyBytes: number })[] = []
  #index = 0
  #count = 0
  #start = 0
  #stop = 0

  constructor(bytes: Uint8Array, isOwned: boolean) {
    this.#bytes = bytes
    this.#isOwned = isOwned
  }

  /** A message that needs nothing but its place: the hot path, which makes no object. */
  addPlain(index: number, start: number, stop: number, bodyBytes: number): void {
    const last = this.#runs[this.#runs.length - 1]
    const recordBytes = this.#isOwned ? stop - start : undefined
    if (last !== undefined && isPlain(last) && last.recordBytes === recordBytes && isSmall(last, bodyBytes)) {
      last.count += 1
      last.bodyBytes += bodyBytes
      this.#count += 1
      this.#stop = stop
    } else this.add(index, start, stop, { count: 1, bodyBytes })
  }

  add(index: number, start: number, stop: number, message: IncomingRun): void {
    const run = this.#isOwned ? { ...message, recordBytes: stop - start } : message
    if (this.#count === 0) {
      this.#index = index
      this.#start = start
    }
    this.#count += 1
    this.#stop = stop
    const last = this.#runs[this.#runs.length - 1]
    if (last !== undefined && isAlike(last, run) && isSmall(last, run.bodyBytes)) {
      last.count += run.count
      last.bodyBytes += run.bodyBytes
    } else this.#runs.push({ ...run })
  }

  /** A message with an id that is remembered: a stretch of its own, for it may have been there before. */
  addNamed(index: number, start: number, stop: number, message: IncomingRun, id: string): void {
    this.end()
    const bytes = this.#bytes.subarray(start, stop)
    const run = this.#isOwned ? { ...message, recordBytes: bytes.length } : message
    this.#done.push({ kind: 'messages', index, count: 1, bytes, runs: [run], id })
  }

  addBarrier(
    index: number,
    start: number,
    stop: number,
    barrier: NonNullable<MessageProperties['barrier']>,
    id: string | undefined,
  ): void {
    this.end()
    // A copy: a barrier is kept in memory as long as it waits and longer, and must not hold the frame it came in.
    // Not by `slice`, which of a Buffer is a view.
    const bytes = new Uint8Array(this.#bytes.subarray(start, stop))
    this.#done.push({ kind: 'barrier', index, count: 1, bytes, barrier, ...(id === undefined ? {} : { id }) })
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

function isPlain(run: IncomingRun): boolean {
  return run.priority === undefined && run.group === undefined && run.delayMs === undefined && run.ttlMs === undefined
}

function isAlike(a: IncomingRun, b: IncomingRun): boolean {
  const isTimedAlike = a.delayMs === b.delayMs && a.ttlMs === b.ttlMs
  return isTimedAlike && a.priority === b.priority && a.group === b.group && a.recordBytes === b.recordBytes
}

function isSmall(run: IncomingRun, bodyBytes: number): boolean {
  return bodyBytes < LARGE_BODY_BYTES && run.bodyBytes < run.count * LARGE_BODY_BYTES
}
