import { ATOMIC_BYTES_MAX, type Frames, ProtocolError, PUBLISH_FLAGS, type PublishPart } from '@sluice/protocol'
import type { Engine, Peer, PublishAnswer, PublishCommand } from '../../engine/peer.ts'
import { PublishCredit } from './credit.ts'
import type { Outgoing } from './outgoing.ts'
import type { Pace } from './pace.ts'
import { refusalFields, type WireRefusal } from './refusals.ts'

const ALL_FLAGS = PUBLISH_FLAGS.accepted | PUBLISH_FLAGS.atomic | PUBLISH_FLAGS.dedupe

/** The publishing half of a connection: publishes in, their answers and the credit for more out. */
export class Publishing {
  readonly #out: Outgoing
  readonly #frameMessagesMax: number
  readonly #credit: PublishCredit
  readonly #pace: Pace | undefined
  #pressure: Engine['pressure']
  #isPressureNews: boolean

  constructor(out: Outgoing, engine: Engine, windowBytes: number, pace?: Pace) {
    this.#out = out
    this.#pace = pace
    this.#frameMessagesMax = engine.limits.frameMessagesMax
    this.#credit = new PublishCredit(windowBytes)
    this.#pressure = engine.pressure
    this.#isPressureNews = engine.pressure.on
    if (!engine.pressure.on) this.#credit.grant()
  }

  get granted(): number {
    return this.#credit.granted
  }

  /** The bytes of the messages are handed on as they came, a view of what was received. @throws ProtocolError */
  publish(peer: Peer, frame: Frames['publish']): void {
    if ((frame.flags & PUBLISH_FLAGS.unconfirmed) !== 0) {
      this.#publishUnconfirmed(peer, frame)
      return
    }
    this.#check('publish', frame, ALL_FLAGS)
    const { queue, number, count, messages } = frame
    if (!this.#isGranted([frame], messages.length)) return
    let unanswered = count
    peer.publish(commandOf(frame), answers => {
      for (const answer of answers) {
        this.#answer(queue, number, answer)
        unanswered -= answer.count
      }
      if (unanswered === 0) this.#credit.answered(messages.length)
    })
  }

  /** Only what is refused is told; the credit comes back when the rest is on disk, as if it had been answered. */
  #publishUnconfirmed(peer: Peer, frame: Frames['publish']): void {
    const { queue, number, answeredUpTo, messages } = frame
    if (number !== 0 || answeredUpTo !== 0)
      throw new ProtocolError('publish.number: without a confirm there are no numbers')
    this.#check('publish', { ...frame, number: 1 }, PUBLISH_FLAGS.unconfirmed | PUBLISH_FLAGS.dedupe)
    if (!this.#credit.take([], messages.length)) {
      this.#credit.answered(messages.length)
      this.refuse(frame, this.#notGranted())
      return
    }
    this.#pace?.take(frame.count, messages.length)
    const { number: _, answeredUpTo: __, ...command } = commandOf(frame)
    const told = (answers: readonly PublishAnswer[]) => {
      for (const answer of answers)
        if ('refusal' in answer) this.refuse({ ...frame, count: answer.count }, answer.refusal)
    }
    peer.publish({ ...command, queue, confirm: 'none' }, told, () => {
      this.#credit.answered(messages.length)
      this.#out.touch()
    })
  }

  /**
   * Kept whole or not at all (P4); every part is answered like a publish of its own.
   *
   * @param spends a refusal uses the numbers, since version 3
   * @throws ProtocolError
   */
  publishAtomic(peer: Peer, { parts }: Frames['publishAtomic'], spends: boolean): void {
    const size = this.#checkAtomic(parts)
    if (!this.#isGranted(parts, size)) return
    const answered = (answers: readonly (readonly PublishAnswer[])[]) => {
      parts.forEach(({ queue, number }, k) => {
        for (const answer of answers[k] ?? []) this.#answer(queue, number, answer)
      })
      this.#credit.answered(size)
    }
    peer.publishAtomic(parts.map(commandOf), answered, spends)
  }

  refuse({ queue, number, count }: PublishPart, refusal: WireRefusal): void {
    this.#out.frame('refused', { queue, number, count, ...refusalFields(refusal) })
  }

  pressure(on: boolean, reason: string): void {
    this.#pressure = { on, reason }
    this.#isPressureNews = true
    this.#out.touch()
  }

  /** Once a tick: what is granted anew. Under pressure nothing is, and the reason is told once (R5). */
  tellCredit(): void {
    const isGranted = !this.#pressure.on && this.#pace?.isInDebt !== true && this.#credit.grant()
    if (!isGranted && !this.#isPressureNews) return
    this.#isPressureNews = false
    this.#out.frame('flow', { granted: this.#credit.granted, reason: this.#pressure.on ? this.#pressure.reason : '' })
  }

  /** What was not granted is refused, and its numbers are not used. */
  #isGranted(parts: readonly PublishPart[], size: number): boolean {
    if (this.#credit.take(parts, size)) {
      this.#pace?.take(
        parts.reduce((sum, { count }) => sum + count, 0),
        size,
      )
      return true
    }
    this.#credit.answered(size)
    for (const part of parts) this.refuse(part, this.#notGranted())
    return false
  }

  #notGranted(): WireRefusal {
    return { code: 'server-busy', detail: this.#pressure.reason || 'more than was granted' }
  }

  #check(frame: string, { number, count, flags }: PublishPart, flagsAllowed: number): void {
    if (number === 0) throw new ProtocolError(`${frame}.number: numbers start at 1`)
    if (count === 0 || count > this.#frameMessagesMax) {
      throw new ProtocolError(`${frame}.count: ${count}, from 1 to ${this.#frameMessagesMax} are allowed`)
    }
    if ((flags & flagsAllowed) !== flags) throw new ProtocolError(`${frame}.flags: ${flags} has bits that mean nothing`)
  }

  /** @returns bytes of all parts */
  #checkAtomic(parts: readonly PublishPart[]): number {
    let count = 0
    let size = 0
    for (const part of parts) {
      this.#check('publishAtomic', part, PUBLISH_FLAGS.dedupe)
      count += part.count
      size += part.messages.length
    }
    // Of a second part the first number would depend on whether the first one is kept.
    if (new Set(parts.map(({ queue }) => queue)).size < parts.length || parts.length === 0) {
      throw new ProtocolError('publishAtomic.parts: each queue has one part, and there is at least one')
    }
    if (count > this.#frameMessagesMax || size > ATOMIC_BYTES_MAX) {
      const allowed = `${this.#frameMessagesMax} messages and ${ATOMIC_BYTES_MAX} bytes are allowed`
      throw new ProtocolError(`publishAtomic.parts: ${count} messages and ${size} bytes, ${allowed}`)
    }
    return size
  }

  #answer(queue: string, first: number, answer: PublishAnswer): void {
    const number = first + answer.index
    if ('refusal' in answer) {
      this.#out.frame('refused', { queue, number, count: answer.count, ...refusalFields(answer.refusal) })
    } else {
      const { count, sequence, batch, duplicate } = answer
      this.#out.confirm({ queue, number, count, sequence, batch, duplicate })
    }
  }
}

function commandOf({ queue, number, answeredUpTo, flags, count, messages }: PublishPart): PublishCommand {
  return {
    queue,
    bytes: messages,
    count,
    number,
    answeredUpTo,
    confirm: (flags & PUBLISH_FLAGS.accepted) === 0 ? 'durable' : 'accepted',
    atomic: (flags & PUBLISH_FLAGS.atomic) !== 0,
    dedupe: (flags & PUBLISH_FLAGS.dedupe) !== 0,
  }
}
