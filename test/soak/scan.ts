import { openTable } from '../../src/journal/lmdb/lmdb-table.ts'
import {
  MESSAGES,
  numberedKey,
  QUEUE_CONTENTS,
  queueOf,
  queueRange,
  readMessagesKey,
  SETTLED,
} from '../../src/journal/table/keys.ts'
import { decodeRow, encodeRow } from '../../src/journal/table/row-codec.ts'
import { eachEntry, type Write } from '../../src/journal/table/table.ts'
import type { PlannedQueue } from './plan.ts'

/** Everything in the file itself, beside what the journal says of it: each row whole, none that should be gone. */
export async function scanTable(
  folder: string,
  queues: ReadonlyMap<number, PlannedQueue>,
): Promise<{ readonly count: number; readonly wrong: readonly string[] }> {
  const table = await openTable(folder)
  const wrong: string[] = []
  let count = 0
  for (const { key, value } of eachEntry(table, Buffer.of(0), Buffer.of(0xff))) {
    count++
    decodeRow(key, value)
    const isOfQueue = Buffer.compare(key, QUEUE_CONTENTS.from) >= 0
    const queue = isOfQueue ? queues.get(queueOf(key)) : undefined
    if (!queue || key[5] !== MESSAGES) continue
    const row = readMessagesKey(key)
    if (!row) wrong.push(`no row of messages has the key ${Buffer.from(key).toString('hex')}`)
    else if (!hasLive(queue, row)) wrong.push(`row ${queueOf(key)}/${row.first} holds nothing live and is still there`)
  }
  await table.close()
  return { count, wrong }
}

function hasLive({ live }: PlannedQueue, { first, count }: { first: number; count: number }): boolean {
  for (let sequence = first; sequence < first + count; sequence++) if (live.has(sequence)) return true
  return false
}

/** Damage that a scan has to find, each done by a database that forgot or mixed something up. */
export const PLANTS = ['body', 'row', 'settled', 'resurrected'] as const
export type Plant = (typeof PLANTS)[number]

/** Changes the data of a soak that is over. */
export async function plant(folder: string, what: Plant, queues: ReadonlyMap<number, PlannedQueue>): Promise<void> {
  const table = await openTable(folder)
  // Whose last message is live: what is settled may be anything.
  const found = [...queues].flatMap(([queue, { live }]) => {
    const { from, to } = queueRange(queue, MESSAGES)
    const row = [...eachEntry(table, from, to)].find(({ key }) => {
      const info = readMessagesKey(key)
      return info && live.has(info.first + info.count - 1)
    })
    return row === undefined ? [] : [{ queue, row }]
  })
  if (found[0] === undefined) throw new Error('all queues are empty: nothing to damage')
  const { queue, row } = found[0]
  const info = readMessagesKey(row.key)!
  const writes: Write[] = []
  if (what === 'body') {
    // With a right checksum: a body that is whole and of another message.
    const { note, bytes } = decodeRow(row.key, row.value)
    const changed = Buffer.from(bytes)
    changed[changed.length - 1]! ^= 1
    writes.push({ key: row.key, value: encodeRow(row.key, note, changed) })
  } else if (what === 'row') {
    writes.push({ key: row.key })
  } else if (what === 'settled') {
    const key = numberedKey(queue, SETTLED, info.first)
    const bits = new Uint8Array((info.count + 7) >> 3)
    bits.fill(0xff)
    writes.push({ key, value: encodeRow(key, undefined, bits) })
  } else {
    const value = encodeRow(row.key, undefined, Buffer.from('00000000', 'hex'))
    const key = Buffer.from(row.key)
    key.writeUIntBE(2 ** 40, 6, 6)
    key.writeUInt32BE(1, 12)
    key[32] = 0
    writes.push({ key, value: encodeRow(key, undefined, value.subarray(-4)) })
  }
  await new Promise<void>((resolve, reject) => table.write(writes, failure => (failure ? reject(failure) : resolve())))
  await table.close()
}
