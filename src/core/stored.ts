import type { Owned } from './facts.ts'

/**
 * How many bytes of each owner are stored, over all queues. It follows where the messages are: up as they come in or are
 * restored, down as they end; what is moved to another queue is the same before and after. As many entries as there are
 * owners with something stored.
 */
export class Stored {
  readonly #bytes = new Map<string, number>()

  of(owner: string): number {
    return this.#bytes.get(owner) ?? 0
  }

  add({ owner, bytes }: Owned, count: number): void {
    this.#bytes.set(owner, this.of(owner) + bytes * count)
  }

  remove({ owner, bytes }: Owned, count: number): void {
    const left = this.of(owner) - bytes * count
    if (left > 0) this.#bytes.set(owner, left)
    else this.#bytes.delete(owner)
  }
}
