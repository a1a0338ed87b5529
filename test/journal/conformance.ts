import { expect, test } from 'vitest'
import type { BarrierRecord, BatchStats, Fact } from '../../src/core/facts.ts'
import type { Journal } from '../../src/journal/journal.ts'
import {
  AT,
  AT_LOST_MS,
  bodyOf,
  declared,
  enqueued,
  OpenJournal,
  ORIGIN,
  record,
  records,
  settled,
  toldMessages,
} from './support.ts'

/** Data that outlive a journal. */
export interface Data {
  /** A journal over them; the one before was closed or has crashed. */
  open(options?: { memoryMax?: number }): Promise<Journal>
  /** The process of this journal ends now, without a word. Nothing is being committed. */
  crash(journal: Journal): Promise<void>
  /** After the test. */
  remove(): Promise<void>
}

type Body = (data: Data, open: (options?: { memoryMax?: number }) => Promise<OpenJournal>) => Promise<void>

/** What every journal has to do, whatever it writes to. */
export function journalConformance(newData: () => Data): void {
  const rule = (title: string, body: Body): void => {
    test(title, async () => {
      const data = newData()
      try {
        await body(data, async options => OpenJournal.restore(await data.open(options)))
      } finally {
        await data.remove()
      }
    })
  }
  /** What comes back of facts that were committed in one turn each. */
  const kept = async (data: Data, ...turns: readonly (readonly Fact[])[]): Promise<readonly Fact[]> => {
    const before = await OpenJournal.restore(await data.open())
    for (const facts of turns) await before.commit(...facts)
    await data.crash(before.journal)
    const after = await OpenJournal.restore(await data.open())
    await after.journal.close()
    return after.kept
  }

  rule('the first start finds nothing, and that counts as clean', async (_, open) => {
    const { restored, journal } = await open()
    expect(restored).toEqual([{ kind: 'started', start: 1, clean: true }])
    await journal.close()
  })

  rule(
    'D5: a start knows whether the stop before it was clean, even if nothing was ever committed',
    async (data, open) => {
      const first = await open()
      await first.journal.close()
      const second = await open()
      await data.crash(second.journal)
      const third = await open()
      await third.commit(declared(1, 'a'))
      await data.crash(third.journal)
      const fourth = await open()
      expect([second, third, fourth].map(({ restored }) => restored[0])).toEqual([
        { kind: 'started', start: 2, clean: true },
        { kind: 'started', start: 3, clean: false },
        { kind: 'started', start: 4, clean: false },
      ])
      await fourth.journal.close()
    },
  )

  rule('R1: a definition is kept as it was declared last', async data => {
    const facts = await kept(data, [declared(1, 'a'), declared(2, 'ü')], [declared(1, 'a', true)])
    expect(facts).toEqual([declared(1, 'a', true), declared(2, 'ü')])
  })

  rule('R1: messages are kept with all that is known of them', async data => {
    const runs = [
      { count: 2, priority: 7.5, group: 'g\ud800' },
      { count: 1, dueAt: AT + 60_000, expiresAt: AT + 90_000 },
      { count: 3 },
      { count: 1, origin: ORIGIN },
    ]
    const facts = await kept(data, [enqueued(1, 1, 7, { runs, batch: 4 })])
    expect(facts).toEqual([{ kind: 'enqueued', queue: 1, first: 1, count: 7, batch: 4, at: AT, runs }])
  })

  rule('R1: of a row with runs, what is live keeps its own', async data => {
    const runs = [{ count: 2, priority: 1 }, { count: 3, priority: 2 }, { count: 2 }]
    const facts = await kept(data, [enqueued(1, 1, 7, { runs })], [settled(1, 2, 2), settled(1, 5)])
    const range = (first: number, count: number, of: unknown): unknown => ({
      kind: 'enqueued',
      queue: 1,
      first,
      count,
      batch: 0,
      at: AT,
      runs: of,
    })
    expect(facts).toEqual([
      range(1, 1, [{ count: 1, priority: 1 }]),
      range(4, 1, [{ count: 1, priority: 2 }]),
      range(6, 2, [{ count: 2 }]),
    ])
  })

  rule('R1: bodies are there before the commit, after it, and after a restart', async (data, open) => {
    const before = await open()
    const turn = before.commit(enqueued(1, 1, 3))
    expect([1, 2, 3].map(sequence => before.body(1, sequence))).toEqual(['m1', 'm2', 'm3'])
    await turn
    expect(before.body(1, 2)).toBe('m2')
    await data.crash(before.journal)
    const after = await open()
    expect([1, 2, 3, 4].map(sequence => after.body(1, sequence))).toEqual(['m1', 'm2', 'm3', undefined])
    expect(after.body(2, 1)).toBeUndefined()
    await after.journal.close()
  })

  rule('R1: a settled message does not come back, whatever the pattern', async (data, open) => {
    const before = await open()
    await before.commit(
      enqueued(1, 1, 20),
      enqueued(1, 21, 20, { at: AT + 5_000 }),
      enqueued(1, 41, 20, { at: AT + 9_000 }),
    )
    await before.commit(settled(1, 15, 30), settled(1, 3))
    await before.commit(settled(1, 60), settled(1, 1, 2))
    expect([1, 2, 3, 15, 30, 44, 60].map(sequence => before.body(1, sequence))).toEqual(Array(7).fill(undefined))
    expect([4, 14, 45, 59].map(sequence => before.body(1, sequence))).toEqual(['m4', 'm14', 'm45', 'm59'])
    await data.crash(before.journal)
    const after = await open()
    const live = [...range(4, 14), ...range(45, 59)]
    expect([...toldMessages(after.kept).keys()]).toEqual(live.map(sequence => `1/${sequence}`))
    expect(live.map(sequence => after.body(1, sequence))).toEqual(live.map(sequence => bodyOf(sequence)))
    await after.commit(settled(1, 4, 11), settled(1, 45, 15))
    await data.crash(after.journal)
    expect((await open()).kept).toEqual([])
  })

  rule('R1: what came and went within one commit leaves nothing behind', async (data, open) => {
    const before = await open()
    before.append(declared(1, 'a'), enqueued(1, 1, 5))
    before.append({ kind: 'returned', queue: 1, first: 2, count: 1, attempts: 1 }, settled(1, 2, 2))
    await before.commit(settled(1, 1), settled(1, 4, 2), enqueued(1, 6, 1, { at: AT + 2_000 }))
    expect(before.journal.memoryBytes).toBe(record('m6').length)
    await data.crash(before.journal)
    expect((await open()).kept).toEqual([
      declared(1, 'a'),
      { kind: 'enqueued', queue: 1, first: 6, count: 1, batch: 0, at: AT + 2_000 },
    ])
  })

  rule('D5: attempts are kept per message, and the last count is right', async data => {
    const back = (first: number, count: number, attempts: number, dueAt?: number): Fact =>
      dueAt === undefined
        ? { kind: 'returned', queue: 1, first, count, attempts }
        : { kind: 'returned', queue: 1, first, count, attempts, dueAt }
    const messages = [enqueued(1, 1, 5), enqueued(1, 6, 5, { at: AT + 2_000 })]
    const facts = await kept(
      data,
      [...messages, back(4, 4, 1)],
      [back(5, 2, 2, AT + 9)],
      [back(4, 1, 0), settled(1, 6)],
    )
    expect(facts.filter(fact => fact.kind === 'returned')).toEqual([
      back(4, 1, 0),
      back(5, 1, 2, AT + 9),
      back(7, 1, 1),
    ])
  })

  rule(
    'A5: a dead letter is in one queue or in the other, with its body and where it comes from',
    async (data, open) => {
      const before = await open()
      await before.commit(enqueued(1, 1, 3))
      const moved: Fact = {
        kind: 'moved',
        queue: 1,
        sequence: 2,
        to: 2,
        toSequence: 9,
        toBatch: 1,
        at: AT + 5,
        run: { count: 1, origin: ORIGIN },
      }
      await before.commit(moved)
      expect([before.body(1, 2), before.body(2, 9)]).toEqual([undefined, 'm2'])
      await data.crash(before.journal)
      const after = await open()
      expect(toldMessages(after.kept)).toEqual(
        new Map([
          ['1/1', { batch: 0, at: AT, run: {} }],
          ['1/3', { batch: 0, at: AT, run: {} }],
          ['2/9', { batch: 1, at: AT + 5, run: { origin: ORIGIN } }],
        ]),
      )
      expect(after.body(2, 9)).toBe('m2')
      await after.journal.close()
    },
  )

  rule(
    'B3, B9: counts, waiting barriers and records are kept, and a release replaces the one by the other',
    async data => {
      const stats = { published: 3, acked: 3, dead: 0, expired: 0, dropped: 0, carried: 0, firstPublishedAt: AT }
      const counted = (batch: number, acked: number): Fact => ({
        kind: 'batchCounted',
        queue: 1,
        batch,
        nextSequence: 6,
        stats: { ...stats, acked },
        unkept: 2,
      })
      const barrier = (sequence: number, batch: number): Fact => ({
        kind: 'barrierPublished',
        queue: 1,
        sequence,
        batch,
        name: `b${batch}`,
        at: AT,
        bytes: record('{"end":true}'),
      })
      const released = (sequence: number, batch: number): Extract<Fact, { kind: 'barrierReleased' }> => {
        const text: BarrierRecord = {
          sequence,
          batch,
          outcome: 'clean',
          stats,
          publishedAt: AT,
          releasedAt: AT + 1,
          bytes: record('{"end":true}'),
        }
        return { kind: 'barrierReleased', queue: 1, record: text }
      }
      const facts = await kept(
        data,
        [counted(0, 0), barrier(4, 0), counted(1, 0), barrier(5, 1), counted(2, 0)],
        [counted(0, 2), counted(0, 3)],
        [released(4, 0), counted(1, 1)],
        [released(5, 1), { kind: 'barrierForgotten', queue: 1, sequence: 4 }, barrier(6, 2)],
      )
      expect(bytesAsText(facts)).toEqual(bytesAsText([counted(2, 0), barrier(6, 2), released(5, 1)]))
    },
  )

  rule('B14: parties that have come are kept, and with their bodies become part of the barrier', async data => {
    const party = (sequence: number, name: string): Fact => ({
      kind: 'partyArrived',
      queue: 1,
      sequence,
      name: 'eof',
      count: 2,
      party: name,
      at: AT,
      terms: { deadlineAt: AT + 9 },
      bytes: record(`{"store":"${name}"}`),
    })
    const parties = {
      count: 2,
      arrived: ['a', 'b'],
      bytes: Buffer.concat([record('{"store":"a"}'), record('{"store":"b"}')]),
    }
    const placed: Fact = {
      kind: 'barrierPublished',
      queue: 1,
      sequence: 2,
      batch: 0,
      name: 'eof',
      at: AT,
      terms: { rest: 'drop', parties, batches: [{ queue: 'x', outcome: 'cancelled' }] },
      ended: { outcome: 'expired', rest: 'drop' },
      bytes: record('{"store":"b"}'),
    }
    const gone: Fact = { kind: 'partiesPlaced', queue: 1, sequences: [1, 2] }
    expect(bytesAsText(await kept(data, [party(1, 'a')], [party(3, 'c')]))).toEqual(
      bytesAsText([party(1, 'a'), party(3, 'c')]),
    )
    expect(
      bytesAsText(
        await kept(
          data,
          [party(4, 'a'), party(5, 'b')],
          [gone, { kind: 'partiesPlaced', queue: 1, sequences: [3, 4, 5] }, placed],
        ),
      ),
    ).toEqual(bytesAsText([placed]))
    const text = {
      sequence: 2,
      batch: 0,
      outcome: 'expired',
      publishedAt: AT,
      releasedAt: AT,
      bytes: record('x'),
      parties,
    } as const
    const stats: BatchStats = { published: 1, acked: 1, dead: 0, expired: 0, dropped: 0, carried: 0 }
    const released: Fact = { kind: 'barrierReleased', queue: 1, record: { ...text, stats } }
    expect(bytesAsText(await kept(data, [released]))).toEqual(bytesAsText([released]))
  })

  rule('P5: message ids are kept until their window ends', async data => {
    const seen = (id: string, sequence: number): Fact => ({ kind: 'seen', queue: 1, id, sequence, batch: 0, at: AT })
    const facts = await kept(
      data,
      [seen('ä/1', 1), seen('b', 2)],
      [{ kind: 'unseen', queue: 1, id: 'b' }, seen('c', 3)],
    )
    expect(facts).toEqual([seen('c', 3), seen('ä/1', 1)])
  })

  rule('P9: of a producer the last number taken is kept, until it is forgotten', async data => {
    const taken = (producer: string, queue: number, last: number): Fact => ({
      kind: 'producerTaken',
      producer,
      queue,
      last,
      answers: [
        { first: last, count: 1, sequence: 7, batch: 0 },
        { first: last + 1, count: 2, sequence: 0, batch: 0, refusal: 'queue-full' },
      ],
      at: AT,
    })
    const facts = await kept(
      data,
      [taken('p', 1, 1), taken('q', 1, 1), taken('p', 2, 1)],
      [taken('p', 1, 2), taken('p', 1, 3), { kind: 'producerForgotten', producer: 'q', queue: 1 }],
    )
    expect(facts).toEqual([taken('p', 1, 3), taken('p', 2, 1)])
  })

  rule('definitions come back first, then each queue: counts, barriers, messages, returns', async data => {
    const facts = await kept(data, [
      declared(2, 'b'),
      { kind: 'returned', queue: 2, first: 1, count: 1, attempts: 1 },
      enqueued(2, 1, 1),
      { kind: 'batchCounted', queue: 2, batch: 0, nextSequence: 2, stats: { ...NO_STATS } },
      declared(1, 'a'),
      enqueued(1, 1, 2),
      { kind: 'returned', queue: 1, first: 1, count: 1, attempts: 1 },
      { kind: 'barrierPublished', queue: 1, sequence: 3, batch: 0, at: AT, bytes: record('') },
    ])
    expect(facts.map(fact => `${fact.kind} ${'queue' in fact ? fact.queue : ''}`)).toEqual([
      'queueDeclared 1',
      'queueDeclared 2',
      'barrierPublished 1',
      'enqueued 1',
      'returned 1',
      'batchCounted 2',
      'enqueued 2',
    ])
  })

  rule('messages that are alike come back as one range, their times no more than a second off', async data => {
    const singles = Array.from({ length: 3_000 }, (_, index) => enqueued(1, index + 1, 1, { at: AT + index }))
    const facts = await kept(data, ...chunksOf(singles, 50))
    expect(facts.length).toBeLessThanOrEqual(4)
    for (const [name, { at }] of toldMessages(facts)) {
      const sequence = Number(name.split('/')[1])
      expect(Math.abs(at - (AT + sequence - 1))).toBeLessThan(AT_LOST_MS)
    }
  })

  rule('restored ranges tell how long their bodies are, about so where some are settled', async (data, open) => {
    const before = await open()
    await before.commit(enqueued(1, 1, 4, { size: 100 }), enqueued(1, 5, 2, { size: 50 }))
    await before.commit(enqueued(2, 1, 4, { size: 100 }), enqueued(2, 5, 1, { at: AT + 5_000, bytes: records('') }))
    await before.commit(settled(2, 2, 1))
    await data.crash(before.journal)
    const after = await open()
    expect(after.restored.map(fact => fact.kind === 'enqueued' && fact.bodyBytes)).toEqual([false, 500, 100, 200, 0])
    await after.journal.close()
  })

  rule('messages of different batches never come back as one range', async data => {
    const facts = await kept(data, [enqueued(1, 1, 2, { batch: 0 }), enqueued(1, 3, 2, { batch: 1 })])
    expect(facts.map(fact => 'batch' in fact && fact.batch)).toEqual([0, 1])
  })

  rule(
    'a deleted queue goes with all that it had, however much, and its number is not free again',
    async (data, open) => {
      const before = await open()
      const rows = Array.from({ length: 2_500 }, (_, index) => enqueued(7, index * 2 + 1, 1))
      await before.commit(declared(3, 'stays'), enqueued(3, 1, 1), declared(7, 'goes'), ...rows)
      before.append({ kind: 'queueDeleted', queue: 7 })
      expect(before.body(7, 1)).toBeUndefined()
      await before.commit()
      expect(before.journal.memoryBytes).toBe(record('m1').length)
      await data.crash(before.journal)
      for (let start = 0; start < 3; start++) {
        const after = await open()
        expect(after.restored.slice(1)).toEqual([
          declared(3, 'stays'),
          { kind: 'queueDeleted', queue: 7 },
          { kind: 'enqueued', queue: 3, first: 1, count: 1, batch: 0, at: AT, bodyBytes: 2 },
        ])
        await after.journal.close()
      }
    },
  )

  rule('R4: bodies beyond the limit let go of memory, newest first, and are read back', async (data, open) => {
    const size = 100
    const rowBytes = 10 * (4 + size)
    const opened = await open({ memoryMax: 4 * rowBytes })
    for (let row = 0; row < 12; row++)
      await opened.commit(enqueued(1, row * 10 + 1, 10, { size, at: AT + row * 2_000 }))
    expect(opened.journal.memoryBytes).toBe(4 * rowBytes)
    const bytes = opened.journal.row(1, 5)?.bytes
    expect(opened.journal.row(1, 6)?.bytes).toBe(bytes)
    for (const sequence of range(1, 120)) expect(opened.body(1, sequence)).toBe(bodyOf(sequence, size))
    expect(opened.journal.row(1, 95)?.bytes).not.toBe(opened.journal.row(1, 35)?.bytes)
    expect(opened.journal.row(1, 115)?.bytes).toBe(opened.journal.row(1, 116)?.bytes)
    expect(opened.journal.memoryBytes).toBeLessThanOrEqual(5 * rowBytes)
    await opened.commit(settled(1, 1, 120))
    expect(opened.journal.memoryBytes).toBe(0)
    await data.crash(opened.journal)
  })

  rule('R4: a row that no commit took yet keeps its bytes, whatever the limit', async (_, open) => {
    const opened = await open({ memoryMax: 0 })
    const turn = opened.commit(enqueued(1, 1, 3))
    expect(opened.body(1, 2)).toBe('m2')
    await turn
    expect(opened.journal.memoryBytes).toBe(0)
    expect(opened.body(1, 2)).toBe('m2')
    await opened.journal.close()
  })

  rule('P3: commits are told in the order of their turns, and all of a tick together', async (_, open) => {
    const opened = await open()
    for (let turn = 1; turn <= 40; turn++) {
      opened.append(enqueued(1, turn, 1))
      if (turn % 10 === 0) await opened.commit()
    }
    expect(opened.told).toEqual([11, 22, 33, 44])
    await opened.journal.close()
  })

  rule('a turn without facts is told too', async (_, open) => {
    const opened = await open()
    await opened.commit()
    expect(opened.told).toEqual([1])
    await opened.journal.close()
  })

  rule('closing waits for what was appended', async (_, open) => {
    const opened = await open()
    opened.append(enqueued(1, 1, 2))
    await opened.journal.close()
    expect(opened.told).toEqual([1])
    const after = await open()
    expect(after.restored[0]).toEqual({ kind: 'started', start: 2, clean: true })
    expect(after.body(1, 2)).toBe('m2')
    await after.journal.close()
  })
}

const NO_STATS = { published: 0, acked: 0, dead: 0, expired: 0, dropped: 0, carried: 0 }

function range(from: number, to: number): readonly number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index)
}

function chunksOf<T>(all: readonly T[], size: number): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, index) => all.slice(index * size, (index + 1) * size))
}

/** Bytes of any kind compare as text. */
function bytesAsText(facts: readonly Fact[]): unknown {
  return JSON.parse(
    JSON.stringify(facts, (_, value) => (value?.type === 'Buffer' ? Buffer.from(value.data).toString() : value)),
  )
}
