import { ProtocolError, PUBLISH_WINDOW_BYTES_DEFAULT } from '@sluice/protocol'

/** A peer that ignores its credit for so many queues is none of ours. */
const REFUSED_QUEUES_MAX = 1_000

interface Numbered {
  readonly queue: string
  readonly number: number
}

/**
 * What a peer may publish, in bytes since the connection began: as much as was answered, plus a window (R5). So at most
 * a window, and the frame that went beyond it, waits for the disk, however fast the peer sends.
 *
 * What comes without being granted is refused and uses no number. Of a queue where that happened everything is refused
 * until the first number that was refused comes again: else the engine would see a gap and end the connection.
 */
export class PublishCredit {
  readonly #windowBytes: number
  #granted = 0
  #sent = 0
  #answered = 0
  readonly #refusedFrom = new Map<string, number>()

  constructor(windowBytes: number = PUBLISH_WINDOW_BYTES_DEFAULT) {
    this.#windowBytes = windowBytes
  }

  /** Total of bytes granted so far; never falls. */
  get granted(): number {
    return this.#granted
  }

  /**
   * A publish came, to one queue or, an atomic one, to several: then to all of them or to none.
   *
   * @param size bytes of all parts
   * @returns whether it may be carried out; `answered` must follow either way.
   */
  take(parts: readonly Numbered[], size: number): boolean {
    const isGranted = this.#sent < this.#granted
    this.#sent += size
    if (isGranted && parts.every(part => this.#isInTurn(part))) {
      for (const { queue } of parts) this.#refusedFrom.delete(queue)
      return true
    }
    for (const { queue, number } of parts) if (!this.#refusedFrom.has(queue)) this.#refusedFrom.set(queue, number)
    if (this.#refusedFrom.size > REFUSED_QUEUES_MAX)
      throw new ProtocolError('publishes keep coming without being granted')
    return false
  }

  #isInTurn({ queue, number }: Numbered): boolean {
    const refusedFrom = this.#refusedFrom.get(queue)
    return refusedFrom === undefined || number <= refusedFrom
  }

  answered(size: number): void {
    this.#answered += size
  }

  /** Grants what can be granted now, if that is worth a frame. @returns whether there is something new to tell. */
  grant(): boolean {
    const grantable = this.#answered + this.#windowBytes
    const isBlocked = this.#sent >= this.#granted
    const isWorthIt = isBlocked ? grantable > this.#sent : grantable - this.#granted >= this.#windowBytes / 4
    if (isWorthIt) this.#granted = grantable
    return isWorthIt
  }
}
