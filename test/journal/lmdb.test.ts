import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { Fact } from '../../src/core/facts.ts'
import type { Journal, JournalFailure } from '../../src/journal/journal.ts'
import { diskFreeBytes } from '../../src/journal/lmdb/folder.ts'
import { openLmdbJournal } from '../../src/journal/lmdb/lmdb-journal.ts'
import { openTable } from '../../src/journal/lmdb/lmdb-table.ts'
import {
  deletedKey,
  FORMAT_KEY,
  messagesKey,
  numberedKey,
  queueRange,
  RETURNED,
  SETTLED,
} from '../../src/journal/table/keys.ts'
import { encodeRow } from '../../src/journal/table/row-codec.ts'
import type { Table, Write } from '../../src/journal/table/table.ts'
import { Child } from './child.ts'
import { type Data, journalConformance } from './conformance.ts'
import { journalModel } from './model.ts'
import { AT, bodyOf, declared, enqueued, OpenJournal, toldMessages } from './support.ts'

const base = mkdtempSync(join(tmpdir(), 'sluice-journal-'))
afterAll(() => rmSync(base, { recursive: true, force: true }))

let folders = 0
function newFolder(name = ''): string {
  return join(base, `${++folders}${name}`)
}

/**
 * A crash is a copy of the file while nothing is being committed: what a process that ends there leaves behind. Real
 * ends of processes are below.
 */
function lmdbData(): Data {
  let folder = newFolder()
  const crashed: Journal[] = []
  return {
    open: options => openLmdbJournal({ folder, ...options }),
    crash: async journal => {
      const copy = newFolder()
      mkdirSync(copy)
      cpSync(join(folder, 'data.mdb'), join(copy, 'data.mdb'))
      folder = copy
      crashed.push(journal)
    },
    remove: async () => {
      for (const journal of crashed) await journal.close()
    },
  }
}

async function opened(folder: string): Promise<OpenJournal> {
  return OpenJournal.restore(await openLmdbJournal({ folder }))
}

/** Commits these, and closes. */
async function filled(folder: string, ...facts: readonly Fact[]): Promise<void> {
  const journal = await opened(folder)
  await journal.commit(...facts)
  await journal.journal.close()
}

async function withTable<T>(folder: string, work: (table: Table) => T | Promise<T>): Promise<T> {
  const table = await openTable(folder)
  try {
    return await work(table)
  } finally {
    await table.close()
  }
}

function write(folder: string, ...writes: readonly Write[]): Promise<void> {
  return withTable(
    folder,
    table =>
      new Promise<void>((resolve, reject) => table.write(writes, failure => (failure ? reject(failure) : resolve()))),
  )
}

async function failureOf(work: Promise<unknown>): Promise<JournalFailure> {
  return (await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )) as JournalFailure
}

describe('lmdb', () => {
  journalConformance(lmdbData)
  journalModel(lmdbData, 25)
})

describe('the folder', () => {
  test('is for this user alone', async () => {
    const folder = newFolder('/deep/er')
    await filled(folder, declared(1, 'a'))
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    expect(
      readdirSync(folder)
        .filter(name => name.startsWith('data.mdb'))
        .map(name => statSync(join(folder, name)).mode & 0o777),
    ).toEqual([0o600, 0o600])
  })

  test('R5: tells how much room is left', () => {
    expect(diskFreeBytes(base)).toBeGreaterThan(0)
  })

  test('that cannot be one is refused with the reason', async () => {
    const file = newFolder()
    writeFileSync(file, '')
    const failure = await failureOf(openLmdbJournal({ folder: join(file, 'data') }))
    expect(failure).toMatchObject({ name: 'JournalFailure', code: 'unusable-folder' })
  })
})

describe('the lock', () => {
  test('R7: a second server is refused at once, and told who holds the folder', async () => {
    const folder = newFolder()
    const first = await openLmdbJournal({ folder })
    const failure = await failureOf(openLmdbJournal({ folder }))
    expect(failure).toMatchObject({
      code: 'locked',
      message: `${folder} is in use by another server: process ${process.pid}`,
    })
    await first.close()
    await (await openLmdbJournal({ folder })).close()
  })

  test('R7: of many that start at once one gets the folder', async () => {
    const folder = newFolder()
    for (let round = 0; round < 5; round++) {
      const starts = await Promise.allSettled(Array.from({ length: 8 }, () => openLmdbJournal({ folder })))
      const won = starts.filter(start => start.status === 'fulfilled')
      const lost = starts.filter(start => start.status === 'rejected')
      expect(won).toHaveLength(1)
      expect(lost.map(({ reason }) => reason.code)).toEqual(Array(7).fill('locked'))
      await won[0]!.value.close()
    }
    expect(readdirSync(folder).filter(name => name.startsWith('lock'))).toHaveLength(1)
  })

  test('R7: after kill -9 the next start needs no hand', async () => {
    const folder = newFolder()
    const child = Child.load(folder)
    await child.line(/^committed/)
    const failure = await failureOf(openLmdbJournal({ folder }))
    expect(failure.message).toContain(`process ${child.pid}`)
    await child.kill()
    await (await opened(folder)).journal.close()
  })

  test('R7: a stopped server still holds its folder', async () => {
    const folder = newFolder()
    const child = Child.load(folder)
    await child.line(/^committed/)
    child.stop()
    const failure = await failureOf(openLmdbJournal({ folder }))
    expect(failure).toMatchObject({ code: 'locked', message: expect.stringContaining('does not answer') })
    await child.kill()
  })

  test('R7: the path of the folder may be longer than that of a socket', async () => {
    const folder = newFolder(`/${'long'.repeat(30)}/${'longer'.repeat(20)}`)
    const first = await openLmdbJournal({ folder })
    expect(await failureOf(openLmdbJournal({ folder }))).toMatchObject({ code: 'locked' })
    await first.close()
    await (await openLmdbJournal({ folder })).close()
  })
})

describe('damage', () => {
  const ROW = { first: 1, count: 3, batch: 0, at: AT, bodyBytes: 3_000, flags: 0 }

  test('R8: a flipped bit in a body is noticed when it is read', async () => {
    const folder = newFolder()
    await filled(folder, declared(1, 'a'), enqueued(1, 1, 3, { size: 1_000 }))
    const file = join(folder, 'data.mdb')
    const bytes = readFileSync(file)
    const place = bytes.indexOf(bodyOf(2, 1_000))
    expect(place).toBeGreaterThan(0)
    bytes[place + 500]! ^= 4
    writeFileSync(file, bytes)
    const after = await opened(folder)
    expect(() => after.journal.row(1, 1)).toThrow(
      expect.objectContaining({ code: 'damaged', message: expect.stringContaining('message row 1 of queue 1') }),
    )
    await after.journal.close()
  })

  test('R8: a bad row that a restart reads stops the restart', async () => {
    const runs = [{ count: 3, priority: 1 }]
    const folder = newFolder()
    await filled(folder, declared(1, 'a'), enqueued(1, 1, 3, { size: 1_000, runs }))
    const key = messagesKey(1, { ...ROW, flags: 1 })
    const value = encodeRow(key, runs)
    value[value.length - 2]! ^= 1
    await write(folder, { key, value })
    expect(await failureOf(opened(folder))).toMatchObject({ code: 'damaged' })
  })

  test('R8: a row under the key of another is damage', async () => {
    const folder = newFolder()
    await filled(folder, declared(1, 'a'), enqueued(1, 1, 3, { size: 1_000 }))
    const copied = await withTable(folder, table => table.get(messagesKey(1, ROW))!)
    await write(folder, { key: messagesKey(1, { ...ROW, first: 7 }), value: copied })
    const after = await opened(folder)
    expect(after.body(1, 1)).toBe(bodyOf(1, 1_000))
    expect(() => after.journal.row(1, 7)).toThrow(expect.objectContaining({ code: 'damaged' }))
    await after.journal.close()
  })

  test('R8: rows that overlap, or miss the row they speak of, are damage', async () => {
    for (const key of [messagesKey(1, { ...ROW, first: 3 }), numberedKey(1, SETTLED, 2), numberedKey(1, RETURNED, 4)]) {
      const folder = newFolder()
      await filled(folder, declared(1, 'a'), enqueued(1, 1, 3, { size: 1_000 }))
      await write(folder, { key, value: encodeRow(key, [], Uint8Array.of(1)) })
      expect(await failureOf(opened(folder))).toMatchObject({ code: 'damaged' })
    }
  })

  test('R8: a message that cannot be moved, because its row is damaged, fails the journal', async () => {
    const folder = newFolder()
    await filled(folder, enqueued(1, 1, 3, { size: 1_000 }))
    await write(folder, { key: messagesKey(1, ROW), value: Buffer.from('no row') })
    const after = await opened(folder)
    const origin = {
      queue: 'a',
      queueId: 1,
      sequence: 1,
      batch: 0,
      attempts: 1,
      publishedAt: 1_799_999_000_000,
      deadAt: AT,
      reason: 'rejected',
    } as const
    const move = {
      kind: 'moved',
      queue: 1,
      sequence: 1,
      to: 2,
      toSequence: 1,
      toBatch: 0,
      at: AT,
      run: { count: 1, origin },
    } as const
    await expect(after.commit(move)).rejects.toMatchObject({ code: 'damaged' })
    expect(after.told).toEqual([])
  })

  test('data of a newer version are refused, and left as they are', async () => {
    const folder = newFolder()
    await filled(folder, declared(1, 'a'))
    const value = encodeRow(FORMAT_KEY, { format: 2 })
    await write(folder, { key: FORMAT_KEY, value })
    expect(await failureOf(opened(folder))).toMatchObject({
      code: 'bad-format',
      message: expect.stringContaining('newer version'),
    })
  })
})

describe('on disk', () => {
  test('a deleted queue leaves no row behind, also if the server ends in the middle', async () => {
    const folder = newFolder()
    const before = await opened(folder)
    const rows = Array.from({ length: 3_500 }, (_, index) => enqueued(7, index * 2 + 1, 1))
    await before.commit(declared(7, 'goes'), ...rows)
    await before.commit(
      { kind: 'queueDeleted', queue: 7 },
      { kind: 'producerTaken', producer: 'p', queue: 7, last: 1, answers: [], at: AT },
    )
    await before.journal.close()
    const rest = await withTable(folder, table => rowsOf(table, 7))
    expect(rest).toBeGreaterThan(2_000)
    const after = await opened(folder)
    expect(toldMessages(after.restored).size).toBe(0)
    for (let commit = 1; commit <= 5; commit++) await after.commit(declared(1, `${commit}`))
    await after.journal.close()
    expect(await withTable(folder, table => [rowsOf(table, 7), table.get(deletedKey(7))])).toEqual([0, undefined])
  })

  test('small publishes of one commit share a row', async () => {
    const folder = newFolder()
    await filled(folder, ...Array.from({ length: 100 }, (_, index) => enqueued(1, index + 1, 1, { at: AT + index })))
    expect(await withTable(folder, table => rowsOf(table, 1))).toBe(1)
  })

  test('R1: kill -9 in the middle of load: all that was told is there, and of a turn everything or nothing', async () => {
    const folder = newFolder()
    const child = Child.load(folder)
    let told = 0
    while (told < 600) told = Number((await child.line(/^committed (\d+)/))[1])
    told = Math.max(told, Number((await child.kill()).at(-1) ?? 0))
    const after = await opened(folder)
    const messages = toldMessages(after.restored)
    // Turn by turn as load.ts does it: odd ones publish ten, even ones settle five of them.
    const expected = new Set<string>()
    let turn = 0
    const same = (): boolean =>
      turn >= told && expected.size === messages.size && [...expected].every(name => messages.has(name))
    while (!same() && turn < told + 10_000) {
      const first = (turn >> 1) * 10 + 1
      const isPublish = ++turn % 2 === 1
      for (let index = 0; index < (isPublish ? 10 : 5); index++) {
        if (isPublish) expected.add(`1/${first + index}`)
        else expected.delete(`1/${first + 3 + index}`)
      }
    }
    expect(same(), `what is there is no history of ${told} turns or more`).toBe(true)
    for (const name of messages.keys()) expect(after.body(1, Number(name.slice(2)))).toBe(bodyOf(Number(name.slice(2))))
    await after.journal.close()
  })

  test('P2: a commit that the disk refuses is reported, and nothing after it is told', async () => {
    const child = Child.load(newFolder(), { fileMax: 2_048 })
    const [, reason] = await child.line(/^failed (.*)/)
    const [, after] = await child.line(/^told after: (.*)/)
    expect(reason).toMatch(/^commit-failed/)
    expect(after).toBe('0')
    await child.kill()
  })
})

function rowsOf(table: Table, queue: number): number {
  const { from, to } = queueRange(queue)
  return table.keys(from, to, 10_000).length
}
