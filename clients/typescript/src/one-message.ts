import type { ValueMap } from '@sluice/protocol'
import type { Session } from './session.ts'

/** One message of a queue by its sequence number, for whoever operates the queue: nobody has to hold it. */
export class MessageHandle {
  readonly queue: string
  readonly sequence: number
  readonly #session: Session

  /** @internal */
  constructor(session: Session, queue: string, sequence: number) {
    this.#session = session
    this.queue = queue
    this.sequence = sequence
  }

  /**
   * Takes it from its holder, as if nobody had had it, but marked `redelivered`; no attempt counts. False: nobody has it.
   *
   * @throws RefusedError `no-such-queue`; ConnectionError `connection-lost`: it is unknown whether it happened
   */
  release(): Promise<boolean> {
    return this.#operate('release')
  }

  /** Moves it to the dead letters, wherever it is; whoever has it hears `lease-lost`. False: it is not there. @throws as `release` */
  deadLetter(): Promise<boolean> {
    return this.#operate('dead-letter')
  }

  /** Removes it, wherever it is; whoever has it hears `lease-lost`. False: it is not there. @throws as `release` */
  delete(): Promise<boolean> {
    return this.#operate('delete')
  }

  async #operate(act: 'release' | 'dead-letter' | 'delete'): Promise<boolean> {
    const params = { queue: this.queue, sequence: this.sequence, act }
    // Asked again over the next connection it would find its own work done, and say that nothing was there.
    const { result } = (await this.#session.request('operate', () => params, { again: false })) as ValueMap
    return result === 'done'
  }
}
