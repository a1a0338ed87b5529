/**
 * What a journal needs of a database: sorted keys and values, written all or nothing. The rows that a journal keeps in
 * it are drawn in `keys.ts` and `row-codec.ts`.
 */
export interface Table {
  /** The value, owned by the caller and never changed by the table. */
  get(key: Uint8Array): Uint8Array | undefined
  /** The first keys from `from` on and before `to`, in order of their bytes. */
  keys(from: Uint8Array, to: Uint8Array, countMax: number): readonly Uint8Array[]
  entries(from: Uint8Array, to: Uint8Array, countMax: number): readonly Entry[]
  /**
   * Calls back once, when all of it is durable, or with the reason why not. Reads see nothing of it before. Called again
   * only after that. The table owns the buffers from here on.
   */
  write(writes: readonly Write[], done: (failure?: Error) => void): void
  /** Bytes that the table holds on its disk, and will use again before it takes more. Absent: none. */
  spareBytes?(): number
  /** Writes all of it, as at one write, to a file that is not there yet; reads and writes go on meanwhile. Absent: it cannot. */
  copyTo?(file: string): Promise<void>
  close(): Promise<void>
}

export interface Entry {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** Without a value the row is removed. A later write of the same key counts. */
export interface Write {
  readonly key: Uint8Array
  readonly value?: Uint8Array
}

const READ_MAX = 4_096

/** All keys of a range, read in pieces so that no cursor stays open while the caller works. */
export function* eachKey(table: Table, from: Uint8Array, to: Uint8Array): Generator<Uint8Array> {
  for (let next = from; ; ) {
    const keys = table.keys(next, to, READ_MAX)
    yield* keys
    if (keys.length < READ_MAX) return
    next = keyAfter(keys.at(-1)!)
  }
}

export function* eachEntry(table: Table, from: Uint8Array, to: Uint8Array): Generator<Entry> {
  for (let next = from; ; ) {
    const entries = table.entries(next, to, READ_MAX)
    yield* entries
    if (entries.length < READ_MAX) return
    next = keyAfter(entries.at(-1)!.key)
  }
}

/** The first key that can come after this one. */
export function keyAfter(key: Uint8Array): Uint8Array {
  return Buffer.concat([key, Uint8Array.of(0)])
}
