import type { AtomicPart } from '../core/broker.ts'
import type { Room } from '../core/overflow.ts'
import type { Incoming, Owner, PublishAnswer } from '../core/publishing.ts'
import type { Queue } from '../core/queue.ts'
import { type Refusal, refuse } from '../core/refusals.ts'
import type { Engine } from './engine.ts'
import type { Entitlement, PublishGuard } from './entitlement.ts'
import { isRefusal } from './expressions.ts'
import type { Messages, PublishCommand } from './peer.ts'

/** Bytes of an atomic publish, together (P4). */
const ATOMIC_BYTES_MAX: number = 16 * 1024 * 1024
/** What an ack carries is never refused for want of room: else a full queue could never drain (A4). */
export const UNLIMITED: Room = { messages: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY, isShared: true }

interface FoundPart extends Omit<AtomicPart, 'publish'> {
  readonly incoming: readonly Incoming[]
}

/** How publishes of one party reach the core: read once, in a turn of their own. */
export class Publishing {
  readonly #engine: Engine
  readonly #producer: string | undefined
  readonly #entitlement: Entitlement | undefined
  /** Whose quota it is that what is published counts for; absent: nobody's. */
  readonly owner: Owner | undefined

  /** @param entitlement what the party may do; absent: all */
  constructor(engine: Engine, producer: string | undefined, entitlement: Entitlement | undefined) {
    this.#engine = engine
    this.#producer = producer
    this.#entitlement = entitlement
    const { name = '', storedBytesMax } = entitlement?.principal ?? {}
    this.owner = storedBytesMax === undefined ? undefined : { name, storedBytesMax }
  }

  /** Asked before the queue is looked for: who may not publish does not learn whether it is there. */
  guard(queue: string): PublishGuard | Refusal | undefined {
    return this.#entitlement?.publishing(queue)
  }

  /** @returns a sentence when the producer's numbers are out of turn */
  publish(command: PublishCommand): PublishAnswer[] | Refusal | string {
    const guard = this.guard(command.queue)
    if (isRefusal(guard)) return guard
    const queue = this.#engine.findOrCreate(command.queue)
    if (isRefusal(queue)) return queue
    if (command.confirm === 'none' && queue.options.semantics !== 'at-most-once') return mustConfirm(queue)
    const producer = this.#producer
    const { number } = command
    const repeated =
      producer === undefined || number === undefined ? 0 : Math.max(0, queue.producers.last(producer) + 1 - number)
    const incoming = this.read(queue, command, {
      isDedupeAsked: command.dedupe === true,
      cutAt: repeated,
      // What is kept whole or not at all does not push out parts of itself.
      room: command.atomic === true ? { ...queue.room, isShared: false } : queue.room,
      guard,
    })
    if (isRefusal(incoming)) return incoming
    return this.#engine.run((turn, now) => {
      const isAccepted = command.confirm === 'accepted'
      const publish = { incoming, now, isAccepted, isAtomic: command.atomic === true, owner: this.owner }
      if (producer === undefined || number === undefined) return this.#engine.broker.publish(turn, queue, publish)
      const numbering = { producer, number, answeredUpTo: command.answeredUpTo ?? 0 }
      return this.#engine.broker.publishNumbered(turn, queue, publish, command.count, numbering)
    })
  }

  /** Reads what a command carries, for the core. */
  read(
    queue: Queue,
    messages: Messages,
    how: { isDedupeAsked: boolean; cutAt: number; room: Room; guard: PublishGuard | undefined },
  ): Incoming[] | Refusal {
    const { limits, intake } = this.#engine
    if (messages.count < 1 || messages.count > limits.frameMessagesMax) {
      return refuse(
        'invalid-request',
        `a publish has from 1 to ${limits.frameMessagesMax} messages, this one ${messages.count}`,
      )
    }
    const { dedupe, name, options } = queue
    const target = {
      name,
      options,
      expressions: this.#engine.expressions(queue),
      room: how.room,
      isSeen: (id: string) => dedupe.find(id) !== undefined,
      guard: how.guard,
      hasRoomFor: (names: readonly string[]) => this.#engine.hasRoomFor(names),
    }
    return intake.read(target, {
      bytes: messages.bytes,
      count: messages.count,
      isOwned: this.owner !== undefined,
      ...how,
    })
  }

  /**
   * The same for parts of several queues, all or nothing.
   *
   * @param spends a refusal uses the numbers of every part whose queue is there
   */
  publishAtomic(parts: readonly PublishCommand[], spends: boolean): (readonly PublishAnswer[])[] | Refusal | string {
    const { limits } = this.#engine
    const count = parts.reduce((sum, part) => sum + part.count, 0)
    const bytes = parts.reduce((sum, part) => sum + part.bytes.length, 0)
    if (count > limits.frameMessagesMax || bytes > ATOMIC_BYTES_MAX) {
      return refuse(
        'message-too-large',
        `an atomic publish has at most ${limits.frameMessagesMax} messages and ${ATOMIC_BYTES_MAX} bytes`,
        { limit: 'atomic_publish' },
      )
    }
    const { found, refusal } = this.#find(parts)
    if (refusal !== undefined && (!spends || found.size === 0)) return refusal
    const taken = [...found.values()]
    const answers = this.#engine.run((turn, now) =>
      this.#engine.broker.publishAtomic(
        turn,
        taken.map(({ incoming, ...part }) => ({ ...part, publish: { incoming, now, owner: this.owner } })),
        { refusal, spends },
      ),
    )
    if (!Array.isArray(answers) || refusal === undefined) return answers
    const byPart = new Map([...found.keys()].map((part, k) => [part, answers[k] ?? []]))
    return parts.map(part => byPart.get(part) ?? [{ index: 0, count: part.count, refusal }])
  }

  /** Those parts that have a queue, read as far as none is refused. */
  #find(parts: readonly PublishCommand[]): { found: Map<PublishCommand, FoundPart>; refusal: Refusal | undefined } {
    const found = new Map<PublishCommand, FoundPart>()
    const rooms = new Map<Queue, Room>()
    let refusal: Refusal | undefined
    for (const part of parts) {
      const { queue: name, count, dedupe } = part
      const guard = this.guard(name)
      if (isRefusal(guard)) {
        refusal ??= guard
        continue
      }
      // Of what is refused already nothing more is made.
      const queue = refusal === undefined ? this.#engine.findOrCreate(name) : this.#engine.find(name)
      if (isRefusal(queue)) {
        refusal ??= queue
        continue
      }
      const room = rooms.get(queue) ?? { ...queue.room, isShared: false }
      const how = { isDedupeAsked: dedupe === true, cutAt: 0, room, guard }
      const pieces = refusal ?? this.read(queue, part, how)
      if (isRefusal(pieces)) refusal ??= pieces
      else rooms.set(queue, without(room, pieces))
      const incoming = isRefusal(pieces) ? [] : pieces
      found.set(part, { queue, count, numbering: this.#numberingOf(part), incoming })
    }
    return { found, refusal }
  }

  #numberingOf({ number, answeredUpTo = 0 }: PublishCommand): AtomicPart['numbering'] {
    const producer = this.#producer
    return producer === undefined || number === undefined ? undefined : { producer, number, answeredUpTo }
  }
}

/** Where a message must not be lost, nobody may publish without hearing of it (P1). */
function mustConfirm({ name }: Queue): Refusal {
  return refuse(
    'invalid-request',
    `queue "${name}" is at-least-once: its publishes are confirmed, use confirm "accepted" or "durable"`,
  )
}

/** What these leave of the room for further parts of the same publish. */
function without({ messages, bytes, isShared }: Room, pieces: readonly Incoming[]): Room {
  const runs = pieces.flatMap(piece => (piece.kind === 'messages' ? piece.runs : []))
  return {
    messages: messages - runs.reduce((sum, { count }) => sum + count, 0),
    bytes: bytes - runs.reduce((sum, { bodyBytes }) => sum + bodyBytes, 0),
    isShared,
  }
}
