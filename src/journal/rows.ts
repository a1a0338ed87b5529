import type { BatchNumber, Sequence, Timestamp } from '../core/facts.ts'

/** What is known of a row beside its bytes. */
export interface RowInfo {
  readonly first: Sequence
  readonly count: number
  readonly batch: BatchNumber
  readonly at: Timestamp
  /** Of all its messages, settled or not. */
  readonly bodyBytes: number
  /** For the journal's own use, eight bits less one; see `FLAG_BITS`. */
  readonly flags: number
}

/** Flags that the user of an index may set; the bits above are the index's own. */
export const FLAG_BITS = 0x7f
const GONE = 0x80

/** 33 KiB of columns: few enough to copy when a chunk is packed, many enough that a million rows are a thousand chunks. */
const CHUNK_ROWS = 1_024
/** A queue that holds next to nothing must cost next to nothing. */
const CHUNK_ROWS_MIN = 16

/** Called by `settle`; a row must not be kept, only read. */
export interface SettledRows {
  /** Nothing of the row is live any more: it has left the index. */
  emptied(row: RowRef): void
  /** Some of it is live, and less than before. */
  shrunk(row: RowRef): void
}

/**
 * Index of the rows of one queue, in sequence order: 33 bytes of columns for each, no object, so that a backlog of a
 * million rows is affordable. What only few rows have is kept aside: bytes in memory, and which messages are settled
 * of a row that is partly so. Finding a row takes O(log n), everything else O(1) amortized.
 */
export class Rows {
  readonly #memory: { bytes: number }
  readonly #chunks: Chunk[] = []
  readonly #partial = new Map<Sequence, SettledSet>()
  /** Bytes of the newest row as they came, if it was joined together from several pieces and nobody asked for it yet. */
  #pieces: Uint8Array[] = []

  /** @param memory counts the bytes of rows in memory, over all indexes that are given the same object */
  constructor(memory: { bytes: number }) {
    this.#memory = memory
  }

  /** Adds the newest row; its sequence numbers are above all others. Without `bytes` they are on disk only. */
  append(info: RowInfo, bytes?: Uint8Array): RowRef {
    this.#join()
    let chunk = this.#chunks.at(-1)
    if (chunk && chunk.used > 0 && info.first < chunk.end) {
      throw new RangeError(`row ${info.first} does not come after ${chunk.end - 1}`)
    }
    if (!chunk || chunk.used === CHUNK_ROWS) {
      chunk = new Chunk()
      this.#chunks.push(chunk)
    }
    this.#pieces = bytes ? [bytes] : []
    if (bytes) this.#memory.bytes += bytes.length
    return new RowRef(chunk, chunk.push(info, bytes))
  }

  /** Makes the newest row longer. The caller knows that it has bytes in memory and is alike in everything else. */
  extend({ count, bodyBytes }: RowInfo, bytes: Uint8Array): void {
    const chunk = this.#chunks.at(-1)!
    chunk.counts[chunk.used - 1]! += count
    chunk.bodies[chunk.used - 1]! += bodyBytes
    this.#pieces.push(bytes)
    this.#memory.bytes += bytes.length
  }

  /** The newest row, if anything of it is live. */
  newest(): RowRef | undefined {
    const chunk = this.#chunks.at(-1)
    if (!chunk || chunk.used === 0 || chunk.isGone(chunk.used - 1)) return undefined
    return new RowRef(chunk, chunk.used - 1)
  }

  /** The row that holds this message, settled or not; undefined if no row does. */
  find(sequence: Sequence): RowRef | undefined {
    const chunk = this.#chunks[this.#chunkIndex(sequence)]
    const index = chunk?.indexOf(sequence) ?? -1
    if (!chunk || index < 0 || chunk.isGone(index)) return undefined
    return sequence < chunk.firsts[index]! + chunk.counts[index]! ? new RowRef(chunk, index) : undefined
  }

  /** Whether a message of this row is live. */
  isLive(row: RowRef, sequence: Sequence): boolean {
    return !this.#partial.get(row.first)?.has(sequence - row.first)
  }

  /** One bit a message, lowest first, set when settled; undefined if the whole row is live. */
  settledBits(row: RowRef): Uint8Array | undefined {
    return this.#partial.get(row.first)?.bits
  }

  /** For a restore: the row came back with these messages settled. The bits belong to the index from here on. */
  markSettled(row: RowRef, bits: Uint8Array): void {
    this.#partial.set(row.first, new SettledSet(bits))
  }

  bytes(row: RowRef): Uint8Array | undefined {
    if (row.chunk === this.#chunks.at(-1) && row.index === row.chunk.used - 1) this.#join()
    return row.chunk.bytes?.[row.index]
  }

  /** Another copy of the same bytes, or none: they are on disk. */
  replaceBytes(row: RowRef, bytes: Uint8Array | undefined): void {
    const before = this.bytes(row)
    this.#memory.bytes += (bytes?.length ?? 0) - (before?.length ?? 0)
    row.chunk.setBytes(row.index, bytes)
  }

  /** Live messages among `first` … `first + count - 1` are so no more. Numbers that no row holds are passed over. */
  settle(first: Sequence, count: number, told: SettledRows): void {
    const end = first + count
    let at = Math.max(0, this.#chunkIndex(first))
    while (at < this.#chunks.length) {
      const chunk = this.#chunks[at]!
      if (chunk.used === 0 || chunk.firsts[0]! >= end) return
      for (let index = Math.max(0, chunk.indexOf(first)); index < chunk.used && chunk.firsts[index]! < end; index++) {
        if (!chunk.isGone(index)) this.#settleIn(new RowRef(chunk, index), first, end, told)
      }
      if (!this.#pack(at)) at++
    }
  }

  /** Forgets everything. */
  clear(): void {
    for (const chunk of this.#chunks) for (const bytes of chunk.bytes ?? []) this.#memory.bytes -= bytes?.length ?? 0
    for (const piece of this.#pieces.slice(1)) this.#memory.bytes -= piece.length
    this.#chunks.length = 0
    this.#partial.clear()
    this.#pieces = []
  }

  #join(): void {
    if (this.#pieces.length < 2) return
    const chunk = this.#chunks.at(-1)!
    const whole = Buffer.concat(this.#pieces)
    this.#pieces = [whole]
    chunk.setBytes(chunk.used - 1, whole)
  }

  #settleIn(row: RowRef, first: Sequence, end: Sequence, told: SettledRows): void {
    const from = Math.max(first - row.first, 0)
    const to = Math.min(end - row.first, row.count)
    if (from >= to) return
    let partial = this.#partial.get(row.first)
    let live = row.count - (to - from)
    if (partial || live > 0) {
      partial ??= new SettledSet(new Uint8Array(0))
      partial.lengthen(row.count)
      this.#partial.set(row.first, partial)
      if (!partial.add(from, to)) return
      live = row.count - partial.settled
    }
    if (live > 0) {
      told.shrunk(row)
      return
    }
    told.emptied(row)
    this.replaceBytes(row, undefined)
    this.#partial.delete(row.first)
    row.chunk.remove(row.index)
  }

  /** Index of the last chunk that begins at or before this message; -1 if none does. */
  #chunkIndex(sequence: Sequence): number {
    let low = -1
    let high = this.#chunks.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.#chunks[middle]!.firsts[0]! <= sequence) low = middle
      else high = middle - 1
    }
    return low
  }

  /**
   * Keeps chunks from being held by a few rows that stay: at least a quarter of each is live, or it is packed, into the
   * one before it if there is room. Returns true if the chunk at that place is another one now.
   */
  #pack(at: number): boolean {
    const chunk = this.#chunks[at]!
    const isNewest = at === this.#chunks.length - 1
    if (chunk.live === 0) {
      // The newest chunk stays: a queue that runs empty and fills again should not allocate each time.
      if (isNewest) chunk.used = 0
      else this.#chunks.splice(at, 1)
      return !isNewest
    }
    if (isNewest || chunk.live * 4 >= chunk.used) return false
    const before = this.#chunks[at - 1]
    if (before && before.used + chunk.live <= CHUNK_ROWS) {
      chunk.moveTo(before)
      this.#chunks.splice(at, 1)
      return true
    }
    const packed = new Chunk()
    chunk.moveTo(packed)
    this.#chunks[at] = packed
    return false
  }
}

/** Place of a row in the index; good until the index changes. */
export class RowRef implements RowInfo {
  readonly chunk: Chunk
  readonly index: number

  constructor(chunk: Chunk, index: number) {
    this.chunk = chunk
    this.index = index
  }

  get first(): Sequence {
    return this.chunk.firsts[this.index]!
  }

  get count(): number {
    return this.chunk.counts[this.index]!
  }

  get batch(): BatchNumber {
    return this.chunk.batches[this.index]!
  }

  get at(): Timestamp {
    return this.chunk.times[this.index]!
  }

  get bodyBytes(): number {
    return this.chunk.bodies[this.index]!
  }

  get flags(): number {
    return this.chunk.flags[this.index]! & FLAG_BITS
  }

  addFlag(flag: number): void {
    this.chunk.flags[this.index]! |= flag & FLAG_BITS
  }
}

/** Columns of neighbouring rows. */
class Chunk {
  firsts: Float64Array = new Float64Array(CHUNK_ROWS_MIN)
  counts: Uint32Array = new Uint32Array(CHUNK_ROWS_MIN)
  batches: Float64Array = new Float64Array(CHUNK_ROWS_MIN)
  times: Float64Array = new Float64Array(CHUNK_ROWS_MIN)
  bodies: Uint32Array = new Uint32Array(CHUNK_ROWS_MIN)
  flags: Uint8Array = new Uint8Array(CHUNK_ROWS_MIN)
  /** Only while a row of the chunk has its bytes in memory. */
  bytes: (Uint8Array | undefined)[] | undefined
  #bytesCount = 0
  used = 0
  live = 0

  /** One past the last sequence number. */
  get end(): Sequence {
    return this.firsts[this.used - 1]! + this.counts[this.used - 1]!
  }

  push(info: RowInfo, bytes: Uint8Array | undefined): number {
    const index = this.used
    if (index === this.firsts.length) this.#grow()
    this.firsts[index] = info.first
    this.counts[index] = info.count
    this.batches[index] = info.batch
    this.times[index] = info.at
    this.bodies[index] = info.bodyBytes
    this.flags[index] = info.flags
    this.used++
    this.live++
    this.setBytes(index, bytes)
    return index
  }

  setBytes(index: number, bytes: Uint8Array | undefined): void {
    const before = this.bytes?.[index]
    this.#bytesCount += (bytes ? 1 : 0) - (before ? 1 : 0)
    if (this.#bytesCount === 0) {
      this.bytes = undefined
      return
    }
    this.bytes ??= []
    this.bytes[index] = bytes
  }

  isGone(index: number): boolean {
    return (this.flags[index]! & GONE) !== 0
  }

  remove(index: number): void {
    this.flags[index]! |= GONE
    this.live--
  }

  /** Index of the last row that begins at or before this message, gone or not; -1 if none does. */
  indexOf(sequence: Sequence): number {
    let low = -1
    let high = this.used - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.firsts[middle]! <= sequence) low = middle
      else high = middle - 1
    }
    return low
  }

  /** Adds the rows that are not gone to the end of another chunk. */
  moveTo(target: Chunk): void {
    for (let index = 0; index < this.used; index++) {
      if (!this.isGone(index)) target.push(new RowRef(this, index), this.bytes?.[index])
    }
  }

  #grow(): void {
    const rows = this.firsts.length * 2
    const longer = <T extends { set(from: T): void }>(to: T, from: T): T => {
      to.set(from)
      return to
    }
    this.firsts = longer(new Float64Array(rows), this.firsts)
    this.counts = longer(new Uint32Array(rows), this.counts)
    this.batches = longer(new Float64Array(rows), this.batches)
    this.times = longer(new Float64Array(rows), this.times)
    this.bodies = longer(new Uint32Array(rows), this.bodies)
    this.flags = longer(new Uint8Array(rows), this.flags)
  }
}

/** Which messages of a row are settled. */
class SettledSet {
  bits: Uint8Array
  settled = 0

  constructor(bits: Uint8Array) {
    this.bits = bits
    for (let byte of bits) for (; byte !== 0; byte &= byte - 1) this.settled++
  }

  has(index: number): boolean {
    return (this.bits[index >> 3]! & (1 << (index & 7))) !== 0
  }

  /** Returns false if all of them were settled already. */
  add(from: number, to: number): boolean {
    const before = this.settled
    for (let index = from; index < to; index++) {
      if (this.has(index)) continue
      this.bits[index >> 3]! |= 1 << (index & 7)
      this.settled++
    }
    return this.settled > before
  }

  /** A row may have been extended since. */
  lengthen(count: number): void {
    const bytes = (count + 7) >> 3
    if (bytes <= this.bits.length) return
    const longer = new Uint8Array(bytes)
    longer.set(this.bits)
    this.bits = longer
  }
}
