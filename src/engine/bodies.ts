import { MessageCursor } from '@sluice/protocol'
import type { Fact, QueueId, Sequence, Timestamp } from '../core/facts.ts'
import type { Journal, JournalFailure, StoredRow } from '../journal/journal.ts'

/** Where messages' bytes are found: rows come from the journal, single messages by walking over a row. */
export class Bodies {
  readonly #journal: Journal
  readonly #unreadable: (reason: JournalFailure) => void
  readonly #cursor = new MessageCursor()
  #queue: QueueId = 0
  #row: StoredRow | undefined
  /** Sequence number of the message that the cursor stands on. */
  #at: Sequence = 0

  /** What the turn that runs now has decided: the journal does not know it yet, filters must. */
  decided: readonly Fact[] = []

  /** @param unreadable told of a damaged row, whoever looks for it: a filter, a page of a browser (R8). The error is thrown too */
  constructor(journal: Journal, unreadable: (reason: JournalFailure) => void) {
    this.#journal = journal
    this.#unreadable = unreadable
  }

  /** The message, if it is there: valid until the next call. */
  find(queue: QueueId, sequence: Sequence): MessageCursor | undefined {
    return this.#seek(queue, sequence) === undefined ? undefined : this.#cursor
  }

  /** Records of messages next to one another, in as few pieces as there are rows; undefined when one of them is gone. */
  records(queue: QueueId, first: Sequence, count: number): Uint8Array[] | undefined {
    const { pieces, found } = this.portion(queue, first, count, Number.POSITIVE_INFINITY)
    return found === count ? pieces : undefined
  }

  /**
   * The first of these records, up to the one with which they are `bytesMax` or more: one at least, unless the first one
   * is gone. Rows behind them are not read.
   */
  portion(
    queue: QueueId,
    first: Sequence,
    count: number,
    bytesMax: number,
  ): { readonly pieces: Uint8Array[]; readonly found: number } {
    const pieces: Uint8Array[] = []
    const end = first + count
    let at = first
    for (let left = bytesMax; at < end && left > 0; ) {
      const row = this.#seek(queue, at)
      if (row === undefined) break
      const upTo = Math.min(end, row.first + row.count)
      if (at === row.first && upTo === row.first + row.count && row.bytes.length <= left) {
        pieces.push(row.bytes)
        left -= row.bytes.length
        at = upTo
        continue
      }
      const from = this.#cursor.recordStart
      while (this.#at < upTo - 1 && this.#cursor.bodyEnd - from < left) this.#step()
      pieces.push(row.bytes.subarray(from, this.#cursor.bodyEnd))
      left -= this.#cursor.bodyEnd - from
      at = this.#at + 1
    }
    return { pieces, found: at - first }
  }

  publishedAt(queue: QueueId, sequence: Sequence): Timestamp | undefined {
    return this.#read(queue, sequence)?.at
  }

  #seek(queue: QueueId, sequence: Sequence): StoredRow | undefined {
    const kept = this.#row
    const isKept =
      kept !== undefined && queue === this.#queue && sequence >= kept.first && sequence < kept.first + kept.count
    // Also a row that is kept is asked for: its last message may have been settled since.
    const row = this.#read(queue, sequence)
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

  #read(queue: QueueId, sequence: Sequence): StoredRow | undefined {
    try {
      return this.#journal.row(queue, sequence) ?? this.#decidedRow(queue, sequence)
    } catch (error) {
      if (isJournalFailure(error)) this.#unreadable(error)
      throw error
    }
  }

  #decidedRow(queue: QueueId, sequence: Sequence): StoredRow | undefined {
    for (const fact of this.decided) {
      if (
        fact.kind === 'enqueued' &&
        fact.queue === queue &&
        sequence >= fact.first &&
        sequence < fact.first + fact.count
      ) {
        return { first: fact.first, count: fact.count, at: fact.at, bytes: fact.bytes ?? new Uint8Array(0) }
      }
      if (fact.kind === 'moved' && fact.to === queue && fact.toSequence === sequence) {
        const [bytes] = new Bodies(this.#journal, this.#unreadable).records(fact.queue, fact.sequence, 1) ?? []
        return bytes === undefined ? undefined : { first: sequence, count: 1, at: fact.at, bytes }
      }
    }
    return undefined
  }

  #step(): void {
    this.#cursor.next()
    this.#at += 1
  }
}

export function isJournalFailure(error: unknown): error is JournalFailure {
  return error instanceof Error && error.name === 'JournalFailure'
}
