import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ByteWriter, encodeMessage } from '@sluice/protocol'
import type { Fact } from '../../src/core/facts.ts'
import type { Journal } from '../../src/journal/journal.ts'
import { openLmdbJournal } from '../../src/journal/lmdb/lmdb-journal.ts'
import { memoryJournal } from '../../src/journal/memory.ts'
import type { Case, Part } from './part.ts'

const COUNT = 1_000

/** A step is one commit: a thousand messages come in and are settled by the next. */
export async function journals(): Promise<Part> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-micro-'))
  const lmdb = await openLmdbJournal({ folder })
  const cases = [
    await commits('memory, 1,000 in one publish', memoryJournal(), COUNT),
    await commits('lmdb, 1,000 in one publish, flushed', lmdb, COUNT),
    await commits(
      'lmdb, 1,000 publishes of one, flushed',
      await openLmdbJournal({ folder: join(folder, 'single') }),
      1,
    ),
  ]
  return { cases, end: () => rm(folder, { recursive: true, force: true }) }
}

async function commits(name: string, journal: Journal, each: number): Promise<Case> {
  for await (const _ of journal.restore());
  const writer = new ByteWriter(Buffer.allocUnsafe)
  for (let i = 0; i < each; i++) encodeMessage(writer, undefined, Buffer.alloc(100, 'x'))
  const bytes = writer.take()
  let turn = 0
  let next = 1
  let committed = (): void => {}
  journal.onCommitted(upTo => {
    if (upTo === turn) committed()
  })
  journal.onFailed(reason => {
    throw reason
  })
  const step = (): Promise<void> =>
    new Promise(resolve => {
      committed = resolve
      const facts: Fact[] = []
      if (next > COUNT) facts.push({ kind: 'settled', queue: 1, first: next - COUNT, count: COUNT, reason: 'acked' })
      for (let first = next; first < next + COUNT; first += each) {
        facts.push({ kind: 'enqueued', queue: 1, first, count: each, batch: 1, at: 0, bytes })
      }
      next += COUNT
      turn += 1
      journal.append(turn, facts)
      journal.hurry(turn)
    })
  return { name, messages: COUNT, step }
}
