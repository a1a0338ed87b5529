import { MessageCursor } from '@sluice/protocol'
import type { QueueId, Sequence } from '../core/facts.ts'
import type { Journal, StoredRow } from '../journal/journal.ts'

/** Where messages' bytes are found: rows come from the journal, single messages by walking over a row. */
export class Bodies {
  readonly #journal: Journal
  readonly #cursor = new MessageCursor()
  #queue: QueueId = 0
  #row: StoredRow | undefined
  /** Sequence number of the message that the cursor stands on. */
  #at: Sequence = 0

  constructor(journal: Journal) {
    this.#journal = journal
  }

  /** The message, if it is there: valid until the next call. */
  find(queue: QueueId, sequence: Sequence): MessageCursor | undefined {
    return this.#seek(queue, sequence) === undefined ? undefined : this.#cursor
  }

  /** Records of messages next to one another, in as few pieces as there are rows; undefined when one of them is gone. */
  records(queue: QueueId, first: Sequence, count: number): Uint8Array[] | undefined {
    const pieces: Uint8Array[] = []
    const end = first + count
    for (let at = first; at < end; ) {
      const row = this.#seek(queue, at)
      if (row === undefined) return undefined
      const upTo = Math.min(end, row.first + row.count)
      if (at === row.first && upTo === row.first + row.count) pieces.push(row.bytes)
      else {
        const from = this.#cursor.recordStart
        while (this.#at < upTo - 1) this.#step()
        pieces.push(row.bytes.subarray(from, this.#cursor.bodyEnd))
      }
      at = upTo
    }
    return pieces
  }

  #seek(queue: QueueId, sequence: Sequence): StoredRow | undefined {
    const kept = this.#row
    const isKept =
      kept !== undefined && queue === this.#queue && sequence >= kept.first && sequence < kept.first + kept.count
    // Also a row that is kept is asked for: its last message may have been settled since.
    const row = this.#journal.row(queue, sequence)
    if (row === undefined) return undefined
    if (!isKept || row.bytes !== kept.bytes || sequence < this.#at) {
      this.#queue = queue
      this.#row = row
      this.#cursor.open(row.bytes)
      this.#at = row.first - 1
    }
    while (this.#at < sequence) this.#step()
    return row
  }

  #step(): void {
    this.#cursor.next()
    this.#at += 1
  }
}
