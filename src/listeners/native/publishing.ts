import { type Frames, ProtocolError, PUBLISH_FLAGS } from '@sluice/protocol'
import type { Engine, Peer, PublishAnswer, PublishCommand } from '../../engine/peer.ts'
import { PublishCredit } from './credit.ts'
import type { Outgoing } from './outgoing.ts'
import { refusalFields, type WireRefusal } from './refusals.ts'

const ALL_FLAGS = PUBLISH_FLAGS.accepted | PUBLISH_FLAGS.atomic | PUBLISH_FLAGS.dedupe

/** The publishing half of a connection: publishes in, their answers and the credit for more out. */
export class Publishing {
  readonly #out: Outgoing
  readonly #frameMessagesMax: number
  readonly #credit: PublishCredit
  #pressure: Engine['pressure']
  #isPressureNews: boolean

  constructor(out: Outgoing, engine: Engine, windowBytes: number) {
    this.#out = out
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
    this.#check(frame)
    const { queue, number, count, messages } = frame
    if (!this.#credit.take(queue, number, messages.length)) {
      this.#credit.answered(messages.length)
      const refusal = { code: 'server-busy', detail: this.#pressure.reason || 'more than was granted' } as const
      this.refuse(frame, refusal)
      return
    }
    let unanswered = count
    peer.publish(commandOf(frame), answers => {
      for (const answer of answers) {
        this.#answer(queue, number, answer)
        unanswered -= answer.count
      }
      if (unanswered === 0) this.#credit.answered(messages.length)
    })
  }

  refuse({ queue, number, count }: Frames['publish'], refusal: WireRefusal): void {
    this.#out.frame('refused', { queue, number, count, ...refusalFields(refusal) })
  }

  pressure(on: boolean, reason: string): void {
    this.#pressure = { on, reason }
    this.#isPressureNews = true
    this.#out.touch()
  }

  /** Once a tick: what is granted anew. Under pressure nothing is, and the reason is told once (R5). */
  tellCredit(): void {
    const isGranted = !this.#pressure.on && this.#credit.grant()
    if (!isGranted && !this.#isPressureNews) return
    this.#isPressureNews = false
    this.#out.frame('flow', { granted: this.#credit.granted, reason: this.#pressure.on ? this.#pressure.reason : '' })
  }

  #check({ number, count, flags }: Frames['publish']): void {
    if (number === 0) throw new ProtocolError('publish.number: numbers start at 1')
    if (count === 0 || count > this.#frameMessagesMax) {
      throw new ProtocolError(`publish.count: ${count}, from 1 to ${this.#frameMessagesMax} are allowed`)
    }
    if (flags > ALL_FLAGS) throw new ProtocolError(`publish.flags: ${flags} has bits that mean nothing`)
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

function commandOf({ queue, number, answeredUpTo, flags, count, messages }: Frames['publish']): PublishCommand {
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
