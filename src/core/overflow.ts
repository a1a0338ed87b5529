import { WORK_MAX } from './endings.ts'
import type { Timestamp } from './facts.ts'
import type { Queue } from './queue.ts'
import type { Run } from './run.ts'
import type { Turn } from './turn.ts'

/** How much may come in. */
export interface Room {
  readonly messages: number
  /** Bytes of their bodies. */
  readonly bytes: number
  /** What comes in ready makes room for what comes behind it: each message has all of it. */
  readonly isShared: boolean
}

/** What a queue does at `messages_max` and `bytes_max` (A7). */
export class Overflow {
  readonly #queue: Queue

  constructor(queue: Queue) {
    this.#queue = queue
  }

  /** What may come in; what is beyond is refused `queue-full`. */
  get room(): Room {
    const { messages, bytes, movable, options } = this.#queue
    const { messagesMax = Number.POSITIVE_INFINITY, bytesMax = Number.POSITIVE_INFINITY } = options
    if (options.overflow === 'refuse')
      return { messages: messagesMax - messages, bytes: bytesMax - bytes, isShared: false }
    return {
      messages: messagesMax - messages + movable.messages,
      bytes: bytesMax - bytes + movable.bytes,
      isShared: true,
    }
  }

  /** There is too much, and something that can be pushed out. */
  get isBusy(): boolean {
    return this.#queue.options.overflow !== 'refuse' && this.#excess !== undefined && this.#queue.movable.messages > 0
  }

  /**
   * Pushes out the oldest ready messages (never a leased one or a barrier) until the limits are kept, some in one turn.
   *
   * @returns true when something went
   */
  makeRoom(turn: Turn, now: Timestamp): boolean {
    const queue = this.#queue
    const { overflow } = queue.options
    if (overflow === 'refuse') return false
    let left = WORK_MAX
    for (let excess = this.#excess; excess !== undefined && left > 0; excess = this.#excess) {
      const run = this.#takeOldest(excess, left)
      if (run === undefined) break
      left -= run.count
      if (overflow === 'drop-oldest') queue.finish(turn, now, run, 'dropped')
      else queue.deadLetter(turn, now, run, 'overflow')
    }
    return left < WORK_MAX
  }

  /** What is above the limits; undefined when nothing is. */
  get #excess(): { readonly messages: number; readonly bytes: number } | undefined {
    const { messages, bytes, options } = this.#queue
    const { messagesMax = Number.POSITIVE_INFINITY, bytesMax = Number.POSITIVE_INFINITY } = options
    const excess = { messages: Math.max(0, messages - messagesMax), bytes: Math.max(0, bytes - bytesMax) }
    return excess.messages > 0 || excess.bytes > 0 ? excess : undefined
  }

  /** As many of the oldest messages that can go as the excess asks for, `max` at most. */
  #takeOldest(excess: { messages: number; bytes: number }, max: number): Run | undefined {
    for (const batch of this.#queue.batches) {
      const ready = batch.ready.oldest
      const waiting = batch.groups.first
      if (waiting !== undefined && (ready === undefined || waiting.first < ready.first)) {
        this.#queue.takeWaiting(waiting)
        return waiting
      }
      if (ready === undefined) continue
      const forBytes = excess.bytes === 0 ? 0 : Math.ceil((excess.bytes * ready.count) / Math.max(1, ready.bytes))
      return batch.ready.take(ready, 0, Math.min(ready.count, max, Math.max(1, excess.messages, forBytes)))
    }
    return undefined
  }
}
