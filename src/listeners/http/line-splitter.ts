import { ByteWriter } from '@sluice/protocol'

export interface Line {
  /** From 1. */
  readonly number: number
  /** Without its end; absent when the line is longer than allowed. A view, valid until the next piece is pushed. */
  readonly bytes: Uint8Array | undefined
}

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d

/**
 * Cuts bytes that come in pieces into lines, which end with LF or CRLF. Of a line longer than `bytesMax` nothing is
 * kept, so memory is bounded whatever comes.
 */
export class LineSplitter {
  readonly #bytesMax: number
  /** What has come of the line that has not ended yet. One buffer: a list of pieces of one byte each would cost a hundred times their size. */
  readonly #held = new ByteWriter(Buffer.allocUnsafe)
  #isTooLong = false
  #number = 1

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get heldBytes(): number {
    return this.#held.length
  }

  /** The lines that end in this piece. */
  *push(chunk: Uint8Array): Generator<Line, void> {
    let start = 0
    for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, start)) {
      yield this.#finish(chunk.subarray(start, end))
      start = end + 1
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start))
  }

  /** The line without an end that may stand last. */
  end(): Line | undefined {
    return this.#held.length === 0 && !this.#isTooLong ? undefined : this.#finish(new Uint8Array(0))
  }

  #keep(piece: Uint8Array): void {
    // One more byte: a carriage return is not part of the line.
    if (this.#held.length + piece.length > this.#bytesMax + 1) this.#isTooLong = true
    if (this.#isTooLong) this.#held.take()
    else this.#held.raw(piece)
  }

  #finish(piece: Uint8Array): Line {
    const isWhole = this.#held.length === 0 && !this.#isTooLong
    if (!isWhole) this.#keep(piece)
    const all = isWhole ? piece : this.#held.take()
    const line = all.at(-1) === CARRIAGE_RETURN ? all.subarray(0, -1) : all
    const bytes = this.#isTooLong || line.length > this.#bytesMax ? undefined : line
    this.#isTooLong = false
    return { number: this.#number++, bytes }
  }
}
