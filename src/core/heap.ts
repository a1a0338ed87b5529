/** What a heap keeps in its items, so that one can be moved or taken out without a search. */
export interface HeapItem {
  /** Place in its heap; -1 outside. Written by the heap alone. */
  heapAt: number
}

/** A binary heap whose items know their place: the least first, O(log n) to add, move or take out any. */
export class Heap<T extends HeapItem> {
  readonly #before: (a: T, b: T) => boolean
  readonly #items: T[] = []

  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before
  }

  get size(): number {
    return this.#items.length
  }

  get first(): T | undefined {
    return this.#items[0]
  }

  /** One of the two that come right after the first: the lesser of its children. */
  get second(): T | undefined {
    const left = this.#items[1]
    const right = this.#items[2]
    return left !== undefined && right !== undefined && this.#before(right, left) ? right : left
  }

  /** Adds it, or moves it after its rank has changed. */
  put(item: T): void {
    if (item.heapAt < 0) {
      item.heapAt = this.#items.length
      this.#items.push(item)
    }
    this.#down(this.#up(item.heapAt))
  }

  delete(item: T): void {
    const at = item.heapAt
    if (at < 0) return
    item.heapAt = -1
    const moved = this.#items.pop() as T
    if (moved === item) return
    this.#items[at] = moved
    moved.heapAt = at
    this.#down(this.#up(at))
  }

  [Symbol.iterator](): Iterator<T> {
    return this.#items[Symbol.iterator]()
  }

  #up(from: number): number {
    const items = this.#items
    const item = items[from] as T
    let at = from
    while (at > 0) {
      const above = (at - 1) >>> 1
      const parent = items[above] as T
      if (!this.#before(item, parent)) break
      items[at] = parent
      parent.heapAt = at
      at = above
    }
    items[at] = item
    item.heapAt = at
    return at
  }

  #down(from: number): void {
    const items = this.#items
    const item = items[from] as T
    let at = from
    for (;;) {
      let below = 2 * at + 1
      if (below >= items.length) break
      if (below + 1 < items.length && this.#before(items[below + 1] as T, items[below] as T)) below += 1
      const child = items[below] as T
      if (!this.#before(child, item)) break
      items[at] = child
      child.heapAt = at
      at = below
    }
    items[at] = item
    item.heapAt = at
  }
}
