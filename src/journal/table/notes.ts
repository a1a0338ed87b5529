import type { EnqueuedRun, QueueId } from '../../core/facts.ts'
import {
  BARRIER,
  COUNTS,
  definitionKey,
  type Kind,
  NUMBERED_KEY_BYTES,
  numberedKey,
  numberOf,
  PARTY,
  PRODUCER,
  producerKey,
  RECORD,
  SEEN,
  seenKey,
} from './keys.ts'
import type { ReturnedRun } from './returned.ts'
import { damaged } from './row-codec.ts'
import type { SmallFact } from './small-facts.ts'

/*
 * A checksum tells what the disk has changed. It does not tell what a mistaken program, or a hand, has written: there the
 * note is whole and says something else than its key. Here is asked that the two belong together.
 */

type FactKind = SmallFact['kind']

/** What stands under the keys of a kind. */
const KINDS: Partial<Record<Kind, FactKind>> = {
  [COUNTS]: 'batchCounted',
  [BARRIER]: 'barrierPublished',
  [RECORD]: 'barrierReleased',
  [PRODUCER]: 'producerTaken',
  [PARTY]: 'partyArrived',
  [SEEN]: 'seen',
}

/** @throws JournalFailure `damaged` if the note is not the fact whose key this is */
export function factOf(key: Uint8Array, note: unknown, queue: QueueId, kind: Kind | 'definition'): SmallFact {
  const wanted = kind === 'definition' ? 'queueDeclared' : KINDS[kind]
  if (!isObject(note) || note['kind'] !== wanted || note['queue'] !== queue) throw strange(key)
  const fact = note as unknown as SmallFact
  const own = keyOf(fact)
  if (own === undefined || Buffer.compare(own, key) !== 0) throw strange(key)
  return fact
}

/** The key under which a fact is kept; undefined if it has none, or not what makes one. */
function keyOf(fact: SmallFact): Uint8Array | undefined {
  const { queue } = fact
  const numbered = (kind: Kind, number: unknown) => (isWhole(number) ? numberedKey(queue, kind, number) : undefined)
  switch (fact.kind) {
    case 'queueDeclared':
      return isObject(fact.options) ? definitionKey(queue) : undefined
    case 'batchCounted':
      return isObject(fact.stats) ? numbered(COUNTS, fact.batch) : undefined
    case 'barrierPublished':
      return numbered(BARRIER, fact.sequence)
    case 'barrierReleased':
      return isObject(fact.record) ? numbered(RECORD, fact.record.sequence) : undefined
    case 'partyArrived':
      return numbered(PARTY, fact.sequence)
    case 'producerTaken':
      return typeof fact.producer === 'string' ? producerKey(queue, fact.producer) : undefined
    case 'seen':
      return typeof fact.id === 'string' ? seenKey(queue, fact.id) : undefined
    default:
      return undefined
  }
}

/** Number of the row that a key speaks of. @throws JournalFailure `damaged` if the key goes on behind it */
export function rowOf(key: Uint8Array): number {
  if (key.length !== NUMBERED_KEY_BYTES) throw damaged(key, 'is under a key that no row has')
  return numberOf(key)
}

/** @throws JournalFailure `damaged` if the note does not say of each message of the row what it is */
export function runsOf(key: Uint8Array, note: unknown, count: number): readonly EnqueuedRun[] {
  if (!Array.isArray(note)) throw strange(key)
  let sum = 0
  for (const run of note) {
    if (!isObject(run) || !isWhole(run['count']) || run['count'] === 0 || !isOwned(run['owned'])) throw strange(key)
    sum += run['count']
  }
  if (sum !== count) throw strange(key)
  return note as EnqueuedRun[]
}

/** @throws JournalFailure `damaged` if the note speaks of other messages than those of its row */
export function returnedOf(key: Uint8Array, note: unknown, count: number): readonly ReturnedRun[] {
  if (!Array.isArray(note)) throw strange(key)
  for (const run of note) {
    if (!Array.isArray(run) || run.length < 3 || run.length > 4 || !run.every(isWhole)) throw strange(key)
    const [place = 0, length = 0] = run
    if (place + length > count) throw strange(key)
  }
  return note as unknown as ReturnedRun[]
}

/** @throws JournalFailure `damaged` if one of these is not a number in the note */
export function numbersOf<Name extends string>(
  key: Uint8Array,
  note: unknown,
  ...names: readonly Name[]
): Readonly<Record<Name, number>> {
  if (!isObject(note) || !names.every(name => isWhole(note[name]))) throw strange(key)
  return note as Record<Name, number>
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What counts for a quota is added up: of a note that says something else the sum would be none. */
function isOwned(value: unknown): boolean {
  return value === undefined || (isObject(value) && typeof value['owner'] === 'string' && isWhole(value['bytes']))
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function strange(key: Uint8Array) {
  return damaged(key, 'holds what does not belong there, though its checksum is right')
}
