import { describe, expect, test } from 'vitest'
import type { Journal } from '../../src/journal/journal.ts'
import { type MemoryJournal, memoryJournal } from '../../src/journal/memory.ts'
import { type Data, journalConformance } from './conformance.ts'
import { journalModel } from './model.ts'
import { AT, enqueued, OpenJournal, settled } from './support.ts'

/** Memory has no data without a journal: each start goes on from the crash of the one before. */
function memoryData(small: { readonly commitRowsMax?: number } = {}): Data {
  let last: MemoryJournal | undefined
  return {
    open: async options => {
      last = last ? last.crash() : memoryJournal({ ...options, ...small })
      return last
    },
    crash: async (_: Journal) => {},
    remove: async () => {},
  }
}

describe('memory, with commits of two rows', () => {
  journalConformance(() => memoryData({ commitRowsMax: 2 }))
  journalModel(() => memoryData({ commitRowsMax: 2 }), 300)
})

describe('memory', () => {
  journalConformance(() => memoryData())
  journalModel(() => memoryData(), 300)

  test('nothing is committed by hand before it is said so', async () => {
    const journal = memoryJournal({ manual: true })
    const opened = await OpenJournal.restore(journal)
    opened.append(enqueued(1, 1, 1))
    opened.append(enqueued(1, 2, 1))
    journal.beginCommit()
    opened.append(enqueued(1, 3, 1))
    expect(opened.told).toEqual([])
    expect(journal.commitNext()).toBe(true)
    expect(opened.told).toEqual([2])
    expect(journal.commitNext()).toBe(true)
    expect(opened.told).toEqual([2, 3])
    expect(journal.commitNext()).toBe(false)
  })

  test('P4: a crash keeps whole turns, up to the one it is given, and at least what was told', async () => {
    for (const upTo of [undefined, 1, 2, 3, 4]) {
      const journal = memoryJournal({ manual: true })
      const opened = await OpenJournal.restore(journal)
      opened.append(enqueued(1, 1, 2), enqueued(2, 1, 2))
      journal.commitAll()
      opened.append(settled(1, 1), settled(2, 2))
      opened.append(enqueued(1, 3, 1, { at: AT + 5_000 }))
      journal.beginCommit()
      opened.append(settled(1, 2), settled(1, 3))
      const next = journal.crash(upTo)
      expect(journal.commitNext()).toBe(false)
      expect(opened.told).toEqual([1])
      const { restored, kept } = await OpenJournal.restore(next)
      expect(restored[0]).toEqual({ kind: 'started', start: 2, clean: false })
      const ranges = kept.map(fact =>
        fact.kind === 'enqueued' ? `${fact.queue}: ${fact.first}+${fact.count}` : fact.kind,
      )
      const both = ['1: 1+2', '2: 1+2']
      const expected = [both, ['1: 2+1', '2: 1+1'], ['1: 2+1', '1: 3+1', '2: 1+1'], ['2: 1+1']]
      expect(ranges).toEqual(expected[Math.max(upTo ?? 1, 1) - 1])
    }
  })

  test('P2: after a failure nothing is told as committed', async () => {
    const journal = memoryJournal({ manual: true })
    const opened = await OpenJournal.restore(journal)
    opened.append(enqueued(1, 1, 1))
    journal.fail()
    opened.append(enqueued(1, 2, 1))
    journal.commitAll()
    expect(opened.told).toEqual([])
    expect(opened.failures.map(({ code }) => code)).toEqual(['commit-failed'])
    await journal.close()
  })
})
