import { describe, expect, test } from 'vitest'
import { decodeRow } from '../../src/journal/table/row-codec.ts'
import type { Table, Write } from '../../src/journal/table/table.ts'
import { TableJournal } from '../../src/journal/table/table-journal.ts'
import { enqueued, OpenJournal, settled } from './support.ts'

/** A table that answers when it is told to. */
class SlowTable implements Table {
  readonly writes: (readonly Write[])[] = []
  #done: ((failure?: Error) => void) | undefined

  get(): undefined {}

  keys(): readonly never[] {
    return []
  }

  entries(): readonly never[] {
    return []
  }

  write(writes: readonly Write[], done: (failure?: Error) => void): void {
    if (this.#done) throw new Error('one commit at a time')
    this.writes.push(writes)
    this.#done = done
  }

  answer(failure?: Error): void {
    const done = this.#done!
    this.#done = undefined
    done(failure)
  }

  async close(): Promise<void> {}
}

/** A restored journal over such a table; `tick` ends a tick. Without `after` nothing waits for company. */
async function opened(
  commitDeadlineMs = 1e6,
  commitRowsMax = 10_000,
  after?: (ms: number, task: () => void) => () => void,
): Promise<{ table: SlowTable; journal: OpenJournal; tick: () => void }> {
  const patience = after ? { after } : { patienceMs: 0 }
  const table = new SlowTable()
  let commit: (() => void) | undefined
  const later = (next: () => void): void => {
    commit = next
  }
  const restoring = OpenJournal.restore(
    new TableJournal({ table, memoryMax: 1e6, commitDeadlineMs, commitRowsMax, later, ...patience }),
  )
  table.answer()
  const journal = await restoring
  table.writes.length = 0
  const tick = (): void => {
    const next = commit
    commit = undefined
    next?.()
  }
  return { table, journal, tick }
}

describe('the commit loop', () => {
  test('R9, P4: what gathers while a commit is written goes in commits of a bounded size, whole turns in their order', async () => {
    const { table, journal, tick } = await opened(1e6, 3)
    const rows = (count: number) =>
      Array.from({ length: count }, (_, queue) => enqueued(queue + 1, journal.turn * 100 + 1, 1))
    journal.append(...rows(1))
    tick()
    for (const count of [2, 2, 2, 7, 1]) journal.append(...rows(count))
    const sizes = []
    for (let k = 0; k < 4; k += 1) {
      sizes.push(table.writes.at(-1)!.length)
      table.answer()
      tick()
    }
    expect(sizes).toEqual([1, 4, 9, 1])
    expect(journal.told).toEqual([1, 3, 5, 6])
  })

  test('a message that comes back twice within commits not written yet keeps both attempts', async () => {
    const { table, journal, tick } = await opened(1e6, 1)
    const returned = (first: number) => ({ kind: 'returned', queue: 1, first, count: 1, attempts: first }) as const
    journal.append(enqueued(1, 1, 3))
    tick()
    table.answer()
    for (const sequence of [1, 2]) journal.append(returned(sequence))
    tick()
    expect(table.writes.length).toBe(2)
    table.answer()
    tick()
    const [row] = table.writes.at(-1)!
    expect(decodeRow(row!.key, row!.value).note).toHaveLength(2)
  })

  test('one commit is in flight, and what comes meanwhile goes with the next', async () => {
    const { table, journal, tick } = await opened()
    journal.append(enqueued(1, 1, 1))
    journal.append(enqueued(1, 2, 1))
    tick()
    journal.append(enqueued(1, 3, 1))
    journal.append(settled(1, 1))
    tick()
    expect([table.writes.length, journal.told]).toEqual([1, []])
    table.answer()
    expect(journal.told).toEqual([2])
    tick()
    table.answer()
    expect([table.writes.length, journal.told]).toEqual([2, [2, 4]])
  })

  test('many settled messages of a row are one write, and a row emptied in the same commit is only removed', async () => {
    const { table, journal, tick } = await opened()
    const commit = (): number => {
      tick()
      table.answer()
      return table.writes.at(-1)!.length
    }
    journal.append(enqueued(1, 1, 100))
    expect(commit()).toBe(1)
    for (let sequence = 1; sequence < 100; sequence += 2) journal.append(settled(1, sequence))
    expect(commit()).toBe(1)
    for (let sequence = 2; sequence < 100; sequence += 2) journal.append(settled(1, sequence))
    journal.append(settled(1, 100))
    expect(commit()).toBe(2)
    expect(table.writes.at(-1)!.every(({ value }) => value === undefined)).toBe(true)
    journal.append(enqueued(1, 101, 100))
    expect(commit()).toBe(1)
    journal.append(settled(1, 101, 50))
    journal.append(settled(1, 151, 50))
    expect(commit()).toBe(1)
  })

  test('a message that came and went within one commit is told without a write', async () => {
    const { table, journal, tick } = await opened()
    journal.append(enqueued(1, 1, 10))
    journal.append(settled(1, 1, 10))
    tick()
    expect([table.writes, journal.told]).toEqual([[], [2]])
  })

  test('P2: after a commit that failed nothing is told as committed, whatever comes', async () => {
    const { table, journal, tick } = await opened()
    journal.append(enqueued(1, 1, 1))
    tick()
    journal.append(enqueued(1, 2, 1))
    table.answer(new Error('no space left on device'))
    expect(journal.failures).toMatchObject([
      { code: 'commit-failed', message: 'a commit did not reach the disk: no space left on device' },
    ])
    tick()
    journal.append(enqueued(1, 3, 1))
    tick()
    await journal.journal.close()
    expect([table.writes.length, journal.told, journal.failures.length]).toEqual([1, [], 1])
  })

  test('P2: a commit that is not on disk by the deadline has failed, and its late answer changes nothing', async () => {
    const { table, journal, tick } = await opened(20)
    const commit = journal.commit(enqueued(1, 1, 1))
    tick()
    await expect(commit).rejects.toMatchObject({
      code: 'commit-overdue',
      message: 'a commit was not on disk after 0.02 s',
    })
    table.answer()
    expect([journal.told, journal.failures.length]).toEqual([[], 1])
  })

  test('R7: without the first write nothing is restored', async () => {
    const table = new SlowTable()
    const journal = new TableJournal({ table, memoryMax: 0, commitDeadlineMs: 1e6, later: () => {} })
    const restoring = OpenJournal.restore(journal)
    table.answer(new Error('read-only file system'))
    await expect(restoring).rejects.toMatchObject({ code: 'commit-failed' })
  })

  test('closing waits for the commit in flight and for what was gathered', async () => {
    const { table, journal, tick } = await opened()
    journal.append(enqueued(1, 1, 1))
    tick()
    journal.append(enqueued(1, 2, 1))
    const closing = journal.journal.close()
    table.answer()
    tick()
    table.answer()
    expect(journal.told).toEqual([1, 2])
    await Promise.resolve()
    table.answer()
    await closing
    expect(() => journal.append()).toThrow('closing')
  })
})

describe('patience: a turn that nobody waits for', () => {
  /** Timers that end when they are told to; those of deadlines are left out. */
  function timers() {
    const due: { ms: number; task: () => void }[] = []
    return {
      due,
      after: (ms: number, task: () => void) => {
        if (ms < 1_000) due.push({ ms, task })
        return () => {}
      },
      pass: () => {
        for (const { task } of due.splice(0)) task()
      },
    }
  }

  test('goes with what somebody waits for, in one commit', async () => {
    const time = timers()
    const { table, journal, tick } = await opened(1e6, 10_000, time.after)
    journal.append(enqueued(1, 1, 3))
    tick()
    expect(table.writes).toEqual([])
    journal.append(settled(1, 1))
    journal.journal.hurry(journal.turn)
    tick()
    table.answer()
    expect([table.writes.length, journal.told]).toEqual([1, [2]])
    time.pass()
    tick()
    expect(table.writes.length).toBe(1)
  })

  test('is committed by itself after 5 ms, with all that came meanwhile', async () => {
    const time = timers()
    const { table, journal, tick } = await opened(1e6, 10_000, time.after)
    journal.append(enqueued(1, 1, 3))
    journal.append(settled(1, 1))
    expect(time.due.map(({ ms }) => ms)).toEqual([5])
    time.pass()
    tick()
    table.answer()
    expect([table.writes.length, journal.told]).toEqual([1, [2]])
    journal.append(settled(1, 2))
    expect(time.due.map(({ ms }) => ms)).toEqual([5])
  })

  test('waits on after a commit that it came too late for, and one that is waited for does not', async () => {
    const time = timers()
    const { table, journal, tick } = await opened(1e6, 10_000, time.after)
    journal.append(enqueued(1, 1, 3))
    journal.journal.hurry(1)
    tick()
    journal.append(settled(1, 1))
    table.answer()
    tick()
    expect([table.writes.length, journal.told]).toEqual([1, [1]])
    journal.journal.hurry(2)
    tick()
    journal.append(settled(1, 2))
    journal.journal.hurry(3)
    table.answer()
    tick()
    table.answer()
    expect([table.writes.length, journal.told]).toEqual([3, [1, 2, 3]])
  })

  test('does not gather without bounds: much is committed at once', async () => {
    const time = timers()
    const { table, journal, tick } = await opened(1e6, 3, time.after)
    for (let queue = 1; queue <= 4; queue += 1) journal.append(enqueued(queue, 1, 1))
    tick()
    expect(table.writes.length).toBe(1)
  })

  test('is on disk before the journal is closed', async () => {
    const time = timers()
    const { table, journal, tick } = await opened(1e6, 10_000, time.after)
    journal.append(enqueued(1, 1, 3))
    const closing = journal.journal.close()
    tick()
    table.answer()
    expect(journal.told).toEqual([1])
    await Promise.resolve()
    table.answer()
    await closing
  })
})
