import type { EnqueuedRun, Fact, QueueId, Sequence } from '../../core/facts.ts'
import type { StoredRow } from '../journal.ts'
import { type RowInfo, type RowRef, Rows, type SettledRows } from '../rows.ts'
import {
  definitionKey,
  deletedKey,
  HAS_RUNS,
  HIGHEST_QUEUE_KEY,
  messagesKey,
  numberedKey,
  queueRange,
  RETURNED,
  SETTLED,
} from './keys.ts'
import { returnedOf } from './notes.ts'
import { RecentRows } from './recent-rows.ts'
import { bodyBytesOf, recordAt } from './records.ts'
import { fromRuns, type Returned, type ReturnedMessages, toRuns } from './returned.ts'
import { bytesOf, damaged, decodeRow, encodeRow } from './row-codec.ts'
import { type Draft, draftsOf } from './small-facts.ts'
import { keyAfter, type Table, type Write } from './table.ts'

type FactOf<K extends Fact['kind']> = Extract<Fact, { kind: K }>

/**
 * Rows of the same time to within this may come back as one range, with the time of its first: the times of a million
 * messages published one by one would else cost a fact each at every start.
 */
const SAME_TIME_MS = 1_000
/** Small publishes of one commit share a row up to this size; beyond it the row would only be longer to read back. */
const JOINED_BYTES_MAX = 64 * 1_024
/** Rows of a deleted queue that one commit removes. */
const REMOVED_MAX = 1_000

/** Flags of rows in the index: there is a row beside it in the table. Not part of its key. */
const HAS_SETTLED_ROW = 2
const HAS_RETURNED_ROW = 4

/** One queue: its rows, and what the next commit must write of them. */
interface QueueLedger {
  readonly id: QueueId
  readonly rows: Rows
  /** Rows that no commit took yet. */
  readonly fresh: Map<Sequence, readonly EnqueuedRun[] | undefined>
  freshBytes: number
  readonly shrunk: Set<Sequence>
  readonly returned: Map<Sequence, ReturnedMessages>
  readonly settling: SettledRows
}

/** What one commit writes, and the rows whose bytes the table has from then on. */
export interface Commit {
  readonly writes: readonly Write[]
  readonly rows: readonly { readonly queue: QueueId; readonly first: Sequence }[]
  /** Rows of returned messages among the writes: until they are in the table they are read here. */
  readonly returned: readonly Write[]
}

/**
 * Turns facts into rows of a table: keeps the index of all messages, and gathers what changes until the next commit
 * takes it. A row is written once a commit, whatever happened to it; one that came and went in between is never
 * written.
 */
export class Ledger {
  readonly #table: Table
  readonly #memoryMax: number
  readonly #memory = { bytes: 0 }
  readonly #recent: RecentRows
  readonly #queues = new Map<QueueId, QueueLedger>()
  #highestQueue = 0

  // Gathered for the next commit.
  #drafts = new Map<string, Draft>()
  #touched = new Set<QueueLedger>()
  #deleted: QueueId[] = []

  /** Rows of returned messages, by key, that were taken and are not in the table yet. */
  readonly #unwritten = new Map<string, Write>()

  /** Deleted queues of which rows are left, and where to go on. */
  readonly #leftovers: { readonly queue: QueueId; readonly from: Uint8Array }[] = []

  constructor(table: Table, memoryMax: number) {
    this.#table = table
    this.#memoryMax = memoryMax
    this.#recent = new RecentRows(memoryMax / 16)
  }

  get memoryBytes(): number {
    return this.#memory.bytes + this.#recent.bytes
  }

  /** Work that is left although nothing was gathered. */
  get hasLeftovers(): boolean {
    return this.#leftovers.length > 0
  }

  /** How many rows the next commit would write. */
  get gathered(): number {
    let count = this.#drafts.size
    for (const { fresh, shrunk, returned } of this.#touched) count += fresh.size + shrunk.size + returned.size
    return count
  }

  /** @throws JournalFailure `damaged` when a message cannot be moved */
  apply(fact: Fact): void {
    switch (fact.kind) {
      case 'enqueued':
        this.#enqueue(fact)
        break
      case 'settled':
        this.#settle(fact.queue, fact.first, fact.count)
        break
      case 'returned':
        this.#return(fact)
        break
      case 'moved':
        this.#move(fact)
        break
      case 'queueDeleted':
        this.#deleteQueue(fact.queue)
        break
      case 'started':
        throw new TypeError('only the journal says when it was started')
      default:
        if (fact.kind === 'queueDeclared') this.#countQueue(fact.queue)
        for (const draft of draftsOf(fact)) this.#draft(draft)
    }
  }

  /**
   * Everything gathered since the last call.
   *
   * @param isNext nothing taken before waits for the table: only then what is left of deleted queues can be found there.
   */
  take(isNext = true): Commit {
    const writes: Write[] = []
    const rows: { queue: QueueId; first: Sequence }[] = []
    const returned: Write[] = []
    for (const { key, note, bytes } of this.#drafts.values()) {
      writes.push(note === undefined ? { key } : { key, value: encodeRow(key, note, bytes) })
    }
    for (const queue of this.#touched) {
      for (const [first, runs] of queue.fresh) {
        writes.push(this.#freshRow(queue, queue.rows.find(first)!, runs))
        rows.push({ queue: queue.id, first })
      }
      for (const first of queue.shrunk) writes.push(this.#settledRow(queue, queue.rows.find(first)!))
      for (const [first, messages] of queue.returned) {
        const row = this.#returnedRow(queue, queue.rows.find(first)!, messages)
        this.#unwritten.set(nameOf(row.key), row)
        returned.push(row)
      }
      queue.fresh.clear()
      queue.shrunk.clear()
      queue.returned.clear()
    }
    for (const row of returned) writes.push(row)
    if (isNext) this.#removeLeftovers(writes)
    // Only from the next commit on: what this one still writes of a queue just deleted has to be found and removed.
    for (const queue of this.#deleted) this.addLeftover(queue)
    this.#deleted = []
    this.#drafts = new Map()
    this.#touched = new Set()
    return { writes, rows, returned }
  }

  /** The commit is durable: its rows may be read back, so the newest of them let go of their bytes if there are too many. */
  release({ rows, returned }: Commit): void {
    for (const row of returned) {
      const name = nameOf(row.key)
      if (this.#unwritten.get(name) === row) this.#unwritten.delete(name)
    }
    for (let index = rows.length - 1; index >= 0 && this.#memory.bytes > this.#memoryMax; index--) {
      const { queue, first } = rows[index]!
      const ledger = this.#queues.get(queue)
      const row = ledger?.rows.find(first)
      if (row) ledger!.rows.replaceBytes(row, undefined)
    }
  }

  /** @throws JournalFailure `damaged` */
  row(queue: QueueId, sequence: Sequence): StoredRow | undefined {
    const ledger = this.#queues.get(queue)
    const row = ledger?.rows.find(sequence)
    if (!ledger || !row || !ledger.rows.isLive(row, sequence)) return undefined
    const bytes = ledger.rows.bytes(row) ?? this.#recent.get(queue, row.first) ?? this.#readBack(queue, row)
    return { first: row.first, count: row.count, at: row.at, bytes }
  }

  /** For a restore: a row of messages is in the table, with these of them settled. */
  restoreRow(queue: QueueId, info: RowInfo, settled: Uint8Array | undefined): void {
    const { rows } = this.#ledgerOf(queue)
    const row = rows.append(info)
    if (!settled) return
    rows.markSettled(row, settled)
    row.addFlag(HAS_SETTLED_ROW)
  }

  /** For a restore: the row that begins there has a row of returned messages. Undefined if there is no such row. */
  restoreReturned(
    queue: QueueId,
    first: Sequence,
  ): { readonly count: number; readonly isLive: (place: number) => boolean } | undefined {
    const rows = this.#queues.get(queue)?.rows
    const row = rows?.find(first)
    if (!rows || row?.first !== first) return undefined
    row.addFlag(HAS_RETURNED_ROW)
    return { count: row.count, isLive: place => rows.isLive(row, first + place) }
  }

  restoreHighestQueue(queue: QueueId): void {
    this.#highestQueue = queue
  }

  /** The rest of a deleted queue is removed with the next commits. */
  addLeftover(queue: QueueId): void {
    this.#leftovers.push({ queue, from: queueRange(queue).from })
  }

  #enqueue(fact: FactOf<'enqueued'>): void {
    const { queue, bytes, runs } = fact
    if (!bytes) throw new TypeError(`messages ${fact.first} of queue ${queue} came without bytes`)
    this.#add(queue, infoOf(fact, runs, bytes), bytes, runs)
  }

  #add(id: QueueId, info: RowInfo, bytes: Uint8Array, runs: readonly EnqueuedRun[] | undefined): void {
    const queue = this.#touch(id)
    if (!runs && this.#joins(queue, info, bytes.length)) {
      queue.rows.extend(info, bytes)
      queue.freshBytes += bytes.length
      return
    }
    queue.rows.append(info, bytes)
    queue.fresh.set(info.first, runs)
    queue.freshBytes = bytes.length
  }

  /** Whether these messages can become part of the newest row. A row cannot grow once a commit took it. */
  #joins(queue: QueueLedger, info: RowInfo, bytes: number): boolean {
    if (queue.freshBytes + bytes > JOINED_BYTES_MAX) return false
    const newest = queue.rows.newest()
    return newest !== undefined && newest.flags === 0 && queue.fresh.has(newest.first) && follows(newest, info)
  }

  #move(fact: FactOf<'moved'>): void {
    const { queue, sequence, to, toSequence, toBatch, at, run } = fact
    const row = this.row(queue, sequence)
    if (!row) throw new RangeError(`message ${sequence} of queue ${queue} is not there to be moved`)
    const record = recordAt(row.bytes, sequence - row.first)
    if (!record) throw damaged(numberedKey(queue, SETTLED, row.first), `ends before message ${sequence}`)
    const runs = Object.keys(run).length === 1 ? undefined : [run]
    this.#add(to, infoOf({ first: toSequence, count: 1, batch: toBatch, at }, runs, record), record, runs)
    this.#settle(queue, sequence, 1)
  }

  #settle(id: QueueId, first: Sequence, count: number): void {
    const queue = this.#touch(id)
    queue.rows.settle(first, count, queue.settling)
  }

  #emptied(queue: QueueLedger, row: RowRef): void {
    const { first } = row
    queue.shrunk.delete(first)
    queue.returned.delete(first)
    if (queue.fresh.delete(first)) return
    this.#recent.forget(queue.id, first)
    this.#remove(messagesKey(queue.id, row))
    if (row.flags & HAS_SETTLED_ROW) this.#remove(numberedKey(queue.id, SETTLED, first))
    if (row.flags & HAS_RETURNED_ROW) this.#remove(numberedKey(queue.id, RETURNED, first))
  }

  #return(fact: FactOf<'returned'>): void {
    const queue = this.#touch(fact.queue)
    const { attempts, dueAt } = fact
    const returned: Returned = dueAt === undefined ? { attempts } : { attempts, dueAt }
    const end = fact.first + fact.count
    for (let sequence = fact.first; sequence < end; ) {
      const row = queue.rows.find(sequence)
      if (!row) {
        sequence++
        continue
      }
      const messages: ReturnedMessages = queue.returned.get(row.first) ?? new Map()
      queue.returned.set(row.first, messages)
      const rowEnd = Math.min(end, row.first + row.count)
      for (; sequence < rowEnd; sequence++) messages.set(sequence - row.first, returned)
    }
  }

  #deleteQueue(id: QueueId): void {
    const queue = this.#queues.get(id)
    if (queue) {
      queue.rows.clear()
      this.#touched.delete(queue)
      this.#queues.delete(id)
    }
    this.#remove(definitionKey(id))
    this.#draft({ key: deletedKey(id), note: {} })
    this.#deleted.push(id)
  }

  #freshRow(queue: QueueLedger, row: RowRef, runs: readonly EnqueuedRun[] | undefined): Write {
    const key = messagesKey(queue.id, row)
    const value = encodeRow(key, runs, queue.rows.bytes(row)!)
    // From here on the row's own copy is kept: the publisher's may be a small part of a large receive buffer.
    queue.rows.replaceBytes(row, bytesOf(value))
    return { key, value }
  }

  #settledRow(queue: QueueLedger, row: RowRef): Write {
    row.addFlag(HAS_SETTLED_ROW)
    const key = numberedKey(queue.id, SETTLED, row.first)
    return { key, value: encodeRow(key, undefined, queue.rows.settledBits(row)!) }
  }

  #returnedRow(queue: QueueLedger, row: RowRef, messages: ReturnedMessages): Write {
    const key = numberedKey(queue.id, RETURNED, row.first)
    const hasRow = (row.flags & HAS_RETURNED_ROW) !== 0
    const before = this.#unwritten.get(nameOf(key))?.value ?? (hasRow ? this.#table.get(key) : undefined)
    const all = hasRow ? fromRuns(returnedOf(key, decodeRow(key, before).note, row.count)) : new Map()
    for (const [place, returned] of messages) all.set(place, returned)
    for (const place of all.keys()) if (!queue.rows.isLive(row, row.first + place)) all.delete(place)
    row.addFlag(HAS_RETURNED_ROW)
    return { key, value: encodeRow(key, toRuns(all)) }
  }

  #removeLeftovers(writes: Write[]): void {
    const leftover = this.#leftovers.shift()
    if (!leftover) return
    const { queue, from } = leftover
    const keys = this.#table.keys(from, queueRange(queue).to, REMOVED_MAX)
    for (const key of keys) writes.push({ key })
    if (keys.length < REMOVED_MAX) writes.push({ key: deletedKey(queue) })
    else this.#leftovers.push({ queue, from: keyAfter(keys.at(-1)!) })
  }

  #readBack(queue: QueueId, row: RowRef): Uint8Array {
    const key = messagesKey(queue, row)
    const { bytes } = decodeRow(key, this.#table.get(key))
    if (row.count > 1) this.#recent.add(queue, row.first, bytes)
    return bytes
  }

  #countQueue(queue: QueueId): void {
    if (queue <= this.#highestQueue) return
    this.#highestQueue = queue
    this.#draft({ key: HIGHEST_QUEUE_KEY, note: { queue } })
  }

  #remove(key: Uint8Array): void {
    this.#draft({ key })
  }

  /** The last one of a key counts. */
  #draft(draft: Draft): void {
    this.#drafts.set(nameOf(draft.key), draft)
  }

  #touch(id: QueueId): QueueLedger {
    const queue = this.#ledgerOf(id)
    this.#touched.add(queue)
    return queue
  }

  #ledgerOf(id: QueueId): QueueLedger {
    const known = this.#queues.get(id)
    if (known) return known
    const queue: QueueLedger = {
      id,
      rows: new Rows(this.#memory),
      fresh: new Map(),
      freshBytes: 0,
      shrunk: new Set(),
      returned: new Map(),
      settling: { emptied: row => this.#emptied(queue, row), shrunk: row => queue.shrunk.add(row.first) },
    }
    this.#queues.set(id, queue)
    return queue
  }
}

/** What two ranges of messages must have in common to be told as one. */
type Range = Pick<RowInfo, 'first' | 'count' | 'batch' | 'at'>

/** Whether plain messages go on where others end, so that both can be told as one range. */
export function follows(before: Range, next: Range): boolean {
  return (
    before.first + before.count === next.first &&
    before.batch === next.batch &&
    Math.abs(before.at - next.at) < SAME_TIME_MS
  )
}

function infoOf(range: Range, runs: readonly EnqueuedRun[] | undefined, bytes: Uint8Array): RowInfo {
  const { first, count, batch, at } = range
  const flags = runs ? HAS_RUNS : 0
  return { first, count, batch, at: Math.trunc(at), bodyBytes: bodyBytesOf(bytes), flags }
}

function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1')
}
