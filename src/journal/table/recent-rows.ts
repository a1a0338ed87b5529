import type { QueueId, Sequence } from '../../core/facts.ts'

/** More are not worth their place: it is enough that each of many consumers finds its own row again. */
const ROWS_MAX = 256

/** Bytes of the rows read back last, so that a consumer who takes one message at a time does not read its row for each. */
export class RecentRows {
  readonly #bytesMax: number
  /** Least recently used first. */
  readonly #rows = new Map<string, Uint8Array>()
  #bytes = 0

  /** One row is kept, however large. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  get(queue: QueueId, first: Sequence): Uint8Array | undefined {
    const name = nameOf(queue, first)
    const bytes = this.#rows.get(name)
    if (bytes) {
      this.#rows.delete(name)
      this.#rows.set(name, bytes)
    }
    return bytes
  }

  add(queue: QueueId, first: Sequence, bytes: Uint8Array): void {
    this.#rows.set(nameOf(queue, first), bytes)
    this.#bytes += bytes.length
    for (const [name, oldest] of this.#rows) {
      if (this.#rows.size === 1 || (this.#bytes <= this.#bytesMax && this.#rows.size <= ROWS_MAX)) return
      this.#rows.delete(name)
      this.#bytes -= oldest.length
    }
  }

  forget(queue: QueueId, first: Sequence): void {
    if (this.#rows.size === 0) return
    const name = nameOf(queue, first)
    this.#bytes -= this.#rows.get(name)?.length ?? 0
    this.#rows.delete(name)
  }
}

function nameOf(queue: QueueId, first: Sequence): string {
  return `${queue}/${first}`
}
