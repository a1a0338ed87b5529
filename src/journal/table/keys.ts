import type { BatchNumber, QueueId, Sequence } from '../../core/facts.ts'
import { FLAG_BITS, type RowInfo } from '../rows.ts'

/*
 * Keys, big-endian so that bytes sort as numbers do:
 *
 *   01                                   format of the table
 *   02                                   number of starts, and whether the last stop was clean
 *   03                                   highest number a queue ever had
 *   04 queue:u32                         deleted queue of which rows are left
 *   05 queue:u32                         definition
 *   06 queue:u32 kind:u8 …               everything else of a queue, by kind:
 *      1 batch:u48                       counts of a batch
 *      2 sequence:u48                    waiting barrier
 *      3 sequence:u48                    record of a released barrier
 *      4 producer:utf8                   last number and answers of a producer
 *      5 first:u48                       settled messages of the row that begins there
 *      6 first:u48 count:u32 batch:u48 at:u48 bodyBytes:u32 flags:u8   row of messages
 *      7 first:u48                       messages of that row that were delivered and came back
 *      8 sequence:u48                    party of a barrier that waits for others
 *      9 id:utf8                         message id inside the dedupe window
 *
 * So reading a queue from front to back gives the order of a restore, and the key of a plain row of messages says all
 * that a restart must know of it.
 */

export const FORMAT_KEY: Uint8Array = Buffer.of(1)
export const START_KEY: Uint8Array = Buffer.of(2)
export const HIGHEST_QUEUE_KEY: Uint8Array = Buffer.of(3)

const DELETED = 4
const DEFINITION = 5
const OF_QUEUE = 6

export const COUNTS = 1
export const BARRIER = 2
export const RECORD = 3
export const PRODUCER = 4
export const SETTLED = 5
export const MESSAGES = 6
export const RETURNED = 7
export const PARTY = 8
export const SEEN = 9
/** One past the last kind. */
export const KINDS_END: number = SEEN + 1
export type Kind =
  | typeof COUNTS
  | typeof BARRIER
  | typeof RECORD
  | typeof PRODUCER
  | typeof SETTLED
  | typeof MESSAGES
  | typeof RETURNED
  | typeof PARTY
  | typeof SEEN

/** Flag in the key of a row of messages: its value says more of them (`runs`). */
export const HAS_RUNS = 1

const QUEUE_HEAD = 6
export const NUMBERED_KEY_BYTES: number = QUEUE_HEAD + 6
const MESSAGES_KEY_BYTES = QUEUE_HEAD + 6 + 4 + 6 + 6 + 4 + 1

export interface KeyRange {
  readonly from: Uint8Array
  readonly to: Uint8Array
}

export const DEFINITIONS: KeyRange = { from: Buffer.of(DEFINITION), to: Buffer.of(DEFINITION + 1) }
export const DELETED_QUEUES: KeyRange = { from: Buffer.of(DELETED), to: Buffer.of(DELETED + 1) }
export const QUEUE_CONTENTS: KeyRange = { from: Buffer.of(OF_QUEUE), to: Buffer.of(OF_QUEUE + 1) }

export function definitionKey(queue: QueueId): Uint8Array {
  return queuePrefix(DEFINITION, queue, 5)
}

export function deletedKey(queue: QueueId): Uint8Array {
  return queuePrefix(DELETED, queue, 5)
}

/** Queue number of a key that has one. */
export function queueOf(key: Uint8Array): QueueId {
  return readU32(key, 1)
}

/** Key of one number: a batch, a barrier, the first message of a row. */
export function numberedKey(queue: QueueId, kind: Kind, number: BatchNumber | Sequence): Uint8Array {
  const key = queuePrefix(OF_QUEUE, queue, NUMBERED_KEY_BYTES)
  key[5] = kind
  key.writeUIntBE(number, QUEUE_HEAD, 6)
  return key
}

export function numberOf(key: Uint8Array): number {
  return readU48(key, QUEUE_HEAD)
}

export function producerKey(queue: QueueId, producer: string): Uint8Array {
  return namedKey(queue, PRODUCER, producer)
}

export function seenKey(queue: QueueId, id: string): Uint8Array {
  return namedKey(queue, SEEN, id)
}

function namedKey(queue: QueueId, kind: Kind, text: string): Uint8Array {
  const name = Buffer.from(text)
  const key = queuePrefix(OF_QUEUE, queue, QUEUE_HEAD + name.length)
  key[5] = kind
  name.copy(key, QUEUE_HEAD)
  return key
}

export function messagesKey(queue: QueueId, row: RowInfo): Uint8Array {
  const key = queuePrefix(OF_QUEUE, queue, MESSAGES_KEY_BYTES)
  key[5] = MESSAGES
  key.writeUIntBE(row.first, QUEUE_HEAD, 6)
  key.writeUInt32BE(row.count, QUEUE_HEAD + 6)
  key.writeUIntBE(row.batch, QUEUE_HEAD + 10, 6)
  key.writeUIntBE(row.at, QUEUE_HEAD + 16, 6)
  key.writeUInt32BE(row.bodyBytes, QUEUE_HEAD + 22)
  key[QUEUE_HEAD + 26] = row.flags & HAS_RUNS
  return key
}

/** What a row is of a queue; undefined: it is of none. */
export function kindOf(key: Uint8Array): Kind | 'definition' | undefined {
  if (key[0] === DEFINITION) return 'definition'
  return key[0] === OF_QUEUE ? (key[5] as Kind) : undefined
}

/** Undefined if the key has not the shape of one. */
export function readMessagesKey(key: Uint8Array): RowInfo | undefined {
  if (key.length !== MESSAGES_KEY_BYTES) return undefined
  const first = readU48(key, QUEUE_HEAD)
  const count = readU32(key, QUEUE_HEAD + 6)
  const flags = key[QUEUE_HEAD + 26]!
  if (first === 0 || count === 0 || flags > (HAS_RUNS & FLAG_BITS)) return undefined
  const batch = readU48(key, QUEUE_HEAD + 10)
  const at = readU48(key, QUEUE_HEAD + 16)
  return { first, count, batch, at, bodyBytes: readU32(key, QUEUE_HEAD + 22), flags }
}

/** For people: what the row of this key is about, and the key itself. */
export function describeKey(key: Uint8Array): string {
  const name = key[0] === OF_QUEUE ? KIND_NAMES[key[5] ?? 0] : GROUP_NAMES[key[0] ?? 0]
  const queue = key.length > 4 ? ` of queue ${queueOf(key)}` : ''
  const number =
    key[0] === OF_QUEUE && key[5] !== PRODUCER && key[5] !== SEEN && key.length >= QUEUE_HEAD + 6
      ? ` ${numberOf(key)}`
      : ''
  return `${name ?? 'an unknown row'}${number}${queue} (key ${Buffer.from(key).toString('hex')})`
}

const GROUP_NAMES = [
  '',
  'the format',
  'the number of starts',
  'the highest queue number',
  'the deletion',
  'the definition',
]
const KIND_NAMES = [
  '',
  'the counts of batch',
  'barrier',
  'the record of barrier',
  'a producer',
  'the settled messages of row',
  'message row',
  'the returned messages of row',
  'party',
  'a message id',
]

/** Everything of a queue but its definition, or all of one kind. */
export function queueRange(queue: QueueId, kind?: Kind): KeyRange {
  const from = queuePrefix(OF_QUEUE, queue, QUEUE_HEAD)
  const to = queuePrefix(OF_QUEUE, queue, QUEUE_HEAD)
  from[5] = kind ?? 0
  to[5] = kind === undefined ? 0xff : kind + 1
  return { from, to }
}

/** Keys of a queue whose kind this program does not know: below and above those it does. */
export function unknownRanges(queue: QueueId): readonly KeyRange[] {
  const [first, last] = [queueRange(queue), queuePrefix(OF_QUEUE, queue, QUEUE_HEAD)]
  last[5] = KINDS_END
  return [
    { from: first.from, to: queueRange(queue, COUNTS).from },
    { from: last, to: afterQueue(queue) },
  ]
}

/** Where the keys of the next queue begin, whatever is in this one. */
export function afterQueue(queue: QueueId): Uint8Array {
  return queue < 0xffff_ffff ? queueRange(queue + 1).from : QUEUE_CONTENTS.to
}

function queuePrefix(group: number, queue: QueueId, length: number): Buffer {
  const key = Buffer.allocUnsafe(length)
  key[0] = group
  key.writeUInt32BE(queue, 1)
  return key
}

// By hand: a restart reads a million of these, and keys may come as any Uint8Array.
function readU32(key: Uint8Array, at: number): number {
  return ((key[at]! << 24) | (key[at + 1]! << 16) | (key[at + 2]! << 8) | key[at + 3]!) >>> 0
}

function readU48(key: Uint8Array, at: number): number {
  return ((key[at]! << 8) | key[at + 1]!) * 0x1_0000_0000 + readU32(key, at + 2)
}
