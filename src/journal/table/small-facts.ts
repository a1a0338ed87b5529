import type { Fact, QueueId } from '../../core/facts.ts'
import { BARRIER, COUNTS, definitionKey, numberedKey, PRODUCER, producerKey, queueRange, RECORD } from './keys.ts'
import { decodeRow } from './row-codec.ts'
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
      const { bytes, ...note } = fact
      return [{ key: numberedKey(queue, BARRIER, fact.sequence), note, bytes }]
    }
    case 'barrierReleased': {
      const { bytes, ...record } = fact.record
      return [
        { key: numberedKey(queue, COUNTS, record.batch) },
        { key: numberedKey(queue, BARRIER, record.sequence) },
        { key: numberedKey(queue, RECORD, record.sequence), note: { ...fact, record }, bytes },
      ]
    }
    case 'barrierForgotten':
      return [{ key: numberedKey(queue, RECORD, fact.sequence) }]
    case 'producerTaken':
      return [{ key: producerKey(queue, fact.producer), note: fact }]
    case 'producerForgotten':
      return [{ key: producerKey(queue, fact.producer) }]
  }
}

/**
 * Counts, barriers, records and producers of a queue, in this order.
 *
 * @throws JournalFailure `damaged`
 */
export function* restoreSmallFacts(table: Table, queue: QueueId): Generator<Fact> {
  for (const kind of [COUNTS, BARRIER, RECORD, PRODUCER] as const) {
    const { from, to } = queueRange(queue, kind)
    for (const { key, value } of eachEntry(table, from, to)) {
      const { note, bytes } = decodeRow(key, value)
      const fact = note as SmallFact
      if (fact.kind === 'barrierPublished') yield { ...fact, bytes }
      else if (fact.kind === 'barrierReleased') yield { ...fact, record: { ...fact.record, bytes } }
      else yield fact
    }
  }
}
