import { expect } from 'vitest'
import type { Fact } from '../../src/core/facts.ts'
import { JournalFailure } from '../../src/journal/journal.ts'
import { decodeRow, encodeRow } from '../../src/journal/table/row-codec.ts'
import type { Entry, Table, Write } from '../../src/journal/table/table.ts'
import { TableJournal } from '../../src/journal/table/table-journal.ts'
import { newPlan, Plan } from '../soak/plan.ts'
import { damage } from './bytes.ts'
import { fuzz, hex, same } from './harness.ts'

/* What stands on disk, damaged: never a foreign exception, and never silently less than there was. */

const CODES = ['damaged', 'bad-format']
const isFailure = (error: unknown): boolean => error instanceof JournalFailure && CODES.includes(error.code)
const reached = { whole: 0, damaged: 0, restored: 0, refused: 0 }

/** Sorted rows. */
class ArrayTable implements Table {
  rows: Entry[]

  constructor(rows: readonly Entry[]) {
    this.rows = [...rows].sort((a, b) => Buffer.compare(a.key, b.key))
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.rows.find(row => Buffer.compare(row.key, key) === 0)?.value
  }

  keys(from: Uint8Array, to: Uint8Array, countMax: number): readonly Uint8Array[] {
    return this.entries(from, to, countMax).map(({ key }) => key)
  }

  entries(from: Uint8Array, to: Uint8Array, countMax: number): readonly Entry[] {
    const isWithin = ({ key }: Entry): boolean => Buffer.compare(key, from) >= 0 && Buffer.compare(key, to) < 0
    return this.rows.filter(isWithin).slice(0, countMax)
  }

  write(writes: readonly Write[], done: () => void): void {
    const byKey = new Map(this.rows.map(row => [hex(row.key), row]))
    for (const { key, value } of writes) {
      if (value) byKey.set(hex(key), { key, value })
      else byKey.delete(hex(key))
    }
    this.rows = new ArrayTable([...byKey.values()]).rows
    done()
  }

  async close(): Promise<void> {}
}

function journalOn(table: Table): TableJournal {
  return new TableJournal({
    table,
    memoryMax: 2 ** 20,
    commitDeadlineMs: 86_400_000,
    patienceMs: 0,
    later: commit => commit(),
  })
}

/** A folder that has seen some of everything. */
async function sample(seed: number): Promise<readonly Entry[]> {
  const table = new ArrayTable([])
  const journal = journalOn(table)
  for await (const _ of journal.restore());
  const plan = new Plan(newPlan(seed), { liveMax: 20_000, bodyMax: 200 })
  for (let turn = 1; turn <= 200; turn++) journal.append(turn, plan.next({ withBodies: true }))
  return table.rows
}

const SAMPLES = await Promise.all([3, 8, 21, 34, 55, 89].map(sample))
const ROWS = SAMPLES.flat().filter(({ value }) => value.length < 2_000)

fuzz<{ readonly key: Uint8Array; readonly value: Uint8Array; readonly isDamaged: boolean }>({
  title: 'R8: a row that was changed in any byte is told as damaged, and nothing else is',
  crafted: Object.fromEntries(
    ['', '01', '0100000000', `01${'00'.repeat(8)}`, `01${'00'.repeat(4)}ffffffff`, `02${'00'.repeat(8)}`].map(text => [
      `the value ${text}`,
      { key: Buffer.of(1), value: Buffer.from(text, 'hex'), isDamaged: true },
    ]),
  ),
  make: random => {
    const { key, value } = random.of(ROWS)
    const isOfKey = random.chance(0.2)
    const changed = random.chance(0.1) ? value : isOfKey ? value : damage(value, random)
    const otherKey = isOfKey ? damage(key, random) : key
    const isDamaged = Buffer.compare(changed, value) !== 0 || Buffer.compare(otherKey, key) !== 0
    return { key: otherKey, value: changed, isDamaged }
  },
  run: ({ key, value, isDamaged }) => {
    try {
      const { note, bytes } = decodeRow(key, value)
      reached.whole++
      same(isDamaged, false, 'a damaged row is told')
      const again = encodeRow(key, note, bytes)
      same(hex(again), hex(value))
    } catch (error) {
      if (!isFailure(error)) throw error
      reached.damaged++
      same(isDamaged, true, `a whole row is not refused: ${error}`)
    }
  },
  show: ({ key, value }) => `${hex(key)} ${hex(value)}`,
  reached: () => {
    expect(reached.whole).toBeGreaterThan(5)
    expect(reached.damaged).toBeGreaterThan(5)
  },
})

const ALL_KINDS = [1, 2, 3, 4, 5, 6, 7, 8, 9]
const STRANGE = [
  undefined,
  {},
  [],
  7,
  'text',
  [{}],
  [[9_999_999, 1, 0]],
  { kind: 'barrierReleased', queue: 1 },
  { kind: 'seen', queue: 1 },
]

interface Folder {
  readonly sample: number
  readonly what: string
  readonly rows: readonly Entry[]
  /** A changed value must be noticed; of a row that is gone or doubled, only that nothing foreign is thrown. */
  readonly mustRefuse: boolean
}

fuzz<Folder>({
  title: 'R8: a start on damaged data says what is damaged, and throws nothing else',
  share: 0.01,
  crafted: {
    ...Object.fromEntries([0, 10, 0xff].map(kind => [`a row of kind ${kind}`, withKind(kind)])),
    // Found with 200,000 inputs: the content of one kind of row under the key of another.
    ...Object.fromEntries(
      ALL_KINDS.flatMap(kind =>
        STRANGE.map(note => [`kind ${kind} with ${JSON.stringify(note)}`, withNote(kind, note)]),
      ),
    ),
    'the number of starts without one': onlyWith(Buffer.of(2), {}),
    'a format that is no number': onlyWith(Buffer.of(1), { format: 'x' }),
    'a highest queue number that is none': onlyWith(Buffer.of(3), []),
    'a definition of another queue': onlyWith(Buffer.from('0500000009', 'hex'), {
      kind: 'queueDeclared',
      queue: 8,
      options: {},
    }),
  },
  make: random => {
    const which = random.below(SAMPLES.length)
    const rows = [...SAMPLES[which]!]
    const at = random.below(rows.length)
    const { key, value } = rows[at]!
    const dice = random.below(10)
    if (dice < 4) {
      const changed = damage(value, random)
      rows[at] = { key, value: changed }
      // Bodies are read when they are due; everything else at the start.
      const isBody = key[0] === 6 && key[5] === 6
      const mustRefuse = !isBody && key[0] !== 4 && Buffer.compare(changed, value) !== 0
      return { sample: which, what: `value of ${hex(key)}`, rows, mustRefuse }
    }
    if (dice < 6) {
      rows[at] = { key: damage(key, random), value }
      const mustRefuse = isOfNoKind(rows[at]!.key)
      return { sample: which, what: `key ${hex(key)} is ${hex(rows[at]!.key)}`, rows, mustRefuse }
    }
    if (dice < 8) {
      rows.splice(at, 1)
      return { sample: which, what: `without ${hex(key)}`, rows, mustRefuse: false }
    }
    const otherKey = damage(key, random)
    // With a checksum that is right: what a mistaken program wrote.
    const content = { ...decodeRow(key, value) }
    const bytes = random.chance(0.5) ? content.bytes : damage(content.bytes, random)
    rows.push({ key: otherKey, value: encodeRow(otherKey, content.note, bytes) })
    return { sample: which, what: `${hex(otherKey)} beside ${hex(key)}`, rows, mustRefuse: false }
  },
  run: async ({ rows, mustRefuse }) => {
    const journal = journalOn(new ArrayTable(rows))
    try {
      const facts: Fact[] = []
      for await (const chunk of journal.restore()) facts.push(...chunk)
      for (const fact of facts) if (fact.kind === 'enqueued') readBodies(journal, fact)
      same(mustRefuse, false, 'damage is told at the start')
      reached.restored++
    } catch (error) {
      if (!isFailure(error)) throw error
      reached.refused++
    }
    await journal.close().catch((error: unknown) => {
      if (!isFailure(error)) throw error
    })
  },
  show: ({ sample, what }) => `sample ${sample}: ${what}`,
  reached: () => {
    expect(reached.restored).toBeGreaterThan(5)
    expect(reached.refused).toBeGreaterThan(5)
  },
})

/** Under the key of a row of this kind what does not belong there, with a checksum that is right. */
function withNote(kind: number, note: unknown): Folder {
  // Row 1 is there, so that rows that speak of it are read.
  const messages = SAMPLES[0]!.find(({ key }) => key[0] === 6 && key[5] === 6)!.key
  const tail =
    kind === 6 ? withRuns(messages) : kind === 5 || kind === 7 ? messages.subarray(6, 12) : Buffer.alloc(6, 0xfe)
  const key = Buffer.concat([messages.subarray(0, 5), Buffer.of(kind), tail])
  // No returned messages are some, too.
  const isNobody = kind === 7 && Array.isArray(note) && note.length === 0
  const rows = SAMPLES[0]!.filter(row => hex(row.key) !== hex(key) && (kind !== 6 || row.key !== messages))
  return {
    sample: 0,
    what: `kind ${kind}`,
    rows: [...rows, { key, value: encodeRow(key, note) }],
    mustRefuse: kind !== 5 && !isNobody,
  }
}

/** What follows the kind in the key of a row of messages, with the flag that its value says more of them. */
function withRuns(key: Uint8Array): Uint8Array {
  const tail = Buffer.from(key.subarray(6))
  tail[tail.length - 1] = 1
  return tail
}

function onlyWith(key: Uint8Array, note: unknown): Folder {
  const rows = SAMPLES[0]!.filter(row => hex(row.key) !== hex(key))
  return { sample: 0, what: hex(key), rows: [...rows, { key, value: encodeRow(key, note) }], mustRefuse: true }
}

/** A row of messages whose key lost its kind; its checksum is right, so only the kind is wrong. */
function withKind(kind: number): Folder {
  const rows = [...SAMPLES[0]!]
  const key = Buffer.from(`0600000001${kind.toString(16).padStart(2, '0')}ffffffffffff`, 'hex')
  rows.push({ key, value: encodeRow(key, {}) })
  return { sample: 0, what: `kind ${kind}`, rows, mustRefuse: true }
}

/** Something that was there would be missing without a word. */
function isOfNoKind(key: Uint8Array): boolean {
  return key.length > 5 && key[0] === 6 && (key[5] === 0 || key[5]! > 9) && key[1] === 0 && key[2] === 0 && key[3] === 0
}

function readBodies(journal: TableJournal, { queue, first, count }: Extract<Fact, { kind: 'enqueued' }>): void {
  for (const sequence of [first, first + count - 1]) journal.row(queue, sequence)
}

// Samples of enough kinds, or nothing above says much.
expect(new Set(SAMPLES.flat().map(({ key }) => (key[0] === 6 ? `6 ${key[5]}` : `${key[0]}`))).size).toBeGreaterThan(8)
