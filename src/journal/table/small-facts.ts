import type { Fact, Parties, QueueId } from '../../core/facts.ts'
import {
  BARRIER,
  COUNTS,
  definitionKey,
  numberedKey,
  PARTY,
  PRODUCER,
  producerKey,
  queueRange,
  RECORD,
  SEEN,
  seenKey,
} from './keys.ts'
import { factOf, numbersOf } from './notes.ts'
import { damaged, decodeRow } from './row-codec.ts'
import { eachEntry, type Table } from './table.ts'

/** A row before it is encoded; without a note it is to be removed. */
export interface Draft {
  readonly key: Uint8Array
  readonly note?: unknown
  readonly bytes?: Uint8Array
}

/** Facts that are not about messages: each is a row of its own that holds the fact as it is, or removes such rows. */
export type SmallFact = Extract<
  Fact,
  {
    kind:
      | 'queueDeclared'
      | 'batchCounted'
      | 'barrierPublished'
      | 'barrierReleased'
      | 'barrierForgotten'
      | 'producerTaken'
      | 'producerForgotten'
      | 'partyArrived'
      | 'partiesPlaced'
      | 'seen'
      | 'unseen'
  }
>

export function draftsOf(fact: SmallFact): readonly Draft[] {
  const { queue } = fact
  switch (fact.kind) {
    case 'queueDeclared':
      return [{ key: definitionKey(queue), note: fact }]
    case 'batchCounted':
      return [{ key: numberedKey(queue, COUNTS, fact.batch), note: fact }]
    case 'barrierPublished': {
      const { bytes, terms, ...rest } = fact
      const parties = withoutBytes(terms?.parties)
      const note =
        terms === undefined ? rest : { ...rest, terms: { ...terms, ...(parties === undefined ? {} : { parties }) } }
      return [{ key: numberedKey(queue, BARRIER, fact.sequence), note, bytes: joined(bytes, terms?.parties?.bytes) }]
    }
    case 'barrierReleased': {
      const { bytes, parties, ...record } = fact.record
      const note = {
        ...fact,
        record: { ...record, ...(parties === undefined ? {} : { parties: withoutBytes(parties) }) },
      }
      return [
        { key: numberedKey(queue, COUNTS, record.batch) },
        { key: numberedKey(queue, BARRIER, record.sequence) },
        { key: numberedKey(queue, RECORD, record.sequence), note, bytes: joined(bytes, parties?.bytes) },
      ]
    }
    case 'partyArrived': {
      const { bytes, ...note } = fact
      return [{ key: numberedKey(queue, PARTY, fact.sequence), note, bytes }]
    }
    case 'partiesPlaced':
      return fact.sequences.map(sequence => ({ key: numberedKey(queue, PARTY, sequence) }))
    case 'seen':
      return [{ key: seenKey(queue, fact.id), note: fact }]
    case 'unseen':
      return [{ key: seenKey(queue, fact.id) }]
    case 'barrierForgotten':
      return [{ key: numberedKey(queue, RECORD, fact.sequence) }]
    case 'producerTaken':
      return [{ key: producerKey(queue, fact.producer), note: fact }]
    case 'producerForgotten':
      return [{ key: producerKey(queue, fact.producer) }]
  }
}

/** The bytes of the parties stand behind those of the barrier; the note says how long they are. */
function withoutBytes(parties: Parties | undefined): KeptParties | undefined {
  if (parties === undefined) return undefined
  const { bytes, ...rest } = parties
  return { ...rest, bytesLength: bytes.length }
}

type KeptParties = Omit<Parties, 'bytes'> & { readonly bytesLength: number }

function joined(bytes: Uint8Array, more: Uint8Array | undefined): Uint8Array {
  return more === undefined ? bytes : Buffer.concat([bytes, more])
}

/** Takes apart what `joined` put together. */
function split(
  key: Uint8Array,
  parties: unknown,
  bytes: Uint8Array,
): { readonly bytes: Uint8Array; readonly parties?: Parties } {
  if (parties === undefined) return { bytes }
  numbersOf(key, parties, 'bytesLength')
  const { bytesLength, ...rest } = parties as KeptParties
  const at = bytes.length - bytesLength
  if (at < 0) throw damaged(key, 'is shorter than its parties')
  return { bytes: bytes.subarray(0, at), parties: { ...rest, bytes: bytes.subarray(at) } }
}

/**
 * Counts, barriers, records, parties, producers and message ids of a queue, in this order.
 *
 * @throws JournalFailure `damaged`
 */
export function* restoreSmallFacts(table: Table, queue: QueueId): Generator<Fact> {
  for (const kind of [COUNTS, BARRIER, RECORD, PARTY, PRODUCER, SEEN] as const) {
    const { from, to } = queueRange(queue, kind)
    for (const { key, value } of eachEntry(table, from, to)) {
      const { note, bytes } = decodeRow(key, value)
      yield restored(key, factOf(key, note, queue, kind), bytes)
    }
  }
}

function restored(key: Uint8Array, fact: SmallFact, content: Uint8Array): Fact {
  if (fact.kind === 'partyArrived') return { ...fact, bytes: content }
  if (fact.kind === 'barrierPublished') {
    const { bytes, parties } = split(key, fact.terms?.parties, content)
    return { ...fact, bytes, ...(parties === undefined ? {} : { terms: { ...fact.terms, parties } }) }
  }
  if (fact.kind === 'barrierReleased')
    return { ...fact, record: { ...fact.record, ...split(key, fact.record.parties, content) } }
  return fact
}
