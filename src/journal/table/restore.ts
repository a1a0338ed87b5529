import type { EnqueuedRun, Fact, QueueId } from '../../core/facts.ts'
import type { RowInfo } from '../rows.ts'
import {
  afterQueue,
  DEFINITIONS,
  DELETED_QUEUES,
  HAS_RUNS,
  HIGHEST_QUEUE_KEY,
  type KeyRange,
  MESSAGES,
  QUEUE_CONTENTS,
  queueOf,
  queueRange,
  RETURNED,
  readMessagesKey,
  SETTLED,
  unknownRanges,
} from './keys.ts'
import { follows, type Ledger } from './ledger.ts'
import { factOf, numbersOf, returnedOf, rowOf, runsOf } from './notes.ts'
import { damaged, decodeRow } from './row-codec.ts'
import { restoreSmallFacts } from './small-facts.ts'
import { eachEntry, eachKey, type Table } from './table.ts'

/** A restored fact that may still grow by what follows. */
interface LiveRange extends Omit<Extract<Fact, { kind: 'enqueued' }>, 'count' | 'bodyBytes'> {
  count: number
  bodyBytes: number
}

/** Enough that the loop between costs nothing, few enough that a chunk stays small. */
const CHUNK_FACTS = 4_096

/**
 * All facts that still matter, but `started`; also fills the ledger's index.
 *
 * @throws JournalFailure `damaged`
 */
export function* restore(table: Table, ledger: Ledger): Generator<readonly Fact[]> {
  let chunk: Fact[] = []
  for (const fact of restoreFacts(table, ledger)) {
    chunk.push(fact)
    if (chunk.length < CHUNK_FACTS) continue
    yield chunk
    chunk = []
  }
  if (chunk.length > 0) yield chunk
}

function* restoreFacts(table: Table, ledger: Ledger): Generator<Fact> {
  let highestDeclared = 0
  for (const { key, value } of eachEntry(table, DEFINITIONS.from, DEFINITIONS.to)) {
    highestDeclared = queueOf(key)
    yield factOf(key, decodeRow(key, value).note, highestDeclared, 'definition') as Fact
  }
  const highest = table.get(HIGHEST_QUEUE_KEY)
  if (highest) {
    const { queue } = numbersOf(HIGHEST_QUEUE_KEY, decodeRow(HIGHEST_QUEUE_KEY, highest).note, 'queue')
    ledger.restoreHighestQueue(queue)
    // The number must not be given again: of the queue that had it there may be more in the table and in the world.
    if (queue > highestDeclared) yield { kind: 'queueDeleted', queue }
  }
  const deleted = new Set<QueueId>()
  for (const key of eachKey(table, DELETED_QUEUES.from, DELETED_QUEUES.to)) deleted.add(queueOf(key))
  for (const queue of deleted) ledger.addLeftover(queue)
  for (const queue of queuesWithRows(table)) if (!deleted.has(queue)) yield* restoreQueue(table, ledger, queue)
}

function* queuesWithRows(table: Table): Generator<QueueId> {
  for (let { from, to } = QUEUE_CONTENTS; ; ) {
    const [key] = table.keys(from, to, 1)
    if (!key) return
    const queue = queueOf(key)
    yield queue
    from = afterQueue(queue)
  }
}

function* restoreQueue(table: Table, ledger: Ledger, queue: QueueId): Generator<Fact> {
  // A key that was damaged may say another kind: what it stood for would be missing without a word (R8).
  for (const { from, to } of unknownRanges(queue)) {
    const [key] = table.keys(from, to, 1)
    if (key) throw damaged(key, 'is of no kind that this program knows')
  }
  yield* restoreSmallFacts(table, queue)
  const settled = new Map<number, Uint8Array>()
  const { from, to } = queueRange(queue, SETTLED)
  for (const { key, value } of eachEntry(table, from, to)) settled.set(rowOf(key), decodeRow(key, value).bytes)
  let before: LiveRange | undefined
  for (const live of liveMessages(table, ledger, queue, settled)) {
    if (before && !before.runs && !live.runs && follows(before, live)) {
      before.count += live.count
      before.bodyBytes += live.bodyBytes
      continue
    }
    if (before) yield before
    before = live
  }
  if (before) yield before
  for (const first of settled.keys()) {
    throw damaged(table.keys(from, to, 1)[0] ?? from, `is there, but not the messages of row ${first}`)
  }
  yield* restoreReturned(table, ledger, queue)
}

/** Ranges of live messages, as the rows hold them; takes from `settled` what belongs to a row. */
function* liveMessages(
  table: Table,
  ledger: Ledger,
  queue: QueueId,
  settled: Map<number, Uint8Array>,
): Generator<LiveRange> {
  let next = 1
  const { from, to } = queueRange(queue, MESSAGES)
  for (const key of eachKey(table, from, to)) {
    const row = readMessagesKey(key)
    if (!row || row.first < next) throw damaged(key, 'overlaps the row before it')
    next = row.first + row.count
    const bits = settled.get(row.first)
    if (bits) settled.delete(row.first)
    ledger.restoreRow(queue, row, bits)
    const { first, count, batch, at, bodyBytes } = row
    const runs = row.flags & HAS_RUNS ? runsOf(key, decodeRow(key, table.get(key)).note, row.count) : undefined
    if (!bits && !runs) yield { kind: 'enqueued', queue, first, count, batch, at, bodyBytes }
    else yield* liveParts(queue, row, bits, runs)
  }
}

function* liveParts(
  queue: QueueId,
  row: RowInfo,
  bits: Uint8Array | undefined,
  runs: readonly EnqueuedRun[] | undefined,
): Generator<LiveRange> {
  const { first, batch, at } = row
  const isSettled = (place: number): boolean => ((bits?.[place >> 3] ?? 0) & (1 << (place & 7))) !== 0
  for (let place = 0; place < row.count; ) {
    if (isSettled(place)) {
      place++
      continue
    }
    let end = place + 1
    while (end < row.count && !isSettled(end)) end++
    const count = end - place
    // How long each body is, only the value knows; a restart does not read it for that.
    const bodyBytes = Math.round((row.bodyBytes * count) / row.count)
    const part = { kind: 'enqueued', queue, first: first + place, count, batch, at, bodyBytes } as const
    yield runs ? { ...part, runs: cutRuns(runs, place, end) } : part
    place = end
  }
}

/** The runs of the messages from one place to before another. */
function cutRuns(runs: readonly EnqueuedRun[], from: number, to: number): readonly EnqueuedRun[] {
  const cut: EnqueuedRun[] = []
  let place = 0
  for (const run of runs) {
    const count = Math.min(to, place + run.count) - Math.max(from, place)
    if (count > 0) cut.push(count === run.count ? run : { ...run, count })
    place += run.count
  }
  return cut
}

function* restoreReturned(table: Table, ledger: Ledger, queue: QueueId): Generator<Fact> {
  const { from, to }: KeyRange = queueRange(queue, RETURNED)
  for (const { key, value } of eachEntry(table, from, to)) {
    const row = rowOf(key)
    const found = ledger.restoreReturned(queue, row)
    if (!found) throw damaged(key, 'is there, but not the messages it speaks of')
    const { isLive } = found
    for (const [place, count, attempts, dueAt] of returnedOf(key, decodeRow(key, value).note, found.count)) {
      const rest = dueAt === undefined ? { attempts } : { attempts, dueAt }
      for (let at = place; at < place + count; ) {
        let end = at
        while (end < place + count && isLive(end)) end++
        if (end > at) yield { kind: 'returned', queue, first: row + at, count: end - at, ...rest }
        at = end + 1
      }
    }
  }
}
