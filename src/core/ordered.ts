/** Items a chunk holds at most: insertion moves at most this many pointers, and a million items need 8,000 chunks. */
const CHUNK_MAX = 128

/**
 * A sorted list of distinct items: adding behind the last and taking the first are O(1), anywhere else O(log n).
 *
 * The order of an item must not change while it is in the list, except in ways that keep it between its neighbours.
 */
export class Ordered<T> {
  readonly #compare: (a: T, b: T) => number
  /** None is empty; their concatenation is sorted. */
  readonly #chunks: T[][] = []
  #size = 0

  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare
  }

  get size(): number {
    return this.#size
  }

  get first(): T | undefined {
    return this.#chunks[0]?.[0]
  }

  add(item: T): void {
    this.#size += 1
    const chunks = this.#chunks
    const tail = chunks[chunks.length - 1]
    if (tail === undefined || this.#compare(tail[tail.length - 1] as T, item) < 0) {
      if (tail === undefined || tail.length === CHUNK_MAX) chunks.push([item])
      else tail.push(item)
      return
    }
    const at = this.#chunkOf(item)
    const chunk = chunks[at] as T[]
    chunk.splice(this.#placeIn(chunk, item), 0, item)
    if (chunk.length > CHUNK_MAX) chunks.splice(at + 1, 0, chunk.splice(CHUNK_MAX / 2))
  }

  /** False when it is not in the list. */
  delete(item: T): boolean {
    const at = this.#chunkOf(item)
    const chunk = this.#chunks[at]
    if (chunk === undefined) return false
    const place = this.#placeIn(chunk, item)
    if (chunk[place] !== item) return false
    this.#size -= 1
    if (chunk.length === 1) {
      if (at === 0) this.#chunks.shift()
      else this.#chunks.splice(at, 1)
    } else if (place === 0) chunk.shift()
    else chunk.splice(place, 1)
    return true
  }

  /** First item that does not come before `probe`, which need not be in the list. */
  ceiling(probe: T): T | undefined {
    const chunk = this.#chunks[this.#chunkOf(probe)]
    return chunk?.[this.#placeIn(chunk, probe)]
  }

  /** Last item that comes before `probe`. */
  before(probe: T): T | undefined {
    const at = this.#chunkOf(probe)
    const chunk = this.#chunks[at]
    const place = chunk === undefined ? 0 : this.#placeIn(chunk, probe)
    if (place > 0) return chunk?.[place - 1]
    const previous = this.#chunks[Math.min(at, this.#chunks.length) - 1]
    return previous?.[previous.length - 1]
  }

  /** In order; the list must not change meanwhile. */
  *[Symbol.iterator](): Generator<T, void, undefined> {
    for (const chunk of this.#chunks) yield* chunk
  }

  /** In order from the first item that does not come before `probe`; the list must not change meanwhile. */
  *from(probe: T): Generator<T, void, undefined> {
    const at = this.#chunkOf(probe)
    for (let i = at; i < this.#chunks.length; i += 1) {
      const chunk = this.#chunks[i] as T[]
      for (let place = i === at ? this.#placeIn(chunk, probe) : 0; place < chunk.length; place += 1)
        yield chunk[place] as T
    }
  }

  /** Index of the first chunk whose last item does not come before `probe`; the number of chunks when there is none. */
  #chunkOf(probe: T): number {
    const chunks = this.#chunks
    const head = chunks[0]
    // Most questions are about the front: settles and returns come nearly in order.
    if (head !== undefined && this.#compare(head[head.length - 1] as T, probe) >= 0) return 0
    let low = 0
    let high = chunks.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const chunk = chunks[middle] as T[]
      if (this.#compare(chunk[chunk.length - 1] as T, probe) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  #placeIn(chunk: T[], probe: T): number {
    let low = 0
    let high = chunk.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#compare(chunk[middle] as T, probe) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}
