import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { openLmdbJournal } from '../../src/journal/lmdb/lmdb-journal.ts'
import { checkPages, Damage } from '../../src/journal/lmdb/pages.ts'
import { enqueued, settled } from './support.ts'

const PAGE = 4_096
const base = mkdtempSync(join(tmpdir(), 'sluice-pages-'))
afterAll(() => rmSync(base, { recursive: true, force: true }))

/** A file with a tree of several levels, values in pages of their own, and free pages. */
async function filled(folder: string, turns: number): Promise<string> {
  const journal = await openLmdbJournal({ folder })
  for await (const _ of journal.restore());
  let told: () => void = () => {}
  journal.onCommitted(() => told())
  for (let turn = 1; turn <= turns; turn += 1) {
    const next = new Promise<void>(resolve => {
      told = resolve
    })
    const first = (turn - 1) * 10 + 1
    const facts = [enqueued(1, first, 10, { size: turn % 7 === 0 ? 20_000 : 30 })]
    journal.append(turn, turn % 3 === 0 ? [...facts, settled(1, first - 10, 10)] : facts)
    await next
  }
  await journal.close()
  return join(folder, 'data.mdb')
}

const file = await filled(join(base, 'data'), 300)
const sound = readFileSync(file)

function check(bytes: Uint8Array): string {
  const damaged = join(base, 'damaged.mdb')
  writeFileSync(damaged, bytes)
  try {
    return checkPages(damaged) ? 'sound' : 'empty'
  } catch (error) {
    // Anything else would be a bug of the check.
    if (!(error instanceof Damage)) throw error
    return error.message
  }
}

/** Which pages are in use, by what they say of themselves; overflow pages but the first hold only bodies. */
function structural(bytes: Buffer): number[] {
  const pages: number[] = []
  for (let page = 0; (page + 1) * PAGE <= bytes.length; page += 1)
    if (bytes.readUInt32LE(page * PAGE) === page) pages.push(page)
  return pages
}

test('R8: a sound file is found sound, after any number of commits', async () => {
  expect(check(sound)).toBe('sound')
  expect(structural(sound).length).toBeGreaterThan(50)
  for (const turns of [0, 1, 2, 3, 20]) expect(checkPages(await filled(join(base, `${turns}`), turns))).toBe(true)
})

test('R8: an empty file holds nothing, and one that is none of ours is refused', () => {
  expect(check(new Uint8Array(0))).toBe('empty')
  expect(check(Buffer.from('hello'))).toMatch(/cut off/)
  expect(check(Buffer.alloc(3 * PAGE))).toMatch(/no LMDB file/)
})

test('R8: a file that was cut off is refused, wherever', () => {
  const copy = join(base, 'cut.mdb')
  const { size } = statSync(file)
  for (const left of [1, 100, PAGE, PAGE + 1, 2 * PAGE, size / 2, size - PAGE, size - 1]) {
    copyFileSync(file, copy)
    truncateSync(copy, Math.floor(left))
    expect(() => checkPages(copy), `${left} bytes left`).toThrow(Damage)
  }
})

test('R8: pages that are zero, or another page, are noticed', () => {
  let noticed = 0
  const pages = structural(sound)
  for (const page of pages) {
    const zero = Buffer.from(sound)
    zero.fill(0, page * PAGE, (page + 1) * PAGE)
    const other = Buffer.from(sound)
    other.copy(other, page * PAGE, (page === 5 ? 6 : 5) * PAGE, (page === 5 ? 7 : 6) * PAGE)
    const said = [check(zero), check(other)]
    // What nobody uses may be as it is: free pages.
    if (said.every(text => text === 'sound')) continue
    noticed += 1
    expect(said).not.toContain('sound')
    expect(said).not.toContain('empty')
  }
  expect(noticed).toBeGreaterThan(20)
})

test('R8: the check of a damaged file ends, with a verdict, whatever is in it', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(sound.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }), changes => {
      const bytes = Buffer.from(sound)
      for (const [at, value] of changes) bytes[at] = value
      check(bytes)
    }),
    { numRuns: 100 },
  )
})

test('R8: a bit that flips in the newest head page is noticed, wherever it counts', () => {
  const newest = sound.readBigUInt64LE(152) > sound.readBigUInt64LE(PAGE + 152) ? 0 : PAGE
  const unnoticed: number[] = []
  // Numbers of page and commit, kinds, sizes, roots, counts: all that is read of it, but the size of the map.
  const places = [0, 18, 24, 28, 48, 54, 56, 64, 72, 80, 88, 100, 102, 104, 112, 120, 128, 136, 144, 152]
  for (const at of places) {
    const bytes = Buffer.from(sound)
    bytes[newest + at]! ^= 1
    const said = check(bytes)
    if (said === 'sound' || said === 'empty') unnoticed.push(at)
  }
  expect(unnoticed).toEqual([])
})
